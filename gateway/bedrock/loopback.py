"""Endpoints on this machine, which no proxy of the environment is meant for."""

from __future__ import annotations

from urllib.parse import urlsplit


def proxies_for(url: str | None) -> dict[str, str] | None:
    """Return botocore's `proxies` for an endpoint: none for loopback, the environment's for any other."""
    loopback = url is not None and urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
    return {} if loopback else None
