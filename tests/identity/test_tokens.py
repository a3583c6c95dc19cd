"""Tokens: who is let in, and every way in which a token may lie."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from multidict import CIMultiDict

from gateway.admission.caller import Caller
from gateway.errors import Forbidden, GatewayError, Unauthenticated
from gateway.identity import tokens
from gateway.identity.callers import Callers
from gateway.identity.jwks import KeySet, Source, read
from gateway.identity.subjects import MAX_TOKEN, Member, Subjects, is_token
from gateway.identity.tokens import Issuer, Tokens
from tests.identity.issuer import AUDIENCE, ED25519, OTHER_RSA, P256, P384, RSA, SUBJECT, claims, jwk, signed

if TYPE_CHECKING:
    from collections.abc import Callable

NAME, OTHER = "https://issuer.example", "https://other.example"
TEAM_A, TEAM_B, STAFF = Caller("team-a"), Caller("team-b"), Caller("staff")
SUBJECTS = Subjects(
    [
        Member(TEAM_A, ("system:serviceaccount:team-a:*", "b:boss", "Ann [x]*")),
        Member(TEAM_B, ("system:serviceaccount:team-a:special", "b:*")),
        Member(STAFF, (), ("staff", "b:staff")),
    ]
)
ALL = ("RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA")


def key_set(*entries: dict[str, Any]) -> KeySet:
    """Return the keys as if they had been fetched."""
    keys = KeySet(Source(issuer=NAME))
    keys.keys, refused = read(json.dumps({"keys": entries}).encode())
    assert not refused
    return keys


def issuer(*entries: dict[str, Any], name: str = NAME, **changes: Any) -> Issuer:
    """Return an issuer with these keys."""
    fields: dict[str, Any] = {"audiences": (AUDIENCE,), "algorithms": ALL, **changes}
    return Issuer(name=name, keys=key_set(*(entries or (jwk(RSA),))), **fields)


def checked(token: str, *issuers: Issuer) -> Caller:
    """Return whose token this is."""
    return Tokens(issuers or (issuer(),), SUBJECTS).caller(token, "Authorization")


GOOD: dict[str, Callable[[], tuple[str, Issuer]]] = {
    "RS256": lambda: (signed(claims(NAME)), issuer()),
    "RS512": lambda: (signed(claims(NAME), RSA, "RS512"), issuer()),
    "PS256": lambda: (signed(claims(NAME), RSA, "PS256"), issuer()),
    "ES256": lambda: (signed(claims(NAME), P256, "ES256"), issuer(jwk(P256))),
    "ES384": lambda: (signed(claims(NAME), P384, "ES384"), issuer(jwk(P384))),
    "EdDSA": lambda: (signed(claims(NAME), ED25519, "EdDSA"), issuer(jwk(ED25519))),
    "one of several keys": lambda: (signed(claims(NAME), kid="2"), issuer(jwk(P256), jwk(RSA, "2"))),
    "same id, other kinds": lambda: (signed(claims(NAME)), issuer(jwk(P256), jwk(RSA))),
    "no id, one key": lambda: (signed(claims(NAME), kid=None), issuer(jwk(P256), jwk(RSA, None))),
    "one of our audiences": lambda: (
        signed(claims(NAME, aud=["x", "b"])),
        issuer(audiences=("a", "b")),
    ),
    "within the leeway": lambda: (signed(claims(NAME, exp=int(time.time()) - 60)), issuer(leeway_s=300)),
    "valid since now": lambda: (signed(claims(NAME, nbf=int(time.time()), iat=int(time.time()))), issuer()),
    "another claim": lambda: (signed(claims(NAME, sub="x", name=SUBJECT)), issuer(caller_claim="name")),
    "its own key is not looked at": lambda: (signed(claims(NAME), jwk=jwk(OTHER_RSA)), issuer()),
}


@pytest.mark.parametrize("case", GOOD)
def test_good(case: str) -> None:
    """Whoever the issuer vouches for."""
    assert checked(*GOOD[case]()) is TEAM_A


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"x" * 256) -> str:
    """Return a token that no library would make."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hmac_with_the_public_key() -> str:
    """Return the classic: a public key taken for a shared secret."""
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    unsigned = forged({"alg": "HS256", "kid": "1"}, claims(NAME)).rpartition(".")[0]
    signature = algorithm.sign(unsigned.encode(), pem)
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def tampered() -> str:
    """Return a token whose claims were changed behind its signature."""
    header, _, signature = signed(claims(NAME, sub="system:serviceaccount:team-b:x")).split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(NAME)).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


NOW = int(time.time())
BAD: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: signed(claims(NAME, exp=NOW - 60)), "has expired"),
    "not valid yet": (lambda: signed(claims(NAME, nbf=NOW + 3_600)), "not valid yet"),
    "issued later": (lambda: signed(claims(NAME, iat=NOW + 3_600)), "issued in the future|not valid yet"),
    "other audience": (lambda: signed(claims(NAME, aud="https://other")), "not for this gateway"),
    "no audience": (lambda: signed(claims(NAME, aud=None)), "no `exp`, no `iss` or no `aud`"),
    "no end": (lambda: signed(claims(NAME, exp=None)), "no `exp`"),
    "end that is text": (lambda: signed(claims(NAME, exp="soon")), "malformed"),
    "end at infinity": (lambda: signed(claims(NAME, exp=float("inf"))), "malformed"),
    "no subject": (lambda: signed(claims(NAME, sub=None)), "no `sub`"),
    "empty subject": (lambda: signed(claims(NAME, sub="")), "no `sub`"),
    "other issuer": (lambda: signed(claims(OTHER)), "issuer that this gateway does not know"),
    "no issuer": (lambda: signed(claims(NAME, iss=None)), "issuer that this gateway does not know"),
    "issuer that is a list": (
        lambda: forged({"alg": "RS256"}, claims(NAME) | {"iss": [NAME]}),
        "issuer|malf",
    ),
    "issuer with a slash": (lambda: signed(claims(NAME + "/")), "issuer that this gateway does not know"),
    "unknown key": (lambda: signed(claims(NAME), kid="2"), "not among those known"),
    "no id, several keys": (lambda: signed(claims(NAME), kid=None), "not among those known"),
    "another's key": (lambda: signed(claims(NAME), OTHER_RSA), "signature is wrong"),
    "its own key": (lambda: signed(claims(NAME), OTHER_RSA, jwk=jwk(OTHER_RSA)), "signature is wrong"),
    "its own address of keys": (
        lambda: signed(claims(NAME), OTHER_RSA, jku="http://evil/", x5u="http://evil/"),
        "signature is wrong",
    ),
    "its own certificate": (lambda: signed(claims(NAME), OTHER_RSA, x5c=["x"]), "signature is wrong"),
    "changed": (tampered, "signature is wrong"),
    "HS256 with the public key": (hmac_with_the_public_key, "algorithm that is not accepted"),
    "none": (
        lambda: forged({"alg": "none", "kid": "1"}, claims(NAME), b""),
        "algorithm that is not accepted",
    ),
    "None": (
        lambda: forged({"alg": "None", "kid": "1"}, claims(NAME), b""),
        "algorithm that is not accepted",
    ),
    "no algorithm": (lambda: forged({"kid": "1"}, claims(NAME)), "algorithm that is not accepted"),
    "algorithm that is a list": (
        lambda: forged({"alg": ["RS256"], "kid": "1"}, claims(NAME)),
        "algorithm that is not accepted",
    ),
    "an algorithm of other keys": (lambda: forged({"alg": "ES256", "kid": "1"}, claims(NAME)), "not among"),
    "not allowed": (lambda: signed(claims(NAME), RSA, "RS384"), "algorithm that is not accepted"),
    "id that is a path": (lambda: signed(claims(NAME), kid="../../dev/null"), "not among those known"),
    "id that is SQL": (lambda: signed(claims(NAME), kid="1' OR '1'='1"), "not among those known"),
    "id that is a number": (lambda: forged({"alg": "RS256", "kid": 1}, claims(NAME)), "malformed"),
    "id that is a list": (lambda: forged({"alg": "RS256", "kid": ["1"]}, claims(NAME)), "malformed"),
    "empty id": (lambda: signed(claims(NAME), kid=""), "not among those known"),
    "critical": (
        lambda: forged({"alg": "RS256", "kid": "1", "crit": ["exp"]}, claims(NAME)),
        "malformed|exten",
    ),
    "critical b64": (
        lambda: forged({"alg": "RS256", "kid": "1", "crit": ["b64"], "b64": True}, claims(NAME)),
        "extensions",
    ),
    "detached": (lambda: forged({"alg": "RS256", "b64": False, "crit": ["b64"]}, {}), "malformed|extensions"),
    "header that is a list": (lambda: "W10.e30.eA", "malformed"),
    "claims that are a list": (lambda: signed(claims(NAME)).split(".")[0] + ".W10.eA", "malformed"),
    "header that is no JSON": (lambda: "e30x.e30.eA", "malformed"),
    "nested": (
        lambda: base64.urlsafe_b64encode(b"[" * 9_000).rstrip(b"=").decode() + ".e30.eA",
        "malformed",
    ),
    "nested claims": (
        lambda: (
            "eyJhbGciOiJSUzI1NiJ9." + base64.urlsafe_b64encode(b"[" * 9_000).rstrip(b"=").decode() + ".eA"
        ),
        "malformed",
    ),
    "nothing but dots": (lambda: "a.b.c", "malformed"),
}


DETAILS: Final = {
    "expired": "^expired token$",
    "other audience": "^token for another audience$",
    "other issuer": "unknown issuer https?://",
    "no issuer": r"unknown issuer \(none\)",
    "unknown key": f"unknown kid 2 of issuer {NAME}",
    "changed": "^token with a wrong signature$",
    "none": "by algorithm none",
    "nothing but dots": "^malformed token$",
    "no subject": "without a text in sub",
}
"""What the log has of some of them."""


@pytest.mark.parametrize("case", BAD)
async def test_bad(case: str) -> None:
    """One refusal each, which says why, and nothing of it opens anything."""
    make, words = BAD[case]
    keys = (jwk(RSA), jwk(P384, "3"), jwk(P384, "4")) if case != "no id, several keys" else ()
    several = (jwk(RSA), jwk(OTHER_RSA, "2"))
    with pytest.raises(Unauthenticated, match=words) as refused:
        checked(make(), issuer(*(keys or several)))
    assert refused.value.param == "Authorization"
    assert SUBJECT not in refused.value.message
    told = refused.value.detail or ""
    assert re.search("token", told)
    assert re.search(DETAILS.get(case, ""), told)
    assert "Error" not in told


async def test_a_key_that_may_be_known_soon() -> None:
    """The refusal says when to come again, and the keys are wanted before their time."""
    one = issuer()
    one.keys._due = 1e9
    with pytest.raises(Unauthenticated) as refused:
        checked(signed(claims(NAME), kid="2"), one)
    assert refused.value.retry_after == 1
    assert one.keys._due < 1e9


@pytest.mark.parametrize(
    ("subject", "groups", "caller"),
    [
        (SUBJECT, [], TEAM_A),
        ("system:serviceaccount:team-a:special", ["staff"], TEAM_B),
        ("Ann [x] Smith", [], TEAM_A),
        ("somebody", ["x", "staff"], STAFF),
        ("somebody", "staff", STAFF),
    ],
)
def test_whose_it_is(subject: str, groups: Any, caller: Caller) -> None:
    """The subject's own name, then a pattern, then a group."""
    token = signed(claims(NAME, sub=subject, groups=groups))
    assert checked(token, issuer(groups_claim="groups")) is caller


@pytest.mark.parametrize("groups", [None, [], ["x"], {"staff": 1}, 5, [["staff"]]])
def test_nobodys(groups: Any) -> None:
    """It proves who it is, and that is nobody: the refusal says what the operator has to write."""
    token = signed(claims(NAME, sub="somebody\x1b", groups=groups))
    with pytest.raises(Forbidden, match=r"`somebody\?`.*`subjects` of a caller") as refused:
        checked(token, issuer(groups_claim="groups"))
    assert ("(x)" in refused.value.message) is (groups == ["x"])
    assert refused.value.detail == "no caller is `somebody?`"


def test_long_names_are_cut() -> None:
    """A refusal has its bounds."""
    with pytest.raises(Forbidden) as refused:
        SUBJECTS.caller(["x" * 10_000], [str(number) * 1_000 for number in range(100)])
    assert len(refused.value.message) < 4_000


def test_two_issuers() -> None:
    """Each with its own keys, audience and names: none can speak for the other."""
    ours = issuer()
    theirs = issuer(jwk(OTHER_RSA), name=OTHER, audiences=("b",), subject_prefix="b:", groups_claim="groups")

    def of(token: str) -> Caller:
        return checked(token, ours, theirs)

    assert of(signed(claims(NAME))) is TEAM_A
    assert of(signed(claims(OTHER, aud="b", sub="boss"), OTHER_RSA)) is TEAM_A
    assert of(signed(claims(OTHER, aud="b"), OTHER_RSA)) is TEAM_B
    for lie in (
        claims(NAME),  # another's name
        claims(OTHER, aud=AUDIENCE),  # another's audience
    ):
        with pytest.raises(Unauthenticated):
            of(signed(lie, OTHER_RSA))
    assert checked(signed(claims(OTHER, aud="b", sub="x", groups=["staff"]), OTHER_RSA), theirs) is TEAM_B


async def test_what_was_verified_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it expires, its keys change, or too many others have come."""
    now = int(time.time())
    clock, one = [float(now)], issuer()
    monkeypatch.setattr(tokens, "REMEMBERED", 2)
    known = Tokens([one], SUBJECTS, lambda: clock[0])
    first, second, third = (signed(claims(NAME, exp=now + 600, jti=str(number))) for number in range(3))

    def verified(token: str) -> int:
        known.caller(token, "x")
        return known.verified

    assert [verified(token) for token in (first, first, second, first, second)] == [1, 1, 2, 2, 2]
    assert [verified(token) for token in (third, second, first)] == [3, 3, 4]
    one.keys.version += 1
    assert [verified(token) for token in (first, first)] == [5, 5]
    clock[0] += 601  # the library's own clock lets it pass
    assert verified(first) == 6
    one.keys.keys = ()
    one.keys.version += 1
    with pytest.raises(GatewayError):
        known.caller(first, "x")


def test_what_looks_like_a_token() -> None:
    """Three parts, of bounded size; keys of ours have two."""
    assert is_token(signed(claims(NAME)))
    assert is_token("a.b.")
    assert not is_token("bgw_000000000000.secret")
    assert not is_token("a.b.c.d")
    assert not is_token("é.b.c")
    assert not is_token("a." + "b" * MAX_TOKEN + ".c")


def test_callers_ask_for_tokens_last() -> None:
    """A key is a key even where it looks like a token; without issuers a token is an unknown key."""
    callers = Callers([])
    token = signed(claims(NAME))
    headers = CIMultiDict({"x-api-key": token})
    with pytest.raises(Unauthenticated, match="does not know the key"):
        callers.identify(headers)
    callers.tokens = Tokens([issuer()], SUBJECTS)
    assert callers.identify(headers) is TEAM_A
    assert callers.identify(CIMultiDict({"Authorization": f"Bearer {token}"})) is TEAM_A
    with pytest.raises(Unauthenticated, match="does not know the key"):
        callers.identify(CIMultiDict({"Authorization": f"Bearer {token}.x"}))
    assert len(callers.watched) == 1
