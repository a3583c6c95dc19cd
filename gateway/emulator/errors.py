"""How Bedrock says no: codes, statuses and messages, over HTTP and in the middle of a stream."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNATURE_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)

# bedrock-wire.md §7.1; the messages of throttling and capacity are those seen in the wild (§7.1, [K]).
_TABLE: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "ValidationException": (400, "The request is not valid."),
        "ServiceQuotaExceededException": (400, "Your request exceeds the service quota for your account."),
        "IncompleteSignatureException": (400, "The request signature does not conform to AWS standards."),
        "ExpiredTokenException": (403, "The security token included in the request is expired"),
        "UnrecognizedClientException": (403, "The security token included in the request is invalid."),
        "InvalidSignatureException": (
            403,
            _SIGNATURE_MISMATCH,
        ),
        "MissingAuthenticationTokenException": (403, "Missing Authentication Token"),
        "AccessDeniedException": (403, "You don't have access to the model with the specified model ID."),
        "ResourceNotFoundException": (404, "The specified resource was not found."),
        "FTUFormNotFilled": (
            404,
            "Model use case details have not been submitted for this account.",
        ),
        "UnknownOperationException": (404, "The operation is not known."),
        "ModelTimeoutException": (408, "The request took too long to process."),
        "RequestEntityTooLargeException": (413, "The request is too large."),
        "ModelErrorException": (424, "The model failed to process the request."),
        "ModelStreamErrorException": (424, "An error occurred while streaming the response."),
        "ModelNotReadyException": (
            429,
            "The model is not ready for inference. Try your request again later.",
        ),
        "ThrottlingException": (429, "Too many requests, please wait before trying again."),
        "InternalServerException": (500, "An internal server error occurred. Retry your request."),
        "SomethingNewException": (500, "Something new went wrong."),  # AWS may add one any day
        "ServiceUnavailableException": (503, "Bedrock is unable to process your request."),
    }
)

CODES: Final = frozenset(_TABLE)

# bedrock-wire.md §1.3: the members of ResponseStream; ConverseStream has no modelTimeoutException.
STREAM_EXCEPTIONS: Final = frozenset(
    {
        "internalServerException",
        "modelStreamErrorException",
        "modelTimeoutException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
    }
)

UNMODELLED_EXCEPTIONS: Final = frozenset(
    {"accessDeniedException", "expiredTokenException", "modelErrorException", "somethingNewException"}
)
"""Members that no service model has for a stream: codes of HTTP answers, and one that AWS may add one day."""

_ERROR_TYPE_SUFFIX: Final = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


class BedrockError(Exception):
    """An error answer: `code` is one of `CODES`; without a message it says what Bedrock says for the code.

    `retry_after_ms` is sent as `x-amz-retry-after` (bedrock-wire.md §7.1). `same`: the same request gets the
    same error next time.
    """

    def __init__(
        self, code: str, message: str | None = None, *, retry_after_ms: int | None = None, same: bool = True
    ) -> None:
        self.code = code
        self.retry_after_ms = retry_after_ms
        self.same = same
        self.status, default = _TABLE[code]
        self.message = default if message is None else message
        super().__init__(f"{code}: {self.message}")

    def headers(self) -> dict[str, str]:
        """Return the headers of the answer, but its request id."""
        headers = {
            "Content-Type": "application/json",
            "x-amzn-ErrorType": f"{self.code}{_ERROR_TYPE_SUFFIX}",
        }
        if self.retry_after_ms is not None:
            headers["x-amz-retry-after"] = str(self.retry_after_ms)
        return headers

    def body(self) -> bytes:
        """Return the JSON of the answer; the code is in the header only (bedrock-wire.md §2.5)."""
        return orjson.dumps({"message": self.message})


def invalid(message: str) -> BedrockError:
    """Return a ValidationException that says `message`."""
    return BedrockError("ValidationException", message)


def malformed(detail: str) -> BedrockError:
    """Return the ValidationException of a body that breaks its schema, worded as Bedrock words it."""
    return invalid(f"Malformed input request: {detail}, please reformat your input and try again.")


def exception_payload(member: str) -> dict[str, object]:
    """Return the body of the exception frame `member`, one of the two sets above."""
    _, message = _TABLE[f"{member[0].upper()}{member[1:]}"]
    if member == "modelStreamErrorException":
        return {"message": message, "originalStatusCode": 500, "originalMessage": "The model stopped."}
    return {"message": message}
