"""The families that take a conversation in OpenAI's manner, or nearly: what boto3 reads, what they refuse."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator import EmulatorSettings
from gateway.emulator.answer import Question, compose
from gateway.emulator.directives import defaults
from gateway.emulator.errors import BedrockError
from gateway.emulator.families import native_family
from gateway.emulator.models import read_model_id
from tests.emulator.asking import SCHEMA, invoke, invoke_stream, recorded
from tests.emulator.prompts import J2, MISTRAL_LARGE
from tests.emulator.test_families import shape_of
from tests.emulator.test_prompt_families import METRICS, STREAM, refusal, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

GPT_OSS = "openai.gpt-oss-120b-1:0"
KIMI = "moonshot.kimi-k2-thinking"
WRITER = "us.writer.palmyra-x5-v1:0"
MISTRAL_2407 = "mistral.mistral-large-2407-v1:0"
JAMBA = "ai21.jamba-1-5-large-v1:0"
JAMBA_1 = "ai21.jamba-instruct-v1:0"
GEMMA = "google.gemma-3-27b-it"
QWEN = "qwen.qwen3-32b-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
TAILS = {
    GPT_OSS: [{"finish", "metrics"}],
    QWEN: [{"finish"}, {"usage", "metrics"}],
    GEMMA: [{"finish", "usage"}, {"metrics"}],
    "minimax.minimax-m2": [{"finish"}, {"usage"}, {"metrics"}],
    KIMI: [{"finish"}, {"usage", "metrics"}],
    "nvidia.nemotron-nano-12b-v2": [{"finish", "usage"}, {"metrics"}],
    "zai.glm-5": [{"finish"}, {"usage"}, {"metrics"}],
    "deepseek.v3-v1:0": [{"finish", "metrics"}],
    WRITER: [{"finish", "usage", "metrics"}, {"[DONE]"}],
    "mistral.mistral-large-3-675b-instruct": [{"finish"}, {"usage", "metrics"}],
    MISTRAL_2407: [{"finish", "metrics"}],
    JAMBA: [{"finish", "usage"}, {"metrics"}],
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def chat(text: Any = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a body in which the user says `text`."""
    return {"messages": [{"role": "user", "content": text}], **fields}


def says(*messages: tuple[str, Any]) -> list[dict[str, Any]]:
    """Return messages."""
    return [{"role": role, "content": content} for role, content in messages]


def fold(chunks: list[Any]) -> dict[str, Any]:
    """Return the choice of the answer in one piece that the chunks tell of, and the usage if there is one."""
    message: dict[str, Any] = {"role": "assistant"}
    choice: dict[str, Any] = {}
    for chunk in (chunk for chunk in chunks if chunk != "[DONE]"):
        choice |= {"usage": chunk["usage"]} if "usage" in chunk else {}
        for part in chunk.get("choices", []):
            delta = part.get("delta", part.get("message"))
            for key in ("content", "reasoning_content"):
                message |= {key: message.get(key, "") + delta[key]} if delta.get(key) else {}
            for index, call in enumerate(delta.get("tool_calls", [])):
                _add_call(message.setdefault("tool_calls", []), call.get("index", index), call)
            choice |= {key: part[key] for key in ("finish_reason", "stop_reason") if part.get(key)}
    return {**choice, "message": message}


def _add_call(calls: list[dict[str, Any]], index: int, part: dict[str, Any]) -> None:
    if index == len(calls):
        made = {key: value for key, value in part.items() if key != "index"}
        calls.append({**made, "function": dict(part["function"])})
    else:
        calls[index]["function"]["arguments"] += part["function"]["arguments"]


# ── boto3 ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", TAILS)
@pytest.mark.parametrize("directive", ["deltas=30", "tool=2 deltas=3", "tool=1 deltas=0"])
async def test_stream_and_whole_say_the_same(client: Any, model: str, directive: str) -> None:
    """The chunks put together are the answer in one piece."""
    body = chat(f"Hello [[emulator {directive}]]", tools=[TOOL], max_tokens=500)

    answer = await asyncio.to_thread(invoke, client, model, body)
    chunks = await asyncio.to_thread(invoke_stream, client, model, body)

    [choice] = answer["choices"]
    told = fold(chunks)
    counted = told.pop("usage", None)
    message = {key: value for key, value in choice["message"].items() if value or key == "role"}
    assert told | {"index": 0} == choice | {"message": message}
    assert counted in [None, answer.get("usage")]


@pytest.mark.parametrize(("model", "tail"), TAILS.items())
async def test_each_family_ends_in_its_way(client: Any, model: str, tail: list[set[str]]) -> None:
    """All variants that other gateways have met, each always with the same family."""
    chunks: list[Any] = await asyncio.to_thread(invoke_stream, client, model, chat())

    ends: list[set[str]] = []
    for chunk in chunks[-len(tail) - 1 :]:
        marks = {"[DONE]"} if chunk == "[DONE]" else {key for key in ("usage",) if key in chunk}
        marks |= {"metrics"} if METRICS in chunk else set()
        choices = [] if chunk == "[DONE]" else chunk.get("choices", [])
        reasons = [choice.get("finish_reason") or choice.get("stop_reason") for choice in choices]
        ends.append(marks | {"finish" for reason in reasons if reason})
    assert ends == [set(), *tail]


@pytest.mark.parametrize("model", TAILS)
def test_the_counters_are_in_the_headers(reply: Ask, model: str) -> None:
    """All three."""
    assert sum(name.startswith("X-Amzn-Bedrock-") for name in reply("invoke", model, chat()).headers) == 3


# ── thoughts ──────────────────────────────────────────────────────────────────────────────────────────


def test_gpt_oss_thinks_in_tags(reply: Ask) -> None:
    """Inside of the content, before the answer (§4.10)."""
    answer = whole(reply, GPT_OSS, chat("[[emulator deltas=2 reasoning=2]]"))

    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "<reasoning>The emulator</reasoning>This answer",
    }


def test_thoughts_that_are_cut_off_are_not_closed(reply: Ask) -> None:
    """A reader meets a tag without its end."""
    [choice] = whole(reply, GPT_OSS, chat("[[emulator reasoning=9]]", max_completion_tokens=2))["choices"]

    assert (choice["message"]["content"], choice["finish_reason"]) == ("<reasoning>The emul", "length")


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("minimax.minimax-m2", {}, True),
        (QWEN, {}, False),
        (QWEN, {"reasoning_effort": "low"}, True),
    ],
)
def test_others_think_in_a_field(reply: Ask, model: str, fields: dict[str, Any], *, expected: bool) -> None:
    """Always, or when they are asked to."""
    message = whole(reply, model, chat(**fields))["choices"][0]["message"]

    assert ("reasoning_content" in message) == expected


def test_gpt_oss_can_be_told_not_to_think(reply: Ask) -> None:
    """Then there are no tags."""
    [choice] = whole(reply, GPT_OSS, chat("[[emulator deltas=2 reasoning=0]]"))["choices"]

    assert choice["message"]["content"] == "This answer"


def test_gemma_does_not_think(reply: Ask) -> None:
    """A directive that wants it is refused."""
    assert "no shape for" in refusal(reply, GEMMA, chat("[[emulator reasoning=1]]"))


# ── tools and limits ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "expected"),
    [(KIMI, "functions.weather:0"), (GPT_OSS, "call_"), (JAMBA, "call_"), (MISTRAL_2407, "")],
)
def test_ids_have_the_style_of_the_family(reply: Ask, model: str, expected: str) -> None:
    """Kimi's have a dot and a colon (recorded), Mistral's are nine characters."""
    body = chat("[[emulator tool=1]]", tools=[TOOL])

    [call] = whole(reply, model, body)["choices"][0]["message"]["tool_calls"]
    assert call["id"].startswith(expected)
    assert len(call["id"]) == (9 if model == MISTRAL_2407 else len(call["id"]))


@pytest.mark.parametrize(
    ("model", "choice"),
    [
        (QWEN, "required"),
        (QWEN, {"type": "function", "function": {"name": "weather"}}),
        (MISTRAL_2407, "any"),
    ],
)
def test_a_tool_can_be_forced(reply: Ask, model: str, choice: Any) -> None:
    """Then there is a call and no text."""
    [answer] = whole(reply, model, chat(tools=[TOOL], tool_choice=choice))["choices"]

    assert answer["message"]["tool_calls"][0]["function"]["name"] == "weather"
    assert not answer["message"]["content"]


def test_palmyra_says_next_to_nothing_without_a_limit(reply: Ask) -> None:
    """Its default is 16 tokens (§4.0)."""
    answer = whole(reply, WRITER, chat("[[emulator deltas=99]]"))

    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (16, "length")


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (GPT_OSS, chat(model=GPT_OSS, stream=False, temperature=2, stop=["a"], reasoning_effort="high")),
        (WRITER, chat(max_tokens=8192, min_tokens=1, seed=1, n=1, frequency_penalty=-2)),
        (QWEN, chat(top_k=20, stop="a", stream_options={"include_usage": True}, logit_bias={"1": 1})),
        (QWEN, chat(response_format={"type": "json_object"}, parallel_tool_calls=True, tools=[TOOL])),
        (KIMI, chat(temperature=1, top_p=1)),
        (GEMMA, chat([{"type": "text", "text": "What?"}, IMAGE])),
        ("qwen.qwen3-vl-235b-a22b", chat([IMAGE])),
        (MISTRAL_LARGE, chat(max_tokens=8192, stop=["x"])),
        (JAMBA, chat(max_tokens=0, temperature=2, top_p=0.01, documents=[{"content": "x"}])),
        (JAMBA_1, {"messages": says(("system", "x"), ("user", "y"))}),
    ],
)
def test_a_family_takes(reply: Ask, model: str, body: dict[str, Any]) -> None:
    """What §4.6, §4.8 and §4.10 list."""
    assert reply("invoke", model, body).status == 200


TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "content": "[[emulator error=ThrottlingException]]"},
    {"role": "assistant", "content": "no"},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": [{"type": "text", "text": "sunny"}], "tool_call_id": "abcdefghi"},
]


@pytest.mark.parametrize("model", [QWEN, MISTRAL_2407, JAMBA])
def test_a_conversation_with_tools_is_heard(reply: Ask, model: str) -> None:
    """The last thing said and what tools returned after it; a directive of an earlier turn is over."""
    answer = whole(reply, model, {"messages": TURNS, "tools": [TOOL]})

    content = answer["choices"][0]["message"]["content"]
    assert content.startswith("Your tool returned: sunny ")
    assert "You said: Hello" in content


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (GPT_OSS, chat(model="other"), f"model: must be the model of the URI, {GPT_OSS}"),
        (GPT_OSS, chat(stream=True), "stream: must match the operation"),
        (GPT_OSS, chat(max_tokens=1, max_completion_tokens=1), "max_tokens: not permitted together with"),
        (GPT_OSS, chat(top_k=1), "top_k: Extra inputs are not permitted"),
        (GPT_OSS, chat(temperature=2.1), "temperature: Input should be less than or equal to 2"),
        (
            GPT_OSS,
            chat(reasoning_effort="max"),
            "reasoning_effort: Input should be 'low', 'medium' or 'high'",
        ),
        (GPT_OSS, chat(inferenceConfig={}), "inferenceConfig: Extra inputs are not permitted"),
        (GPT_OSS, chat(stop=["a"] * 5), "stop: List should have at most 4 items after validation, not 5"),
        (GPT_OSS, chat([IMAGE]), "The model does not support image input."),
        (KIMI, chat(stop=["x"]), "stop: not supported by the model"),
        (KIMI, chat(temperature=1.1), "temperature: Input should be less than or equal to 1"),
        (QWEN, chat(min_tokens=1), "min_tokens: Extra inputs are not permitted"),
        (QWEN, chat(tool_choice="auto"), "tool_choice: only permitted with tools"),
        (
            QWEN,
            chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "x"}}),
            "tool_choice: no tool is named x",
        ),
        (
            QWEN,
            chat("[[emulator tool=1]]", tools=[TOOL], tool_choice="none"),
            "The directive [tool] asks for a tool call, but the request has no tools.",
        ),
        (WRITER, chat(max_tokens=8193), "max_tokens: Input should be less than or equal to 8192"),
        (WRITER, chat(top_k=1), "top_k: Extra inputs are not permitted"),
        (QWEN, {"messages": []}, "messages: List should have at least 1 item"),
        (QWEN, {"messages": says(("system", "x"))}, "messages: at least one message must be the user's"),
        (QWEN, {"messages": TURNS[:-1]}, "messages: tool calls without tool messages: abcdefghi"),
        (
            QWEN,
            {"messages": [*TURNS[:-1], TURNS[3]]},
            "messages: tool calls without tool messages: abcdefghi",
        ),
        (
            QWEN,
            {"messages": [TURNS[3], TURNS[5]]},
            "messages.1: no preceding tool call has id abcdefghi",
        ),
        (
            QWEN,
            {"messages": says(("user", "a"), ("assistant", ""))},
            "messages.1: content is required without tool calls",
        ),
        (QWEN, {"messages": says(("person", "a"))}, "messages.0: Input tag 'person' found using 'role'"),
        (MISTRAL_2407, chat(top_k=1), "top_k: Extra inputs are not permitted"),
        (MISTRAL_2407, chat(temperature=1.1), "temperature: Input should be less than or equal to 1"),
        (
            MISTRAL_2407,
            chat(tools=[TOOL], tool_choice="required"),
            "tool_choice: Input should be 'auto', 'any'",
        ),
        (
            MISTRAL_2407,
            {"messages": [TURNS[3], {**TURNS[4], "tool_calls": [{**CALL, "id": "call_1"}]}]},
            "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
        ),
        (JAMBA, chat(max_tokens=4097), "max_tokens: Input should be less than or equal to 4096"),
        (JAMBA, chat(top_p=0), "top_p: Input should be greater than or equal to 0.01"),
        (JAMBA, chat(tools=[TOOL], tool_choice="auto"), "tool_choice: Extra inputs are not permitted"),
        (JAMBA_1, chat(tools=[TOOL]), "tools: Extra inputs are not permitted"),
        (
            JAMBA_1,
            {"messages": says(("user", "a"), ("assistant", "b"), ("user", "c"))},
            "messages: the model supports a single user message only",
        ),
    ],
)
def test_a_family_refuses(reply: Ask, model: str, body: dict[str, Any], message: str) -> None:
    """By the path to the field, as validators of their servers do."""
    assert refusal(reply, model, body).startswith(message)


@pytest.mark.parametrize("body", [chat(stream=True), chat(model=GPT_OSS)])
def test_a_body_may_say_what_the_uri_says(reply: Ask, body: dict[str, Any]) -> None:
    """That it streams, and which model."""
    assert reply(STREAM, f"us.{GPT_OSS}", body).streamed


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (chat("Hi"), "choices"),
        (chat([{"type": "text", "text": "Hi"}]), "choices"),
        (chat([{"text": "Hi"}]), "output"),
        (chat([{"text": "Hi"}], inferenceConfig={}), "output"),
    ],
)
def test_the_body_tells_the_family_of_an_opaque_id(reply: Ask, body: dict[str, Any], key: str) -> None:
    """OpenAI's content is a string or has types, Nova's has neither."""
    assert key in whole(reply, PROFILE, body)


@pytest.mark.parametrize("messages", [None, [], [1], [{"role": "user"}]])
def test_a_body_that_tells_nothing_is_refused(reply: Ask, messages: Any) -> None:
    """It is taken for Nova's."""
    assert refusal(reply, PROFILE, {"messages": messages}).startswith("#/messages")


# ── Jurassic-2 ────────────────────────────────────────────────────────────────────────────────────────


def test_jurassic_does_not_stream(reply: Ask) -> None:
    """The operation is refused before the body is looked at."""
    assert refusal(reply, J2, {}, STREAM) == "The model is unsupported for streaming."


def test_there_is_no_stream_to_ask_for() -> None:
    """Not even behind the refusal."""
    model = read_model_id(J2)
    question = Question(said="", input_tokens=1)
    answer = compose(question, "", defaults(EmulatorSettings()), b"")

    with pytest.raises(BedrockError, match="The model is unsupported for streaming"):
        native_family(model, {}).stream(answer, model, {})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({}, "endoftext"), ({"maxTokens": 2}, "length"), ({"stopSequences": ["from"]}, "stop")],
)
def test_jurassic_says_why_it_ended(reply: Ask, fields: dict[str, Any], reason: str) -> None:
    """In its own words."""
    [completion] = whole(reply, J2, {"prompt": "Hello", **fields})["completions"]

    assert completion["finishReason"] == {"reason": reason}


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"max_tokens": 1}, "#: extraneous key [max_tokens] is not permitted"),
        ({"maxTokens": 8192}, "#/maxTokens: 8192 is not less or equal to 8191"),
        ({"countPenalty": 1}, "#/countPenalty: expected type: JSONObject, found: Integer"),
    ],
)
def test_jurassic_refuses(reply: Ask, fields: dict[str, Any], detail: str) -> None:
    """By a pointer to the field."""
    assert refusal(reply, J2, {"prompt": "Hello", **fields}) == detail


def test_the_body_tells_jurassic_of_an_opaque_id(reply: Ask) -> None:
    """By its camel case."""
    assert "completions" in whole(reply, PROFILE, {"prompt": "Hi", "maxTokens": 9})


def test_recorded_calls_of_jurassic_are_answered_alike(reply: Ask) -> None:
    """The keys of the recorded answer, in their order, with their types, and its counters."""
    [record] = [record for record in recorded(["invoke"]) if record["model_id"].startswith("ai21.j2")]

    answer = reply("invoke", record["model_id"], record["request"])

    assert shape_of(json.loads(answer.writes[0].data)) == shape_of(record["response"])
    assert {name.lower() for name in answer.headers if name.startswith("X-Amzn-Bedrock-")} == {
        name for name in record["response_headers"] if name.startswith("x-amzn-bedrock-")
    }


JSON_SCHEMA = {"name": "city", "schema": {"properties": {"city": {"type": "string"}}}, "strict": True}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "json_object"}, {"answer": "Rome"}),
        ({"type": "json_schema", "json_schema": JSON_SCHEMA}, {"city": "Rome"}),
    ],
)
def test_an_answer_can_be_json(reply: Ask, form: dict[str, Any], expected: Any) -> None:
    """Any JSON, or by a schema."""
    body = {"messages": [{"role": "user", "content": "The city of Rome"}], "response_format": form}

    answer = whole(reply, QWEN, body)

    assert json.loads(answer["choices"][0]["message"]["content"]) == expected


def test_a_schema_is_needed_where_one_is_promised(reply: Ask) -> None:
    """As OpenAI says it."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "response_format": {"type": "json_schema"}}

    with pytest.raises(BedrockError, match=r"response_format\.json_schema: Field required"):
        reply("invoke", QWEN, body)
