"""Ids are never alike, also in a process that has been forked from one which had drawn some for later."""

from __future__ import annotations

import os
import re

from gateway.ids import new_id

ID = re.compile(r"req_[0-9a-f]{32}")


def test_no_two_are_alike() -> None:
    """Over several draws every id has its form, and none comes again."""
    ids = [new_id("req") for _ in range(1_000)]

    assert len(set(ids)) == len(ids)
    assert all(ID.fullmatch(each) for each in ids)


def test_a_fork_draws_its_own() -> None:
    """What a process has drawn and not used does not come from its child, too."""
    new_id("req")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - nobody counts lines there
        os.write(writing, " ".join(new_id("req") for _ in range(100)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as theirs:
        forked = theirs.read().split()
    os.waitpid(child, 0)

    assert len(forked) == 100
    assert not set(forked) & {new_id("req") for _ in range(100)}
