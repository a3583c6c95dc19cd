"""Anthropic's requests: what is accepted means exactly this, what is refused names its field and says why."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects import anthropic_plain
from gateway.dialects.anthropic_messages import of_schema, parse, parse_count
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

CANARY = "CANARY-93b0"
HI = {"role": "user", "content": "hi"}
USER = Message("user", (TextPart("hi"),))
DATA = base64.b64encode(b"\x89PNG").decode()
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}
NOTE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "note"}}
TOOL = {"name": "weather", "input_schema": {"type": "object"}}
WEATHER = Tool("weather", None, {"type": "object"})
EPHEMERAL = {"type": "ephemeral"}
SCHEMA = {"type": "json_schema", "schema": {"type": "object"}}


def body(**fields: Any) -> dict[str, Any]:
    """Return a good body with these fields."""
    return {"model": "m", "max_tokens": 5, "messages": [HI], **fields}


def says(*blocks: Any, role: str = "user", **fields: Any) -> dict[str, Any]:
    """Return a body with one message of these blocks."""
    return body(messages=[{"role": role, "content": list(blocks)}], **fields)


def result(content: Any) -> dict[str, Any]:
    """Return a body with the result of a tool."""
    return says({"type": "tool_result", "tool_use_id": "t1", "content": content})


def turn(*parts: Any, role: Any = "user") -> dict[str, Any]:
    """Return the fields of a request with one such message."""
    return {"messages": (Message(role, parts),)}


def refusal(value: Any) -> InvalidRequest:
    """Return how the body is refused."""
    with pytest.raises(InvalidRequest) as caught:
        parse(value)
    return caught.value


ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "least": (body(), {}),
    "parameters": (
        body(
            temperature=0.5,
            top_p=1,
            top_k=3,
            stop_sequences=["a", "b"],
            metadata={"user_id": "u"},
            stream=True,
            service_tier="standard_only",
        ),
        {
            "temperature": 0.5,
            "top_p": 1.0,
            "top_k": 3,
            "stop": ("a", "b"),
            "metadata": {"user_id": "u"},
            "service_tier": "default",
        },
    ),
    "what changes nothing": (
        body(service_tier="auto", speed="standard", metadata={"user_id": None}, container=None, thread=None),
        {},
    ),
    "system text": (body(system="be brief"), {"system": (TextPart("be brief"),)}),
    "a cache point behind no text": (
        body(system=[{"type": "text", "text": "", "cache_control": EPHEMERAL}]),
        {"system": (CachePoint(),)},
    ),
    "empty system text is none": (body(system=""), {}),
    "system blocks with a cache point": (
        body(
            system=[
                {"type": "text", "text": "one", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "text", "text": "two"},
            ]
        ),
        {"system": (TextPart("one"), CachePoint("1h"), TextPart("two"))},
    ),
    "image": (says(PNG), turn(ImagePart("png", b"\x89PNG"))),
    "documents without a title are numbered": (
        says(PDF, {**NOTE, "title": "Mine"}, NOTE),
        turn(
            DocumentPart("pdf", b"\x89PNG", "Document 1"),
            DocumentPart("txt", b"note", "Mine"),
            DocumentPart("txt", b"note", "Document 3"),
        ),
    ),
    "document to cite": (
        says({**NOTE, "title": "T", "context": "C", "citations": {"enabled": True}}),
        turn(DocumentPart("txt", b"note", "T", citations=True, context="C")),
    ),
    "cache points stand behind their blocks": (
        says({"type": "text", "text": "a", "cache_control": EPHEMERAL}, {**PNG, "cache_control": EPHEMERAL}),
        turn(TextPart("a"), CachePoint(), ImagePart("png", b"\x89PNG"), CachePoint()),
    ),
    "the cache point of the whole body": (
        body(cache_control={"type": "ephemeral", "ttl": "5m"}),
        turn(TextPart("hi"), CachePoint("5m")),
    ),
    "the cache point of the whole body, behind reasoning": (
        body(
            messages=[
                HI,
                {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "eA=="}]},
            ],
            cache_control=EPHEMERAL,
        ),
        {
            "messages": (
                Message("user", (TextPart("hi"), CachePoint())),
                Message("assistant", (ReasoningPart(redacted="eA=="),)),
            )
        },
    ),
    "the cache point of the whole body, where there is one": (
        says({"type": "text", "text": "a", "cache_control": EPHEMERAL}, cache_control=EPHEMERAL),
        turn(TextPart("a"), CachePoint()),
    ),
    "the cache point of the whole body, where nothing is to be cached": (
        says({"type": "redacted_thinking", "data": "eA=="}, role="assistant", cache_control=EPHEMERAL),
        turn(ReasoningPart(redacted="eA=="), role="assistant"),
    ),
    "what an assistant said": (
        says(
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "thinking", "thinking": "unsigned", "signature": ""},
            {"type": "redacted_thinking", "data": "eA=="},
            {"type": "text", "text": "a", "citations": None},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
            role="assistant",
        ),
        turn(
            ReasoningPart("hm", "s"),
            ReasoningPart("unsigned"),
            ReasoningPart(redacted="eA=="),
            TextPart("a"),
            ToolUsePart("t1", "weather", {"city": "Rome"}),
            role="assistant",
        ),
    ),
    "a result in a string": (result("sunny"), turn(ToolResultPart("t1", (TextPart("sunny"),)))),
    "a result without content": (
        says({"type": "tool_result", "tool_use_id": "t1"}),
        turn(ToolResultPart("t1", ())),
    ),
    "a failed result of blocks": (
        says(
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "is_error": True,
                "content": [{"type": "text", "text": "a"}, PNG, NOTE],
                "cache_control": EPHEMERAL,
            },
            {"type": "text", "text": "go on"},
        ),
        turn(
            ToolResultPart(
                "t1",
                (TextPart("a"), ImagePart("png", b"\x89PNG"), DocumentPart("txt", b"note", "Document 1")),
                is_error=True,
            ),
            CachePoint(),
            TextPart("go on"),
        ),
    ),
    "tools": (
        body(
            tools=[
                {**TOOL, "type": "custom", "description": "d", "strict": True, "cache_control": EPHEMERAL},
                {**TOOL, "name": "f", "allowed_callers": ["direct"], "defer_loading": False},
            ]
        ),
        {
            "tools": (
                Tool("weather", "d", {"type": "object"}, strict=True, cache=CachePoint()),
                Tool("f", None, {"type": "object"}),
            )
        },
    ),
    **{
        f"tool_choice {kind}": (
            body(tools=[TOOL], tool_choice={"type": kind}),
            {"tools": (WEATHER,), "tool_choice": ToolChoice(kind)},
        )
        for kind in ("auto", "any", "none")
    },
    "tool_choice tool, one at a time": (
        body(
            tools=[TOOL],
            tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        ),
        {
            "tools": (WEATHER,),
            "tool_choice": ToolChoice("tool", "weather"),
            "parallel_tool_calls": False,
        },
    ),
    "thinking within a budget": (
        body(thinking={"type": "enabled", "budget_tokens": 1024, "display": "summarized"}),
        {"reasoning": Reasoning(budget_tokens=1024)},
    ),
    "no thinking": (body(thinking={"type": "disabled"}), {"reasoning": Reasoning(effort="none")}),
    "adaptive thinking": (body(thinking={"type": "adaptive"}), {"reasoning": Reasoning(effort="high")}),
    "adaptive thinking with an effort": (
        body(thinking={"type": "adaptive"}, output_config={"effort": "low"}),
        {"reasoning": Reasoning(effort="low")},
    ),
    "effort": (body(output_config={"effort": "max"}), {"reasoning": Reasoning(effort="max")}),
    "structured output": (
        body(output_config={"format": SCHEMA}),
        {"response_format": ResponseFormat({"type": "object"}, strict=True)},
    ),
    "structured output by its older name": (
        body(output_format=SCHEMA),
        {"response_format": ResponseFormat({"type": "object"}, strict=True)},
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    """The body means these fields, and nothing else is set."""
    value, fields = ACCEPTED[name]

    assert parse(value) == CompletionRequest(model="m", max_tokens=5, **{"messages": (USER,), **fields})


def test_betas_and_the_default_model() -> None:
    """What is not in the body comes with it."""
    value = {key: item for key, item in body().items() if key != "model"}

    request = parse(value, betas=("b",), default_model="d")

    assert (request.model, request.betas) == ("d", ("b",))


def test_count() -> None:
    """A body to count has no limit, and none of the parameters of an answer."""
    value = {key: item for key, item in body(tools=[TOOL]).items() if key != "max_tokens"}

    expected = CompletionRequest(model="m", messages=(USER,), tools=(WEATHER,))
    assert parse_count(value) == expected
    assert parse_count({**value, "model": "d"}) == parse_count(
        {name: field for name, field in value.items() if name != "model"}, default_model="d"
    )
    with pytest.raises(InvalidRequest) as caught:
        parse_count({**value, "temperature": 1})
    assert caught.value.param == "temperature"


REFUSED: dict[str, tuple[Any, str]] = {
    "no object": ([], "body"),
    "no limit": ({"model": "m", "messages": [HI]}, "max_tokens"),
    "no messages": (body(messages=[]), "messages"),
    "no model": ({"max_tokens": 1, "messages": [HI]}, "model"),
    "unknown field": (body(n=2), "n"),
    "temperature": (body(temperature=1.5), "temperature"),
    "fast": (body(speed="fast"), "speed"),
    "container": (body(container="c"), "container"),
    "mcp servers": (body(mcp_servers=[{"type": "url", "url": CANARY}]), "mcp_servers"),
    "inference_geo": (body(inference_geo="us"), "inference_geo"),
    "a system turn": (body(messages=[{"role": "system", "content": "x"}]), "messages[0].role"),
    "an image's URL": (
        says({"type": "image", "source": {"type": "url", "url": CANARY}}),
        "messages[0].content[0].source.type",
    ),
    "a file": (
        says({"type": "document", "source": {"type": "file", "file_id": CANARY}}),
        "messages[0].content[0].source.type",
    ),
    "an image's URL in a result": (
        result([{"type": "image", "source": {"type": "url", "url": CANARY}}]),
        "messages[0].content[0].content[0].source.type",
    ),
    "an image's URL in a document": (
        says(
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "image", "source": {"type": "url", "url": CANARY}}],
                },
            }
        ),
        "messages[0].content[0].source.content[0].source.type",
    ),
    "a document of blocks": (
        says({"type": "document", "source": {"type": "content", "content": CANARY}}),
        "messages[0].content[0].source.type",
    ),
    "image that is no base64": (
        says({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "*"}}),
        "messages[0].content[0].source.data",
    ),
    "empty pdf": (
        says({"type": "document", "source": {**PDF["source"], "data": ""}}),  # type: ignore[dict-item]  # an object
        "messages[0].content[0].source.data",
    ),
    "web search": (
        body(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        "tools[0].type",
    ),
    "bash": (body(tools=[TOOL, {"type": "bash_20250124", "name": "bash"}]), "tools[1].type"),
    "a tool by its name only": (body(tools=[{"name": "f"}]), "tools[0].input_schema"),
    "deferred tool": (body(tools=[{**TOOL, "defer_loading": True}]), "tools[0].defer_loading"),
    "choice without tools": (body(tool_choice={"type": "auto"}), "tool_choice"),
    "choice of an unknown tool": (
        body(tools=[TOOL], tool_choice={"type": "tool", "name": "f"}),
        "tool_choice.name",
    ),
    "choice of no tool": (body(tools=[TOOL], tool_choice={"type": "tool"}), "tool_choice.name"),
    "a name for any": (
        body(tools=[TOOL], tool_choice={"type": "any", "name": "weather"}),
        "tool_choice.name",
    ),
    "a cache point in a result": (
        result([{"type": "text", "text": "a", "cache_control": EPHEMERAL}]),
        "messages[0].content[0].content[0].cache_control",
    ),
    "a server's tool in the conversation": (
        says({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}, role="assistant"),
        "messages[0].content[0].type",
    ),
    "citations that no model gave": (
        says({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}),
        "messages[0].content[0].citations",
    ),
    "a small budget": (
        body(thinking={"type": "enabled", "budget_tokens": 5}),
        "thinking.budget_tokens",
    ),
    "hidden thinking": (
        body(thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"}),
        "thinking.display",
    ),
    "a budget and an effort": (
        body(thinking={"type": "enabled", "budget_tokens": 1024}, output_config={"effort": "low"}),
        "output_config.effort",
    ),
    "two formats": (body(output_format=SCHEMA, output_config={"format": SCHEMA}), "output_format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """The error names the field, says something, and quotes nothing."""
    value, param = REFUSED[name]

    error = refusal(value)

    assert error.param == param
    assert len(error.message) > len("Input")
    assert CANARY not in error.message


PLAIN = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m", "", 1]),
        "max_tokens": st.sampled_from([1, 0, True, 10_000_001, None]),
        "messages": st.lists(
            st.fixed_dictionaries(
                {
                    "role": st.sampled_from(["user", "assistant", "system"]),
                    "content": st.just("hi") | st.none(),
                },
                optional={"name": st.just("n")},
            ),
            max_size=2,
        ),
    },
    optional={
        "system": st.sampled_from(["", "s", None, ["s"]]),
        "stream": st.sampled_from([True, None, 1]),
        "temperature": st.sampled_from([0.5, 1.5, 1, None, -0.1, "1"]),
        "top_p": st.sampled_from([0.5, 1.5, 1, None]),
        "n": st.just(1),
    },
)


@settings(max_examples=300)
@given(PLAIN)
def test_the_schema_reads_what_is_read_without_it(value: dict[str, Any]) -> None:
    """What is read the short way means what the schema makes of it; what the schema refuses is not read."""
    plain = anthropic_plain.read(value, betas=("b",))

    if plain is not None:
        assert plain == of_schema(value, ("b",))


def test_the_usual_request_is_read_without_the_schema() -> None:
    """Or the short way would be for nothing."""
    value = body(system="s", stream=True, temperature=0.5, top_p=0.9)

    assert anthropic_plain.read(value) == of_schema(value)


# ── round trip ────────────────────────────────────────────────────────────────────────────────────────


def render(request: CompletionRequest) -> dict[str, Any]:
    """Return a request in Anthropic's words: the way back, written down once more."""
    written: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [{"role": turn.role, "content": _blocks(turn.content)} for turn in request.messages],
        "system": _blocks(request.system),
        "tools": [_tool(tool) for tool in request.tools],
        "stop_sequences": list(request.stop),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "metadata": dict(request.metadata) or None,
        "service_tier": {"default": "standard_only", None: None}[request.service_tier],
    }
    if request.reasoning is not None and request.reasoning.budget_tokens is not None:
        written["thinking"] = {"type": "enabled", "budget_tokens": request.reasoning.budget_tokens}
    elif request.reasoning is not None:
        written["output_config"] = {"effort": request.reasoning.effort}
    if request.response_format is not None:
        written.setdefault("output_config", {})["format"] = {
            "type": "json_schema",
            "schema": request.response_format.schema,
        }
    if request.tool_choice is not None:
        choice = {"type": request.tool_choice.mode, "name": request.tool_choice.name}
        if request.parallel_tool_calls is not None:
            choice["disable_parallel_tool_use"] = not request.parallel_tool_calls  # type: ignore[assignment]  # JSON
        written["tool_choice"] = _given(choice)
    return _given(written)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != []}


def _source(kind: str, media_type: str, data: str) -> dict[str, Any]:
    return {"type": kind, "media_type": media_type, "data": data}


def _blocks(parts: Any) -> list[dict[str, Any]]:  # noqa: C901 - one arm for each kind of part
    blocks: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case CachePoint():
                blocks[-1]["cache_control"] = _given({"type": "ephemeral", "ttl": part.ttl})
            case TextPart():
                blocks.append({"type": "text", "text": part.text})
            case ImagePart():
                data = base64.b64encode(part.data).decode()
                blocks.append({"type": "image", "source": _source("base64", f"image/{part.format}", data)})
            case DocumentPart():
                source = (
                    _source("text", "text/plain", part.data.decode())
                    if part.format == "txt"
                    else _source("base64", "application/pdf", base64.b64encode(part.data).decode())
                )
                block = {
                    "type": "document",
                    "source": source,
                    "title": part.name,
                    "context": part.context,
                    "citations": {"enabled": True} if part.citations else None,
                }
                blocks.append(_given(block))
            case ReasoningPart(redacted=None):
                blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature or ""})
            case ReasoningPart():
                blocks.append({"type": "redacted_thinking", "data": part.redacted})
            case ToolUsePart():
                blocks.append({"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments})
            case ToolResultPart():
                blocks.append(
                    {
                        "type": "tool_result",
                        "tool_use_id": part.tool_use_id,
                        "content": _blocks(part.content),
                        "is_error": part.is_error,
                    }
                )
    return blocks


def _tool(tool: Tool) -> dict[str, Any]:
    fields = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "strict": tool.strict,
    }
    if tool.cache is not None:
        fields["cache_control"] = _given({"type": "ephemeral", "ttl": tool.cache.ttl})
    return _given(fields)


WORD = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6)
ENCODED = st.binary(min_size=1, max_size=6).map(lambda data: base64.b64encode(data).decode())
CONTROL = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
OBJECTS = st.dictionaries(WORD, st.none() | st.integers(0, 9) | WORD, max_size=2)


def _record(required: dict[str, Any], **optional: Any) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


TEXTS = {"type": st.just("text"), "text": WORD}
IMAGES = {
    "type": st.just("image"),
    "source": _record(
        {
            "type": st.just("base64"),
            "media_type": st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]),
            "data": ENCODED,
        }
    ),
}
DOCUMENTS = {
    "type": st.just("document"),
    "title": WORD,
    "source": _record({"type": st.just("base64"), "media_type": st.just("application/pdf"), "data": ENCODED})
    | _record({"type": st.just("text"), "media_type": st.just("text/plain"), "data": WORD}),
}
CITED = {"context": WORD, "citations": st.just({"enabled": True})}
RESULTS = {
    "type": st.just("tool_result"),
    "tool_use_id": st.just("t1"),
    "content": st.lists(_record(TEXTS) | _record(IMAGES) | _record(DOCUMENTS, **CITED), max_size=2),
    "is_error": st.booleans(),
}
USER_BLOCKS = (
    _record(TEXTS, cache_control=CONTROL)
    | _record(IMAGES, cache_control=CONTROL)
    | _record(DOCUMENTS, cache_control=CONTROL, **CITED)
    | _record(RESULTS, cache_control=CONTROL)
)
ASSISTANT_BLOCKS = (
    _record(TEXTS, cache_control=CONTROL)
    | _record({"type": st.just("thinking"), "thinking": WORD, "signature": st.just("") | WORD})
    | _record({"type": st.just("redacted_thinking"), "data": ENCODED})
    | _record(
        {"type": st.just("tool_use"), "id": st.just("t1"), "name": WORD, "input": OBJECTS},
        cache_control=CONTROL,
    )
)
MESSAGES = st.lists(
    _record({"role": st.just("user"), "content": st.lists(USER_BLOCKS, min_size=1, max_size=3)})
    | _record({"role": st.just("assistant"), "content": st.lists(ASSISTANT_BLOCKS, min_size=1, max_size=3)}),
    min_size=1,
    max_size=3,
)
TOOLS = _record(
    {"name": st.just("weather"), "input_schema": OBJECTS},
    description=WORD,
    strict=st.booleans(),
    cache_control=CONTROL,
)
CHOICES = _record({"type": st.sampled_from(["auto", "any", "none"])}, disable_parallel_tool_use=st.booleans())
BODIES = st.builds(
    lambda fields, tools: {**fields, **tools},
    _record(
        {"model": WORD, "max_tokens": st.integers(1, 9), "messages": MESSAGES},
        system=st.lists(_record(TEXTS, cache_control=CONTROL), min_size=1, max_size=2),
        temperature=st.floats(0, 1),
        top_p=st.floats(0, 1),
        top_k=st.integers(0, 9),
        stop_sequences=st.lists(WORD, min_size=1, max_size=2),
        metadata=st.builds(lambda user: {"user_id": user}, WORD),
        service_tier=st.just("standard_only"),
        thinking=st.just({"type": "enabled", "budget_tokens": 2048}),
        output_config=st.just({"format": SCHEMA}),
    ),
    _record({}) | _record({"tools": st.lists(TOOLS, min_size=1, max_size=2)}, tool_choice=CHOICES),
)


@settings(max_examples=150)
@given(BODIES)
def test_no_field_is_lost(value: dict[str, Any]) -> None:
    """The way to the domain and back gives the same body."""
    assert render(parse(value)) == value
    assert parse(value) == of_schema(value)
