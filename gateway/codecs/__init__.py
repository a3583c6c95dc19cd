"""Sans-IO: domain values to and from one model family's Bedrock JSON; one file per family."""
