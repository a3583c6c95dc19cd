"""Callers of three kinds, who know of each answer whether it was whole, and if not, if they were told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import aiohttp

from tests.harness import NOVA, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

Kind: TypeAlias = Literal["stream", "upload", "unary"]
KINDS: Final[tuple[Kind, ...]] = ("stream", "upload", "unary")
DELTAS: Final = 25
STREAM: Final = ask(f"[[emulator deltas={DELTAS} pace_ms=20]] Go on.", model=NOVA)
LONG: Final = ask("[[emulator deltas=3000 pace_ms=20]] Go on.", model=NOVA)
UNARY: Final = ask("[[emulator deltas=5]] Hello", model=NOVA)
UPLOAD_BYTES: Final = 2_000_000
PIECE: Final = 100_000
PIECE_PAUSE_S: Final = 0.03
PAUSE_S: Final = 0.05
"""Between two requests of one caller."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without its whole answer. `told`: the caller can tell; `server` as far as he knows it."""

    kind: Kind
    reason: str
    told: bool
    server: str | None


@dataclass(slots=True)
class Ledger:
    """What became of the requests."""

    whole: Counter[str] = field(default_factory=Counter)
    served_by: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All that have ended."""
        return self.whole.total() + len(self.failures)

    @property
    def silent(self) -> list[Failure]:
        """Those whose caller would take a part for the whole."""
        return [failure for failure in self.failures if not failure.told]


class Caller:
    """One caller with connections of his own, who asks again and again."""

    def __init__(self, url: str, kind: Kind, ledger: Ledger, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._kind = kind
        self._ledger = ledger
        self._server: str | None = None

    async def run(self, leaving: Callable[[], bool]) -> None:
        """Ask until it is time to leave."""
        async with aiohttp.ClientSession(timeout=TIMEOUT, headers=self._headers) as session:
            while not leaving():
                try:
                    reason, told = await self._ask(session)
                except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                    reason, told = type(error).__name__, True
                if reason is None:
                    self._ledger.whole[self._kind] += 1
                    self._ledger.served_by[self._server or "?"] += 1
                else:
                    self._ledger.failures.append(Failure(self._kind, reason, told, self._server))
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, session: aiohttp.ClientSession) -> tuple[str | None, bool]:
        """Return why the answer was not whole, None if it was, and whether the caller can tell."""
        path = "/chat/completions/stream" if self._kind == "stream" else "/chat/completions"
        self._server = None
        whole = _encoded(STREAM if self._kind == "stream" else UNARY)
        body = _upload() if self._kind == "upload" else whole
        size = {"Content-Length": str(UPLOAD_SIZE)} if self._kind == "upload" else {}
        headers = {"Content-Type": "application/json", **size}
        async with session.post(self._url + path, data=body, headers=headers) as response:
            self._server = response.headers.get("X-Served-By")
            data = await response.read()
            if response.status != 200:
                return f"status {response.status}", True
        if self._kind == "stream":
            return _ending(data)
        answer = json.loads(data)  # an answer that is cut is told by its length, and by its JSON
        return (None, True) if answer["finish_reason"] == "stop" else ("another answer", False)


def _encoded(body: object) -> bytes:
    return json.dumps(body).encode()


_LARGE: Final = _encoded(ask("[[emulator deltas=5]] " + "long " * (UPLOAD_BYTES // 5), model=NOVA))
UPLOAD_SIZE: Final = len(_LARGE)


async def _upload() -> AsyncIterator[bytes]:
    """The body of a slow upload."""
    for start in range(0, UPLOAD_SIZE, PIECE):
        yield _LARGE[start : start + PIECE]
        await asyncio.sleep(PIECE_PAUSE_S)


def _ending(data: bytes) -> tuple[str | None, bool]:
    records: list[dict[str, Any]] = [json.loads(line) for line in data.splitlines() if line]
    last: dict[str, Any] = records[-1] if records else {"type": "nothing"}
    if last["type"] == "error":
        return f"error {last['error']['code']}", True
    if last["type"] != "done":
        return "no terminal record", True  # clients are told: without one, the connection broke
    deltas = sum(record["type"] == "text_delta" for record in records)
    return (
        (None, True)
        if deltas == DELTAS and last["finish_reason"] == "stop"
        else ("done, but not whole", False)
    )


async def struck(url: str, server: str, strike: Callable[[], Awaitable[None]]) -> Failure:
    """Return what a caller hears whose stream comes from this server when it is struck.

    The requests of a load may all be elsewhere at that moment; this one is not.
    """
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        while True:
            async with session.post(f"{url}/chat/completions/stream", json=LONG) as response:
                await response.content.readline()
                if response.headers["X-Served-By"] != server:
                    response.close()
                    continue
                await strike()
                try:
                    reason, told = _ending(await response.read())
                except aiohttp.ClientError as error:
                    reason, told = type(error).__name__, True
                return Failure("stream", reason or "none", told and reason is not None, server)


@asynccontextmanager
async def load(url: str, callers: int, **headers: str) -> AsyncIterator[Ledger]:
    """Let so many callers ask while the block runs, a third of each kind; all their requests end with it.

    Each sends these headers beside its own.
    """
    ledger = Ledger()
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            caller = Caller(url, KINDS[number % len(KINDS)], ledger, headers)
            group.create_task(caller.run(over.is_set))
        try:
            yield ledger
        finally:
            over.set()
