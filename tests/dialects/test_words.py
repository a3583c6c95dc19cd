"""Where each dialect says each field of the domain, or what it answers to who tries."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from gateway import domain
from gateway.domain import (
    CachePoint,
    CompletionRequest,
    DocumentPart,
    Guardrail,
    ImagePart,
    Message,
    Reasoning,
    ReasoningPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    ToolUsePart,
)
from tests.dialects.lacking import LACKS, said, sayable
from tests.dialects.writing import DIALECTS, Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA: Final = {"type": "object", "properties": {}}
TEXT = TextPart("a")
PDF = DocumentPart("pdf", b"x", "a")
IMAGE = ImagePart("png", b"x")
CALL = ToolUsePart("t1", "f", {"a": 1})
RESULT = ToolResultPart("t1", (TEXT,))
THOUGHT = ReasoningPart("t", "s")
TOOL = Tool("f", None, SCHEMA)
FORM = ResponseFormat(SCHEMA, "n", strict=True)
TOOLED = said(tools=(TOOL,))


def _said_back(part: Any) -> CompletionRequest:
    return said(part, role="assistant")


def _asking(**changes: Any) -> CompletionRequest:
    return replace(TOOLED, tools=(replace(TOOL, **changes),))


EXAMPLES: Mapping[str, tuple[CompletionRequest, CompletionRequest]] = {
    "CompletionRequest.model": (said(), replace(said(), model="n")),
    "CompletionRequest.messages": (said(), said(TEXT)),
    "CompletionRequest.system": (said(), said(system=(TEXT,))),
    "CompletionRequest.max_tokens": (said(), said(max_tokens=5)),
    "CompletionRequest.temperature": (said(), said(temperature=0.5)),
    "CompletionRequest.top_p": (said(), said(top_p=0.5)),
    "CompletionRequest.top_k": (said(), said(top_k=5)),
    "CompletionRequest.stop": (said(), said(stop=("a",))),
    "CompletionRequest.tools": (said(), TOOLED),
    "CompletionRequest.tool_choice": (TOOLED, replace(TOOLED, tool_choice=ToolChoice("any"))),
    "CompletionRequest.parallel_tool_calls": (
        replace(TOOLED, tool_choice=ToolChoice("auto")),
        replace(TOOLED, tool_choice=ToolChoice("auto"), parallel_tool_calls=False),
    ),
    "CompletionRequest.reasoning": (said(), said(reasoning=Reasoning("none"))),
    "CompletionRequest.response_format": (said(), said(response_format=FORM)),
    "CompletionRequest.seed": (said(), said(seed=1)),
    "CompletionRequest.guardrail": (said(), said(guardrail=Guardrail("g", "1"))),
    "CompletionRequest.service_tier": (said(), said(service_tier="flex")),
    "CompletionRequest.latency": (said(), said(latency="optimized")),
    "CompletionRequest.betas": (said(), said(betas=("context-1m-2025-08-07",))),
    "CompletionRequest.metadata": (said(), said(metadata={"a": "b"})),
    "CompletionRequest.provider": (said(), said(provider="amazon")),
    "Message.role": (said(TEXT), said(TEXT, role="assistant")),
    "Message.content": (said(TEXT), said(TEXT, TEXT)),
    "TextPart.text": (said(TEXT), said(TextPart("b"))),
    "ImagePart.format": (said(IMAGE), said(replace(IMAGE, format="gif"))),
    "ImagePart.data": (said(IMAGE), said(replace(IMAGE, data=b"y"))),
    "DocumentPart.format": (said(PDF), said(replace(PDF, format="txt"))),
    "DocumentPart.data": (said(PDF), said(replace(PDF, data=b"y"))),
    "DocumentPart.name": (said(PDF), said(replace(PDF, name="b"))),
    "DocumentPart.citations": (said(PDF), said(replace(PDF, citations=True))),
    "DocumentPart.context": (said(PDF), said(replace(PDF, context="c"))),
    "CachePoint.ttl": (said(TEXT, CachePoint()), said(TEXT, CachePoint("1h"))),
    "ReasoningPart.text": (_said_back(THOUGHT), _said_back(replace(THOUGHT, text="u"))),
    "ReasoningPart.signature": (_said_back(THOUGHT), _said_back(replace(THOUGHT, signature="z"))),
    "ReasoningPart.redacted": (_said_back(TEXT), _said_back(ReasoningPart(redacted="eA=="))),
    "ToolUsePart.id": (_said_back(CALL), _said_back(replace(CALL, id="t2"))),
    "ToolUsePart.name": (_said_back(CALL), _said_back(replace(CALL, name="g"))),
    "ToolUsePart.arguments": (_said_back(CALL), _said_back(replace(CALL, arguments={}))),
    "ToolResultPart.tool_use_id": (said(RESULT), said(replace(RESULT, tool_use_id="t2"))),
    "ToolResultPart.content": (said(RESULT), said(replace(RESULT, content=(IMAGE,)))),
    "ToolResultPart.is_error": (said(RESULT), said(replace(RESULT, is_error=True))),
    "Tool.name": (TOOLED, _asking(name="g")),
    "Tool.description": (TOOLED, _asking(description="d")),
    "Tool.input_schema": (TOOLED, _asking(input_schema={"type": "object", "title": "x"})),
    "Tool.strict": (TOOLED, _asking(strict=True)),
    "Tool.cache": (TOOLED, _asking(cache=CachePoint())),
    "ToolChoice.mode": (
        replace(TOOLED, tool_choice=ToolChoice("any")),
        replace(TOOLED, tool_choice=ToolChoice("none")),
    ),
    "ToolChoice.name": (
        replace(TOOLED, tool_choice=ToolChoice("any")),
        replace(TOOLED, tool_choice=ToolChoice("tool", "f")),
    ),
    "Reasoning.effort": (said(), said(reasoning=Reasoning("high"))),
    "Reasoning.budget_tokens": (said(), said(reasoning=Reasoning(budget_tokens=2048))),
    "ResponseFormat.schema": (
        said(response_format=FORM),
        said(response_format=replace(FORM, schema={"type": "array"})),
    ),
    "ResponseFormat.name": (said(response_format=FORM), said(response_format=replace(FORM, name="m"))),
    "ResponseFormat.description": (
        said(response_format=FORM),
        said(response_format=replace(FORM, description="d")),
    ),
    "ResponseFormat.strict": (said(response_format=FORM), said(response_format=replace(FORM, strict=False))),
    "Guardrail.identifier": (said(guardrail=Guardrail("g", "1")), said(guardrail=Guardrail("h", "1"))),
    "Guardrail.version": (said(guardrail=Guardrail("g", "1")), said(guardrail=Guardrail("g", "2"))),
    "Guardrail.stream_mode": (
        said(guardrail=Guardrail("g", "1")),
        said(guardrail=Guardrail("g", "1", stream_mode="sync")),
    ),
}
"""Field → a request without it, or with a value of it, and one with another."""
TABLE: Mapping[str, tuple[str, str, str, str]] = {
    "CompletionRequest.model": ("model", "model", "model", "model"),
    "CompletionRequest.messages": (
        "messages[].content[].text",
        "messages[].content[].text",
        "input[].content[].text",
        "messages[].content[].text",
    ),
    "CompletionRequest.system": ("system[].type", "messages[].role", "input[].role", "system[].type"),
    "CompletionRequest.max_tokens": (
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
    ),
    "CompletionRequest.temperature": ("temperature", "temperature", "temperature", "temperature"),
    "CompletionRequest.top_p": ("top_p", "top_p", "top_p", "top_p"),
    "CompletionRequest.top_k": ("top_k", "top_k", "top_k", "top_k"),
    "CompletionRequest.stop": ("stop[]", "stop[]", "! stop", "stop_sequences[]"),
    "CompletionRequest.tools": ("tools[].type", "tools[].type", "tools[].type", "tools[].name"),
    "CompletionRequest.tool_choice": ("tool_choice", "tool_choice", "tool_choice", "tool_choice.type"),
    "CompletionRequest.parallel_tool_calls": (
        "parallel_tool_calls",
        "parallel_tool_calls",
        "parallel_tool_calls",
        "tool_choice.disable_parallel_tool_use",
    ),
    "CompletionRequest.reasoning": (
        "reasoning.effort",
        "reasoning_effort",
        "reasoning.effort",
        "thinking.type",
    ),
    "CompletionRequest.response_format": (
        "response_format.type",
        "response_format.type",
        "text.format.type",
        "output_config.format.type",
    ),
    "CompletionRequest.seed": ("seed", "seed", "! seed", "! seed"),
    "CompletionRequest.guardrail": (
        "guardrail.identifier",
        "X-Amzn-Bedrock-GuardrailIdentifier",
        "X-Amzn-Bedrock-GuardrailIdentifier",
        "X-Amzn-Bedrock-GuardrailIdentifier",
    ),
    "CompletionRequest.service_tier": (
        "service_tier",
        "service_tier",
        "service_tier",
        "X-Amzn-Bedrock-Service-Tier",
    ),
    "CompletionRequest.latency": (
        "latency",
        "X-Amzn-Bedrock-PerformanceConfig-Latency",
        "X-Amzn-Bedrock-PerformanceConfig-Latency",
        "X-Amzn-Bedrock-PerformanceConfig-Latency",
    ),
    "CompletionRequest.betas": ("betas[]", "! betas", "! betas", "anthropic-beta"),
    "CompletionRequest.metadata": (
        "metadata.a",
        "metadata.a",
        "metadata.a",
        "X-Amzn-Bedrock-Request-Metadata",
    ),
    "CompletionRequest.provider": ("provider", "! provider", "! provider", "! provider"),
    "Message.role": ("messages[].role", "messages[].role", "input[].role", "messages[].role"),
    "Message.content": (
        "messages[].content[].type",
        "messages[].content[].type",
        "input[].content[].type",
        "messages[].content[].type",
    ),
    "TextPart.text": (
        "messages[].content[].text",
        "messages[].content[].text",
        "input[].content[].text",
        "messages[].content[].text",
    ),
    "ImagePart.format": (
        "messages[].content[].image_url.url",
        "messages[].content[].image_url.url",
        "input[].content[].image_url",
        "messages[].content[].source.media_type",
    ),
    "ImagePart.data": (
        "messages[].content[].image_url.url",
        "messages[].content[].image_url.url",
        "input[].content[].image_url",
        "messages[].content[].source.data",
    ),
    "DocumentPart.format": (
        "messages[].content[].file.file_data",
        "messages[].content[].file.filename",
        "input[].content[].file_data",
        "messages[].content[].source.type",
    ),
    "DocumentPart.data": (
        "messages[].content[].file.file_data",
        "messages[].content[].file.file_data",
        "input[].content[].file_data",
        "messages[].content[].source.data",
    ),
    "DocumentPart.name": (
        "messages[].content[].file.filename",
        "messages[].content[].file.filename",
        "input[].content[].filename",
        "messages[].content[].title",
    ),
    "DocumentPart.citations": (
        "messages[].content[].citations",
        "! messages[].content[].citations",
        "! input[].content[].citations",
        "messages[].content[].citations.enabled",
    ),
    "DocumentPart.context": (
        "messages[].content[].context",
        "! messages[].content[].context",
        "! input[].content[].context",
        "messages[].content[].context",
    ),
    "CachePoint.ttl": (
        "messages[].content[].ttl",
        "messages[].content[].cache_control.ttl",
        "! input[].content[].cache_control",
        "messages[].content[].cache_control.ttl",
    ),
    "ReasoningPart.text": (
        "messages[].reasoning[].text",
        "messages[].thinking_blocks[].thinking",
        "input[].summary[].text",
        "messages[].content[].thinking",
    ),
    "ReasoningPart.signature": (
        "messages[].reasoning[].signature",
        "messages[].thinking_blocks[].signature",
        "input[].encrypted_content",
        "messages[].content[].signature",
    ),
    "ReasoningPart.redacted": (
        "messages[].reasoning[].redacted",
        "messages[].thinking_blocks[].type",
        "input[].type",
        "messages[].content[].type",
    ),
    "ToolUsePart.id": (
        "messages[].tool_calls[].id",
        "messages[].tool_calls[].id",
        "input[].call_id",
        "messages[].content[].id",
    ),
    "ToolUsePart.name": (
        "messages[].tool_calls[].function.name",
        "messages[].tool_calls[].function.name",
        "input[].name",
        "messages[].content[].name",
    ),
    "ToolUsePart.arguments": (
        "messages[].tool_calls[].function.arguments",
        "messages[].tool_calls[].function.arguments",
        "input[].arguments",
        "messages[].content[].input",
    ),
    "ToolResultPart.tool_use_id": (
        "messages[].tool_call_id",
        "messages[].tool_call_id",
        "input[].call_id",
        "messages[].content[].tool_use_id",
    ),
    "ToolResultPart.content": (
        "messages[].content[].type",
        "messages[].content[].type",
        "input[].output[].type",
        "messages[].content[].content[].type",
    ),
    "ToolResultPart.is_error": (
        "messages[].is_error",
        "! messages[].is_error",
        "! input[].is_error",
        "messages[].content[].is_error",
    ),
    "Tool.name": ("tools[].function.name", "tools[].function.name", "tools[].name", "tools[].name"),
    "Tool.description": (
        "tools[].function.description",
        "tools[].function.description",
        "tools[].description",
        "tools[].description",
    ),
    "Tool.input_schema": (
        "tools[].function.parameters.title",
        "tools[].function.parameters.title",
        "tools[].parameters.title",
        "tools[].input_schema.title",
    ),
    "Tool.strict": ("tools[].function.strict", "tools[].function.strict", "tools[].strict", "tools[].strict"),
    "Tool.cache": (
        "tools[].cache_point.ttl",
        "tools[].cache_control.type",
        "! tools[].cache_control",
        "tools[].cache_control.type",
    ),
    "ToolChoice.mode": ("tool_choice", "tool_choice", "tool_choice", "tool_choice.type"),
    "ToolChoice.name": ("tool_choice.type", "tool_choice.type", "tool_choice.type", "tool_choice.type"),
    "Reasoning.effort": ("reasoning.effort", "reasoning_effort", "reasoning.effort", "output_config.effort"),
    "Reasoning.budget_tokens": (
        "reasoning.budget_tokens",
        "thinking.type",
        "! reasoning.budget_tokens",
        "thinking.type",
    ),
    "ResponseFormat.schema": (
        "response_format.json_schema.schema.type",
        "response_format.json_schema.schema.type",
        "text.format.schema.type",
        "output_config.format.schema.type",
    ),
    "ResponseFormat.name": (
        "response_format.json_schema.name",
        "response_format.json_schema.name",
        "text.format.name",
        "! output_config.format.name",
    ),
    "ResponseFormat.description": (
        "response_format.json_schema.description",
        "response_format.json_schema.description",
        "text.format.description",
        "! output_config.format.description",
    ),
    "ResponseFormat.strict": (
        "response_format.json_schema.strict",
        "response_format.json_schema.strict",
        "text.format.strict",
        "! output_config.format.strict",
    ),
    "Guardrail.identifier": (
        "guardrail.identifier",
        "X-Amzn-Bedrock-GuardrailIdentifier",
        "X-Amzn-Bedrock-GuardrailIdentifier",
        "X-Amzn-Bedrock-GuardrailIdentifier",
    ),
    "Guardrail.version": (
        "guardrail.version",
        "X-Amzn-Bedrock-GuardrailVersion",
        "X-Amzn-Bedrock-GuardrailVersion",
        "X-Amzn-Bedrock-GuardrailVersion",
    ),
    "Guardrail.stream_mode": ("guardrail.stream_mode", "! guardrail", "! guardrail", "! guardrail"),
}
"""Field → where native, chat, Responses and Anthropic say it; `!` and a field: a 400 that names it."""


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            step = f"[{key}]" if isinstance(key, int) else f".{key}"
            yield from _leaves(inner, path + step)
    else:
        yield path.removeprefix("."), value


def _anywhere(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def _place(before: Written, after: Written) -> str:
    """Return where two writings of a request first differ: the value, the header or the path in the body."""
    if before.betas != after.betas:
        return "anthropic-beta"
    for one, other in ((after, before), (before, after)):
        for name, value in one.headers.items():
            if other.headers.get(name) != value:
                return name
    known = list(_leaves(before.body))
    for path, value in _leaves(after.body):
        if (path, value) not in known:
            return _anywhere(path)
    return "-"


def _cell(dialect: str, field: str) -> str:
    without, with_it = EXAMPLES[field]
    if sayable(with_it, dialect) == sayable(without, dialect):
        lacks = [lack for lack in LACKS.values() if dialect in lack.attempts]
        refused = [lack.attempts[dialect][1] for lack in lacks if lack.cut(with_it) == lack.cut(without)]
        return f"! {_anywhere(refused[0])}"
    ours = DIALECTS[dialect]
    before, after = (ours.write(sayable(one, dialect)) for one in (without, with_it))
    assert ours.read(after) == sayable(with_it, dialect)
    return _place(before, after)


@pytest.mark.parametrize("field", EXAMPLES)
def test_each_dialect_says_a_field_there_or_refuses_it(field: str) -> None:
    """What `test_round_trips` holds each row of the refusals to."""
    assert tuple(_cell(dialect, field) for dialect in DIALECTS) == TABLE[field]


NOBODYS = {"CompletionRequest.allowance"}
"""What no caller says: it comes from the rules that the operator has for the caller."""


def test_every_field_is_in_the_table() -> None:
    """Who gives the domain a new field says here how callers say it, or that they do not."""
    kinds = [CompletionRequest, Message, TextPart, ImagePart, DocumentPart, CachePoint, ReasoningPart]
    kinds += [ToolUsePart, ToolResultPart, Tool, ToolChoice, Reasoning, ResponseFormat, Guardrail]
    assert {
        f"{kind.__name__}.{one.name}" for kind in kinds for one in fields(kind)
    } - NOBODYS == EXAMPLES.keys()
    assert EXAMPLES.keys() == TABLE.keys()
    for kind in kinds:
        assert getattr(domain, kind.__name__) is kind
