"""OpenAI's answers: the shapes that SDKs read, streamed or whole, and each can be sent back as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.completion import fold
from gateway.dialects import openai_answer, openai_embeddings, openai_errors, openai_models
from gateway.dialects.openai_chat import parse
from gateway.dialects.openai_stream import DONE, ChatStream
from gateway.dialects.protocol import Begun, Ended
from gateway.domain import (
    Citation,
    EmbeddingInput,
    Event,
    FinishReason,
    Message,
    PassedOn,
    ReasoningDelta,
    ReasoningPart,
    Stop,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolUsePart,
    Usage,
)
from tests.dialects.reading import accumulate, without_index

if TYPE_CHECKING:
    from gateway.errors import GatewayError

BEGUN = Begun("cmpl_1f", 'm"odel', "p", "r")
USAGE = Usage(input_tokens=3, output_tokens=5, cache_read_tokens=7, cache_write_tokens=11)
ENDED = Ended(Stop(FinishReason.STOP, "end_turn"), USAGE, lambda: {"total_ms": 1.0}, 0.25)
COUNTED = {
    "prompt_tokens": 21,
    "completion_tokens": 5,
    "total_tokens": 26,
    "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 11},
    "cost_usd": 0.25,
}


def records(data: bytes) -> list[Any]:
    """Return the data of the events, parsed, and `[DONE]` as it is."""
    events = data.decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event if event == "data: [DONE]" else json.loads(event[6:]) for event in events]


def stream(*batches: list[Event], ended: Ended = ENDED, **wanted: Any) -> list[Any]:
    """Return the records of a whole stream."""
    encoder = ChatStream(1_700_000_000, **wanted)
    data = encoder.start(BEGUN) + b"".join(encoder.events(batch) for batch in batches)
    return records(data + encoder.done(ended))


def deltas(*batches: list[Event]) -> list[Any]:
    """Return the deltas of a stream, without the first and the last."""
    return [record["choices"][0]["delta"] for record in stream(*batches)[1:-2]]


# ── the stream ────────────────────────────────────────────────────────────────────────────────────────

HEAD = {"id": "chatcmpl-1f", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": 'm"odel'}


def test_a_stream() -> None:
    """The role first, a chunk for each text, the reason, and `[DONE]`."""

    def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}

    assert stream([TextDelta("Hel"), TextDelta('"lo"\n')], [USAGE, ENDED.stop]) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": '"lo"\n'}),
        chunk({}, finish_reason="stop", native_finish_reason="end_turn"),
        "data: [DONE]",
    ]


def test_usage_is_a_chunk_of_its_own() -> None:
    """Asked for, it comes before `[DONE]`, and every other chunk has a null in its place."""
    chunks = stream([TextDelta("x")], [ToolCall(0, "c", "f")], include_usage=True)

    assert chunks[-2:] == [{**HEAD, "choices": [], "usage": COUNTED}, "data: [DONE]"]
    assert [chunk["usage"] for chunk in chunks[:-2]] == [None] * 4


def test_the_tier_is_echoed() -> None:
    """In every chunk, where one was asked for."""
    chunks = stream([TextDelta("x")], include_usage=True, service_tier="flex")

    assert [chunk["service_tier"] for chunk in chunks[:-1]] == ["flex"] * 4


DELTAS: list[tuple[list[Event], list[dict[str, Any]]]] = [
    (
        [ReasoningDelta(text='h"m'), ReasoningDelta(signature="s"), ReasoningDelta(redacted="r")],
        [
            {
                "reasoning_content": 'h"m',
                "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": 'h"m'}],
            },
            {"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "", "signature": "s"}]},
            {"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "r"}]},
        ],
    ),
    (
        [ToolCall(1, "c", "f"), ToolCallDelta(1, '{"a"')],
        [
            {
                "tool_calls": [
                    {
                        "index": 1,
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                    }
                ]
            },
            {"tool_calls": [{"index": 1, "function": {"arguments": '{"a"'}}]},
        ],
    ),
    (
        [Citation({"title": "a"}), TextDelta("x"), Citation({"title": "b"})],
        [
            {"citations": [{"title": "a", "index": 0}]},
            {"content": "x"},
            {"citations": [{"title": "b", "index": 1}]},
        ],
    ),
    ([TextDelta("x"), Usage(input_tokens=1), TextDelta("y")], [{"content": "x"}, {"content": "y"}]),
    ([PassedOn(b"{}", 0)], []),
]


@pytest.mark.parametrize(("events", "expected"), DELTAS)
def test_deltas(events: list[Event], expected: list[dict[str, Any]]) -> None:
    """Each event that says something is a chunk, in its order; alike in one batch and in many."""
    assert deltas(events) == expected
    assert deltas(*([event] for event in events)) == expected


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.TOOL_CALLS, "tool_calls"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
        (FinishReason.REFUSAL, "content_filter"),
    ],
)
def test_finish_reasons(reason: FinishReason, word: str) -> None:
    """OpenAI's word for every reason, and the model's own beside it."""
    ended = ENDED._replace(stop=Stop(reason, "own"))

    assert stream(ended=ended)[-2]["choices"][0] == {
        "index": 0,
        "delta": {},
        "finish_reason": word,
        "native_finish_reason": "own",
    }


def test_a_failed_stream() -> None:
    """It ends with an error and the usage so far, and without `[DONE]`; also behind a heartbeat alone."""
    for begun in (True, False):
        encoder = ChatStream(1)
        if begun:
            encoder.start(BEGUN)
        data = encoder.error(errors.UpstreamThrottled("Slowly."), Usage(input_tokens=1), request_id="req_1")

        assert DONE not in data
        assert records(data) == [
            {
                "error": {
                    "message": "Slowly.",
                    "type": "rate_limit_error",
                    "param": None,
                    "code": "rate_limit_exceeded",
                    "request_id": "req_1",
                },
                "usage": openai_answer.usage(Usage(input_tokens=1)),
            }
        ]


# ── the whole answer ──────────────────────────────────────────────────────────────────────────────────


def whole(events: list[Event], service_tier: str | None = None) -> dict[str, Any]:
    """Return the unary answer of these events."""
    return openai_answer.completion(BEGUN, fold(events), ENDED, created=5, service_tier=service_tier)


def test_a_whole_answer() -> None:
    """All that OpenAI's has, and the usage always."""
    assert whole([TextDelta("Hel"), TextDelta("lo")]) == {
        "id": "chatcmpl-1f",
        "object": "chat.completion",
        "created": 5,
        "model": 'm"odel',
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "end_turn",
            }
        ],
        "usage": COUNTED,
    }
    assert whole([], "flex")["service_tier"] == "flex"


MESSAGES: list[tuple[list[Event], dict[str, Any]]] = [
    ([], {"content": ""}),
    (
        [ToolCall(0, "c", "f"), ToolCallDelta(0, "{}")],
        {
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
    ),
    (
        [ReasoningDelta(text="h"), ReasoningDelta(text="m"), ReasoningDelta(signature="s"), TextDelta("x")],
        {
            "content": "x",
            "reasoning_content": "hm",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        },
    ),
    (
        [ReasoningDelta(redacted="r")],
        {"content": "", "thinking_blocks": [{"type": "redacted_thinking", "data": "r"}]},
    ),
    (
        [ReasoningDelta(text="h")],
        {
            "content": "",
            "reasoning_content": "h",
            "thinking_blocks": [{"type": "thinking", "thinking": "h"}],
        },
    ),
    ([Citation({"title": "t"}), TextDelta("x")], {"content": "x", "citations": [{"title": "t"}]}),
]


@pytest.mark.parametrize(("events", "message"), MESSAGES)
def test_messages(events: list[Event], message: dict[str, Any]) -> None:
    """What is not there is not shown, but the content and the refusal."""
    assert whole(events)["choices"][0]["message"] == {"role": "assistant", "refusal": None, **message}


@pytest.mark.parametrize(
    ("usage", "prompt", "total"),
    [
        (Usage(), None, None),
        (Usage(input_tokens=3), 3, None),
        (Usage(output_tokens=3), None, None),
        (Usage(3, 5), 3, 8),
        (Usage(3, 5, 7), 10, 15),
        (Usage(0, 0, 0, 0), 0, 0),
    ],
)
def test_usage(usage: Usage, prompt: int | None, total: int | None) -> None:
    """The four counters can be told from it; what Bedrock has not told is null, not 0."""
    shown = openai_answer.usage(usage)
    details = shown["prompt_tokens_details"]

    assert (shown["prompt_tokens"], shown["total_tokens"]) == (prompt, total)
    assert (details["cached_tokens"], details["cache_write_tokens"]) == usage[2:]
    assert shown["completion_tokens"] == usage.output_tokens


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────

_WORDS = st.text(min_size=1, max_size=4)
_EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, _WORDS),
        st.builds(ReasoningDelta, text=_WORDS),
        st.builds(ReasoningDelta, signature=_WORDS),
        st.builds(ReasoningDelta, redacted=_WORDS),
        st.builds(Citation, st.dictionaries(st.sampled_from(["title", "url"]), _WORDS, max_size=2)),
        st.tuples(_WORDS, _WORDS, st.lists(_WORDS, max_size=3)),
    ),
    max_size=8,
)


def _numbered(drawn: list[Any]) -> list[Event]:
    """Number the tool calls, as codecs do."""
    events: list[Event] = []
    calls = 0
    for one in drawn:
        if isinstance(one, tuple) and not isinstance(one, Usage):
            name, call_id, pieces = one
            events += [ToolCall(calls, call_id, name), *(ToolCallDelta(calls, piece) for piece in pieces)]
            calls += 1
        else:
            events.append(one)
    return events


@given(_EVENTS, st.data())
def test_the_stream_folds_to_the_whole_answer(drawn: list[Any], data: st.DataObject) -> None:
    """Whoever adds up the chunks, as the SDK does, has the message that the unary answer has."""
    events = _numbered(drawn)
    cut = data.draw(st.integers(0, len(events)))
    folded: dict[str, Any] = {}
    for record in stream(events[:cut], events[cut:])[:-1]:
        accumulate(folded, record["choices"][0]["delta"])
    message = whole(events)["choices"][0]["message"]

    assert message.pop("refusal") is None
    assert without_index(folded) == {**message, "content": message["content"] or ""}


@given(_EVENTS)
def test_an_answer_can_be_sent_back(drawn: list[Any]) -> None:
    """The next request that has the message as it is has all that models take back of it."""
    events = _numbered([one for one in drawn if not isinstance(one, tuple)])
    events += [ToolCall(0, "c", "f"), ToolCallDelta(0, '{"a":1}')]
    completion = fold(events)
    message = whole(events)["choices"][0]["message"]

    (_, turn) = parse(
        {"model": "m", "messages": [{"role": "user", "content": "x"}, message]}
    ).completion.messages

    said = [TextPart(completion.text)] if completion.text else []
    assert turn == Message("assistant", (*completion.reasoning, *said, ToolUsePart("c", "f", {"a": 1})))
    assert all(isinstance(part, ReasoningPart) for part in turn.content[: len(completion.reasoning)])


# ── errors, embeddings, models ────────────────────────────────────────────────────────────────────────

ERRORS: list[tuple[GatewayError, str, str]] = [
    (errors.InvalidRequest("x", param="n"), "invalid_request_error", "invalid_request"),
    (errors.UnknownModel("x", param="model"), "invalid_request_error", "model_not_found"),
    (errors.RouteNotFound("x"), "invalid_request_error", "not_found"),
    (errors.PayloadTooLarge("x"), "invalid_request_error", "payload_too_large"),
    (errors.UpstreamThrottled("x"), "rate_limit_error", "rate_limit_exceeded"),
    (errors.Overloaded("x"), "server_error", "overloaded"),
    (errors.UpstreamDenied("x"), "server_error", "upstream_denied"),
    (errors.InternalError("x"), "server_error", "internal_error"),
]


@pytest.mark.parametrize(("fault", "kind", "code"), ERRORS)
def test_errors(fault: GatewayError, kind: str, code: str) -> None:
    """OpenAI's four fields, and a header that says whether to try again."""
    status, value, headers = openai_errors.refusal(fault, "req_1")

    assert (status, headers) == (fault.status, {"x-should-retry": str(fault.retryable).lower()})
    assert value == {
        "error": {"message": "x", "type": kind, "param": fault.param, "code": code, "request_id": "req_1"}
    }


def test_embeddings() -> None:
    """A text or many; null is like absent; what other models have too."""
    request, encoding = openai_embeddings.parse({"model": "m", "input": "a", "encoding_format": None})
    assert (request.inputs, encoding) == ((EmbeddingInput(text="a"),), "float")
    request, encoding = openai_embeddings.parse(
        {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 5, "user": "u"}
    )
    assert (len(request.inputs), request.dimensions, encoding) == (2, 5, "base64")
    assert openai_answer.embeddings("m", [[1.0], [2.0]], "base64", 3) == {
        "object": "list",
        "model": "m",
        "data": [
            {"object": "embedding", "index": 0, "embedding": "AACAPw=="},
            {"object": "embedding", "index": 1, "embedding": "AAAAQA=="},
        ],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


@pytest.mark.parametrize(
    ("value", "param", "words"),
    [
        ({"model": "m", "input": [1, 2]}, "input", "check_embedding_ctx_length=False"),
        ({"model": "m", "input": [[1], [2]]}, "input", "Send text"),
        ({"model": "m", "input": []}, "input", "at least 1"),
        ({"model": "m", "input": ""}, "input", "at least 1"),
        ({"model": "m", "input": ["a"], "encoding_format": "int8"}, "encoding_format", "base64"),
        (["m"], "body", "object"),
    ],
)
def test_embeddings_refused(value: Any, param: str, words: str) -> None:
    """Token arrays are told what to do instead."""
    with pytest.raises(errors.InvalidRequest, match=words) as caught:
        openai_embeddings.parse(value)

    assert caught.value.param == param


def test_models() -> None:
    """A model that ends says when."""
    a, b = openai_models.model("a", "p", None), openai_models.model("b", "p", "2027-01-01")

    assert openai_models.listing([a, b]) == {
        "object": "list",
        "data": [
            {"id": "a", "object": "model", "created": 0, "owned_by": "p"},
            {"id": "b", "object": "model", "created": 0, "owned_by": "p", "shutdown_date": "2027-01-01"},
        ],
    }
