"""Running a target: with atheris, which sees what an input covers, or blindly where it is not installed."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.fuzz.target import FindingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.fuzz.target import Target

MINIMISING_S = 30.0
CALMEST = 200
"""How many inputs the blind engine keeps to go on from."""


class CaseError(Exception):
    """An input that breaks a law; `__cause__` says which."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"{len(data)} bytes")
        self.data = data


@dataclass(slots=True)
class Budget:
    """How long to run, whichever ends first; None: not a bound."""

    executions: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=time.process_time)

    def spent(self, executions: int) -> bool:
        """Say whether it is time to stop."""
        return (
            (self.executions is not None and executions >= self.executions)
            or (self.seconds is not None and time.monotonic() - self._wall >= self.seconds)
            or (self.cpu_seconds is not None and time.process_time() - self._cpu >= self.cpu_seconds)
        )

    def used(self) -> str:
        """Return the time that has gone by."""
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        return f"{cpu:.0f} s of CPU in {wall:.0f} s"


def attempt(run: Callable[[bytes], None], data: bytes) -> None:
    """Run one input; raises `CaseError` from whatever it raised."""
    try:
        run(data)
    except Exception as error:
        raise CaseError(data) from error


def blind(
    target: Target, run: Callable[[bytes], None], seeds: Iterable[bytes], seed: int, budget: Budget
) -> int:
    """Run the seeds and then mutations of them until the budget is spent; return the executions.

    Raises:
        CaseError: an input breaks a law.
    """
    pool = list(seeds)
    executions = 0
    for data in pool:
        attempt(run, data)
        executions += 1
    rng = Random(seed)  # noqa: S311 - reproducible on purpose
    fresh: list[bytes] = []
    while not budget.spent(executions):
        data = rng.choice(fresh) if fresh and rng.random() < 0.3 else rng.choice(pool)
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = target.mutate(data, rng)
        data = data[: target.max_length]
        attempt(run, data)
        executions += 1
        fresh = [*fresh[-CALMEST:], data] if executions % 7 == 0 else fresh
    return executions


def minimised(run: Callable[[bytes], None], case: CaseError) -> CaseError:
    """Return a case with as few bytes as can be found soon that breaks the same law."""
    limit = time.monotonic() + MINIMISING_S
    best, size = case, max(1, len(case.data) // 2)
    while size and time.monotonic() < limit:
        at = 0
        while at < len(best.data) and time.monotonic() < limit:
            try:
                attempt(run, best.data[:at] + best.data[at + size :])
            except CaseError as smaller:
                if _same(smaller, best):
                    best = smaller
                    continue
            at += size
        size //= 2
    return best


def _same(one: CaseError, other: CaseError) -> bool:
    return _kind(one.__cause__) == _kind(other.__cause__)


def _kind(fault: BaseException | None) -> tuple[object, ...]:
    """Return what tells findings apart: the law that is broken, else where something else was raised."""
    if isinstance(fault, FindingError):
        return (str(fault).partition(":")[0],)
    places = traceback.extract_tb(None if fault is None else fault.__traceback__)
    return (type(fault), *((place.filename, place.lineno) for place in places[-1:]))


def written(case: CaseError, name: str, seed: int, folder: Path) -> str:
    """Write the input to a file, and return the words that tell of the case."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"finding-{sha256(case.data).hexdigest()[:16]}"
    file.write_bytes(case.data)
    trace = "".join(traceback.format_exception(case.__cause__, limit=-4, chain=False))
    return (
        f"{trace}\n{name}: a finding with seed {seed}; {len(case.data)} bytes are in {file}\n"
        f"again: {Path(sys.executable).name} -m tests.fuzz {name} --input {file}\n"
    )
