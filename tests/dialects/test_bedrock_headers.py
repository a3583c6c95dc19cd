"""AWS's own headers on a request in any dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.dialects import bedrock_headers
from gateway.domain import CompletionRequest, Guardrail, Message, TextPart
from gateway.errors import InvalidRequest

REQUEST = CompletionRequest(model="m", messages=(Message("user", (TextPart("Hi"),)),))
GUARDED = {"x-amzn-bedrock-guardrailidentifier": "abc1", "X-Amzn-Bedrock-GuardrailVersion": "DRAFT"}
KNOWN = Guardrail("abc1", "DRAFT")


def applied(headers: dict[str, str], **fields: Any) -> CompletionRequest:
    """Return the request with these fields, and what the headers add."""
    return bedrock_headers.apply(replace(REQUEST, **fields), CIMultiDict(headers))


def test_without_such_headers_the_request_is_the_very_same() -> None:
    """The usual request costs no copy."""
    assert bedrock_headers.apply(REQUEST, CIMultiDict({"Accept": "*/*"})) is REQUEST


@pytest.mark.parametrize(
    ("headers", "before", "after"),
    [
        (GUARDED, {}, {"guardrail": KNOWN}),
        (GUARDED | {"X-Amzn-Bedrock-Trace": "DISABLED"}, {}, {"guardrail": KNOWN}),
        (
            GUARDED,
            {"guardrail": replace(KNOWN, stream_mode="sync")},
            {"guardrail": replace(KNOWN, stream_mode="sync")},
        ),
        ({"X-Amzn-Bedrock-Trace": "DISABLED"}, {"guardrail": KNOWN}, {"guardrail": KNOWN}),
        ({"X-Amzn-Bedrock-Trace": "DISABLED"}, {}, {}),
        ({"X-Amzn-Bedrock-PerformanceConfig-Latency": "optimized"}, {}, {"latency": "optimized"}),
        ({"X-Amzn-Bedrock-Service-Tier": " flex "}, {"service_tier": "flex"}, {"service_tier": "flex"}),
        (
            {"X-Amzn-Bedrock-Request-Metadata": '{"b":"2"}'},
            {"metadata": {"a": "1"}},
            {"metadata": {"a": "1", "b": "2"}},
        ),
    ],
)
def test_a_header_says_what_a_field_would(
    headers: dict[str, str], before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Each header has a field of the domain; what only the body says stays."""
    assert applied(headers, **before) == replace(REQUEST, **after)


@pytest.mark.parametrize(
    ("headers", "before", "param"),
    [
        ({"X-Amzn-Bedrock-GuardrailIdentifier": "abc1"}, {}, "X-Amzn-Bedrock-GuardrailVersion"),
        ({"X-Amzn-Bedrock-GuardrailVersion": "1"}, {}, "X-Amzn-Bedrock-GuardrailIdentifier"),
        (GUARDED | {"X-Amzn-Bedrock-GuardrailVersion": "0"}, {}, "X-Amzn-Bedrock-GuardrailVersion"),
        (GUARDED | {"x-amzn-bedrock-guardrailidentifier": "A B"}, {}, "X-Amzn-Bedrock-GuardrailIdentifier"),
        (GUARDED | {"X-Amzn-Bedrock-Trace": "yes"}, {}, "X-Amzn-Bedrock-Trace"),
        ({"X-Amzn-Bedrock-Trace": "ENABLED"}, {}, "X-Amzn-Bedrock-Trace"),
        (GUARDED | {"X-Amzn-Bedrock-Trace": "ENABLED_FULL"}, {}, "X-Amzn-Bedrock-Trace"),
        ({"X-Amzn-Bedrock-Trace": "ENABLED"}, {"guardrail": KNOWN}, "X-Amzn-Bedrock-Trace"),
        (GUARDED, {"guardrail": Guardrail("other", "1")}, "X-Amzn-Bedrock-GuardrailIdentifier"),
        (
            {"X-Amzn-Bedrock-PerformanceConfig-Latency": "fast"},
            {},
            "X-Amzn-Bedrock-PerformanceConfig-Latency",
        ),
        ({"X-Amzn-Bedrock-Service-Tier": "auto"}, {}, "X-Amzn-Bedrock-Service-Tier"),
        (
            {"X-Amzn-Bedrock-Service-Tier": "flex"},
            {"service_tier": "priority"},
            "X-Amzn-Bedrock-Service-Tier",
        ),
        ({"X-Amzn-Bedrock-Request-Metadata": "{"}, {}, "X-Amzn-Bedrock-Request-Metadata"),
        ({"X-Amzn-Bedrock-Request-Metadata": '{"a":1}'}, {}, "X-Amzn-Bedrock-Request-Metadata"),
        (
            {"X-Amzn-Bedrock-Request-Metadata": '{"a":"2"}'},
            {"metadata": {"a": "1"}},
            "X-Amzn-Bedrock-Request-Metadata",
        ),
    ],
)
def test_what_is_malformed_or_contradicts_the_body_is_refused_by_name(
    headers: dict[str, str], before: dict[str, Any], param: str
) -> None:
    """The refusal names the header."""
    with pytest.raises(InvalidRequest) as caught:
        applied(headers, **before)
    assert caught.value.param == param
