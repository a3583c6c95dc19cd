"""SigV4: equal to botocore, to AWS's published example, and to itself when it checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sigv4 import (
    UNSIGNED_HEADERS,
    Authorization,
    Credentials,
    Signer,
    parse_authorization,
    signature_of,
)

HOST = "bedrock-runtime.eu-central-1.amazonaws.com"
REGION = "eu-central-1"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EMPTY_HASH = sha256(b"").hexdigest()

MODEL_IDS = st.one_of(
    st.sampled_from(
        [
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3",
            "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x.y~z",
            "..",
            ".",
        ]
    ),
    st.text("abz09.-_~:/% é+", min_size=1, max_size=30),
)
PATHS = st.builds(
    "/model/{}/{}".format,
    st.one_of(MODEL_IDS.map(lambda model: quote(model, safe="")), MODEL_IDS.map(quote)),
    st.sampled_from(["invoke", "converse-stream", "", "/", "./..", "../x//y/"]),
)
TOKENS = st.one_of(st.none(), st.text("ABCabc012+/=", min_size=1, max_size=60))
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", " application/json;  charset=utf-8 "]),
        "Accept": st.just("*/*"),
        "X-Amzn-Bedrock-Trace": st.text("ENABLED \t_", max_size=20),
        "x-amzn-bedrock-request-metadata": st.text("{\"a b\":'é'}", max_size=30),
        "X-Amz-Security-Token": st.just("stale"),
        "X-Amz-Date": st.just("20200101T000000Z"),
        "User-Agent": st.just("gateway"),
        "X-Amzn-Trace-Id": st.just("Root=1"),
        "traceparent": st.just("00-1-2-03"),
        "Authorization": st.just("Bearer stale"),
    },
)


def signed_by_botocore(
    credentials: Credentials, path: str, body: bytes, headers: dict[str, str]
) -> dict[str, str]:
    """Return the headers of the request after botocore has signed it, by its own clock."""
    request = botocore.awsrequest.AWSRequest("POST", f"https://{HOST}{path}", headers=headers, data=body)
    keys = botocore.credentials.Credentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    botocore.auth.SigV4Auth(keys, "bedrock", REGION).add_auth(request)
    return dict(request.headers.items())


def moment(amz_date: str) -> datetime:
    """Return the time that an `X-Amz-Date` tells."""
    return datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


# ── signing ───────────────────────────────────────────────────────────────────────────────────────────


@given(PATHS, st.binary(max_size=50), TOKENS, st.text(min_size=1, max_size=40), HEADERS)
def test_equal_to_botocore(
    path: str, body: bytes, token: str | None, secret: str, headers: dict[str, str]
) -> None:
    """Every header that signing adds is the one that botocore adds."""
    credentials = Credentials("AKIDEXAMPLE", secret, token)
    if token is None:
        headers.pop(
            "X-Amz-Security-Token", None
        )  # botocore would sign and send the stale one, and so would we
    theirs = signed_by_botocore(credentials, path, body, headers)
    ours = (
        Signer(REGION).form("POST", HOST, path, headers).sign(credentials, body, moment(theirs["X-Amz-Date"]))
    )
    names = ["X-Amz-Date", "Authorization", *(["X-Amz-Security-Token"] if token else [])]
    assert ours == {name: theirs[name] for name in names}


def test_unsigned_headers_are_botocores() -> None:
    """Botocore leaves the same headers unsigned; it takes `authorization` away before it signs."""
    assert {*botocore.auth.SIGNED_HEADERS_BLACKLIST, "authorization"} == UNSIGNED_HEADERS


def test_what_is_signed() -> None:
    """The host, the date, the token and the request's headers are signed, in the order of their names."""
    credentials = Credentials("AKIDEXAMPLE", "secret", "token")
    headers = {"Content-Type": "application/json", "X-Amzn-Bedrock-Accept": "*/*", "User-Agent": "gateway"}
    added = Signer(REGION).form("POST", HOST, "/model/a/invoke", headers).sign(credentials, b"{}", NOON)
    authorization = parse_authorization(added.pop("Authorization"))
    assert added == {"X-Amz-Date": "20261120T120000Z", "X-Amz-Security-Token": "token"}
    assert authorization == Authorization(
        access_key_id="AKIDEXAMPLE",
        date="20261120",
        region=REGION,
        service="bedrock",
        signed_headers=(
            "content-type",
            "host",
            "x-amz-date",
            "x-amz-security-token",
            "x-amzn-bedrock-accept",
        ),
        signature=authorization.signature,
    )


def test_host_comes_from_the_argument() -> None:
    """A `host` among the headers gives way to the host that is called."""
    plain = Signer(REGION).form("POST", HOST, "/", {}).sign(CREDENTIALS, b"", NOON)
    assert Signer(REGION).form("POST", HOST, "/", {"Host": "other"}).sign(CREDENTIALS, b"", NOON) == plain


def test_time_zones() -> None:
    """The date is UTC's, wherever the clock is; a clock without a zone is refused."""
    signer = Signer(REGION)
    late = datetime(2026, 11, 21, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert signer.form("POST", HOST, "/", {}).sign(CREDENTIALS, b"", late)["X-Amz-Date"] == "20261120T233000Z"
    with pytest.raises(ValueError, match="needs a time zone"):
        signer.form("POST", HOST, "/", {}).sign(CREDENTIALS, b"", late.replace(tzinfo=None))


def test_keys_roll_at_midnight() -> None:
    """A signer that has lived through midnight signs as a new one does, and holds no key of yesterday."""
    signer = Signer(REGION)
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    for now in (midnight - timedelta(seconds=1), midnight, midnight - timedelta(seconds=1)):
        fresh = Signer(REGION).form("POST", HOST, "/", {}).sign(CREDENTIALS, b"", now)
        assert signer.form("POST", HOST, "/", {}).sign(CREDENTIALS, b"", now) == fresh
        assert repr(signer) == f"<Signer of bedrock in {REGION} with 1 keys>"


def test_keys_are_bounded() -> None:
    """Rotated credentials push the keys of old ones out, and every one signs as by a new signer."""
    signer = Signer(REGION)
    held = []
    for number in range(10):
        credentials = Credentials("AKIDEXAMPLE", f"secret {number}")
        for _ in range(2):
            added = signer.form("POST", HOST, "/", {}).sign(credentials, b"", NOON)
            assert added == Signer(REGION).form("POST", HOST, "/", {}).sign(credentials, b"", NOON)
        held.append(len(signer._keys))
    assert held == [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]


def test_secrets_do_not_show() -> None:
    """Neither secret nor token is in a repr, where a log could pick it up."""
    assert repr(Credentials("AKID", "hidden", "hidden too")) == "Credentials(access_key_id='AKID')"
    signer = Signer(REGION)
    signer.form("POST", HOST, "/", {}).sign(CREDENTIALS, b"", NOON)
    assert CREDENTIALS.secret_access_key not in repr(signer)


# ── checking ──────────────────────────────────────────────────────────────────────────────────────────


def check(
    added: dict[str, str], headers: dict[str, str], *, path: str, query: str, body: bytes
) -> tuple[str, str]:
    """Return the signature that the request has, and the one it must have, as a server finds them."""
    authorization = parse_authorization(added["Authorization"])
    received = {name.lower(): value for name, value in ({"Host": HOST} | headers | added).items()}
    recomputed = signature_of(
        CREDENTIALS.secret_access_key,
        method="POST",
        raw_path=path,
        raw_query=query,
        headers=received,
        signed_headers=authorization.signed_headers,
        payload_hash=sha256(body).hexdigest(),
        amz_date=received["x-amz-date"],
        region=authorization.region,
        service=authorization.service,
    )
    return authorization.signature, recomputed


@given(PATHS, st.binary(max_size=50), HEADERS)
def test_recomputed_signature(path: str, body: bytes, headers: dict[str, str]) -> None:
    """A server that recomputes the signature of a request finds it equal, unless something was changed."""
    added = Signer(REGION).form("POST", HOST, path, headers).sign(CREDENTIALS, body, NOON)
    signature, recomputed = check(added, headers, path=path, query="", body=body)
    assert recomputed == signature
    for forged in ({"path": path + "x"}, {"body": body + b"x"}, {"query": "x=1"}):
        request: dict[str, Any] = {"path": path, "query": "", "body": body} | forged
        assert check(added, headers, **request)[1] != signature


QUERY_TEXT = st.text("ab=&+ /%~é", max_size=6)


@given(st.lists(st.tuples(QUERY_TEXT, QUERY_TEXT), min_size=1, max_size=5))
def test_query_equal_to_botocore(parameters: list[tuple[str, str]]) -> None:
    """Parameters are sorted by name and value, whatever their order in the URL."""
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters)
    theirs = signed_by_botocore(CREDENTIALS, f"/model?{query}", b"", {})
    signature, recomputed = check(theirs, {}, path="/model", query=query, body=b"")
    assert recomputed == signature


@pytest.mark.parametrize(
    "query",
    ["a=1&b=%2F&c=", "c&b=/&a=1", "b=%2f&a=%31&c="],
)
def test_query_spellings(query: str) -> None:
    """Spellings of one query have one signature: order, needless or missing encoding, a missing `=`."""
    theirs = signed_by_botocore(CREDENTIALS, "/model?a=1&b=%2F&c=", b"", {})
    signature, recomputed = check(theirs, {}, path="/model", query=query, body=b"")
    assert recomputed == signature


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ],
)
def test_examples_of_aws(query: str, signature: str) -> None:
    """AWS's SigV4 test suite: `get-vanilla` and `get-vanilla-query-order-key-case`."""
    recomputed = signature_of(
        CREDENTIALS.secret_access_key,
        method="GET",
        raw_path="/",
        raw_query=query,
        headers={"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"},
        signed_headers=("host", "x-amz-date"),
        payload_hash=EMPTY_HASH,
        amz_date="20150830T123600Z",
        region="us-east-1",
        service="service",
    )
    assert recomputed == signature


def test_missing_signed_header() -> None:
    """A signature over a header that did not arrive cannot be checked."""
    added = Signer(REGION).form("POST", HOST, "/", {"Accept": "*/*", "X-A": "1"}).sign(CREDENTIALS, b"", NOON)
    with pytest.raises(ValueError, match="that the request does not have: accept, x-a"):
        check(added, {}, path="/", query="", body=b"")


SCOPE = "20261120/eu-central-1/bedrock/aws4_request"
NOT_SIGV4 = "does not begin with AWS4-HMAC-SHA256"
MALFORMED = "is not Credential=<key id>"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", NOT_SIGV4),
        ("Bearer abc", NOT_SIGV4),
        ("AWS4-HMAC-SHA256", MALFORMED),
        ("AWS4-HMAC-SHA256 Credential=AKID", MALFORMED),
        (f"AWS4-HMAC-SHA256 Credential=/{SCOPE}, SignedHeaders=host, Signature={'a' * 64}", MALFORMED),
        (f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders=, Signature={'a' * 64}", MALFORMED),
        (f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders=host, Signature={'a' * 63}", MALFORMED),
        (f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders=host, Signature={'A' * 64}", MALFORMED),
        (f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders=host", MALFORMED),
        (f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE[:-1]}, SignedHeaders=a, Signature={'a' * 64}", MALFORMED),
    ],
)
def test_malformed_authorization(value: str, message: str) -> None:
    """What is not a SigV4 authorization is refused with what it should look like."""
    with pytest.raises(ValueError, match=message):
        parse_authorization(value)


@pytest.mark.parametrize("separator", [", ", ",", ",  "])
def test_authorization_is_parsed(separator: str) -> None:
    """Clients differ in the space after the comma."""
    parts = (f"Credential=AKID/{SCOPE}", "SignedHeaders=host;x-amz-date", f"Signature={'0f' * 32}")
    assert parse_authorization(f"AWS4-HMAC-SHA256 {separator.join(parts)}") == Authorization(
        access_key_id="AKID",
        date="20261120",
        region="eu-central-1",
        service="bedrock",
        signed_headers=("host", "x-amz-date"),
        signature="0f" * 32,
    )
