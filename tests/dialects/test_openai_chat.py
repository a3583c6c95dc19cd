"""OpenAI's chat completions: what is accepted means exactly this, what is refused names its field."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import openai_plain
from gateway.dialects.openai_chat import of_schema, parse
from gateway.dialects.openai_places import name_field
from gateway.dialects.openai_plain import ChatRequest
from gateway.dialects.openai_refused import REFUSED
from gateway.domain import (
    CachePoint,
    CompletionRequest,
    DocumentPart,
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
from gateway.wire import json

if TYPE_CHECKING:
    from gateway.domain import Part

HI = {"role": "user", "content": "hi"}
USER = Message("user", (TextPart("hi"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
TOOL = Tool("weather", None, SCHEMA)
TIME = {"type": "function", "function": {"name": "time"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
USE = ToolUsePart("c1", "weather", {"city": "Rome"})
MARK = {"cache_control": {"type": "ephemeral"}}
PDF = "data:application/pdf;base64,JVBERg=="


def body(**fields: Any) -> dict[str, Any]:
    """Return a good body with these fields."""
    return {"model": "m", "messages": [HI], **fields}


def dialogue(*messages: Any, **fields: Any) -> dict[str, Any]:
    """Return a body with these messages."""
    return {"model": "m", "messages": list(messages), **fields}


def saying(*parts: Any) -> dict[str, Any]:
    """Return a body with one user message of these parts."""
    return dialogue({"role": "user", "content": list(parts)})


def text(said: str, **marks: Any) -> dict[str, Any]:
    """Return a part of text."""
    return {"type": "text", "text": said, **marks}


def file(**fields: Any) -> dict[str, Any]:
    """Return a part that is a file."""
    return {"type": "file", "file": fields}


def user(*parts: Part) -> tuple[Message, ...]:
    """Return one turn of the user's."""
    return (Message("user", parts),)


def choosing(choice: Any) -> dict[str, Any]:
    """Return a body with two tools and a choice."""
    return body(tools=[WEATHER, TIME], tool_choice=choice)


# ── accepted ──────────────────────────────────────────────────────────────────────────────────────────

ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "least": (body(), {}),
    "parameters": (
        body(
            max_completion_tokens=5,
            temperature=0.5,
            top_p=1,
            top_k=3,
            stop=["a", "b"],
            seed=-7,
            metadata={"k": "v"},
            service_tier="flex",
        ),
        {
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 1.0,
            "top_k": 3,
            "stop": ("a", "b"),
            "seed": -7,
            "metadata": {"k": "v"},
            "service_tier": "flex",
        },
    ),
    "the old name of the limit": (body(max_tokens=5), {"max_tokens": 5}),
    "one stop sequence": (body(stop="a"), {"stop": ("a",)}),
    "null is like absent": (
        body(
            **dict.fromkeys(
                (
                    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed"),
                    *("tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "thinking", "user"),
                    *("response_format", "stream", "stream_options", "service_tier", "metadata"),
                    *("safety_identifier", "prompt_cache_key", "prompt_cache_options", *REFUSED),
                )
            )
        ),
        {},
    ),
    "what asks for nothing": (
        body(
            n=1,
            logprobs=False,
            logit_bias={},
            top_logprobs=0,
            frequency_penalty=0,
            presence_penalty=0.0,
            modalities=["text"],
            store=False,
            functions=[],
            function_call="none",
            verbosity="medium",
            prompt_cache_retention="in_memory",
            prompt_cache_key="k",
            service_tier="auto",
            response_format={"type": "text"},
        ),
        {},
    ),
    "who asks": (
        body(user="ann@example.org", safety_identifier="9", metadata={"a": "b"}),
        {"metadata": {"a": "b", "user": "ann@example.org", "safety_identifier": "9"}},
    ),
    **{
        f"service tier {tier}": (body(service_tier=tier), {"service_tier": meant})
        for tier, meant in {
            "default": "default",
            "priority": "priority",
            "fast": "priority",
            "reserved": "reserved",
        }.items()
    },
    **{
        f"effort {effort}": (body(reasoning_effort=effort), {"reasoning": Reasoning(effort=effort)})
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    },
    "thinking": (
        body(thinking={"type": "enabled", "budget_tokens": 2048}),
        {"reasoning": Reasoning(budget_tokens=2048)},
    ),
    "no thinking": (body(thinking={"type": "disabled"}), {"reasoning": Reasoning(effort="none")}),
    "some JSON": (
        body(response_format={"type": "json_object"}),
        {"response_format": ResponseFormat()},
    ),
    "JSON of a schema": (
        body(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True},
            }
        ),
        {"response_format": ResponseFormat(SCHEMA, "n", "d", strict=True)},
    ),
    # messages
    "system text stands before the turns, wherever it came": (
        dialogue(
            {"role": "system", "content": "one"},
            HI,
            {"role": "developer", "content": [text("two"), text("", **MARK), text("three")]},
        ),
        {
            "messages": (USER,),
            "system": (TextPart("one"), TextPart("two"), CachePoint(), TextPart("three")),
        },
    ),
    "which user": (
        dialogue({"role": "user", "content": "hi", "name": "Ann"}),
        {"messages": user(TextPart("<name>Ann</name>"), TextPart("hi"))},
    ),
    "names that are not sent": (
        dialogue(
            {"role": "system", "content": "s", "name": "n"},
            HI,
            {"role": "assistant", "content": "yes", "name": "n"},
            {"role": "tool", "content": "r", "tool_call_id": "c1", "name": "n"},
        ),
        {
            "system": (TextPart("s"),),
            "messages": (
                USER,
                Message("assistant", (TextPart("yes"),)),
                Message("user", (ToolResultPart("c1", (TextPart("r"),)),)),
            ),
        },
    ),
    "an image": (
        saying(
            text("see"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "high"}},
        ),
        {"messages": user(TextPart("see"), ImagePart("png", b"\x89PN"))},
    ),
    "a file": (
        saying(file(file_data=PDF, filename="my draft.v2.pdf")),
        {"messages": user(DocumentPart("pdf", b"%PDF", "my draft.v2"))},
    ),
    "a file without a name": (
        saying(file(file_data=PDF)),
        {"messages": user(DocumentPart("pdf", b"%PDF", "document"))},
    ),
    "a file as bare base64": (
        saying(file(file_data="YSxi", filename="table.CSV")),
        {"messages": user(DocumentPart("csv", b"a,b", "table"))},
    ),
    "a file whose name is its format": (
        saying(file(file_data="YSxi", filename=".md")),
        {"messages": user(DocumentPart("md", b"a,b", "md"))},
    ),
    "cache points": (
        dialogue(
            {"role": "user", "content": [text("a", **MARK), text("b")]},
            {"role": "assistant", "content": [text("c", cache_control={"type": "ephemeral", "ttl": "1h"})]},
            {"role": "user", "content": "d", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
            tools=[
                {**WEATHER, **MARK},
                {"type": "function", "function": {"name": "f", "parameters": {}, **MARK}},
            ],
        ),
        {
            "messages": (
                Message("user", (TextPart("a"), CachePoint(), TextPart("b"))),
                Message("assistant", (TextPart("c"), CachePoint("1h"))),
                Message("user", (TextPart("d"), CachePoint("5m"))),
            ),
            "tools": (
                Tool("weather", None, SCHEMA, cache=CachePoint()),
                Tool("f", None, {}, cache=CachePoint()),
            ),
        },
    ),
    "OpenAI's own cache points live for as long at least": (
        saying(
            text("a", prompt_cache_breakpoint={"mode": "explicit"}),
            text("b", prompt_cache_breakpoint={"mode": "explicit", "ttl": "30m"}),
        ),
        {"messages": user(TextPart("a"), CachePoint(), TextPart("b"), CachePoint("1h"))},
    ),
    "the life of all of them": (
        {
            **saying(text("a", prompt_cache_breakpoint={"mode": "explicit"})),
            "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        },
        {"messages": user(TextPart("a"), CachePoint("1h"))},
    ),
    "a tool's round trip": (
        dialogue(
            HI,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": [text("sunny", **MARK), text("warm", **MARK)]},
            {"role": "tool", "tool_call_id": "c2", "content": "no"},
            {"role": "user", "content": "thanks"},
        ),
        {
            "messages": (
                USER,
                Message("assistant", (USE,)),
                Message(
                    "user",
                    (
                        ToolResultPart("c1", (TextPart("sunny"), TextPart("warm"))),
                        CachePoint(),
                        ToolResultPart("c2", (TextPart("no"),)),
                    ),
                ),
                Message("user", (TextPart("thanks"),)),
            )
        },
    ),
    "no text beside the calls": (
        dialogue(HI, {"role": "assistant", "content": "", "tool_calls": [CALL]}),
        {"messages": (USER, Message("assistant", (USE,)))},
    ),
    "no text beside an image": (
        saying(text(""), {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/"}}),
        {"messages": user(ImagePart("jpeg", b"\xff\xd8\xff"))},
    ),
    "a user who says nothing is heard": (saying(text("")), {"messages": user(TextPart(""))}),
    "a tool that says nothing": (
        dialogue(HI, {"role": "tool", "tool_call_id": "c1", "content": ""}),
        {"messages": (USER, Message("user", (ToolResultPart("c1", ()),)))},
    ),
    "an answer that said nothing": (
        dialogue(HI, {"role": "assistant", "content": ""}, HI),
        {"messages": (USER, USER)},
    ),
    "a message as an SDK gives it back": (
        dialogue(
            HI,
            {
                "role": "assistant",
                "content": "so",
                "refusal": None,
                "annotations": [],
                "citations": [{}],
                "audio": None,
                "function_call": None,
                "parsed": None,
                "reasoning_content": "hm",
                "thinking_blocks": [
                    {"index": 0, "type": "thinking", "thinking": "hm", "signature": "s"},
                    {"index": 1, "type": "redacted_thinking", "data": "r"},
                    {"type": "thinking", "thinking": "unsigned", "signature": ""},
                    {"type": "thinking", "signature": "alone"},
                ],
                "tool_calls": [
                    {**CALL, "index": 0, "function": {**CALL["function"], "parsed_arguments": {}}}  # type: ignore[dict-item]  # a call's function is an object
                ],
            },
        ),
        {
            "messages": (
                USER,
                Message(
                    "assistant",
                    (
                        ReasoningPart("hm", "s"),
                        ReasoningPart(redacted="r"),
                        ReasoningPart("unsigned"),
                        ReasoningPart("", "alone"),
                        TextPart("so"),
                        USE,
                    ),
                ),
            )
        },
    ),
    "reasoning that only was to be read": (
        dialogue(HI, {"role": "assistant", "content": "so", "reasoning_content": "hm"}),
        {"messages": (USER, Message("assistant", (TextPart("so"),)))},
    ),
    "refusals": (
        dialogue(
            HI,
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "assistant", "content": None, "refusal": "never"},
        ),
        {
            "messages": (
                USER,
                Message("assistant", (TextPart("no"),)),
                Message("assistant", (TextPart("never"),)),
            )
        },
    ),
    # tools
    "tools": (
        body(
            tools=[
                {
                    "type": "function",
                    "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
                },
                TIME,
            ],
            parallel_tool_calls=False,
        ),
        {
            "tools": (
                Tool("f", "d", SCHEMA, strict=True),
                Tool("time", None, {"type": "object", "properties": {}}),
            ),
            "parallel_tool_calls": False,
        },
    ),
    **{
        f"tool_choice {word}": (
            body(tools=[WEATHER], tool_choice=word),
            {"tools": (TOOL,), "tool_choice": choice},
        )
        for word, choice in {
            "auto": ToolChoice("auto"),
            "none": ToolChoice("none"),
            "required": ToolChoice("any"),
        }.items()
    },
    "a named tool": (
        body(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "weather"}}),
        {"tools": (TOOL,), "tool_choice": ToolChoice("tool", "weather")},
    ),
    "of allowed tools the model sees no others": (
        choosing(
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "weather"}}],
                },
            }
        ),
        {"tools": (TOOL,), "tool_choice": ToolChoice("any")},
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    """The request means this, and nothing else."""
    value, fields = ACCEPTED[name]

    assert parse(value) == ChatRequest(CompletionRequest(**{"model": "m", "messages": (USER,), **fields}))


@pytest.mark.parametrize(
    ("fields", "stream", "include_usage"),
    [
        ({"stream": True}, True, False),
        ({"stream": False}, False, False),
        ({"stream": True, "stream_options": {}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, False),
        (
            {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}},
            True,
            False,
        ),
    ],
)
def test_how_the_answer_is_wanted(fields: dict[str, Any], *, stream: bool, include_usage: bool) -> None:
    """As a stream or not, with a chunk of the usage or not."""
    asked = parse(body(**fields))

    assert (asked.stream, asked.include_usage) == (stream, include_usage)


def test_default_model() -> None:
    """It is meant where none is named."""
    assert parse({"messages": [HI]}, default_model="d").completion.model == "d"
    assert parse(body(), default_model="d").completion.model == "m"


# ── refused ───────────────────────────────────────────────────────────────────────────────────────────

REFUSALS: list[tuple[Any, str]] = [
    ([], "body"),
    ({"messages": [HI]}, "model"),
    ({"model": "m"}, "messages"),
    (dialogue(), "messages"),
    (dialogue({"role": "system", "content": "s"}), "messages"),
    (body(thinking_budget=5), "thinking_budget"),
    (body(max_tokens=0), "max_tokens"),
    (body(max_tokens=5, max_completion_tokens=5), "max_tokens"),
    (body(temperature="1"), "temperature"),
    (body(stop=[""]), "stop[0]"),
    (body(stream=True, stream_options={"include_obfuscation": True}), "stream_options.include_obfuscation"),
    (body(stream_options={"include_usage": True}), "stream_options"),
    (body(service_tier="scale"), "service_tier"),
    (body(user="a|b"), "user"),
    (body(user="a", metadata={"user": "b"}), "metadata.user"),
    (body(reasoning_effort="hard"), "reasoning_effort"),
    (body(reasoning_effort="low", thinking={"type": "disabled"}), "thinking"),
    (body(thinking={"type": "enabled"}), "thinking.budget_tokens"),
    (body(thinking={"type": "disabled", "budget_tokens": 5}), "thinking.budget_tokens"),
    (body(response_format={"type": "grammar"}), "response_format.type"),
    (body(response_format={"type": "json_schema"}), "response_format.json_schema"),
    (body(response_format={"type": "json_schema", "json_schema": {}}), "response_format.json_schema.name"),
    (body(prompt_cache_options={"mode": "implicit"}), "prompt_cache_options.mode"),
    # messages
    (dialogue({"role": "function", "name": "f", "content": "x"}), "messages[0].role"),
    (dialogue(HI, {"role": "tool", "content": "x"}), "messages[1].tool_call_id"),
    (dialogue({"role": "user", "content": []}), "messages[0].content"),
    (saying({"type": "input_audio", "input_audio": {}}), "messages[0].content[0].type"),
    (
        saying({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
        "messages[0].content[0].image_url.url",
    ),
    (
        saying({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "low"}}),
        "messages[0].content[0].image_url.detail",
    ),
    (saying(file(file_id="f")), "messages[0].content[0].file.file_id"),
    (saying(file(filename="a.pdf")), "messages[0].content[0].file.file_data"),
    (saying(file(file_data="JVBERg==")), "messages[0].content[0].file.file_data"),
    (saying(file(file_data="JVBERg==", filename="a.exe")), "messages[0].content[0].file.file_data"),
    (saying(file(file_data="data:video/mp4;base64,AAAA")), "messages[0].content[0].file.file_data"),
    (saying(file(file_data="?", filename="a.pdf")), "messages[0].content[0].file.file_data"),
    (
        saying(text("a", prompt_cache_breakpoint={"mode": "explicit", "ttl": "12h"})),
        "messages[0].content[0].prompt_cache_breakpoint.ttl",
    ),
    (dialogue(HI, {"role": "assistant", "content": None}), "messages[1].content"),
    (dialogue(HI, {"role": "assistant", "audio": {"id": "a"}}), "messages[1].audio"),
    (
        dialogue(
            HI, {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "["}}]}
        ),
        "messages[1].tool_calls[0].function.arguments",
    ),
    *(
        (
            dialogue(HI, {"role": "assistant", "content": "x", "thinking_blocks": [block]}),
            "messages[1].thinking_blocks[0]",
        )
        for block in (
            {"type": "thinking"},
            {"type": "thinking", "thinking": "a", "data": "b"},
            {"type": "redacted_thinking"},
            {"type": "redacted_thinking", "data": "b", "thinking": "a"},
            {"type": "redacted_thinking", "data": "b", "signature": "a"},
        )
    ),
    # tools
    (body(tools=[{"type": "custom", "custom": {"name": "c"}}]), "tools[0].type"),
    (body(tools=[{"type": "function", "function": {"name": "a b"}}]), "tools[0].function.name"),
    (body(tool_choice="auto"), "tool_choice"),
    (
        body(
            tools=[
                {
                    "type": "function",
                    "function": {"name": "f", "cache_control": {"type": "ephemeral"}},
                    "cache_control": {"type": "ephemeral", "ttl": "1h"},
                }
            ]
        ),
        "tools[0].function.cache_control",
    ),
    (
        saying(
            text("x", cache_control={"type": "ephemeral"}, prompt_cache_breakpoint={"mode": "explicit"}),
        ),
        "messages[0].content[0].prompt_cache_breakpoint",
    ),
    (body(tools=[], tool_choice="auto"), "tool_choice"),
    (choosing("any"), "tool_choice"),
    (choosing({"type": "function", "function": {"name": "f"}}), "tool_choice.function.name"),
    (choosing({"type": "custom", "custom": {"name": "f"}}), "tool_choice.type"),
    (
        choosing(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        ),
        "tool_choice.allowed_tools.tools",
    ),
    (body(parallel_tool_calls=True), "parallel_tool_calls"),
    # what nobody here can do
    (body(n=2), "n"),
    (body(n=True), "n"),
    (body(logprobs=True), "logprobs"),
    (body(top_logprobs=5), "top_logprobs"),
    (body(logit_bias={"5": 1}), "logit_bias"),
    (body(frequency_penalty=0.1), "frequency_penalty"),
    (body(presence_penalty=-1), "presence_penalty"),
    (body(modalities=["text", "audio"]), "modalities"),
    (body(audio={"voice": "v", "format": "wav"}), "audio"),
    (body(store=True), "store"),
    (body(prediction={"type": "content", "content": "x"}), "prediction"),
    (body(web_search_options={}), "web_search_options"),
    (body(functions=[{"name": "f"}]), "functions"),
    (body(function_call="auto"), "function_call"),
    (body(verbosity="low"), "verbosity"),
    (body(moderation={"model": "m"}), "moderation"),
    (body(prompt_cache_retention="24h"), "prompt_cache_retention"),
]


@pytest.mark.parametrize(("value", "param"), REFUSALS)
def test_refused(value: Any, param: str) -> None:
    """The refusal names the field, in OpenAI's terms."""
    with pytest.raises(InvalidRequest) as caught:
        parse(value)

    assert caught.value.param == param


def test_every_refusal_is_shown() -> None:
    """No parameter is refused, or taken where it asks for nothing, without a case above."""
    assert {param for _, param in REFUSALS} >= REFUSED.keys()


def test_a_stored_file_says_what_to_do() -> None:
    """A file that is not there to be fetched says how to send it."""
    with pytest.raises(InvalidRequest, match=r"`file_data`"):
        parse(saying(file(file_id="file-123")))


# ── what others find wrong ────────────────────────────────────────────────────────────────────────────

TALK = dialogue(
    {"role": "system", "content": [text("a"), text("b", **MARK)]},
    {"role": "user", "content": [text("c", **MARK), file(file_data=PDF)], "name": "n"},
    {"role": "developer", "content": "late"},
    {
        "role": "assistant",
        "thinking_blocks": [{"type": "thinking", "thinking": "t"}],
        "content": "x",
        "tool_calls": [CALL, {**CALL, "id": "c2"}],
        "refusal": "no",
    },
    {"role": "tool", "tool_call_id": "c1", "content": [text("1"), text("2")], **MARK},
    {"role": "tool", "tool_call_id": "c2", "content": "3"},
    {"role": "user", "content": "bye", "prompt_cache_breakpoint": {"mode": "explicit"}},
)
TWO_TOOLS = [
    {"type": "function", "function": {"name": "a", "cache_control": {"type": "ephemeral"}}},
    {"type": "function", "function": {"name": "b"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
]
ONLY_B = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "b"}}]},
}
PLACES = {
    "system[0]": "messages[0].content[0]",
    "system[2]": "messages[0].content[1].cache_control",
    "system[3]": "messages[2].content[0]",
    "system[4]": "system[4]",
    "messages[0].role": "messages[1].role",
    "messages[0].content": "messages[1].content",
    "messages[0].content[0]": "messages[1].name",
    "messages[0].content[1]": "messages[1].content[0]",
    "messages[0].content[2]": "messages[1].content[0].cache_control",
    "messages[0].content[3]": "messages[1].content[1]",
    "messages[1].content[0]": "messages[3].thinking_blocks[0]",
    "messages[1].content[1]": "messages[3].content[0]",
    "messages[1].content[2]": "messages[3].refusal",
    "messages[1].content[4]": "messages[3].tool_calls[1]",
    "messages[2].content[0].content[1]": "messages[4].content[1]",
    "messages[2].content[1]": "messages[4].cache_control",
    "messages[2].content[2]": "messages[5]",
    "messages[3].content[1]": "messages[6].prompt_cache_breakpoint",
    "messages": "messages",
    "tools[0]": "tools[0]",
}


@pytest.mark.parametrize("param", PLACES)
def test_places(param: str) -> None:
    """What is found wrong behind the dialect is told where the caller wrote it, in the message too."""
    fault = InvalidRequest(f"{param}: is not taken.", param=param)

    name_field(fault, TALK)

    assert (fault.param, fault.message) == (PLACES[param], f"{PLACES[param]}: is not taken.")


@pytest.mark.parametrize(
    ("param", "fields", "name"),
    [
        ("reasoning", {"reasoning_effort": "low"}, "reasoning_effort"),
        ("reasoning", {"thinking": {"type": "disabled"}}, "thinking"),
        ("max_tokens", {"max_tokens": 5}, "max_tokens"),
        ("max_tokens", {"max_completion_tokens": 5}, "max_completion_tokens"),
        ("seed", {"seed": 5}, "seed"),
        ("service_tier", {"service_tier": "flex"}, "service_tier"),
        ("service_tier", {}, "X-Amzn-Bedrock-Service-Tier"),
        ("latency", {}, "X-Amzn-Bedrock-PerformanceConfig-Latency"),
        ("tools[0].strict", {"tools": TWO_TOOLS}, "tools[0].function.strict"),
        ("tools[0].cache", {"tools": TWO_TOOLS}, "tools[0].function.cache_control"),
        ("tools[1].cache.ttl", {"tools": TWO_TOOLS}, "tools[1].cache_control.ttl"),
        ("tools[0].cache", {"tools": TWO_TOOLS, "tool_choice": ONLY_B}, "tools[1].cache_control"),
    ],
)
def test_names(param: str, fields: dict[str, Any], name: str) -> None:
    """A field has the name by which the caller knows it; words that do not begin with it stay."""
    fault = InvalidRequest("Not so.", param=param)
    name_field(fault, {"messages": [HI], **fields})

    assert (fault.param, fault.message) == (name, "Not so.")
    name_field(InvalidRequest("x"), {})


# ── without the schema ────────────────────────────────────────────────────────────────────────────────

_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 1, -1, 2.5, "", "x", [], {}, {"include_usage": True}]
)
_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
            "content": st.sampled_from(["", "x", None, [{"type": "text", "text": "y"}]]),
        },
        optional={"name": st.just("n")},
    ),
    max_size=3,
)
_BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["m", "", 5]), "messages": _MESSAGES},
    optional={
        "max_tokens": _ODD,
        "max_completion_tokens": _ODD,
        "temperature": st.sampled_from([None, 0.0, 0.5, 1, float("inf"), "x"]),
        "top_p": st.sampled_from([None, 0.0, 0.5, 1, 1.5]),
        "stream": _ODD,
        "stream_options": st.sampled_from(
            [None, {}, {"include_usage": True}, {"include_usage": False}, {"include_usage": 1}, 5]
        ),
        "n": _ODD,
    },
)


@given(_BODIES)
def test_the_schema_reads_what_is_read_without_it(value: dict[str, Any]) -> None:
    """What the short way reads, the schema reads alike."""
    plain = openai_plain.read(value)

    if plain is not None:
        assert plain == of_schema(value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.5, "top_p": 1.0, "max_tokens": 5},
        {"max_completion_tokens": 5},
        {"stream": True, "stream_options": {"include_usage": True}},
    ],
)
def test_the_usual_request_is_read_without_the_schema(fields: dict[str, Any]) -> None:
    """The short way is taken by what it is for."""
    value = dialogue({"role": "system", "content": "s"}, HI, {"role": "assistant", "content": "a"}, **fields)

    assert openai_plain.read(value) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["user", "text", "m", "function"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *(
                            "model",
                            "messages",
                            "role",
                            "content",
                            "type",
                            "text",
                            "tools",
                            "function",
                            "name",
                        ),
                        *(
                            "tool_choice",
                            "file",
                            "image_url",
                            "url",
                            "stream",
                            "response_format",
                            "tool_calls",
                        ),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json(value: Any) -> None:
    """Whatever comes is a request or a refusal of ours."""
    try:
        parse(value)
    except InvalidRequest as error:
        assert error.param  # noqa: PT017 - either is good


# ── there and back ────────────────────────────────────────────────────────────────────────────────────

_WORDS = st.text(alphabet='ab é"\\\n', min_size=1, max_size=5)
_POINTS = st.sampled_from([CachePoint(), CachePoint("5m"), CachePoint("1h")])
_IMAGES = st.builds(
    ImagePart, st.sampled_from(["png", "jpeg", "gif", "webp"]), st.binary(min_size=1, max_size=3)
)
_DOCUMENTS = st.builds(
    DocumentPart, st.just("pdf"), st.binary(min_size=1, max_size=3), st.sampled_from(["a", "b c"])
)
_CONTENT = st.builds(TextPart, _WORDS) | _IMAGES | _DOCUMENTS
_IDS = st.sampled_from(["c1", "toolu_bdrk_01", "call-9"])
_ARGUMENTS = st.dictionaries(_WORDS, _WORDS | st.integers(-9, 9), max_size=2)
_THOUGHTS = st.builds(ReasoningPart, _WORDS, _WORDS) | st.builds(
    ReasoningPart, st.just(""), st.none(), st.just("cmVk")
)
_TOOLS = st.builds(
    Tool,
    st.sampled_from(["f", "g", "h-1"]),
    st.none() | _WORDS,
    st.just(SCHEMA),
    st.none() | st.booleans(),
    st.none() | _POINTS,
)


@st.composite
def _marked(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> list[Any]:
    """Draw parts, each of which may be followed by a cache point."""
    drawn = draw(st.lists(parts, min_size=1, max_size=3))
    return [one for part in drawn for one in ([part, draw(_POINTS)] if draw(st.booleans()) else [part])]


@st.composite
def _assistants(draw: st.DrawFn) -> Message:
    thoughts = draw(st.lists(_THOUGHTS, max_size=2))
    said = draw(_marked(st.builds(TextPart, _WORDS)))
    calls = draw(st.lists(st.builds(ToolUsePart, _IDS, _WORDS, _ARGUMENTS), max_size=2))
    return Message("assistant", (*thoughts, *said, *calls))


@st.composite
def _results(draw: st.DrawFn) -> Message:
    results = st.builds(ToolResultPart, _IDS, st.lists(_CONTENT, max_size=2).map(tuple))
    return Message("user", tuple(draw(_marked(results))))


@st.composite
def requests(draw: st.DrawFn) -> CompletionRequest:
    """Draw a request that has only what OpenAI has words for."""
    tools = draw(st.lists(_TOOLS, max_size=2, unique_by=lambda tool: tool.name).map(tuple))
    choices = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("any")]
    turn = _marked(_CONTENT).map(lambda parts: Message("user", tuple(parts))) | _assistants() | _results()
    messages = draw(st.lists(turn, min_size=1, max_size=4))
    apart = [  # results in a row are one turn
        message
        for before, message in zip([None, *messages], messages, strict=False)
        if before is None or not (_is_results(before) and _is_results(message))
    ]
    reasoning = [None, Reasoning(effort="high"), Reasoning(effort="none"), Reasoning(budget_tokens=1024)]
    return CompletionRequest(
        model="m",
        messages=tuple(apart),
        system=tuple(draw(st.just([]) | _marked(st.builds(TextPart, _WORDS)))),
        max_tokens=draw(st.none() | st.integers(1, 9)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(0, 9)),
        stop=tuple(draw(st.lists(_WORDS, max_size=2))),
        tools=tools,
        tool_choice=draw(st.sampled_from([*choices, ToolChoice("tool", tools[0].name)])) if tools else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools else None,
        reasoning=draw(st.sampled_from(reasoning)),
        response_format=draw(
            st.sampled_from([None, ResponseFormat(), ResponseFormat(SCHEMA, "n", "d", strict=True)])
        ),
        seed=draw(st.none() | st.integers(-9, 9)),
        service_tier=draw(st.sampled_from([None, "default", "flex", "priority", "reserved"])),
        metadata=draw(st.dictionaries(st.sampled_from(["a", "user"]), st.just("b"))),
    )


def _is_results(message: Message) -> bool:
    return isinstance(message.content[0], ToolResultPart)


def written(request: CompletionRequest) -> dict[str, Any]:
    """Return the request in OpenAI's words."""
    form, choice, reasoning = request.response_format, request.tool_choice, request.reasoning
    value: dict[str, Any] = {
        "model": request.model,
        "messages": [written for message in request.messages for written in _messages(message)],
        "max_completion_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop": list(request.stop),
        "tools": [_written_tool(tool) for tool in request.tools],
        "parallel_tool_calls": request.parallel_tool_calls,
        "seed": request.seed,
        "service_tier": request.service_tier,
        "metadata": dict(request.metadata),
    }
    if request.system:
        value["messages"].insert(0, {"role": "system", "content": _parts(request.system)})
    if choice is not None:
        words = {"auto": "auto", "none": "none", "any": "required"}
        named = {"type": "function", "function": {"name": choice.name}}
        value["tool_choice"] = words.get(choice.mode, named)
    if reasoning is not None and reasoning.effort is not None:
        value["reasoning_effort"] = reasoning.effort
    elif reasoning is not None:
        value["thinking"] = {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
    if form is not None and form.schema is None:
        value["response_format"] = {"type": "json_object"}
    elif form is not None:
        told = {"name": form.name, "description": form.description, "strict": form.strict}
        value["response_format"] = {"type": "json_schema", "json_schema": {**told, "schema": form.schema}}
    return value


def _written_tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "strict": tool.strict}
    written = {"type": "function", "function": {**function, "parameters": tool.input_schema}}
    return written if tool.cache is None else {**written, **_mark(tool.cache)}


def _mark(point: CachePoint) -> dict[str, Any]:
    return {"cache_control": {"type": "ephemeral", "ttl": point.ttl}}


def _messages(message: Message) -> list[dict[str, Any]]:
    if message.role == "assistant":
        return [_assistant(message)]
    if not _is_results(message):
        return [{"role": "user", "content": _parts(message.content)}]
    results: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, ToolResultPart):
            content = _parts(part.content)
            results.append({"role": "tool", "tool_call_id": part.tool_use_id, "content": content})
        elif isinstance(part, CachePoint):
            results[-1] |= _mark(part)
    return results


def _assistant(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": "assistant", "thinking_blocks": [], "tool_calls": []}
    for part in message.content:
        if isinstance(part, ReasoningPart):
            block = {"type": "thinking", "thinking": part.text, "signature": part.signature}
            redacted = {"type": "redacted_thinking", "data": part.redacted}
            written["thinking_blocks"].append(redacted if part.redacted else block)
        elif isinstance(part, ToolUsePart):
            function = {"name": part.name, "arguments": json.dumps(part.arguments).decode()}
            written["tool_calls"].append({"id": part.id, "type": "function", "function": function})
    said = [part for part in message.content if isinstance(part, TextPart | CachePoint)]
    return {**written, "content": _parts(said)}


def _parts(parts: Any) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, TextPart):
            written.append(text(part.text))
        elif isinstance(part, ImagePart):
            written.append(
                {"type": "image_url", "image_url": {"url": _url(f"image/{part.format}", part.data)}}
            )
        elif isinstance(part, DocumentPart):
            url = _url("application/pdf", part.data)
            written.append(file(filename=f"{part.name}.{part.format}", file_data=url))
        else:
            written[-1] |= _mark(part)
    return written


def _url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@given(requests())
def test_nothing_is_lost(request: CompletionRequest) -> None:
    """Whatever of a request OpenAI has words for comes through in them."""
    assert of_schema(written(request)).completion == request
