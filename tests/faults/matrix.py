"""The law of one terminal record as a table: what a caller gets for each fault in each phase of an answer.

Pure data and rules; nothing here was recorded from an output. `test_matrix` provokes every cell in every
format and every way, `table` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from gateway.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ServerShutdown,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.harness import CLAUDE, NOVA

if TYPE_CHECKING:
    from gateway.errors import GatewayError

LogPhase: TypeAlias = Literal["connect", "head", "first_byte", "stream"]

TEXT: Final = "This answer comes from"
"""What the model says in every cell: four deltas, a word each."""


# ── columns ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Phase:
    """A moment of the upstream's answer. `words`: how many deltas have come by then."""

    name: str
    meaning: str
    words: int = 0


CONNECT = Phase("connect", "there is no connection yet")
STATUS = Phase("status", "the request has been sent, no status line has come")
FIRST_FRAME = Phase("first_frame", "the head has come, no frame")
OPENING = Phase("opening", "the model's opening event has come, nothing of its content")
TEXT_HALF = Phase("text", "half of the text has come", words=2)
BLOCK_END = Phase("block_end", "all text has come, not why the model stopped", words=4)
STOP_REASON = Phase("stop_reason", "the stop reason has come, not the terminal event", words=4)
TAIL = Phase("tail", "the terminal event has come, not the end of the transfer", words=4)
PHASES: Final = (CONNECT, STATUS, FIRST_FRAME, OPENING, TEXT_HALF, BLOCK_END, STOP_REASON, TAIL)

FRAMES: Final[dict[str, dict[Phase, int]]] = {
    # message_start, content_block_start, 4 deltas, content_block_stop, message_delta, message_stop
    CLAUDE: {FIRST_FRAME: 0, OPENING: 1, TEXT_HALF: 4, BLOCK_END: 7, STOP_REASON: 8, TAIL: 9},
    # messageStart, 4 deltas, contentBlockStop, messageStop, metadata
    NOVA: {FIRST_FRAME: 0, OPENING: 1, TEXT_HALF: 3, BLOCK_END: 6, STOP_REASON: 7, TAIL: 8},
}
"""How many frames have come, by model: Claude through InvokeModel, Nova through Converse."""
SAYS_SOMETHING: Final = {CLAUDE: 1, NOVA: 2}
"""The frame with which the first event comes: Claude opens with its usage, Nova's opening says nothing."""


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong. `error` is what it is to the caller, None where it must not matter.

    `status` and `frames` are directives for the emulator, for the phase `status` and for the later ones; in
    `frames`, `{at}` is the number of frames that have come. `connect` names an endpoint of `endpoints`, empty
    where there is no such thing, and `no_connect` says why.
    """

    name: str
    meaning: str
    error: type[GatewayError] | None
    status: str
    frames: str
    connect: str = ""
    no_connect: str = "nobody speaks HTTP yet"
    connect_error: type[GatewayError] | None = None
    status_error: type[GatewayError] | None = None
    silent: bool = False
    """Nothing more comes: it is told by what is missing."""
    impatient: bool = False
    """Needs clocks that strike soon."""
    headers: tuple[tuple[str, str], ...] = ()
    stops: bool = False
    """The gateway itself is stopped, so each cell needs one of its own."""


def _refusal(name: str, meaning: str, error: type[GatewayError]) -> Fault:
    """Return a fault that Bedrock tells of itself: by an HTTP error, later by an exception frame."""
    code = "".join(word.capitalize() for word in name.split("_")) + "Exception"
    member = code[0].lower() + code[1:]
    return Fault(
        name=name,
        meaning=meaning,
        error=error,
        status=f"error={code}",
        frames=f"exception={member} after={{at}}",
    )


DEADLINE_MS: Final = 4000
"""More than the second that the end of a transfer is waited for, and than a busy machine takes before it."""

FAULTS: Final = (
    _refusal("throttling", "Bedrock throttles", UpstreamThrottled),
    _refusal("validation", "Bedrock finds the request invalid", InvalidRequest),
    _refusal("access_denied", "Bedrock refuses access", UpstreamDenied),
    _refusal("expired_token", "the credentials have expired", UpstreamDenied),
    _refusal("model_stream_error", "the model fails while it answers", UpstreamFailed),
    _refusal("model_error", "the model fails", UpstreamFailed),
    _refusal("internal_server", "Bedrock fails", UpstreamFailed),
    _refusal("service_unavailable", "Bedrock has no capacity", UpstreamUnavailable),
    _refusal("model_timeout", "the model takes too long", UpstreamTimeout),
    _refusal("something_new", "an exception that nobody knows", UpstreamFailed),
    Fault(
        name="error_frame",
        meaning="a frame of the message type `error`",
        error=UpstreamFailed,
        status="error=InternalServerException",
        frames="error_frame={at}",
    ),
    Fault(
        name="stall",
        meaning="nothing comes any more",
        error=UpstreamTimeout,
        connect="black_hole",
        status="stall=start",
        frames="stall={at}",
        silent=True,
        impatient=True,
    ),
    Fault(
        name="deadline",
        meaning=f"the same, and the caller waits {DEADLINE_MS} ms (`X-Request-Timeout-Ms`)",
        error=DeadlineExceeded,
        connect="black_hole",
        status="stall=start",
        frames="stall={at}",
        silent=True,
        headers=(("X-Request-Timeout-Ms", str(DEADLINE_MS)),),
    ),
    Fault(
        name="shutdown",
        meaning="the same, and the gateway stops while it waits",
        error=ServerShutdown,
        connect="black_hole",
        status="stall=start",
        frames="stall={at}",
        silent=True,
        stops=True,
    ),
    Fault(
        name="reset",
        meaning="the connection is reset",
        error=UpstreamProtocolError,
        connect="refusing",
        connect_error=UpstreamUnavailable,
        status="reset=start",
        status_error=UpstreamUnavailable,
        frames="reset={at}",
        silent=True,
    ),
    Fault(
        name="close",
        meaning="the connection is closed inside the transfer",
        error=UpstreamProtocolError,
        connect="hanging_up",
        connect_error=UpstreamUnavailable,
        status="close=start",
        status_error=UpstreamUnavailable,
        frames="close={at}",
        silent=True,
    ),
    Fault(
        name="cut",
        meaning="the transfer ends properly, too early",
        error=UpstreamProtocolError,
        no_connect="there is no transfer yet",
        status="cut=start",
        status_error=UpstreamUnavailable,
        frames="cut={at}",
        silent=True,
    ),
    Fault(
        name="cut_in_frame",
        meaning="the transfer ends properly, inside a frame (or the head)",
        error=UpstreamProtocolError,
        no_connect="there is no frame yet",
        status="cut=start+20",
        status_error=UpstreamUnavailable,
        frames="cut={at}+20",
    ),
    Fault(
        name="checksum",
        meaning="one bit is wrong, of a frame or of the head",
        error=UpstreamProtocolError,
        no_connect="there is no bit yet",
        status="flip=start",
        frames="flip={at}",
    ),
    Fault(
        name="garbage",
        meaning="bytes come that mean nothing",
        error=UpstreamProtocolError,
        connect="babbling",
        status="garbage=start",
        frames="garbage={at}",
    ),
    Fault(
        name="unknown_event",
        meaning="an event of a type that nobody knows, or an interim answer: must not matter",
        error=None,
        status="unknown_event=start",
        frames="unknown_event={at}",
    ),
    Fault(
        name="slices",
        meaning="everything comes in pieces of five bytes: must not matter",
        error=None,
        no_connect="there is no byte yet",
        status="slice=5",
        frames="slice=5",
    ),
)


# ── cells ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Expected:
    """What a caller gets. `error` None: a whole answer, in every format.

    Not `begun`: the HTTP status of the error, in every format. `begun`: in NDJSON and SSE a 200 with the good
    records first and one `error` last; bare text, which cannot tell, breaks inside the transfer; the unary
    answer has the HTTP status of the error. `phase` is what the log line says.
    """

    error: type[GatewayError] | None
    begun: bool = False
    phase: LogPhase | None = None
    or_whole: bool = False
    """Chance decides: the end of the transfer is waited for for a second."""


WHOLE: Final = Expected(None)


def provocation(fault: Fault, phase: Phase, model: str) -> str:
    """Return the directives that provoke a cell."""
    if phase is STATUS:
        return fault.status
    return fault.frames.format(at=FRAMES[model][phase])


def expected(fault: Fault, phase: Phase, model: str) -> Expected | None:
    """Return what a caller gets; None where there can be no such cell."""
    if phase is CONNECT:
        ours = fault.stops or fault.headers  # then it is not the connection that fails
        unreached = fault.connect in {"refusing", "black_hole"} and not ours
        due = Expected(fault.connect_error or fault.error, phase="connect" if unreached else "head")
        return due if fault.connect else None
    if fault.error is None:
        return WHOLE
    if phase is STATUS:
        return Expected(fault.status_error or fault.error, phase="head")
    if fault.name == "model_timeout" and model == NOVA:
        return None  # ConverseStream has no such member (bedrock-wire.md §1.3)
    if phase is TAIL and fault.silent and not fault.stops:
        return WHOLE  # what is missing behind the terminal event is not missed
    log_phase: LogPhase = "first_byte" if phase is FIRST_FRAME and fault.silent else "stream"
    begun = FRAMES[model][phase] >= SAYS_SOMETHING[model]
    return Expected(fault.error, begun, log_phase, or_whole=fault.stops and phase is TAIL)


def name_of_test(fault: Fault, phase: Phase) -> str:
    """Return the id of the test that provokes a cell."""
    return f"test_shutdown[{phase.name}]" if fault.stops else f"test_cell[{fault.name}-{phase.name}]"
