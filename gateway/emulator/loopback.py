"""A small HTTP server on loopback that can be closed and opened again at the same address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

_GRACE_S: Final = 0.1


class LoopbackServer:
    """Gives every request to `answer`; an async context manager, `url` says where it listens."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self.url = ""
        self._serving = answer
        self._port = 0
        self._runner: web.ServerRunner | None = None

    async def open(self) -> None:
        """Listen: on any free port at first, on the same one later; does nothing if it listens."""
        if self._runner is not None:
            return
        server = web.Server(self._serving, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def close(self) -> None:
        """Break off what is being answered and refuse connections; does nothing if it does not listen."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
