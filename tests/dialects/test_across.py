"""What two dialects have words for means the same in both: whoever changes the API loses nothing by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given

from gateway.completion import fold
from gateway.dialects import anthropic_messages, openai_answer, openai_chat
from gateway.dialects.protocol import Begun, Ended
from gateway.domain import (
    CompletionRequest,
    FinishReason,
    Message,
    Reasoning,
    ReasoningDelta,
    ResponseFormat,
    Stop,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.dialects.test_anthropic_messages import render
from tests.dialects.test_openai_chat import requests, written

if TYPE_CHECKING:
    from gateway.domain import Event


def _shared(request: CompletionRequest) -> CompletionRequest:
    """Return the request without what Anthropic has no word for, and with what it demands."""
    form, reasoning = request.response_format, request.reasoning
    thinks = reasoning is not None and reasoning.effort != "none"
    return replace(
        request,
        max_tokens=request.max_tokens or 1,
        temperature=None if request.temperature is None else min(request.temperature, 1.0),
        seed=None,
        service_tier=None,
        metadata={},
        parallel_tool_calls=request.parallel_tool_calls if request.tool_choice is not None else None,
        reasoning=reasoning if thinks else None,
        response_format=None
        if form is None or form.schema is None
        else ResponseFormat(form.schema, strict=True),
    )


@given(requests())
def test_a_request_means_the_same(drawn: CompletionRequest) -> None:
    """Written for OpenAI and for Anthropic, it is one request."""
    request = _shared(drawn)
    unnamed = request.response_format
    named = request if unnamed is None else replace(request, response_format=replace(unnamed, name="n"))

    assert anthropic_messages.parse(render(request)) == request
    assert openai_chat.parse(written(named)).completion == named


def test_an_answer_goes_on_in_the_other_dialect() -> None:
    """Reasoning with its signature, text and calls that OpenAI's callers have go to Anthropic's, and back."""
    events: list[Event] = [
        *(ReasoningDelta(text="hm"), ReasoningDelta(signature="s"), ReasoningDelta(redacted="cg==")),
        *(TextDelta("so"), ToolCall(0, "c", "f"), ToolCallDelta(0, '{"a":1}')),
    ]
    ended = Ended(Stop(FinishReason.TOOL_CALLS, "tool_use"), Usage(), dict, None)
    answer = openai_answer.completion(
        Begun("cmpl_1", "m", "p", None), fold(events), ended, created=0, service_tier=None
    )
    question = {"role": "user", "content": "x"}
    request = openai_chat.parse(
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [question, answer["choices"][0]["message"]],
            "reasoning_effort": "low",
        }
    ).completion

    assert anthropic_messages.parse(render(request)) == request
    assert request.reasoning == Reasoning(effort="low")
    assert request.messages[0] == Message("user", (TextPart("x"),))
    assert [type(part).__name__ for part in request.messages[1].content] == [
        *("ReasoningPart", "ReasoningPart", "TextPart", "ToolUsePart")
    ]
