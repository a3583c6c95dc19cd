"""No commit makes a request more expensive in silence: calls and memory, counted, under their ceilings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.benchmarks.counts import CLAUDES, ceilings
from tests.benchmarks.dialects import NATIVE
from tests.harness import ROOT


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the ceilings are what Python 3.11 does")
def test_no_request_costs_more_calls_or_memory_than_it_may() -> None:
    """A call more for each delta breaks this; in a process of its own, where nothing measures coverage.

    Where the cost is worth it, `python -m tests.benchmarks.counts --write` makes new ceilings, and the commit
    says why. Lower them with it when a cost has gone.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        (sys.executable, "-m", "tests.benchmarks.counts"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def test_bedrocks_own_stream_is_the_shorter_way() -> None:
    """Who asks Claude in Bedrock's words has the gateway do less than who has it translated."""
    allowed = ceilings()
    assert allowed[CLAUDES.format("Bedrock")] < allowed[CLAUDES.format(NATIVE)]
