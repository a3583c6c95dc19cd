"""Signatures, checked against botocore's own signer; every way in which a caller can be a stranger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.emulator import EmulatorSettings
from gateway.emulator.authentication import SignedRequest, authenticate, utc_now
from gateway.emulator.errors import BedrockError

SETTINGS = EmulatorSettings()
PATH = "/model/us.amazon.nova-micro-v1%3A0/converse"
BODY = b'{"messages":[]}'


def signed(
    settings: EmulatorSettings = SETTINGS, service: str = "bedrock", trace: str | None = None
) -> SignedRequest:
    """Return a request as botocore signs it, by the clock."""
    keys = Credentials(settings.access_key_id, settings.secret_access_key, settings.session_token)
    headers = {} if trace is None else {"X-Amzn-Bedrock-Trace": trace}
    request = AWSRequest("POST", f"http://127.0.0.1:1234{PATH}", data=BODY, headers=headers)
    SigV4Auth(keys, service, settings.region).add_auth(request)
    lower = {name.lower(): value for name, value in request.headers.items()}
    return SignedRequest("POST", PATH, "", {"host": "127.0.0.1:1234", **lower}, BODY)


def changed(request: SignedRequest, **headers: str) -> SignedRequest:
    """Return the request with other headers; underscores stand for hyphens."""
    others = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(request, headers={**request.headers, **others})


def refusal(request: SignedRequest, settings: EmulatorSettings = SETTINGS, **later: Any) -> tuple[str, str]:
    """Return code and message of the refusal, some time after the signing."""
    with pytest.raises(BedrockError) as caught:
        authenticate(request, settings, lambda: _signed_at(request) + timedelta(**later))
    return caught.value.code, caught.value.message


def _signed_at(request: SignedRequest) -> datetime:
    """Return when it was signed: tables are signed when they are collected, long before their tests run."""
    try:
        return datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except (KeyError, ValueError):  # the date is what is wrong with it
        return datetime.now(UTC)


def test_a_good_signature_is_taken() -> None:
    """With and without a session token and headers of the caller, for five minutes."""
    temporary = replace(SETTINGS, session_token="a token")

    authenticate(signed(), SETTINGS)
    authenticate(signed(trace="ENABLED"), SETTINGS)
    authenticate(signed(temporary), temporary)
    authenticate(signed(), SETTINGS, lambda: datetime.now(UTC) + timedelta(minutes=4))
    authenticate(signed(), SETTINGS, lambda: datetime.now(UTC) - timedelta(minutes=4))


def test_everybody_is_taken_where_nothing_is_verified() -> None:
    """A benchmark may leave the check out."""
    authenticate(SignedRequest("POST", PATH, "", {}, b""), replace(SETTINGS, verify_signatures=False))


@pytest.mark.parametrize(
    "altered",
    [
        replace(signed(), body=b'{"messages":[1]}'),
        replace(signed(), raw_path=PATH.replace("micro", "pro")),
        replace(signed(), raw_query="a=b"),
        replace(signed(), method="PUT"),
        changed(signed(), host="127.0.0.1:4321"),
        signed(replace(SETTINGS, secret_access_key="another")),
    ],
    ids=["body", "path", "query", "method", "host", "secret"],
)
def test_whatever_is_altered_breaks_the_signature(altered: SignedRequest) -> None:
    """Nothing of what was signed may change on the way."""
    code, message = refusal(altered)

    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (changed(signed(), authorization="AWS4-HMAC-SHA256 nonsense"), "IncompleteSignatureException"),
        (changed(signed(), authorization="Basic abc"), "IncompleteSignatureException"),
        (changed(signed(), authorization="Bearer \udc80"), "AccessDeniedException"),
        (changed(signed(), x_amz_security_token="unsigned"), "InvalidSignatureException"),
        (signed(service="s3"), "InvalidSignatureException"),
        (signed(replace(SETTINGS, region="eu-west-1")), "InvalidSignatureException"),
        (signed(replace(SETTINGS, access_key_id="AKIAANOTHER")), "UnrecognizedClientException"),
        (signed(replace(SETTINGS, session_token="unknown")), "UnrecognizedClientException"),
        (SignedRequest("POST", PATH, "", {}, b""), "MissingAuthenticationTokenException"),
    ],
)
def test_strangers_are_refused(request_: SignedRequest, expected: str) -> None:
    """Each in AWS's words for it."""
    assert refusal(request_)[0] == expected


def test_a_required_token_must_be_sent() -> None:
    """Temporary credentials without their token are none."""
    temporary = replace(SETTINGS, session_token="a token")

    assert refusal(signed(), temporary)[0] == "UnrecognizedClientException"


def test_a_signature_without_its_date_is_refused() -> None:
    """The date must be there and be covered by the signature."""
    request = signed()
    undated = replace(request, headers={k: v for k, v in request.headers.items() if k != "x-amz-date"})

    assert refusal(undated) == (
        "InvalidSignatureException",
        "Headers must be sent and signed: x-amz-date.",
    )


def test_an_old_signature_is_refused() -> None:
    """Five minutes either way are the limit."""
    assert refusal(signed(), minutes=6)[1].startswith("Signature expired: ")
    assert refusal(signed(), minutes=-6)[1].startswith("Signature not yet current: ")


@pytest.mark.parametrize(
    ("date", "code", "message"),
    [
        ("yesterday", "IncompleteSignatureException", "Date must be in ISO-8601 'basic format'."),
        ("20251399T000000Z", "IncompleteSignatureException", "Date must be in ISO-8601 'basic format'."),
        ("2025-01-01", "IncompleteSignatureException", "Date must be in ISO-8601 'basic format'."),
        (
            "20010101T000000Z",
            "InvalidSignatureException",
            "Date in Credential scope does not match YYYYMMDD from X-Amz-Date.",
        ),
    ],
)
def test_the_date_must_be_that_of_the_scope(date: str, code: str, message: str) -> None:
    """A date that is none, or another than the key was derived for."""
    assert refusal(changed(signed(), x_amz_date=date)) == (code, message)


def test_the_clock_has_a_zone() -> None:
    """Dates are compared in UTC."""
    assert utc_now().tzinfo is UTC
