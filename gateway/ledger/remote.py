"""What Redis is asked and told, each within a time; whatever goes wrong is a `LinkError` or `Lost`."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.ledger import scripts
from gateway.ledger.link import Call, LinkError, script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.ledger.charges import Charge
    from gateway.ledger.link import Link
    from gateway.ledger.scripts import Asked

BATCH: Final = 256
"""Scripts, or keys for one, that are sent at once: some milliseconds of Redis's time."""
BEHIND_S: Final = 1.0
"""For what goes on behind the requests' back, such as connecting, with TLS and a password."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How Redis is used. `replicas`: at least so many there are; `refuse`: give out nothing without Redis.

    `grace_s` is longer than `probe_s`: when a replica counts in Redis again, all have told what they hold.
    """

    prefix: str = "bedrock-gateway"
    timeout_s: float = 0.05
    replicas: int = 1
    refuse: bool = False
    lease_s: float = 14.0
    renew_s: float = 5.0
    probe_s: float = 1.0
    grace_s: float = 1.25


class Lost(Exception):
    """Redis does not know what it knew: it was flushed, or another has taken its place."""


class Remote:
    """Redis, as one replica sees it. `clock` gives microseconds; None: Redis's own."""

    def __init__(self, link: Link, rules: Rules, clock: Callable[[], int] | None = None) -> None:
        self.replica = secrets.token_hex(6)
        self._link = link
        self._rules = rules
        self._clock = clock
        self._tag = "{" + rules.prefix + "}"
        self._epoch = ""
        self._limit: asyncio.Timeout | None = None

    async def connect(self) -> bool:
        """Connect anew; says whether Redis has lost what it knew when we were connected before."""
        try:
            async with asyncio.timeout(BEHIND_S):
                await self._link.open()
        except TimeoutError:
            raise LinkError("connection", f"no connection within {BEHIND_S:.0f} s") from None
        asked = scripts.renew(self.replica, secrets.token_hex(8), ())
        # Within the time that requests wait: whoever is slower would be given up by the first of them.
        _, epoch = await self._one(asked, "", self._rules.timeout_s)
        before, self._epoch = self._epoch, epoch.decode()
        return before not in {"", self._epoch}

    def renewals(self, leases: Sequence[tuple[Charge, str]]) -> list[Asked]:
        """Return what says that this replica is alive and holds these leases."""
        return [
            scripts.renew(self.replica, "", leases[at : at + BATCH])
            for at in range(0, max(1, len(leases)), BATCH)
        ]

    async def renew(self, leases: Sequence[tuple[Charge, str]]) -> int:
        """Say it; returns how many replicas are alive."""
        replies = [await self._one(asked, self._epoch) for asked in self.renewals(leases)]
        return int(replies[-1][0])

    async def raise_to(self, levels: Sequence[Charge]) -> None:
        """Let no count be lower than these are."""
        for at in range(0, len(levels), BATCH):
            await self._one(scripts.raise_to(levels[at : at + BATCH]), self._epoch)

    async def run(self, asked: Sequence[Asked]) -> list[Any]:
        """Run all in this order, and return what came back of each; `failure` tells what is none."""
        return await self._run(asked, self._epoch)

    def interrupt(self) -> None:
        """End what is under way: nobody waits for it any longer."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _one(self, asked: Asked, epoch: str, within: float | None = None) -> Any:
        (reply,) = await self._run([asked], epoch, within)
        if (error := failure(reply)) is not None:
            raise error
        return reply

    async def _run(self, asked: Sequence[Asked], epoch: str, within: float | None = None) -> list[Any]:
        # Requests have clocks of their own, which interrupt this; what nobody waits for may take longer.
        within = max(BEHIND_S, self._rules.timeout_s) if within is None else within
        now = "" if self._clock is None else self._clock()
        head = (now, epoch, round(self._rules.lease_s * 1000))
        calls = [
            Call(
                script(it.script),
                [f"{self._tag}epoch", *(self._tag + key for key in it.keys)],
                (*head, *it.arguments),
            )
            for it in asked
        ]
        try:
            async with asyncio.timeout(within) as self._limit:
                return await self._link.run(calls)
        except TimeoutError:
            raise LinkError("timeout", f"no answer within {round(within * 1000)} ms") from None
        finally:
            self._limit = None


def failure(reply: Any) -> Exception | None:
    """Return why a reply is none; None: it is one."""
    if isinstance(reply, LinkError):
        return reply
    return Lost() if isinstance(reply, list) and reply[0] == b"lost" else None
