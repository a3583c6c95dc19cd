"""The native API's words for what not every model has: documents, caching, reasoning, guardrails."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.dialects.native import parse
from gateway.domain import (
    CachePoint,
    DocumentPart,
    Guardrail,
    Message,
    Reasoning,
    ResponseFormat,
    TextPart,
    Tool,
    ToolResultPart,
    ToolUsePart,
)
from gateway.errors import InvalidRequest

HI = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object"}
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF").decode()
FILE = {"type": "file", "file": {"filename": "report.pdf", "file_data": PDF}}
POINT = {"type": "cache_point"}
CLOCK = {"name": "clock", "parameters": SCHEMA}
CALL = {"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "clock", "arguments": "{}"}}]}


def said(**fields: Any) -> dict[str, Any]:
    """Return a body with these fields."""
    return {"model": "m", "messages": [HI], **fields}


def user(*content: Any) -> dict[str, Any]:
    """Return a body whose user says this."""
    return {"model": "m", "messages": [{"role": "user", "content": list(content)}]}


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (user(FILE), "messages", (Message("user", (DocumentPart("pdf", b"%PDF", "report.pdf"),)),)),
        (
            user(FILE | {"citations": True, "context": "of 2024"}),
            "messages",
            (Message("user", (DocumentPart("pdf", b"%PDF", "report.pdf", True, "of 2024"),)),),  # noqa: FBT003 - its fields
        ),
        (
            user({"type": "text", "text": "a"}, POINT | {"ttl": "1h"}),
            "messages",
            (Message("user", (TextPart("a"), CachePoint("1h"))),),
        ),
        (
            said(system=[{"type": "text", "text": "Be brief."}, POINT]),
            "system",
            (TextPart("Be brief."), CachePoint()),
        ),
        (
            said(messages=[{"role": "system", "content": [{"type": "text", "text": "a"}, POINT]}, HI]),
            "system",
            (TextPart("a"), CachePoint()),
        ),
        (
            said(
                messages=[
                    HI,
                    CALL,
                    {
                        "role": "tool",
                        "tool_call_id": "t",
                        "content": [{"type": "text", "text": "noon"}, FILE, POINT],
                    },
                ]
            ),
            "messages",
            (
                Message("user", (TextPart("hi"),)),
                Message("assistant", (ToolUsePart("t", "clock", {}),)),
                Message(
                    "user",
                    (
                        ToolResultPart("t", (TextPart("noon"), DocumentPart("pdf", b"%PDF", "report.pdf"))),
                        CachePoint(),
                    ),
                ),
            ),
        ),
        (
            said(messages=[HI, {"role": "assistant", "content": [{"type": "text", "text": "a"}, POINT]}, HI]),
            "messages",
            (
                Message("user", (TextPart("hi"),)),
                Message("assistant", (TextPart("a"), CachePoint())),
                Message("user", (TextPart("hi"),)),
            ),
        ),
        (
            said(
                tools=[
                    {
                        "type": "function",
                        "function": CLOCK | {"strict": True},
                        "cache_point": {"ttl": "5m"},
                    }
                ]
            ),
            "tools",
            (Tool("clock", None, SCHEMA, strict=True, cache=CachePoint("5m")),),
        ),
        (said(parallel_tool_calls=False), "parallel_tool_calls", False),
        (said(reasoning={"effort": "high"}), "reasoning", Reasoning("high")),
        (said(reasoning={"budget_tokens": 2000}), "reasoning", Reasoning(budget_tokens=2000)),
        (said(response_format={"type": "text"}), "response_format", None),
        (said(response_format={"type": "json_object"}), "response_format", ResponseFormat()),
        (
            said(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": SCHEMA, "strict": True, "description": "d"},
                }
            ),
            "response_format",
            ResponseFormat(SCHEMA, "a", "d", strict=True),
        ),
        (said(seed=-7), "seed", -7),
        (
            said(guardrail={"identifier": "g1", "version": "DRAFT", "stream_mode": "sync"}),
            "guardrail",
            Guardrail("g1", "DRAFT", "sync"),
        ),
        (said(service_tier="flex"), "service_tier", "flex"),
        (said(latency="optimized"), "latency", "optimized"),
        (said(betas=["context-1m-2025-08-07"]), "betas", ("context-1m-2025-08-07",)),
    ],
)
def test_what_a_field_means(body: dict[str, Any], field: str, value: Any) -> None:
    """Each feature of the domain has its words."""
    assert getattr(parse(body), field) == value


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (
            user({"type": "file", "file": {"filename": "a", "file_data": "https://host/a.pdf"}}),
            "messages[0].content[0].file.file_data",
        ),
        (
            said(messages=[HI, CALL, {"role": "tool", "tool_call_id": "t", "content": [POINT, FILE]}]),
            "messages[2].content",
        ),
        (user({"type": "cache_point", "ttl": "1d"}), "messages[0].content[0].ttl"),
        (said(reasoning={}), "reasoning"),
        (said(reasoning={"effort": "low", "budget_tokens": 2000}), "reasoning"),
        (said(reasoning={"effort": "huge"}), "reasoning.effort"),
        (said(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (said(guardrail={"identifier": "g1"}), "guardrail.version"),
        (said(guardrail={"identifier": "G 1", "version": "1"}), "guardrail.identifier"),
        (said(service_tier="auto"), "service_tier"),
        (said(betas=["unheard-of"]), "betas"),
        (said(seed=1.5), "seed"),
    ],
)
def test_what_is_wrong_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.param == param
