"""Who asks: SigV4 by computing the signature again, API keys by comparing them."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from gateway.emulator.errors import BedrockError
from gateway.wire import sigv4

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.emulator.keyring import KeyRing
    from gateway.emulator.settings import EmulatorSettings

_MAX_SKEW: Final = timedelta(minutes=5)
_BEARER: Final = "Bearer "
_DATE: Final = re.compile(r"\d{8}T\d{6}Z")
_REQUIRED_HEADERS: Final = frozenset({"host", "x-amz-date"})


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers. `headers` has lower-case names."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes


class Clock(Protocol):
    """Tells the time, with its zone."""

    def __call__(self) -> datetime:
        """Return now."""


def utc_now() -> datetime:
    """Return now in UTC."""
    return datetime.now(UTC)


def authenticate(
    request: SignedRequest,
    settings: EmulatorSettings,
    now: Clock = utc_now,
    *,
    keys: KeyRing | None = None,
    service: str = "bedrock",
) -> str:
    """Return the access key id of the caller: the one that the settings know, or one of `keys`.

    Empty for an API key, and for everybody where signatures are not verified.

    Raises:
        BedrockError: as AWS refuses, which is before it looks at the body.
    """
    if not settings.verify_signatures:
        return ""
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise BedrockError("MissingAuthenticationTokenException")
    if authorization.startswith(_BEARER):
        _check_api_key(authorization.removeprefix(_BEARER), settings)
        return ""
    return _check_signature(authorization, request, settings, now(), keys, service)


def _check_api_key(token: str, settings: EmulatorSettings) -> None:
    if settings.bearer_token is None or not _same(token, settings.bearer_token):
        raise BedrockError(
            "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."
        )


def _check_signature(  # noqa: PLR0917 - what a caller says, then what is known of callers
    value: str,
    request: SignedRequest,
    settings: EmulatorSettings,
    now: datetime,
    keys: KeyRing | None,
    service: str,
) -> str:
    try:
        claim = sigv4.parse_authorization(value)
    except ValueError as exc:
        raise BedrockError("IncompleteSignatureException", str(exc)) from exc
    _check_scope(claim, request, settings, service)
    _check_date(claim.date, request.headers["x-amz-date"], now)
    secret = _secret_of(claim.access_key_id, request, settings, keys)
    expected = sigv4.signature_of(
        secret,
        method=request.method,
        raw_path=request.raw_path,
        raw_query=request.raw_query,
        headers=request.headers,
        signed_headers=claim.signed_headers,
        payload_hash=sha256(request.body).hexdigest(),
        amz_date=request.headers["x-amz-date"],
        region=claim.region,
        service=claim.service,
    )
    if not _same(expected, claim.signature):
        raise BedrockError("InvalidSignatureException")
    return claim.access_key_id


def _secret_of(
    access_key_id: str, request: SignedRequest, settings: EmulatorSettings, keys: KeyRing | None
) -> str:
    """Return the secret of a key that is known, carries its own token and has not expired."""
    token = request.headers.get("x-amz-security-token", "")
    if access_key_id == settings.access_key_id and _same(token, settings.session_token or ""):
        return settings.secret_access_key
    issued = None if keys is None else keys.find(access_key_id)
    if keys is None or issued is None or not _same(token, issued.session_token):
        raise BedrockError("UnrecognizedClientException")
    if keys.expired(issued):
        raise BedrockError("ExpiredTokenException")
    return issued.secret_access_key


def _check_scope(
    claim: sigv4.Authorization, request: SignedRequest, settings: EmulatorSettings, service: str
) -> None:
    required = _REQUIRED_HEADERS
    if "x-amz-security-token" in request.headers:
        required = required | {"x-amz-security-token"}
    unsigned = required.difference(claim.signed_headers)
    absent = required.union(claim.signed_headers).difference(request.headers)
    if unsigned or absent:
        named = ", ".join(sorted(unsigned | absent))
        raise BedrockError("InvalidSignatureException", f"Headers must be sent and signed: {named}.")
    if claim.service != service:
        raise BedrockError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. "
        )
    if claim.region != settings.region:
        raise BedrockError("InvalidSignatureException", "Credential should be scoped to a valid region. ")


def _check_date(scope_date: str, amz_date: str, now: datetime) -> None:
    signed_at = _read_date(amz_date)
    if not amz_date.startswith(scope_date):
        raise BedrockError(
            "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from X-Amz-Date."
        )
    if abs(signed_at - now) > _MAX_SKEW:
        stated = f"{now:%Y%m%dT%H%M%SZ}"
        raise BedrockError(
            "InvalidSignatureException",
            f"Signature expired: {amz_date} is now earlier than {stated} - 5 min."
            if signed_at < now
            else f"Signature not yet current: {amz_date} is still later than {stated} + 5 min.",
        )


def _read_date(amz_date: str) -> datetime:
    try:
        # at a fifth of the cost of strptime, but not as strict
        return datetime.fromisoformat(amz_date if _DATE.fullmatch(amz_date) else "")
    except ValueError as exc:
        raise BedrockError(
            "IncompleteSignatureException", "Date must be in ISO-8601 'basic format'."
        ) from exc


def _same(sent: str, known: str) -> bool:
    # aiohttp hands bytes that are not UTF-8 on as surrogates
    return hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), known.encode())
