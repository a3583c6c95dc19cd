"""The short way of the usual delta and the general way agree on every input, and the short way is taken."""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bedrock.reader import StreamReader
from gateway.codecs import CODECS
from gateway.domain import ReasoningDelta, TextDelta, Usage
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.wire.eventstream import Decoder, Message, encode
from tests.harness import shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Family
    from gateway.codecs.protocol import Extractor, UsualDelta
    from gateway.domain import Event

Outcome: TypeAlias = "tuple[list[Event], AbstractSet[str], bool, str]"
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
FAMILIES: tuple[Family, ...] = ("claude", "converse")


class Counting:
    """An extractor that counts what is fed to it."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.fed = 0

    @property
    def usual(self) -> UsualDelta | None:
        """As the extractor's."""
        return self._extractor.usual

    @property
    def unknown(self) -> AbstractSet[str]:
        """As the extractor's."""
        return self._extractor.unknown

    @property
    def finished(self) -> bool:
        """As the extractor's."""
        return self._extractor.finished

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """As the extractor does."""
        self.fed += 1
        self._extractor.feed(event_type, payload, events)

    def close(self, events: list[Event]) -> None:
        """As the extractor does."""
        self._extractor.close(events)


class AllFed(Counting):
    """An extractor that has every payload fed to it."""

    @property
    def usual(self) -> None:
        """There is none."""


def extractor_of(family: Family) -> Extractor:
    """Return a new extractor of the family."""
    return CODECS[family].extractor()


def outcome(extractor: Extractor, family: Family, pieces: list[bytes]) -> Outcome:
    """Return all that can be known of a stream: events, unknown names, whether it finished, its fault."""
    reader, events = StreamReader(extractor, enveloped=family != "converse"), list[Any]()
    try:
        for piece in pieces:
            reader.feed(piece, events)
        reader.close(events)
    except GatewayError as error:
        fault = f"{type(error).__name__} {error} {error.detail}"
    else:
        fault = ""
    return events, set(reader.unknown), reader.finished, fault


# ── streams, spelt in all the ways that a server may think of ─────────────────────────────────────────

TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        *(" word", "\n", '"', "\\", '"}}', '"},"p":"ab"}', '","p":"ab"}', '{"type":"text_delta","text":"x"}'),
        *(
            'a","text":"b',
            " of amazon-bedrock-trace",
            "\u2028",
            "\x85",
            "\x00",
            "\x7f",
            "é",
            "\U0001f600",
            "\ud800",
            "\udc00\ud83d",
            "\\ud83d",
        ),
    ]
)
LITERALS = st.one_of(
    TEXTS.map(json.dumps),
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    TEXTS.map(lambda text: f'"{text}"'),  # as if nothing in it needed an escape
    TEXTS.map(lambda text: f'"{text}" '),
    st.sampled_from(
        ["5", "null", '"', '""', '"a"b"', '"\\u12"', '"\\ud83d\\ude00"', '"\\/"', '"a","text":"b"']
    ),
).map(lambda literal: literal.encode("utf-8", "surrogatepass"))
NUMBERS = st.sampled_from([b"0", b"0", b"0", b"1", b"12", b"true", b"-1", b"1.0", b'"0"', b"{}"])
WORDS = st.sampled_from(
    [(b"text_delta", b"text")] * 4 + [(b"thinking_delta", b"thinking"), (b"novelty_delta", b"text")]
)
CLAUDE_DELTAS = st.builds(
    lambda form, number, words, literal: form % {b"n": number, b"t": words[0], b"k": words[1], b"l": literal},
    st.sampled_from(
        [
            *[b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b}}'] * 5,
            b'{"type": "content_block_delta", "index": %(n)b, "delta": {"type": "%(t)b", "%(k)b": %(l)b}}',
            b'{"delta":{"%(k)b":%(l)b,"type":"%(t)b"},"index":%(n)b,"type":"content_block_delta"}',
            b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b}} ',
            b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b,"x":1}}',
            b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b},"type":"ping"}',
            b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b},"z":[]}',
            (
                b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b},'
                b'"amazon-bedrock-guardrailAction":"INTERVENED"}'
            ),
            (  # which ends as the usual ones do
                b'{"type":"content_block_delta","index":%(n)b,"delta":{"type":"%(t)b","%(k)b":%(l)b},'
                b'"amazon-bedrock-guardrailAction":"INTERVENED","x":{"y":"z"}}'
            ),
        ]
    ),
    NUMBERS,
    WORDS,
    LITERALS,
)
CLAUDE_OTHERS = st.sampled_from(
    [
        *[b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'] * 2,
        b'{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"x"}}',
        b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a","name":"b"}}',
        b'{"type":"content_block_stop","index":0}',
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}',
        b'{"type":"message_stop"}',
        b'{"type":"ping"}',
        b"",
    ]
)
CLAUDE_START = b'{"type":"message_start","message":{"usage":{"input_tokens":1}}}'
CLAUDE_BLOCK = b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
CLAUDE_END = (
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"}}',
    b'{"type":"message_stop","amazon-bedrock-invocationMetrics":{"outputTokenCount":3}}',
)
PADDINGS = st.integers(0, 62).map(lambda length: ALPHABET[:length]) | st.sampled_from(
    ["abd", "é", '"', "\\n"]
)


def usual_frame(kind: str, payload: bytes) -> bytes:
    """Return an event's frame."""
    return encode(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload
    )


@st.composite
def enveloped(draw: st.DrawFn, payload: bytes) -> bytes:
    """Return the frame of a chunk, whose envelope is usual most of the time."""
    inner = base64.b64encode(draw(changed(payload)))
    form = draw(
        st.sampled_from(
            [
                *[b'{"bytes":"%(b)b","p":"%(p)b"}'] * 6,
                b'{"bytes":"%(b)b"}',
                b'{"bytes": "%(b)b", "p": "%(p)b"}',
                b'{"p":"%(p)b","bytes":"%(b)b"}',
                b'{"bytes":"%(b)b","p":"%(p)b"}\n',
                b'{"bytes":"%(b)b=","p":"%(p)b"}',
                b'{"bytes":"%(b)b","p":"%(p)b","bytes":""}',
            ]
        )
    )
    return usual_frame("chunk", draw(changed(form % {b"b": inner, b"p": draw(PADDINGS).encode()})))


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """Return the bytes, with one of them changed once in a while."""
    if not data or draw(st.integers(0, 9)):
        return data
    place = draw(st.integers(0, len(data) - 1))
    return data[:place] + draw(st.binary(max_size=2)) + data[place + 1 :]


@st.composite
def claude_streams(draw: st.DrawFn) -> bytes:
    """Return Claude's frames, in order or not."""
    middle = draw(st.lists(CLAUDE_DELTAS | CLAUDE_DELTAS | CLAUDE_OTHERS, max_size=6))
    payloads = [CLAUDE_START, CLAUDE_BLOCK, *middle, *CLAUDE_END]
    return b"".join(draw(enveloped(payload)) for payload in payloads)


CONVERSE_DELTAS = st.builds(
    lambda form, number, literal, padding: form % {b"n": number, b"l": literal, b"p": padding.encode()},
    st.sampled_from(
        [
            *[b'{"contentBlockIndex":%(n)b,"delta":{"text":%(l)b},"p":"%(p)b"}'] * 5,
            b'{"contentBlockIndex":%(n)b,"delta":{"text":%(l)b}}',
            b'{"contentBlockIndex": %(n)b, "delta": {"text": %(l)b}, "p": "%(p)b"}',
            b'{"delta":{"text":%(l)b},"contentBlockIndex":%(n)b,"p":"%(p)b"}',
            b'{"contentBlockIndex":%(n)b,"delta":{"text":%(l)b,"novelty":1},"p":"%(p)b"}',
            b'{"contentBlockIndex":%(n)b,"delta":{"text":%(l)b},"p":"%(p)b"} ',
            b'{"contentBlockIndex":%(n)b,"delta":{"reasoningContent":{"text":%(l)b}},"p":"%(p)b"}',
            b'{"contentBlockIndex":%(n)b,"delta":{"text":%(l)b},"p":"%(p)b","delta":{}}',
        ]
    ),
    NUMBERS,
    LITERALS,
    PADDINGS,
).map(lambda payload: ("contentBlockDelta", payload))
CONVERSE_OTHERS = st.sampled_from(
    [
        ("contentBlockStop", b'{"contentBlockIndex":0,"p":"abc"}'),
        ("contentBlockStop", b'{"contentBlockIndex":0,"delta":{"text":"not a delta"},"p":"abc"}'),
        ("contentBlockStart", b'{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"a","name":"b"}}}'),
        ("messageStop", b'{"p":"ab","stopReason":"end_turn"}'),
        ("metadata", b'{"usage":{"outputTokens":2}}'),
        ("novelty", b"{}"),
    ]
)


@st.composite
def converse_streams(draw: st.DrawFn) -> bytes:
    """Return Converse's frames, in order or not."""
    middle = draw(st.lists(CONVERSE_DELTAS | CONVERSE_DELTAS | CONVERSE_OTHERS, max_size=8))
    first = ("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"a"},"p":"abc"}')
    events = [
        ("messageStart", b'{"p":"ab","role":"assistant"}'),
        first,
        first,
        *middle,
        ("messageStop", b'{"p":"ab","stopReason":"end_turn"}'),
        ("metadata", b'{"usage":{"outputTokens":2}}'),
    ]
    return b"".join(usual_frame(kind, draw(changed(payload))) for kind, payload in events)


STREAMS = st.one_of(
    st.tuples(st.just("claude"), claude_streams()), st.tuples(st.just("converse"), converse_streams())
)


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 2000), max_size=4), data=st.data())
@settings(max_examples=300)
def test_both_ways_agree(stream: tuple[Family, bytes], cuts: list[int], data: st.DataObject) -> None:
    """Events, unknown names and faults are the same, whole, byte by byte and cut, and with broken frames."""
    family, body = stream[0], data.draw(changed(stream[1]))
    edges = [0, *sorted(cuts), len(body)]
    expected = outcome(AllFed(extractor_of(family)), family, [body])

    assert outcome(extractor_of(family), family, [body]) == expected
    assert (
        outcome(extractor_of(family), family, [body[a:b] for a, b in itertools.pairwise(edges)]) == expected
    )
    assert outcome(extractor_of(family), family, [body[i : i + 1] for i in range(len(body))]) == expected


def nearly(data: bytes) -> Iterator[bytes]:
    """Yield all that differs from the data in one byte: another, none, or one more."""
    for place in range(len(data) + 1):
        for other in (b"", b" ", b'"', b"\\", b"}", b"]", b"x", b"=", b"!", b"\n", b"\x80"):
            yield data[:place] + other + data[place + 1 :]
            yield data[:place] + other + data[place:]


def test_both_ways_agree_on_what_is_nearly_usual() -> None:
    """Whichever byte of a usual delta is another one."""
    start, block = claude_chunk(CLAUDE_START), claude_chunk(CLAUDE_BLOCK)
    inner = claude_delta(b'"so"')
    chunk = b'{"bytes":"%b","p":"abc"}' % base64.b64encode(inner)
    claude = [*map(claude_chunk, nearly(inner)), *(usual_frame("chunk", other) for other in nearly(chunk))]
    for frame in claude:
        pieces = [start + block + frame]
        expected = outcome(AllFed(extractor_of("claude")), "claude", pieces)
        assert outcome(extractor_of("claude"), "claude", pieces) == expected
    first = usual_frame("messageStart", b"{}") + 2 * converse_delta(b'"so"')
    for payload in nearly(b'{"contentBlockIndex":0,"delta":{"text":"so"},"p":"abc"}'):
        pieces = [first + usual_frame("contentBlockDelta", payload)]
        expected = outcome(AllFed(extractor_of("converse")), "converse", pieces)
        assert outcome(extractor_of("converse"), "converse", pieces) == expected


@pytest.mark.parametrize("operation", ["converse-stream", "invoke-with-response-stream"])
def test_both_ways_agree_on_recordings(operation: str) -> None:
    """The same for what Bedrock has really sent."""
    for path in sorted(shared("recordings", "GATEWAY_RECORDINGS").glob(f"{operation}*.json")):
        recording = json.loads(path.read_bytes())
        family: Family = "converse" if operation == "converse-stream" else "claude"
        if recording["status"] == 200 and (family == "converse" or "anthropic" in recording["model_id"]):
            body = [base64.b64decode(recording["response_base64"])]
            expected = outcome(AllFed(extractor_of(family)), family, body)
            assert outcome(extractor_of(family), family, body) == expected


# ── the short way is taken ────────────────────────────────────────────────────────────────────────────


def claude_chunk(payload: bytes, padding: int = 30) -> bytes:
    """Return the frame of a chunk as Bedrock spells it."""
    inner = base64.b64encode(payload)
    return usual_frame("chunk", b'{"bytes":"%b","p":"%b"}' % (inner, ALPHABET[:padding].encode()))


def claude_delta(literal: bytes, kind: bytes = b"text", number: int = 0) -> bytes:
    """Return the payload of Claude's usual delta."""
    head = b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b_delta","%b":' % (number, kind, kind)
    return head + literal + b"}}"


def converse_delta(literal: bytes, padding: int = 30, number: int = 0) -> bytes:
    """Return the frame of Converse's usual delta."""
    padded = (number, literal, ALPHABET[:padding].encode())
    return usual_frame("contentBlockDelta", b'{"contentBlockIndex":%d,"delta":{"text":%b},"p":"%b"}' % padded)


HEADERS: dict[Family, dict[str, str]] = {
    "claude": {":event-type": "chunk", ":content-type": "application/json"},
    "converse": {":event-type": "contentBlockDelta", ":content-type": "application/json"},
}


def messages_in(data: bytes) -> list[Message]:
    """Return the frames in the data."""
    messages: list[Message] = []
    Decoder().feed(data, messages)
    return messages


def fed(family: Family, data: bytes) -> tuple[list[Event], int]:
    """Return the events in the data, and how many payloads the extractor was fed for them."""
    extractor, events = Counting(extractor_of(family)), list[Any]()
    StreamReader(extractor, enveloped=family != "converse").feed(data, events)
    return events, extractor.fed


LITERAL_TEXTS = [
    (b'" word"', " word"),
    (b'"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"', "é\u2028😀"),
    (rb'"a\n\"b\"\\"', 'a\n"b"\\'),
    (rb'"\u00e9\ud83d\ude00"', "é😀"),
]


@pytest.mark.parametrize(("literal", "text"), LITERAL_TEXTS)
@pytest.mark.parametrize("number", [0, 1, 23])
def test_usual_deltas_of_claude_are_not_parsed(literal: bytes, text: str, number: int) -> None:
    """Only what begins the block is fed to the codec; whatever the padding and the text."""
    block = CLAUDE_BLOCK.replace(b'"index":0', b'"index":%d' % number)
    deltas = [claude_chunk(claude_delta(literal, number=number), padding) for padding in range(63)]

    assert fed("claude", claude_chunk(CLAUDE_START) + claude_chunk(block) + b"".join(deltas)) == (
        [Usage(input_tokens=1), *[TextDelta(text)] * 63],
        2,
    )


@pytest.mark.parametrize(("literal", "text"), LITERAL_TEXTS)
@pytest.mark.parametrize("number", [0, 1, 23])
def test_usual_deltas_of_converse_are_not_parsed(literal: bytes, text: str, number: int) -> None:
    """Only the first two of a block are fed to the codec."""
    start = usual_frame("messageStart", b'{"p":"ab","role":"assistant"}')
    deltas = [converse_delta(literal, padding, number) for padding in range(63)]

    assert fed("converse", start + b"".join(deltas)) == ([TextDelta(text)] * 63, 3)


def test_deltas_that_each_have_a_number_of_their_own() -> None:
    """Where numbers do not repeat no delta is expected: looking for it in vain cost four times parsing."""
    start = usual_frame("messageStart", b'{"p":"ab","role":"assistant"}')
    extractor, usual = extractor_of("converse"), set[Any]()
    reader, events = StreamReader(extractor, enveloped=False), list[Any]()
    for piece in (start, *(converse_delta(b'"x"', number=number) for number in range(9))):
        reader.feed(piece, events)
        usual.add(extractor.usual)

    assert (events, usual) == ([TextDelta("x")] * 9, {None})


def test_thoughts_of_claude_are_not_parsed() -> None:
    """The same for reasoning, and the text behind it."""
    blocks = [CLAUDE_BLOCK.replace(b"text", b"thinking"), CLAUDE_BLOCK.replace(b'"index":0', b'"index":1')]
    thoughts = [claude_chunk(claude_delta(b'"hm"', b"thinking"))] * 5
    said = [claude_chunk(claude_delta(b'"so"', number=1))] * 5
    frames = [claude_chunk(CLAUDE_START), claude_chunk(blocks[0]), *thoughts, claude_chunk(blocks[1]), *said]

    events, parsed = fed("claude", b"".join(frames))

    assert events[1:] == [ReasoningDelta("hm")] * 5 + [TextDelta("so")] * 5
    assert parsed == 3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["exception", "error", "novelty"])
def test_the_headers_say_what_a_frame_is(family: Family, kind: str) -> None:
    """What looks like a delta is a fault where the frame says so."""
    if family == "claude":
        delta, block = claude_chunk(claude_delta(b'"x"')), claude_chunk(CLAUDE_BLOCK)
        start = claude_chunk(CLAUDE_START) + block
    else:
        delta = converse_delta(b'"x"')
        start = usual_frame("messageStart", b"{}")
    [message] = messages_in(delta)
    fault = encode({**HEADERS[family], ":message-type": kind}, message.payload)

    pieces = [start + 3 * delta + fault]
    events, _, _, told = outcome(extractor_of(family), family, pieces)

    assert told
    assert events[-3:] == [TextDelta("x")] * 3
    assert outcome(AllFed(extractor_of(family)), family, pieces)[0] == events


@pytest.mark.parametrize("family", FAMILIES)
def test_no_delta_behind_the_end(family: Family) -> None:
    """A usual delta behind the terminal event is as wrong as any."""
    if family == "claude":
        delta = claude_chunk(claude_delta(b'"x"'))
        start = [claude_chunk(CLAUDE_START), claude_chunk(CLAUDE_BLOCK), delta]
        end = [claude_chunk(payload) for payload in CLAUDE_END]
    else:
        delta = converse_delta(b'"x"')
        start = [usual_frame("messageStart", b"{}"), delta, delta]
        end = [usual_frame("messageStop", b'{"stopReason":"end_turn"}')]
    reader = StreamReader(extractor_of(family), enveloped=family != "converse")
    reader.feed(b"".join([*start, *end]), [])

    with pytest.raises(UpstreamProtocolError):
        reader.feed(delta, [])


@pytest.mark.parametrize("family", sorted(set(CODECS) - set(FAMILIES)))
def test_other_families_are_fed_everything(family: Family) -> None:
    """They name no usual delta."""
    assert extractor_of(family).usual is None
