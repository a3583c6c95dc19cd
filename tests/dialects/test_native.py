"""The native API's requests: what is accepted means exactly this, what is refused names its field."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects import native_plain, openai_chat
from gateway.dialects.native import of_schema, parse
from gateway.domain import (
    CompletionRequest,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    ToolUsePart,
)
from gateway.errors import InvalidRequest

CANARY = "CANARY-93b0"
PNG = base64.b64encode(b"\x89PNG").decode()
HI = {"role": "user", "content": "hi"}
WEATHER = {"type": "function", "function": {"name": "weather"}}


def body(**fields: Any) -> dict[str, Any]:
    """Return a good body with these fields."""
    return {"model": "m", "messages": [HI], **fields}


def dialogue(*messages: Any) -> dict[str, Any]:
    """Return a body with these messages."""
    return {"model": "m", "messages": list(messages)}


def image(url: Any) -> dict[str, Any]:
    """Return a body that asks about the image at this URL."""
    return dialogue({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})


def refusal(value: Any) -> InvalidRequest:
    """Return how the body is refused."""
    with pytest.raises(InvalidRequest) as caught:
        parse(value)
    return caught.value


# ── accepted ──────────────────────────────────────────────────────────────────────────────────────────

USER = Message("user", (TextPart("hi"),))
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
USE = ToolUsePart("c1", "weather", {"city": "Rome"})

ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "least": (body(), {"messages": (USER,)}),
    "prompt": ({"model": "m", "prompt": "hi"}, {"messages": (USER,)}),
    "prompt with a system text": (
        {"model": "m", "prompt": "hi", "system": "be brief"},
        {"messages": (USER,), "system": (TextPart("be brief"),)},
    ),
    "parameters": (
        body(max_tokens=5, temperature=0.5, top_p=1, top_k=0, stop=["a", "b"], metadata={"k": "v"}),
        {
            "messages": (USER,),
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 1.0,
            "top_k": 0,
            "stop": ("a", "b"),
            "metadata": {"k": "v"},
        },
    ),
    "null is like absent": (
        body(max_tokens=None, temperature=None, top_p=None, top_k=None, tool_choice=None, system=None),
        {"messages": (USER,)},
    ),
    "an integer is a temperature": (body(temperature=1), {"messages": (USER,), "temperature": 1.0}),
    "one stop sequence": (body(stop="a"), {"messages": (USER,), "stop": ("a",)}),
    "provider": (body(provider="bedrock"), {"messages": (USER,), "provider": "bedrock"}),
    "system texts are joined in their order": (
        {
            "model": "m",
            "system": "one",
            "messages": [
                {"role": "system", "content": "two"},
                {"role": "developer", "content": [{"type": "text", "text": t} for t in ("three", "four")]},
                HI,
            ],
        },
        {"messages": (USER,), "system": tuple(map(TextPart, ("one", "two", "three", "four")))},
    ),
    "empty system text is none": (
        {"model": "m", "system": "", "messages": [{"role": "system", "content": ""}, HI]},
        {"messages": (USER,)},
    ),
    "text and image": (
        dialogue(
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is it?"},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "auto"},
                    },
                ],
            }
        ),
        {"messages": (Message("user", (TextPart("what is it?"), ImagePart("png", b"\x89PNG"))),)},
    ),
    "tools": (
        body(
            tools=[
                {
                    "type": "function",
                    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "x": [1]}},
                },
                WEATHER,
            ]
        ),
        {
            "messages": (USER,),
            "tools": (
                Tool("f", "d", {"type": "object", "x": [1]}),
                Tool("weather", None, {"type": "object", "properties": {}}),
            ),
        },
    ),
    **{
        f"tool_choice {word}": (
            body(tools=[WEATHER], tool_choice=word),
            {
                "messages": (USER,),
                "tools": (Tool("weather", None, {"type": "object", "properties": {}}),),
                "tool_choice": choice,
            },
        )
        for word, choice in (
            ("auto", ToolChoice("auto")),
            ("none", ToolChoice("none")),
            ("required", ToolChoice("any")),
        )
    },
    "tool_choice named": (
        body(tools=[WEATHER], tool_choice=WEATHER),
        {
            "messages": (USER,),
            "tools": (Tool("weather", None, {"type": "object", "properties": {}}),),
            "tool_choice": ToolChoice("tool", "weather"),
        },
    ),
    "a whole dialogue": (
        dialogue(
            HI,
            {
                "role": "assistant",
                "content": "let me look",
                "reasoning": [{"text": "hm", "signature": "s"}, {"redacted": "r"}, {"signature": "only"}],
                "tool_calls": [CALL, {**CALL, "id": "c2", "function": {"name": "now", "arguments": ""}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "is_error": True,
                "content": [
                    {"type": "text", "text": "no clock"},
                    {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{PNG}"}},
                ],
            },
            {"role": "user", "content": "thanks"},
            {"role": "tool", "tool_call_id": "c1", "content": []},
        ),
        {
            "messages": (
                USER,
                Message(
                    "assistant",
                    (
                        ReasoningPart("hm", "s"),
                        ReasoningPart(redacted="r"),
                        ReasoningPart(signature="only"),
                        TextPart("let me look"),
                        USE,
                        ToolUsePart("c2", "now", {}),
                    ),
                ),
                Message(
                    "user",
                    (
                        ToolResultPart("c1", (TextPart("sunny"),)),
                        ToolResultPart(
                            "c2", (TextPart("no clock"), ImagePart("gif", b"\x89PNG")), is_error=True
                        ),
                    ),
                ),
                Message("user", (TextPart("thanks"),)),
                Message("user", (ToolResultPart("c1", ()),)),
            )
        },
    ),
    "an assistant turn of calls only": (
        dialogue({"role": "assistant", "content": None, "tool_calls": [CALL]}),
        {"messages": (Message("assistant", (USE,)),)},
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    """The body means exactly this request."""
    value, fields = ACCEPTED[case]

    assert parse(value) == CompletionRequest(**{"model": "m", **fields})


@pytest.mark.parametrize(
    ("kind", "form"), [("png", "png"), ("jpeg", "jpeg"), ("jpg", "jpeg"), ("gif", "gif"), ("webp", "webp")]
)
def test_image_formats(kind: str, form: Any) -> None:
    """The four formats that Bedrock takes, of any size the body allows; `jpg` is what clients send."""
    data = bytes(range(256)) * 8192
    (message,) = parse(image(f"data:image/{kind};base64,{base64.b64encode(data).decode()}")).messages

    assert message.content == (ImagePart(form, data),)


# ── refused ───────────────────────────────────────────────────────────────────────────────────────────

OBJECT = "Input should be an object"
STRING = "Input should be a valid string"
LIST = "Input should be a list (a string where text is meant)"
INTEGER = "Input should be a valid integer"
REQUIRED = "Field required"
UNKNOWN = "unknown field"
NOT_EMPTY = "String should have at least 1 character"
FUNCTION = "Input should be 'function'"
WORDS = "Input should be 'auto', 'none' or 'required'"
ROLES = "Input should be one of 'system', 'developer', 'user', 'assistant', 'tool'"
IMAGE = "Images are taken as `data:image/png;base64,…` (png, jpeg, gif or webp); no URL is ever fetched."
ARGUMENTS = "The arguments must be the JSON text of an object."
REASONING = "Give either `text` with its `signature`, or `redacted`."


def assistant(**fields: Any) -> dict[str, Any]:
    """Return a body whose second message is an assistant's."""
    return dialogue(HI, {"role": "assistant", **fields})


def called(**function: Any) -> dict[str, Any]:
    """Return a body with one earlier tool call."""
    return assistant(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}", **function}}])


SHAPE: list[tuple[Any, str | None, str]] = [
    # (body, param, the words behind it)
    *((value, "body", OBJECT) for value in (None, 5, "x", [], [body()], True)),
    ({"messages": [HI]}, "model", REQUIRED),
    (body(model=5), "model", STRING),
    (body(model=""), "model", NOT_EMPTY),
    (body(model="x" * 2049), "model", "String should have at most 2048 characters"),
    (body(messages=5), "messages", LIST),
    (body(messages=[]), "messages", "List should have at least 1 item after validation, not 0"),
    (body(messages={"role": "user"}), "messages", LIST),
    ({"model": "m", "prompt": 5}, "prompt", STRING),
    ({"model": "m", "prompt": ""}, "prompt", NOT_EMPTY),
    (body(system=5), "system", LIST),
    (body(max_tokens="5"), "max_tokens", INTEGER),
    (body(max_tokens=5.0), "max_tokens", INTEGER),
    (body(max_tokens=True), "max_tokens", INTEGER),
    (body(max_tokens=0), "max_tokens", "Input should be greater than or equal to 1"),
    (body(max_tokens=2**63), "max_tokens", "Input should be less than or equal to 10000000"),
    (body(temperature="1"), "temperature", "Input should be a valid number"),
    (body(temperature=-0.1), "temperature", "Input should be greater than or equal to 0"),
    (body(temperature=float("inf")), "temperature", "Input should be a finite number"),
    (body(top_p=[]), "top_p", "Input should be a valid number"),
    (body(top_p=1.1), "top_p", "Input should be less than or equal to 1"),
    (body(top_k=1.5), "top_k", INTEGER),
    (body(top_k=-1), "top_k", "Input should be greater than or equal to 0"),
    (body(stop=5), "stop", LIST),
    (body(stop=""), "stop", NOT_EMPTY),
    (body(stop=["a", ""]), "stop[1]", NOT_EMPTY),
    (body(stop=[5]), "stop[0]", STRING),
    (body(metadata=[]), "metadata", OBJECT),
    (body(metadata={"k": 5}), "metadata.k", STRING),
    (body(metadata={f"{CANARY} with spaces": 5}), "metadata.?", STRING),
    (body(provider=5), "provider", STRING),
    (body(provider="a b"), "provider", "String should match pattern '^[A-Za-z0-9_.-]{1,64}$'"),
    # messages
    (dialogue(5), "messages[0]", OBJECT),
    (dialogue(HI, {}), "messages[1].role", REQUIRED),
    (dialogue(HI, {"role": CANARY}), "messages[1].role", ROLES),
    (dialogue(HI, {"role": 5}), "messages[1].role", ROLES),
    (dialogue({"role": "user"}), "messages[0].content", REQUIRED),
    (dialogue({"role": "user", "content": 5}), "messages[0].content", LIST),
    (dialogue({"role": "user", "content": None}), "messages[0].content", LIST),
    (
        dialogue({"role": "user", "content": []}),
        "messages[0].content",
        "Value should have at least 1 item after validation, not 0",
    ),
    (dialogue({"role": "system", "content": {}}), "messages[0].content", LIST),
    (
        dialogue({"role": "system", "content": [{"type": "text", "text": 5}]}),
        "messages[0].content[0].text",
        STRING,
    ),
    (
        dialogue({"role": "system", "content": [{"type": CANARY, "text": "x"}]}),
        "messages[0].content[0].type",
        "Input should be one of 'text', 'cache_point'",
    ),
    (dialogue({"role": "user", "content": [5]}), "messages[0].content[0]", OBJECT),
    (dialogue({"role": "user", "content": [{}]}), "messages[0].content[0].type", REQUIRED),
    (
        dialogue({"role": "user", "content": [{"type": CANARY}]}),
        "messages[0].content[0].type",
        "Input should be one of 'text', 'image_url', 'file', 'cache_point'",
    ),
    (dialogue({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0].text", REQUIRED),
    (
        dialogue({"role": "user", "content": [{"type": "text", "text": []}]}),
        "messages[0].content[0].text",
        STRING,
    ),
    (
        dialogue({"role": "user", "content": [{"type": "image_url", "image_url": CANARY}]}),
        "messages[0].content[0].image_url",
        OBJECT,
    ),
    (dialogue(HI, HI, dict(image(5)["messages"][0])), "messages[2].content[0].image_url.url", STRING),
    (
        dialogue(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "high"}}]}
        ),
        "messages[0].content[0].image_url.detail",
        "Input should be 'auto'",
    ),
    (assistant(content=5), "messages[1].content", LIST),
    (assistant(tool_calls={}), "messages[1].tool_calls", LIST),
    (assistant(tool_calls=[5]), "messages[1].tool_calls[0]", OBJECT),
    (assistant(tool_calls=[{"function": CALL["function"]}]), "messages[1].tool_calls[0].id", REQUIRED),
    (assistant(tool_calls=[{**CALL, "id": ""}]), "messages[1].tool_calls[0].id", NOT_EMPTY),
    (assistant(tool_calls=[{**CALL, "type": CANARY}]), "messages[1].tool_calls[0].type", FUNCTION),
    (assistant(tool_calls=[{**CALL, "function": 5}]), "messages[1].tool_calls[0].function", OBJECT),
    (called(name=5), "messages[1].tool_calls[0].function.name", STRING),
    (called(arguments={"a": CANARY}), "messages[1].tool_calls[0].function.arguments", STRING),
    (assistant(reasoning=5), "messages[1].reasoning", LIST),
    (assistant(reasoning=[5]), "messages[1].reasoning[0]", OBJECT),
    (assistant(reasoning=[{"text": 5}]), "messages[1].reasoning[0].text", STRING),
    (assistant(reasoning=[{"signature": 5}]), "messages[1].reasoning[0].signature", STRING),
    (assistant(reasoning=[{"redacted": 5}]), "messages[1].reasoning[0].redacted", STRING),
    (dialogue({"role": "tool", "content": "x"}), "messages[0].tool_call_id", REQUIRED),
    (dialogue({"role": "tool", "tool_call_id": 5, "content": "x"}), "messages[0].tool_call_id", STRING),
    (dialogue({"role": "tool", "tool_call_id": "c"}), "messages[0].content", REQUIRED),
    (
        dialogue({"role": "tool", "tool_call_id": "c", "content": "x", "is_error": 1}),
        "messages[0].is_error",
        "Input should be a valid boolean",
    ),
    # tools
    (body(tools=5), "tools", LIST),
    (body(tools=[5]), "tools[0]", OBJECT),
    (body(tools=[{}]), "tools[0].type", REQUIRED),
    (body(tools=[WEATHER, {"type": CANARY, "function": {"name": "f"}}]), "tools[1].type", FUNCTION),
    (body(tools=[{"type": "function", "function": 5}]), "tools[0].function", OBJECT),
    (body(tools=[{"type": "function", "function": {}}]), "tools[0].function.name", REQUIRED),
    (
        body(tools=[{"type": "function", "function": {"name": f"{CANARY}!"}}]),
        "tools[0].function.name",
        "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
    ),
    (
        body(tools=[{"type": "function", "function": {"name": "f", "description": 5}}]),
        "tools[0].function.description",
        STRING,
    ),
    (
        body(tools=[{"type": "function", "function": {"name": "f", "parameters": CANARY}}]),
        "tools[0].function.parameters",
        OBJECT,
    ),
    (body(tool_choice=5), "tool_choice", WORDS),
    (body(tool_choice=CANARY), "tool_choice", WORDS),
    (body(tool_choice=[WEATHER]), "tool_choice", WORDS),
    (body(tool_choice={"function": {"name": "f"}}), "tool_choice.type", REQUIRED),
    (body(tool_choice={"type": CANARY, "function": {"name": "f"}}), "tool_choice.type", FUNCTION),
    (body(tool_choice={"type": "function", "function": 5}), "tool_choice.function", OBJECT),
    (body(tool_choice={"type": "function", "function": {}}), "tool_choice.function.name", REQUIRED),
    (body(tool_choice={"type": "function", "function": {"name": 5}}), "tool_choice.function.name", STRING),
    # unknown fields, at every level
    (body(x=CANARY), "x", UNKNOWN),
    (body(stream=True), "stream", UNKNOWN),
    (body(**{f"{CANARY} with spaces": 1}), "?", UNKNOWN),
    (dialogue({**HI, "x": CANARY}), "messages[0].x", UNKNOWN),
    (dialogue({"role": "system", "content": "s", "x": 1}, HI), "messages[0].x", UNKNOWN),
    (
        dialogue({"role": "user", "content": [{"type": "text", "text": "t", "x": 1}]}),
        "messages[0].content[0].x",
        UNKNOWN,
    ),
    (
        dialogue({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "x": 1}}]}),
        "messages[0].content[0].image_url.x",
        UNKNOWN,
    ),
    (assistant(content="c", x=1), "messages[1].x", UNKNOWN),
    (assistant(tool_calls=[{**CALL, "x": 1}]), "messages[1].tool_calls[0].x", UNKNOWN),
    (called(x=1), "messages[1].tool_calls[0].function.x", UNKNOWN),
    (assistant(reasoning=[{"text": "t", "x": 1}]), "messages[1].reasoning[0].x", UNKNOWN),
    (dialogue({"role": "tool", "tool_call_id": "c", "content": "x", "x": 1}), "messages[0].x", UNKNOWN),
    (body(tools=[{**WEATHER, "x": 1}]), "tools[0].x", UNKNOWN),
    (body(tools=[{"type": "function", "function": {"name": "f", "x": 1}}]), "tools[0].function.x", UNKNOWN),
    (body(tools=[WEATHER], tool_choice={**WEATHER, "x": 1}), "tool_choice.x", UNKNOWN),
    (
        body(tool_choice={"type": "function", "function": {"name": "f", "x": 1}}),
        "tool_choice.function.x",
        UNKNOWN,
    ),
    # fields that bear the name of the branch that pydantic took
    (dialogue({"role": "user", "content": 5, "user": {"content": 1}}), "messages[0].content", LIST),
    (
        dialogue({"role": "user", "content": [{"type": "image_url", "image_url": {"image_url": {}}}]}),
        "messages[0].content[0].image_url.url",
        REQUIRED,
    ),
    (body(tools=[{"type": "function", "function": {"name": 5}}]), "tools[0].function.name", STRING),
]


@pytest.mark.parametrize(("value", "param", "words"), SHAPE)
def test_a_wrong_shape(value: Any, param: str | None, words: str) -> None:
    """The refusal names the first wrong field as the caller wrote it, and never repeats a value."""
    error = refusal(value)

    first = error.message.removesuffix(".").split("; ")[0]
    assert (error.param, first) == (param, f"{param}: {words}")
    assert CANARY not in f"{error.message} {error.param}"


NESTED = '{"a":' * 64 + "1" + "}" * 64
TOO_NESTED = '{"a":' * 65 + "1" + "}" * 65

MEANING: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "m"}, "messages", "Give either `messages` or `prompt`."),
    (body(prompt="p"), "messages", "Give either `messages` or `prompt`."),
    (
        dialogue({"role": "system", "content": CANARY}),
        "messages",
        "There is no turn to answer: add a user message.",
    ),
    (
        dialogue(HI, {"role": "system", "content": CANARY}),
        "messages[1].role",
        "System text must come before the first turn.",
    ),
    (assistant(), "messages[1].content", "An assistant message needs content or tool calls."),
    (assistant(content=[]), "messages[1].content", "An assistant message needs content or tool calls."),
    *(
        (called(arguments=text), "messages[1].tool_calls[0].function.arguments", ARGUMENTS)
        for text in ("[]", "5", "null")
    ),
    *(
        (called(arguments=text), "messages[1].tool_calls[0].function.arguments", f"The text of the {words}.")
        for text, words in (
            (CANARY, "arguments is not JSON: unexpected character, expected a JSON value at line 1 column 1"),
            ("NaN", "arguments is not JSON: unexpected character, expected a JSON value at line 1 column 1"),
            ('{"a":1,"a":2}', 'arguments repeats the key "a" in one JSON object at line 1 column 8'),
            (f'{{"a":{2**64}}}', "arguments has an integer beyond 64 bits at line 1 column 6"),
            ('{"a":"\ud800"}', "arguments is not UTF-8 at byte 6"),
            (TOO_NESTED, "arguments nests JSON deeper than 64 levels at line 1 column 321"),
            ('{"a":[%s1]}' % ("{}," * 100_000), "arguments has more than 100000 JSON values"),
        )
    ),
    *(
        (assistant(reasoning=[{"text": "t"}, block]), "messages[1].reasoning[1]", REASONING)
        for block in (
            {},
            {"text": ""},
            {"redacted": ""},
            {"text": CANARY, "redacted": CANARY},
            {"signature": CANARY, "redacted": CANARY},
        )
    ),
    (body(tool_choice="auto"), "tool_choice", "`tool_choice` needs `tools`."),
    (
        body(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": CANARY}}),
        "tool_choice",
        "`tool_choice` names a function that is not in `tools`.",
    ),
    *(
        (image(url), "messages[0].content[0].image_url.url", IMAGE)
        for url in (
            f"http://{CANARY}/x.png",
            "https://169.254.169.254/latest",
            "file://localhost/etc/passwd",
            f"data:image/svg+xml;base64,{PNG}",
            f"data:image/png,{PNG}",
            f"data:image/png;charset=utf-8;base64,{PNG}",
            f" data:image/png;base64,{PNG}",
            "data:",
            "",
        )
    ),
    *(
        (
            image(f"data:image/png;base64,{data}"),
            "messages[0].content[0].image_url.url",
            "The image is not valid base64.",
        )
        for data in ("!", "A", "AAA", "AA=A", f"{PNG}\n", f" {PNG}", "é", "\ud800", "A" * 1_000_001)
    ),
    (image("data:image/png;base64,"), "messages[0].content[0].image_url.url", "The image is empty."),
    (
        dialogue({"role": "system", "content": "s"}, image("x")["messages"][0]),
        "messages[1].content[0].image_url.url",
        IMAGE,
    ),
    (
        dialogue(HI, {"role": "tool", "tool_call_id": "c", "content": image("x")["messages"][0]["content"]}),
        "messages[1].content[0].image_url.url",
        IMAGE,
    ),
]


@pytest.mark.parametrize("read", [parse, openai_chat.parse])
def test_the_arguments_of_all_calls_are_bounded_together(read: Any) -> None:
    """As the body is: many small bombs are a large one."""
    many = '{"a":[%s1]}' % ("{}," * 30_000)
    call = {"type": "function", "function": {"name": "f", "arguments": many}}
    calls = [{"id": str(number), **call} for number in range(4)]
    with pytest.raises(InvalidRequest, match="more than 9991 JSON values") as caught:
        read(dialogue(HI, {"role": "assistant", "tool_calls": calls}))

    assert caught.value.param == "messages[1].tool_calls[3].function.arguments"


@pytest.mark.parametrize(("value", "param", "message"), MEANING)
def test_a_wrong_meaning(value: dict[str, Any], param: str, message: str) -> None:
    """What has the right shape but makes no sense is refused in words of its own."""
    error = refusal(value)

    assert (error.param, error.message) == (param, message)


def test_arguments_as_deep_as_a_body() -> None:
    """Arguments may nest as deep as the body itself."""
    (_, message) = parse(called(arguments=NESTED)).messages

    assert message.content == (ToolUsePart("c", "f", json.loads(NESTED)),)


def test_several_problems() -> None:
    """The message lists up to five problems and counts the rest; `param` is the first."""
    error = refusal({"model": 5, "temperature": "x", **{f"f{number}": 1 for number in range(5)}})

    assert error.param == "model"
    assert error.message == (
        "model: Input should be a valid string; temperature: Input should be a valid number; "
        "f0: unknown field; f1: unknown field; f2: unknown field; and 2 more."
    )


def test_lists_stop_at_the_first_wrong_item() -> None:
    """A list of wrong items costs no more than one: the refusal speaks of one."""
    error = refusal({"model": "m", "messages": [5] * 90_000})

    assert error.message == "messages[0]: Input should be an object."


# ── anything at all ───────────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(
    [
        *("model", "messages", "prompt", "system", "stop", "tools", "tool_choice", "metadata", "role"),
        *("content", "text", "image_url", "url", "function", "name", "arguments", "parameters", "tool_calls"),
        *("id", "reasoning", "signature", "redacted", "tool_call_id", "is_error", "provider", "type", "x"),
    ]
)
WORD = st.sampled_from(
    [
        *("user", "system", "assistant", "tool", "text", "image_url", "function", "auto", "required", "none"),
        *("", "{}", "data:image/png;base64,AAAA", "data:image/png;base64,é", CANARY),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORD,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)
MESSAGE = st.dictionaries(NAMES, JSON, max_size=4).flatmap(
    lambda rest: WORD.map(lambda role: {"content": "hi", **rest, "role": role})
)
BODY = st.dictionaries(NAMES, JSON, max_size=3).flatmap(
    lambda rest: st.lists(MESSAGE, max_size=4).map(
        lambda messages: {**rest, "model": "m", "messages": messages}
    )
)


@settings(deadline=None, max_examples=300)
@given(JSON | BODY)
def test_any_json(value: Any) -> None:
    """Whatever JSON comes, it is a request or an `InvalidRequest` that names a field that may be named."""
    try:
        request = parse(value)
    except InvalidRequest as error:
        described = (bool(error.message), error.param != "")
    else:
        described = (isinstance(request, CompletionRequest), bool(request.messages))
    assert described == (True, True)


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, "", [], {}, ["user"], [{"type": "text", "text": "x"}]]
)
TURN = st.fixed_dictionaries({"role": WORD | ODD, "content": WORD | ODD}, optional={"name": ODD})
NUMBER = st.integers(-1, 2) | st.floats(-0.5, 1.5) | st.sampled_from([math.nan, math.inf, 10**7 + 1, "1"])
FIELD = st.one_of(
    st.tuples(st.just("messages"), st.lists(TURN | st.just(HI), max_size=2) | ODD),
    st.tuples(st.just("model"), st.just("m" * 2049) | ODD),
    st.tuples(st.just("system"), WORD | ODD),
    st.tuples(st.sampled_from(["max_tokens", "temperature", "top_p", "top_k"]), NUMBER | ODD),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(FIELD, max_size=3))
def test_the_schema_reads_what_is_read_without_it(fields: list[tuple[str, Any]]) -> None:
    """What is read without the schema is just what the schema reads, down to the types of the numbers."""
    value = body(**dict(fields))

    read = native_plain.read(value)

    assert read is None or repr(read) == repr(of_schema(value))


PLAIN: list[dict[str, Any]] = [
    {},
    {"messages": [HI, {"role": "assistant", "content": ""}, HI], "system": "be brief"},
    {"system": None, "max_tokens": None, "temperature": None, "top_p": None},
    {"system": "", "max_tokens": 10**7, "temperature": 2.5, "top_p": 1.0},
    {"model": "m" * 2048, "max_tokens": 1, "temperature": 0.0, "top_p": 0.0},
]
NOT_PLAIN: list[dict[str, Any]] = [
    {"model": ""},
    {"model": "m" * 2049},
    {"messages": []},
    {"messages": [{"role": "user"}]},
    {"messages": [{**HI, "name": "x"}]},
    {"messages": [{"role": "system", "content": "x"}, HI]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
    {"messages": ["x"]},
    {"system": ["x"]},
    {"max_tokens": 0},
    {"max_tokens": True},
    {"max_tokens": 10**7 + 1},
    {"temperature": 1},
    {"temperature": -0.1},
    {"temperature": math.inf},
    {"top_p": math.nan},
    {"top_p": 1.1},
    {"top_k": 5},
]


@pytest.mark.parametrize(
    ("fields", "plain"), [*((each, True) for each in PLAIN), *((each, False) for each in NOT_PLAIN)]
)
def test_what_is_plain(fields: dict[str, Any], *, plain: bool) -> None:
    """The usual request needs no schema; what may be wrong, or is more than that, does."""
    value = body(**fields)

    read = native_plain.read(value)

    assert (read is not None) == plain
    assert not plain or repr(read) == repr(of_schema(value))


def poisoned(value: Any) -> Any:
    """Return `value` with the canary in place of every string that is not a key."""
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return CANARY if isinstance(value, str) else value


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(NAMES, JSON, max_size=4) | BODY)
def test_no_value_in_a_refusal(value: Any) -> None:
    """No string of the request, be it prompt or secret, comes back in the message or the path."""
    try:
        parse(poisoned(value))
    except InvalidRequest as error:
        told = f"{error.message} {error.param}"
    else:
        told = ""
    assert CANARY not in told


@pytest.mark.parametrize("depth", [64, 2000])
def test_deep_values(depth: int) -> None:
    """Depth is the door's business, but nothing here breaks on it."""
    deep: Any = []
    for _ in range(depth):
        deep = [deep]

    assert refusal(deep).param == "body"
    assert refusal(body(messages=deep)).param == "messages[0]"
    assert refusal(body(stop=deep)).param == "stop[0]"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"x": deep}}}
    assert parse(body(tools=[tool])).tools[0].input_schema["x"] is deep
