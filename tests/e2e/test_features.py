"""What not every model has, end to end: the emulator checks every body as Bedrock would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import CLAUDE, LLAMA, NOVA, TITAN, Caller, StartGateway, ask, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.emulator import Emulator

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
BY_TOOL = (CLAUDE, NOVA, "us.amazon.nova-2-lite-v1:0", "zai.glm-4.7", "us.anthropic.claude-opus-4-7")
BY_ITSELF = ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "qwen.qwen3-32b-v1:0", "openai.gpt-oss-20b-1:0")


@pytest.fixture(name="caller")
async def _caller(emulator: Emulator, start: StartGateway) -> AsyncIterator[Caller]:
    """A caller of a gateway as it is without settings."""
    async with start(emulator) as caller:
        yield caller


@pytest.mark.parametrize("model", [*BY_TOOL, *BY_ITSELF])
async def test_an_answer_that_fits_a_schema_is_text(caller: Caller, model: str) -> None:
    """Whoever makes it fit, the caller reads JSON where text is, streamed and whole, and no tool call."""
    body = ask("Is it warm in Rome?", model, response_format=FORM)
    status, records, _ = await caller.stream(body)
    assert status == 200
    kinds = {record["type"] for record in records} - {"ping", "reasoning_delta"}
    assert kinds == {"start", "text_delta", "done"}
    assert records[-1]["finish_reason"] == "stop"
    said = json.loads(text_of(records))
    assert {name: type(value) for name, value in said.items()} == {"city": str, "warm": bool}
    status, whole = await caller.complete(body)
    assert (status, whole["finish_reason"], "tool_calls" in whole["message"]) == (200, "stop", False)
    assert json.loads(whole["message"]["content"]) == said


async def test_any_json_object(caller: Caller) -> None:
    """Without a schema it is an object all the same."""
    status, whole = await caller.complete(ask(model=NOVA, response_format={"type": "json_object"}))
    assert status == 200
    assert isinstance(json.loads(whole["message"]["content"]), dict)


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", {"budget_tokens": 2000}),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", {"effort": "low"}),
        ("us.anthropic.claude-opus-4-6-v1", {"effort": "max"}),
        ("us.anthropic.claude-opus-4-6-v1", {"budget_tokens": 2000}),
        ("us.amazon.nova-2-lite-v1:0", {"effort": "high"}),
        ("openai.gpt-oss-20b-1:0", {"effort": "high"}),
    ],
)
@pytest.mark.parametrize("operation", ["auto", "converse"])
async def test_a_model_is_told_to_think(
    emulator: Emulator, start: StartGateway, model: str, reasoning: dict[str, Any], operation: str
) -> None:
    """By a budget or an effort, in the family's own words."""
    async with start(emulator, bedrock={"operation": operation}) as caller:
        status, whole = await caller.complete(ask(model=model, reasoning=reasoning))
    assert status == 200
    assert whole["message"]["reasoning"]


async def test_a_refusal_names_the_field_and_models_that_have_it(caller: Caller) -> None:
    """The caller reads what to ask instead."""
    document = {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
    }
    body = {
        "model": "amazon.nova-micro-v1:0",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Read it."}, document]}],
    }
    status, refusal = await caller.complete(body)
    assert (status, refusal["error"]["param"]) == (400, "messages[0].content[1]")
    assert "nova-micro-v1:0 does not take documents" in refusal["error"]["message"]
    assert " more." in refusal["error"]["message"]
    assert (await caller.complete(body | {"model": NOVA.replace("micro", "lite")}))[0] == 200


@pytest.mark.parametrize("operation", ["auto", "converse"])
async def test_everything_at_once(emulator: Emulator, start: StartGateway, operation: str) -> None:
    """What a model has goes together, by either operation."""
    point = {"type": "cache_point", "ttl": "1h"}
    body = {
        "model": "us.anthropic.claude-opus-4-6-v1",
        "system": [{"type": "text", "text": "Be brief."}, point],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, point]}],
        "tools": [
            {
                "type": "function",
                "function": {"name": "clock", "strict": True, "parameters": SCHEMA},
                "cache_point": {"ttl": "1h"},
            }
        ],
        "parallel_tool_calls": False,
        "reasoning": {"effort": "high"},
        "response_format": FORM,
        "service_tier": "default",
        "latency": "standard",
        "betas": ["context-1m-2025-08-07"],
        "metadata": {"team": "a"},
    }
    async with start(emulator, bedrock={"operation": operation}) as caller:
        status, whole = await caller.complete(body)
    assert (status, whole.get("error")) == (200, None)


@pytest.mark.parametrize("model", [CLAUDE, NOVA, TITAN, LLAMA])
async def test_a_guardrail(caller: Caller, model: str) -> None:
    """By a field or by headers it is applied, and the text that it masks is nowhere in the answer."""
    guardrail = {"identifier": "emulated", "version": "1", "stream_mode": "sync"}
    headers = {
        "X-Amzn-Bedrock-GuardrailIdentifier": "emulated",
        "X-Amzn-Bedrock-GuardrailVersion": "1",
    }
    body = ask("Hi [[emulator guardrail=mask]]", model)
    plain = text_of((await caller.stream(ask("Hi", model)))[1])
    for asked, sent in ((body | {"guardrail": guardrail}, {}), (body, headers)):
        status, records, _ = await caller.stream(asked, **sent)
        assert (status, records[-1]["finish_reason"]) == (200, "content_filter")
        assert "emulator" in plain
        assert "emulator" not in json.dumps(records)
    status, records, _ = await caller.stream(body | {"guardrail": guardrail | {"version": "7"}})
    assert (status, "guardrail" in records[0]["error"]["message"]) == (400, True)


async def test_the_headers_of_aws_are_taken(caller: Caller) -> None:
    """In the native API too; a value that is none is refused by the header's name."""
    status, records, _ = await caller.stream(ask(), **{"X-Amzn-Bedrock-Service-Tier": "best"})
    assert (status, records[0]["error"]["param"]) == (400, "X-Amzn-Bedrock-Service-Tier")
    headers = {"X-Amzn-Bedrock-PerformanceConfig-Latency": "standard"}
    assert (await caller.stream(ask(), **headers))[0] == 200
