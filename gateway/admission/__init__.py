"""Who may run now: the one bounded, timed queue in front of Bedrock."""
