"""The keys of an issuer: fetched from a real one, which may be away, wrong, huge, or rotate them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.identity import jwks
from gateway.identity.jwks import KeySet, KeySetError, Source, read
from tests.harness import lines
from tests.identity.issuer import ED25519, OTHER_RSA, P256, P384, RSA, issuing, jwk

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

    from tests.identity.issuer import LocalIssuer

SMALL = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - it is to be refused


@pytest.fixture(name="issuer")
async def _issuer() -> AsyncIterator[LocalIssuer]:
    """An issuer with one key."""
    async with issuing() as issuer:
        yield issuer


def key_set(issuer: LocalIssuer, **changes: Any) -> KeySet:
    """Return its keys, which have not been fetched."""
    return KeySet(Source(issuer=issuer.url, **changes))


def again(keys: KeySet) -> None:
    """Let the time come to fetch them again."""
    keys._due = 0.0


def kids(keys: KeySet) -> list[str | None]:
    """Return the ids of the keys."""
    return [key.kid for key in keys.keys]


async def test_discovered(issuer: LocalIssuer, log: io.StringIO) -> None:
    """By the issuer's own document, once in a while."""
    keys = key_set(issuer)
    for _ in range(3):
        await keys.look()
    assert [path for path, _ in issuer.asked] == ["/.well-known/openid-configuration", "/keys"]
    assert kids(keys) == ["1"]
    again(keys)
    await keys.look()
    assert len(issuer.asked) == 4
    assert keys.version == 1, "nothing has changed"
    [line] = lines(log, "issuer_keys")
    assert "problems" not in line, "there are none"


async def test_named(issuer: LocalIssuer, tmp_path: Path) -> None:
    """By the settings, with a token that is read anew each time, as the Kubernetes API wants it."""
    token = tmp_path / "token"
    token.write_text("CANARY-one\n")
    keys = key_set(issuer, jwks_url=f"{issuer.url}/openid/v1/jwks", token_file=token)
    await keys.look()
    token.write_text("CANARY-two")
    again(keys)
    await keys.look()
    path = "/openid/v1/jwks"
    assert issuer.asked == [(path, "Bearer CANARY-one"), (path, "Bearer CANARY-two")]


async def test_a_token_stays_with_whom_it_is_for(issuer: LocalIssuer, tmp_path: Path) -> None:
    """A discovery document may point to another host, which then gets no token."""
    token = tmp_path / "token"
    token.write_text("CANARY")
    async with issuing() as other:
        issuer.discovery = {"jwks_uri": f"{other.url}/keys"}
        await key_set(issuer, token_file=token).look()
        assert other.asked == [("/keys", None)]
    assert issuer.asked == [("/.well-known/openid-configuration", "Bearer CANARY")]


async def test_rotation(issuer: LocalIssuer) -> None:
    """New keys are there, old ones are gone."""
    keys = key_set(issuer)
    await keys.look()
    issuer.keys = [jwk(OTHER_RSA, "2"), jwk(P256, "3")]
    again(keys)
    await keys.look()
    assert kids(keys) == ["2", "3"]
    assert keys.version == 2


async def test_an_unknown_key_makes_them_wanted(issuer: LocalIssuer) -> None:
    """At once where they have not been fetched lately, else when they may be; not more often than that."""
    keys = key_set(issuer)
    assert keys.want() <= 0
    await keys.look()
    waits = [keys.want() for _ in range(100)]
    assert all(0 < wait <= jwks.AGAIN_S for wait in waits)
    await keys.look()
    assert len(issuer.asked) == 2
    assert keys._fetched is not None
    keys._fetched -= jwks.AGAIN_S
    assert keys.want() <= 0
    await keys.look()
    assert len(issuer.asked) == 4


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "redirects": ({"status": 302}, "answers 302"),
    "fails": ({"status": 500}, "answers 500"),
    "is of another": ({"discovery": {"issuer": "https://other.example"}}, "of another issuer"),
    "has no address": ({"discovery": {"jwks_uri": None}}, "not https"),
    "has a file": ({"discovery": {"jwks_uri": "file:///etc/passwd"}}, "not https"),
    "has no URL": ({"discovery": {"jwks_uri": "http://[::1"}}, "no `issuer` or no `jwks_uri`"),
    "is huge": ({"raw": b" " * (jwks.MAX_BYTES + 1)}, "more than 524288 bytes"),
    "is no JSON": ({"raw": b"<html>"}, "not a JSON object"),
    "has no keys": ({"keys": []}, "it is empty"),
    "has shared secrets": ({"keys": [{"kty": "oct", "kid": "1", "k": "AAAA"}]}, "neither RSA nor EC"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_the_last_good_ones_stay(case: str, issuer: LocalIssuer, log: io.StringIO) -> None:
    """Whatever the issuer does; it is told once, and once more when it goes well again."""
    keys = key_set(issuer)
    await keys.look()
    good = dict(vars(issuer))
    changes, words = BROKEN[case]
    vars(issuer).update(changes)
    for _ in range(2):
        again(keys)
        await keys.look()
    assert kids(keys) == ["1"]
    [line] = lines(log, "issuer_keys_failed")
    assert words in line["reason"]
    assert line["keys"] == 1
    asked = issuer.asked
    vars(issuer).update(good, asked=asked)
    again(keys)
    await keys.look()
    assert kids(keys) == ["1"]
    assert keys.version == 1
    assert len(lines(log, "issuer_keys")) == 2


async def test_nobody_is_there(
    issuer: LocalIssuer, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed port, a file that is not there, an issuer that does not answer in time."""
    for source in (
        Source(issuer="http://127.0.0.1:1"),
        Source(issuer=issuer.url, token_file=Path("none")),
        Source(issuer=issuer.url, ca_file=Path("none")),
    ):
        await KeySet(source).look()
    monkeypatch.setattr(jwks, "TIMEOUT_S", 0.0)
    await KeySet(Source(issuer=issuer.url)).look()
    reasons = [line["reason"] for line in lines(log, "issuer_keys_failed")]
    assert "Cannot connect" in reasons[0]
    assert all("a file of the issuer's settings" in reason for reason in reasons[1:3])
    assert reasons[3] == "no answer within 0 s"


async def test_a_file_as_authority(issuer: LocalIssuer, tmp_path: Path, log: io.StringIO) -> None:
    """One that holds no certificate is told of like an issuer that is away."""
    (tmp_path / "ca.pem").write_text("nothing")
    await key_set(issuer, ca_file=tmp_path / "ca.pem").look()
    assert "a file of the issuer's settings" in lines(log, "issuer_keys_failed")[0]["reason"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("x", "not an object"),
        (jwk(RSA, None) | {"kid": 1}, "`kid` is not a string"),
        (jwk(RSA, use="enc"), "not for signatures"),
        (jwk(RSA, key_ops=["encrypt"]), "not for signatures"),
        (jwk(RSA, key_ops="verify"), "not for signatures"),
        (jwk(RSA, alg="ES256"), "`alg` does not fit"),
        (jwk(RSA, alg="HS256"), "`alg` does not fit"),
        (jwk(RSA, alg="none"), "`alg` does not fit"),
        (jwk(RSA, alg=["RS256"]), "`alg` does not fit"),
        (jwk(P256, crv="secp256k1"), "neither RSA nor EC"),
        (jwk(P256, crv=["P-256"]), "neither RSA nor EC"),
        (jwk(ED25519, crv="X25519"), "neither RSA nor EC"),
        ({"kty": "oct", "k": "AAAA"}, "neither RSA nor EC"),
        ({}, "neither RSA nor EC"),
        (jwk(SMALL), "RSA with less than 2048 bits"),
        ({"kty": "RSA", "kid": "1"}, "is malformed"),
        (jwk(RSA, n="!"), "is malformed"),
        (jwk(P256, x="AAAA"), "is malformed"),
    ],
)
def test_keys_that_cannot_be_used(entry: Any, words: str) -> None:
    """They are left out, and told of; those beside them are not the worse for it."""
    keys, refused = read(json.dumps({"keys": [entry, jwk(P384, "good")]}).encode())
    assert [key.kid for key in keys] == ["good"]
    assert len(refused) == 1
    assert refused[0].startswith("keys[0]: ")
    assert words in refused[0]


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys":{}}', json.dumps({"keys": [{}] * 101}).encode()]
)
def test_no_set_of_keys(document: bytes) -> None:
    """Neither is a list beyond all measure."""
    with pytest.raises(KeySetError, match="at most 100"):
        read(document)


def test_which_algorithms_a_key_is_for() -> None:
    """Its own, where it says so, else all of its kind."""
    entries = [
        jwk(RSA),
        jwk(RSA, alg="PS256"),
        jwk(P256),
        jwk(P384),
        jwk(ED25519),
        jwk(RSA, key_ops=["verify"]),
    ]
    keys, refused = read(json.dumps({"keys": entries}).encode())
    assert not refused
    rsa_all = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    assert [key.algorithms for key in keys] == [
        rsa_all, ("PS256",), ("ES256",), ("ES384",), ("EdDSA",), rsa_all,
    ]  # fmt: skip
