"""The simulation finds nothing in the gateway as it is, and finds what is broken on purpose (R67)."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from gateway.admission.slots import Slot
from gateway.bedrock.reader import StreamReader
from gateway.errors import GatewayError
from gateway.pipeline import CompletionStream, OpenCompletion
from gateway.retries.attempts import Retries
from gateway.retries.breaker import Breaker
from gateway.retries.budget import RetryBudget
from tests.simulation.__main__ import MODES, main
from tests.simulation.world import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain import Event
    from gateway.upstream import UpstreamCall
    from tests.simulation.world import Mode

SEEDS = 100
MUTANT_SEEDS = 40


@pytest.mark.parametrize("mode", MODES)
def test_no_finding(mode: Mode) -> None:
    """Whatever goes wrong at the far end and with the callers, nothing is lost, doubled, or left behind."""
    ends = set()
    for seed in range(SEEDS):
        ends |= set(simulate(seed, mode))

    assert len({fault for fault, _ in ends}) >= 18, "hardly anything went wrong"
    assert ("none", "done") in ends


def test_the_same_seed_is_the_same_world() -> None:
    """A finding can be replayed."""
    assert simulate(7, "safety") == simulate(7, "safety") != simulate(8, "safety")


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what met what; a finding is told with the command that shows it again."""
    assert main(["--seeds", "2"]) == 0
    assert "2 seeds, 160 requests" in capsys.readouterr().out
    monkeypatch.setattr(Slot, "release", lambda _slot: None)

    assert main(["--seeds", "5", "--seed", "3", "--mode", "safety"]) == 1
    told = capsys.readouterr()
    assert "again: python -m tests.simulation --seeds 1 --seed 3 --mode safety" in told.out
    assert "Violation" in told.err


# ── what it must find ─────────────────────────────────────────────────────────────────────────────────


def _sometimes(real: Callable[..., Any]) -> Callable[..., Any]:
    calls = count(1)
    return lambda *given, **named: None if next(calls) % 50 == 0 else real(*given, **named)


def _lost_release(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Slot, "release", _sometimes(Slot.release))


def _double_move(patch: pytest.MonkeyPatch) -> None:
    def move(slot: Slot, lane: str) -> bool:
        slot._lane = slot._owner.lanes.named((lane,))[0]  # type: ignore[attr-defined]
        return True

    patch.setattr(Slot, "move", move)


def _again_after_the_first_byte(patch: pytest.MonkeyPatch) -> None:
    invoke, next_batch = OpenCompletion._invoke, CompletionStream.next_batch
    begun: dict[CompletionStream, tuple[OpenCompletion, UpstreamCall]] = {}

    async def invoke_and_remember(opened: OpenCompletion, call: UpstreamCall) -> CompletionStream:
        stream = await invoke(opened, call)
        begun[stream] = opened, call
        return stream

    async def next_batch_or_another(stream: CompletionStream) -> list[Event] | None:
        try:
            return await next_batch(stream)
        except GatewayError:
            if stream not in begun:
                raise
            return await next_batch(await invoke(*begun[stream]))

    patch.setattr(OpenCompletion, "_invoke", invoke_and_remember)
    patch.setattr(CompletionStream, "next_batch", next_batch_or_another)


def _open_breaker_lets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaker, "enter", lambda breaker: breaker.era)
    patch.setattr(Breaker, "would_let", lambda _breaker: True)


def _lost_probe(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaker, "abandoned", lambda _breaker, _era: None)


def _no_budget(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RetryBudget, "take", lambda _budget: True)


def _header_ignored(patch: pytest.MonkeyPatch) -> None:
    real = Retries.attempts
    patch.setattr(
        Retries, "attempts", lambda *given, **named: real(*given, **{**named, "allow_fallback": True})
    )


def _reordered(patch: pytest.MonkeyPatch) -> None:
    real = StreamReader.feed

    def feed(reader: StreamReader, data: bytes, events: list[Any]) -> None:
        real(reader, data, events)
        events.reverse()

    patch.setattr(StreamReader, "feed", feed)


def _lost_at_a_fault(patch: pytest.MonkeyPatch) -> None:
    real = StreamReader.feed

    def feed(reader: StreamReader, data: bytes, events: list[Any]) -> None:
        mine: list[Any] = []
        real(reader, data, mine)
        events += mine

    patch.setattr(StreamReader, "feed", feed)


def _end_not_required(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StreamReader, "close", lambda reader, _events: reader._decoder.close())


MUTANTS = (
    _lost_release,
    _double_move,
    _again_after_the_first_byte,
    _open_breaker_lets,
    _lost_probe,
    _no_budget,
    _header_ignored,
    _reordered,
    _lost_at_a_fault,
    _end_not_required,
)


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_it_finds(mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway with one thing broken does not pass; how many seeds it takes is told where it fails."""
    mutate(monkeypatch)

    found: list[tuple[int, str]] = []
    for seed in range(MUTANT_SEEDS):
        for mode in MODES:
            try:
                simulate(seed, mode)
            except AssertionError as error:
                found.append((seed, str(error)))
                break
        if found:
            break

    assert found, f"{MUTANT_SEEDS} seeds did not find it"
    print(f"{mutate.__name__}: seed {found[0][0]}: {found[0][1]}")  # noqa: T201 - pytest -s shows it
