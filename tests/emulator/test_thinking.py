"""Reasoning: what each model shows of it, signatures that hold, and what each Claude can and cannot do."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator.errors import BedrockError
from gateway.emulator.thoughts import is_redacted, is_signature, redact, sign
from tests.emulator.asking import (
    CLAUDE,
    FOLDS,
    NOVA,
    TOOL_CONFIG,
    claude,
    claude_with_tool,
    converse,
    converse_stream,
    invoke,
    invoke_stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

NOVA_2 = "us.amazon.nova-2-lite-v1:0"
SONNET_3_5 = "anthropic.claude-3-5-sonnet-20240620-v1:0"
SONNET_4 = "anthropic.claude-sonnet-4-20250514-v1:0"
SONNET_4_6 = "us.anthropic.claude-sonnet-4-6"
OPUS_4_7 = "anthropic.claude-opus-4-7"
OPUS_5_5 = "global.anthropic.claude-opus-5-5"
BUDGET = {"type": "enabled", "budget_tokens": 1024}
ADAPTIVE = {"type": "adaptive"}
SCHEMA = {"type": "json_schema", "schema": {"properties": {"n": {"type": "integer"}}}}
PLEASE = "Malformed input request: {}, please reformat your input and try again."
OF_THE_MODEL = "The model returned the following errors: "


def content(reply: Reply) -> list[dict[str, Any]]:
    """Return the blocks of a whole answer of Converse."""
    blocks: list[dict[str, Any]] = json.loads(reply.writes[0].data)["output"]["message"]["content"]
    return blocks


# ── signatures ────────────────────────────────────────────────────────────────────────────────────────

REAL = b64encode(b"\x12" + bytes(80)).decode()


@pytest.mark.parametrize(
    ("signature", "good"),
    [
        *((sign("hm"), True), (sign("ha"), False), (sign("hm")[:-1], False), (REAL, True)),
        *(("", False), ("abc!", False), (b64encode(b"\x12").decode(), False)),
    ],
)
def test_a_signature_holds_for_its_thoughts(signature: str, *, good: bool) -> None:
    """Changed thoughts or a changed signature do not pass; one of the real service cannot be checked."""
    assert is_signature(signature, "hm") == good


@pytest.mark.parametrize(
    ("data", "good"),
    [(redact("1"), True), (redact("1")[:-4], False), (REAL, True), ("no base64", False)],
)
def test_redacted_thoughts_are_known_again(data: str, *, good: bool) -> None:
    """What was given passes, what was changed does not."""
    assert is_redacted(data) == good


async def test_claude_knows_its_thoughts_again(client: Any) -> None:
    """Thoughts, open and redacted, are given back with a tool's result; a changed word is refused."""
    said = "Weather in Rome? [[emulator redacted=1 tool=1]]"
    fields: dict[str, Any] = {"max_tokens": 3000, "thinking": BUDGET}
    first = await asyncio.to_thread(invoke, client, CLAUDE, claude_with_tool(said, **fields))
    chunks = await asyncio.to_thread(invoke_stream, client, CLAUDE, claude_with_tool(said, **fields))
    result = {"type": "tool_result", "tool_use_id": first["content"][-1]["id"], "content": "sunny"}

    def turns(thinking: str) -> list[dict[str, Any]]:
        given = [{**block} for block in first["content"]]
        given[0]["thinking"] = thinking
        return [
            {"role": "user", "content": said},
            {"role": "assistant", "content": given},
            {"role": "user", "content": [result]},
        ]

    thoughts = first["content"][0]["thinking"]
    body = claude_with_tool(messages=turns(thoughts), **fields)
    second = await asyncio.to_thread(invoke, client, CLAUDE, body)
    with pytest.raises(client.exceptions.ValidationException, match=r"1\.content\.0: Invalid `signature`"):
        await asyncio.to_thread(
            invoke, client, CLAUDE, claude_with_tool(messages=turns("Ha" + thoughts), **fields)
        )

    assert [block["type"] for block in first["content"]] == [
        *("thinking", "redacted_thinking", "text", "tool_use")
    ]
    assert FOLDS[CLAUDE](chunks) == first
    assert second["content"][1]["text"].startswith("Your tool returned: sunny")


async def test_converse_gives_and_takes_thoughts(client: Any) -> None:
    """boto3 reads text, signature and redacted bytes, whole and streamed, and gives them back unchanged."""
    body = converse(
        "Hi [[emulator redacted=1]]",
        additionalModelRequestFields={"thinking": BUDGET},
        inferenceConfig={"maxTokens": 3000},
    )
    whole = await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **body))
    events = await asyncio.to_thread(converse_stream, client, CLAUDE, body)
    message = whole["output"]["message"]
    follow_up = [*body["messages"], message, {"role": "user", "content": [{"text": "And?"}]}]

    again = await asyncio.to_thread(
        lambda: client.converse(modelId=CLAUDE, **{**body, "messages": follow_up})
    )
    text, redacted = (block["reasoningContent"] for block in message["content"][:2])
    text["reasoningText"]["text"] += "!"
    with pytest.raises(client.exceptions.ValidationException, match="Invalid `signature`"):
        await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **{**body, "messages": follow_up}))
    text["reasoningText"].pop("signature")
    with pytest.raises(client.exceptions.ValidationException, match=r"thinking\.signature: Field required"):
        await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **{**body, "messages": follow_up}))
    del message["content"][0]
    redacted["redactedContent"] = b"changed"
    with pytest.raises(client.exceptions.ValidationException, match="Invalid `data` in `redacted_thinking`"):
        await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **{**body, "messages": follow_up}))

    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    kinds = {key for delta in deltas for key in delta.get("reasoningContent", {})}
    assert kinds == {"text", "signature", "redactedContent"}
    assert again["stopReason"] == "end_turn"


# ── what is shown ─────────────────────────────────────────────────────────────────────────────────────


def test_omitted_thoughts_leave_a_signature() -> None:
    """`display: omitted` gives an empty text that is signed all the same."""
    assert is_signature(sign(""), "")


@pytest.mark.parametrize(("display", "shown"), [("omitted", False), ("summarized", True)])
def test_adaptive_thoughts_are_shown_or_not(reply: Ask, display: str, *, shown: bool) -> None:
    """Claude's own answer and Converse's have the block either way, signed."""
    thinking = {**ADAPTIVE, "display": display}
    native = json.loads(reply("invoke", SONNET_4_6, claude(thinking=thinking)).writes[0].data)["content"][0]
    body = converse(additionalModelRequestFields={"thinking": thinking, "output_config": {"effort": "low"}})
    spoken = content(reply("converse", SONNET_4_6, body))[0]["reasoningContent"]["reasoningText"]

    assert (bool(native["thinking"]), bool(spoken["text"])) == (shown, shown)
    assert is_signature(native["signature"], native["thinking"])
    assert is_signature(spoken["signature"], spoken["text"])


REASONING = {"type": "enabled", "maxReasoningEffort": "low"}


def test_nova_2_hides_its_reasoning(reply: Ask) -> None:
    """It says `[REDACTED]` in place of it, in both operations and both places of the field."""
    bodies = [
        converse(additionalModelRequestFields={"reasoningConfig": REASONING}),
        converse(additionalModelRequestFields={"inferenceConfig": {"reasoningConfig": REASONING}}),
    ]
    natives = [converse(reasoningConfig=REASONING), converse(inferenceConfig={"reasoningConfig": REASONING})]
    hidden = {"reasoningContent": {"reasoningText": {"text": "[REDACTED]"}}}

    assert [content(reply("converse", NOVA_2, body))[0] for body in bodies] == [hidden, hidden]
    assert [content(reply("invoke", NOVA_2, body))[0] for body in natives] == [hidden, hidden]
    assert reply("invoke-with-response-stream", NOVA_2, natives[0]).streamed


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_config": "high"}, True),
        ({"thinking": {"type": "enabled"}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"seed": 3}, False),
    ],
)
def test_other_models_reason_unsigned(reply: Ask, fields: dict[str, Any], *, thinks: bool) -> None:
    """gpt-oss, Qwen and their like give text without a signature (recorded)."""
    body = converse(additionalModelRequestFields=fields)

    first = content(reply("converse", "openai.gpt-oss-120b-1:0", body))[0]

    assert list(first) == (["reasoningContent"] if thinks else ["text"])
    assert not thinks or list(first["reasoningContent"]["reasoningText"]) == ["text"]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────

CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
CALLED = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": [CALL]},
    {"role": "user", "content": [RESULT]},
]
PREFILLED = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}]
REDACTED = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "eA=="}]},
    {"role": "user", "content": "a"},
]


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (SONNET_3_5, claude(max_tokens=2000, thinking=BUDGET), "thinking: Extra inputs are not permitted"),
        (CLAUDE, claude(thinking=ADAPTIVE), "adaptive thinking is not supported on this model"),
        (
            OPUS_4_7,
            claude(max_tokens=2000, thinking=BUDGET),
            (
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            ),
        ),
        (
            CLAUDE,
            claude(temperature=1, top_p=0.5),
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ),
        (OPUS_4_7, claude(top_k=3), "`top_k` is deprecated for this model."),
        (
            CLAUDE,
            claude(output_config={"effort": "low"}),
            "This model does not support the effort parameter.",
        ),
        (
            SONNET_4,
            claude(output_config={"format": SCHEMA}),
            "'claude-sonnet-4' does not support output format.",
        ),
        (CLAUDE, claude(output_format=SCHEMA), "output_format: Extra inputs are not permitted"),
        (CLAUDE, claude(anthropic_beta=["web-search-2025-03-05"]), "invalid beta flag"),
        (
            OPUS_5_5,
            claude_with_tool(tool_choice={"type": "any"}),
            "tool_choice: forced tool use is not supported by this model.",
        ),
        (
            SONNET_4_6,
            claude(messages=PREFILLED),
            (
                "This model does not support assistant message prefill. The conversation must end with a "
                "user message."
            ),
        ),
        (
            CLAUDE,
            claude(messages=REDACTED),
            "messages.1.content.0: Invalid `data` in `redacted_thinking` block",
        ),
    ],
)
def test_claude_refuses(reply: Ask, model: str, body: dict[str, Any], message: str) -> None:
    """What one Claude has and another has not, in Anthropic's words."""
    with pytest.raises(BedrockError) as caught:
        reply("invoke", model, body)

    assert (caught.value.code, caught.value.message) == ("ValidationException", message)


def test_calls_come_back_with_their_thoughts(reply: Ask) -> None:
    """With a budget, the turn before the results begins with a thinking block."""
    with pytest.raises(
        BedrockError, match="Expected `thinking` or `redacted_thinking`, but found `tool_use`"
    ):
        reply("invoke", CLAUDE, claude_with_tool(messages=CALLED, max_tokens=2000, thinking=BUDGET))

    assert reply("invoke", SONNET_4_6, claude_with_tool(messages=CALLED, thinking=ADAPTIVE)).status == 200


@pytest.mark.parametrize(
    ("model", "fields", "rest", "message"),
    [
        (CLAUDE, {"mystery": 1}, {}, "mystery: Extra inputs are not permitted"),
        (CLAUDE, {"anthropic_beta": ["x"]}, {}, "invalid beta flag"),
        (
            CLAUDE,
            {"thinking": BUDGET},
            {"inferenceConfig": {"temperature": 0.5}},
            "`temperature` may only be set to 1 when thinking is enabled.",
        ),
        (
            CLAUDE,
            {"thinking": BUDGET},
            {"inferenceConfig": {"maxTokens": 1000}},
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
        (
            CLAUDE,
            {"thinking": BUDGET},
            {"toolConfig": {**TOOL_CONFIG, "toolChoice": {"any": {}}}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        (OPUS_4_7, {}, {"inferenceConfig": {"topP": 0.5}}, "`top_p` is deprecated for this model."),
        (
            NOVA,
            {"reasoningConfig": REASONING},
            {},
            PLEASE.format("the provided reasoning config value is invalid"),
        ),
        (
            NOVA,
            {"top_k": 3},
            {},
            PLEASE.format("#: extraneous key [top_k] is not permitted"),
        ),
        (
            NOVA_2,
            {"reasoningConfig": {"type": "enabled"}},
            {},
            PLEASE.format("#/reasoningConfig: required key [maxReasoningEffort] not found"),
        ),
        (
            NOVA_2,
            {"reasoningConfig": {**REASONING, "maxReasoningEffort": "high"}},
            {"inferenceConfig": {"maxTokens": 10}},
            PLEASE.format("#/inferenceConfig: no limits are permitted where maxReasoningEffort is high"),
        ),
    ],
)
def test_converse_passes_on_what_the_model_refuses(
    reply: Ask, model: str, fields: dict[str, Any], rest: dict[str, Any], message: str
) -> None:
    """The model's own words, with Bedrock's before them (recorded)."""
    with pytest.raises(BedrockError) as caught:
        reply("converse", model, converse(additionalModelRequestFields=fields, **rest))

    assert caught.value.message == f"{OF_THE_MODEL}{message}"


@pytest.mark.parametrize("model", [CLAUDE, "us.amazon.nova-2-lite-v1:0"])
def test_reasoning_can_be_off(reply: Ask, model: str) -> None:
    """Off, it is not there."""
    key = "thinking" if model == CLAUDE else "reasoningConfig"
    body = converse(additionalModelRequestFields={key: {"type": "disabled"}})

    assert list(content(reply("converse", model, body))[0]) == ["text"]


def test_claude_calls_one_tool_at_a_time_on_request(reply: Ask) -> None:
    """`disable_parallel_tool_use` is heard in both operations."""
    said = "The weather in Rome and Bern"
    alone = {"type": "auto", "disable_parallel_tool_use": True}
    fields = {"tool_choice": alone}
    whole = json.loads(reply("invoke", CLAUDE, claude_with_tool(said, tool_choice=alone)).writes[0].data)
    body = converse(said, toolConfig=TOOL_CONFIG, additionalModelRequestFields=fields)

    assert [block["input"] for block in whole["content"]] == [{"city": "Rome"}]
    assert len(content(reply("converse", CLAUDE, body))) == 1
    assert len(content(reply("converse", CLAUDE, converse(said, toolConfig=TOOL_CONFIG)))) == 2


FORMAT = {
    "textFormat": {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": '{"properties": {"city": {"type": "string"}}}'}},
    }
}


@pytest.mark.parametrize("model", [CLAUDE, "qwen.qwen3-32b-v1:0", "zai.glm-5", "anthropic.claude-mythos-5"])
async def test_converse_answers_by_a_schema(client: Any, model: str) -> None:
    """The text is JSON that fits, streamed or not."""
    body = converse("The city of Rome", outputConfig=FORMAT)

    whole = await asyncio.to_thread(lambda: client.converse(modelId=model, **body))
    events = await asyncio.to_thread(converse_stream, client, model, body)

    text = whole["output"]["message"]["content"][0]["text"]
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert json.loads(text) == {"city": "Rome"}
    assert "".join(deltas) == text


@pytest.mark.parametrize(
    "model", [NOVA, SONNET_4, "anthropic.claude-v2:1", "mistral.pixtral-large-2502-v1:0"]
)
def test_converse_does_not_answer_all_by_a_schema(reply: Ask, model: str) -> None:
    """Not where the model cannot."""
    with pytest.raises(BedrockError, match=r"support the outputConfig\.textFormat field"):
        reply("converse", model, converse(outputConfig=FORMAT))


@pytest.mark.parametrize(("schema", "message"), [("{", "is not valid JSON"), ("[]", "must be a JSON object")])
def test_a_schema_must_be_one(reply: Ask, schema: str, message: str) -> None:
    """It is JSON in a string, of an object."""
    structure = {"jsonSchema": {"schema": schema}}
    config = {"textFormat": {"type": "json_schema", "structure": structure}}
    with pytest.raises(BedrockError, match=message):
        reply("converse", CLAUDE, converse(outputConfig=config))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"output_config": {"format": SCHEMA}}, {"n": 3}),
        ({"output_format": SCHEMA, "anthropic_beta": ["structured-outputs-2025-11-13"]}, {"n": 3}),
    ],
)
def test_claude_answers_by_a_schema(reply: Ask, config: dict[str, Any], expected: Any) -> None:
    """In both of Anthropic's ways of saying it."""
    answer = json.loads(reply("invoke", CLAUDE, claude("It is 3", **config)).writes[0].data)

    assert json.loads(answer["content"][0]["text"]) == expected
