"""What a caller's rules put in where a request says nothing: never what the model would refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.admission.caller import CallerRules
from gateway.domain import CompletionRequest, Message, Reasoning, TextPart
from gateway.errors import InvalidRequest
from gateway.upstream import RelayRequest
from tests.harness import CLAUDE
from tests.test_attribution import permitted

LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
COMMAND_R = "cohere.command-r-v1:0"
HAIKU_3 = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LARGE = CallerRules(default_max_tokens=1_000_000)


def body(rules: CallerRules, model: str, **said: Any) -> dict[str, Any]:
    """Return the body of the first call."""
    message = Message("user", (TextPart("Hello"),))
    calls = permitted(rules, None).format(CompletionRequest(model=model, messages=(message,), **said))
    made: dict[str, Any] = json.loads(calls[0].body)
    return made


def relayed(rules: CallerRules, model: str, said: bytes = b"{}") -> dict[str, Any]:
    """Return the body of InvokeModel for one that says this."""
    made: dict[str, Any] = json.loads(
        permitted(rules, None).relay(RelayRequest(model, "invoke", said, {}))[0].body
    )
    return made


def test_a_default_is_no_more_than_the_model_takes() -> None:
    """Nobody is refused for a limit that it has not named."""
    assert body(LARGE, HAIKU_3)["max_tokens"] == 4096
    assert body(CallerRules(max_tokens=1_000_000), HAIKU_3)["max_tokens"] == 4096
    assert body(LARGE, CLAUDE)["max_tokens"] == 64_000
    assert relayed(LARGE, HAIKU_3)["max_tokens"] == 4096
    assert relayed(LARGE, LLAMA)["max_gen_len"] == 2048
    assert relayed(LARGE, COMMAND_R)["max_tokens"] == 4000
    with pytest.raises(InvalidRequest, match="max_tokens"):
        body(CallerRules(max_tokens=9), HAIKU_3, max_tokens=10)


def test_a_body_that_is_still_to_be_made() -> None:
    """A rank's is made when its model is known, and has no limit: of a new model too."""
    model = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v9:0"
    calls = permitted(CallerRules(max_tokens=9), None).relay(RelayRequest(model, "invoke", b"", {}))
    assert calls[0].body == b""


@pytest.mark.parametrize(
    ("rules", "reasoning", "limit", "budget"),
    [
        (CallerRules(default_max_tokens=8000), Reasoning(effort="high"), 8000, 4000),
        (CallerRules(default_max_tokens=500), Reasoning(effort="high"), 2048, 1024),
        (CallerRules(default_max_tokens=8000), Reasoning(budget_tokens=9000), 17_000, 9000),
        (CallerRules(max_tokens=10_000), Reasoning(budget_tokens=9000), 10_000, 9000),
        (CallerRules(max_tokens=1500), Reasoning(effort="high"), 1500, 1024),
        (CallerRules(max_tokens=1000), Reasoning(effort="high"), None, None),
        (CallerRules(max_tokens=9000), Reasoning(budget_tokens=9000), None, None),
    ],
)
def test_thinking(rules: CallerRules, reasoning: Reasoning, limit: int | None, budget: int | None) -> None:
    """There is room for the answer behind it within the caller's highest limit, or a refusal by name."""
    if limit is None:
        with pytest.raises(InvalidRequest) as caught:
            body(rules, CLAUDE, reasoning=reasoning)
        assert caught.value.param == "reasoning"
        return
    made = body(rules, CLAUDE, reasoning=reasoning)
    assert (made["max_tokens"], made["thinking"]["budget_tokens"]) == (limit, budget)


def test_thinking_without_a_limit() -> None:
    """A Nova that thinks hard takes none: a default is left out, a highest limit cannot be kept."""
    hard = Reasoning(effort="high")
    assert body(LARGE, NOVA_2, reasoning=hard)["inferenceConfig"] == {}
    with pytest.raises(InvalidRequest) as caught:
        body(CallerRules(max_tokens=10), NOVA_2, reasoning=hard)
    assert caught.value.param == "reasoning"
