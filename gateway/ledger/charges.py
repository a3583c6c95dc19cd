"""What a request is counted by: charges, reserved together or not at all, and settled with what was used.

Pure values. A ledger knows no callers and no models: it counts what it is told, under the keys it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.ledger.measures import Measures

Kind: TypeAlias = Literal["rate", "held", "spent"]
State: TypeAlias = Literal["local", "shared", "degraded"]
"""In this process only · in Redis, for all replicas · here, with its share, until Redis is back."""


class Charge(NamedTuple):
    """An amount of one thing that has a limit; whole numbers.

    `rate`: a bucket that holds `limit` and fills up by as much in `period_s` seconds, continuously. `held`:
    as many at a time as `limit`, each for as long as its lease lives. `spent`: `limit` is all there is under
    this key, which names its calendar period; the key may be forgotten after `period_s`.
    """

    kind: Kind
    key: str
    limit: int
    amount: int
    period_s: float = 60.0


class Order(NamedTuple):
    """What one request asks for: all of `common`, and all of one of `alternatives`, the best first.

    Without alternatives only `common` counts. `caller` is whose leases these are; it may be empty.
    """

    caller: str
    common: tuple[Charge, ...]
    alternatives: tuple[tuple[Charge, ...], ...] = ()


class Grant(NamedTuple):
    """What was reserved, until it is settled. `shared`: whether Redis counted it."""

    id: str
    caller: str
    common: tuple[Charge, ...]
    lane: tuple[Charge, ...]
    shared: bool = False


class Granted(NamedTuple):
    """All fits; `alternative` is the index of the one that did, 0 where there are none."""

    grant: Grant
    alternative: int


class Refused(NamedTuple):
    """A charge of `common` does not fit; in `wait_s` seconds it would, `inf`: never. Nothing was charged."""

    charge: Charge
    wait_s: float


class Full(NamedTuple):
    """No alternative fits; in `wait_s` seconds the first to fit would. Nothing was charged."""

    wait_s: float


Verdict: TypeAlias = Granted | Refused | Full


class Ledger(Protocol):
    """Where charges are counted."""

    @property
    def state(self) -> State:
        """Where it counts at present."""

    @property
    def measures(self) -> Measures:
        """What is measured of it."""

    async def open(self) -> None:
        """Begin to count; never raises: what stands behind it may come later."""

    async def reserve(self, order: Order) -> Verdict:
        """Charge all of the order or nothing; never raises, whatever happens to what stands behind it."""

    def move(self, grant: Grant, lane: tuple[Charge, ...]) -> Grant:
        """Charge other lane charges in place of the grant's, whether they fit or not: a call goes elsewhere.

        Synchronous: it cannot be cancelled half way; where Redis counts, it is told behind the caller's back.
        """

    def settle(self, grant: Grant, common: Sequence[int], lane: Sequence[int]) -> None:
        """Put what was used in the place of what was reserved, charge by charge; once, synchronous as `move`.

        What is `held` comes free, whatever its amount.
        """

    def on_room(self, listener: Callable[[], None]) -> None:
        """Call `listener` when something that was reserved here has come free."""

    async def aclose(self) -> None:
        """Send what is still to be sent, within a short time, and close."""
