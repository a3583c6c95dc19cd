"""Calls in Bedrock's own words: which places and which fallback models may have a caller's body."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from gateway.bedrock.upstream import BedrockUpstream
from gateway.composition import build_router
from gateway.errors import UnknownModel
from gateway.settings import AwsSettings, ModelSettings, RoutingSettings, Settings, TargetChoice
from gateway.upstream import RelayRequest
from tests.harness import CLAUDE, LLAMA, NOVA, TITAN

if TYPE_CHECKING:
    from gateway.upstream import RelayedOperation, UpstreamCall

HAIKU = "us.anthropic.claude-3-5-haiku-20241022-v1:0"
OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
ENDPOINT = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine"


def calls(model: str, operation: RelayedOperation, body: bytes = b"{}", **changes: Any) -> list[UpstreamCall]:
    """Return the calls that two targets make of a request."""
    regions = {"east": {"region": "us-east-1"}, "west": {"region": "us-west-2"}}
    values = {"targets": regions, "aws": AwsSettings(region="us-east-1"), **changes}
    configured = Settings.model_validate(values)
    upstream = BedrockUpstream({}, build_router(configured), configured.bedrock, Random(0))  # noqa: S311 - no secret
    return list(upstream.relay(RelayRequest(model, operation, body, {"Accept": "*/*"})))


def test_the_callers_own_body_goes_to_every_target() -> None:
    """Under the operation that was asked for, whatever the operator has chosen for translations."""
    bedrock = {"operation": "converse", "streaming": False}
    made = calls(CLAUDE, "invoke-with-response-stream", b'{"a":1}', bedrock=bedrock)

    assert [(call.target, call.fallback, call.body, call.headers) for call in made] == [
        ("east", False, b'{"a":1}', {"Accept": "*/*"}),
        ("west", False, b'{"a":1}', {"Accept": "*/*"}),
    ]
    for call in made:
        assert (call.model.id, call.model.api, call.model.streaming) == (CLAUDE, "invoke", True)
        assert call.relay is not None
        assert (call.relay.operation, call.relay.family) == ("invoke-with-response-stream", "claude")


@pytest.mark.parametrize(
    ("model", "body", "family"),
    [
        (CLAUDE, b"{}", "claude"),
        ("anthropic.claude-v2", b'{"max_tokens_to_sample":9}', "claude_text"),
        ("anthropic.claude-v2", b'{"messages":[]}', "claude"),
        ("mistral.mistral-7b-instruct-v0:2", b'{"prompt":"x"}', "mistral"),
        ("mistral.mistral-7b-instruct-v0:2", b'{"messages":[]}', "mistral_chat"),
        ("amazon.titan-embed-text-v2:0", b"{}", None),
        ("amazon.rerank-v1:0", b"{}", None),
        (OPAQUE, b"{}", None),
        ("does-not.exist", b"{}", None),
    ],
)
def test_whose_words_an_answer_is_in(model: str, body: bytes, family: str | None) -> None:
    """The model's and the body's say it together; a model that nobody knows is passed on all the same."""
    relay = calls(model, "invoke", body)[0].relay
    assert relay is not None
    assert relay.family == family


def fallbacks(asked: str, *others: str) -> dict[str, Any]:
    """Return the setting of fallback models."""
    return {"models": {asked: ModelSettings(fallback_models=others)}}


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("invoke", b"{}", [CLAUDE, HAIKU]),
        ("invoke-with-response-stream", b"{}", [CLAUDE, HAIKU]),
        ("converse", b"{}", [CLAUDE, HAIKU, NOVA]),
        ("converse-stream", b'{"additionalModelRequestFields":{"top_k":5}}', [CLAUDE, HAIKU]),
        ("count-tokens", b"{}", [CLAUDE]),
    ],
)
def test_fallback_models(operation: RelayedOperation, body: bytes, expected: list[str]) -> None:
    """One gets a body only if it understands it."""
    made = calls(CLAUDE, operation, body, **fallbacks(CLAUDE, HAIKU, NOVA))
    assert list(dict.fromkeys(call.model.id for call in made)) == expected
    assert [call.fallback for call in made] == [call.model.id != CLAUDE for call in made]


def test_no_fallback_where_nobody_knows_the_words() -> None:
    """Two unknown bodies are not the same."""
    made = calls(OPAQUE, "invoke", **fallbacks(OPAQUE, ENDPOINT, LLAMA))
    assert {call.model.id for call in made} == {OPAQUE}


def test_what_the_operator_rules_out() -> None:
    """Residency and the list of allowed models hold; that a model is no chat model is Bedrock's to say."""
    with pytest.raises(UnknownModel, match="allowed_models"):
        calls(NOVA, "converse", allowed_models=(CLAUDE,))
    with pytest.raises(UnknownModel, match="residency"):
        calls(f"eu.{CLAUDE.removeprefix('us.')}", "invoke", routing=RoutingSettings(residency=("us-*",)))
    with pytest.raises(UnknownModel, match="custom_ids"):
        calls("does-not.exist", "invoke", custom_model_ids=False)
    assert calls(CLAUDE.removeprefix("us."), "count-tokens")[0].model.id == CLAUDE.removeprefix("us.")


def test_aliases_and_names_of_a_target() -> None:
    """A route is the same as for a translation; it is made once."""
    chosen = ModelSettings(targets=(TargetChoice(target="west", model=TITAN),))
    [call] = calls("fast", "converse", aliases={"fast": NOVA}, models={"fast": chosen})
    assert (call.target, call.model.id) == ("west", TITAN)


def test_what_a_passed_on_request_costs() -> None:
    """Another tier has prices that nobody here knows: no cost is told rather than a wrong one."""
    plain, dear = calls(NOVA, "converse"), calls(NOVA, "converse", b'{"serviceTier":{"type":"priority"}}')
    assert all(call.model.prices is not None for call in plain)
    assert all(call.model.prices is None for call in dear)


def test_guardrails() -> None:
    """They are asked for where the general targets are, by a path of their own."""
    configured = Settings(aws=AwsSettings(region="us-east-1"))
    upstream = BedrockUpstream({}, build_router(configured), configured.bedrock, Random(0))  # noqa: S311 - no secret

    [call] = upstream.relay_guardrail("arn:aws:bedrock:us-east-1:1:guardrail/ab", "DRAFT", b"{}")

    assert call.relay is not None
    assert call.relay.path == (
        "/guardrail/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aguardrail%2Fab/version/DRAFT/apply"
    )
    assert (call.target, call.model.streaming) == ("default", False)
