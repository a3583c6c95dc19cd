"""API keys: how they are made, what is kept of them, and how one is found again.

A key is `bgw_<id>.<secret>`: the id is no secret, and finds the record; the secret has 256 random bits, so
that its plain SHA-256 is enough to keep. Whatever is presented costs one hash and one comparison in constant
time, known or not: time tells nothing of how near it was.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from gateway.admission.caller import Caller

PREFIX: Final = "bgw_"
"""What every key of ours begins with, so that scanners for leaked secrets can know them."""
ID: Final = re.compile(r"[0-9a-f]{12}")
_OURS: Final = re.compile(rb"bgw_([0-9a-f]{12})\.")
SECRET_BYTES: Final = 32
_LOOKED_UP: Final = 16
"""Bytes of a digest by which a key without an id is found; the rest is compared in constant time."""
UNKNOWN: Final = "This gateway does not know the key that was sent."
_EXPIRED: Final = "The key that was sent has expired: ask for a new one."
_REVOKED: Final = "The key that was sent has been revoked: ask for a new one."


class StoredKey(NamedTuple):
    """What the keys file holds of one key; times in UTC."""

    id: str
    caller: str
    digest: bytes
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> str:
        """Return `active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


class NewKey(NamedTuple):
    """A key that nobody has yet; `key` is shown once."""

    key: str
    stored: StoredKey


def new_key(caller: str, *, now: datetime, expires: datetime | None = None) -> NewKey:
    """Make a key for this caller."""
    identifier = secrets.token_hex(6)
    key = f"{PREFIX}{identifier}.{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(key, StoredKey(identifier, caller, sha256(key.encode()).digest(), now, expires))


@dataclass(frozen=True, slots=True)
class _Known:
    digest: bytes
    caller: Caller | None = None
    stored: StoredKey | None = None


_NOBODY: Final = _Known(bytes(sha256().digest_size))
"""What an unknown key is compared with."""


def _now() -> datetime:
    return datetime.now(UTC)


class Keyring:
    """The keys that are known: by their digests from the settings, and those of the keys file.

    `revoked` are ids that are revoked elsewhere; whoever keeps them may change them at any time.
    """

    def __init__(
        self,
        callers: Mapping[str, Caller],
        digests: Iterable[tuple[bytes, Caller]],
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._callers = callers
        self._by_digest = {digest[:_LOOKED_UP]: _Known(digest, caller) for digest, caller in digests}
        self._by_id: Mapping[bytes, _Known] = {}
        self._now = now
        self.revoked: Collection[str] = frozenset()

    def put(self, stored: Iterable[StoredKey]) -> list[str]:
        """Take these keys in place of those of before; return the names in them that are no caller's."""
        keys = list(stored)
        self._by_id = {
            key.id.encode(): _Known(key.digest, self._callers[key.caller], key)
            for key in keys
            if key.caller in self._callers
        }
        return sorted({key.caller for key in keys} - self._callers.keys())

    def find(self, key: bytes, param: str) -> Caller | None:
        """Return whose key this is, None where it is nobody's; `param` is the header that it came in.

        Raises:
            Unauthenticated: it was somebody's, and has expired or been revoked.
        """
        digest = sha256(key).digest()
        ours = _OURS.match(key)
        by_digest = self._by_digest.get(digest[:_LOOKED_UP], _NOBODY)
        known = by_digest if ours is None else self._by_id.get(ours[1], by_digest)
        if not compare_digest(known.digest, digest):
            return None
        stored = known.stored
        if stored is not None:
            if stored.revoked is not None or stored.id in self.revoked:
                raise Unauthenticated(_REVOKED, param=param, detail=f"revoked key {stored.id}")
            if stored.expires is not None and stored.expires <= self._now():
                raise Unauthenticated(_EXPIRED, param=param, detail=f"expired key {stored.id}")
        return known.caller
