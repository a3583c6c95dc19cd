"""Who is calling, by the headers that every client sends, or by the certificate of its connection.

A key proves who calls, and so does an issuer's token. Of a signature only the access key id is read: it
*names* a caller, and proves nothing: a gateway that does not have the secret cannot check a signature.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from gateway.errors import Unauthenticated
from gateway.identity.certificates import subjects
from gateway.identity.keys import UNKNOWN, Keyring
from gateway.identity.subjects import Member, Subjects, is_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gateway.admission.caller import Caller
    from gateway.identity.certificates import Kind, PeerCertificate
    from gateway.identity.key_file import KeyFile
    from gateway.identity.revocations import Revocations
    from gateway.identity.tokens import Tokens
    from gateway.identity.watching import Watched

AUTHORIZATION: Final = "Authorization"
API_KEY: Final = "x-api-key"
_SIGV4: Final = "AWS4-HMAC-SHA256"
_CREDENTIAL: Final = "Credential="
_MISSING: Final = (
    "This gateway serves known callers only: send a key or a token (`Authorization: Bearer …` or "
    "`x-api-key`)."
)
_UNPROVEN: Final = (
    "This gateway cannot check AWS signatures, and takes none for proof: send a key as a Bearer token "
    "(AWS SDKs do so with AWS_BEARER_TOKEN_BEDROCK)."
)


def _now() -> float:
    return datetime.now(UTC).timestamp()


class Headers(Protocol):
    """The headers of a request, by names in any case."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Return every value of a header, `default` where it did not come."""

    def __contains__(self, key: object, /) -> bool: ...


class Known(NamedTuple):
    """A caller, and what it is known by: SHA-256 digests of its keys, access key ids, what tokens prove."""

    caller: Caller
    digests: tuple[bytes, ...] = ()
    access_key_ids: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Callers:
    """Those who may ask. Without `trust_access_key_ids` a signature names nobody."""

    def __init__(
        self,
        known: Iterable[Known],
        *,
        trust_access_key_ids: bool = True,
        now: Callable[[], float] = _now,
    ) -> None:
        callers = tuple(known)
        self.keyring = Keyring(
            {known.caller.name: known.caller for known in callers},
            ((digest, known.caller) for known in callers for digest in known.digests),
        )
        self.subjects = Subjects(Member(known.caller, known.subjects, known.groups) for known in callers)
        self.key_file: KeyFile | None = None
        self.tokens: Tokens | None = None
        self.revocations: Revocations | None = None
        self.certificate_names: tuple[Kind, ...] = ()
        self._now = now
        self._trusting = trust_access_key_ids
        self._by_access_key: Mapping[str, Caller] = {
            identifier: known.caller for known in callers for identifier in known.access_key_ids
        }

    def identify(self, headers: Headers, peer: PeerCertificate | None = None) -> Caller:
        """Return who calls; `peer` is the certificate of its connection.

        A certificate that is a caller's decides. Else the headers do: that of a proxy is nobody's, and it
        passes on the keys of many. `Authorization` is read first, `x-api-key` where that one does not come.

        Raises:
            Unauthenticated: it is none of ours, or says nothing of itself.
            Forbidden: it has proven who it is, which is no caller of ours.
        """
        names = [] if peer is None else subjects(peer, self.certificate_names, self._now)
        caller = self.subjects.find(names)
        if caller is not None:
            return caller
        if names and AUTHORIZATION not in headers and API_KEY not in headers:
            return self.subjects.caller(names)
        return self._of_headers(headers)

    def _of_headers(self, headers: Headers) -> Caller:
        authorization = _single(headers, AUTHORIZATION)
        if authorization is None:
            key = _single(headers, API_KEY)
            if key is None:
                raise Unauthenticated(_MISSING, param=AUTHORIZATION, detail="no key")
            return self._of_key(key, API_KEY)
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._of_key(rest, AUTHORIZATION)
        if scheme == _SIGV4:
            return self._of_signature(rest)
        raise Unauthenticated(_MISSING, param=AUTHORIZATION, detail="no key: a scheme other than Bearer")

    @property
    def watched(self) -> tuple[Watched, ...]:
        """What may change outside of the settings."""
        issuers = () if self.tokens is None else self.tokens.key_sets
        return tuple(one for one in (self.key_file, self.revocations, *issuers) if one is not None)

    def _of_key(self, text: str, param: str) -> Caller:
        text = text.strip()
        caller = self.keyring.find(text.encode("utf-8", "surrogateescape"), param)
        if caller is None:
            if self.tokens is not None and is_token(text):
                return self.tokens.caller(text, param)
            raise Unauthenticated(UNKNOWN, param=param, detail="unknown key")
        return caller

    def _of_signature(self, fields: str) -> Caller:
        if not self._trusting:
            raise Unauthenticated(_UNPROVEN, param=AUTHORIZATION, detail="AWS signature, taken for no proof")
        caller = self._by_access_key.get(_access_key_id(fields))
        if caller is None:
            raise Unauthenticated(UNKNOWN, param=AUTHORIZATION, detail="unknown access key id")
        return caller


def _single(headers: Headers, name: str) -> str | None:
    values = headers.getall(name, ())
    if len(values) > 1:
        raise Unauthenticated(f"Send {name} once: which of them is meant?", param=name, detail="several keys")
    return values[0] if values else None


def _access_key_id(fields: str) -> str:
    """Return whose signature this is: `Credential=<id>/<date>/…` among fields with commas between."""
    for field in fields.split(","):
        name, _, credential = field.strip().partition(_CREDENTIAL)
        if not name and "/" in credential:
            return credential.partition("/")[0]
    return ""
