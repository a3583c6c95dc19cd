"""One connection to Redis, on which scripts are run in order; the only module that knows redis-py.

redis-py's own defaults are a pool of 100 connections and retries that take seconds (reliability.md S29). Here
there is one connection and no retry: whoever runs scripts sets the time that they may take, and a connection
that was interrupted is never used again.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, NoScriptError, RedisError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.connection import AbstractConnection

    from gateway.ledger.measures import Cause

_HERE: Final = Path(__file__).parent


class LinkError(Exception):
    """Redis cannot be used; says why, without a secret."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Script(NamedTuple):
    """A script, and the name under which Redis keeps it once it has run."""

    text: str
    sha: str


class Call(NamedTuple):
    """A script to run, with all that it is given."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | int]


@cache
def script(name: str) -> Script:
    """Return one of the scripts beside this module."""
    text = "".join((_HERE / f"{part}.lua").read_text() for part in ("prelude", name))
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Link:
    """A connection to the Redis of this URL: `redis://`, `rediss://` (TLS) or `unix://`.

    Raises:
        ValueError: the URL is none of these.
    """

    def __init__(self, url: str) -> None:
        self._pool: Any = ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=None,
            driver_info=None,
        )
        self._connection: AbstractConnection | None = None
        self._given: set[str] = set()

    async def open(self) -> None:
        """Connect anew.

        Raises:
            LinkError: Redis is not there, or does not let us in.
        """
        await self.close()
        self._given.clear()
        self._connection = self._pool.make_connection()
        try:
            await self._connection.connect()
        except (RedisError, OSError) as error:
            raise _translated(error) from error

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Run them in this order in one round trip, and return what each returned; refusals are `LinkError`.

        Scripts that Redis has forgotten take a second round trip, behind the others.

        Raises:
            LinkError: the connection is broken; nobody knows which of them ran.
        """
        replies = await self._exchange([self._packed(call) for call in calls])
        unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            self._given.clear()
            again = await self._exchange([self._packed(calls[at]) for at in unknown])
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        return [_translated(it) if isinstance(it, ResponseError) else it for it in replies]

    async def close(self) -> None:
        """Close the connection; nothing that was sent is waited for."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _exchange(self, commands: list[bytes]) -> list[Any]:
        connection = self._connection
        if connection is None:
            raise LinkError("connection", "not connected")
        try:
            await connection.send_packed_command(b"".join(commands))
            return [await _reply(connection) for _ in commands]
        except (RedisError, OSError) as error:
            raise _translated(error) from error

    def _packed(self, call: Call) -> bytes:
        """Give the text of what was not given yet: SCRIPT LOAD may be forbidden (reliability.md R42)."""
        text, sha = call.script
        command = ("EVALSHA", sha) if sha in self._given else ("EVAL", text)
        self._given.add(sha)
        return packed((*command, len(call.keys), *call.keys, *call.arguments))


def packed(words: Sequence[str | int]) -> bytes:
    """Return a command as Redis reads it; what redis-py takes for the same is most of what a script costs."""
    parts = [f"*{len(words)}\r\n"]
    for word in map(str, words):
        size = len(word) if word.isascii() else len(word.encode())
        parts.append(f"${size}\r\n{word}\r\n")
    return "".join(parts).encode()


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal


def _translated(error: Exception) -> LinkError:
    refusals = (ResponseError, AuthenticationError, BusyLoadingError)
    return LinkError(
        "refusal" if isinstance(error, refusals) else "connection", f"{type(error).__name__}: {error}"
    )
