"""What is measured of a ledger."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from gateway.observability.cells import Distribution
from gateway.observability.families import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ledger.charges import Ledger

Cause: TypeAlias = Literal["timeout", "connection", "refusal", "lost", "defect"]
"""Of an outage: no answer in time · no connection, or a broken one · Redis answers with an error (read-only,
out of memory, wrong password, still loading) · it has lost what it knew · a bug of ours."""
STATES: Final = ("local", "shared", "degraded")
WAITS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
"""Seconds."""


class Measures:
    """Counted since the start; `outages` by their cause, `decided` by who decided: redis or here."""

    def __init__(self) -> None:
        self.waits = Distribution(WAITS)
        self.outages: Counter[Cause] = Counter()
        self.decided: Counter[Literal["redis", "here"]] = Counter()
        self.leases = 0
        self.replicas = 1


def of_ledger(ledger: Ledger) -> Iterator[Family]:
    """Yield what Prometheus reads of it."""
    measures = ledger.measures
    state = Family(
        "gateway_ledger_state", "gauge", "1 for where callers' limits and quotas are counted: local (this "
        "process), shared (Redis), degraded (this process, its share, until Redis is back).", ("state",),
    )  # fmt: skip
    for name in STATES:
        state.add(name, value=name == ledger.state)
    yield state
    outages = Family(
        "gateway_ledger_outages", "counter", "Times that Redis could not be used any more. cause: timeout, "
        "connection, refusal (it answered with an error), lost (it was emptied), defect.", ("cause",),
    )  # fmt: skip
    for cause in get_args(Cause):
        outages.add(cause, value=measures.outages[cause])
    yield outages
    decided = Family(
        "gateway_ledger_decisions", "counter", "Reservations that were decided, granted or not, and by whom: "
        "redis, or here.", ("by",),
    )  # fmt: skip
    for who in ("redis", "here"):
        decided.add(who, value=measures.decided[who])
    yield decided
    waits = Family("gateway_ledger_wait_seconds", "histogram", "How long a reservation waited for Redis.")
    waits.add(value=measures.waits)
    yield waits
    for name, words, value in (
        (
            "gateway_ledger_leases",
            "Places in limits of concurrency that this process holds.",
            measures.leases,
        ),
        ("gateway_ledger_replicas", "Processes that count together, as Redis said last.", measures.replicas),
    ):
        family = Family(name, "gauge", words)
        family.add(value=value)
        yield family
