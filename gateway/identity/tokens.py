"""JSON Web Tokens (RFC 7519, as RFC 8725 advises): whose they are, if they are anybody's.

The algorithm is the issuer's and the key's, never the token's alone; keys come from the issuer's set, never
from the token (`jwk`, `jku`, `x5c` are not looked at). What was verified is remembered until it expires, by
the token's SHA-256: a signature costs 30 times what a request may.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt

from gateway.errors import Unauthenticated
from gateway.identity.subjects import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.admission.caller import Caller
    from gateway.identity.jwks import KeySet, VerifyingKey
    from gateway.identity.subjects import Subjects

REMEMBERED: Final = 10_000
"""Tokens that are not verified again, at most."""
_REQUIRED: Final = ("exp", "iss", "aud")
_MALFORMED: Final = "malformed token"
_FAULTS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired: get a new one.", "expired token"),
    (jwt.ImmatureSignatureError, "The token is not valid yet: is a clock wrong?", "token not valid yet"),
    (
        jwt.InvalidIssuedAtError,
        "The token says that it was issued in the future: is a clock wrong?",
        "token issued in the future",
    ),
    (
        jwt.InvalidAudienceError,
        "The token is not for this gateway: its `aud` is another.",
        "token for another audience",
    ),
    (
        jwt.MissingRequiredClaimError,
        "The token has no `exp`, no `iss` or no `aud`.",
        "token without exp, iss or aud",
    ),
    (jwt.InvalidSignatureError, "The token's signature is wrong.", "token with a wrong signature"),
    (Exception, "The token that was sent is malformed.", _MALFORMED),
)
_STRANGE: Final = "The token that was sent is of an issuer that this gateway does not know."
_KEYLESS: Final = "The key that the token names is not among those known of its issuer, who is asked again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who issues tokens, and how they are read."""

    name: str
    """What `iss` says, to the letter."""
    keys: KeySet
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    caller_claim: str = "sub"
    groups_claim: str | None = None
    subject_prefix: str = ""
    """Stands before subjects and groups, so that no issuer can name those of another one."""
    leeway_s: float = 0.0


class _Verified(NamedTuple):
    caller: Caller
    until: float
    keys: KeySet
    version: int


def _now() -> float:
    return datetime.now(UTC).timestamp()


class Tokens:
    """The tokens of some issuers. `verified` counts signatures that were checked."""

    def __init__(
        self, issuers: Iterable[Issuer], subjects: Subjects, now: Callable[[], float] = _now
    ) -> None:
        self.issuers = {issuer.name: issuer for issuer in issuers}
        self.verified = 0
        self._subjects = subjects
        self._now = now
        self._remembered: dict[bytes, _Verified] = {}

    @property
    def key_sets(self) -> tuple[KeySet, ...]:
        """The keys of the issuers."""
        return tuple(issuer.keys for issuer in self.issuers.values())

    def caller(self, token: str, param: str) -> Caller:
        """Return whose token this is; `param` is the header that it came in.

        Raises:
            Unauthenticated: it proves nothing; `retry_after` says when the key it names may be known.
            Forbidden: it proves who it is, which is no caller of ours.
        """
        digest = sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None and known.version == known.keys.version and self._now() < known.until:
            return known.caller
        self._remembered.pop(digest, None)
        try:
            issuer, claims, version = self._verify(token)
        except Unauthenticated as fault:
            fault.param = param
            raise
        caller = self._subjects.caller(*_names(issuer, claims, param))
        if len(self._remembered) >= REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        until = float(claims["exp"]) + issuer.leeway_s
        self._remembered[digest] = _Verified(caller, until, issuer.keys, version)
        return caller

    def _verify(self, token: str) -> tuple[Issuer, dict[str, Any], int]:
        header, said = _unverified(token)
        issuer = self.issuers.get(said) if isinstance(said, str) else None
        if issuer is None:
            raise Unauthenticated(_STRANGE, detail=f"token of unknown issuer {_told(said)}")
        key, algorithm = _key(issuer, header)
        version = issuer.keys.version
        self.verified += 1
        return issuer, self._claims(token, issuer, key, algorithm), version

    def _claims(self, token: str, issuer: Issuer, key: VerifyingKey, algorithm: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=issuer.audiences,
                issuer=issuer.name,
                leeway=issuer.leeway_s,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError) as error:
            raise _fault(error) from None
        return claims


def _fault(error: Exception) -> Unauthenticated:
    words, detail = next((words, detail) for kind, words, detail in _FAULTS if isinstance(error, kind))
    return Unauthenticated(words, detail=detail)


def _unverified(token: str) -> tuple[dict[str, Any], Any]:
    """Return the header, and who issued the token, by itself: what decides which keys are asked."""
    try:
        parts = jwt.api_jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _fault(error) from None
    header = parts["header"]
    if "crit" in header or "b64" in header:
        words = "The token has extensions (`crit`, `b64`) that this gateway does not know."
        raise Unauthenticated(words, detail="token with unknown extensions")
    return header, parts["payload"].get("iss")


def _told(value: object) -> str:
    return shortened(value) if isinstance(value, str) else "(none)"


def _key(issuer: Issuer, header: dict[str, Any]) -> tuple[VerifyingKey, str]:
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in issuer.algorithms:
        detail = f"token by algorithm {_told(algorithm)}, which issuer {issuer.name} does not have"
        raise Unauthenticated("The token is signed by an algorithm that is not accepted here.", detail=detail)
    key = issuer.keys.find(kid, algorithm)
    if key is None:
        detail = f"token by unknown kid {_told(kid)} of issuer {issuer.name}"
        raise Unauthenticated(_KEYLESS, retry_after=math.ceil(issuer.keys.want()) + 1, detail=detail)
    return key, algorithm


def _names(issuer: Issuer, claims: dict[str, Any], param: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the subject that the claims prove, and its groups."""
    subject = claims.get(issuer.caller_claim)
    if not isinstance(subject, str) or not subject:
        words = f"The token has no `{issuer.caller_claim}`, or one that is no text."
        raise Unauthenticated(words, param=param, detail=f"token without a text in {issuer.caller_claim}")
    groups = [] if issuer.groups_claim is None else claims.get(issuer.groups_claim, [])
    if isinstance(groups, str):
        groups = [groups]
    listed = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
    prefix = issuer.subject_prefix
    return [prefix + subject], [prefix + group for group in listed]
