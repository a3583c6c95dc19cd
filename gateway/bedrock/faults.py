"""What everything that can go wrong upstream becomes: the one place where foreign faults are translated.

Three sources: an HTTP error answer, an exception frame inside a stream, and a Python exception of botocore
or aiohttp. Codes differ only in their first letter between the first two (bedrock-wire.md §1.3).
"""

from __future__ import annotations

import math
import re
import ssl
from typing import TYPE_CHECKING

import aiohttp
import botocore.exceptions
import orjson
from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from gateway.errors import (
    GatewayError,
    InvalidRequest,
    UnknownModel,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED = "Bedrock does not accept the gateway's credentials for this call; its operator must look at the log."

CODES: dict[str, tuple[type[GatewayError], str]] = {
    "AccessDeniedException": (UpstreamDenied, DENIED),
    "AccessDenied": (UpstreamDenied, DENIED),  # so STS says it
    "UnrecognizedClientException": (UpstreamDenied, DENIED),
    "InvalidSignatureException": (UpstreamDenied, DENIED),
    "IncompleteSignatureException": (UpstreamDenied, DENIED),
    "IncompleteSignature": (UpstreamDenied, DENIED),
    "SignatureDoesNotMatch": (UpstreamDenied, DENIED),
    "MissingAuthenticationTokenException": (UpstreamDenied, DENIED),
    "InvalidClientTokenId": (UpstreamDenied, DENIED),
    "ExpiredTokenException": (UpstreamDenied, DENIED),
    "ExpiredToken": (UpstreamDenied, DENIED),
    "RequestExpired": (UpstreamDenied, DENIED),
    "RequestTimeTooSkewed": (UpstreamDenied, DENIED),
    "OptInRequired": (UpstreamDenied, DENIED),
    "NotAuthorized": (UpstreamDenied, DENIED),
    "FTUFormNotFilled": (
        UpstreamDenied,
        "This model needs the account's use-case form; the operator must send it.",
    ),
    "ValidationException": (InvalidRequest, "Bedrock refused the request"),
    "ResourceNotFoundException": (UnknownModel, "Bedrock does not know this model in this region."),
    "UnknownOperationException": (
        UpstreamFailed,
        "The endpoint does not know this operation: is it Bedrock's?",
    ),
    "ConflictException": (UpstreamFailed, "Bedrock reports a conflict, which no call of ours can have."),
    "ThrottlingException": (UpstreamThrottled, "Bedrock throttled the request."),
    "Throttling": (UpstreamThrottled, "Bedrock throttled the request."),  # so STS says it
    "TooManyRequestsException": (UpstreamThrottled, "Bedrock throttled the request."),
    "ModelNotReadyException": (UpstreamThrottled, "The model is not ready yet."),
    "ServiceQuotaExceededException": (UpstreamThrottled, "A service quota of the account is used up."),
    "ServiceUnavailableException": (UpstreamUnavailable, "Bedrock has no capacity for this model now."),
    "ServiceUnavailable": (UpstreamUnavailable, "Bedrock has no capacity for this model now."),
    "ModelTimeoutException": (UpstreamTimeout, "The model took too long."),
    "InternalServerException": (UpstreamFailed, "Bedrock had an internal error."),
    "InternalFailure": (UpstreamFailed, "Bedrock had an internal error."),
    "ModelErrorException": (UpstreamFailed, "The model failed."),
    "ModelStreamErrorException": (UpstreamFailed, "The model failed while it was answering."),
}

STATUSES: dict[int, tuple[type[GatewayError], str]] = {
    400: (InvalidRequest, "Bedrock refused the request"),
    401: (UpstreamDenied, DENIED),
    403: (UpstreamDenied, DENIED),
    404: (UnknownModel, "Bedrock does not know this model in this region."),
    408: (UpstreamTimeout, "The model took too long."),
    413: (InvalidRequest, "Bedrock refused the request as too large."),
    424: (UpstreamFailed, "The model failed."),
    429: (UpstreamThrottled, "Bedrock throttled the request."),
    503: (UpstreamUnavailable, "Bedrock has no capacity for this model now."),
    504: (UpstreamTimeout, "Bedrock took too long."),
    529: (UpstreamUnavailable, "Bedrock has no capacity for this model now."),
}
"""For answers whose code says nothing: several recorded errors carry no `x-amzn-errortype`."""

UNKNOWN_MODEL_MESSAGES = ("model identifier is invalid",)
PROFILE_NEEDED = "on-demand throughput isn"
_THROTTLE_RETRY_AFTER = 1
_MAX_RETRY_AFTER = 3600
_MASKED_ACCOUNT = re.compile(r"\b\d{12}\b")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Return the error that an HTTP error answer means; `headers` has lower-case names."""
    fields = _error_fields(body)
    code = headers.get("x-amzn-errortype", "").partition(":")[0] or fields.get("code", "")
    return from_code(
        code.rpartition("#")[2],
        fields.get("message", ""),
        status=status,
        request_id=request_id_of(headers),
        retry_after=_retry_after(headers.get("x-amz-retry-after", "")),
    )


def _retry_after(milliseconds: str) -> int | None:
    """Return `x-amz-retry-after` in whole seconds, rounded up (bedrock-wire.md §7.1)."""
    if not re.fullmatch(r"[0-9]{1,15}", milliseconds):
        return None
    return min(max(1, math.ceil(int(milliseconds) / 1000)), _MAX_RETRY_AFTER)


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the AWS request id of an answer; None where it is absent or no id that we would repeat."""
    request_id = headers.get("x-amzn-requestid", "")
    return request_id if _REQUEST_ID.fullmatch(request_id) else None


def from_frame(exception_type: str, payload: bytes) -> GatewayError:
    """Return the error that an exception frame in a stream means, such as `throttlingException`."""
    return from_code(exception_type, _error_fields(payload).get("message", ""))


def from_code(
    code: str,
    message: str,
    *,
    status: int | None = None,
    request_id: str | None = None,
    retry_after: int | None = None,
) -> GatewayError:
    """Return the error that an AWS code means; for an unknown code the HTTP status decides.

    `retry_after`, in seconds, is what Bedrock asked for; it counts only where a retry may help.
    """
    normal = code[:1].upper() + code[1:]
    default = (UpstreamFailed, "Bedrock failed without saying why.")
    cls, text = CODES.get(normal) or STATUSES.get(status or 0) or default
    param = None
    if cls is InvalidRequest and message:
        cls, text, param = _validation(message)
    return cls(
        text,
        param=param or ("model" if cls is UnknownModel else None),
        detail=_clean(message) or None,
        retry_after=(retry_after or _usual_wait(cls)) if cls.retryable else None,
        upstream_request_id=request_id,
        upstream_code=normal or None,
    )


def _usual_wait(cls: type[GatewayError]) -> int | None:
    return _THROTTLE_RETRY_AFTER if cls is UpstreamThrottled else None


def _validation(message: str) -> tuple[type[GatewayError], str, str | None]:
    """Bedrock's own words help whoever wrote the request; account numbers in them are masked."""
    if any(sign in message for sign in UNKNOWN_MODEL_MESSAGES):
        return (
            UnknownModel,
            "Bedrock does not know this model id; check its spelling and the region.",
            "model",
        )
    words = _clean(message)
    if PROFILE_NEEDED in message:
        return (
            InvalidRequest,
            f"This model is served through an inference profile only. Bedrock: {words}",
            "model",
        )
    return InvalidRequest, f"Bedrock refused the request: {words}", None


def _error_fields(body: bytes) -> dict[str, str]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:500].decode("utf-8", "replace")}
    if not isinstance(parsed, dict):
        return {}
    message = parsed.get("message") or parsed.get("Message")
    code = parsed.get("code") or parsed.get("__type")
    return {
        key: value
        for key, value in (("message", message), ("code", code))
        if isinstance(value, str) and value
    }


def _clean(message: str) -> str:
    return _MASKED_ACCOUNT.sub("************", _CONTROL.sub(" ", message))[:500]


# ── Python exceptions ─────────────────────────────────────────────────────────────────────────────────

NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.NoAuthTokenError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.UnauthorizedSSOTokenError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.MetadataRetrievalError,
    botocore.exceptions.InvalidConfigError,
    botocore.exceptions.ConfigNotFound,
    botocore.exceptions.ConfigParseError,
    botocore.exceptions.UnknownCredentialError,
    botocore.exceptions.RefreshWithMFAUnsupportedError,
    botocore.exceptions.SSOError,
    botocore.exceptions.LoginError,
    FileNotFoundError,  # a web identity token's file
    PermissionError,
)
NO_CREDENTIALS_WORDS = "The gateway has no AWS credentials; its operator must look at the log."

EXCEPTIONS: tuple[tuple[tuple[type[BaseException], ...], type[GatewayError], str], ...] = (
    (
        NO_CREDENTIALS,
        UpstreamDenied,
        NO_CREDENTIALS_WORDS,
    ),
    (
        (botocore.exceptions.ConnectTimeoutError, aiohttp.ConnectionTimeoutError),
        UpstreamTimeout,
        "Connecting to Bedrock took too long.",
    ),
    (
        (botocore.exceptions.ReadTimeoutError, aiohttp.ServerTimeoutError, TimeoutError),
        UpstreamTimeout,
        "Bedrock did not answer in time.",
    ),
    (
        (botocore.exceptions.SSLError, aiohttp.ClientSSLError, ssl.SSLError),
        UpstreamUnavailable,
        "The TLS connection to Bedrock failed.",
    ),
    (
        (botocore.exceptions.ConnectionClosedError, aiohttp.ServerDisconnectedError),
        UpstreamUnavailable,
        "Bedrock closed the connection before it answered.",
    ),
    (
        (botocore.exceptions.ConnectionError, aiohttp.ClientConnectorError),
        UpstreamUnavailable,
        "Bedrock is not reachable.",
    ),
    (
        (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, ConnectionError),
        UpstreamProtocolError,
        "The connection to Bedrock broke in the middle of the answer.",
    ),
    (
        (aiohttp.ClientError, botocore.exceptions.HTTPClientError),
        UpstreamUnavailable,
        "Bedrock is not reachable.",
    ),
    (
        (ResponseParserError, ParserError),
        UpstreamProtocolError,
        "AWS sent an answer that cannot be read.",
    ),
    ((OSError,), UpstreamUnavailable, "Bedrock is not reachable."),
    ((BotoCoreError,), UpstreamFailed, "The call to Bedrock failed."),
)
"""First match wins: subclasses stand before their bases."""


FOREIGN = (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError)
"""What a call or a read may raise that is not ours: catch it, and raise `from_exception` of it."""


def from_exception(error: BaseException) -> GatewayError:
    """Return the error that a foreign exception means; only its type is kept, its text may hold a header."""
    if isinstance(error, ClientError):
        return _from_client_error(error)
    for kinds, cls, text in EXCEPTIONS:
        if isinstance(error, kinds):
            return cls(text, detail=type(error).__name__)
    return UpstreamFailed("The call to Bedrock failed.", detail=type(error).__name__)


def _from_client_error(error: ClientError) -> GatewayError:
    """Bedrock is not called by botocore's client: such an error is STS's or SSO's, asked for credentials.

    What they find wrong with a request is the operator's configuration, never the caller's fault.
    """
    described = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    fault = from_code(str(described.get("Code", "")), str(described.get("Message", "")), status=status)
    if isinstance(fault, InvalidRequest | UnknownModel):
        return UpstreamDenied(NO_CREDENTIALS_WORDS, detail=fault.detail, upstream_code=fault.upstream_code)
    return fault
