"""The criterion, the same for every gateway: what does the caller see, and is it true?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from tests.comparison.answers import DONE, error_name

if TYPE_CHECKING:
    from tests.comparison.answers import Answer, Reader
    from tests.comparison.transcripts import Message, Transcript


class Verdict(Enum):
    """What the caller saw; the value is the criterion in words."""

    COMPLETE = "nothing was wrong, the text is whole, and the answer has the good end of its API"
    ERROR = "an error in the stream, by the API's own means, and no good end"
    STATUS = (
        "a true HTTP status: Bedrock's own, or a 5xx where the caller is not at fault (503 for a throttle)"
    )
    LEFT = "the caller left, and the upstream call was closed"
    UNTRUE_STATUS = "an HTTP status that means something else than what happened"
    BROKEN = "the transfer breaks: the caller can know that it failed, but not why"
    UNMARKED = "the transfer ends properly, with neither an error nor a good end"
    CONTRADICTION = "an error and a good end in one answer"
    SILENT_TRUNCATION = "a good end, though the answer broke off before its own"
    DAMAGED = "a good end, and a text that is not, or not surely, what the model said"
    HANG = "no end while the judge waited"
    RUNS_ON = "the caller left, and the upstream call went on"
    FAILED = "an error, though nothing was wrong"


TRUTHFUL = {Verdict.COMPLETE, Verdict.ERROR, Verdict.STATUS, Verdict.LEFT}
"""The verdicts that tell the caller what happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really happened upstream. `statuses` are those that would be true, where an answer is one.

    `text` is what the model said before the fault, if there was one (`fails`).
    """

    fails: bool
    text: str
    statuses: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict, how an error or an end called itself, and how much of the text was delivered."""

    verdict: Verdict
    name: str = ""
    delivered: float = 1.0


def judge(transcript: Transcript, truth: Truth, read: Reader) -> Judgement:
    """Judge one answer by its bytes."""
    message = transcript.message
    if not message.status:
        return Judgement(verdict=_unfinished(transcript), delivered=0.0)
    if message.status != 200:
        return _judge_status(message, truth)
    answer = read(message.body)
    delivered = len(answer.text) / len(truth.text) if truth.text else 1.0
    verdict = _verdict(answer, transcript, truth, whole=message.whole)
    made_up = verdict in {Verdict.SILENT_TRUNCATION, Verdict.DAMAGED}
    names = answer.ends if made_up else answer.errors
    return Judgement(verdict=verdict, name=" + ".join(names), delivered=round(delivered, 2))


def judge_leaving(upstream_outcomes: list[str]) -> Judgement:
    """Judge what became of the upstream calls of a caller who left."""
    closed = set(upstream_outcomes) == {"client_gone"}
    return Judgement(verdict=Verdict.LEFT if closed else Verdict.RUNS_ON)


def _judge_status(message: Message, truth: Truth) -> Judgement:
    verdict = Verdict.STATUS if message.status in truth.statuses else Verdict.UNTRUE_STATUS
    return Judgement(
        verdict=verdict if truth.fails else Verdict.FAILED,
        name=" ".join(dict.fromkeys([str(message.status), *error_name(message.body).split()])),
        delivered=0.0,
    )


def _unfinished(transcript: Transcript) -> Verdict:
    return Verdict.HANG if transcript.end == "silent" else Verdict.BROKEN


def _verdict(answer: Answer, transcript: Transcript, truth: Truth, *, whole: bool) -> Verdict:
    if answer.errors:
        contradicts = any(end != DONE for end in answer.ends)
        return Verdict.CONTRADICTION if contradicts else Verdict.ERROR if truth.fails else Verdict.FAILED
    if not whole:
        return _unfinished(transcript)
    if not answer.ends:
        return Verdict.UNMARKED
    if truth.fails and truth.text.startswith(answer.text):
        return Verdict.SILENT_TRUNCATION
    if truth.fails:  # there is text from behind the fault
        return Verdict.DAMAGED
    return Verdict.COMPLETE if answer.text == truth.text and not answer.strange else Verdict.DAMAGED
