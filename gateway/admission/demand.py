"""What a request may use at most, reckoned from the body that goes to Bedrock; and what it has used.

One way for every family and dialect, and only where something is counted. English text has about four bytes
in a token, and so has JSON around it; other scripts have more bytes in a character and fewer characters in a
token, which nearly cancels out. Media are base64 in a body and no text: pictures and documents have estimates
of their own. How far off all this is, is learnt for each model (`Learnt`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import orjson

from gateway.domain import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.admission.caller import Caller

BYTES_PER_TOKEN: Final = 4
IMAGE_TOKENS: Final = 1_600
"""Of a picture as large as models take it: Anthropic's figure is width x height / 750, at most about this."""
SMALL: Final = 2_048
"""Bytes of a body in which no media are looked for: as text they count no more."""
PAGE_TOKENS: Final = 2_000
DOCUMENT_BYTES_PER_TOKEN: Final = 25
"""Of a PDF or an office file, which are packed and full of what is no text."""
MAX_DOCUMENT_TOKENS: Final = 200_000
UNKNOWN_MAX_TOKENS: Final = 4_096
"""What an answer may have where neither the request nor the catalogue says."""
MILLION: Final = 1_000_000
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{128}")
_MEDIA: Final = (b'"bytes"', b'"data"', b";base64,", b'"inputImage"')
"""What stands before base64: Converse and Nova, Claude, data URLs, Titan."""
_VALUE: Final = re.compile(rb'\s*:\s*"')
_PICTURES: Final = (b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR")
"""How PNG, JPEG, GIF and WebP begin in base64."""
_PACKED: Final = (b"JVBERi", b"UEsDB", b"0M8R4")
"""The same of PDF, and of office files new and old; what is neither is text."""
_LIMITS: Final = (
    "max_tokens", "max_completion_tokens", "maxTokens", "max_new_tokens", "max_gen_len", "maxTokenCount",
    "max_tokens_to_sample",
)  # fmt: skip
_LIMIT: Final = re.compile(rb'"(?:%b)"\s*:\s*(\d{1,9})\s*[,}]' % "|".join(_LIMITS).encode())
_INSIDE: Final = ("inferenceConfig", "textGenerationConfig", "additionalModelRequestFields")
_ESCAPED: Final = re.compile(rb"\\u00[4-7]")
"""A letter that need not be escaped: it may be one of a name."""


class Model(Protocol):
    """What of a model counts here."""

    @property
    def id(self) -> str:
        """What it is called in the URL."""

    @property
    def max_output_tokens(self) -> int | None:
        """The longest answer."""

    @property
    def output_burndown(self) -> int:
        """What a token of output takes from a quota of tokens."""

    def cost_usd(self, usage: Usage) -> float | None:
        """Return what this costs; None where no price is known."""


class Call(Protocol):
    """A call that is ready to be sent."""

    @property
    def model(self) -> Model:
        """The model that it asks."""

    @property
    def lane(self) -> str:
        """Target and model in one."""

    @property
    def body(self) -> bytes:
        """JSON."""

    @property
    def generates(self) -> bool:
        """Whether tokens are used; else only the request itself counts."""


class Used(NamedTuple):
    """What an answer took; None is what Bedrock has not told. A price that is not known counts as nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cost_usd: float | None = None
    whole: bool = True
    """Whether this is of all that was asked: of a part nothing is to be learnt."""


class Demand(NamedTuple):
    """The most that a request may use: tokens in, as estimated, and out, and what both cost in micro-dollars.

    Where the model has no price the cost is 0: a budget cannot count what nobody knows. `calls` are those to
    Bedrock, of which an embedding may need many. `estimated` is the input as it was estimated, where it has
    been corrected since.
    """

    input_tokens: int
    max_tokens: int
    cost: int
    calls: int = 1
    estimated: int | None = None

    def tokens(self, limit: int) -> int:
        """Return the tokens to reserve of so many: no correction makes more of them than there ever are."""
        tokens = self.input_tokens + self.max_tokens
        if self.estimated is None or tokens <= limit:
            return tokens
        return max(limit, self.estimated + self.max_tokens)


NOTHING: Final = Demand(0, 0, 0)


def demand_of(call: Call) -> Demand:
    """Return what one completion may use at most."""
    if not call.generates:
        return NOTHING
    body, model = call.body, call.model
    written = _max_tokens(body)
    if written is None:
        written = model.max_output_tokens or UNKNOWN_MAX_TOKENS
    read = input_tokens(body)
    cost = model.cost_usd(Usage(read, written, 0, 0))
    return Demand(read, written, micro_dollars(cost))


def demand_of_vectors(calls: Sequence[Call]) -> Demand:
    """Return what the calls of one embedding may use at most, together."""
    read = sum(input_tokens(call.body) for call in calls)
    cost = calls[0].model.cost_usd(Usage(read, 0, 0, 0))
    return Demand(read, 0, micro_dollars(cost), len(calls))


def micro_dollars(usd: float | None) -> int:
    """Return an amount as budgets count it: rounded up, so that nothing costs nothing."""
    return 0 if usd is None else -int(-usd * MILLION // 1)


def input_tokens(body: bytes) -> int:
    """Return about how many tokens of input a body has, at least 1."""
    media, tokens = 0, 0
    if len(body) > SMALL:
        for start, end in _base64(body):
            media += end - start
            tokens += _tokens_of_media(body[start : start + 16], end - start)
    # escapes are of six bytes, where UTF-8 has two or three; to look for one byte costs nothing
    escapes = body.count(b"\\u") if b"\\" in body else 0
    return max(1, tokens + (len(body) - media - 4 * escapes) // BYTES_PER_TOKEN)


def _base64(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where base64 begins and ends in a body; what is too short for a picture is as good as text."""
    for sign in _MEDIA:
        at = body.find(sign)
        while at >= 0:
            start = at + len(sign)
            if sign[-1:] == b'"':
                value = _VALUE.match(body, start)
                start = start if value is None else value.end()
            end = start
            if _BASE64.match(body, start):
                end = body.find(b'"', start)
                yield start, end
            at = body.find(sign, end)


def _tokens_of_media(head: bytes, length: int) -> int:
    if head.startswith(_PICTURES):
        return IMAGE_TOKENS
    size = length * 3 // 4
    if head.startswith(_PACKED):
        return min(MAX_DOCUMENT_TOKENS, max(PAGE_TOKENS, size // DOCUMENT_BYTES_PER_TOKEN))
    return min(MAX_DOCUMENT_TOKENS, size // BYTES_PER_TOKEN)


def _max_tokens(body: bytes) -> int | None:
    """Return the limit of the answer that a body names.

    It is read as JSON where it may stand deeper, as in a tool's arguments, where a second place looks
    like it, or where a name may be written in escapes: nobody is to reserve less than it asks for. Within
    text the quotes are escaped, and the name is another.
    """
    found: bytes | None = None
    at = body.find(b'"max')
    while at >= 0:
        limit = _LIMIT.match(body, at)
        if limit is not None:
            if found is not None or body.count(b"{", 0, at) > 1 or body.find(b"[", 0, at) >= 0:
                return _said(orjson.loads(body))
            found = limit[1]
        at = body.find(b'"max', at + 4)
    if body.find(b"\\u00") >= 0 and _ESCAPED.search(body):
        return _said(orjson.loads(body))
    return None if found is None else int(found)


def _said(body: Any) -> int | None:
    """Return the largest limit that stands where one is read."""
    if not isinstance(body, dict):
        return None
    limits = [limit for name in _LIMITS if type(limit := body.get(name)) is int and limit >= 0]
    limits += [limit for name in _INSIDE if (limit := _said(body.get(name))) is not None]
    return max(limits, default=None)


class Ticket:
    """Whose request wants a slot, and with which calls; what it may use is reckoned when that is asked.

    `calls` are those of which one is sent. `vectors`: the calls of an embedding, all of which are.

    `position` and `expected_wait` (seconds) are told where it had to wait: how many stood before it, and
    what was to be expected.
    """

    __slots__ = ("_demands", "caller", "calls", "expected_wait", "position", "vectors")

    def __init__(self, caller: Caller, calls: Sequence[Call], vectors: Sequence[Call] = ()) -> None:
        self.caller = caller
        self.calls = calls
        self.vectors = vectors
        self.position: int | None = None
        self.expected_wait: float | None = None
        self._demands: dict[int, Demand] | None = None

    def demand(self, call: Call) -> Demand:
        """Return what the request may use at most where this one of its calls is sent."""
        demands = self._demands
        if demands is None:
            demands = self._demands = {}
        demand = demands.get(id(call))
        if demand is None:
            demand = demand_of_vectors(self.vectors) if self.vectors else demand_of(call)
            demands[id(call)] = demand
        return demand

    def call_in(self, lane: str | None) -> Call:
        """Return the call that is sent in a lane; the first where none is."""
        calls = self.calls
        if len(calls) > 1:
            for call in calls:
                if call.lane == lane:
                    return call
        return calls[0]

    def facts(self) -> dict[str, Any]:
        """Return what the log line says of its waiting; nothing where it did not wait."""
        wait = self.expected_wait
        return {
            "queue_position": self.position,
            "expected_wait_ms": None if wait is None else round(wait * 1000),
        }
