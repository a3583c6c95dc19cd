"""This host's clock beside AWS's, by the `Date` of every answer; the SDK never looks (S27)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.errors import GatewayError

ALARM_S = 60
"""AWS refuses signatures that are more than 5 minutes off."""
_SKEW_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_SIGNATURE_CODES = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch"})
_SKEW_WORDS = ("Signature expired", "Signature not yet current")


class ClockSkew:
    """Measures the skew; a `Date` is parsed at most once a second."""

    def __init__(self, monotonic: Callable[[], float], now: Callable[[], datetime] | None = None) -> None:
        self.seconds = 0.0
        """How much this host's clock is ahead of AWS's, negative for behind; a `Date` has whole seconds."""
        self._monotonic = monotonic
        self._now = now or (lambda: datetime.now(UTC))
        self._next = -math.inf
        self._alarmed_at: float | None = None

    def observe(self, date: str | None) -> None:
        """Take the `Date` of an answer that has just come."""
        moment = self._monotonic()
        if date is None or moment < self._next:
            return
        self._next = moment + 1.0
        try:
            theirs = parsedate_to_datetime(date)
        except ValueError:  # not a date: nothing is known, and nothing was
            return
        if theirs.tzinfo is None:  # "-0000": in UTC, by RFC 5322
            theirs = theirs.replace(tzinfo=UTC)
        self.seconds = round((self._now() - theirs).total_seconds())
        self._alarm()

    def _alarm(self) -> None:
        """Warn once when the skew becomes large, and again when it changes by as much."""
        large = abs(self.seconds) > ALARM_S
        if self._alarmed_at is None:
            changed = large
        else:
            changed = not large or abs(self.seconds - self._alarmed_at) > ALARM_S
        if not changed:
            return
        self._alarmed_at = self.seconds if large else None
        log = structlog.get_logger()
        (log.warning if large else log.info)("clock_skew", seconds=self.seconds, alarm=large)

    def explain(self, error: GatewayError) -> None:
        """Say the skew in the `detail` of an error that it causes."""
        code, detail = error.upstream_code, error.detail or ""
        if code in _SKEW_CODES or (code in _SIGNATURE_CODES and any(w in detail for w in _SKEW_WORDS)):
            way = "ahead of" if self.seconds >= 0 else "behind"
            error.detail = f"{detail} This host's clock is {abs(self.seconds):g} s {way} AWS's.".strip()
