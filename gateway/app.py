"""The composition root: the only module that knows every side; it opens and closes what a process is."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from gateway import __version__
from gateway.abandoned import AbandonedAnswers
from gateway.addresses import listen
from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.bedrock.client import POOL_HEADROOM
from gateway.composition import StartError
from gateway.errors import GatewayError
from gateway.generations import Generations
from gateway.retries.attempts import Retries
from gateway.retries.backoff import Backoff
from gateway.retries.breaker import BreakerRules
from gateway.retries.budget import BudgetRules
from gateway.server import listening, prerequisites
from gateway.server.body_budget import BodyBudget
from gateway.server.dispatch import Dispatcher
from gateway.server.drain import Drain, DrainTimes, Serving
from gateway.server.exchange import Limits, Services
from gateway.server.protocol import ConnectionBounds, GatewayServer

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from gateway.bedrock.targets import Target
    from gateway.composition import Backend
    from gateway.retries.breaker import State
    from gateway.settings import AdaptiveSettings, Settings

SHUTDOWN_TIMEOUT = 0.25
"""Seconds that aiohttp may wait for handlers when all is drained; it takes up to twice that (S14)."""
READ_BUFFER = 64 * 1024
"""aiohttp stops reading a body that nobody takes at twice as many bytes; by itself at 512 KiB."""
READINESS_TIMEOUT = 2.0
"""Seconds for the credentials to answer a readiness probe."""
LINGER = 2.0
"""Seconds to go on reading a body that was refused, so that the caller sees the answer before a reset."""


class ProcessReadiness:
    """Ready: not draining, room in the queue, and some target has valid credentials (R49).

    To be asked is to be listening.
    """

    def __init__(self, drain: Drain, limiter: ConcurrencyLimiter, targets: Mapping[str, Target]) -> None:
        self.unusable_targets: list[str] = []
        self._drain = drain
        self._limiter = limiter
        self._targets = targets

    async def problems(self) -> list[str]:
        """Return why new requests should go elsewhere."""
        problems = ["draining"] if self._drain.begun else []
        limiter = self._limiter
        if limiter.running >= limiter.max_running and limiter.waiting >= limiter.max_waiting:
            problems.append("overloaded")
        named = await asyncio.gather(*(self._unusable(target) for target in self._targets.values()))
        self.unusable_targets = [name for name in named if name is not None]
        if len(self.unusable_targets) == len(self._targets):
            problems.append("no AWS credentials")
        return problems

    async def _unusable(self, target: Target) -> str | None:
        try:
            async with asyncio.timeout(READINESS_TIMEOUT):
                await target.client.credentials.current()
        except (GatewayError, TimeoutError) as error:
            detail = getattr(error, "detail", "too slow")
            structlog.get_logger().error("credentials", target=target.name, detail=detail)
            return target.name
        return None


@dataclass(frozen=True, slots=True)
class Lasting:
    """What lives as long as the process, whatever generation of settings is in force."""

    limiter: ConcurrencyLimiter
    abandoned: AbandonedAnswers
    retries: Retries
    bodies: BodyBudget
    drain: Drain


class Gateway:
    """A running gateway."""

    def __init__(self, lasting: Lasting, generations: Generations, dispatcher: Dispatcher) -> None:
        self.limiter = lasting.limiter
        self.retries = lasting.retries
        self.targets: Mapping[str, Target] = {}
        self.serving: Serving
        self._lasting = lasting
        self._generations = generations
        self._dispatcher = dispatcher

    @property
    def url(self) -> str:
        """Where it listens."""
        return listening.url_of(self.serving.sockets[0])

    async def reload(self, settings: Settings) -> None:
        """Put these settings in force for every request from now on.

        Raises:
            StartError: they cannot work here; those in force stay.
        """
        if problems := prerequisites.problems(
            max_connections=settings.max_connections,
            upstream_connections=len(settings.places()) * (settings.max_concurrency + POOL_HEADROOM),
        ):
            raise StartError(problems)

        def put(backend: Backend, number: int) -> Callable[[], Awaitable[object]]:
            before = [exchange.over for exchange in self._dispatcher.exchanges]
            self._dispatcher.services = _services(settings, backend, self._lasting, number)
            self.targets = backend.targets
            self.limiter.resize(
                max_running=settings.max_concurrency,
                max_waiting=settings.max_queue,
                queue_timeout=settings.queue_timeout_ms / 1000,
            )

            async def unused() -> None:
                if before:
                    await asyncio.wait(before)
                await self._lasting.abandoned.settled()

            return unused

        await self._generations.open(settings, put)

    async def drain(self, *, propagation: bool = True) -> None:
        """Prepare the end of the `running` block: see `Drain.wait`."""
        await self._lasting.drain.wait(self.serving, propagation=propagation)

    def hurry(self) -> None:
        """End the drain: what runs is interrupted at once."""
        self._lasting.drain.hurry()


def _services(settings: Settings, backend: Backend, lasting: Lasting, generation: int) -> Services:
    return Services(
        upstream=backend.upstream,
        limiter=lasting.limiter,
        abandoned=lasting.abandoned,
        retries=lasting.retries,
        readiness=ProcessReadiness(lasting.drain, lasting.limiter, backend.targets),
        limits=Limits(
            max_body_bytes=settings.max_body_bytes,
            body_timeout=settings.body_timeout_ms / 1000,
            write_timeout=settings.write_timeout_ms / 1000,
            heartbeat_grace=settings.heartbeat_grace_ms / 1000,
            heartbeat_interval=settings.heartbeat_interval_ms / 1000,
        ),
        version=__version__,
        generation=generation,
        models_config=backend.models_config,
        default_model=settings.default_model,
        bodies=lasting.bodies,
    )


def _adaptive(section: AdaptiveSettings) -> Adaptive | None:
    return Adaptive(floor=section.floor, decrease=section.decrease) if section.enabled else None


def build_retries(settings: Settings) -> Retries:
    """Return the second chances of this process; to be called in its event loop."""
    rules, breaker = settings.retries, settings.breaker
    return Retries(
        clock=asyncio.get_running_loop().time,
        random=random.random,
        max_attempts=rules.max_attempts,
        backoff=Backoff(base=rules.backoff_ms / 1000, cap=rules.max_backoff_ms / 1000),
        budget=BudgetRules(share=rules.budget_percent / 100, least=rules.budget_min),
        breaker=BreakerRules(
            ratio=breaker.failure_percent / 100,
            least=breaker.min_calls if breaker.enabled else sys.maxsize,
            unsent=breaker.failed_connections if breaker.enabled else sys.maxsize,
            window=breaker.window_ms / 1000,
            first=breaker.open_ms / 1000,
            longest=breaker.max_open_ms / 1000,
        ),
        tell=_tell_of_breaker,
    )


def _tell_of_breaker(lane: str, state: State) -> None:
    log = structlog.get_logger()
    (log.info if state == "closed" else log.warning)("breaker", lane=lane, state=state)


@asynccontextmanager
async def running(
    settings: Settings, sockets: Sequence[socket.socket] | None = None
) -> AsyncIterator[Gateway]:
    """Serve for as long as the block runs, from `sockets` where they are given; they are closed with it.

    What runs at its end is interrupted: `Gateway.drain` waits for it before.

    Raises:
        StartError: this host, or the settings of the catalogue or of AWS, cannot work.
        ListenError: the address cannot be listened on.
    """
    limiter = ConcurrencyLimiter(
        max_running=settings.max_concurrency,
        max_waiting=settings.max_queue,
        queue_timeout=settings.queue_timeout_ms / 1000,
        order=settings.queue_order,
        adaptive=_adaptive(settings.adaptive),
    )
    retries = build_retries(settings)
    abandoned = AbandonedAnswers(
        max_running=settings.abandoned_max_answers if settings.on_disconnect == "drain" else 0,
        seconds=settings.abandoned_timeout_ms / 1000,
    )
    times = DrainTimes(
        propagation=settings.drain.propagation_ms / 1000, deadline=settings.drain.deadline_ms / 1000
    )
    lasting = Lasting(limiter, abandoned, retries, BodyBudget(settings.max_bodies_bytes), Drain(times))
    generations = Generations()
    dispatcher = Dispatcher()
    async with aclosing(generations), aclosing(abandoned):
        gateway = Gateway(lasting, generations, dispatcher)
        await gateway.reload(settings)
        async with _serving(settings, dispatcher, lasting.drain, sockets) as serving:
            gateway.serving = serving
            targets = [str(target) for target in gateway.targets.values()]
            structlog.get_logger().info("listening", url=gateway.url, targets=targets)
            yield gateway


@asynccontextmanager
async def _serving(
    settings: Settings, dispatcher: Dispatcher, drain: Drain, sockets: Sequence[socket.socket] | None
) -> AsyncIterator[Serving]:
    server = GatewayServer(
        dispatcher,
        drain=drain,
        handler_cancellation=True,  # off by default: the handler would run on after the caller left (S8)
        keepalive_timeout=settings.keepalive_timeout_ms / 1000,
        access_log=None,
        lingering_time=LINGER,
        read_bufsize=READ_BUFFER,
        auto_decompress=False,  # compressed bodies are refused: nothing of them need be unpacked
        bounds=ConnectionBounds(
            max_connections=settings.max_connections, head_timeout=settings.head_timeout_ms / 1000
        ),
    )
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        sockets = listen(settings) if sockets is None else sockets
        await listening.serve(runner, sockets)
        serving = Serving(runner, server, dispatcher, sockets)
        try:
            yield serving
        finally:
            await drain.end(serving)
    finally:
        await runner.cleanup()
