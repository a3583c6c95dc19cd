"""Bedrock's most repeated error names the profile to use, where the catalogue knows one."""

from __future__ import annotations

import pytest

from gateway.bedrock import faults

MODEL = "anthropic.claude-3-7-sonnet-20250219-v1:0"
NEEDED = (
    f"Invocation of model ID {MODEL} with on-demand throughput isn’t supported. Retry your request with the "
    "ID or ARN of an inference profile that contains this model."
)


@pytest.mark.parametrize(
    ("message", "advice", "named"),
    [
        (NEEDED, f"use us.{MODEL}", True),
        (NEEDED, None, False),
        ("Malformed input request", f"use us.{MODEL}", False),
    ],
)
def test_the_profile_is_named(message: str, advice: str | None, *, named: bool) -> None:
    """Only that error is explained, and only by a profile that is known; Bedrock's words stay."""
    error = faults.from_code("ValidationException", message)
    before = error.message

    faults.name_profile(error, advice)

    explained = f"This model is served through an inference profile only: use us.{MODEL}. Bedrock: {NEEDED}"
    assert error.message == (explained if named else before)
