"""Who is calling, by the headers that every client sends: a key, or AWS's signature.

A key proves who calls: only its hash is kept. Of a signature only the access key id is read: it *names* a
caller, and proves nothing, because a gateway that does not have the secret cannot check a signature.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.admission.caller import Caller

AUTHORIZATION: Final = "Authorization"
API_KEY: Final = "x-api-key"
_SIGV4: Final = "AWS4-HMAC-SHA256"
_CREDENTIAL: Final = "Credential="
_MISSING: Final = (
    "This gateway serves known callers only: send a key (`Authorization: Bearer …` or `x-api-key`)."
)
_UNKNOWN: Final = "This gateway does not know the key that was sent."


class Known(NamedTuple):
    """A caller, and what it is known by: SHA-256 digests of its keys, and access key ids."""

    caller: Caller
    digests: tuple[bytes, ...]
    access_key_ids: tuple[str, ...]


class Callers:
    """Those who may ask."""

    def __init__(self, known: Iterable[Known]) -> None:
        callers = tuple(known)
        self._by_digest = tuple((digest, known.caller) for known in callers for digest in known.digests)
        self._by_access_key: Mapping[str, Caller] = {
            identifier: known.caller for known in callers for identifier in known.access_key_ids
        }

    def identify(self, header: Callable[[str], str | None]) -> Caller:
        """Return who calls; `header` gives the value of a header, None where it did not come.

        `Authorization` is read first; `x-api-key` counts where that one does not come.

        Raises:
            Unauthenticated: it is none of ours, or says nothing of itself.
        """
        authorization = header(AUTHORIZATION)
        if authorization is None:
            key = header(API_KEY)
            if key is None:
                raise Unauthenticated(_MISSING, param=AUTHORIZATION)
            return self._of_key(key, API_KEY)
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._of_key(rest, AUTHORIZATION)
        caller = self._by_access_key.get(_access_key_id(rest)) if scheme == _SIGV4 else None
        if caller is None:
            raise Unauthenticated(_UNKNOWN, param=AUTHORIZATION)
        return caller

    def _of_key(self, key: str, param: str) -> Caller:
        """Every key is compared with each digest, so that time tells nothing of how near it was."""
        digest = sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found: Caller | None = None
        for known, caller in self._by_digest:
            if compare_digest(known, digest):
                found = caller
        if found is None:
            raise Unauthenticated(_UNKNOWN, param=param)
        return found


def _access_key_id(fields: str) -> str:
    """Return whose signature this is: `Credential=<id>/<date>/…` among fields with commas between."""
    for field in fields.split(","):
        name, _, credential = field.strip().partition(_CREDENTIAL)
        if not name and "/" in credential:
            return credential.partition("/")[0]
    return ""
