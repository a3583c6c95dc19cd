"""The experiment with callers who never read, in the size that CI can afford."""

from __future__ import annotations

from typing import Any

from tests.soak import slow_readers


async def test_callers_who_never_read() -> None:
    """Each costs a bounded amount of memory, all are dropped on time, and nobody else notices."""
    report = await slow_readers.run(50, write_timeout=4.0, warm=1.0, patience=30.0)

    # other tests share these cores, and what the allocator keeps counts ten times as much as in the long run
    for_the_long_run = {"others_unaffected", "user_memory"}
    broken = {name for name, kept in report["promises"].items() if not kept} - for_the_long_run
    assert broken == set(), report
    assert report["user_kib_per_stream"] <= 1.5 * slow_readers.USER_KIB
    assert report["others"]["failed"] == 0


def test_a_broken_promise_is_seen() -> None:
    """Each figure of the report decides about one promise."""
    others: dict[str, Any] = {"failed": 0, "before": {"p99_ms": 30.0}, "during": {"p99_ms": 40.0}}
    good: dict[str, Any] = {
        "clients": 2,
        "talked_to": 2,
        "user_kib_per_stream": 9.0,
        "kernel_kib_per_stream": {"queued": 9.0, "charged": None},
        "dropped": 2,
        "dropped_after_s": [1.0, 2.0],
        "upstream_left": 0,
        "slots_left": 0,
        "others": others,
    }
    bad: dict[str, dict[str, Any]] = {
        "all_were_talked_to": {"talked_to": 1},
        "user_memory": {"user_kib_per_stream": 257.0},
        "kernel_memory": {"kernel_kib_per_stream": {"queued": 9.0, "charged": 257.0}},
        "all_dropped_on_time": {"dropped_after_s": [1.0, 9.0]},
        "nothing_left": {"slots_left": 1},
        "others_unaffected": {"others": {**others, "during": {"p99_ms": 300.0}}},
    }

    assert slow_readers.judged(good, late=3.0)["kept"]
    for promise, figures in bad.items():
        judged = slow_readers.judged({**good, **figures}, late=3.0)
        assert [name for name, kept in judged["promises"].items() if not kept] == [promise]
        assert not judged["kept"]
