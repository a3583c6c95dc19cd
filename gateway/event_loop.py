"""Which event loop serves: asyncio's own, in Python, or uvloop, in C.

A delta that comes alone costs a third less with uvloop, a request a twentieth
(tests/benchmarks/PROFILE.md). Nothing else differs: the tests run with both.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class MissingLoopError(Exception):
    """The event loop that was asked for by its name is not installed; the text says what to do."""


def factory(choice: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop of a process that serves; `auto`: uvloop where it is installed.

    Raises:
        MissingLoopError: uvloop is asked for by its name, and is not installed.
    """
    if choice == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415 - 2 MB, which a supervisor and the other commands do without
    except ImportError as error:
        if choice == "uvloop":
            raise MissingLoopError(
                f"event_loop (GATEWAY_EVENT_LOOP): uvloop cannot be imported ({error}); install it, or leave "
                "the choice to the gateway with `auto`"
            ) from error
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


def running() -> str:
    """Return the name of the event loop that runs: `asyncio` or `uvloop`."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
