"""Cohere, AI21 and the OpenAI-shaped families: what they refuse, why they stop, and odd but legal answers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.model import Model
from gateway.codecs import CODECS
from gateway.completion import fold
from gateway.domain import (
    CompletionRequest,
    Event,
    FinishReason,
    ImagePart,
    Message,
    ReasoningDelta,
    ReasoningPart,
    Stop,
    TextDelta,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResultPart,
    ToolUsePart,
    Usage,
)
from gateway.errors import InvalidRequest, UpstreamFailed, UpstreamProtocolError
from tests.codecs.builders import Frames, Payload, feed, read

if TYPE_CHECKING:
    from gateway.catalog.model import Family
    from gateway.domain import Role

IDS: dict[Family, str] = {
    "cohere_command": "cohere.command-text-v14",
    "cohere_command_r": "cohere.command-r-v1:0",
    "jurassic": "ai21.j2-ultra-v1",
    "jamba": "ai21.jamba-1-5-mini-v1:0",
    "mistral_chat": "mistral.mistral-large-2407-v1:0",
    "openai_chat": "qwen.qwen3-32b-v1:0",
    "gpt_oss": "openai.gpt-oss-20b-1:0",
}
ALL = tuple(IDS)
TEXTS: tuple[Family, ...] = ("cohere_command", "jurassic")
CHATS: tuple[Family, ...] = ("jamba", "mistral_chat", "openai_chat", "gpt_oss")

HI = Message("user", (TextPart("Hi"),))
TOOL = Tool("clock", None, {"type": "object"})
CALL = Message("assistant", (ToolUsePart("t1", "clock", {}),))
RESULT = Message("user", (ToolResultPart("t1", (TextPart("noon"),)),))
IMAGE = Message("user", (ImagePart("png", b"x"),))
THOUGHT = Message("assistant", (ReasoningPart("Hm"), TextPart("Yes")))


def model(family: Family, base_id: str | None = None, **fields: Any) -> Model:
    """Return a model of this family, as the catalogue would give it."""
    base_id = base_id or IDS[family]
    known: dict[str, Any] = {"takes": ("text",), **fields}
    return Model(id=base_id, base_id=base_id, provider="any", native_family=family, api="invoke", **known)


def ask(family: Family, base_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return the body for a request with these fields."""
    request = CompletionRequest(**{"model": "m", "messages": (HI,), **fields})
    body: dict[str, Any] = json.loads(CODECS[family].format(request, model(family, base_id)))
    return body


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────


def each(families: tuple[Family, ...], fields: dict[str, Any], param: str) -> list[tuple[Any, ...]]:
    """Return one row for each family."""
    return [(family, fields, param) for family in families]


REFUSED = [
    *each(ALL, {"temperature": -0.1}, "temperature"),
    *each(ALL, {"temperature": 5.1}, "temperature"),
    *each(ALL, {"temperature": float("nan")}, "temperature"),
    *each(ALL, {"top_p": 1.01}, "top_p"),
    *each(ALL, {"top_k": -1}, "top_k"),
    *each((*CHATS, "jurassic"), {"top_k": 5}, "top_k"),
    *each(ALL, {"max_tokens": 0}, "max_tokens"),
    *each(ALL, {"stop": ("a", "")}, "stop[1]"),
    *each(ALL, {"messages": ()}, "messages"),
    *each(ALL, {"messages": (HI, Message("assistant", (ImagePart("png", b""),)))}, "messages[1].content[0]"),
    *each(ALL, {"messages": (IMAGE,)}, "messages[0].content[0]"),
    *each(ALL, {"messages": (HI, IMAGE, HI)}, "messages[1].content[0]"),
    *each(ALL, {"tool_choice": ToolChoice("any")}, "tool_choice"),
    *each(TEXTS, {"tools": (TOOL,)}, "tools"),
    *each(TEXTS, {"messages": (HI, CALL, RESULT)}, "messages[1].content[0]"),
    *each(
        ("cohere_command", "cohere_command_r", "jurassic", "jamba", "mistral_chat", "gpt_oss"),
        {"messages": (HI, THOUGHT, HI)},
        "messages[1].content[0]",
    ),
    *each(
        ("openai_chat",),
        {"messages": (HI, Message("assistant", (ReasoningPart("Hm", "signed"),)), HI)},
        "messages[1].content[0]",
    ),
    *each(
        ("openai_chat",),
        {"messages": (HI, Message("assistant", (ReasoningPart(redacted="AA=="),)), HI)},
        "messages[1].content[0]",
    ),
    *each(
        (*CHATS, "cohere_command_r"),
        {"messages": (HI, CALL, Message("user", (ToolResultPart("t1", (ImagePart("png", b""),)),)))}
        | {"tools": (TOOL,)},
        "messages[2].content[0]",
    ),
    *each((*CHATS,), {"tools": (TOOL,), "tool_choice": ToolChoice("tool", "x")}, "tool_choice"),
    *each(
        ("jamba", "mistral_chat", "cohere_command_r"),
        {"tools": (TOOL,), "tool_choice": ToolChoice("tool", "clock")},
        "tool_choice",
    ),
    *each(("jamba", "cohere_command_r"), {"tools": (TOOL,), "tool_choice": ToolChoice("any")}, "tool_choice"),
    *each(("cohere_command_r",), {"messages": (HI, CALL)}, "messages"),
    *each(("cohere_command_r",), {"messages": (RESULT,)}, "messages"),
    *each(("cohere_command_r",), {"messages": (HI, CALL, RESULT)}, "tools"),
    *each(
        ("cohere_command_r",),
        {"messages": (HI, CALL, RESULT), "tools": (TOOL,), "tool_choice": ToolChoice("none")},
        "tool_choice",
    ),
    *each(
        ("cohere_command_r",),
        {"messages": (HI, CALL, RESULT, Message("assistant", (TextPart("Noon"),)), HI), "tools": (TOOL,)},
        "messages[1].content[0]",
    ),
    *each(
        ("cohere_command_r",),
        {"messages": (HI, Message("assistant", (TextPart("Wait"), *CALL.content)), RESULT)},
        "messages[1].content[0]",
    ),
    *each(("cohere_command_r",), {"messages": (HI, CALL, CALL, RESULT)}, "messages[1].content[0]"),
    *each(
        ("cohere_command_r",),
        {"messages": (HI, Message("assistant", (*CALL.content, ToolUsePart("t2", "clock", {}))), RESULT)},
        "messages[1].content[1]",
    ),
    *each(
        ("cohere_command_r",),
        {"messages": (HI, CALL, RESULT, CALL, RESULT, RESULT)},
        "messages[5].content[0]",
    ),
]


@pytest.mark.parametrize(("family", "fields", "param"), REFUSED)
def test_what_a_family_cannot_do_is_refused_by_name(
    family: Family, fields: dict[str, Any], param: str
) -> None:
    """The refusal names the field as the caller wrote it."""
    with pytest.raises(InvalidRequest) as caught:
        ask(family, **fields)
    assert caught.value.param == param


RANGES: list[tuple[Family, str | None, dict[str, Any], str]] = [
    ("cohere_command", None, {"temperature": 5.1}, "between 0 and 5"),
    ("cohere_command", None, {"max_tokens": 4097}, "between 1 and 4096"),
    ("cohere_command", None, {"stop": tuple("abcde")}, "at most 4"),
    ("cohere_command", None, {"top_k": 501}, "between 0 and 500"),
    ("cohere_command_r", None, {"temperature": 1.1}, "between 0 and 1"),
    ("cohere_command_r", None, {"top_p": 1}, "between 0.01 and 0.99"),
    ("cohere_command_r", None, {"max_tokens": 4001}, "between 1 and 4000"),
    ("cohere_command_r", None, {"stop": tuple("abcdef")}, "at most 5"),
    ("jurassic", None, {"temperature": 1.1}, "between 0 and 1"),
    ("jurassic", None, {"max_tokens": 8192}, "between 1 and 8191"),
    ("jamba", None, {"temperature": 2.1}, "between 0 and 2"),
    ("jamba", None, {"top_p": 0}, "between 0.01 and 1"),
    ("jamba", None, {"max_tokens": 4097}, "between 1 and 4096"),
    ("mistral_chat", None, {"temperature": 1.1}, "between 0 and 1"),
    ("openai_chat", None, {"temperature": 2.1}, "between 0 and 2"),
    ("openai_chat", "moonshot.kimi-k2-thinking", {"temperature": 1.1}, "between 0 and 1"),
    ("openai_chat", "moonshotai.kimi-k2.5", {"temperature": 1.1}, "between 0 and 1"),
    ("openai_chat", "writer.palmyra-x4-v1:0", {"max_tokens": 8193}, "between 1 and 8192"),
    ("openai_chat", "writer.palmyra-x4-v1:0", {"stop": tuple("abcde")}, "at most 4"),
    ("gpt_oss", None, {"temperature": 2.1}, "between 0 and 2"),
]


@pytest.mark.parametrize(("family", "base_id", "fields", "range_"), RANGES)
def test_a_refusal_says_the_range(
    family: Family, base_id: str | None, fields: dict[str, Any], range_: str
) -> None:
    """A caller can correct the request from the message alone."""
    with pytest.raises(InvalidRequest, match=range_):
        ask(family, base_id, **fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": (TOOL,)}, "tools"),
        ({"messages": (HI, Message("assistant", (TextPart("x"),)), HI)}, "messages"),
    ],
)
def test_jamba_instruct_takes_one_user_message(fields: dict[str, Any], param: str) -> None:
    """The first Jamba knows neither conversations nor tools; one message it does."""
    assert ask("jamba", "ai21.jamba-instruct-v1:0")["messages"] == [{"role": "user", "content": "Hi"}]
    with pytest.raises(InvalidRequest) as caught:
        ask("jamba", "ai21.jamba-instruct-v1:0", **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}, "'enum'"),
        ({"type": "object", "properties": {"a": {"anyOf": []}}}, "exactly one type"),
        ({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}, "exactly one type"),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, "exactly one type"),
        ({"type": "object", "properties": {"a": True}}, "exactly one type"),
        ({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}, "'properties'"),
        (
            {"properties": {"a": {"type": "array", "items": {"type": "string", "minLength": 1}}}},
            "'minLength'",
        ),
        ({"properties": {"a": {"type": "array", "items": [1]}}}, "exactly one type"),
        ({"properties": {"a": {"type": "array", "items": {"type": "string", "description": "x"}}}}, "'desc"),
        ({"type": "array"}, "an object"),
        ({"additionalProperties": True}, "an object"),
        ({"properties": {}, "required": ["a"]}, "required name"),
        ({"properties": {}, "required": [1]}, "required name"),
        ({"properties": []}, "JSON Schema"),
        ({"required": "a"}, "JSON Schema"),
        ({"description": 1}, "JSON Schema"),
        ({"$defs": {}}, "'\\$defs'"),
        ({"\r": ""}, "express a word that is not JSON Schema's; "),
        ({"<script>": ""}, "express a word that is not JSON Schema's; "),
    ],
)
def test_what_command_rs_tools_cannot_express_is_refused(schema: dict[str, Any], what: str) -> None:
    """Cohere's definitions are flat and typed; a schema that says more names its tool and the word."""
    with pytest.raises(InvalidRequest, match=what) as caught:
        ask("cohere_command_r", tools=(TOOL, Tool("a", None, schema)))
    assert caught.value.param == "tools[1]"


def test_lists_of_lists_have_a_word() -> None:
    """Items may be lists again."""
    items = {"type": "array", "items": {"type": "array"}}
    body = ask("cohere_command_r", tools=(Tool("a", None, {"properties": {"p": items}}),))
    assert body["tools"][0]["parameter_definitions"] == {"p": {"type": "List[list]", "required": False}}


# ── what is sent ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("base_id", "field", "native"),
    [
        ("qwen.qwen3-32b-v1:0", "max_tokens", True),
        ("moonshotai.kimi-k2.5", "max_tokens", False),
        ("xai.grok-4.6", "max_tokens", False),
        ("openai.gpt-5.4", "max_completion_tokens", True),
        ("openai.gpt-5.6-sol", "max_completion_tokens", False),
        ("openai.gpt-6.1-sol", "max_completion_tokens", False),
        ("writer.palmyra-x5-v1:0", "max_tokens", True),
        (None, "max_tokens", True),
    ],
)
def test_what_is_particular_to_a_model(base_id: str | None, field: str, native: bool) -> None:  # noqa: FBT001 - a table
    """The name of the limit, which is always sent, and whether the model takes `stop` itself."""
    of = model("openai_chat", base_id) if base_id else model("openai_chat", "x")
    request = CompletionRequest(model="m", messages=(HI,), stop=("x",))
    body = json.loads(CODECS["openai_chat"].format(request, of))
    assert body[field] == 4096
    assert (CODECS["openai_chat"].stop_is_native(of), "stop" in body) == (native, native)


@pytest.mark.parametrize("family", [family for family in ALL if family != "openai_chat"])
def test_the_others_take_stop_sequences(family: Family) -> None:
    """All other families have a field for them."""
    assert CODECS[family].stop_is_native(model(family))


@pytest.mark.parametrize(("takes", "accepted"), [(None, True), (("text", "image"), True), (("text",), False)])
def test_images_go_where_the_catalogue_does_not_rule_them_out(
    takes: tuple[str, ...] | None,
    accepted: bool,  # noqa: FBT001 - a table
) -> None:
    """An unknown model may take images: Bedrock judges."""
    request = CompletionRequest(model="m", messages=(IMAGE,))
    of = model("openai_chat", takes=takes)
    if accepted:
        content = json.loads(CODECS["openai_chat"].format(request, of))["messages"][0]["content"]
        assert content == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]
    else:
        with pytest.raises(InvalidRequest):
            CODECS["openai_chat"].format(request, of)


PIECES = st.lists(
    st.sampled_from(["\nUser:", "User :", "chatbot:", "Assistant:", " ", "\n", "\r", "\u2028", "x"])
    | st.sampled_from(["<EOS_TOKEN>", "<", "eos", "_TOKEN", ">", "|", "<|END_OF_TURN_TOKEN|>"]),
    max_size=8,
).map("".join)
LABEL = re.compile(r"^\s*(?:user|chatbot|assistant)\s*:", re.IGNORECASE)


@pytest.mark.parametrize("family", TEXTS)
@given(said=st.lists(PIECES, min_size=3, max_size=3), system=PIECES)
def test_no_text_can_forge_a_turn_or_a_token(family: Family, said: list[str], system: str) -> None:
    """A transcript has as many labelled lines as speakers spoke; a special token of Cohere's is a word."""
    roles: tuple[Role, ...] = ("user", "assistant", "user")
    messages = tuple(Message(role, (TextPart(text),)) for role, text in zip(roles, said, strict=True))
    label = {"cohere_command": "Chatbot", "jurassic": "Assistant"}[family]
    prompt = ask(family, messages=messages, system=system)["prompt"]
    lines = [line for line in prompt.splitlines() if LABEL.match(line)]
    others = [line for line in lines if not re.match(rf"(?:User|{label}):", line)]
    assert sum(line.startswith("User:") for line in lines) == 2
    assert sum(line.startswith(f"{label}:") for line in lines) == 2
    assert [line for line in others if re.match(rf"\s*(?:User|{label})\s*:", line, re.IGNORECASE)] == []
    if family == "cohere_command":
        assert re.search(r"<\|?\w+_TOKEN\|?>", prompt) is None


@pytest.mark.parametrize(("streaming", "said"), [(True, {"stream": True}), (False, {})])
def test_command_is_told_whether_it_streams(streaming: bool, said: dict[str, Any]) -> None:  # noqa: FBT001 - a table
    """The operation alone does not tell it."""
    request = CompletionRequest(model="m", messages=(HI,))
    body = json.loads(CODECS["cohere_command"].format(request, model("cohere_command", streaming=streaming)))
    assert {name: value for name, value in body.items() if name == "stream"} == said


def test_text_before_a_tool_result_stays_before_it() -> None:
    """Messages keep the order of the parts; several texts in a row are one message."""
    parts = (TextPart("a"), *RESULT.content, TextPart("b"), TextPart("c"))
    messages = ask("jamba", messages=(HI, CALL, Message("user", parts)))["messages"]
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "Hi"),
        ("assistant", ""),
        ("user", "a"),
        ("tool", "noon"),
        ("user", "b\nc"),
    ]


def test_mistral_gets_ids_of_nine_characters() -> None:
    """Its own ids stay; other models' are replaced, in the call and its result alike."""
    own, foreign = ToolUsePart("abc123DEF", "clock", {}), ToolUsePart("functions.clock:0", "clock", {})
    results = tuple(ToolResultPart(part.id, (TextPart("noon"),)) for part in (own, foreign))
    messages = ask(
        "mistral_chat", messages=(HI, Message("assistant", (own, foreign)), Message("user", results))
    )
    called = [call["id"] for call in messages["messages"][1]["tool_calls"]]
    answered = [message["tool_call_id"] for message in messages["messages"][2:]]
    assert called == answered == ["abc123DEF", called[1]]
    assert called[1].isalnum()
    assert len(called[1]) == 9


@pytest.mark.parametrize("family", ALL)
def test_metadata_goes_into_bedrocks_header(family: Family) -> None:
    """As for every family that InvokeModel serves."""
    request = CompletionRequest(model="m", messages=(HI,), metadata={"team": "a"})
    assert CODECS[family].headers(request) == {"X-Amzn-Bedrock-Request-Metadata": '{"team":"a"}'}


# ── why it stopped ────────────────────────────────────────────────────────────────────────────────────

STOPS: list[tuple[Family, str, FinishReason, set[str]]] = [
    *[
        row
        for family in CHATS
        for row in (
            (family, "stop", FinishReason.STOP, set[str]()),
            (family, "length", FinishReason.LENGTH, set[str]()),
            (family, "model_length", FinishReason.LENGTH, set[str]()),
            (family, "tool_calls", FinishReason.TOOL_CALLS, set[str]()),
            (family, "content_filter", FinishReason.CONTENT_FILTER, set[str]()),
            (family, "bored", FinishReason.STOP, {"stop_reason:bored"}),
        )
    ],
    *[
        row
        for family in ("cohere_command", "cohere_command_r")
        for row in (
            (family, "COMPLETE", FinishReason.STOP, set[str]()),
            (family, "STOP_SEQUENCE", FinishReason.STOP, set[str]()),
            (family, "MAX_TOKENS", FinishReason.LENGTH, set[str]()),
            (family, "ERROR_LIMIT", FinishReason.LENGTH, set[str]()),
            (family, "ERROR_TOXIC", FinishReason.CONTENT_FILTER, set[str]()),
            (family, "BORED", FinishReason.STOP, {"stop_reason:BORED"}),
        )
    ],
    ("jurassic", "endoftext", FinishReason.STOP, set()),
    ("jurassic", "stop", FinishReason.STOP, set()),
    ("jurassic", "length", FinishReason.LENGTH, set()),
    ("jurassic", "bored", FinishReason.STOP, {"stop_reason:bored"}),
]


def chunk(delta: Payload | None = None, stop: str | None = None, **more: Any) -> Payload:
    """Return a chunk of the chat shape."""
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": stop}], **more}


def chat(*deltas: Payload, stop: str = "stop") -> Frames:
    """Return a stream of the chat shape with these deltas."""
    return [("chunk", payload) for payload in (*map(chunk, deltas), chunk(stop=stop))]


def message(stop: str | None = "stop", **said: Any) -> Payload:
    """Return a whole answer of the chat shape."""
    return {"choices": [{"message": {"role": "assistant", **said}, "finish_reason": stop}]}


def stopped(family: Family, raw: str) -> tuple[Frames, Payload]:
    """Return a stream and a whole answer that end for this reason."""
    match family:
        case "cohere_command":
            whole: Payload = {"generations": [{"text": "x", "finish_reason": raw}]}
            return [("chunk", {"is_finished": True, "finish_reason": raw})], whole
        case "cohere_command_r":
            end = {"is_finished": True, "event_type": "stream-end", "finish_reason": raw}
            return [("chunk", end)], {"text": "x", "finish_reason": raw}
        case "jurassic":
            whole = {"completions": [{"data": {"text": "x"}, "finishReason": {"reason": raw}}]}
            return [("chunk", whole)], whole
        case _:
            return chat(stop=raw), message(raw)


@pytest.mark.parametrize(("family", "raw", "reason", "unknown"), STOPS)
def test_stop_reasons(family: Family, raw: str, reason: FinishReason, unknown: set[str]) -> None:
    """Each family's words in the gateway's; a new word is a stop, kept raw and reported."""
    frames, body = stopped(family, raw)
    for events, news in (feed(family, frames), read(family, body)):
        assert (events[-1], news) == (Stop(reason, raw), unknown)


@pytest.mark.parametrize(
    ("family", "raw"),
    [("cohere_command", "ERROR"), ("cohere_command_r", "ERROR"), *[(family, "error") for family in CHATS]],
)
def test_a_model_that_says_it_failed_has_failed(family: Family, raw: str) -> None:
    """The stop reason says so; a partial answer must not pass for a whole one."""
    frames, body = stopped(family, raw)
    with pytest.raises(UpstreamFailed) as streamed:
        feed(family, frames)
    with pytest.raises(UpstreamFailed) as whole:
        read(family, body)
    assert (streamed.value.upstream_code, whole.value.upstream_code) == (raw, raw)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "host 10.0.0.1", "type": "server_error"}, "server_error"),
        ({"message": "host 10.0.0.1", "type": 500}, None),
        ("host 10.0.0.1", None),
    ],
)
def test_an_error_object_is_a_failure(error: Any, code: str | None) -> None:
    """Its type is kept for the log; its words may quote the prompt and go nowhere."""
    with pytest.raises(UpstreamFailed) as streamed:
        feed("openai_chat", [("chunk", {"error": error})])
    with pytest.raises(UpstreamFailed) as whole:
        read("openai_chat", {"error": error})
    for caught in (streamed.value, whole.value):
        assert (caught.upstream_code, caught.detail) == (code, None)
        assert "10.0.0.1" not in caught.message


@pytest.mark.parametrize("family", ALL)
def test_a_guardrails_verdict_counts_more(family: Family) -> None:
    """Blocked or masked: the answer was filtered, whatever the model says."""
    frames, body = stopped(family, "stop")
    action = {"amazon-bedrock-guardrailAction": "INTERVENED"}
    frames[0][1].update(action)
    for events, _ in (feed(family, frames), read(family, {**body, **action})):
        assert isinstance(events[-1], Stop)
        assert events[-1].reason is FinishReason.CONTENT_FILTER


def test_a_blocked_answer_may_have_no_reason() -> None:
    """Where a guardrail spoke instead of the model, no model said why it stopped."""
    body = {**message(None, content="Blocked"), "amazon-bedrock-guardrailAction": "INTERVENED"}
    assert read("openai_chat", body)[0] == [
        TextDelta("Blocked"),
        Stop(FinishReason.CONTENT_FILTER, "INTERVENED"),
    ]


# ── odd but legal answers ─────────────────────────────────────────────────────────────────────────────


def call(piece: str | None = None, number: int | None = 0, **more: Any) -> Payload:
    """Return a piece of a tool call."""
    numbered = {} if number is None else {"index": number}
    return {"tool_calls": [{**numbered, "function": {"name": "clock", "arguments": piece}, **more}]}


ODD: list[tuple[str, Frames, list[Event], set[str]]] = [
    (
        "a new id is a new call whatever its number",
        chat(call("{}", id="a"), call("[]", id="b")),
        [
            ToolCall(0, "a", "clock"),
            ToolCallDelta(0, "{}"),
            ToolCall(1, "b", "clock"),
            ToolCallDelta(1, "[]"),
        ],
        set(),
    ),
    (
        "calls without numbers",
        chat(call("{}", None, id="a"), call(None, None, id="b")),
        [
            ToolCall(0, "a", "clock"),
            ToolCallDelta(0, "{}"),
            ToolCall(1, "b", "clock"),
            ToolCallDelta(1, "{}"),
        ],
        set(),
    ),
    (
        "reasoning by its other name",
        chat({"reasoning": "Hm", "content": "x"}),
        [ReasoningDelta(text="Hm"), TextDelta("x")],
        set(),
    ),
    (
        "news in a delta",
        chat({"smell": "x", "audio": None, "content": "y"}),
        [TextDelta("y")],
        {"delta:smell"},
    ),
    ("no delta", [("chunk", {"choices": [{}]}), *chat()], [], set()),
    ("a delta that is null", [("chunk", {"choices": [{"delta": None}]}), *chat()], [], set()),
    ("an empty reason is none", [("chunk", chunk({"content": "x"}, "")), *chat()], [TextDelta("x")], set()),
    ("a frame of another kind", [("initial-response", {}), *chat()], [], {"event:initial-response"}),
    (
        "usage without choices",
        [*chat(), ("chunk", {"usage": {"prompt_tokens": 3, "completion_tokens": 4}})],
        [Usage(input_tokens=3, output_tokens=4)],
        set(),
    ),
    (
        "usage that is null",
        [("chunk", chunk({"content": "x"}, usage=None)), *chat()],
        [TextDelta("x")],
        set(),
    ),
    (
        "more tokens from the cache than there are",
        [
            (
                "chunk",
                chunk(stop="stop", usage={"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}),
            )
        ],
        [Usage(input_tokens=0, cache_read_tokens=4)],
        set(),
    ),
    (
        "the last word again with nothing to say",
        [*chat(), ("chunk", chunk({"content": "", "tool_calls": None}, "stop"))],
        [],
        set(),
    ),
]


@pytest.mark.parametrize(("frames", "said", "unknown"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
def test_odd_but_legal_streams(frames: Frames, said: list[Event], unknown: set[str]) -> None:
    """Servers differ in their habits; none of these breaks a stream or loses a word."""
    events, news = feed("openai_chat", frames)
    assert (events[:-1], news) == (said, unknown)
    assert events[-1] == Stop(FinishReason.STOP, "stop")


def test_done_is_only_a_word_behind_the_end() -> None:
    """Before the terminal chunk `[DONE]` is an answer that broke off."""
    extractor = CODECS["openai_chat"].extractor()
    with pytest.raises(UpstreamProtocolError):
        extractor.feed("chunk", b'"[DONE]"', [])


BROKEN: list[tuple[str, Family, Frames]] = [
    ("text behind the end", "openai_chat", [*chat(), ("chunk", chunk({"content": "x"}))]),
    ("reasoning behind the end", "openai_chat", [*chat(), ("chunk", chunk({"reasoning_content": "x"}))]),
    ("another reason behind the end", "openai_chat", [*chat(), ("chunk", chunk(stop="length"))]),
    ("no choices", "openai_chat", [("chunk", {"id": "a"})]),
    ("two choices", "openai_chat", [("chunk", {"choices": [{"delta": {}}, {"delta": {}}]})]),
    ("the second choice", "openai_chat", [("chunk", {"choices": [{"index": 1, "delta": {}}]})]),
    ("text that is a list", "openai_chat", chat({"content": []})),
    ("a call without an id", "openai_chat", chat(call("{}"))),
    ("a call without a name", "openai_chat", chat({"tool_calls": [{"index": 0, "id": "a"}]})),
    ("arguments that are an object", "openai_chat", chat(call({}, id="a"))),  # type: ignore[arg-type]  # the point
    ("no is_finished", "cohere_command", [("chunk", {"text": "x"})]),
    ("no text", "cohere_command", [("chunk", {"is_finished": False})]),
    ("no reason", "cohere_command", [("chunk", {"is_finished": True})]),
    ("behind the end", "cohere_command", stopped("cohere_command", "COMPLETE")[0] * 2),
    ("no type", "cohere_command_r", [("chunk", {"is_finished": False})]),
    ("behind the end", "cohere_command_r", stopped("cohere_command_r", "COMPLETE")[0] * 2),
    ("no completion", "jurassic", [("chunk", {"completions": []})]),
    ("two completions", "jurassic", [("chunk", {"completions": [{}, {}]})]),
    ("behind the end", "jurassic", stopped("jurassic", "stop")[0] * 2),
]


@pytest.mark.parametrize(
    ("family", "frames"), [row[1:] for row in BROKEN], ids=[f"{row[1]}: {row[0]}" for row in BROKEN]
)
def test_an_answer_that_breaks_its_rules_is_a_protocol_error(family: Family, frames: Frames) -> None:
    """Whatever is wrong, it is the upstream's fault and has that name."""
    with pytest.raises(UpstreamProtocolError):
        feed(family, frames)


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("openai_chat", {"choices": []}),
        ("openai_chat", {"choices": [{"finish_reason": "stop"}]}),
        ("openai_chat", message(None)),
        ("cohere_command", {"generations": []}),
        ("cohere_command", {"generations": [{"text": "x"}]}),
        ("cohere_command_r", {"finish_reason": "COMPLETE"}),
        ("jurassic", {"completions": []}),
    ],
)
def test_a_whole_answer_that_breaks_its_rules_is_a_protocol_error(family: Family, body: Payload) -> None:
    """The unary side is as strict as the stream."""
    with pytest.raises(UpstreamProtocolError):
        read(family, body)


def test_an_answer_may_have_no_text() -> None:
    """A completion that is empty makes no delta."""
    body = {"completions": [{"data": {"text": ""}, "finishReason": {"reason": "stop"}}]}
    assert read("jurassic", body) == ([Stop(FinishReason.STOP, "stop")], set())


def test_command_rs_news_are_named() -> None:
    """Events that belong to what the gateway never asks for make no event and are not lost."""
    news: Payload = {"is_finished": False, "event_type": "search-queries-generation", "search_queries": []}
    frames = [("chunk", news), *stopped("cohere_command_r", "COMPLETE")[0]]
    events, unknown = feed("cohere_command_r", frames)
    assert (events, unknown) == ([Stop(FinishReason.STOP, "COMPLETE")], {"event:search-queries-generation"})


def test_command_r_calls_are_numbered_through_the_answer() -> None:
    """Calls have no ids of their own; two events with calls do not share one."""
    calls: Payload = {"event_type": "tool-calls-generation", "tool_calls": [{"name": "clock"}]}
    frames: Frames = [("chunk", {"is_finished": False, **calls})] * 2
    events, _ = feed("cohere_command_r", [*frames, *stopped("cohere_command_r", "MAX_TOKENS")[0]])
    completion = fold(events)
    assert [(made.id, made.arguments) for made in completion.tool_calls] == [
        ("tooluse_0", "{}"),
        ("tooluse_1", "{}"),
    ]
    assert completion.finish_reason is FinishReason.LENGTH
