"""What answers mean: stop reasons, errors the model reports, usage, and odd but legal shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.completion import fold
from gateway.domain import (
    Event,
    FinishReason,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from gateway.errors import (
    GatewayError,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.codecs.builders import (
    CLAUDE_START,
    TEXT,
    TOOL_USE,
    Frames,
    Payload,
    begin,
    claude,
    converse,
    delta,
    feed,
    nova,
    piece,
    read,
    titan,
    tool,
)

if TYPE_CHECKING:
    from gateway.catalog.model import Family

# ── stop reasons ──────────────────────────────────────────────────────────────────────────────────────

STOPS: list[tuple[Family, str, FinishReason, set[str]]] = [
    ("claude", "end_turn", FinishReason.STOP, set()),
    ("claude", "stop_sequence", FinishReason.STOP, set()),
    ("claude", "pause_turn", FinishReason.STOP, set()),
    ("claude", "tool_use", FinishReason.TOOL_CALLS, set()),
    ("claude", "max_tokens", FinishReason.LENGTH, set()),
    ("claude", "model_context_window_exceeded", FinishReason.LENGTH, set()),
    ("claude", "refusal", FinishReason.REFUSAL, set()),
    ("claude", "guardrail_intervened", FinishReason.CONTENT_FILTER, set()),
    ("claude", "bored", FinishReason.STOP, {"stop_reason:bored"}),
    ("nova", "end_turn", FinishReason.STOP, set()),
    ("nova", "max_tokens", FinishReason.LENGTH, set()),
    ("nova", "content_filtered", FinishReason.CONTENT_FILTER, set()),
    ("nova", "bored", FinishReason.STOP, {"stop_reason:bored"}),
    ("converse", "end_turn", FinishReason.STOP, set()),
    ("converse", "stop_sequence", FinishReason.STOP, set()),
    ("converse", "tool_use", FinishReason.TOOL_CALLS, set()),
    ("converse", "max_tokens", FinishReason.LENGTH, set()),
    ("converse", "model_context_window_exceeded", FinishReason.LENGTH, set()),
    ("converse", "guardrail_intervened", FinishReason.CONTENT_FILTER, set()),
    ("converse", "content_filtered", FinishReason.CONTENT_FILTER, set()),
    ("converse", "refusal", FinishReason.REFUSAL, set()),
    ("converse", "bored", FinishReason.STOP, {"stop_reason:bored"}),
    ("titan", "FINISH", FinishReason.STOP, set()),
    ("titan", "FINISHED", FinishReason.STOP, set()),
    ("titan", "STOP_CRITERIA_MET", FinishReason.STOP, set()),
    ("titan", "RAG_QUERY_WHEN_RAG_DISABLED", FinishReason.STOP, set()),
    ("titan", "LENGTH", FinishReason.LENGTH, set()),
    ("titan", "CONTENT_FILTERED", FinishReason.CONTENT_FILTER, set()),
    ("titan", "BORED", FinishReason.STOP, {"stop_reason:BORED"}),
]


def stopped(family: Family, raw: str) -> tuple[Frames, Payload]:
    """Return a stream and a whole answer that end for this reason."""
    message = {"output": {"message": {"content": []}}, "stopReason": raw}
    match family:
        case "claude":
            return claude(stop=raw), {"content": [], "stop_reason": raw}
        case "titan":
            return [("chunk", titan(completionReason=raw))], {
                "results": [{"outputText": "x", "completionReason": raw}]
            }
        case "nova":
            return nova(converse(stop=raw)), message
        case _:
            return converse(stop=raw), message


@pytest.mark.parametrize(("family", "raw", "reason", "unknown"), STOPS)
def test_stop_reasons(family: Family, raw: str, reason: FinishReason, unknown: set[str]) -> None:
    """Each family's words in the gateway's; a new word is a stop, kept raw and reported."""
    frames, body = stopped(family, raw)
    for events, news in (feed(family, frames), read(family, body)):
        assert (events[-1], news) == (Stop(reason, raw), unknown)


@pytest.mark.parametrize("family", ["claude", "nova", "converse"])
@pytest.mark.parametrize("raw", ["malformed_model_output", "malformed_tool_use"])
def test_malformed_output_fails_after_its_text_and_usage(family: Family, raw: str) -> None:
    """What the model wrote is delivered, what it cost is known, then the answer fails."""
    frames, body = stopped(family, raw)
    middle = delta(TEXT) if family == "claude" else nova([piece({"text": "x"})])[0][1]
    frames.insert(1, piece({"text": "x"}) if family == "converse" else ("chunk", middle))
    events = list[Event]()
    with pytest.raises(UpstreamFailed) as caught:
        feed(family, frames, events)
    assert caught.value.upstream_code == raw
    assert TextDelta("x") in events
    assert any(isinstance(event, Usage) for event in events)
    assert not any(isinstance(event, Stop) for event in events)
    with pytest.raises(UpstreamFailed):
        read(family, body)


# ── errors inside the answer ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", UpstreamUnavailable),
        ("rate_limit_error", UpstreamThrottled),
        ("timeout_error", UpstreamTimeout),
        ("api_error", UpstreamFailed),
        ("brand_new_error", UpstreamFailed),
    ],
)
def test_claudes_error_event(kind: str, error: type[GatewayError]) -> None:
    """An error in the stream becomes ours; its text, which may quote the prompt, goes nowhere."""
    said = {"type": "error", "error": {"type": kind, "message": "internal host 10.0.0.1"}}
    with pytest.raises(error) as streamed:
        feed("claude", [("chunk", CLAUDE_START), ("chunk", said)])
    with pytest.raises(error) as whole:
        read("claude", said)
    for caught in (streamed.value, whole.value):
        assert (caught.detail, caught.upstream_code) == (None, kind)
        assert "10.0.0.1" not in caught.message


# ── usage ─────────────────────────────────────────────────────────────────────────────────────────────

METRICS: Payload = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 50,
        "outputTokenCount": 60,
        "cacheReadInputTokenCount": 70,
        "cacheWriteInputTokenCount": 80,
    }
}
HEADERS = {
    "x-amzn-bedrock-input-token-count": "500",
    "x-amzn-bedrock-output-token-count": "600",
    "x-amzn-bedrock-cache-read-input-token-count": "700",
    "x-amzn-bedrock-cache-write-input-token-count": "many",
}


def test_metrics_fill_only_what_the_provider_never_said() -> None:
    """Provider's usage > invocation metrics, counter by counter."""
    events, _ = feed("claude", claude(last=METRICS))
    assert fold(events).usage == Usage(
        input_tokens=1, output_tokens=1, cache_read_tokens=70, cache_write_tokens=80
    )


@pytest.mark.parametrize("where", [1, -1])
def test_metrics_may_come_in_a_chunk_of_their_own(where: int) -> None:
    """Before the provider's usage or after the terminal event: the provider's word still counts more."""
    frames = [("chunk", titan())]
    frames.insert(max(0, where), ("chunk", METRICS))
    events, unknown = feed("titan", frames)
    assert (fold(events).usage, unknown) == (
        Usage(input_tokens=50, output_tokens=1, cache_read_tokens=70, cache_write_tokens=80),
        set(),
    )


def test_headers_are_the_weakest_source() -> None:
    """Body > metrics > headers; a header that is no number is reported and left out."""
    body = {"results": [{"outputText": "x", "completionReason": "FINISH", "tokenCount": 3}]}
    events, unknown = read("titan", body, HEADERS)
    assert (fold(events).usage, unknown) == (
        Usage(input_tokens=500, output_tokens=3, cache_read_tokens=700),
        {"header:x-amzn-bedrock-cache-write-input-token-count"},
    )
    events, _ = read("titan", body | METRICS, HEADERS)
    assert fold(events).usage == Usage(
        input_tokens=50, output_tokens=3, cache_read_tokens=70, cache_write_tokens=80
    )


def test_converse_counts_cached_tokens_under_either_name() -> None:
    """The wire has two names for each cache counter; one is enough."""
    for suffix in ("Tokens", "TokenCount"):
        usage = {"inputTokens": 1, "cacheReadInput" + suffix: 5, "cacheWriteInput" + suffix: 6}
        events, _ = feed("converse", converse(usage=usage))
        assert fold(events).usage == Usage(input_tokens=1, cache_read_tokens=5, cache_write_tokens=6)


def test_an_answer_without_usage_is_whole_all_the_same() -> None:
    """Missing counters are None, not nought."""
    frames = converse()
    frames[-1] = ("metadata", {"metrics": {}})
    events, _ = feed("converse", frames)
    assert fold(events).usage == Usage()


# ── odds and ends ─────────────────────────────────────────────────────────────────────────────────────


def test_a_blocked_answer_need_not_say_why_it_stopped() -> None:
    """A guardrail's word is enough, streamed or whole."""
    blocked = {"amazon-bedrock-guardrailAction": "INTERVENED"}
    expected = Stop(FinishReason.CONTENT_FILTER, "INTERVENED")
    nova_body = {"output": {"message": {"content": []}}, **blocked}
    assert feed("claude", claude(stop=None, last=blocked))[0][-1] == expected
    assert read("claude", {"content": [], **blocked})[0] == [expected]
    assert read("nova", nova_body)[0] == [expected]


def test_a_tool_call_gets_the_arguments_that_came_with_its_start() -> None:
    """Where nothing is streamed, the start's arguments count; an unended block ends with its message."""
    events, _ = feed("claude", claude(begin(TOOL_USE | {"input": {"c": 1}}, 7)))
    assert events[1:3] == [ToolCall(0, "a", "b"), ToolCallDelta(0, '{"c":1}')]


def test_thinking_that_comes_with_its_block() -> None:
    """Claude may give the first words at the start of a block, and hide them all."""
    events, _ = feed(
        "claude",
        claude(
            begin({"type": "thinking", "thinking": "Hm"}),
            delta({"type": "thinking_delta", "thinking": ""}),
            delta({"type": "signature_delta", "signature": ""}),
        ),
    )
    assert events[1:-1] == [ReasoningDelta(text="Hm")]


def test_empty_pieces_make_no_events() -> None:
    """Empty text, reasoning and arguments are normal on the wire and nothing to a caller."""
    empty = [
        piece({"text": ""}),
        piece({"reasoningContent": {"text": "", "signature": ""}}),
        tool(index=1),
        piece({"toolUse": {"input": ""}}, 1),
        ("contentBlockStop", {"contentBlockIndex": 1}),
    ]
    events, _ = feed("converse", converse(*empty))
    assert events[:-2] == [ToolCall(0, "a", "b"), ToolCallDelta(0, "{}")]


def test_nova_reads_several_events_from_one_chunk() -> None:
    """One chunk is one object; if it held two events, both would count."""
    both = dict(nova(converse(stop="max_tokens"))[0][1])
    for _, chunk in nova(converse(piece({"text": "x"})))[1:]:
        both |= chunk
    assert feed("nova", [("chunk", both)])[0][0] == TextDelta("x")


def test_a_signature_without_text_stands_alone() -> None:
    """Reasoning whose text the provider keeps to itself still has its signature."""
    block = {"reasoningContent": {"reasoningText": {"signature": "c2ln"}}}
    body = {"output": {"message": {"content": [block]}}, "stopReason": "end_turn"}
    assert read("converse", body)[0][0] == ReasoningDelta(signature="c2ln")
