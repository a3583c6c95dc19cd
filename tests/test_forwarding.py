"""A stream whose reads go to the caller where they come in: what is left for the task, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from gateway.catalog.model import Model
from gateway.domain import FinishReason, Stop, TextDelta, ToolCallDelta, Usage
from gateway.errors import UpstreamFailed, UpstreamTimeout
from gateway.pipeline import CompletionStream
from gateway.timing import Timing
from gateway.upstream import UpstreamCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain import Event

CALL = UpstreamCall(Model(id="m", base_id="m", provider="p", native_family=None, api="converse"), b"", {})
FAULT = UpstreamFailed("The model failed.")


class Answer:
    """Far end and reader in one. A read is a text; `!` in it is a fault behind the text, `?` a defect.

    One with a brace at its beginning is a piece of a tool's arguments.
    """

    request_id = "aws-1"
    headers: ClassVar[dict[str, str]] = {}
    unknown: frozenset[str] = frozenset()

    def __init__(self, *reads: str, clock: bool = False) -> None:
        self.reader = self
        self._reads = list(reads)
        self._clock = clock

    @property
    def at_end(self) -> bool:
        """Whether the last read has been given."""
        return not self._reads

    async def read(self) -> bytes:
        """Give the next read."""
        return self._reads.pop(0).encode() if self._reads else b""

    async def forward(self, take: Callable[[bytes], bool]) -> None:
        """Push all of them but the last, or until the clock strikes."""
        while self._reads[1:] and take(await self.read()):
            pass
        if self._clock:
            raise UpstreamTimeout("silent")

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append a text; fail as the data says."""
        text = data.decode()
        if text == "?":
            raise ZeroDivisionError
        if word := text.strip("!"):
            events.append(ToolCallDelta(0, word) if word[0] == "{" else TextDelta(word))
        if "!" in text:
            raise FAULT

    def close(self, events: list[Event]) -> None:
        """Append how it ended."""
        events.append(Stop(FinishReason.STOP, "end"))


async def _forwarded(
    answer: Answer, *, wanted: int = 100, error: Exception | None = None
) -> tuple[CompletionStream, list[list[Event]]]:
    stream = CompletionStream(CALL, answer, Timing())
    batches: list[list[Event]] = []

    def deliver(batch: list[Event]) -> bool:
        if error is not None:
            raise error
        batches.append(batch)
        return len(batches) < wanted

    await stream.forward(deliver)
    return stream, batches


def _texts(*words: str) -> list[list[TextDelta]]:
    return [[TextDelta(word)] for word in words]


async def test_all_but_the_last() -> None:
    """The last events come with the knowledge that they are the last, so that one write ends the answer."""
    stream, batches = await _forwarded(Answer("a", "b", "c"))

    assert batches == _texts("a", "b")
    assert await stream.next_batch() == [TextDelta("c"), Stop(FinishReason.STOP, "end")]
    assert stream.ended
    assert await stream.next_batch() is None


async def test_tokens_of_a_call_that_is_not_whole() -> None:
    """The arguments of a tool's call are tokens as a text is, if nobody tells how many."""
    stream, _ = await _forwarded(Answer("say", '{"path":"a"', "!"))
    assert stream.accounted() == (Usage(output_tokens=-(-14 // 4)), "estimated")


async def test_enough() -> None:
    """Who can take no more gets the rest by the batch."""
    stream, batches = await _forwarded(Answer("a", "b", "c", "d"), wanted=2)

    assert batches == _texts("a", "b")
    assert await stream.next_batch() == [TextDelta("c")]


@pytest.mark.parametrize(("read", "first"), [("b!", [TextDelta("b")]), ("!", None)])
async def test_fault(read: str, first: list[Event] | None) -> None:
    """What came before a fault in the same read comes before the fault."""
    stream, batches = await _forwarded(Answer("a", read, "c"))

    assert batches == _texts("a")
    if first is not None:
        assert await stream.next_batch() == first
    with pytest.raises(UpstreamFailed) as raised:
        await stream.next_batch()
    assert raised.value.upstream_request_id == "aws-1"


async def test_a_fault_that_is_known_already() -> None:
    """The fault behind a batch is not waited for, and nothing that comes behind it is the caller's."""
    answer = Answer("a!", "b", "c")
    stream = CompletionStream(CALL, answer, Timing())
    await stream.peek()
    assert [await stream.next_batch()] == _texts("a")
    behind: list[list[Event]] = []

    def deliver(batch: list[Event]) -> bool:
        behind.append(batch)
        return True

    await stream.forward(deliver)

    assert behind == []
    assert not answer.at_end
    with pytest.raises(UpstreamFailed):
        await stream.next_batch()


async def test_clock() -> None:
    """A clock that strikes is the fault of the stream."""
    stream, _ = await _forwarded(Answer("a", "b", clock=True), wanted=1)

    with pytest.raises(UpstreamTimeout):
        await stream.next_batch()
    assert stream.accounted()[0].output_tokens == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(Answer("a", "b", "c"), ConnectionResetError("the caller has gone"), id="the caller"),
        pytest.param(Answer("?", "b"), None, id="a defect"),
    ],
)
async def test_what_is_no_fault_of_bedrock(answer: Answer, error: Exception | None) -> None:
    """It is raised in the task, not in the loop that brought the bytes."""
    with pytest.raises((ConnectionResetError, ZeroDivisionError)):
        await _forwarded(answer, error=error)
