"""Who is calling: every form of a header, and nothing that makes a caller of nobody."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.admission.caller import Caller
from gateway.errors import Unauthenticated
from gateway.identity.callers import Callers, Known

KEY, OTHER = "a-key-of-team-a", "schlüssel"
CALLERS = Callers(
    [
        Known(Caller("team-a"), (sha256(b"old").digest(), sha256(KEY.encode()).digest()), ("AKIATEAMA",)),
        Known(Caller("team-b"), (sha256(OTHER.encode()).digest(),), ()),
    ]
)
SCOPE = "20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"


def identify(**headers: str) -> str:
    """Return who sends these headers; `_` stands for `-`."""
    return CALLERS.identify(
        CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    ).name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"authorization": f"Bearer {KEY}"}, "team-a"),
        ({"authorization": "bearer  old "}, "team-a"),
        ({"authorization": f"BEARER {OTHER}"}, "team-b"),
        ({"x_api_key": KEY}, "team-a"),
        ({"authorization": f"Bearer {KEY}", "x_api_key": OTHER}, "team-a"),
        ({"authorization": f"AWS4-HMAC-SHA256 Credential=AKIATEAMA/{SCOPE}"}, "team-a"),
        ({"authorization": f"AWS4-HMAC-SHA256 Signature=0,Credential=AKIATEAMA/{SCOPE}"}, "team-a"),
    ],
)
def test_known(headers: dict[str, str], name: str) -> None:
    """By a key in either header, or by the access key id of a signature."""
    assert identify(**headers) == name


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer{KEY}"},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY} {KEY}"},
        {"authorization": f"Bearer {KEY.upper()}"},
        {"authorization": "Bearer AKIATEAMA"},
        {"authorization": "Bearer \udcff"},
        {"authorization": "Bearer " + sha256(KEY.encode()).hexdigest()},
        {"authorization": f"Bearer {OTHER}x", "x_api_key": KEY},
        {"x_api_key": ""},
        {"authorization": f"AWS4-HMAC-SHA256 Credential=AKIATEAMB/{SCOPE}"},
        {"authorization": "AWS4-HMAC-SHA256 Credential=AKIATEAMA"},
        {"authorization": f"AWS4-HMAC-SHA256 credential=AKIATEAMA/{SCOPE}"},
        {"authorization": f"AWS4-ECDSA-P256-SHA256 Credential=AKIATEAMA/{SCOPE}"},
        {"authorization": "AWS4-HMAC-SHA256 " + "," * 10_000},
    ],
)
def test_unknown(headers: dict[str, str]) -> None:
    """Malformed, missing or somebody else's: one refusal, which repeats nothing."""
    with pytest.raises(Unauthenticated) as refused:
        identify(**headers)
    assert KEY not in refused.value.message
    assert refused.value.detail
    assert KEY not in refused.value.detail


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "no key"),
        ({"authorization": f"Basic {KEY}"}, "no key: a scheme other than Bearer"),
        ({"x_api_key": "else"}, "unknown key"),
        ({"authorization": f"AWS4-HMAC-SHA256 Credential=AKIATEAMB/{SCOPE}"}, "unknown access key id"),
    ],
)
def test_what_the_log_has(headers: dict[str, str], detail: str) -> None:
    """Why, for the operator."""
    with pytest.raises(Unauthenticated) as refused:
        identify(**headers)
    assert refused.value.detail == detail


@given(st.text(max_size=60))
def test_anything(value: str) -> None:
    """No header makes a caller of nobody, and none makes a defect."""
    for headers in ({"authorization": value}, {"authorization": f"Bearer {value}"}, {"x_api_key": value}):
        with pytest.raises(Unauthenticated):
            identify(**headers)
