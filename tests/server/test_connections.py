"""Counting connections, and who goes when there are too many."""

from __future__ import annotations

from gateway.server.connections import SURPLUS, Connections


class Caller:
    """A connection that remembers whether it was turned away."""

    def __init__(self) -> None:
        self.away = False

    def turn_away(self) -> None:
        """Remember."""
        self.away = True


def test_the_cap_counts_those_within() -> None:
    """Who is within leaves a place; who is beyond never gets one."""
    connections = Connections(2)
    first, second, third = Caller(), Caller(), Caller()

    assert [connections.add(one) for one in (first, second, third)] == [True, True, False]
    assert repr(connections) == "<Connections 2 of 2, 1 beyond>"
    connections.remove(within=False, connection=third)
    connections.remove(within=True, connection=first)
    assert connections.add(third)
    assert repr(connections) == "<Connections 2 of 2, 0 beyond>"


def test_beyond_the_cap_the_longest_waiting_goes() -> None:
    """There is a fixed number of places beyond the cap too, and a new connection always gets one."""
    connections = Connections(0)
    callers = [Caller() for _ in range(SURPLUS + 2)]

    for one in callers:
        connections.add(one)

    assert [one.away for one in callers] == [True] * 2 + [False] * SURPLUS
    connections.remove(within=False, connection=callers[0])  # it was counted out when it was turned away
    assert repr(connections) == f"<Connections 0 of 0, {SURPLUS} beyond>"
