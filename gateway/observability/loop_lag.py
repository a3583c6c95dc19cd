"""How late the event loop is: everything that a process serves waits for as long."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gateway.observability.cells import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERVAL_S: Final = 0.25
"""Between two looks: what blocks for so long is certainly seen, what blocks for a tenth of it every tenth
time."""
LAGS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds."""


class LoopLag:
    """Measures by one timer how much later than asked for the loop calls."""

    def __init__(self) -> None:
        self.lags = Distribution(LAGS)
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure for as long as the block runs."""
        self._wait()
        try:
            yield
        finally:
            self._timer.cancel()

    def _look(self, due: float) -> None:
        self.lags.observe(max(0.0, self._loop.time() - due))
        self._wait()

    def _wait(self) -> None:
        due = self._loop.time() + INTERVAL_S
        self._timer = self._loop.call_at(due, self._look, due)
