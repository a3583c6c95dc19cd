"""How a model is told to think: in its family's words, or refused with what it can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.bedrock.bodies import body_of
from gateway.catalog.catalog import Catalog
from gateway.domain import CompletionRequest, Message, Reasoning, TextPart, Tool, ToolChoice
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.choices import Operation

HI = (Message("user", (TextPart("Hi"),)),)
SONNET_37 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
SONNET_4 = "us.anthropic.claude-sonnet-4-20250514-v1:0"
OPUS_46 = "us.anthropic.claude-opus-4-6-v1"
OPUS_47 = "us.anthropic.claude-opus-4-7"
OPUS_55 = "us.anthropic.claude-opus-5-5"
NEWER = "anthropic.claude-opus-99"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
GPT = "us.openai.gpt-5.5"
NEW_GPT = "openai.gpt-99"
OSS = "openai.gpt-oss-20b-1:0"
R1 = "us.deepseek.r1-v1:0"
OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
TOOL = Tool("clock", None, {"type": "object"})


def asked(model: str, operation: Operation = "auto", **fields: Any) -> Any:
    """Return the body for a request with these fields."""
    resolved = Catalog(operation=operation).resolve(model)
    request = CompletionRequest(model=model, messages=HI, **fields)
    return orjson.loads(body_of(resolved, request, lambda: (), check_provider=False).body)


@pytest.mark.parametrize(
    ("model", "reasoning", "limit", "body"),
    [
        (SONNET_4, Reasoning("minimal"), None, {"thinking": (1024), "max_tokens": 5120}),
        (SONNET_4, Reasoning("high"), None, {"thinking": 16_384, "max_tokens": 20_480}),
        (SONNET_4, Reasoning("high"), 5000, {"thinking": 2500, "max_tokens": 5000}),
        (SONNET_4, Reasoning("high"), 1100, {"thinking": 1024, "max_tokens": 1100}),
        (SONNET_4, Reasoning(budget_tokens=3000), None, {"thinking": 3000, "max_tokens": 7096}),
        (SONNET_4, Reasoning(budget_tokens=3000), 3001, {"thinking": 3000, "max_tokens": 3001}),
        (SONNET_37, Reasoning("high"), None, {"thinking": 4096, "max_tokens": 8192}),
        (SONNET_4, Reasoning("none"), None, {"thinking": "disabled", "max_tokens": 4096}),
        (OPUS_46, Reasoning("high"), None, {"thinking": "adaptive", "effort": "high", "max_tokens": 4096}),
        (OPUS_46, Reasoning(budget_tokens=2000), None, {"thinking": 2000, "max_tokens": 6096}),
        (OPUS_47, Reasoning("xhigh"), 50, {"thinking": "adaptive", "effort": "xhigh", "max_tokens": 50}),
        (OPUS_47, Reasoning("none"), None, {"thinking": None, "max_tokens": 4096}),
        (NEWER, Reasoning("low"), None, {"thinking": "adaptive", "effort": "low", "max_tokens": 4096}),
    ],
)
@pytest.mark.parametrize("operation", ["invoke", "converse"])
def test_claudes_words(
    model: str, reasoning: Reasoning, limit: int | None, body: dict[str, Any], operation: Operation
) -> None:
    """A budget with room for the answer behind it, or an effort; the same by either operation."""
    sent = asked(model, operation, reasoning=reasoning, max_tokens=limit)
    if operation == "converse":
        extra = sent.get("additionalModelRequestFields", {})
        thinking, output = extra.get("thinking"), sent.get("outputConfig", {})
        said = {"max_tokens": sent["inferenceConfig"]["maxTokens"]}
    else:
        thinking, output = sent.get("thinking"), sent.get("output_config", {})
        said = {"max_tokens": sent["max_tokens"]}
    said["thinking"] = thinking and thinking.get("budget_tokens", thinking["type"])
    assert said | output == body


@pytest.mark.parametrize(
    ("model", "operation", "effort", "extra"),
    [
        (NOVA_2, "converse", "low", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        (NOVA_2, "converse", "none", {"reasoningConfig": {"type": "disabled"}}),
        (GPT, "auto", "none", {"reasoning_effort": "none"}),
        (NEW_GPT, "auto", "max", {"reasoning_effort": "max"}),
        (OSS, "auto", "high", {"reasoning_effort": "high"}),
        ("qwen.qwen3-32b-v1:0", "auto", "high", {"reasoning_effort": "high"}),
    ],
)
def test_other_families_words(model: str, operation: Operation, effort: Any, extra: dict[str, Any]) -> None:
    """Converse hands them through."""
    assert asked(model, operation, reasoning=Reasoning(effort))["additionalModelRequestFields"] == extra


def test_nova_decides_its_own_limit_when_it_thinks_hard() -> None:
    """It refuses one then, so the gateway's default is not sent."""
    for operation, key in (("invoke", "inferenceConfig"), ("converse", "inferenceConfig")):
        sent = asked(NOVA_2, operation, reasoning=Reasoning("high"))  # type: ignore[arg-type]
        assert not sent.get(key)
    assert asked(NOVA_2, "invoke", reasoning=Reasoning("low"))["inferenceConfig"] == {"maxTokens": 4096}


@pytest.mark.parametrize(
    "model",
    [R1, OPAQUE, "us.meta.llama3-3-70b-instruct-v1:0", "amazon.nova-pro-v1:0", "us.writer.palmyra-x4-v1:0"],
)
@pytest.mark.parametrize("operation", ["auto", "converse", "invoke"])
def test_a_model_that_does_not_think_is_easily_told_not_to(model: str, operation: Operation) -> None:
    """Nothing need be sent for that; R1 always thinks."""
    if model == OPAQUE and operation == "invoke":
        return  # it has no family to be invoked as
    if model == R1:
        with pytest.raises(InvalidRequest):
            asked(model, operation, reasoning=Reasoning("none"))
    else:
        assert asked(model, operation, reasoning=Reasoning("none")) == asked(model, operation)


@pytest.mark.parametrize(
    ("model", "fields", "param", "words"),
    [
        (SONNET_4, {"reasoning": Reasoning("max")}, "reasoning", "an effort of minimal, low, medium, high"),
        (SONNET_4, {"reasoning": Reasoning(budget_tokens=9)}, "reasoning", "1024"),
        (SONNET_37, {"reasoning": Reasoning(budget_tokens=9000)}, "reasoning", "8192"),
        (SONNET_4, {"reasoning": Reasoning("low"), "max_tokens": 1024}, "max_tokens", "1024"),
        (SONNET_4, {"reasoning": Reasoning("low"), "temperature": 0.5}, "temperature", "takes 1 only"),
        (SONNET_4, {"reasoning": Reasoning("low"), "top_p": 0.5}, "top_p", "between 0.95 and 1"),
        (SONNET_4, {"reasoning": Reasoning("low"), "top_k": 5}, "top_k", "top_k"),
        (
            SONNET_4,
            {"reasoning": Reasoning("low"), "tools": (TOOL,), "tool_choice": ToolChoice("any")},
            "tool_choice",
            "while it reasons",
        ),
        (OPUS_46, {"reasoning": Reasoning("xhigh")}, "reasoning", "tokens or an effort of low, medium, high"),
        (OPUS_47, {"reasoning": Reasoning(budget_tokens=2000)}, "reasoning", "takes an effort of low"),
        (OPUS_55, {"reasoning": Reasoning("none")}, "reasoning", "being told not to reason"),
        (NOVA_2, {"reasoning": Reasoning("max")}, "reasoning", "low, medium, high"),
        (NOVA_2, {"reasoning": Reasoning(budget_tokens=2000)}, "reasoning", "effort"),
        (NOVA_2, {"reasoning": Reasoning("high"), "max_tokens": 5}, "max_tokens", "by itself"),
        (GPT, {"reasoning": Reasoning("minimal")}, "reasoning", "none, low"),
        (R1, {"reasoning": Reasoning("low")}, "reasoning", "such a request to reason"),
        (OPAQUE, {"reasoning": Reasoning("low")}, "reasoning", "this model"),
        ("amazon.titan-text-express-v1", {"reasoning": Reasoning("low")}, "reasoning", "by InvokeModel"),
    ],
)
def test_what_cannot_be_told(model: str, fields: dict[str, Any], param: str, words: str) -> None:
    """The refusal names the field and says what would do."""
    with pytest.raises(InvalidRequest) as caught:
        asked(model, **fields)
    assert caught.value.param == param
    assert words in caught.value.message
