"""What a handler works with: the request, its log line, and the services of the process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from gateway.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp.web_request import BaseRequest

    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.observability.request_log import RequestLog
    from gateway.pipeline import Timing
    from gateway.upstream import Upstream


T = TypeVar("T")


class Readiness(Protocol):
    """Whether this process should get new requests."""

    @property
    def draining(self) -> bool:
        """Whether the process is about to stop."""

    async def problems(self) -> list[str]:
        """Return why not, in a few words each; empty when ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one exchange; times in seconds."""

    max_body_bytes: int
    body_timeout: float
    write_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the process shares between requests."""

    upstream: Upstream
    limiter: ConcurrencyLimiter
    readiness: Readiness
    limits: Limits
    version: str
    models_config: bytes = b"{}"
    """The body of `GET /models/config`."""
    default_model: str | None = None
    """What is asked where a caller names no model."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request being answered."""

    request: BaseRequest
    log: RequestLog
    timing: Timing
    services: Services
    deadline: Deadline = field(default_factory=Deadline)
    """For reading the body and for every write: one timer serves the whole exchange."""

    async def within(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Await something of the caller's for so long at most; raises `DeadlinePassed`."""
        return await self.deadline.bound(awaitable, asyncio.get_running_loop().time() + seconds)
