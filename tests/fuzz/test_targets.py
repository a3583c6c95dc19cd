"""Every target for a moment: the kept corpus, the seeds, and mutations of both with a fixed seed.

`python -m tests.fuzz all --cpu-seconds 600` is the long run.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.__main__ import MODULES, main
from tests.fuzz.engine import Budget, CaseError, attempt, blind, minimised
from tests.fuzz.target import CORPUS, FindingError, Target, demand
from tests.harness import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

EXECUTIONS = {
    "eventstream": 2500,
    "readers": 2500,
    "requests": 4000,
    "encoders": 900,
    "http": 250,
    "http1": 1500,
}
"""Each about two seconds of a slow core, the inputs that are kept included."""
KEPT_BYTES = 200_000


def target_of(name: str) -> Target:
    """Return one of the targets."""
    target: Target = importlib.import_module(MODULES[name]).TARGET
    return target


@pytest.mark.parametrize("name", MODULES)
def test_a_moment_of_fuzzing(name: str) -> None:
    """No law is broken by what is kept, nor by mutations of it."""
    target = target_of(name)
    seeds = [*target.kept(), *target.seeds()]
    budget = Budget(executions=len(seeds) + EXECUTIONS[name])
    with target.opened() as run:
        try:
            assert blind(target, run, seeds, 1, budget) == len(seeds) + EXECUTIONS[name]
        except CaseError as case:
            pytest.fail(f"{case.__cause__!r}: {minimised(run, case).data!r}")


def test_the_corpus_is_small() -> None:
    """The repository is no place for what a fuzzer collects in a night; each target has something kept."""
    files = [path for path in CORPUS.glob("*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < KEPT_BYTES
    assert {path.parent.name for path in files} == set(MODULES)


# ── the machinery ─────────────────────────────────────────────────────────────────────────────────────


def _picky(data: bytes) -> None:
    demand(b"ab" not in data, "no ab", data)
    if b"z" in data:
        raise KeyError(data)


def _append(data: bytes, rng: Random) -> bytes:
    return data + bytes([rng.choice(b"abcd")])


PICKY = Target(
    name="picky",
    opened=lambda: pytest.raises(NotImplementedError),  # type: ignore[arg-type,return-value]  # not opened
    seeds=list,
    recorded=list,
    mutate=_append,
    max_length=50,
)


def test_a_broken_law_is_found_and_made_small() -> None:
    """The input comes out with nothing in it that the finding does not need."""
    with pytest.raises(CaseError) as found:
        blind(PICKY, _picky, [b"cccc"], 3, Budget(executions=100_000))
    assert isinstance(found.value.__cause__, FindingError)
    assert minimised(_picky, found.value).data == b"ab"


def test_another_fault_is_not_taken_for_the_same() -> None:
    """Making an input smaller must not turn one finding into another."""
    with pytest.raises(CaseError) as found:
        attempt(_picky, b"ccczccc")
    assert isinstance(found.value.__cause__, KeyError)
    assert minimised(_picky, found.value).data == b"z"


def test_a_budget_ends() -> None:
    """By executions, by time, or by time of the CPU."""
    for budget in (Budget(executions=5), Budget(seconds=0.0), Budget(cpu_seconds=0.0)):
        assert blind(PICKY, lambda _: None, [b"c"], 1, budget) <= 5
        assert "s of CPU" in budget.used()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how much was run and with which seed, and runs one file again."""
    options = ["--blind", "--no-recordings", "--folder", str(tmp_path)]
    assert main(["eventstream", "--seconds", "0.01", "--seed", "7", *options]) == 0
    assert "eventstream: no finding in " in (said := capsys.readouterr().out)
    assert "seed 7" in said
    file = tmp_path / "input"
    file.write_bytes(b"\x00" * 12)
    assert main(["eventstream", "--input", str(file), *options]) == 0
    assert "breaks no law" in capsys.readouterr().out


def test_the_command_with_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1; the input is in a file, and the words say how to run it again."""
    monkeypatch.setattr("gateway.wire.eventstream._EPOCH", None)  # a timestamp is then a TypeError
    options = ["--blind", "--no-recordings", "--folder", str(tmp_path)]
    assert main(["eventstream", "--seconds", "60", *options]) == 1
    assert "TypeError" in (said := capsys.readouterr().out)
    (file,) = (tmp_path / "eventstream").glob("finding-*")
    assert f"again: {sys.executable.rpartition('/')[2]} -m tests.fuzz eventstream --input {file}" in said
    assert main(["eventstream", "--input", str(file), *options]) == 1


def test_targets_in_processes_of_their_own(tmp_path: Path) -> None:
    """Several targets are run one after the other, and each is told of."""
    names = ["eventstream", "encoders"]
    command = [sys.executable, "-m", "tests.fuzz", *names, "--blind", "--no-recordings", "--seconds", "0.01"]
    run = subprocess.run(  # noqa: S603 - ourselves
        [*command, "--folder", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, [line.split(":")[0] for line in run.stdout.splitlines()]) == (0, names)
