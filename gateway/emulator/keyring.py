"""Temporary keys: issued by the emulated STS and metadata endpoints, enforced by the emulated Bedrock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """One set of temporary credentials; `principal` is the ARN that they speak for, `expires` is in UTC."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: datetime
    principal: str


class KeyRing:
    """The temporary keys that were issued, by access key id; expired ones are remembered as such.

    With `lifetime_s` every key lives so long, whatever was asked for. Expiry has whole seconds, as AWS's has,
    rounded up.
    """

    def __init__(
        self, *, lifetime_s: float | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.lifetime_s = lifetime_s
        self.now = now
        self._keys: dict[str, IssuedKey] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def issue(self, principal: str, seconds: float) -> IssuedKey:
        """Return a new key for `principal`."""
        life = seconds if self.lifetime_s is None else self.lifetime_s
        expires = datetime.fromtimestamp(math.ceil(self.now().timestamp() + life), UTC)
        name = uuid4().hex
        key = IssuedKey(f"ASIA{name[:16].upper()}", f"secret-{name}", f"token-{name}", expires, principal)
        if len(self._keys) == _KEPT:
            del self._keys[next(iter(self._keys))]
        self._keys[key.access_key_id] = key
        return key

    def find(self, access_key_id: str) -> IssuedKey | None:
        """Return the key of this id, expired or not."""
        return self._keys.get(access_key_id)

    def expired(self, key: IssuedKey) -> bool:
        """Say whether the key's time is over."""
        return self.now() >= key.expires

    def revoke(self) -> None:
        """Let every key expire now."""
        for name, key in self._keys.items():
            self._keys[name] = IssuedKey(
                key.access_key_id, key.secret_access_key, key.session_token, self.now(), key.principal
            )


def stamp(moment: datetime) -> str:
    """Return a moment as AWS writes an expiration."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
