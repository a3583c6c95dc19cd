"""Sans-IO: bytes to and from frames. Knows framing, not meaning."""
