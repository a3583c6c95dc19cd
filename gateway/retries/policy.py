"""What a failure allows: the same again, another target, another model. One table, and no clock.

R18 is the law behind it: what may have been billed is not sent twice on our own decision. A fallback model is
the operator's decision.
"""

from __future__ import annotations

from enum import Flag, auto
from typing import TYPE_CHECKING, Final

from gateway.errors import (
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
    from gateway.errors import GatewayError


class Again(Flag):
    """Where a call that failed may be sent once more."""

    NOWHERE = 0
    SAME = auto()
    """The same call, after a pause."""
    TARGET = auto()
    """The same model at another target: another region, account or endpoint."""
    MODEL = auto()
    """Another model, where the operator names one."""


NOWHERE, SAME, TARGET, MODEL = Again.NOWHERE, Again.SAME, Again.TARGET, Again.MODEL
ANYWHERE: Final = SAME | TARGET | MODEL

BY_CLASS: Final[dict[type[GatewayError], Again]] = {
    UpstreamThrottled: ANYWHERE,
    UpstreamUnavailable: ANYWHERE,
    UpstreamFailed: ANYWHERE,
    UpstreamTimeout: MODEL,  # the model may be at work on it: a second call would be billed too
    UpstreamDenied: TARGET,  # another account may have the right, the same one will not
    UnknownModel: TARGET,  # another region may have it
}
"""Before the head of an answer; what is not here may be tried nowhere."""

BY_CODE: Final[dict[str, Again]] = {
    "ServiceQuotaExceededException": TARGET | MODEL,  # used up, for longer than anybody waits
    "ModelErrorException": MODEL,  # the model had the request, and has failed
    "ModelStreamErrorException": MODEL,
    "UnknownOperationException": TARGET,
    "ConflictException": NOWHERE,
}
"""AWS's codes that mean something else than their class."""

FRAMES: Final = frozenset(
    {
        "ThrottlingException",
        "ServiceUnavailableException",
        "InternalServerException",
        "ModelNotReadyException",
    }
)
"""Codes that say the same in the first frame of a stream as they say over HTTP: nothing was generated."""

REFUSALS: Final = (UpstreamDenied, UnknownModel)
"""Said before any work, and each time anew: an account without the right, a region without the model."""

COUNTED: Final = (UpstreamUnavailable, UpstreamTimeout, UpstreamFailed, UpstreamProtocolError)
"""Failures that speak against a target; a throttle or a caller's mistake does not (R41)."""


def chances(fault: GatewayError, *, answered: bool) -> Again:
    """Return where a call that failed so may be tried again; `answered`: the head of its answer had come."""
    code = fault.upstream_code or ""
    allowed = ANYWHERE if fault.unsent else BY_CODE.get(code, BY_CLASS.get(type(fault), NOWHERE))
    return allowed if not answered or code in FRAMES else allowed & MODEL


def speaks_against(fault: GatewayError) -> bool:
    """Say whether this failure is one for the circuit breaker to count.

    Missing credentials are not: to fail for them costs nothing, and with them the target is well at once.
    """
    return isinstance(fault, COUNTED) and not fault.unsigned


def took_no_work(fault: GatewayError) -> bool:
    """Say whether the target that failed had nothing to do for this call."""
    return fault.unsent or fault.unsigned or isinstance(fault, REFUSALS)


def most_telling(faults: list[GatewayError], *, fallback: bool) -> GatewayError:
    """Return which of one request's failures to report: the last that may pass, or the last.

    Where one target throttles and another was never allowed, the caller had better wait and try again. But a
    request that Bedrock has looked at and refused is wrong everywhere, whatever befell it elsewhere; unless
    `fallback`: another model was asked last, which may lack what the first has.
    """
    if isinstance(faults[-1], InvalidRequest) and not fallback:
        return faults[-1]
    return next((fault for fault in reversed(faults) if fault.retryable), faults[-1])
