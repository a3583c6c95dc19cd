"""The emulator itself: HTTP in, one of its operations, HTTP out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from uuid import uuid4

from aiohttp import web

from gateway.emulator import directives, inspection
from gateway.emulator.activity import Activity, Call
from gateway.emulator.authentication import SignedRequest, authenticate
from gateway.emulator.cache import PromptCache
from gateway.emulator.capacity import Capacity
from gateway.emulator.delivery import Reply, deliver, error_reply
from gateway.emulator.errors import BedrockError
from gateway.emulator.metering import Metering
from gateway.emulator.operations import HEADER_PREFIX, Account, Asked, parse, replayed, reply_to
from gateway.emulator.replay import Replay
from gateway.emulator.routes import SERVED, route
from gateway.emulator.settings import EmulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler

    from gateway.emulator.activity import Outcome
    from gateway.emulator.keyring import KeyRing
    from gateway.emulator.ledger import Ledger
    from gateway.emulator.quotas import Quotas

_MAX_BODY: Final = 25_000_000
"""In bytes, as in the service model (bedrock-wire.md §1)."""

_CACHED_BODY: Final = 16_384
_CACHED_REPLY: Final = 131_072
_CACHED_EXCHANGES: Final = 256
_GRACE_S: Final = 0.1


class _Exchange(NamedTuple):
    """What was asked, as JSON, and what is answered. `request_id` is that of a recording."""

    body: Any
    reply: Reply
    request_id: str | None = None


class _Server(web.Server):
    """Counts the connections that it accepts."""

    accepted = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        self.accepted += 1
        super().connection_made(handler, transport)


class Emulator:
    """A Bedrock runtime on loopback, as an async context manager or by `start` and `close`.

    Deterministic: the same body gets the same answer, down to the ids and the padding; only the request id
    and the date are new each time, and the counts of a prompt that is cached. `settings` is what it was
    told; `replay` is None without recordings. With `keys`, the temporary ones that are in there are accepted
    too, until they expire. `capacity` may be limited, and moved, at any time; so may the `quotas`, whose
    minutes pass by `clock`, in seconds.
    """

    def __init__(
        self,
        settings: EmulatorSettings | None = None,
        keys: KeyRing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = EmulatorSettings() if settings is None else settings
        self.keys = keys
        self.replay = None if self.settings.recordings is None else Replay(self.settings.recordings)
        self.url = ""
        self.capacity = Capacity()
        self._activity = Activity()
        self._usual = directives.defaults(self.settings)
        self._runner: web.ServerRunner | None = None
        self._server: _Server | None = None
        # A benchmark asks the same thing over and over, and it is not this process that it measures.
        self._kept: dict[Asked, _Exchange] = {}
        self._script: deque[str] = deque()
        cache = PromptCache(self.settings.cache_minimum_tokens)
        self._account = Account(usual=self._usual, guardrails=self.settings.guardrails, cache=cache)
        self._metering = Metering(self.settings, clock, cache)

    def __repr__(self) -> str:
        return f"<Emulator {self.url or 'not started'}, {self.active} active, {len(self.calls)} calls>"

    @property
    def active(self) -> int:
        """The requests that are being answered now."""
        return self._activity.active

    @property
    def peak_active(self) -> int:
        """The most requests that were being answered at the same time."""
        return self._activity.peak

    @property
    def calls(self) -> deque[Call]:
        """The last requests that ended, oldest first."""
        return self._activity.calls

    @property
    def quotas(self) -> Quotas:
        """The quotas of the account, to look at and to change."""
        return self._metering.quotas

    @property
    def ledger(self) -> Ledger:
        """What the account would be billed."""
        return self._metering.ledger

    @property
    def connections(self) -> int:
        """The connections accepted since the start: fewer than calls where a client reuses them."""
        return 0 if self._server is None else self._server.accepted

    async def wait_active(self, n: int) -> None:
        """Return once exactly `n` requests are being answered; every other one is in `calls` by then."""
        await self._activity.wait(n)

    def script(self, *directives_of_calls: str) -> None:
        """Give each of the next authenticated calls directives on top of its own, which they overrule.

        They are what stands between the brackets; an empty text changes nothing. So a call can fail and its
        retry succeed: `script("error=ThrottlingException", "")`.

        Raises:
            ValueError: a text is not directives, or this emulator only replays.
        """
        if self.replay is not None:
            raise ValueError("recordings are replayed as they are")
        for words in directives_of_calls:
            try:
                directives.read_words(words, self._usual)
            except BedrockError as error:
                raise ValueError(error.message) from error
        self._script.extend(directives_of_calls)

    async def start(self) -> None:
        """Listen; `url` says where."""
        self._server = _Server(
            self._serve, handler_cancellation=True, request_factory=_make_request, access_log=None
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        # 128, aiohttp's own, drop callers who come by the thousand: theirs is then a connect timeout
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop listening and break off what is being answered; does nothing if not started."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        raw_path, _, raw_query = request.raw_path.partition("?")
        if raw_path.startswith(inspection.PREFIX):
            return await inspection.inspect(request, self._metering)
        operation, model_id = route(request.method, raw_path)
        request_id, status, body, bill = str(uuid4()), 0, None, None
        outcome: Outcome = "client_gone"
        with self._activity, self.capacity.one_more() as room:
            try:
                body, reply, recorded_id = await self._exchange(
                    request, raw_path, raw_query, operation, model_id
                )
                what = operation, model_id
                reply, bill = self._metering.admit(what, request.headers, body, reply, room=room)
                request_id = recorded_id or request_id
                status = reply.status
                sent = None if bill is None else bill.sent
                response = await deliver(request, self._dated(reply), request_id, sent)
                outcome = reply.outcome
            except ConnectionError:
                response = web.Response()  # aiohttp wants one, and finds for itself that nobody is there
            finally:
                call = Call(
                    operation=operation,
                    model_id=model_id,
                    status=status,
                    request_id=request_id,
                    body=body,
                    outcome=outcome,
                    billed=None if bill is None else bill.close(outcome),
                    size=request.content.total_bytes,
                )
                self._activity.keep(call)
        return response

    async def _exchange(
        self, request: web.BaseRequest, raw_path: str, raw_query: str, operation: str, model_id: str
    ) -> _Exchange:
        if operation not in SERVED:
            return _Exchange(None, error_reply(BedrockError("UnknownOperationException")))
        try:
            body = await request.read()
            headers = {name.lower(): value for name, value in request.headers.items()}
            signed = SignedRequest(request.method, raw_path, raw_query, headers, body)
            authenticate(signed, self.settings, self._now, keys=self.keys)
        except BedrockError as error:
            return _Exchange(None, error_reply(error))
        except web.HTTPRequestEntityTooLarge:
            return _Exchange(None, error_reply(BedrockError("RequestEntityTooLargeException")))
        options = tuple(sorted(item for item in headers.items() if item[0].startswith(HEADER_PREFIX)))
        scripted = self._script.popleft() if self._script else ""
        return self._prepare(Asked(operation, model_id, body, options, scripted))

    def _refuse(self, model_id: str) -> None:
        """Raise what the settings say of this model, if they say anything."""
        if model_id in self.settings.refusals:
            raise BedrockError(*self.settings.refusals[model_id])

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.settings.date_offset_s)

    def _dated(self, reply: Reply) -> Reply:
        """Return the answer with the date of a clock that is off; aiohttp dates all others."""
        if not self.settings.date_offset_s:
            return reply
        return replace(reply, headers={**reply.headers, "Date": format_datetime(self._now(), usegmt=True)})

    def _prepare(self, asked: Asked) -> _Exchange:
        """Return the exchange, a kept one if there is. A replay is not kept: its pins are used up."""
        kept = self._kept.get(asked)
        if kept is not None:
            return kept
        exchange = self._make_exchange(asked)
        small = len(asked.body) <= _CACHED_BODY and exchange.reply.size <= _CACHED_REPLY
        if small and exchange.reply.same and self.replay is None:
            if len(self._kept) == _CACHED_EXCHANGES:
                del self._kept[next(iter(self._kept))]
            self._kept[asked] = exchange
        return exchange

    def _make_exchange(self, asked: Asked) -> _Exchange:
        body = None
        try:
            body = parse(asked.body)
            self._refuse(asked.model_id)
            if self.replay is not None:
                return _Exchange(body, *replayed(asked, body, self.replay, self._usual))
            return _Exchange(body, reply_to(asked, body, self._account))
        except BedrockError as error:
            return _Exchange(body, error_reply(error))


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)
