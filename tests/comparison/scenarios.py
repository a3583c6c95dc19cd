"""The fault script: what the far end is told to do, and what is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from tests.comparison.judging import Truth

Api: TypeAlias = Literal["converse", "invoke"]

WORDS: Final = ("This", " answer", " comes", " from", " the", " embedded", " Bedrock", " emulator,")
"""What the emulator says where it is asked for so many deltas; checked by the row without a fault."""

PREAMBLE: Final[dict[Api, int]] = {"converse": 1, "invoke": 2}
"""Frames before the first text: `messageStart`; `message_start` and `content_block_start`."""

# Statuses that are true: Bedrock's own, and any that says that the fault lies behind the caller's request.
_BEHIND: Final = frozenset({500, 502, 503, 504})
THROTTLED: Final = frozenset({429, 503})
INVALID: Final = frozenset({400})
DENIED: Final = _BEHIND | {401, 403}
TIMED_OUT: Final = _BEHIND | {408}
MODEL_FAILED: Final = _BEHIND | {424}
UNAVAILABLE = FAILED = CUT = _BEHIND

TIMEOUT_S: Final = 3
"""Seconds of silence that every gateway is told to bear, in the rows about silence."""
PATIENCE_S: Final = 25.0
SILENCE_MS: Final = 35_000
"""The far end is silent for longer than we wait: who ends such a stream before did so by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row. In `directives`, {before}, {middle}, {text_end} and {call} are numbers of frames.

    They stand before the first text, in the midst of it, behind it (before the model's own end), and in the
    arguments of a tool call. `sent` is the number of words before the fault. `streams`: only streams can
    fail so. `leave`: the caller goes; with empty bytes before the answer, with others when they have come.
    """

    name: str
    title: str
    directives: str = ""
    statuses: frozenset[int] = frozenset()
    fails: bool = True
    sent: int = len(WORDS)
    deltas: int = len(WORDS)
    streams: bool = True
    tool: bool = False
    timeout: bool = False
    leave: bytes | None = None

    @property
    def truth(self) -> Truth:
        """What really happens."""
        return Truth(fails=self.fails, text="".join(WORDS[: self.sent]), statuses=self.statuses)

    def said(self, api: Api, key: str) -> str:
        """Return what the user says: `key`, by which the call is found upstream, and the directives."""
        before = PREAMBLE[api]
        frames = {
            "before": before,
            "middle": before + 4,
            "text_end": before + len(WORDS) + 1,
            "call": before + 2 + 4,
        }
        return f"{key} [[emulator deltas={self.deltas} {self.directives.format(**frames)}]]"


def _refused(code: str, title: str, statuses: frozenset[int]) -> Scenario:
    return Scenario(
        name=code, title=title, directives=f"error={code}", statuses=statuses, sent=0, streams=False
    )


def _exception(member: str, statuses: frozenset[int]) -> Scenario:
    return Scenario(
        name=f"{member}-middle",
        title=f"`{member}` after four words",
        directives=f"exception={member} after={{middle}}",
        statuses=statuses,
        sent=4,
    )


def _cut(name: str, title: str, place: str, sent: int) -> Scenario:
    return Scenario(name=f"cut-{name}", title=title, directives=f"cut={place}", statuses=CUT, sent=sent)


def _damage(name: str, title: str, directive: str) -> Scenario:
    return Scenario(name=name, title=title, directives=f"{directive}={{middle}}", statuses=CUT, sent=4)


def _unanswered(directive: str, title: str) -> Scenario:
    name = f"{directive}-start"
    return Scenario(
        name=name, title=title, directives=f"{directive}=start", statuses=CUT, sent=0, streams=False
    )


SCENARIOS: Final = (
    Scenario(name="healthy", title="nothing is wrong", fails=False, streams=False),
    _refused("ThrottlingException", "429 `ThrottlingException`", THROTTLED),
    _refused("ServiceUnavailableException", "503 `ServiceUnavailableException`", UNAVAILABLE),
    _refused("InternalServerException", "500 `InternalServerException`", FAILED),
    _refused("ModelNotReadyException", "429 `ModelNotReadyException`", THROTTLED),
    _refused("ModelTimeoutException", "408 `ModelTimeoutException`", TIMED_OUT),
    _refused("ModelErrorException", "424 `ModelErrorException`", MODEL_FAILED),
    _refused("AccessDeniedException", "403 `AccessDeniedException`", DENIED),
    _refused("ValidationException", "400 `ValidationException`", INVALID),
    Scenario(
        name="throttlingException-first",
        title="`throttlingException` as the first frame",
        directives="exception=throttlingException after=0",
        statuses=THROTTLED,
        sent=0,
    ),
    _exception("throttlingException", THROTTLED),
    _exception("serviceUnavailableException", UNAVAILABLE),
    _exception("internalServerException", FAILED),
    _exception("modelStreamErrorException", MODEL_FAILED),
    _exception("validationException", INVALID),
    _cut("empty", "a 200 without any frame", "0", 0),
    _cut("before", "the stream ends before the first word", "{before}", 0),
    _cut("middle", "the stream ends after four words", "{middle}", 4),
    _cut("text-end", "the stream ends behind the text, before the stop reason", "{text_end}", len(WORDS)),
    Scenario(
        name="cut-tool-call",
        title="the stream ends in the arguments of a tool call",
        directives="tool=1 cut={call}",
        statuses=CUT,
        deltas=2,
        sent=2,
        tool=True,
    ),
    _cut("in-a-frame", "the stream ends in the midst of a frame, after four words", "{middle}+9", 4),
    _damage("close-middle", "the connection closes after four words", "close"),
    _damage("reset-middle", "the connection is reset after four words", "reset"),
    _damage("flip", "one bit of a frame is wrong, after four words", "flip"),
    _damage("garbage", "bytes that are no frame, after four words", "garbage"),
    _damage("error-frame", "a frame of the type `error`, after four words", "error_frame"),
    _unanswered("close", "the connection closes before the headers"),
    _unanswered("reset", "the connection is reset before the headers"),
    Scenario(
        name="close-body",
        title="the connection closes 40 bytes into the body",
        directives="close=0+40",
        statuses=CUT,
        sent=0,
        streams=False,
    ),
    Scenario(
        name="silent-open",
        title=f"silence before the headers, timeout {TIMEOUT_S} s",
        directives=f"first_byte_ms={SILENCE_MS}",
        statuses=TIMED_OUT,
        sent=0,
        streams=False,
        timeout=True,
    ),
    Scenario(
        name="silent-first-word",
        title=f"silence before the first word, timeout {TIMEOUT_S} s",
        directives=f"pace_ms={SILENCE_MS}",
        statuses=TIMED_OUT,
        deltas=1,
        sent=0,
        timeout=True,
    ),
    Scenario(
        name="silent-middle",
        title=f"silence after four words, timeout {TIMEOUT_S} s",
        directives="stall={middle}",
        statuses=TIMED_OUT,
        sent=4,
        timeout=True,
    ),
    Scenario(
        name="leave-open",
        title="the caller leaves before the first byte",
        # who notices at the first byte only, still has six seconds of a stream to close
        directives="first_byte_ms=5000 pace_ms=300",
        deltas=20,
        fails=False,
        streams=False,
        leave=b"",
    ),
    Scenario(
        name="leave-middle",
        title="the caller leaves after three words",
        directives="pace_ms=400",
        deltas=30,
        fails=False,
        leave=b" comes",
    ),
)
