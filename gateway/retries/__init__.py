"""Second chances: which failure may be tried again, where, when and how often."""
