"""The loop of atheris (libFuzzer) around a target: it keeps every input that reaches something new.

libFuzzer owns the loop and ends the process itself, so this module leaves by `os._exit`, after it has said
what was found. What libFuzzer says goes to a log; its last line has the coverage.
"""

from __future__ import annotations

import os
import re
import sys
from random import Random
from typing import TYPE_CHECKING, Any

from tests.fuzz.engine import CaseError, attempt, minimised, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import NoReturn

    from tests.fuzz.engine import Budget
    from tests.fuzz.target import Target

HANG_S = 60
"""An input that takes longer is a finding of libFuzzer's own, which ends the process with code 70."""
RSS_MB = 2048
OWN_MUTATIONS = 0.7
_COVERAGE = re.compile(rb"cov: (\d+) ft: (\d+) corp: (\d+)")


def guided(
    atheris: Any,
    target: Target,
    run: Callable[[bytes], None],
    seeds: Iterable[bytes],
    seed: int,
    budget: Budget,
    folder: Path,
) -> NoReturn:
    """Fuzz until the budget is spent or a law is broken, and leave the process with 0 or 1."""
    corpus, begin = _folders(folder, seeds)
    log = folder / "libfuzzer.log"
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644), 2)
    executions = 0

    def one(data: bytes) -> None:
        nonlocal executions
        executions += 1
        try:
            attempt(run, data)
        except CaseError as case:
            sys.stdout.write(written(minimised(run, case), target.name, seed, folder))
            _leave(1)
        if budget.spent(executions):
            sys.stdout.write(
                f"{target.name}: no finding in {executions} executions, {budget.used()}, seed {seed}; "
                f"{_covered(log.read_bytes())}\n"
            )
            _leave(0)

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        rng = Random(number)  # noqa: S311 - reproducible on purpose
        if rng.random() < OWN_MUTATIONS:
            return target.mutate(data, rng)[:max_size]
        return bytes(atheris.Mutate(data, max_size))

    atheris.Setup(
        [
            *("fuzz", f"-seed={seed}", f"-max_len={target.max_length}", f"-timeout={HANG_S}"),
            *(
                f"-rss_limit_mb={RSS_MB}",
                "-len_control=0",
                f"-artifact_prefix={folder}/",
                str(corpus),
                str(begin),
            ),
        ],
        one,
        custom_mutator=mutate,
    )
    atheris.Fuzz()
    raise AssertionError("libFuzzer came back")


def _folders(folder: Path, seeds: Iterable[bytes]) -> tuple[Path, Path]:
    """Return the folder of what earlier runs have kept, and one with the seeds."""
    corpus, begin = folder / "corpus", folder / "seeds"
    for path in (corpus, begin):
        path.mkdir(parents=True, exist_ok=True)
    for old in begin.iterdir():
        old.unlink()
    for number, data in enumerate(seeds):
        (begin / f"{number:05}").write_bytes(data)
    return corpus, begin


def _covered(log: bytes) -> str:
    found = _COVERAGE.findall(log)
    if not found:
        return "coverage unknown"
    edges, features, inputs = (int(number) for number in found[-1])
    return f"{edges} edges, {features} features, {inputs} inputs kept"


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    os._exit(code)
