"""Nothing that a caller asks for is dropped: every field changes what is sent, or is refused by name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.bedrock.bodies import body_of
from gateway.catalog.catalog import Catalog
from gateway.catalog.choices import ModelOverride
from gateway.catalog.features import Features
from gateway.catalog.model import Model
from gateway.codecs import CODECS, structured
from gateway.domain import (
    Allowance,
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
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.model import Family

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool("clock", None, SCHEMA)
PLAIN = CompletionRequest(model="m", messages=(Message("user", (TextPart("Hi"),)),))
TOOLED = replace(PLAIN, tools=(TOOL,))
PDF = DocumentPart("pdf", b"x", "report")


def says(*parts: Any, plain: CompletionRequest = PLAIN) -> CompletionRequest:
    """Return a request whose user says a text and these parts."""
    return replace(plain, messages=(Message("user", (TextPart("Hi"), *parts)),))


CALLED = replace(
    TOOLED,
    messages=(
        *PLAIN.messages,
        Message("assistant", (ToolUsePart("t1", "clock", {}),)),
        Message("user", (ToolResultPart("t1", (TextPart("noon"),)),)),
    ),
)


def returns(item: Any) -> CompletionRequest:
    """Return a conversation in which a tool returned this too."""
    result = ToolResultPart("t1", (TextPart("noon"), item))
    return replace(CALLED, messages=(*CALLED.messages[:2], Message("user", (result,))))


def answered(part: Any) -> CompletionRequest:
    """Return a conversation in which the model has said this."""
    turn = Message("assistant", (part, TextPart("So.")))
    return replace(PLAIN, messages=(*PLAIN.messages, turn, *PLAIN.messages))


FAILED = replace(CALLED.messages[2], content=(ToolResultPart("t1", (TextPart("noon"),), is_error=True),))
SPOKEN = answered(TextPart("Hm."))
FORMED = replace(PLAIN, response_format=ResponseFormat(SCHEMA, "a"))

ASKED: dict[str, tuple[CompletionRequest, CompletionRequest, str]] = {
    "system": (PLAIN, replace(PLAIN, system=(TextPart("Be brief."),)), "system"),
    "cached system": (
        replace(PLAIN, system=(TextPart("Be brief."),)),
        replace(PLAIN, system=(TextPart("Be brief."), CachePoint())),
        "system[1]",
    ),
    "max_tokens": (PLAIN, replace(PLAIN, max_tokens=77), "max_tokens"),
    "temperature": (PLAIN, replace(PLAIN, temperature=0.25), "temperature"),
    "top_p": (PLAIN, replace(PLAIN, top_p=0.25), "top_p"),
    "top_k": (PLAIN, replace(PLAIN, top_k=7), "top_k"),
    "stop": (PLAIN, replace(PLAIN, stop=("###",)), "stop"),
    "tools": (PLAIN, TOOLED, "tools"),
    "tool_choice": (TOOLED, replace(TOOLED, tool_choice=ToolChoice("any")), "tool_choice"),
    "named tool": (TOOLED, replace(TOOLED, tool_choice=ToolChoice("tool", "clock")), "tool_choice"),
    "no tool": (TOOLED, replace(TOOLED, tool_choice=ToolChoice("none")), "tool_choice"),
    "strict tool": (TOOLED, replace(TOOLED, tools=(replace(TOOL, strict=True),)), "tools[0].strict"),
    "cached tool": (TOOLED, replace(TOOLED, tools=(replace(TOOL, cache=CachePoint()),)), "tools[0].cache"),
    "parallel_tool_calls": (TOOLED, replace(TOOLED, parallel_tool_calls=False), "parallel_tool_calls"),
    "effort": (PLAIN, replace(PLAIN, reasoning=Reasoning("high")), "reasoning"),
    "budget": (PLAIN, replace(PLAIN, reasoning=Reasoning(budget_tokens=2000)), "reasoning"),
    "schema": (PLAIN, replace(PLAIN, response_format=ResponseFormat(SCHEMA, "a")), "response_format"),
    "json": (PLAIN, replace(PLAIN, response_format=ResponseFormat()), "response_format"),
    "seed": (PLAIN, replace(PLAIN, seed=7), "seed"),
    "guardrail": (PLAIN, replace(PLAIN, guardrail=Guardrail("g", "1")), "guardrail"),
    "stream_mode": (
        replace(PLAIN, guardrail=Guardrail("g", "1")),
        replace(PLAIN, guardrail=Guardrail("g", "1", stream_mode="async")),
        "guardrail",
    ),
    "service_tier": (PLAIN, replace(PLAIN, service_tier="flex"), "service_tier"),
    "default tier": (PLAIN, replace(PLAIN, service_tier="default"), "service_tier"),
    "latency": (PLAIN, replace(PLAIN, latency="optimized"), "latency"),
    "standard latency": (PLAIN, replace(PLAIN, latency="standard"), "latency"),
    "betas": (PLAIN, replace(PLAIN, betas=("context-1m-2025-08-07",)), "betas"),
    "metadata": (PLAIN, replace(PLAIN, metadata={"team": "a"}), "metadata"),
    "provider": (PLAIN, replace(PLAIN, provider="nobody"), "provider"),
    "image": (PLAIN, says(ImagePart("png", b"x")), "messages[0].content[1]"),
    "document": (PLAIN, says(PDF), "messages[0].content[1]"),
    "citations": (says(PDF), says(replace(PDF, citations=True)), "messages[0].content[1]"),
    "context": (says(PDF), says(replace(PDF, context="c")), "messages[0].content[1]"),
    "cache point": (PLAIN, says(CachePoint()), "messages[0].content[1]"),
    "cache for an hour": (says(CachePoint()), says(CachePoint("1h")), "messages[0].content[1]"),
    "name of a document": (says(PDF), says(replace(PDF, name="paper")), "messages[0].content[1]"),
    "description of a tool": (TOOLED, replace(TOOLED, tools=(replace(TOOL, description="d"),)), "tools[0]"),
    "tool cached for an hour": (
        replace(TOOLED, tools=(replace(TOOL, cache=CachePoint()),)),
        replace(TOOLED, tools=(replace(TOOL, cache=CachePoint("1h")),)),
        "tools[0].cache",
    ),
    "allowance": (PLAIN, replace(PLAIN, allowance=Allowance(7)), "max_tokens"),
    "description of a form": (
        FORMED,
        replace(FORMED, response_format=ResponseFormat(SCHEMA, "a", "d")),
        "response_format",
    ),
    "failed tool": (CALLED, replace(CALLED, messages=(*CALLED.messages[:2], FAILED)), "messages[2].content"),
    "reasoning": (SPOKEN, answered(ReasoningPart("Hm.")), "messages[1].content[0]"),
    "signature": (SPOKEN, answered(ReasoningPart("Hm.", "s")), "messages[1].content[0]"),
    "another signature": (
        answered(ReasoningPart("Hm.", "s")),
        answered(ReasoningPart("Hm.", "t")),
        "messages[1].content[0]",
    ),
    "redacted reasoning": (SPOKEN, answered(ReasoningPart(redacted="eA==")), "messages[1].content[0]"),
    "document of a tool": (CALLED, returns(PDF), "messages[2].content[0]"),
}
"""What is asked: the request without it, the request with it, and where a refusal must point."""


def model(family: Family, **features: Any) -> Model:
    """Return a model of this family of which nothing is known but what is said here."""
    api: Any = "converse" if family == "converse" else "invoke"
    return Model(
        id="m",
        base_id="acme.m",
        provider="acme",
        native_family=None if family == "converse" else family,
        api=api,
        features=Features(**features),
    )


MODELS = [
    *(model(family) for family in sorted(CODECS)),
    *Catalog(region="us-east-1").models().values(),
    *Catalog(region="us-east-1", operation="converse").models().values(),
]


def sent(request: CompletionRequest, asked: Model) -> Any:
    """Return all that a call consists of."""
    body = body_of(asked, request, lambda: (), check_provider=True)
    return orjson.loads(body.body), body.headers, body.stop, body.answer_tool


def outcome(request: CompletionRequest, asked: Model) -> Any:
    """Return all that a call consists of, or the refusal."""
    try:
        return sent(request, asked)
    except InvalidRequest as refusal:
        return refusal


@pytest.mark.parametrize("what", ASKED)
def test_it_is_applied_or_refused_by_name(what: str) -> None:
    """For every family, and for every model of the catalogue by either operation."""
    without, with_it, param = ASKED[what]
    dropped, misnamed = [], []
    for asked in MODELS:
        before, after = outcome(without, asked), outcome(with_it, asked)
        if isinstance(before, InvalidRequest):
            continue  # what it stands beside is refused: that is a row of its own
        if isinstance(after, InvalidRequest):
            misnamed += [] if (after.param or "").startswith(param) else [(asked.base_id, after.message)]
        elif after == before and not (what == "stream_mode" and not asked.streaming):
            dropped.append((asked.base_id, asked.api))  # the mode of a stream means nothing without one
    assert (dropped, misnamed) == ([], [])


def test_every_field_has_a_row() -> None:
    """A new field of the domain must not slip through."""
    asked = {name for row in ASKED.values() for name in _changed(*row[:2])}
    assert asked == {field.name for field in fields(CompletionRequest)} - {"model"}


def _changed(without: CompletionRequest, with_it: CompletionRequest) -> set[str]:
    names = {field.name for field in fields(CompletionRequest)}
    return {name for name in names if getattr(without, name) != getattr(with_it, name)}


# ── what goes together, and what a refusal says ───────────────────────────────────────────────────────

FORM = ResponseFormat(SCHEMA, "a")
ARRAY = ResponseFormat({"type": "array"}, "a")
OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
SONNET_4 = "us.anthropic.claude-sonnet-4-20250514-v1:0"
OPUS_46 = "us.anthropic.claude-opus-4-6-v1"
OPUS_55 = "us.anthropic.claude-opus-5-5"
NOVA = "amazon.nova-lite-v1:0"
THOUGHT = Message("assistant", (ReasoningPart("Hm.", "s"), CachePoint()))


@pytest.mark.parametrize(
    ("name", "fields", "way"),
    [
        (NOVA, {"response_format": FORM}, "tool"),
        (NOVA, {"response_format": ARRAY}, "none"),
        (NOVA, {"response_format": ResponseFormat()}, "tool"),
        (NOVA, {"response_format": FORM, "tools": (TOOL,), "tool_choice": ToolChoice("any")}, "none"),
        (NOVA, {"response_format": FORM, "tools": (TOOL,), "tool_choice": ToolChoice("auto")}, "tool"),
        (SONNET_4, {"response_format": FORM, "reasoning": Reasoning("low")}, "none"),
        (OPUS_46, {"response_format": FORM, "reasoning": Reasoning("low")}, "native"),
        (OPUS_46, {"response_format": ARRAY}, "native"),
        (OPUS_55, {"response_format": FORM}, "unsure"),
        (OPAQUE, {"response_format": FORM}, "unsure"),
        (OPAQUE, {"response_format": ResponseFormat()}, "tool"),
        ("us.meta.llama3-3-70b-instruct-v1:0", {"response_format": FORM}, "none"),
        ("openai.gpt-oss-20b-1:0", {"response_format": ResponseFormat()}, "tool"),
        (NOVA, {}, "native"),
    ],
)
def test_how_an_answer_is_given_its_form(name: str, fields: dict[str, Any], way: str) -> None:
    """By the model itself, by a tool that it can be made to call, or not at all."""
    assert structured.way(replace(PLAIN, **fields), Catalog().resolve(name)) == way


@pytest.mark.parametrize(
    ("name", "request_", "param"),
    [
        (OPUS_46, replace(PLAIN, parallel_tool_calls=False), "parallel_tool_calls"),
        (OPUS_46, replace(PLAIN, system=(CachePoint(),)), "system[0]"),
        (OPUS_46, says(CachePoint(), CachePoint()), "messages[0].content[2]"),
        (OPUS_46, replace(PLAIN, messages=(*PLAIN.messages, THOUGHT)), "messages[1].content[1]"),
        ("amazon.titan-text-express-v1", CALLED, "tools"),
        (
            "amazon.titan-text-express-v1",
            replace(CALLED, tools=(), messages=CALLED.messages[:2]),
            "messages[1].content[0]",
        ),
        (
            "amazon.titan-text-express-v1",
            replace(TOOLED, tool_choice=ToolChoice("any")),
            "tools",
        ),
    ],
)
def test_what_does_not_go_together(name: str, request_: CompletionRequest, param: str) -> None:
    """The refusal points at what is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        sent(request_, Catalog().resolve(name))
    assert caught.value.param == param


def test_a_refusal_names_a_few_models_that_would_do() -> None:
    """Those that are known to, by the names under which they may be asked here."""
    models = [(f"m{number}", model("claude", documents=number > 0 or None)) for number in range(8)]
    with pytest.raises(InvalidRequest) as caught:
        body_of(model("titan"), says(PDF), lambda: models, check_provider=False)
    assert caught.value.message == (
        "messages[0].content[1]: acme.m does not take documents by InvokeModel. "
        "Models here that do: m1, m2, m3, m4, m5 and 2 more."
    )


def test_the_operator_knows_better() -> None:
    """What the catalogue knows of a model can be put right; by the alias or by the model's own id."""
    request = replace(PLAIN, model="mine", response_format=FORM)
    overrides = {
        NOVA: ModelOverride(features={"tools": False}),
        "mine": ModelOverride(features={"latency": True}),
    }
    catalog = Catalog(aliases={"mine": NOVA}, overrides=overrides)
    assert catalog.resolve("mine").features.latency is True
    assert structured.way(request, catalog.resolve("mine")) == "none"
    assert structured.way(request, Catalog().resolve(NOVA)) == "tool"
