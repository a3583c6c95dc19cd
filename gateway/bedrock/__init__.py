"""Upstream IO: the pooled aiobotocore client, credentials, signing, and the map of its faults."""
