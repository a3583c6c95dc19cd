"""What the scripts are asked, and what they answer; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from gateway.ledger.buckets import MICRO, scale_of
from gateway.ledger.charges import Full, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.ledger.charges import Charge, Order

RECORD_MS: Final = 86_400_000
"""How long a grant's record is kept: longer than any answer may take."""
_KINDS: Final = {"rate": 1, "held": 2, "spent": 3}

Argument: TypeAlias = str | int


class Asked(NamedTuple):
    """A run of the script of this name, without what each is given: see `prelude.lua`."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[Argument, ...]


def record_key(grant: str) -> str:
    """Return the key of a grant's record."""
    return f"grant:{grant}"


def charge_key(charge: Charge) -> str:
    """Return the key that a charge is counted under."""
    return f"{charge.kind}:{charge.key}"


def reserve(grant: str, order: Order) -> Asked:
    """Ask for all of the order or nothing."""
    charges = [*order.common, *(charge for lane in order.alternatives for charge in lane)]
    sizes = [len(lane) for lane in order.alternatives]
    return Asked(
        "reserve",
        (record_key(grant), *map(charge_key, charges)),
        (RECORD_MS, grant, len(order.common), len(sizes), *sizes, *_numbers(charges)),
    )


def amend(grant: str, expected: str, becomes: str, changes: Iterable[Charge]) -> Asked:
    """Change what a grant was charged, if its record says what is expected; amounts are differences."""
    changes = [change for change in changes if change.amount]
    return Asked(
        "amend",
        (record_key(grant), *map(charge_key, changes)),
        (RECORD_MS, grant, expected, becomes, *_numbers(changes)),
    )


def renew(replica: str, epoch_if_none: str, leases: Sequence[tuple[Charge, str]]) -> Asked:
    """Say that this replica is alive and holds these leases, each with its grant's id."""
    keys = ("replicas", *(charge_key(charge) for charge, _ in leases))
    return Asked("renew", keys, (replica, epoch_if_none, *(grant for _, grant in leases)))


def leave(replica: str) -> Asked:
    """Say that this replica is gone: it is held as a lease is."""
    return Asked("amend", (record_key(replica), "replicas"), (RECORD_MS, replica, "", "", 2, 1, -1, 0, 0))


def raise_to(levels: Sequence[Charge]) -> Asked:
    """Let no count be lower than these, which have their levels as amounts."""
    return Asked("raise", tuple(map(charge_key, levels)), tuple(_numbers(levels)))


def refusal(reply: Sequence[bytes | int], order: Order) -> Refused | Full:
    """Return what a reply says that grants nothing."""
    wait = int(reply[-1])
    wait_s = math.inf if wait < 0 else wait / MICRO
    return Refused(order.common[int(reply[1])], wait_s) if reply[0] == b"refused" else Full(wait_s)


def _numbers(charges: Iterable[Charge]) -> list[Argument]:
    numbers: list[Argument] = []
    for charge in charges:
        numbers += (_KINDS[charge.kind], charge.limit, charge.amount)
        if charge.kind == "rate":
            numbers += scale_of(charge.limit, charge.period_s)
        else:
            numbers += (max(1, math.ceil(charge.period_s * 1000)) if charge.kind == "spent" else 0, 0)
    return numbers
