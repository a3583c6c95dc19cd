"""Errors in the shape of Bedrock's own API, as an HTTP answer and as the last frame of a stream.

The SDKs take the code from `x-amzn-ErrorType`, up to its first colon, and the words from `message`; the code
chooses the exception's class, code and status together whether they try again (bedrock-wire.md §2.5, §7.1).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gateway import errors
from gateway.dialects.protocol import ErrorAnswer
from gateway.wire import json
from gateway.wire.eventstream import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import GatewayError

ERROR_TYPE: Final = "x-amzn-ErrorType"
REQUEST_ID: Final = "x-amzn-RequestId"
RETRY_AFTER: Final = "x-amz-retry-after"
"""In milliseconds; botocore 1.44 obeys it."""

STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "ValidationException": 400,
        "ServiceQuotaExceededException": 400,
        "ConflictException": 400,
        "ResourceNotFoundException": 404,
        "ModelTimeoutException": 408,
        "ModelErrorException": 424,
        "ModelStreamErrorException": 424,
        "ThrottlingException": 429,
        "ModelNotReadyException": 429,
        "InternalServerException": 500,
        "ServiceUnavailableException": 503,
    }
)
"""Codes that Bedrock has given itself are given on. What it says of the gateway's credentials is not among
them: to the caller all of that is one `AccessDeniedException`."""

CODES: Final[Mapping[type[GatewayError], tuple[str, int]]] = MappingProxyType(
    {
        errors.InvalidRequest: ("ValidationException", 400),
        errors.Unauthenticated: ("UnrecognizedClientException", 403),
        errors.Forbidden: ("AccessDeniedException", 403),
        errors.RateLimited: ("ThrottlingException", 429),
        errors.BudgetExhausted: ("ServiceQuotaExceededException", 400),
        errors.UnknownModel: ("ValidationException", 400),
        errors.RouteNotFound: ("UnknownOperationException", 404),
        errors.MethodNotAllowed: ("UnknownOperationException", 405),
        errors.NotAcceptable: ("ValidationException", 406),
        errors.RequestTimeout: ("RequestTimeoutException", 408),
        errors.PayloadTooLarge: ("RequestEntityTooLargeException", 413),
        errors.UnsupportedMediaType: ("UnsupportedMediaTypeException", 415),
        errors.ExpectationFailed: ("ValidationException", 417),
        errors.Overloaded: ("ServiceUnavailableException", 503),
        errors.DeadlineExceeded: ("ModelTimeoutException", 408),
        errors.ServerShutdown: ("ServiceUnavailableException", 503),
        errors.InternalError: ("InternalServerException", 500),
        errors.UpstreamThrottled: ("ThrottlingException", 429),
        errors.UpstreamDenied: ("AccessDeniedException", 403),
        errors.UpstreamUnavailable: ("ServiceUnavailableException", 503),
        errors.UpstreamTimeout: ("ModelTimeoutException", 408),
        errors.UpstreamFailed: ("InternalServerException", 500),
        errors.UpstreamProtocolError: ("InternalServerException", 500),
    }
)
"""What each failure of ours is called by AWS, where AWS has not called it anything. A model id that it does
not know is to Bedrock a mistake like others (recorded)."""

IN_STREAMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ValidationException": "validationException",
        "ThrottlingException": "throttlingException",
        "ModelNotReadyException": "throttlingException",
        "ServiceQuotaExceededException": "throttlingException",
        "ServiceUnavailableException": "serviceUnavailableException",
        "ModelErrorException": "modelStreamErrorException",
        "ModelStreamErrorException": "modelStreamErrorException",
        "ModelTimeoutException": "modelStreamErrorException",
    }
)
"""The members of both streams' unions; `modelTimeoutException` is of InvokeModel's only, and a client that
does not know a member raises it without a word. What is none of these is `internalServerException`."""


def refusal(fault: GatewayError, request_id: str) -> ErrorAnswer:
    """Return the answer for a failure that came before the first byte."""
    code, status = _code(fault)
    headers = {ERROR_TYPE: code, REQUEST_ID: fault.upstream_request_id or request_id}
    if fault.retry_after is not None:
        headers[RETRY_AFTER] = str(fault.retry_after * 1000)
    return ErrorAnswer(status, {"message": fault.message}, headers)


def frame(fault: GatewayError) -> bytes:
    """Return the last frame of a stream that failed."""
    headers = {
        ":exception-type": IN_STREAMS.get(_code(fault)[0], "internalServerException"),
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    if type(fault) is errors.UpstreamProtocolError:  # the model's answer is not whole
        headers[":exception-type"] = "modelStreamErrorException"
    return encode(headers, json.dumps({"message": fault.message}))


def _code(fault: GatewayError) -> tuple[str, int]:
    said = fault.upstream_code or ""
    if said in STATUSES and type(fault) is not errors.UpstreamDenied:
        return said, STATUSES[said]
    return CODES[type(fault)]
