"""The composition root: the only module that knows every side; it opens and closes what a process is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from gateway import __version__, event_loop
from gateway.addresses import listen, listen_privately
from gateway.authentication import open_callers, open_certificates, tell_opened
from gateway.bedrock.client import POOL_HEADROOM
from gateway.composition import StartError, build_quotas
from gateway.generations import Generations
from gateway.identity.watching import watching
from gateway.lasting import build_lasting
from gateway.monitoring import served
from gateway.permissions import Permissions
from gateway.readiness import ProcessReadiness
from gateway.server import listening, prerequisites
from gateway.server.dispatch import Dispatcher
from gateway.server.drain import Serving
from gateway.server.exchange import Limits, Services
from gateway.server.private import PATH
from gateway.server.protocol import ConnectionBounds, GatewayServer
from gateway.server.tls import HANDSHAKES, Tls

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from gateway.bedrock.targets import Target
    from gateway.composition import Backend
    from gateway.identity.callers import Callers
    from gateway.identity.watching import Watched
    from gateway.lasting import Lasting
    from gateway.settings import Settings

SHUTDOWN_TIMEOUT = 0.25
"""Seconds that aiohttp may wait for handlers when all is drained; it takes up to twice that (S14)."""
READ_BUFFER = 64 * 1024
"""aiohttp stops reading a body that nobody takes at twice as many bytes; by itself at 512 KiB."""
LINGER = 2.0
"""Seconds to go on reading a body that was refused, so that the caller sees the answer before a reset."""


class Gateway:
    """A running gateway."""

    def __init__(
        self, lasting: Lasting, generations: Generations, dispatcher: Dispatcher, settings: Settings
    ) -> None:
        self.limiter = lasting.limiter
        self.retries = lasting.retries
        self.ledger = lasting.ledger
        self.targets: Mapping[str, Target] = {}
        self.serving: Serving
        self.metrics_url: str | None = None
        self._lasting = lasting
        self._generations = generations
        self._dispatcher = dispatcher
        self.tls = None if settings.tls.cert_file is None else Tls()
        self._host = settings.host

    @property
    def url(self) -> str:
        """Where it listens."""
        return listening.url_of(self.serving.sockets[0], "http" if self.tls is None else "https")

    async def reload(self, settings: Settings) -> None:
        """Put these settings in force for every request from now on.

        Raises:
            StartError: they cannot work here; those in force stay.
        """
        if problems := prerequisites.problems(
            max_connections=settings.max_connections,
            upstream_connections=len(settings.places()) * (settings.max_concurrency + POOL_HEADROOM),
            handshakes=0 if self.tls is None else HANDSHAKES,
        ):
            raise StartError(problems)
        # the host is that of the start: it is there that we listen
        known = self._callers()
        callers = await open_callers(settings, self._host, known)
        certificates = await open_certificates(settings)
        if (certificates is None) is not (self.tls is None):
            words = "whether there is TLS is read at the start only"
            structlog.get_logger().warning("needs_restart", reason=words, settings=["tls"])

        def put(backend: Backend, number: int) -> Callable[[], Awaitable[object]]:
            before = [exchange.over for exchange in self._dispatcher.exchanges]
            self._dispatcher.services = _services(settings, backend, callers, self._lasting, number)
            self.targets = backend.targets
            if self.tls is not None and certificates is not None:
                self.tls.use(certificates)
            if self._lasting.monitoring is not None:
                self._lasting.monitoring.put(backend.targets, backend.label)
            self.limiter.resize(
                max_running=settings.max_concurrency,
                max_waiting=settings.max_queue,
                queue_timeout=settings.queue_timeout_ms / 1000,
            )
            self.limiter.put(build_quotas(settings))

            async def unused() -> None:
                if before:
                    await asyncio.wait(before)
                await self._lasting.abandoned.settled()

            return unused

        await self._generations.open(settings, put)
        tell_opened(self._host, known, callers)

    def _callers(self) -> Callers | None:
        return self._dispatcher.services.callers if self._generations.number else None

    def watched(self) -> Iterable[Watched]:
        """Return what may change outside of the settings in force."""
        callers = self._callers()
        return (
            *(() if callers is None else callers.watched),
            *(() if self.tls is None else (self.tls,)),
        )

    async def forget_callers(self) -> None:
        """Let go of what is held to know them."""
        callers = self._callers()
        if callers is not None and callers.revocations is not None:
            await callers.revocations.aclose()

    async def drain(self, *, propagation: bool = True) -> None:
        """Prepare the end of the `running` block: see `Drain.wait`."""
        await self._lasting.drain.wait(self.serving, propagation=propagation)

    def hurry(self) -> None:
        """End the drain: what runs is interrupted at once."""
        self._lasting.drain.hurry()


def _services(
    settings: Settings, backend: Backend, callers: Callers | None, lasting: Lasting, generation: int
) -> Services:
    return Services(
        upstream=backend.upstream,
        limiter=lasting.limiter,
        abandoned=lasting.abandoned,
        retries=lasting.retries,
        readiness=ProcessReadiness(
            lasting.drain, lasting.limiter, backend.targets, lambda: lasting.ledger.state
        ),
        models=backend.models,
        callers=callers,
        permissions=Permissions(
            backend.upstream,
            {name: target.client.region for name, target in backend.targets.items()},
            metadata_key=settings.attribution.request_metadata,
            sessions=settings.credentials.caller_sessions,
        ),
        limits=Limits(
            s3_locations=settings.bedrock.s3_locations,
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
        events=lasting.events,
        observer=None if lasting.monitoring is None else lasting.monitoring.requests,
    )


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
    dispatcher = Dispatcher()
    lasting = build_lasting(settings, dispatcher)
    generations = Generations(lasting.limiter.free_share)
    async with AsyncExitStack() as stack:
        for part in (generations, lasting.ledger, lasting.abandoned):
            await stack.enter_async_context(aclosing(part))
        await lasting.ledger.open()
        gateway = Gateway(lasting, generations, dispatcher, settings)
        await gateway.reload(settings)
        stack.push_async_callback(gateway.forget_callers)
        await stack.enter_async_context(watching(gateway.watched))
        if lasting.monitoring is not None:  # to the very end: a drain is what one wants to see
            private = listen_privately(settings.metrics)
            gateway.metrics_url = listening.url_of(private[0]) + PATH
            await stack.enter_async_context(served(lasting.monitoring, private))
            structlog.get_logger().info("metrics", url=gateway.metrics_url)
        async with _serving(settings, dispatcher, lasting, sockets, gateway.tls) as serving:
            gateway.serving = serving
            targets = [str(target) for target in gateway.targets.values()]
            structlog.get_logger().info(
                "listening", url=gateway.url, targets=targets, event_loop=event_loop.running()
            )
            yield gateway


@asynccontextmanager
async def _serving(
    settings: Settings,
    dispatcher: Dispatcher,
    lasting: Lasting,
    sockets: Sequence[socket.socket] | None,
    tls: Tls | None,
) -> AsyncIterator[Serving]:
    drain, monitoring = lasting.drain, lasting.monitoring
    server = GatewayServer(
        dispatcher,
        drain=drain,
        events=lasting.events,
        observer=None if monitoring is None else monitoring.requests,
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
        await listening.serve(runner, sockets, tls)
        serving = Serving(runner, server, dispatcher, sockets)
        if monitoring is not None:
            monitoring.attach(serving)
        try:
            yield serving
        finally:
            await drain.end(serving)
    finally:
        await runner.cleanup()
