"""Answers that are passed on: the same bytes out as in, the same accounts as of a translation, no lie."""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bedrock.reader import StreamReader, UnaryReader
from gateway.bedrock.relay_reader import reader_of
from gateway.codecs import CODECS
from gateway.completion import fold
from gateway.domain import FinishReason, PassedOn, Stop, Usage
from gateway.emulator.replay import split_frames
from gateway.errors import GatewayError, UpstreamFailed, UpstreamProtocolError, UpstreamThrottled
from gateway.upstream import Relay
from gateway.wire.eventstream import Decoder, encode
from tests.benchmarks.delta import answer_of
from tests.benchmarks.scenarios import CLAUDE, LLAMA
from tests.harness import shared

if TYPE_CHECKING:
    from gateway.catalog.model import Family
    from gateway.completion import Completion
    from gateway.domain import Event

OPERATIONS = {True: "invoke-with-response-stream", False: "converse-stream"}


class Lines:
    """A framing that shows what it was given."""

    known: Final[dict[bytes, bytes]] = {}
    usual: Final = (b"chunk ", b"\n")

    def payload(self, event_type: str, payload: bytes) -> bytes:
        """One line each."""
        return b"%b %b\n" % (event_type.encode(), payload)


def _event(kind: str, payload: dict[str, Any], **envelope: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    if kind == "chunk":
        payload = {"bytes": base64.b64encode(orjson.dumps(payload)).decode(), **envelope}
    return encode(headers, orjson.dumps(payload))


def _exception(kind: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, b'{"message":"slow down"}')


def _relay(family: Family | None, framing: Lines | None = None) -> Relay:
    return Relay(OPERATIONS[family != "converse"], family, framing)


def _read(pieces: list[bytes], relay: Relay) -> list[Event]:
    reader, events = reader_of(relay, {}), list[Any]()
    _feed(reader, pieces, events)
    reader.close(events)
    return events


def _feed(reader: StreamReader | UnaryReader, pieces: list[bytes], events: list[Event]) -> None:
    for piece in pieces:
        reader.feed(piece, events)


def _passed(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, PassedOn))


def _translated(data: bytes, family: Family) -> Completion:
    reader, events = StreamReader(CODECS[family].extractor(), enveloped=family != "converse"), list[Any]()
    reader.feed(data, events)
    reader.close(events)
    return fold(events)


def _cuts(data: bytes, edges: list[int]) -> list[bytes]:
    return [data[a:b] for a, b in itertools.pairwise([0, *edges, len(data)])]


def _payloads(data: bytes) -> list[tuple[str, bytes]]:
    messages: list[Any] = []
    Decoder().feed(data, messages)
    return [
        (kind, base64.b64decode(orjson.loads(payload)["bytes"]) if kind == "chunk" else payload)
        for headers, payload in messages
        for kind in [headers[":event-type"]]
    ]


def _values(data: bytes) -> list[tuple[str, Any]]:
    return [(kind, orjson.loads(payload)) for kind, payload in _payloads(data)]


def _matchless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _matchless(inner) for name, inner in value.items() if name != "match"}
    return [_matchless(item) for item in value] if isinstance(value, list) else value


def _masked(data: bytes) -> bytes | None:
    """Return what is to come of an answer that has text from before masking, None for any other."""
    frames = b""
    for kind, payload in _payloads(data):
        value = orjson.loads(payload)
        for trace in (value.get("trace"), value.get("amazon-bedrock-trace")):
            if trace is not None:
                trace["guardrail"].pop("modelOutput", None)
                for side in ("outputAssessments", "outputs"):
                    if side in trace["guardrail"]:
                        trace["guardrail"][side] = _matchless(trace["guardrail"][side])
        frames += _event(kind, value)
    return frames if _values(frames) != _values(data) else None


ANSWERS: dict[str, tuple[Family, bytes]] = {
    "claude": ("claude", answer_of(CLAUDE, 40)),
    "converse": ("converse", answer_of(LLAMA, 40)),
}


def _recorded() -> dict[str, tuple[Family, bytes]]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return {}
    found: dict[str, tuple[Family, bytes]] = {}
    for path in sorted(folder.glob("*-stream_*.json")):
        recording = json.loads(path.read_bytes())
        if recording["status"] == 200:
            model = recording["model_id"]
            invoked: Family = "claude" if "anthropic." in model else "nova" if "nova" in model else "titan"
            family: Family = "converse" if recording["operation"] == "converse-stream" else invoked
            found[recording["id"]] = family, base64.b64decode(recording["response_base64"])
    return found


ALL = ANSWERS | _recorded()
every_answer = pytest.mark.parametrize(("family", "data"), ALL.values(), ids=ALL)


@every_answer
def test_frames_are_passed_on_as_they_came(family: Family, data: bytes) -> None:
    """Whole, frame by frame and byte by byte: the very bytes, and the accounts of a translation."""
    translated = _translated(data, family)
    masked = _masked(data)
    frames = list(split_frames(data))
    for pieces in ([data], frames, [data[i : i + 1] for i in range(len(data))]):
        events = _read(pieces, _relay(family))
        folded = fold(events)

        passed = b"".join(folded.passed)
        assert passed == data if masked is None else _values(passed) == _values(masked)
        assert folded.usage == translated.usage
        assert (folded.finish_reason, folded.stop_reason) == (
            translated.finish_reason,
            translated.stop_reason,
        )
        assert isinstance(events[-1], Stop)
    if masked is None:
        whole = _read([data], _relay(family))
        assert [event.data is data for event in whole if isinstance(event, PassedOn)] == [True]  # not a copy


@every_answer
def test_payloads_are_framed(family: Family, data: bytes) -> None:
    """Each payload stands in the frame that was asked for, whichever way it was read."""
    masked = _masked(data)
    expected = b"".join(b"%b %b\n" % (kind.encode(), payload) for kind, payload in _payloads(masked or data))
    translated = _translated(data, family)
    for pieces in ([data], list(split_frames(data)), [data[i : i + 1] for i in range(len(data))]):
        folded = fold(_read(pieces, _relay(family, Lines())))

        passed = b"".join(folded.passed)
        assert passed == expected if masked is None else sorted(passed) == sorted(expected)
        assert (folded.usage, folded.stop_reason) == (translated.usage, translated.stop_reason)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("framing", [None, Lines()])
@given(edges=st.data())
@settings(max_examples=40)
def test_fragmentation(name: str, framing: Lines | None, edges: Any) -> None:
    """However the network cuts the bytes, the same comes out."""
    family, data = ANSWERS[name]
    cuts = edges.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))

    whole, cut = (_read(pieces, _relay(family, framing)) for pieces in ([data], _cuts(data, cuts)))

    assert _passed(whole) == _passed(cut)
    assert [e for e in whole if not isinstance(e, PassedOn)] == [
        e for e in cut if not isinstance(e, PassedOn)
    ]
    said = [sum(e.characters for e in events if isinstance(e, PassedOn)) for events in (whole, cut)]
    assert abs(said[0] - said[1]) <= 0.1 * said[0]


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("framing", [None, Lines()])
def test_how_much_is_said(name: str, framing: Lines | None) -> None:
    """It is what a translation counts, within a tenth."""
    family, data = ANSWERS[name]
    said = len(_translated(data, family).text)

    counted = sum(e.characters for e in _read([data], _relay(family, framing)) if isinstance(e, PassedOn))

    assert 0.9 * said <= counted <= 1.1 * said


@pytest.mark.parametrize("framing", [None, Lines()])
@pytest.mark.parametrize("text", ["", "a"])
@pytest.mark.parametrize("index", [0, 10, 100])
def test_hardly_anything_is_said(text: str, index: int, framing: Lines | None) -> None:
    """However few characters a read says, they never count for less than none."""
    block = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
    first = [split_frames(ANSWERS["claude"][1])[0], _event("chunk", block)]
    delta = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
    reader, events = reader_of(_relay("claude", framing), {}), list[Any]()
    _feed(reader, [*first, *[_event("chunk", delta, p="ab")] * 8], events)

    said = [event.characters for event in events if isinstance(event, PassedOn)]
    assert min(said) >= 0
    assert abs(sum(said) - 8 * len(text)) <= 16


@pytest.mark.parametrize("framing", [None, Lines()])
def test_arguments_are_said_too(framing: Lines | None) -> None:
    """A tool's call costs tokens as a text does."""
    call = {"toolUse": {"toolUseId": "t", "name": "write"}}
    frames = [
        _event("messageStart", {"role": "assistant"}),
        _event("contentBlockStart", {"contentBlockIndex": 0, "start": call}),
        _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"a":1'}}}),
    ]
    reader, events = reader_of(_relay("converse", framing), {}), list[Any]()
    reader.feed(b"".join(frames), events)
    assert sum(event.characters for event in events) == len('{"a":1')


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("framing", [None, Lines()])
def test_no_end_but_the_end(name: str, framing: Lines | None) -> None:
    """At whatever byte an answer is cut off, it does not count as whole."""
    family, data = ANSWERS[name][0], answer_of(CLAUDE if name == "claude" else LLAMA, 6)
    for end in range(len(data)):
        with pytest.raises(UpstreamProtocolError):
            _read([data[:end]], _relay(family, framing))


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("framing", [None, Lines()])
@given(place=st.data())
@settings(max_examples=40)
def test_a_broken_frame(name: str, framing: Lines | None, place: Any) -> None:
    """Of a broken frame nothing is passed on; what came before it is, unless nothing was said yet."""
    family, data = ANSWERS[name]
    frames = list(split_frames(data))
    number = place.draw(st.integers(0, len(frames) - 1))
    before = b"".join(frames[:number])
    broken = bytearray(data)
    broken[len(before) + len(frames[number]) - 1] ^= 1
    reader, events, expected = reader_of(_relay(family, framing), {}), list[Any](), list[Any]()

    with pytest.raises(UpstreamProtocolError):
        reader.feed(bytes(broken), events)

    reader_of(_relay(family, framing), {}).feed(before, expected)
    assert events == expected
    if framing is None:
        assert _passed(events) in {before, b""}


def test_nothing_is_passed_on_before_the_model_speaks() -> None:
    """What fails in its first frames has given its caller nothing: it may be sent again."""
    frames = list(split_frames(ANSWERS["converse"][1]))
    reader, events = reader_of(_relay("converse"), {}), list[Any]()

    reader.feed(frames[0], events)
    assert events == []
    with pytest.raises(UpstreamThrottled):
        reader.feed(_exception("throttlingException"), events)
    assert events == []


@pytest.mark.parametrize("framing", [None, Lines()])
def test_the_first_words_are_passed_on_where_nothing_is_counted(framing: Lines | None) -> None:
    """A Claude whose `message_start` has no counters is not held back until it has said 16 KB."""
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
    reader, given = reader_of(_relay("claude", framing), {}), list[int]()
    for chunk in (
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta,
        delta,
    ):
        events: list[Any] = []
        reader.feed(_event("chunk", chunk), events)
        given.append(_passed(events).count(b"\n") if framing else len(list(split_frames(_passed(events)))))

    assert given == [0, 0, 3, 1]


def test_an_answer_that_says_nothing_is_passed_on_whole() -> None:
    """What was held back comes with the end; an endless beginning is not held."""
    data = _event("messageStart", {"role": "assistant"}) + _event("messageStop", {"stopReason": "end_turn"})
    data += _event("metadata", {"metrics": {}})
    assert _read([data], _relay("converse")) == [PassedOn(data, 0), Stop(FinishReason.STOP, "end_turn")]

    reader, events = reader_of(_relay("converse"), {}), list[Any]()
    reader.feed(_event("messageStart", {"role": "assistant"}), events)
    for _ in range(400):
        reader.feed(_event("novelty", {"p": "abcdefgh"}), events)
    assert events
    assert reader.unknown == {"event:novelty"}


@pytest.mark.parametrize("framing", [None, Lines()])
@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (_exception("throttlingException"), UpstreamThrottled),
        (_exception("someNewException"), UpstreamFailed),
        (encode({":message-type": "riddle"}, b""), UpstreamProtocolError),
        (_event("chunk", {"type": "message_start", "message": {}}), UpstreamProtocolError),
        (_event("chunk", {"type": "error", "error": {"type": "api_error"}}), UpstreamFailed),
    ],
)
def test_faults(frame: bytes, error: type[GatewayError], framing: Lines | None) -> None:
    """What fails in the middle is raised, behind all that was good, and never passed on."""
    family, data = ANSWERS["claude"]
    frames = list(split_frames(data))
    good = b"".join(frames[:5])
    reader, events = reader_of(_relay(family, framing), {}), list[Any]()

    with pytest.raises(error):
        reader.feed(good + frame + data, events)

    if framing is None:
        assert _passed(events) == good
    assert not any(isinstance(event, Stop) for event in events)


@pytest.mark.parametrize("framing", [None, Lines()])
def test_what_a_broken_payload_counts_is_not_heard(framing: Lines | None) -> None:
    """Nothing of it is passed on, so nothing of it is accounted for."""
    frames = list(split_frames(ANSWERS["claude"][1]))
    metrics = {"amazon-bedrock-invocationMetrics": {"cacheReadInputTokenCount": 7}}
    again = _event("chunk", {"type": "message_start", "message": {}, **metrics})
    reader, events = reader_of(_relay("claude", framing), {}), list[Any]()

    with pytest.raises(UpstreamProtocolError):
        reader.feed(b"".join(frames[:5]) + again, events)

    assert [event.cache_read_tokens for event in events if isinstance(event, Usage)] == [None]


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("framing", [None, Lines()])
def test_a_frame_that_is_not_whole_behind_the_end(name: str, framing: Lines | None) -> None:
    """What it was to tell is lost, and that is told."""
    family, data = ANSWERS[name]
    with pytest.raises(UpstreamProtocolError, match="inside a frame"):
        _read([data, data[:20]], _relay(family, framing))


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("framing", [None, Lines()])
def test_a_usual_delta_is_known_by_its_headers_too(name: str, framing: Lines | None) -> None:
    """In a frame that tells of a failure, or of something new, the same bytes are none."""
    family, data = ANSWERS[name]
    frames = list(split_frames(data))[:12]
    messages: list[Any] = []
    Decoder().feed(frames[-1], messages)
    payload = messages[0].payload
    failure = encode({":exception-type": "throttlingException", ":message-type": "exception"}, payload)
    novelty = encode({":event-type": "novelty", ":message-type": "event"}, payload)
    for behind in (failure, novelty + failure, novelty + novelty + failure):
        for reads in ([*frames, behind], [b"".join([*frames, behind])]):
            reader, events = reader_of(_relay(family, framing), {}), list[Any]()
            with pytest.raises(UpstreamThrottled):
                _feed(reader, reads, events)
            if framing is None:
                assert _passed(events) == b"".join(frames) + novelty * behind.count(novelty)
            else:
                assert _passed(events).count(b"novelty ") == behind.count(novelty)
            assert reader.unknown == ({"event:novelty"} if novelty in behind else set())


@pytest.mark.parametrize("framing", [None, Lines()])
def test_no_delta_behind_the_end(framing: Lines | None) -> None:
    """What was usual in an answer is a fault behind it."""
    frames = list(split_frames(ANSWERS["claude"][1]))
    for reads in ([*frames, frames[4]], [b"".join([*frames, frames[4]])]):
        reader, events = reader_of(_relay("claude", framing), {}), list[Any]()
        with pytest.raises(UpstreamProtocolError):
            _feed(reader, reads, events)
        if framing is None:
            assert _passed(events) == b"".join(frames)


FOUND = {"sensitiveInformationPolicy": {"regexes": [{"name": "Number", "match": "secret", "action": "NONE"}]}}
TRACE = {
    "guardrail": {
        "modelOutput": ["the secret is 42"],
        "inputAssessment": {"g": {"wordPolicy": {"customWords": [{"match": "caller"}]}}},
        "outputAssessments": {"g": [FOUND]},
    }
}


@pytest.mark.parametrize("framing", [None, Lines()])
def test_the_unmasked_text_does_not_leave(framing: Lines | None) -> None:
    """Neither in Converse's metadata nor in a chunk, at whatever place in its base64."""
    start = _event("messageStart", {"role": "assistant"})
    stop = _event("messageStop", {"stopReason": "guardrail_intervened"})
    said = _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "***"}, "p": "ab"})
    quoting = {"contentBlockIndex": 0, "delta": {"text": "***"}, "trace": TRACE, "p": "ab"}
    data = start + said * 3 + _event("contentBlockDelta", quoting) + said + stop
    data += _event("metadata", {"usage": {"inputTokens": 1}, "trace": TRACE})
    events = _read([data], _relay("converse", framing))
    assert b"secret" not in _passed(events)
    assert b'{"match":"caller"}' in _passed(events)
    assert events[-1] == Stop(FinishReason.CONTENT_FILTER, "guardrail_intervened")

    for more in ("", "x", "xx"):
        beginning = list(split_frames(ANSWERS["claude"][1]))[:4]
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": more}}
        last = _event("chunk", delta | {"amazon-bedrock-trace": {"modelOutput": "secret"}}, p="ab")
        reader, heard = reader_of(_relay("claude", framing), {}), list[Any]()
        reader.feed(b"".join(beginning) + last, heard)
        passed = _passed(heard)
        chunks = []
        if framing is None:
            messages: list[Any] = []
            Decoder().feed(passed, messages)
            chunks = [base64.b64decode(orjson.loads(payload)["bytes"]) for _, payload in messages]
            assert passed.startswith(b"".join(beginning))
        assert b"secret" not in b"".join([passed, *chunks])


def test_families_that_nobody_knows() -> None:
    """Without a codec an answer is whole when Bedrock's counters have come, and not before."""
    first, strange = (
        _event("chunk", {"said": "Hel"}),
        encode({":event-type": "chunk", ":message-type": "event"}, b'{"bytes":"IltET05FXSI="}'),
    )
    last = _event("chunk", {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}})
    events = _read([first + strange + last], _relay(None))
    assert _passed(events) == first + strange + last
    assert events[1:] == [Usage(input_tokens=3), Stop(FinishReason.STOP, "")] or fold(events).usage == Usage(
        3
    )

    with pytest.raises(UpstreamProtocolError, match="truncated"):
        _read([first + strange], _relay(None))


def test_a_known_family_in_strange_words() -> None:
    """Several answers at once are never asked for in translating; passed on they are as good as one."""
    first = _event("chunk", {"outputs": [{"text": "a", "stop_reason": None}]})
    both = _event("chunk", {"outputs": [{"text": "a"}, {"text": "b"}]})
    metrics = {"inputTokenCount": 3, "outputTokenCount": 9}
    last = _event("chunk", {"outputs": [], "amazon-bedrock-invocationMetrics": metrics})
    events = _read([first + both + last], _relay("mistral"))
    assert (_passed(events), events[-1]) == (first + both + last, Stop(FinishReason.STOP, ""))
    assert fold(events).usage == Usage(3, 9)

    with pytest.raises(UpstreamProtocolError, match="truncated"):
        _read([first + both], _relay("mistral"))
    assert _read([first + last], _relay("mistral"))[-1] == Stop(FinishReason.STOP, "")
    with pytest.raises(UpstreamProtocolError, match="truncated"):
        _read([first], _relay("mistral"))
    only_metrics = _event("chunk", {"amazon-bedrock-invocationMetrics": metrics})
    assert _read([first + only_metrics], _relay("mistral"))[-1] == Stop(FinishReason.STOP, "")
    good = _event("chunk", {"outputs": [{"text": "", "stop_reason": "length"}]})
    assert _read([first + good], _relay("mistral"))[-1] == Stop(FinishReason.LENGTH, "length")


def test_bedrocks_verdict_is_the_callers_to_read() -> None:
    """A translation fails with it, but here it stands in the answer that is passed on."""
    data = _event("messageStart", {"role": "assistant"})
    data += _event("messageStop", {"stopReason": "malformed_tool_use"}) + _event("metadata", {"usage": {}})
    assert _read([data], _relay("converse"))[-1] == Stop(FinishReason.STOP, "malformed_tool_use")


# ── whole answers ─────────────────────────────────────────────────────────────────────────────────────


def _whole(body: bytes, relay: Relay, headers: dict[str, str] | None = None) -> list[Event]:
    reader, events = reader_of(relay, headers or {}), list[Any]()
    reader.feed(body[:5], events)
    reader.feed(body[5:], events)
    assert events == []
    reader.close(events)
    return events


TITAN = (
    b'{"inputTextTokenCount":3,"results":[{"tokenCount":2,"outputText":"Hello","completionReason":"FINISH"}]}'
)
COUNTS = {"x-amzn-bedrock-input-token-count": "7"}


def test_a_whole_answer() -> None:
    """Its body is passed on as it came, with what its family tells of it."""
    events = _whole(TITAN, Relay("invoke", "titan"))
    assert events[0] == PassedOn(TITAN, 5)
    assert fold(events).usage == Usage(3, 2)
    assert events[-1] == Stop(FinishReason.STOP, "FINISH")


def test_a_whole_answer_of_nobody_that_we_know() -> None:
    """Headers tell what an embedding cost; the answer's own words are not read."""
    body = b'{"embedding":[0.5]}'
    for relay in (Relay("invoke", None), Relay("invoke", "titan")):
        events = _whole(body, relay, COUNTS)
        assert events == [PassedOn(body, 0), Usage(7, 0), Stop(FinishReason.STOP, "")]
    assert _whole(b'{"inputTokens":4}', Relay("count-tokens", None))[1:] == [Stop(FinishReason.STOP, "")]
    spoken = _whole(body, Relay("invoke", None), COUNTS | {"x-amzn-bedrock-output-token-count": "2"})
    assert spoken[1] == Usage(7, 2)


def test_a_whole_answer_that_failed() -> None:
    """Claude's error is an error; Bedrock's verdict on a model's words is the caller's to read."""
    with pytest.raises(UpstreamFailed):
        _whole(b'{"type":"error","error":{"type":"api_error"}}', Relay("invoke", "claude"))
    body = orjson.dumps({"output": {"message": {"content": []}}, "stopReason": "malformed_model_output"})
    assert _whole(body, Relay("converse", "converse"))[-1].raw == "malformed_model_output"  # type: ignore[union-attr]


def test_the_unmasked_text_of_a_whole_answer() -> None:
    """It does not leave either."""
    body = orjson.dumps({"a": {"trace": TRACE}, "modelOutput": "kept", "trace": [TRACE]})
    [passed, *_] = _whole(body, Relay("invoke", "llama"))
    assert isinstance(passed, PassedOn)
    assert orjson.loads(passed.data)["modelOutput"] == "kept"
    assert b"secret" not in passed.data
    detected = {"amazon-bedrock-trace": {"guardrail": {"outputs": [{"g": FOUND}, 1]}, "x": ["y"]}, "match": 1}
    [passed, *_] = _whole(orjson.dumps(detected), Relay("invoke", "llama"))
    assert isinstance(passed, PassedOn)
    assert b"secret" not in passed.data
    assert b'"match":1' in passed.data
    for same in (b'{"modelOutput":1}', b'["modelOutput"]'):
        assert _passed(_whole(same, Relay("invoke", None))) == same
    cut = orjson.dumps({"trace": TRACE})[:-1]
    for headers in ({}, {"content-type": "image/png"}):
        with pytest.raises(UpstreamProtocolError):
            _whole(cut, Relay("invoke", None), headers)


def _one(family: Family | None, operation: str = "invoke") -> Relay:
    return Relay("converse" if family == "converse" else operation, family)


@pytest.mark.parametrize("body", [b"", b'{"embedding":[0.5', b"<html></html>"])
@pytest.mark.parametrize(
    "relay", [_one(None), _one("llama"), _one("claude"), _one("converse"), _one(None, "count-tokens")]
)
def test_a_whole_answer_that_is_not_whole(relay: Relay, body: bytes) -> None:
    """Where nobody has said how long it is, only its own end tells of a cut; a page is none of Bedrock's."""
    for kind in ("application/json", "text/html; charset=utf-8"):
        with pytest.raises(UpstreamProtocolError):
            _whole(body, relay, {"content-type": kind})


@pytest.mark.parametrize("family", ["claude", "converse"])
def test_a_whole_answer_without_its_end(family: Family) -> None:
    """What is no answer in a stream is none here."""
    for body in (b"{}", b"[]", b'{"inputTokens":4}'):
        with pytest.raises(UpstreamProtocolError):
            _whole(body, _one(family))


def test_a_nova_that_nobody_knows_yet() -> None:
    """It may be one that paints: its answer is JSON, and its caller's to read."""
    body = b'{"images":["iVBORw0KGgo="]}'
    assert _passed(_whole(body, _one("nova"))) == body


def test_an_answer_of_another_type() -> None:
    """An image that was asked for by `Accept` is passed on as it is."""
    image = b"\x89PNG"
    assert _passed(_whole(image, Relay("invoke", None), {"content-type": "image/png"})) == image
