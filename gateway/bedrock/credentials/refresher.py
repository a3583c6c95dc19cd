"""Credentials that are renewed in the background, at about three quarters of their life.

The SDK renews inside requests: with 10 minutes left a failing STS fails them all, and who leaves takes the
renewal along (reliability.md S23–S25). Here only `run` does IO; `current` reads memory. In an outage of the
issuer the last good credentials serve until they really expire.
"""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from gateway.bedrock.exceptions import FOREIGN, NO_CREDENTIALS_WORDS, from_exception
from gateway.errors import GatewayError, UpstreamDenied, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.bedrock.credentials.source import CredentialSource, Issued, Issuer, RequestCredentials
    from gateway.wire.sigv4 import Credentials

RENEW_AT = 0.75
"""Part of the life after which credentials are renewed; times 0.9 to 1.1, or replicas would march in step."""
MARGIN_S, MARGIN = 30.0, 0.1
"""Credentials are used until so many seconds before they expire, or this part of their life if that is less:
a request signed in the last moment must still arrive."""
BACK_OFF_S, MAX_BACK_OFF_S, MAX_URGENT_S = 0.5, 30.0, 1.25
"""Between attempts after failures: the first, the longest, the longest with nothing to serve with."""
URGENT_S = 5.0
"""With so much left or less, attempts are urgent."""
MAX_OVERLAP = 5
"""Attempts at once while urgent ones hang: a black hole must not hide that the issuer is back."""
ISSUE_TIMEOUT_S = 20.0
"""The longest one attempt may take, whatever the issuer's own clocks say."""
RENEWAL_PAUSE_S = 1.0
"""No attempt is forced so soon after the last: AWS may find fresh credentials expired, too."""
OUTAGE_WORDS = "The gateway cannot get AWS credentials now."
MAX_DETAIL = 500
EXPIRED_WORDS = "The gateway's AWS credentials have expired and cannot be renewed now."


@dataclass(frozen=True, slots=True)
class _Held:
    """Credentials in memory, with moments of the loop's clock; infinite for what never expires."""

    credentials: Credentials
    renew_at: float
    usable_until: float


def utc_now() -> datetime:
    """Return now in UTC."""
    return datetime.now(UTC)


class Refresher:
    """A `CredentialSource` over an issuer; it lives as long as its `run` does.

    `assumer` is the source whose credentials the issuer itself uses, None where it needs none. `urgent`:
    whether having nothing to serve with is an emergency; else attempts grow rarer until `wake`.
    """

    def __init__(
        self,
        issuer: Issuer,
        *,
        assumer: CredentialSource | None = None,
        urgent: bool = True,
        now: Callable[[], datetime] = utc_now,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = issuer.name
        self.renewals = 0
        self.failures = 0
        self._issuer = issuer
        self._assumer = assumer
        self._urgent = urgent
        self._now = now
        self._uniform = uniform
        self._held: _Held | None = None
        self._consecutive = 0
        self._reason = "the first attempt has not ended"
        self._outage = False
        self._ended_at = -math.inf
        self._wanted = asyncio.Event()
        self._round = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Refresher of {self.name}, {self.renewals} renewals, {self.failures} failures>"

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the credentials come from; see `CredentialSource`."""
        return (self._issuer.name, *(() if self._assumer is None else self._assumer.origins))

    # ── for requests: memory only ─────────────────────────────────────────────────────────────────────

    async def current(self) -> Credentials:
        """Return the credentials in memory; see `CredentialSource`.

        Raises:
            UpstreamDenied: none were ever issued; `detail` says why.
            UpstreamUnavailable: they have expired, or their issuer cannot be reached.
        """
        held = self._held
        if held is None and self._outage:
            raise UpstreamUnavailable(OUTAGE_WORDS, detail=self._reason)
        if held is None:
            raise UpstreamDenied(NO_CREDENTIALS_WORDS, detail=self._reason)
        if asyncio.get_running_loop().time() >= held.usable_until:
            raise UpstreamUnavailable(EXPIRED_WORDS, detail=self._reason)
        return held.credentials

    async def renew(self, rejected: RequestCredentials) -> bool:
        """Ask the task for one attempt, unless others are here already; see `CredentialSource`."""
        if self._differs(rejected):
            return True
        if not self.wake():
            return False
        try:
            async with asyncio.timeout(ISSUE_TIMEOUT_S):
                await self._round.wait()
        except TimeoutError:
            return False
        return self._differs(rejected)

    def wake(self) -> bool:
        """Let the task make an attempt now; return whether it does, which is not so soon after the last."""
        due = asyncio.get_running_loop().time() >= self._ended_at + RENEWAL_PAUSE_S
        if due:
            self._wanted.set()
        return due

    async def first_round(self) -> None:
        """Return when the first attempt has ended, well or not."""
        if math.isinf(self._ended_at):
            await self._round.wait()

    @property
    def seconds_left(self) -> float:
        """How long the credentials in memory may be used: infinite for ever, 0 for not at all."""
        if self._held is None:
            return 0.0
        return max(0.0, self._held.usable_until - asyncio.get_running_loop().time())

    def _differs(self, rejected: RequestCredentials) -> bool:
        return self._held is not None and self._held.credentials != rejected and self.seconds_left > 0

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            issued = await self._attempt()
            if issued is not None:
                self._hold(issued)
            self._ended_at = asyncio.get_running_loop().time()
            self._wanted.clear()
            self._round.set()  # whoever waits is woken, whoever comes later waits for the next
            self._round.clear()
            await self._wait()

    async def _wait(self) -> None:
        """Return when the next attempt is due, or somebody asks for it."""
        if self._consecutive:
            delay = self._back_off()
        else:
            delay = self._held.renew_at - asyncio.get_running_loop().time() if self._held else 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(delay) else delay):
                await self._wanted.wait()

    def _back_off(self) -> float:
        left = self.seconds_left
        ceiling = BACK_OFF_S * 2.0 ** min(self._consecutive - 1, 10)
        if left <= URGENT_S and self._urgent:
            return self._uniform(0.5, 1.0) * min(MAX_URGENT_S, ceiling)
        pause = self._uniform(0.5, 1.0) * min(MAX_BACK_OFF_S, ceiling)
        return min(pause, left - URGENT_S) if left > URGENT_S else pause

    async def _attempt(self) -> Issued | None:
        """Return what the first call to succeed gave, or None when all have failed.

        There is one call, until it hangs while there is nothing left to serve with: then a new one joins it
        every `MAX_URGENT_S`.
        """
        loop = asyncio.get_running_loop()
        calls: set[asyncio.Task[Issued | None]] = set()
        due = loop.time()
        try:
            while True:
                if loop.time() >= due:
                    if not calls or self._may_overlap(len(calls)):
                        calls.add(asyncio.create_task(self._call()))  # noqa: TID251 - ended in `finally`
                    due = loop.time() + MAX_URGENT_S
                done, calls = await asyncio.wait(
                    calls, timeout=due - loop.time(), return_when=asyncio.FIRST_COMPLETED
                )
                issued = next((result for call in done if (result := call.result()) is not None), None)
                if issued is not None or not calls:
                    return issued
        finally:
            for call in calls:
                call.cancel()
            if calls:
                await asyncio.wait(calls)

    def _may_overlap(self, running: int) -> bool:
        return (
            self._urgent
            and self._issuer.overlapping
            and running < MAX_OVERLAP
            and self.seconds_left <= URGENT_S
        )

    async def _call(self) -> Issued | None:
        try:
            async with asyncio.timeout(ISSUE_TIMEOUT_S):
                issued = await self._issuer.issue()
        except Exception as error:  # noqa: BLE001 - botocore's sources also raise RuntimeError, ValueError, KeyError
            self._outage = retryable(error)
            self._note(described(error))
            return None
        if issued.expires is not None and issued.expires <= self._now():
            self._note("what was issued has expired already: is this host's clock ahead?")
            return None
        return issued

    def _note(self, reason: str) -> None:
        self.failures += 1
        self._consecutive += 1
        self._reason = reason
        if self._consecutive & (self._consecutive - 1) == 0:  # 1, 2, 4, 8…: an outage must not fill the log
            structlog.get_logger().warning(
                "credentials_not_renewed",
                source=self.name,
                detail=reason,
                failures=self._consecutive,
                seconds_left=None if math.isinf(self.seconds_left) else round(self.seconds_left, 1),
            )

    def _hold(self, issued: Issued) -> None:
        self.renewals += 1
        self._consecutive = 0
        loop_now = asyncio.get_running_loop().time()
        if issued.expires is None:
            self._held, life = _Held(issued.credentials, math.inf, math.inf), None
        else:
            life = (issued.expires - self._now()).total_seconds()
            margin = min(MARGIN_S, MARGIN * life)
            # metadata endpoints repeat what they have until shortly before its end: not without a pause
            pause = max(BACK_OFF_S, life * RENEW_AT * self._uniform(0.9, 1.1))
            self._held = _Held(issued.credentials, loop_now + pause, loop_now + life - margin)
        structlog.get_logger().info("credentials_renewed", source=self.name, seconds=life)


def described(error: Exception) -> str:
    """Return the kind of a failure, with botocore's words: they name profiles, files and addresses."""
    kind = type(error).__name__
    if isinstance(error, ClientError):
        fault = from_exception(error)
        return f"{fault.upstream_code}: {fault.detail}"
    if isinstance(error, GatewayError):
        return error.detail or error.message
    # a credential process's own words are in its error: they may be anything, a secret too
    process = isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") == "custom-process"
    if process or not isinstance(error, BotoCoreError):
        return kind
    return f"{kind}: {error}"[:MAX_DETAIL]


def retryable(error: Exception) -> bool:
    """Say whether a failure may pass by itself: an issuer that is down or throttles."""
    if isinstance(error, GatewayError):
        return error.retryable
    return isinstance(error, TimeoutError) or (isinstance(error, FOREIGN) and from_exception(error).retryable)
