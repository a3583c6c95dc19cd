"""Claude's short way: the body becomes InvokeModel's nearly as it came, and its chunks become the events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.dialects import anthropic_invoke, anthropic_relay
from gateway.dialects.anthropic_relay import PASSED_STREAM, ClaudeEvents
from gateway.dialects.protocol import Begun, Ended
from gateway.domain import FinishReason, PassedOn, Stop, TextDelta, Usage
from gateway.errors import InvalidRequest, UpstreamFailed, UpstreamProtocolError
from tests.dialects.anthropic_reading import events_of

HI = {"role": "user", "content": "hi"}
VERSION = {"anthropic_version": "bedrock-2023-05-31"}
EPHEMERAL = {"type": "ephemeral"}
SCHEMA = {"type": "json_schema", "schema": {}}


def body(**fields: Any) -> dict[str, Any]:
    """Return a good body with these fields."""
    return {"model": "m", "max_tokens": 5, "messages": [HI], **fields}


def invoked(**fields: Any) -> dict[str, Any]:
    """Return the body of InvokeModel with these fields."""
    return {**VERSION, "max_tokens": 5, "messages": [HI], **fields}


BLOCKS = [{"type": "text", "text": "hi"}, {"type": "new_block", "source": "x", "content": [1]}, 3]
TURNED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "least": (body(stream=True), invoked()),
    "what is Bedrock's to judge": (
        body(
            messages=[{"role": "user", "content": BLOCKS}, 7],
            system=[{"type": "text", "text": "s", "cache_control": EPHEMERAL}],
            temperature=3,
            tools=[{"type": "bash_20250124", "name": "bash"}, 3],
            thinking={"type": "adaptive", "display": "omitted"},
            metadata={"user_id": "u"},
            output_config={"effort": "low"},
            context_management={"edits": []},
        ),
        invoked(
            messages=[{"role": "user", "content": BLOCKS}, 7],
            system=[{"type": "text", "text": "s", "cache_control": EPHEMERAL}],
            temperature=3,
            tools=[{"type": "bash_20250124", "name": "bash"}, 3],
            thinking={"type": "adaptive", "display": "omitted"},
            metadata={"user_id": "u"},
            output_config={"effort": "low"},
            context_management={"edits": []},
        ),
    ),
    "null says nothing": (body(temperature=None, container=None, anything=None, speed=None), invoked()),
    "tier": (body(service_tier="auto", speed="standard"), invoked()),
    "an older name": (
        body(output_format=SCHEMA, output_config={"effort": "low"}),
        invoked(output_config={"effort": "low", "format": SCHEMA}),
    ),
    "cache point behind a string": (
        body(cache_control=EPHEMERAL),
        invoked(
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "hi", "cache_control": EPHEMERAL}],
                }
            ]
        ),
    ),
    "cache point behind the last block that may be cached": (
        body(
            messages=[
                {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "thinking"}, 3]}
            ],
            cache_control=EPHEMERAL,
        ),
        invoked(
            messages=[
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "a", "cache_control": EPHEMERAL},
                        {"type": "thinking"},
                        3,
                    ],
                }
            ]
        ),
    ),
    "cache point behind an earlier turn": (
        body(
            messages=[HI, {"role": "assistant", "content": [{"type": "thinking"}]}], cache_control=EPHEMERAL
        ),
        invoked(
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": EPHEMERAL}]},
                {"role": "assistant", "content": [{"type": "thinking"}]},
            ]
        ),
    ),
    **{
        f"cache point, but {name}": (
            body(messages=messages, cache_control=EPHEMERAL),
            invoked(messages=messages),
        )
        for name, messages in {
            "a wrong message": [3],
            "a wrong content": [{"role": "user", "content": 3}],
            "nothing to cache": [{"role": "assistant", "content": [{"type": "thinking"}]}],
        }.items()
    },
}


def turns(*given: Any) -> list[Any]:
    """Return the turns that Bedrock is asked with for these."""
    asked = anthropic_invoke.body({"messages": list(given)})
    found: list[Any] = asked["messages"]
    return found


def test_turns_of_one_role_in_a_row_are_one() -> None:
    """Their blocks in their order; what is no plain turn is left to Bedrock."""
    user, other = (
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
    )
    assistant = {"role": "assistant", "content": "c"}
    joined = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert turns(user, assistant, other) == [user, assistant, other]
    assert turns(user, other, assistant) == [{"role": "user", "content": joined}, assistant]
    assert turns(user, other, user)[0]["content"] == [*joined, {"type": "text", "text": "a"}]
    assert turns(user, {**other, "x": 1}) == [user, {**other, "x": 1}]
    assert turns(user, {"role": "user", "content": 5}, 7) == [user, {"role": "user", "content": 5}, 7]


@pytest.mark.parametrize("name", TURNED)
def test_the_body(name: str) -> None:
    """What InvokeModel takes goes there as it is, the rest where it is said there."""
    value, expected = TURNED[name]

    call = anthropic_invoke.read(value)

    assert json.loads(call.body) == expected
    assert call.headers == {}
    assert anthropic_invoke.is_streaming(value) is value.get("stream", False)


def test_what_stands_elsewhere() -> None:
    """Flags and the operator's defaults come into the body, the tier into its header."""
    value = body(service_tier="standard_only")

    call = anthropic_invoke.read(value, betas=("b",), defaults={"top_p": 0.5})

    assert json.loads(call.body) == invoked(anthropic_beta=["b"], top_p=0.5)
    assert call.headers == {"X-Amzn-Bedrock-Service-Tier": "default"}


def test_headers_of_bedrocks_own() -> None:
    """They go on as they came, and agree with the body."""
    given = {"X-Amzn-Bedrock-Trace": "DISABLED", "X-Amzn-Bedrock-Service-Tier": " flex "}

    assert anthropic_invoke.read(body(), headers=given).headers == {
        "X-Amzn-Bedrock-Trace": "DISABLED",
        "X-Amzn-Bedrock-Service-Tier": "flex",
    }
    with pytest.raises(InvalidRequest) as caught:
        anthropic_invoke.read(body(service_tier="standard_only"), headers=given)
    assert caught.value.param == "X-Amzn-Bedrock-Service-Tier"


def test_a_stream_that_is_neither_wanted_nor_not() -> None:
    """It is yes or no."""
    with pytest.raises(InvalidRequest) as caught:
        anthropic_invoke.is_streaming(body(stream="yes"))

    assert caught.value.param == "stream"


def test_the_model() -> None:
    """A body that names none means the default one."""
    assert anthropic_invoke.model_of(body(), "d") == "m"
    assert anthropic_invoke.model_of({}, "d") == "d"


@pytest.mark.parametrize("value", [[], {}, {"model": 3}, {"model": ""}])
def test_no_model(value: Any) -> None:
    """It has to be told which."""
    with pytest.raises(InvalidRequest):
        anthropic_invoke.model_of(value)


@pytest.mark.parametrize(
    ("fields", "ruled_out"),
    [
        ({"thinking": {"type": "disabled"}, "system": "", "temperature": None}, set()),
        ({"temperature": 0, "system": "x"}, {"temperature", "system"}),
        ({"thinking": {"type": "adaptive"}}, {"temperature", "top_p"}),
    ],
)
def test_where_no_default_is_put_in(fields: dict[str, Any], ruled_out: set[str]) -> None:
    """Where the caller has spoken, and where Claude would refuse it."""
    said = anthropic_invoke.said(body(**fields))

    assert said & {"temperature", "top_p", "system"} == ruled_out


REFUSED: dict[str, tuple[Any, str]] = {
    "no limit": ({"model": "m", "messages": [HI]}, "max_tokens"),
    "a wrong limit": (body(max_tokens=True), "max_tokens"),
    "no message": (body(messages=[]), "messages"),
    "wrong messages": (body(messages="hi"), "messages"),
    "unknown field": (body(n=2), "n"),
    "a field that cannot be named": (body(**{"a b": 2}), "?"),
    "a URL": (
        body(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]),
        "messages[0].content[0].source.type",
    ),
    "web search": (body(tools=[{"type": "web_search_20250305"}]), "tools[0].type"),
    "fast": (body(speed="fast"), "speed"),
    "a wrong tier": (body(service_tier="fast"), "service_tier"),
    "two formats": (body(output_format=SCHEMA, output_config={"format": SCHEMA}), "output_format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """The error names the field."""
    value, param = REFUSED[name]

    with pytest.raises(InvalidRequest) as caught:
        anthropic_invoke.read(value)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "structured"),
    [
        ({}, False),
        ({"output_config": {"effort": "low"}}, False),
        ({"output_config": {"format": SCHEMA}}, True),
        ({"output_format": SCHEMA}, True),
    ],
)
def test_structure(fields: dict[str, Any], *, structured: bool) -> None:
    """Whether an answer is to fit a schema can be seen."""
    assert anthropic_invoke.wants_structure(body(**fields)) is structured


# ── the answer ────────────────────────────────────────────────────────────────────────────────────────

BEGIN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Zwölf"}}
CHUNKS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "an event": ({"type": "ping"}, {"type": "ping"}),
    "the beginning of a text": (BEGIN, BEGIN),
    "the end of a block": (
        {"type": "content_block_stop", "index": 7},
        {"type": "content_block_stop", "index": 7},
    ),
    "a delta with an escape": ({**DELTA, "delta": {"text": "\n"}}, {**DELTA, "delta": {"text": "\n"}}),
    "a delta": (DELTA, DELTA),
    "Bedrock's additions": (
        {"type": "message_delta", "amazon-bedrock-guardrailAction": "NONE", "usage": {"x": 1.0}},
        {"type": "message_delta", "usage": {"x": 1.0}},
    ),
    "only Bedrock's": ({"amazon-bedrock-trace": {"guardrail": {"modelOutput": ["x"]}}}, None),
    "the terminal one waits": ({"type": "message_stop", "amazon-bedrock-invocationMetrics": {}}, None),
    "what is new": ({"type": "thought_bubble", "x": "\u2028\n"}, {"type": "thought_bubble", "x": "\u2028\n"}),
}


@pytest.mark.parametrize("spelling", [{"indent": 1}, {"separators": (",", ":")}, {}])
@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(name: str, spelling: dict[str, Any]) -> None:
    """A chunk is the event of its own type, on one line, without what Bedrock adds."""
    chunk, expected = CHUNKS[name]
    payload = json.dumps(chunk, ensure_ascii=False, **spelling).encode()

    data = PASSED_STREAM.events([PassedOn(ClaudeEvents().payload("chunk", payload), 1)])

    assert events_of(data) == ([] if expected is None else [expected])


def test_what_is_no_chunk() -> None:
    """It is none of Claude's events, whatever is in it."""
    assert ClaudeEvents().payload("initial-response", b'{"type":"ping"}') == b""


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'"[DONE]"', b'{"index":0}', b'{"type":"a\\nb"}', b'{"type":1}']
)
def test_chunks_that_are_no_events(payload: bytes) -> None:
    """They break the answer."""
    with pytest.raises(UpstreamProtocolError):
        ClaudeEvents().payload("chunk", payload)


STARTED = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "cache_read_input_tokens": 5}}}
COUNTED = {"input_tokens": 9, "cache_read_input_tokens": 5, "output_tokens": 2}


@pytest.mark.parametrize(
    ("start", "usage", "expected"),
    [
        pytest.param(STARTED, {"output_tokens": 2}, COUNTED, id="as the older Claudes of Bedrock tell it"),
        pytest.param(
            STARTED,
            {"input_tokens": 0, "output_tokens": 2},
            {"input_tokens": 0, "output_tokens": 2},
            id="told",
        ),
        pytest.param({"type": "message_start"}, {"output_tokens": 2}, {"output_tokens": 2}, id="unknown"),
        pytest.param({"type": "message_start", "message": {}}, {"x": 2}, {"x": 2}, id="uncounted"),
        pytest.param(STARTED, None, None, id="without any"),
    ],
)
def test_the_prompt_is_counted_at_the_end(start: Any, usage: Any, expected: Any) -> None:
    """`message_delta` has the counters of the prompt, from `message_start` where it lacks them."""
    chunks = ClaudeEvents()
    chunks.payload("chunk", json.dumps(start, separators=(",", ":")).encode())
    delta = json.dumps({"type": "message_delta", "usage": usage}, separators=(",", ":")).encode()

    assert events_of(chunks.payload("chunk", delta)) == [{"type": "message_delta", "usage": expected}]


def test_the_stream() -> None:
    """The provider's events are the stream; only the last is ours to say, or the error."""
    head, tail = ClaudeEvents().usual
    delta = head + '{"type":"content_block_delta","x":"\u2028"}'.encode() + tail
    begun = Begun("cmpl_1", "m", "anthropic", None)
    done = PASSED_STREAM.done(Ended(Stop(FinishReason.STOP, "end_turn"), Usage(), dict, None))
    failed = PASSED_STREAM.error(UpstreamFailed("x"), Usage(), request_id="r")

    assert PASSED_STREAM.start(begun) == b""
    assert PASSED_STREAM.events([TextDelta("x"), Usage(), Stop(FinishReason.STOP, "end_turn")]) == b""
    assert PASSED_STREAM.events([PassedOn(b"ab", 1)]) == b"ab"
    assert [e["x"] for e in events_of(PASSED_STREAM.events([PassedOn(delta, 1)] * 2))] == ["\u2028"] * 2
    assert events_of(done) == [{"type": "message_stop"}]
    assert [event["error"]["type"] for event in events_of(failed)] == ["api_error"]


def test_a_whole_answer() -> None:
    """It is the provider's own, byte by byte where Bedrock adds nothing."""
    plain = b'{ "type": "message", "usage": {"input_tokens": 1.0} }'

    assert anthropic_relay.message(plain) == plain
    assert anthropic_relay.message(plain[:-1] + b',"amazon-bedrock-trace":{}}') == (
        b'{"type":"message","usage":{"input_tokens":1.0}}'
    )
    with pytest.raises(UpstreamProtocolError):
        anthropic_relay.message(b"{}")
