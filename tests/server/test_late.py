"""What is imported at its first use: once, beside the loop, and not for what does without it."""

from __future__ import annotations

import asyncio
import threading

from gateway.server.late import Late, Reader

TIMEOUT = 30


async def test_the_loop_goes_on() -> None:
    """What is loaded waits for the loop here, which gets to it; all that ask meanwhile get the same."""
    loop_ran = threading.Event()
    loads: list[threading.Thread] = []

    def load() -> object:
        loads.append(threading.current_thread())
        assert loop_ran.wait(TIMEOUT), "the loop stands still"
        return loads

    late = Late(load)
    asyncio.get_running_loop().call_later(0.01, loop_ran.set)
    found = await asyncio.gather(late.get(), late.get())
    again = await late.get()

    assert all(one is loads for one in (*found, again, late.loaded))
    assert threading.main_thread() not in loads


async def test_the_usual_needs_nothing() -> None:
    """Nothing is loaded for it; once there, what was loaded reads all."""
    loaded: list[str] = []

    def usual(value: str, *, default: str = "") -> str | None:
        return f"usual {value}{default}" if value == "usual" else None

    def load() -> object:
        loaded.append("once")
        return lambda value, default="": f"parsed {value}{default}"

    reader = Reader(usual, load)  # type: ignore[arg-type]  # a lambda has no types
    before = (await reader.parse("usual", default="!"), list(loaded))
    other = (await reader.parse("other", default="!"), list(loaded))
    after = (await reader.parse("usual"), list(loaded))

    assert before == ("usual usual!", [])
    assert other == ("parsed other!", ["once"])
    assert after == ("parsed usual", ["once"])
