"""Who is calling: keys, tokens and certificates, and the caller that each of them proves."""
