"""The patterns of the route table: what has slashes, and what costs no more for having many."""

from __future__ import annotations

import pytest

from gateway.server import routes

GUARDRAIL = "/guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply"


@pytest.mark.parametrize(
    ("path", "template", "parts"),
    [
        (
            "/guardrail/arn:aws:bedrock:us-east-1:1:guardrail/abc/version/DRAFT/apply",
            GUARDRAIL,
            {"guardrailIdentifier": "arn:aws:bedrock:us-east-1:1:guardrail/abc", "guardrailVersion": "DRAFT"},
        ),
        # A version has none: two parts that may would let a head of many slashes hold the loop (quadratic)
        ("/guardrail/abc/version/1/2/apply", "other", {}),
        ("/model/a/b%2Fc%252Fd/invoke", "/model/{modelId}/invoke", {"modelId": "a/b/c%2Fd"}),
        ("/model//invoke", "other", {}),
        ("/model/../invoke", "/model/{modelId}/invoke", {"modelId": ".."}),
        ("/v1/models/%0D%0Ax", "/v1/models/{model}", {"model": "\r\nx"}),
    ],
)
def test_patterns(path: str, template: str, parts: dict[str, str]) -> None:
    """A part is decoded once, after the path has been split."""
    route, found = routes._find_pattern(path)
    assert (template, parts) == (route.template, dict(found))
