"""Who is served in which order, and who is shed: callers in turn, the urgent first."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from gateway.admission.caller import ANONYMOUS
from gateway.admission.demand import Ticket
from gateway.errors import Overloaded
from tests import virtual_clock
from tests.admission.asking import Desk, call, caller, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.admission.caller import Caller
    from gateway.admission.slots import Slot

Scene: TypeAlias = "Callable[[], Coroutine[None, None, None]]"


class Served:
    """One slot, and the order in which those get it who wait for it."""

    def __init__(self, **options: Any) -> None:
        self.desk = Desk(max_running=1, **options)
        self.order = ""
        self.tasks: list[asyncio.Task[Slot]] = []

    async def waiting(self, *who: tuple[Caller, str, int]) -> None:
        """Let these wait: a caller, its letter, and what it asks of tokens."""
        for asker, letter, tokens in who:
            task = self.desk.later(asker, call(tokens, 0))
            task.add_done_callback(partial(self._note, letter))
            self.tasks.append(task)
            await settle()

    def _note(self, letter: str, task: asyncio.Task[Slot]) -> None:
        refused = not task.cancelled() and isinstance(task.exception(), Overloaded)
        self.order += letter.upper() if refused else letter

    async def all(self) -> str:
        """Serve all who wait, and return their letters as they were served; a refused one is a capital."""
        for _ in self.tasks:
            for task in self.tasks:
                if task.done() and task.exception() is None:
                    task.result().release()
            await settle()
        assert self.desk.limiter.waiting == 0
        return self.order


async def callers_in_turn() -> None:
    """Who came first with many waits no longer than who came later with few."""
    served, loud, quiet = Served(), caller("loud"), caller("quiet")
    await served.waiting((loud, "-", 100), *[(loud, "l", 100)] * 4, *[(quiet, "q", 100)] * 2)
    assert await served.all() == "-lqlqll"


async def by_weight() -> None:
    """Three to one."""
    served, big, small = Served(max_waiting=20), caller("big", weight=3.0), caller("small")
    await served.waiting((big, "-", 100), *[(big, "b", 100), (small, "s", 100)] * 8)
    assert await served.all() == "-bbsbbbsbbbssssss"


async def by_tokens() -> None:
    """Who asks for four times as much has its turn a quarter as often."""
    served, big, small = Served(max_waiting=20), caller("big"), caller("small")
    await served.waiting((big, "-", 100), *[(big, "b", 400)] * 4, *[(small, "s", 100)] * 8)
    assert await served.all() == "-sssbssssbsbb"


async def the_urgent_first() -> None:
    """Strictly, whatever the weights; in their own class it goes by turns."""
    served = Served()
    batch, plain, urgent = (
        caller("b", priority="batch", weight=100),
        caller("p"),
        caller("u", priority="critical"),
    )
    await served.waiting((plain, "-", 1), (batch, "b", 1), (plain, "p", 1), (urgent, "u", 1), (plain, "p", 1))
    assert await served.all() == "-uppb"


async def the_least_urgent_is_shed() -> None:
    """The newest of them, and it is told so; who is not more urgent than anybody is refused itself."""
    served = Served(max_waiting=2)
    batch, plain = caller("b", priority="batch"), caller("p")
    await served.waiting((plain, "-", 1), (batch, "b", 1), (batch, "c", 1), (plain, "p", 1))
    assert served.order == "-C"
    assert served.tasks[2].exception().retry_after  # type: ignore[union-attr]
    with pytest.raises(Overloaded, match="queue of 2 is full"):
        await served.desk.ask(batch, call())
    await served.waiting((plain, "q", 1))
    assert served.order == "-CB"
    with pytest.raises(Overloaded, match="queue of 2 is full"):
        await served.desk.ask(batch, call())
    assert await served.all() == "-CBpq"


async def who_has_most_waiting_is_shed() -> None:
    """A full queue is shared as the slots are: by weight."""
    served, loud, quiet = Served(max_waiting=4), caller("loud"), caller("quiet")
    await served.waiting((loud, "-", 1), *[(loud, letter, 1) for letter in "abcd"])
    await served.waiting(*[(quiet, "q", 1)] * 3)
    assert served.order == "-DCQ"
    assert await served.all() == "-DCQaqbq"


async def nobody_is_shed_who_is_trying() -> None:
    """Who stands before the ledger has its place."""
    served, loud, quiet = Served(max_waiting=1), caller("loud", max_streams=5), caller("quiet")
    await served.waiting((loud, "-", 1))
    task = asyncio.ensure_future(served.desk.ask(loud))
    await settle()
    [group] = served.desk.limiter._room.line._ranks[1]["loud"].groups.values()
    [waiter] = group.waiters.values()
    waiter.busy = True
    with pytest.raises(Overloaded):
        await served.desk.ask(caller("u", priority="critical"))
    with pytest.raises(Overloaded):
        await served.desk.ask(quiet)
    waiter.busy = False
    task.cancel()


async def what_is_to_be_expected() -> None:
    """Its position is by turns, not by who came before; so is the wait."""
    served, loud, quiet = Served(max_waiting=20), caller("loud"), caller("quiet")
    with await served.desk.ask(loud):
        await asyncio.sleep(2)
    await served.waiting((loud, "-", 1), *[(loud, "l", 1)] * 9)
    for who, position in ((quiet, 1), (loud, 9), (caller("u", priority="critical"), 0)):
        ticket = Ticket(who, [call()])
        task = asyncio.ensure_future(served.desk.limiter.acquire([call().lane], ticket=ticket))
        await settle()
        task.cancel()
        await settle()
        assert ticket.facts() == {"queue_position": position, "expected_wait_ms": (position + 1) * 2000}


async def nobody_is_named() -> None:
    """Without callers it is one queue, first come, first served."""
    served = Served(max_waiting=20)
    await served.waiting(
        (ANONYMOUS, "-", 1), *[(ANONYMOUS, letter, 10 * i) for i, letter in enumerate("abcd", 1)]
    )
    assert await served.all() == "-abcd"


SCENES: list[Scene] = [
    callers_in_turn,
    by_weight,
    by_tokens,
    the_urgent_first,
    the_least_urgent_is_shed,
    who_has_most_waiting_is_shed,
    nobody_is_shed_who_is_trying,
    what_is_to_be_expected,
    nobody_is_named,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Scene) -> None:
    """Each scene of the table holds; see its docstring."""
    virtual_clock.run(scene())
