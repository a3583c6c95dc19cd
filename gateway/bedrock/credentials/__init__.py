"""Credentials that never go stale: renewed by tasks of their own, read from memory by requests."""

from gateway.bedrock.credentials.source import (
    BearerToken,
    CredentialSource,
    RequestCredentials,
    StaticCredentials,
)

__all__ = ["BearerToken", "CredentialSource", "RequestCredentials", "StaticCredentials"]
