"""Where several replicas count together."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, field_validator

from gateway.settings.sections import Section

_KNOWN = ("db", "ssl_")


class RedisSettings(Section):
    """The Redis or Valkey that carries what is counted for all replicas; without one, each counts its own."""

    url: SecretStr | None = None
    """`redis://`, `rediss://` (TLS) or `unix://`, with user and password where they are needed."""
    prefix: str = Field("bedrock-gateway", pattern=r"^[^{}\s]+$")
    """Of every key: who shares it counts together. It is their hash tag: one slot of a cluster has all."""
    timeout_ms: int = Field(50, ge=1, le=10_000)
    """How long one request may wait for Redis; the first that waits longer ends the wait of all (R43)."""
    replicas: int = Field(1, ge=1, le=10_000)
    """How many there are at least: each gives out that part of a limit while Redis is away. They count
    themselves in Redis; this is for a start without it."""
    fallback: Literal["share", "refuse"] = "share"
    """While Redis is away: give out the replica's share of each limit, or nothing to callers with limits."""

    @field_validator("url")
    @classmethod
    def _can_be_reached(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        named = "redis.url (GATEWAY_REDIS__URL)"
        try:
            parts = urlsplit(url.get_secret_value())
            place = parts.path if parts.scheme == "unix" else parts.hostname
        except ValueError:
            raise ValueError(f"{named}: is not a URL") from None
        try:
            _ = parts.port
        except ValueError:
            raise ValueError(f"{named}: the port must be a number up to 65535") from None
        if parts.scheme not in {"redis", "rediss", "unix"} or not place:
            raise ValueError(f"{named}: must be redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")
        if parts.scheme != "unix" and not re.fullmatch(r"/?|/\d+", parts.path, re.ASCII):
            raise ValueError(f"{named}: the path must be the number of a database, such as /1")
        unknown = [name for name, _ in parse_qsl(parts.query) if not name.startswith(_KNOWN)]
        if unknown:
            raise ValueError(f"{named}: may only say db and ssl_* behind its question mark")
        return url
