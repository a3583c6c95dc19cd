"""What the emulator remembers is bounded."""

from __future__ import annotations

from gateway.emulator.activity import Activity, Call

_MIB = 1024 * 1024


def _call(size: int) -> Call:
    return Call(
        operation="converse",
        model_id="m",
        status=200,
        request_id="r",
        body=None,
        outcome="complete",
        size=size,
    )


def test_small_calls_are_kept_by_their_number() -> None:
    """The last ten thousand."""
    activity = Activity()
    for number in range(10_001):
        activity.keep(_call(number % 7))

    assert [len(activity.calls), activity.calls[0].size] == [10_000, 1]


def test_large_calls_are_kept_by_their_bytes() -> None:
    """Uploads of 2 MiB do not add up to gigabytes; the last call is there, however large."""
    activity = Activity()
    kept = []
    for _ in range(200):
        activity.keep(_call(2 * _MIB))
        kept.append(sum(call.size for call in activity.calls))
    activity.keep(_call(100 * _MIB))

    assert (min(kept[32:]), max(kept)) == (32 * _MIB, 64 * _MIB)
    assert [call.size for call in activity.calls] == [100 * _MIB]


def test_what_a_test_has_cleared_takes_no_room() -> None:
    """Whoever counts from a fresh start finds every call since."""
    activity = Activity()
    for _ in range(30):
        activity.keep(_call(2 * _MIB))
    activity.calls.clear()
    for _ in range(30):
        activity.keep(_call(2 * _MIB))

    assert len(activity.calls) == 30
