"""What this replica has been granted and has not settled, and how Redis is told of it; pure.

Redis keeps a record of each grant that it knows of. Every change says which record it expects and what the
record becomes, so that a change that is sent twice is made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.ledger import scripts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.ledger.charges import Charge, Grant, Order
    from gateway.ledger.scripts import Asked

NONE: Final = ""
"""The record that is not there."""
BURIED: Final = "x"
"""The record of what must never be granted or changed any more."""


@dataclass(slots=True)
class _Live:
    """A grant as it is now. `record`: what Redis has of it, or none."""

    grant: Grant
    record: str
    moves: int = 0


class Holdings:
    """The grants of one replica. What a method returns is to be sent to Redis, in this order, until it is."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._live: dict[str, _Live] = {}
        self._debts: dict[str, Charge] = {}
        self._told = 0

    def enter(self, grant: Grant, alternative: int) -> None:
        """This was granted: by Redis if it is shared, else here."""
        self._live[grant.id] = _Live(grant, f"a{alternative}" if grant.shared else NONE)

    def move(self, grant: Grant) -> list[Asked]:
        """The grant has another lane now."""
        if (live := self._live.get(grant.id)) is None:
            return []
        old, live.grant = live.grant, grant
        if not live.record:
            return []
        live.moves += 1
        expected, live.record = live.record, f"m{live.moves}"
        changes = [*_less(old.lane), *grant.lane]
        return [scripts.amend(grant.id, expected, live.record, changes)]

    def settle(self, grant: Grant, common: Sequence[int], lane: Sequence[int]) -> list[Asked]:
        """The grant is over, and so much was used."""
        if (live := self._live.pop(grant.id, None)) is None:
            return []
        charges = [*live.grant.common, *live.grant.lane]
        used = list(zip(charges, (*common, *lane), strict=True))
        if live.record:
            changes = [
                charge._replace(amount=(0 if charge.kind == "held" else units) - charge.amount)
                for charge, units in used
            ]
            return [scripts.amend(grant.id, live.record, NONE, changes)]
        for charge, units in used:
            if charge.kind == "spent":
                self._owe(charge, units)
        return []

    def adopt(self) -> list[Asked]:
        """Redis shall know of what was granted and spent here."""
        told = []
        for live in self._live.values():
            if not live.record:
                live.record = "a0"
                charges = [it for it in (*live.grant.common, *live.grant.lane) if it.kind != "rate"]
                told.append(scripts.amend(live.grant.id, NONE, live.record, charges))
        if self._debts:
            self._told += 1
            told.append(
                scripts.amend(f"{self._replica}-debts-{self._told}", NONE, BURIED, self._debts.values())
            )
            self._debts = {}
        return told

    def restore(self) -> list[Asked]:
        """Redis, which has lost all, shall know again what it had granted; levels and leases come besides."""
        return [
            scripts.amend(live.grant.id, NONE, live.record, ()) for live in self._live.values() if live.record
        ]

    def leases(self) -> list[tuple[Charge, str]]:
        """Return what is held and Redis knows of, each with its grant's id."""
        return [
            (charge, grant_id)
            for grant_id, live in self._live.items()
            if live.record
            for charge in _held(live.grant)
        ]

    def _owe(self, charge: Charge, units: int) -> None:
        owed = self._debts.get(charge.key)
        self._debts[charge.key] = charge._replace(amount=units + (0 if owed is None else owed.amount))


def release(grant: str, order: Order) -> Iterator[Asked]:
    """Undo whatever this order was granted, if it was, and never grant it later: nobody waits for it."""
    for number, lane in enumerate(order.alternatives or ((),)):
        yield scripts.amend(grant, f"a{number}", NONE, _less((*order.common, *lane)))
    yield scripts.amend(grant, NONE, BURIED, ())


def _less(charges: Iterable[Charge]) -> list[Charge]:
    return [charge._replace(amount=-charge.amount) for charge in charges]


def _held(grant: Grant) -> list[Charge]:
    return [charge for charge in (*grant.common, *grant.lane) if charge.kind == "held"]
