"""What each failure allows, as a table."""

from __future__ import annotations

import aiohttp
import pytest

from gateway import errors
from gateway.bedrock import faults
from gateway.bedrock.exceptions import before_the_head, from_exception
from gateway.emulator.errors import CODES, STREAM_EXCEPTIONS, UNMODELLED_EXCEPTIONS
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    UpstreamDenied,
    UpstreamProtocolError,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.retries.backoff import Backoff
from gateway.retries.policy import (
    ANYWHERE,
    MODEL,
    NOWHERE,
    TARGET,
    Again,
    chances,
    most_telling,
    speaks_against,
)

# AWS's code: where it may be tried again that came over HTTP, whether it speaks against the target
OVER_HTTP = {
    "ThrottlingException": (ANYWHERE, False),
    "ModelNotReadyException": (ANYWHERE, False),
    "ServiceQuotaExceededException": (TARGET | MODEL, False),
    "ServiceUnavailableException": (ANYWHERE, True),
    "InternalServerException": (ANYWHERE, True),
    "ModelErrorException": (MODEL, True),
    "ModelStreamErrorException": (MODEL, True),
    "ModelTimeoutException": (MODEL, True),
    "UnknownOperationException": (TARGET, True),
    "ResourceNotFoundException": (TARGET, False),
    "AccessDeniedException": (TARGET, False),
    "UnrecognizedClientException": (TARGET, False),
    "InvalidSignatureException": (TARGET, False),
    "IncompleteSignatureException": (TARGET, False),
    "MissingAuthenticationTokenException": (TARGET, False),
    "ExpiredTokenException": (TARGET, False),
    "FTUFormNotFilled": (TARGET, False),
    "ValidationException": (NOWHERE, False),
    "RequestEntityTooLargeException": (NOWHERE, False),
    "SomethingNewException": (ANYWHERE, True),
}
STATUS = {"RequestEntityTooLargeException": 413}
IN_A_FRAME = {
    "throttlingException": ANYWHERE,
    "serviceUnavailableException": ANYWHERE,
    "internalServerException": ANYWHERE,
    "modelNotReadyException": ANYWHERE,
    "modelStreamErrorException": MODEL,
    "modelTimeoutException": MODEL,
    "validationException": NOWHERE,
    "accessDeniedException": NOWHERE,
    "expiredTokenException": NOWHERE,
    "modelErrorException": MODEL,
    "somethingNewException": MODEL,
}


def test_the_tables_are_whole() -> None:
    """Every code that the emulator knows has its row."""
    assert set(OVER_HTTP) >= CODES
    assert set(IN_A_FRAME) >= STREAM_EXCEPTIONS | UNMODELLED_EXCEPTIONS


@pytest.mark.parametrize("code", sorted(OVER_HTTP))
def test_over_http(code: str) -> None:
    """Before the head of an answer the code decides."""
    fault = faults.from_code(code, "", status=STATUS.get(code))

    assert (chances(fault, answered=False), speaks_against(fault)) == OVER_HTTP[code]


@pytest.mark.parametrize(("member", "allowed"), IN_A_FRAME.items())
def test_in_the_first_frame(member: str, allowed: Again) -> None:
    """After the head only what says that nothing was generated; the rest is the operator's to decide."""
    assert chances(faults.from_frame(member, b"{}"), answered=True) == allowed


@pytest.mark.parametrize(
    ("error", "allowed"),
    [
        (aiohttp.ServerDisconnectedError(), ANYWHERE),
        (ConnectionResetError(), ANYWHERE),
        (aiohttp.ClientOSError(104, "reset"), ANYWHERE),
        (aiohttp.ConnectionTimeoutError(), ANYWHERE),
        (aiohttp.SocketTimeoutError(), MODEL),
        (TimeoutError(), MODEL),
    ],
)
def test_connections(error: Exception, allowed: Again) -> None:
    """Broken before the head: again; not answered in time: it may be billed already."""
    assert chances(before_the_head(error), answered=False) == allowed


def test_broken_after_the_head() -> None:
    """A connection that breaks in an answer allows nothing: what the model wrote is paid for."""
    fault = from_exception(aiohttp.ClientPayloadError())

    assert isinstance(fault, UpstreamProtocolError)
    assert chances(fault, answered=True) == chances(fault, answered=False) == NOWHERE
    assert speaks_against(fault)


def test_errors_of_our_own() -> None:
    """What is not Bedrock's doing is never sent again."""
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")]

    for kind in ours:
        if not kind.__name__.startswith("Upstream") and kind is not errors.UnknownModel:
            assert chances(kind("x"), answered=False) == NOWHERE


@pytest.mark.parametrize(
    ("raised", "fallback", "reported"),
    [
        ([UpstreamThrottled, UpstreamDenied], False, 0),
        ([UpstreamDenied, UpstreamThrottled], False, 1),
        ([UpstreamThrottled, UpstreamUnavailable, InvalidRequest], False, 2),
        ([UpstreamThrottled, UpstreamUnavailable, InvalidRequest], True, 1),
        ([UpstreamThrottled, UpstreamTimeout], False, 1),
        ([UpstreamDenied, InvalidRequest], True, 1),
    ],
)
def test_which_failure_is_reported(
    raised: list[type[GatewayError]],
    fallback: bool,  # noqa: FBT001 - a column of the table
    reported: int,
) -> None:
    """What Bedrock says against the request itself; else the last that may pass, or the last."""
    made = [kind("x") for kind in raised]

    assert most_telling(made, fallback=fallback) is made[reported]


@pytest.mark.parametrize(
    ("number", "asked", "dice", "pause"),
    [
        (0, None, 1.0, 0.1),
        (0, None, 0.0, 0.0),
        (3, None, 0.5, 0.4),
        (9, None, 1.0, 2.0),
        (10_000, None, 1.0, 2.0),
        (0, 5.0, 0.5, 5.05),
    ],
)
def test_backoff(number: int, asked: float | None, dice: float, pause: float) -> None:
    """Full jitter up to a bound that doubles; what Bedrock asks for is kept, and jitter comes on top."""
    assert Backoff().pause(number, asked, lambda: dice) == pytest.approx(pause)
