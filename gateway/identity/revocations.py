"""Revoked keys that every replica hears of, by a set in Redis: the keys file of some may come late, or never.

The set only grows, and so does what a replica knows: a Redis that is away, or has lost everything, makes no
revoked key good again.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.identity.keys import ID
from gateway.ledger.link import Call, Link, LinkError, Script

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S: Final = 1.0
"""Of one look; nobody waits for it."""


class PublishError(Exception):
    """Redis does not know what was revoked; the words say why."""


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


READ: Final = _script("return redis.call('SMEMBERS', KEYS[1])")
ADD: Final = _script("return redis.call('SADD', KEYS[1], unpack(ARGV))")
AT_ONCE: Final = 1_000
"""Ids in one call: Lua's stack has no room for many more."""


def _key(prefix: str) -> str:
    return f"{{{prefix}}}:revoked_keys"


class Revocations:
    """The ids that are revoked as far as known; `look` asks Redis."""

    def __init__(self, url: str, prefix: str) -> None:
        self.known: set[str] = set()
        self._link = Link(url)
        self._call = Call(READ, (_key(prefix),), ())
        self._connected = False
        self._failing = False

    async def look(self) -> None:
        """Learn what is new; what is known stays where Redis does not answer, which is told once."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                members = await self._ask()
        except (LinkError, TimeoutError) as error:
            self._connected = False
            if not self._failing:
                structlog.get_logger().warning(
                    "revocations_unknown",
                    reason=str(error) or f"no answer within {TIMEOUT_S:g} s; those known so far stay",
                )
            self._failing = True
            return
        self._failing = False
        self.known |= {text for text in members if ID.fullmatch(text)}

    async def _ask(self) -> list[str]:
        if not self._connected:
            await self._link.open()
            self._connected = True
        [reply] = await self._link.run([self._call])
        if isinstance(reply, LinkError):
            raise reply
        return [_text(member) for member in reply]

    async def aclose(self) -> None:
        """End the connection."""
        await self._link.close()


def _text(member: Any) -> str:
    return member.decode("utf-8", "replace") if isinstance(member, bytes) else str(member)


async def publish(url: str, prefix: str, ids: Iterable[str]) -> None:
    """Let every replica know that these are revoked.

    Raises:
        PublishError: Redis does not take it, or does not answer.
    """
    link, waiting = Link(url), sorted(ids)
    try:
        async with asyncio.timeout(5 * TIMEOUT_S):
            await link.open()
            while waiting:
                batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
                [reply] = await link.run([Call(ADD, (_key(prefix),), batch)])
                if isinstance(reply, LinkError):
                    raise reply
    except (LinkError, TimeoutError) as error:
        raise PublishError(str(error) or "no answer") from error
    finally:
        await link.close()
