"""Bodies with a value of the wrong kind at every place: they are answered or refused, and break nothing."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator import EmulatorSettings
from gateway.emulator.directives import defaults
from gateway.emulator.errors import BedrockError
from gateway.emulator.operations import Account, Asked, reply_to
from tests.emulator.asking import CLAUDE, LLAMA, NOVA, TITAN, claude, converse, titan

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARD = {"guardrailIdentifier": "emulated", "guardrailVersion": "1", "trace": "enabled"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": ["string", "null"], "enum": ["Rome"], "default": "Rome"},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 3},
        "unit": {"anyOf": [{"$ref": "#/$defs/unit"}, {"type": "null"}]},
    },
    "required": ["city", "days", "unit"],
    "$defs": {"unit": {"type": "string", "pattern": "c|f", "minLength": 1, "maxLength": 9}},
}
TOOLS = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}]}
CALL: list[dict[str, Any]] = [
    {"role": "user", "content": [{"text": "weather of Rome?"}]},
    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "weather", "input": {}}}]},
    {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"json": {"x": 1}}]}}]},
]
THINKING: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
FORM = {
    "type": "json_schema",
    "json_schema": {"name": "weather", "schema": {"name": "weather", "schema": SCHEMA}},
}
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "converse": (
        "converse",
        NOVA,
        converse(
            "weather of Rome?",
            toolConfig={**TOOLS, "toolChoice": {"any": {}}},
            guardrailConfig=GUARD,
            inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.5, "stopSequences": ["x"]},
            additionalModelRequestFields={"inferenceConfig": {"topK": 20}},
            system=[{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        ),
    ),
    "converse, tools used": ("converse", NOVA, {"messages": CALL, "toolConfig": TOOLS}),
    "converse, Claude": (
        "converse",
        CLAUDE,
        converse(
            additionalModelRequestFields=THINKING,
            outputConfig={
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "a"}},
                }
            },
        ),
    ),
    "converse, Llama": ("converse", LLAMA, converse(performanceConfig={"latency": "standard"})),
    "claude": (
        "invoke",
        CLAUDE,
        claude(
            "weather of Rome?",
            tools=[{"name": "weather", "input_schema": SCHEMA}],
            tool_choice={"type": "any"},
            system=[{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
            metadata={"user_id": "a"},
        ),
    ),
    "claude, JSON": (
        "invoke",
        CLAUDE,
        claude(
            max_tokens=2000, output_config={"format": {"type": "json_schema", "schema": SCHEMA}}, **THINKING
        ),
    ),
    "claude, edits": (
        "invoke",
        CLAUDE,
        claude(
            anthropic_beta=["context-management-2025-06-27"],
            context_management={
                "edits": [
                    {"type": "clear_thinking_20251015", "keep": "all"},
                    {"type": "clear_tool_uses_20250919", "trigger": {"type": "input_tokens", "value": 9}},
                ]
            },
        ),
    ),
    "nova": ("invoke", NOVA, converse("weather of Rome?", toolConfig=TOOLS)),
    "titan": ("invoke", TITAN, titan(maxTokenCount=9, stopSequences=["User:"])),
    "llama": ("invoke", LLAMA, {"prompt": "Hello", "max_gen_len": 9, "temperature": 0.5}),
    "gpt-oss": (
        "invoke",
        "openai.gpt-oss-20b-1:0",
        {"messages": [{"role": "user", "content": "weather of Rome?"}], "tools": [FUNCTION]},
    ),
    "gpt-oss, JSON": (
        "invoke",
        "openai.gpt-oss-20b-1:0",
        {"messages": [{"role": "user", "content": "Hello"}], "response_format": FORM},
    ),
    "mistral": ("invoke", "mistral.mistral-large-2402-v1:0", {"prompt": "<s>[INST] Hello [/INST]"}),
    "command-r": (
        "invoke",
        "cohere.command-r-v1:0",
        {
            "message": "Hello",
            "tools": [
                {
                    "name": "weather",
                    "description": "a",
                    "parameter_definitions": {"city": {"type": "str", "required": True}},
                }
            ],
        },
    ),
    "titan embeddings": ("invoke", "amazon.titan-embed-text-v2:0", {"inputText": "a", "dimensions": 256}),
    "cohere embeddings": (
        "invoke",
        "cohere.embed-english-v3",
        {"texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]},
    ),
    "nova embeddings": (
        "invoke",
        "amazon.nova-2-multimodal-embeddings-v1:0",
        {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingPurpose": "GENERIC_INDEX",
                "text": {"truncationMode": "END", "value": "a"},
            },
        },
    ),
    "rerank": ("invoke", "amazon.rerank-v1:0", {"query": "a", "documents": ["b"], "top_n": 1}),
    "count": ("count-tokens", CLAUDE.removeprefix("us."), {"input": {"converse": converse()}}),
    "count, invoked": (
        "count-tokens",
        CLAUDE.removeprefix("us."),
        {"input": {"invokeModel": {"body": b64encode(json.dumps(claude()).encode()).decode()}}},
    ),
}
ODD: tuple[Any, ...] = (None, True, -1, 0.5, 10**9, "", "x", [], [[]], [{}], [None], {}, {"": {}}, {"a": []})


def odd(value: Any) -> Iterator[Any]:
    """Yield a value with something odd at each of its places, and without each of its keys."""
    yield from ODD
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: part for name, part in value.items() if name != key}
            for changed in odd(inner):
                yield {**value, key: changed}
    if isinstance(value, list):
        for number, inner in enumerate(value):
            for changed in odd(inner):
                yield [*value[:number], changed, *value[number + 1 :]]


def said(operation: str, model: str, body: Any) -> str:
    """Return the error that a body is refused by, or nothing."""
    asked = Asked(operation, model, json.dumps(body).encode())
    try:
        reply_to(asked, body, ACCOUNT)
    except BedrockError as error:
        return error.code
    return ""


ACCOUNT = Account(usual=defaults(EmulatorSettings()), guardrails=EmulatorSettings().guardrails)


@pytest.mark.parametrize("name", BODIES)
def test_it_is_answered_or_refused(name: str) -> None:
    """A crash would be the emulator's 500, which tells nobody what is wrong with a body."""
    operation, model, body = BODIES[name]
    assert not said(operation, model, body)
    for changed in odd(body):
        said(operation, model, changed)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": []}}},
        {"type": "object", "required": [{}]},
        {"type": "object", "properties": {"a": {"type": "array", "minItems": 10**9}}},
        {"type": "object", "properties": {"a": {"anyOf": [1]}}, "additionalProperties": False},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    """In a tool of any API, and as the form of an answer."""
    tool = {"toolSpec": {"name": "weather", "inputSchema": {"json": schema}}}
    form = {"jsonSchema": {"schema": json.dumps(schema), "name": "a"}}
    asked = [
        ("converse", converse(toolConfig={"tools": [tool]})),
        ("converse", converse(outputConfig={"textFormat": {"type": "json_schema", "structure": form}})),
        ("invoke", claude(tools=[{"name": "weather", "input_schema": schema}])),
        ("invoke", claude(output_config={"format": {"type": "json_schema", "schema": schema}})),
    ]
    assert {said(operation, CLAUDE, body) for operation, body in asked} == {"ValidationException"}
    assert not said("invoke", CLAUDE, claude(tools=[{"name": "a", "input_schema": SCHEMA}]))


def test_a_guardrail_without_a_name_is_none() -> None:
    """Null stands for what is not said."""
    config = {**GUARD, "guardrailIdentifier": None}
    assert said("converse", NOVA, converse(guardrailConfig=config)) == "ValidationException"
    config = {**GUARD, "trace": None, "streamProcessingMode": None}
    assert not said("converse", NOVA, converse(guardrailConfig=config))


def test_context_management_is_in_trial() -> None:
    """It is taken with its flag alone, and what is no edit is refused."""
    edits = [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919", "keep": {}}]
    flag = ["context-management-2025-06-27"]
    assert not said("invoke", CLAUDE, claude(context_management={"edits": edits}, anthropic_beta=flag))
    for fields in (
        {"context_management": {"edits": edits}},
        {"context_management": {"edits": [{"type": "x"}]}, "anthropic_beta": flag},
        {"context_management": [], "anthropic_beta": flag},
    ):
        assert said("invoke", CLAUDE, claude(**fields)) == "ValidationException"
