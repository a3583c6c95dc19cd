"""What each family takes and refuses, as tables; recorded bodies and shapes are the emulator's too."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.eventstream import EventStreamBuffer

from gateway.emulator import EmulatorSettings
from gateway.emulator.directives import defaults
from gateway.emulator.errors import BedrockError
from gateway.emulator.families import claude_rules, claude_shapes, converse_rules, converse_shapes, native
from gateway.emulator.operations import Account, Asked, parse, reply_to
from gateway.emulator.shapes import Shape, read_anthropic, read_schema
from gateway.emulator.thoughts import redact, sign
from tests.emulator.asking import (
    CLAUDE,
    LLAMA,
    NOVA,
    SCHEMA,
    TITAN,
    TOOL_CONFIG,
    claude,
    claude_with_tool,
    converse,
    recorded,
    titan,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

PNG = "iVBORw0KGgo="
DATED = r"String should match pattern '^(bedrock-)?\d{4}-\d{2}-\d{2}$'"
PLEASE = "please reformat your input and try again."


def refusal(reply: Ask, operation: str, model: str, body: Any) -> str:
    """Return the message of the ValidationException."""
    with pytest.raises(BedrockError) as caught:
        reply(operation, model, body)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def turns(*turns: tuple[str, Any]) -> list[dict[str, Any]]:
    """Return messages; a string as content is one of text in Claude's way, a list is blocks."""
    return [{"role": role, "content": content} for role, content in turns]


# ── Claude ────────────────────────────────────────────────────────────────────────────────────────────

USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}}
PLAIN = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
TEXT = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
THOUGHT = [
    {"type": "thinking", "thinking": "hm", "signature": sign("hm")},
    {"type": "redacted_thinking", "data": redact("1")},
]
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.parametrize(
    "body",
    [
        claude(system="Be kind", temperature=1, top_k=5, stop_sequences=["x"]),
        claude(system=[TEXT], anthropic_beta=["context-1m-2025-08-07"], metadata={"user_id": "u"}),
        claude(messages=turns(("user", [TEXT, IMAGE, PDF, PLAIN]))),
        claude(messages=turns(("user", "a"), ("assistant", "{"))),
        claude_with_tool(messages=turns(("user", "a"), ("assistant", [*THOUGHT, USE]), ("user", [RESULT]))),
        claude_with_tool(
            messages=turns(
                ("user", "a"),
                ("assistant", [USE]),
                ("user", [{**RESULT, "content": [TEXT, IMAGE], "is_error": True}, TEXT]),
            )
        ),
        claude_with_tool(tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True}),
        claude_with_tool(tool_choice={"type": "auto"}),
        claude_with_tool(tool_choice={"type": "none"}),
        claude(tools=[{"type": "bash_20250124", "name": "bash"}], tool_choice={"type": "any"}),
        claude(max_tokens=2000, thinking=THINKING, temperature=1.0),
        claude(thinking={"type": "disabled"}, top_k=3),
    ],
)
def test_claude_takes(reply: Ask, body: dict[str, Any]) -> None:
    """Everything that bedrock-wire.md §4.1 lists."""
    assert reply("invoke", CLAUDE, body).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "Input should be a valid dictionary or instance of ClaudeBody"),
        ({**claude(), "model": CLAUDE}, "model: Extra inputs are not permitted"),
        ({**claude(), "stream": True}, "stream: Extra inputs are not permitted"),
        (claude(anthropic_version="v1"), "anthropic_version: " + DATED),
        (claude(max_tokens=0), "max_tokens: Input should be greater than or equal to 1"),
        (claude(max_tokens="9"), "max_tokens: Input should be a valid integer"),
        (claude(max_tokens=True), "max_tokens: Input should be a valid integer"),
        (claude(temperature=1.5), "temperature: Input should be less than or equal to 1"),
        (claude(top_p=-1), "top_p: Input should be greater than or equal to 0"),
        (claude(top_k=501), "top_k: Input should be less than or equal to 500"),
        (claude(stop_sequences=[" "]), "stop_sequences: each stop sequence must contain non-whitespace"),
        (
            claude(messages=[]),
            "messages: List should have at least 1 item after validation, not 0",
        ),
        (claude(messages=turns(("system", "x"))), "messages.0.role: Input should be 'user' or 'assistant'"),
        (claude(messages=turns(("user", ""))), "messages.0.content: String should have at least 1 character"),
        (
            claude(messages=turns(("user", [{"type": "text", "text": ""}]))),
            "messages.0.content.0.text.text: text content blocks must be non-empty",
        ),
        (
            claude(messages=turns(("user", [{"type": "text", "text": "x", "id": 1}]))),
            "messages.0.content.0.text.id: Extra inputs are not permitted",
        ),
        (
            claude(
                messages=turns(("user", [{**IMAGE, "source": {**IMAGE["source"], "data": "?"}}]))  # type: ignore[dict-item]
            ),
            "messages.0.content.0.image.source.data: the value is not base64",
        ),
        (
            claude(messages=turns(("user", [{"type": "image", "source": {"type": "url", "url": "x"}}]))),
            "messages.0.content.0.image.source.type: Input should be 'base64'",
        ),
        (claude(messages=turns(("assistant", "x"))), 'messages: first message must use the "user" role'),
        (
            claude(messages=turns(("user", "a"), ("user", "b"))),
            (
                'messages: roles must alternate between "user" and "assistant", but found multiple "user" '
                "roles in a row"
            ),
        ),
        (
            claude(messages=turns(("user", "a"), ("assistant", "b "))),
            "messages: final assistant content cannot end with trailing whitespace",
        ),
        (
            claude(messages=turns(("user", "a"), ("assistant", [USE]), ("user", "b"))),
            (
                "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "
                "toolu_1. Each `tool_use` block must have a corresponding `tool_result` block in the next "
                "message."
            ),
        ),
        (
            claude(messages=turns(("user", [RESULT]))),
            (
                "messages.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            ),
        ),
        (
            claude(messages=turns(("user", [USE]))),
            "messages.0: `tool_use` blocks can only be in `assistant` messages",
        ),
        (
            claude(messages=turns(("user", "a"), ("assistant", [RESULT]))),
            "messages.1: `tool_result` blocks can only be in `user` messages",
        ),
        (
            claude(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
            (
                "tools.0: Input tag 'web_search_20250305' found using 'type' does not match any of the "
                "expected tags: 'custom', 'bash_20250124', 'text_editor_20250124', 'text_editor_20250429', "
                "'text_editor_20250728'"
            ),
        ),
        (claude(tools=1), "tools: Input should be a valid list"),
        (claude(tools=["x"]), "tools.0: Input should be a valid dictionary or object to extract fields from"),
        (
            claude(tools=[{"name": "x", "input_schema": {"type": "string"}}]),
            "tools.0.custom.input_schema.type: Input should be 'object'",
        ),
        (
            claude(tools=[{"name": "a b", "input_schema": SCHEMA}]),
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (claude(tool_choice={"type": "auto"}), "tool_choice may only be specified while providing tools"),
        (claude_with_tool(tool_choice={"type": "tool"}), "tool_choice.tool.name: Field required"),
        (
            claude_with_tool(tool_choice={"type": "any", "name": "weather"}),
            "tool_choice.any.name: Extra inputs are not permitted",
        ),
        (
            claude_with_tool(tool_choice={"type": "tool", "name": "other"}),
            "Tool 'other' not found in provided tools",
        ),
        (
            claude(thinking={"type": "enabled", "budget_tokens": 1023}),
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            claude(max_tokens=1024, thinking=THINKING),
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
        (
            claude(max_tokens=2000, thinking=THINKING, temperature=0.5),
            "`temperature` may only be set to 1 when thinking is enabled.",
        ),
        (
            claude(max_tokens=2000, thinking=THINKING, top_k=1),
            "`top_k` must be unset when thinking is enabled.",
        ),
        (
            claude_with_tool(max_tokens=2000, thinking=THINKING, tool_choice={"type": "any"}),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
    ],
)
def test_claude_refuses(reply: Ask, body: Any, message: str) -> None:
    """In the words of Anthropic's API, which names the field by its path."""
    assert refusal(reply, "invoke", CLAUDE, body) == message


def test_claude_does_not_call_tools_that_it_must_not(reply: Ask) -> None:
    """With `none`, there is no tool for a directive to call."""
    body = claude_with_tool("[[emulator tool=1]]", tool_choice={"type": "none"})

    assert refusal(reply, "invoke", CLAUDE, body).startswith("The directive [tool] asks for a tool call")


# ── Nova and Titan ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        converse(
            schemaVersion="messages-v1", system=[{"text": "Be kind"}, {"cachePoint": {"type": "default"}}]
        ),
        converse(inferenceConfig={"maxTokens": 5, "temperature": 0.7, "topP": 1, "topK": 128}),
        converse(inferenceConfig={"max_new_tokens": 5, "stopSequences": ["|"]}),
        converse(toolConfig={**TOOL_CONFIG, "toolChoice": {"any": {}}}),
        {"messages": turns(("user", [{"image": {"format": "png", "source": {"bytes": PNG}}}]))},
    ],
)
def test_nova_takes(reply: Ask, body: dict[str, Any]) -> None:
    """Everything that bedrock-wire.md §4.4 lists."""
    assert reply("invoke-with-response-stream", NOVA, body).status == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "#: expected type: JSONObject, found: Null"),
        (1.5, "#: expected type: JSONObject, found: Number"),
        ({**converse(), "max_tokens": 1}, "#: extraneous key [max_tokens] is not permitted"),
        (converse(schemaVersion="v2"), "#/schemaVersion: v2 is not a valid enum value"),
        ({"messages": []}, "#/messages: expected minimum item count: 1, found: 0"),
        (
            converse(inferenceConfig={"topK": 129}),
            "#/inferenceConfig/topK: 129 is not less or equal to 128",
        ),
        (
            converse(inferenceConfig={"maxTokens": 0}),
            "#/inferenceConfig/maxTokens: 0 is not greater or equal to 1",
        ),
        (
            converse(inferenceConfig={"maxTokens": 1, "max_new_tokens": 1}),
            "#/inferenceConfig: only one of maxTokens and max_new_tokens is permitted",
        ),
        (
            converse(inferenceConfig={"stopSequences": [""]}),
            "#/inferenceConfig/stopSequences/0: expected minLength: 1, actual: 0",
        ),
        (converse(system="Be kind"), "#/system: expected type: JSONArray, found: String"),
        (
            {"messages": turns(("user", "Hello"))},
            "#/messages/0/content: expected type: JSONArray, found: String",
        ),
        (
            {"messages": turns(("user", [{"text": "a", "type": "text"}]))},
            "#/messages/0/content/0: extraneous key [type] is not permitted",
        ),
    ],
)
def test_nova_refuses(reply: Ask, body: Any, detail: str) -> None:
    """In the recorded manner, by a pointer to the field."""
    assert refusal(reply, "invoke", NOVA, body) == f"Malformed input request: {detail}, {PLEASE}"


def test_nova_and_titan_do_not_reason_natively(reply: Ask) -> None:
    """There is no recorded shape for it, so it is refused instead of invented."""
    for model, body in (
        (NOVA, converse("[[emulator reasoning=1]]")),
        (TITAN, titan("[[emulator reasoning=1]]")),
    ):
        assert refusal(reply, "invoke", model, body).startswith("The directive [reasoning]")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "#: required key [inputText] not found"),
        (titan(""), "#/inputText: expected minLength: 1, actual: 0"),
        ({"inputText": ["a"]}, "#/inputText: expected type: String, found: JSONArray"),
        (
            titan(maxTokenCount=8193),
            "#/textGenerationConfig/maxTokenCount: 8193 is not less or equal to 8192",
        ),
        (titan(topK=1), "#/textGenerationConfig: extraneous key [topK] is not permitted"),
        (
            titan(temperature="hot"),
            "#/textGenerationConfig/temperature: expected type: Number, found: String",
        ),
    ],
)
def test_titan_refuses(reply: Ask, body: Any, detail: str) -> None:
    """In the recorded manner, too."""
    assert refusal(reply, "invoke", TITAN, body) == f"Malformed input request: {detail}, {PLEASE}"


def test_titan_hears_the_last_turn(reply: Ask) -> None:
    """A directive of an earlier turn of the conversation in the text is over."""
    body = titan("User: [[emulator error=ThrottlingException]]\nBot: no\nUser: Hello\nBot:")

    answer = json.loads(reply("invoke", TITAN, body).writes[0].data)
    assert "You said: Hello The" in answer["results"][0]["outputText"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [({}, "FINISH"), ({"maxTokenCount": 3}, "LENGTH"), ({"stopSequences": ["from"]}, "STOP_CRITERIA_MET")],
)
def test_titan_says_why_it_ended(reply: Ask, config: dict[str, Any], reason: str) -> None:
    """In its own words."""
    answer = json.loads(reply("invoke", TITAN, titan(**config)).writes[0].data)

    assert answer["results"][0]["completionReason"] == reason


# ── Converse ──────────────────────────────────────────────────────────────────────────────────────────

TOOL_USE = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}}
TOOL_RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"text": "sunny"}, {"json": {"c": 20}}]}}
SERVER_USE = {"toolUse": {"toolUseId": "s1", "name": "search", "input": {}, "type": "server_tool_use"}}
S3_IMAGE = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/key"}}}}
VIDEO = {"video": {"format": "mp4", "source": {"bytes": PNG}}}


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (LLAMA, converse(requestMetadata={"team": "a b"}, additionalModelResponseFieldPaths=["/x"])),
        (LLAMA, converse(promptVariables={"x": {"text": "y"}}, outputConfig={"effort": "low"})),
        (LLAMA, converse(additionalModelRequestFields={"top_k": 3}, system=[{"text": "x"}])),
        (
            CLAUDE,
            {
                "messages": turns(
                    ("user", [{"text": "a"}]), ("assistant", [TOOL_USE, SERVER_USE]), ("user", [TOOL_RESULT])
                ),
                "toolConfig": {**TOOL_CONFIG, "toolChoice": {"auto": {}}},
            },
        ),
        (CLAUDE, converse(toolConfig={**TOOL_CONFIG, "toolChoice": {"tool": {"name": "weather"}}})),
        (
            CLAUDE,
            converse(toolConfig={"tools": [*TOOL_CONFIG["tools"], {"cachePoint": {"type": "default"}}]}),
        ),
        (NOVA, {"messages": turns(("user", [VIDEO, S3_IMAGE]))}),
        (TITAN, {"messages": turns(("user", [{"text": "a"}]), ("user", [{"text": "b"}]))}),
    ],
)
def test_converse_takes(reply: Ask, model: str, body: dict[str, Any]) -> None:
    """The fields of bedrock-wire.md §2.3, streamed or not."""
    assert reply("converse", model, body).status == 200
    assert reply("converse-stream", model, body).streamed


@pytest.mark.parametrize("fields", [{"thinking": THINKING}, {"reasoning_config": THINKING}])
def test_converse_reasons_where_it_is_asked_to(reply: Ask, fields: dict[str, Any]) -> None:
    """The provider's own fields turn reasoning on."""
    body = converse(additionalModelRequestFields=fields)

    answer = json.loads(reply("converse", CLAUDE, body).writes[0].data)
    assert list(answer["output"]["message"]["content"][0]) == ["reasoningContent"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {},
            (
                "A conversation must start with a user message. Try again with a conversation that starts "
                "with a user message."
            ),
        ),
        (
            {"messages": turns(("user", [{"text": "a"}]), ("user", [{"text": "b"}]))},
            (
                "A conversation must alternate between user and assistant roles. Make sure the conversation "
                "alternates between user and assistant roles and try again."
            ),
        ),
        (
            {"messages": turns(("user", []))},
            (
                "The content field in the Message object at messages.0 is empty. Add a ContentBlock object "
                "to the content field and try again."
            ),
        ),
        (
            converse(""),
            (
                "The text field in the ContentBlock object at messages.0.content.0 is blank. Add text to the "
                "text field, and try again."
            ),
        ),
        (
            {
                "messages": turns(
                    ("user", [{"text": "a"}]),
                    ("assistant", [{"toolUse": {"toolUseId": "t1", "name": "weather", "input": "x"}}]),
                )
            },
            (
                "The format of the value at messages.1.content.0.toolUse.input is invalid. Provide a json "
                "object for the field and try again."
            ),
        ),
        (
            {"messages": turns(("user", [VIDEO]))},
            (
                "This model doesn't support the video content block that you provided. Update the content "
                "block and try again."
            ),
        ),
        (
            {"messages": turns(("user", [{"audio": {"format": "mp3", "source": {"bytes": PNG}}}]))},
            (
                "This model doesn't support the audio content block that you provided. Update the content "
                "block and try again."
            ),
        ),
        (
            {"messages": turns(("user", [S3_IMAGE]))},
            "This model doesn't support the s3Uri field. Remove s3Uri and try again.",
        ),
        (
            {"messages": turns(("user", [{"toolResult": {"toolUseId": "t1", "content": [S3_IMAGE]}}]))},
            "This model doesn't support the s3Uri field. Remove s3Uri and try again.",
        ),
        (
            {
                "messages": turns(
                    ("user", [{"text": "a"}]), ("assistant", [TOOL_USE]), ("user", [TOOL_RESULT])
                )
            },
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ),
        (
            {
                "messages": turns(
                    ("user", [{"text": "a"}]), ("assistant", [TOOL_USE]), ("user", [{"text": "b"}])
                ),
                "toolConfig": TOOL_CONFIG,
            },
            "Expected toolResult blocks at messages.2.content for the following Ids: t1",
        ),
        (
            {"messages": turns(("user", [TOOL_RESULT])), "toolConfig": TOOL_CONFIG},
            (
                "The number of toolResult blocks at messages.0.content exceeds the number of toolUse blocks "
                "of previous turn."
            ),
        ),
        (
            converse(toolConfig={**TOOL_CONFIG, "toolChoice": {"tool": {"name": "other"}}}),
            "The toolChoice tool [other] is not in toolConfig.tools. Add it and try again.",
        ),
        (
            converse(guardrailConfig={"guardrailIdentifier": "abc", "guardrailVersion": "DRAFT"}),
            "The guardrail identifier or version provided in the request does not exist.",
        ),
        (
            converse(guardrailConfig={"streamProcessingMode": "sync"}),
            (
                "Malformed input request: #/guardrailConfig: extraneous key [streamProcessingMode] is not "
                f"permitted, {PLEASE}"
            ),
        ),
    ],
)
def test_converse_refuses(reply: Ask, body: dict[str, Any], message: str) -> None:
    """In AWS's words, where they are known."""
    assert refusal(reply, "converse", CLAUDE, body) == message


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"modelId": "x"}, "#: extraneous key [modelId] is not permitted"),
        ({"inferenceConfig": {"topK": 1}}, "#/inferenceConfig: extraneous key [topK] is not permitted"),
        (
            {"inferenceConfig": {"temperature": 1.1}},
            "#/inferenceConfig/temperature: 1.1 is not less or equal to 1.0",
        ),
        ({"requestMetadata": {}}, "#/requestMetadata: expected minimum item count: 1, found: 0"),
        (
            {"requestMetadata": {str(number): "" for number in range(17)}},
            "#/requestMetadata: expected maximum item count: 16, found: 17",
        ),
        ({"requestMetadata": {"a": "x" * 257}}, "#/requestMetadata/a: expected maxLength: 256, actual: 257"),
        ({"serviceTier": {"type": "slow"}}, "#/serviceTier/type: slow is not a valid enum value"),
        ({"system": [{}]}, "#/system/0: exactly one member must be set, found: 0"),
        (
            {"messages": turns(("user", [{"text": "a", "cachePoint": {"type": "default"}}]))},
            "#/messages/0/content/0: exactly one member must be set, found: 2",
        ),
        (
            {"toolConfig": {"tools": [{"toolSpec": {"name": "a b", "inputSchema": {"json": {}}}}]}},
            "#/toolConfig/tools/0/toolSpec/name: string [a b] does not match pattern ^[a-zA-Z0-9_-]{1,64}$",
        ),
    ],
)
def test_converse_refuses_what_is_malformed(reply: Ask, fields: dict[str, Any], detail: str) -> None:
    """By a pointer to the field."""
    assert (
        refusal(reply, "converse", LLAMA, converse(**fields))
        == f"Malformed input request: {detail}, {PLEASE}"
    )


def chunks_of(data: bytes) -> list[dict[str, Any]]:
    """Return the provider's JSON in some frames."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [json.loads(base64.b64decode(json.loads(message.payload)["bytes"])) for message in buffer]


@pytest.mark.parametrize(
    ("fields", "reason", "sequence"),
    [
        ({}, "end_turn", None),
        ({"max_tokens": 3}, "max_tokens", None),
        ({"stop_sequences": ["from"]}, "stop_sequence", "from"),
    ],
)
def test_claude_says_why_it_stopped(
    reply: Ask, fields: dict[str, Any], reason: str, sequence: str | None
) -> None:
    """The sequence that was met is named, in the stream and the whole."""
    whole = json.loads(reply("invoke", CLAUDE, claude(**fields)).writes[0].data)
    stream = reply("invoke-with-response-stream", CLAUDE, claude(**fields)).writes[0].data

    [delta] = [chunk["delta"] for chunk in chunks_of(stream) if chunk["type"] == "message_delta"]
    assert delta == {"stop_reason": reason, "stop_sequence": sequence}
    assert {key: whole[key] for key in delta} == delta


def test_each_delta_of_nova_is_a_block(reply: Ask) -> None:
    """As recorded, and the last one is empty."""
    stream = reply("invoke-with-response-stream", NOVA, converse("[[emulator deltas=2]]")).writes[0].data

    assert chunks_of(stream)[1:-2] == [
        {"contentBlockDelta": {"delta": {"text": "This"}, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": " answer"}, "contentBlockIndex": 1}},
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"contentBlockDelta": {"delta": {"text": ""}, "contentBlockIndex": 2}},
        {"contentBlockStop": {"contentBlockIndex": 2}},
    ]


def test_converse_has_a_counter_that_the_sdk_does_not_know(reply: Ask) -> None:
    """As on the wire: readers must bear it (bedrock-wire.md §1.2)."""
    whole = json.loads(reply("converse", CLAUDE, converse()).writes[0].data)

    assert list(whole) == ["metrics", "output", "stopReason", "usage"]
    assert list(whole["usage"]) == ["inputTokens", "outputTokens", "serverToolUsage", "totalTokens"]


# ── operations ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("operation", "model", "body", "message"),
    [
        (
            "invoke",
            "amazon.nova-canvas-v1:0",
            converse(),
            (
                "The embedded emulator does not speak the native body of [amazon.nova-canvas-v1:0] yet; use "
                "Converse instead."
            ),
        ),
        (
            "invoke",
            "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc",
            {"text": "Hi"},
            (
                "The embedded emulator does not speak the native body of "
                "[arn:aws:bedrock:us-east-1:123456789012:imported-model/abc] yet; use Converse instead."
            ),
        ),
        (
            "converse",
            "cohere.embed-v4:0",
            converse(),
            (
                "This action doesn't support the model that you provided. Try again with a supported text or "
                "chat model."
            ),
        ),
        (
            "converse",
            NOVA,
            converse("[[emulator cut=1]]"),
            "The directive [cut] needs, at that place, an operation that streams.",
        ),
        (
            "converse-stream",
            NOVA,
            converse("[[emulator exception=modelTimeoutException]]"),
            "ConverseStream has no modelTimeoutException; only InvokeModel streams have.",
        ),
        ("count-tokens", CLAUDE, {}, "The provided model doesn't support counting tokens."),
        ("count-tokens", NOVA, {}, "The provided model doesn't support counting tokens."),
        (
            "count-tokens",
            "anthropic.claude-3-haiku-20240307-v1:0",
            {"input": {}},
            f"Malformed input request: #/input: exactly one member must be set, found: 0, {PLEASE}",
        ),
        (
            "count-tokens",
            "anthropic.claude-3-haiku-20240307-v1:0",
            {"input": {"invokeModel": {"body": "e30="}}},
            "anthropic_version: Field required",
        ),
    ],
)
def test_operations_refuse(reply: Ask, operation: str, model: str, body: Any, message: str) -> None:
    """What the emulator cannot do it says, and does not pretend."""
    assert refusal(reply, operation, model, body) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (("x-amzn-bedrock-guardrailidentifier", "abc"), ("x-amzn-bedrock-guardrailversion", "1")),
            "The guardrail identifier or version provided in the request does not exist.",
        ),
        (
            (("x-amzn-bedrock-guardrailidentifier", "abc"),),
            "The guardrail identifier and version must both be provided with a guardrail config.",
        ),
        (
            (("x-amzn-bedrock-service-tier", "slow"),),
            f"Malformed input request: x-amzn-bedrock-service-tier: slow is not a valid enum value, {PLEASE}",
        ),
    ],
)
def test_options_of_the_headers_are_checked(options: tuple[tuple[str, str], ...], message: str) -> None:
    """InvokeModel has in headers what Converse has in its body."""
    with pytest.raises(BedrockError) as caught:
        reply_to(Asked("invoke", TITAN, b"", options), titan(), Account(usual=defaults(EmulatorSettings())))

    assert caught.value.message == message


def test_a_body_that_is_no_json_is_refused() -> None:
    """An empty one is none at all."""
    assert parse(b"") is None
    with pytest.raises(BedrockError, match=r"^ValidationException: Malformed input request, please"):
        parse(b"{")


def test_other_errors_of_pydantic_have_words_too() -> None:
    """A kind of error without a word of the validator's keeps pydantic's."""

    class Odd(Shape):
        number: complex

    with pytest.raises(BedrockError, match="#/number: Input should be"):
        read_schema(Odd, {"number": []})
    with pytest.raises(BedrockError, match=r"number: Input should be"):
        read_anthropic(Odd, {"number": []})


# ── recordings ────────────────────────────────────────────────────────────────────────────────────────

STRICTER = {
    # The assistant begins, which Claude 4.5 took; no client of ours does that.
    (
        "A conversation must start with a user message. Try again with a conversation that starts with a "
        "user message."
    ),
    "The guardrail identifier or version provided in the request does not exist.",
}
STRICTER.add(
    # A media type in the place of a format, which Nova took; the service model has no such value.
    "Malformed input request: #/messages/0/content/1/video/format: video/mp4 is not a valid enum value, "
    + PLEASE
)
SPOKEN = ("amazon.nova-", "amazon.titan-text-", "anthropic.claude-")


def spoken(record: dict[str, Any]) -> bool:
    """Whether the emulator speaks what was recorded."""
    if record["operation"].startswith("invoke"):
        base = record["model_id"].removeprefix("us.")
        return base.startswith(SPOKEN) and "embed" not in base
    return True


def test_recorded_bodies_are_taken(reply: Ask) -> None:
    """What Bedrock took, the emulator takes, but for three rules that it has on purpose."""
    records = [
        record
        for record in recorded(["converse", "converse-stream", "count-tokens", "invoke"])
        + recorded(["invoke-with-response-stream"])
        if record["status"] == 200 and spoken(record)
    ]

    refused = []
    for record in records:
        try:
            reply(record["operation"], record["model_id"], record["request"])
        except BedrockError as error:
            refused.append((record["id"], error.message))

    assert [case for case in refused if case[1] not in STRICTER] == []
    assert len(refused) < 8
    assert len(records) > 170


def shape_of(value: Any) -> Any:
    """Return the keys of a JSON value, in their order, with the types of what they lead to."""
    if isinstance(value, dict):
        return tuple((key, shape_of(part)) for key, part in value.items() if key != "p")
    if isinstance(value, list):
        return ("list", *sorted({repr(shape_of(part)) for part in value}))
    return type(value).__name__


def events_in(data: bytes) -> Iterator[tuple[str, Any]]:
    """Yield kind and shape of the events in some frames, chunks by what is inside."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    for message in buffer:
        body = json.loads(message.payload)
        inner = json.loads(base64.b64decode(body["bytes"])) if "bytes" in body else body
        yield message.headers[":event-type"], shape_of(inner)


@pytest.mark.parametrize(
    ("operation", "model", "family", "body"),
    [
        (
            "invoke-with-response-stream",
            CLAUDE,
            "claude",
            claude_with_tool("[[emulator tool=1 frames_per_write=0]]"),
        ),
        (
            "invoke-with-response-stream",
            NOVA,
            "nova",
            converse("[[emulator tool=1]]", toolConfig=TOOL_CONFIG),
        ),
        ("invoke-with-response-stream", TITAN, "titan", titan("[[emulator deltas=1]]")),
        (
            "converse-stream",
            CLAUDE,
            "",
            converse("[[emulator tool=1 reasoning=2]]", toolConfig=TOOL_CONFIG),
        ),
    ],
    ids=["claude", "nova", "titan", "converse"],
)
def test_events_have_the_recorded_shapes(
    reply: Ask, operation: str, model: str, family: str, body: dict[str, Any]
) -> None:
    """Each event has the keys, in their order, and the types of some event that Bedrock sent."""
    known = {
        event
        for record in recorded([operation])
        if family in record["model_id"] and "response_base64" in record
        for event in events_in(base64.b64decode(record["response_base64"]))
    }

    sent = set(events_in(reply(operation, model, body).writes[0].data))

    assert sent - known == set()


@pytest.mark.parametrize(
    ("operation", "model", "family", "body"),
    [
        ("invoke", CLAUDE, "claude", claude()),
        ("invoke", NOVA, "nova", converse()),
        ("invoke", TITAN, "titan", titan()),
    ],
    ids=["claude", "nova", "titan"],
)
def test_whole_answers_have_the_recorded_shapes(
    reply: Ask, operation: str, model: str, family: str, body: dict[str, Any]
) -> None:
    """And so does the answer in one piece, with its counters."""
    known = [record for record in recorded([operation]) if family in record["model_id"]]
    answer = reply(operation, model, body)

    assert shape_of(json.loads(answer.writes[0].data)) in {shape_of(record["response"]) for record in known}
    counters = {name.lower() for name in answer.headers if name.startswith("X-Amzn-Bedrock-")}
    assert counters in [
        {name for name in record["response_headers"] if name.startswith("x-amzn-bedrock-")}
        for record in known
    ]


def test_the_seams_have_names() -> None:
    """The parts of a family that others import are where they are looked for."""
    claude_rules.check_conversation([claude_shapes.Turn(role="user", content="a")])
    assert converse_shapes.ConverseBody().messages == []
    assert callable(converse_rules.check_guardrail)
    assert native.METRICS == "amazon-bedrock-invocationMetrics"
