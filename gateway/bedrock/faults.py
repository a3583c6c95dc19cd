"""What AWS's error codes become, in an HTTP answer and in an exception frame inside a stream.

The two differ only in the first letter of the code (bedrock-wire.md §1.3). Python exceptions that botocore
and aiohttp raise are translated in `exceptions.py`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import orjson

from gateway.errors import (
    GatewayError,
    InvalidRequest,
    UnknownModel,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED = "Bedrock does not accept the gateway's credentials for this call; its operator must look at the log."
UNKNOWN = "Bedrock does not know this model, or the guardrail that the request names, in this region."

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
    "ResourceNotFoundException": (UnknownModel, UNKNOWN),
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
    404: (UnknownModel, UNKNOWN),
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
PROFILE_ONLY = "This model is served through an inference profile only"
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
    fault = cls(
        text,
        param=param or ("model" if cls is UnknownModel else None),
        # what Bedrock says of a request may quote it: the caller sees it, the log does not (R54)
        detail=None if cls is InvalidRequest else _clean(message) or None,
        retry_after=(retry_after or _usual_wait(cls)) if cls.retryable else None,
        upstream_request_id=request_id,
        upstream_code=normal or None,
    )
    fault.pause_s = retry_after
    return fault


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
            f"{PROFILE_ONLY}. Bedrock: {words}",
            "model",
        )
    return InvalidRequest, f"Bedrock refused the request: {words}", None


def name_profile(error: GatewayError, advice: str | None) -> None:
    """Where Bedrock asks for an inference profile, say which: `advice` is the end of a sentence."""
    if advice is not None and error.message.startswith(PROFILE_ONLY):
        error.message = f"{PROFILE_ONLY}: {advice}{error.message.removeprefix(PROFILE_ONLY)}"


def _error_fields(body: bytes) -> dict[str, str]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}  # not Bedrock's: a proxy's page has no business in front of a caller
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
