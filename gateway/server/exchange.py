"""What a handler works with: the request, its log line, and the services of the process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from gateway.admission.caller import ANONYMOUS
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, InvalidRequest
from gateway.observability.events import Events
from gateway.server.body_budget import BodyBudget
from gateway.server.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.abandoned import AbandonedAnswers
    from gateway.admission.caller import Caller
    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.catalog.directory import ModelDirectory
    from gateway.errors import GatewayError
    from gateway.identity.callers import Callers
    from gateway.observability.request_log import Observer, RequestLog
    from gateway.permissions import Permissions
    from gateway.retries.attempts import Retries
    from gateway.server.request import Request
    from gateway.server.routes import Route
    from gateway.server.transfer import Transfer
    from gateway.timing import Timing
    from gateway.upstream import CallMaker, Upstream


T = TypeVar("T")

DEADLINE_HEADER = "X-Request-Timeout-Ms"
NO_FALLBACK_HEADER = "X-No-Fallback"


class Readiness(Protocol):
    """Whether this process should get new requests."""

    async def problems(self) -> list[str]:
        """Return why not, in a few words each; empty when ready."""

    @property
    def unusable_targets(self) -> list[str]:
        """The targets that had no credentials when `problems` was asked last."""

    @property
    def ledger(self) -> str:
        """Where limits are counted: local, shared or degraded; nobody is sent elsewhere for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one exchange; times in seconds."""

    max_body_bytes: int
    """Of one body."""
    body_timeout: float
    write_timeout: float
    s3_locations: bool = False
    """Whether a body may point Bedrock at S3."""
    heartbeat_grace: float = 20.0
    """How long a stream may be silent at first; a heartbeat then sends the head, and a true HTTP status is no
    longer to be had (R6)."""
    heartbeat_interval: float = 0.0
    """How long it may be silent later on; 0: there are no heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the process shares between requests."""

    upstream: Upstream
    limiter: ConcurrencyLimiter
    abandoned: AbandonedAnswers
    retries: Retries
    readiness: Readiness
    models: ModelDirectory
    limits: Limits
    version: str
    generation: int = 1
    """How many times settings have been put in force."""
    models_config: Callable[[], bytes] = lambda: b"{}"
    """The body of `GET /models/config`."""
    callers: Callers | None = None
    """Who may ask; None: everybody."""
    permissions: Permissions | None = None
    """What each of them may ask; None: everything."""
    default_model: str | None = None
    """What is asked where a caller names no model."""
    bodies: BodyBudget = field(default_factory=BodyBudget)
    """For the bodies of all requests together."""
    events: Events = field(default_factory=Events)
    observer: Observer | None = None
    """Told of every request that is over."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One request being answered, by one task."""

    request: Request
    transfer: Transfer
    log: RequestLog
    timing: Timing
    services: Services
    task: asyncio.Task[object]
    route: Route
    parameters: Mapping[str, str]
    """The parts of its path that vary, decoded."""
    caller: Caller = ANONYMOUS
    expires: float | None = None
    """When the caller's patience ends, by the loop's clock."""
    answer_fields: bytes = b""
    """Header lines that the caller's dialect has in the head of a stream, besides what all of them have."""
    held_bytes: int = 0
    """Of its body, out of `Services.bodies`."""
    settled: bool = False
    """Whether how the answer ends is decided: its last bytes are being written, or it is known who failed."""
    _interruption: GatewayError | None = None
    _expiry: asyncio.TimerHandle | None = None
    _deadline: Deadline | None = None
    _progress: Progress | None = None
    _over: asyncio.Future[None] | None = None

    @property
    def upstream(self) -> CallMaker:
        """What makes the calls that this caller may make."""
        services = self.services
        if self.caller is ANONYMOUS or services.permissions is None:
            return services.upstream
        return services.permissions.of(self.caller)

    @property
    def deadline(self) -> Deadline:
        """For waiting for the caller: one timer serves the whole exchange, where it has to wait at all."""
        if self._deadline is None:
            self._deadline = Deadline()
        return self._deadline

    @property
    def progress(self) -> Progress:
        """Whether the caller takes what is written."""
        if self._progress is None:
            self._progress = Progress(self.transfer, self.services.limits.write_timeout)
        return self._progress

    @property
    def over(self) -> asyncio.Future[None]:
        """Done when the exchange is over."""
        if self._over is None:
            self._over = self.task.get_loop().create_future()
        return self._over

    def expire_in(self, milliseconds: int) -> None:
        """End the exchange with `DeadlineExceeded` unless it is over by then."""
        loop = asyncio.get_running_loop()
        self.expires = loop.time() + milliseconds / 1000
        words = f"The answer was not whole within the {milliseconds} ms of {DEADLINE_HEADER}."
        self._expiry = loop.call_at(self.expires, self.interrupt, DeadlineExceeded(words))

    def interrupt(self, fault: GatewayError) -> None:
        """End the exchange with this fault wherever it waits; once its end is decided, it may finish.

        An answer that has begun gets its terminal record, one that has not a true HTTP status.
        """
        if not self.settled and self._interruption is None:
            self._interruption = fault
            self.task.cancel()

    def header(self, name: str) -> str | None:
        """Return the value of a header that may come once, None where it does not come.

        Raises:
            InvalidRequest: it comes more than once: which of them was meant?
        """
        values = self.request.headers.getall(name, ())
        if len(values) > 1:
            raise InvalidRequest(f"Send {name} once.", param=name)
        return values[0] if values else None

    def allows_fallback(self) -> bool:
        """Return whether another target or model than the first may answer.

        Raises:
            InvalidRequest: the header says neither yes nor no.
        """
        value = self.header(NO_FALLBACK_HEADER)
        if value is None:
            return True
        if value.lower() not in {"true", "false"}:
            raise InvalidRequest(f"{NO_FALLBACK_HEADER} is `true` or `false`.", param=NO_FALLBACK_HEADER)
        return value.lower() == "false"

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` has ended, or is ending, this exchange."""
        return self._interruption is not None

    def interruption(self) -> GatewayError | None:
        """Return the fault behind a `CancelledError`, once; None where it is the caller who has left."""
        fault = self._interruption
        if fault is None or self.settled or self.task.uncancel() > 0:
            return None
        self.settled = True
        return fault

    def close(self) -> None:
        """The exchange is over."""
        self.settled = True
        if self._deadline is not None:
            self._deadline.close()
        self.services.bodies.give_back(self.held_bytes)
        if self._expiry is not None:
            self._expiry.cancel()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    async def within(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Await something of the caller's for so long at most; raises `DeadlinePassed`."""
        return await self.deadline.bound(awaitable, asyncio.get_running_loop().time() + seconds)
