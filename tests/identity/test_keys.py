"""API keys: their form, how one is found, and that looking for one costs the same whoever asks."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.admission.caller import Caller
from gateway.errors import Unauthenticated
from gateway.identity import keys
from gateway.identity.keys import Keyring, new_key

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
A, B = Caller("a"), Caller("b")
MADE = new_key("a", now=NOW)
EXPIRED = new_key("a", now=NOW, expires=NOW)
LASTING = new_key("b", now=NOW, expires=NOW + timedelta(seconds=1))
REVOKED = new_key("a", now=NOW)
ELSEWHERE = new_key("b", now=NOW)
STORED = [MADE.stored, EXPIRED.stored, LASTING.stored, REVOKED.stored._replace(revoked=NOW)]


@pytest.fixture(name="ring")
def _ring() -> Keyring:
    own = [(hashlib.sha256(key).digest(), B) for key in (b"of its own", ELSEWHERE.key.encode())]
    ring = Keyring({"a": A, "b": B}, own, lambda: NOW)
    assert ring.put(STORED) == []
    return ring


def test_form() -> None:
    """An id and 256 random bits; what is stored is the digest of all of it."""
    prefix, secret = MADE.key.split(".")
    assert prefix == f"bgw_{MADE.stored.id}"
    assert keys.ID.fullmatch(MADE.stored.id)
    assert len(secret) == 43
    assert MADE.stored.digest == hashlib.sha256(MADE.key.encode()).digest()
    assert len({new_key("a", now=NOW).key for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("key", "caller"),
    [(MADE.key, A), (LASTING.key, B), ("of its own", B), (ELSEWHERE.key, B)],
    ids=["stored", "stored, with an end", "of the settings", "ours, in the settings"],
)
def test_found(ring: Keyring, key: str, caller: Caller) -> None:
    """By its id or by its digest."""
    assert ring.find(key.encode(), "x") is caller


UNKNOWN = {
    "empty": "",
    "another secret": f"{MADE.key[:-1]}{'a' if MADE.key[-1] != 'a' else 'b'}",
    "id alone": MADE.key.partition(".")[0],
    "no secret": MADE.key.partition(".")[0] + ".",
    "more": MADE.key + "=",
    "unknown id": "bgw_000000000000." + MADE.key.partition(".")[2],
    "secret of another": MADE.key.partition(".")[0] + "." + LASTING.key.partition(".")[2],
    "digest": MADE.stored.digest.hex(),
    "upper case": MADE.key.upper(),
    "blanks": f" {MADE.key}",
    "id of other digits": "bgw_" + "é" * 12 + ".x",
    "long": "x" * 100_000,
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_not_found(ring: Keyring, case: str) -> None:
    """Only the whole key is the key."""
    assert ring.find(UNKNOWN[case].encode(), "x") is None


def test_nothing_is_nobody() -> None:
    """Without any key nothing is one, not even what unknown keys are compared with."""
    assert Keyring({}, []).find(bytes(32), "x") is None


@pytest.mark.parametrize(
    ("key", "words"),
    [(EXPIRED.key, "has expired"), (REVOKED.key, "has been revoked")],
    ids=["expired", "revoked"],
)
def test_no_longer(ring: Keyring, key: str, words: str) -> None:
    """Whoever has the key is told why it opens nothing."""
    with pytest.raises(Unauthenticated, match=words) as refused:
        ring.find(key.encode(), "x-api-key")
    assert refused.value.param == "x-api-key"
    identifier = key.removeprefix("bgw_").partition(".")[0]
    assert refused.value.detail == f"{words.rsplit(maxsplit=1)[-1]} key {identifier}"
    assert ring.find((key + "x").encode(), "x") is None


def test_revoked_elsewhere(ring: Keyring) -> None:
    """Ids that other replicas know to be revoked; keys of the settings have no id of theirs."""
    ring.revoked = {MADE.stored.id, ELSEWHERE.stored.id}
    with pytest.raises(Unauthenticated, match="revoked"):
        ring.find(MADE.key.encode(), "x")
    assert ring.find(ELSEWHERE.key.encode(), "x") is B


def test_others_take_their_place(ring: Keyring) -> None:
    """Keys that are gone open nothing, those of nobody are told of; the settings' own stay."""
    strange = new_key("stranger", now=NOW)
    assert ring.put([LASTING.stored, strange.stored]) == ["stranger"]
    assert ring.find(MADE.key.encode(), "x") is None
    assert ring.find(strange.key.encode(), "x") is None
    assert ring.find(LASTING.key.encode(), "x") is B
    assert ring.find(b"of its own", "x") is B


SENT = {"made": MADE.key, "revoked": REVOKED.key, "of its own": "of its own", **UNKNOWN}


@pytest.mark.parametrize("case", SENT)
def test_the_work_is_the_same(ring: Keyring, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash of what was sent and one comparison of two digests, found or not (no clock need tell)."""
    done: list[Any] = []
    key = SENT[case]

    def hashed(data: bytes) -> Any:
        done.append(("hash", len(data)))
        return hashlib.sha256(data)

    def compared(one: bytes, other: bytes) -> bool:
        done.append(("compare", type(one), len(one), type(other), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys, "sha256", hashed)
    monkeypatch.setattr(keys, "compare_digest", compared)
    try:
        ring.find(key.encode(), "x")
    except Unauthenticated:
        assert case == "revoked"
    assert done == [("hash", len(key.encode())), ("compare", bytes, 32, bytes, 32)]


@pytest.mark.parametrize(
    ("stored", "state"), [(STORED[0], "active"), (STORED[1], "expired"), (STORED[3], "revoked")]
)
def test_state(stored: keys.StoredKey, state: str) -> None:
    """As the list shows it."""
    assert stored.state(NOW) == state


def test_the_clock_is_the_days() -> None:
    """Without another clock, expiry is judged by today's date."""
    expired = new_key("a", now=NOW, expires=datetime(2020, 1, 1, tzinfo=UTC))
    ring = Keyring({"a": A}, [])
    ring.put([expired.stored])
    with pytest.raises(Unauthenticated, match="expired"):
        ring.find(expired.key.encode(), "x")
