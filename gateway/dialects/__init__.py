"""Sans-IO: the API shapes that callers speak, to and from domain values."""
