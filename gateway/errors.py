"""Every way in which a request can fail: one class per failure, each knowing what it means.

The class decides code, HTTP status, whether a retry may help, and the log level; the place that raises says
only what happened. Messages are written by us and are safe to show to a caller; what a foreign exception
said goes to the log as `detail`. The README's error table is checked against these classes by a test.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Level = Literal["debug", "info", "warning", "error"]


class GatewayError(Exception):
    """The root of the taxonomy; only its subclasses are raised.

    `param` names the offending field of the request as a path such as `messages[2].content`.
    `retry_after` is in seconds. `detail` is for the log only. `unsent`: the call did not reach upstream, so
    that sending it again cannot cost twice. `unsigned`: there were no credentials to sign the call with,
    which tells nothing of the place it was meant for. `pause_s`: how long upstream asked to be left alone;
    None where it did not ask, though `retry_after` may advise the caller. `limit`: the setting that
    refused, for the log.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool]
    level: ClassVar[Level]

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        detail: str | None = None,
        retry_after: int | None = None,
        upstream_request_id: str | None = None,
        upstream_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.detail = detail
        self.retry_after = retry_after
        self.upstream_request_id = upstream_request_id
        self.upstream_code = upstream_code
        self.limit: str | None = None
        self.unsent = False
        self.unsigned = False
        self.pause_s: float | None = None


# ── the caller's fault ────────────────────────────────────────────────────────────────────────────────


class InvalidRequest(GatewayError):
    """The request cannot be served as it is, whoever serves it."""

    code, status, retryable, level = "invalid_request", 400, False, "info"


class Unauthenticated(GatewayError):
    """Callers are named in the settings, and the request does not say that it is one of them."""

    code, status, retryable, level = "unauthenticated", 401, False, "info"


class Forbidden(GatewayError):
    """The caller is known, and its rules do not let it ask this."""

    code, status, retryable, level = "forbidden", 403, False, "info"


class RateLimited(GatewayError):
    """The caller has used up what its rules give it in a minute, or at a time."""

    code, status, retryable, level = "rate_limited", 429, True, "info"


class BudgetExhausted(GatewayError):
    """The caller's budget of the day or of the month has no room for what this request may cost."""

    code, status, retryable, level = "budget_exhausted", 429, False, "warning"


class UnknownModel(GatewayError):
    """No such model: malformed id, not in the catalogue where custom ids are off, or unknown to Bedrock."""

    code, status, retryable, level = "unknown_model", 404, False, "info"


class RouteNotFound(GatewayError):
    """No such path."""

    code, status, retryable, level = "not_found", 404, False, "info"


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not."""

    code, status, retryable, level = "method_not_allowed", 405, False, "info"


class NotAcceptable(GatewayError):
    """None of the media types in `Accept` is served here."""

    code, status, retryable, level = "not_acceptable", 406, False, "info"


class RequestTimeout(GatewayError):
    """The head or the body of the request did not arrive in time."""

    code, status, retryable, level = "request_timeout", 408, True, "info"


class PayloadTooLarge(GatewayError):
    """The body is larger than the limit."""

    code, status, retryable, level = "payload_too_large", 413, False, "info"


class UnsupportedMediaType(GatewayError):
    """The body is not JSON by its content type, or it is compressed."""

    code, status, retryable, level = "unsupported_media_type", 415, False, "info"


class ExpectationFailed(GatewayError):
    """`Expect` asks for something other than `100-continue`."""

    code, status, retryable, level = "expectation_failed", 417, False, "info"


# ── the gateway's state ───────────────────────────────────────────────────────────────────────────────


class Overloaded(GatewayError):
    """No slot (the queue is full, or the wait was too long), no connection, or no room for the body."""

    code, status, retryable, level = "overloaded", 503, True, "warning"


class DeadlineExceeded(GatewayError):
    """The time that the caller gave with `X-Request-Timeout-Ms` is over."""

    code, status, retryable, level = "deadline_exceeded", 504, True, "info"


class ServerShutdown(GatewayError):
    """The process stops, and its time for ending streams is over."""

    code, status, retryable, level = "server_shutdown", 503, True, "warning"


class InternalError(GatewayError):
    """A defect of the gateway. Nothing else may become one."""

    code, status, retryable, level = "internal_error", 500, False, "error"


# ── Bedrock ───────────────────────────────────────────────────────────────────────────────────────────


class UpstreamThrottled(GatewayError):
    """Bedrock throttles, the model is not ready yet, or a service quota is used up."""

    code, status, retryable, level = "upstream_throttled", 429, True, "warning"


class UpstreamDenied(GatewayError):
    """Bedrock refuses our credentials: the operator's fault, not the caller's."""

    code, status, retryable, level = "upstream_denied", 502, False, "error"


class UpstreamUnavailable(GatewayError):
    """Bedrock is not reachable or has no capacity."""

    code, status, retryable, level = "upstream_unavailable", 503, True, "warning"


class UpstreamTimeout(GatewayError):
    """Bedrock or the model did not answer in time."""

    code, status, retryable, level = "upstream_timeout", 504, True, "warning"


class UpstreamFailed(GatewayError):
    """Bedrock or the model failed, or did something that we have no better name for."""

    code, status, retryable, level = "upstream_failed", 502, True, "error"


class UpstreamProtocolError(GatewayError):
    """The answer broke its own rules: bad checksum, bad JSON, or an end before the model's terminal event."""

    code, status, retryable, level = "upstream_protocol", 502, True, "error"
