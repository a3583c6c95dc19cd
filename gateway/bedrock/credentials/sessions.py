"""A session of the role for each caller, named after it: CloudTrail and the bill then know the team.

A session begins with the first call of its caller, which waits for STS; from then on it is renewed like all
credentials. Callers are those of the settings, so there are no more sessions than that. While STS gives none,
as where the role may not be tagged, only calls make it be asked often: all replicas of an account share STS's
quota, which the process's own credentials are renewed by too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.bedrock.credentials.assume_role import AssumedRole
from gateway.bedrock.credentials.refresher import OUTAGE_WORDS, Refresher
from gateway.bedrock.credentials.supervision import again_and_again
from gateway.errors import UpstreamUnavailable

if TYPE_CHECKING:
    from gateway.bedrock.credentials.source import CredentialSource, RequestCredentials
    from gateway.settings import RoleSettings

FIRST_S = 7.0
"""Seconds that the first call of a caller waits for its session: what an STS client of ours takes at most."""


class CallerSessions:
    """Sessions of one role, assumed with a source's credentials by an STS client that is open meanwhile."""

    def __init__(self, sts: Any, source: CredentialSource, role: RoleSettings, *, tag: str | None) -> None:
        self._sts = sts
        self._source = source
        self._role = role
        self._tag = tag
        self._sessions: dict[str, CallerSession] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, caller: str) -> CallerSession:
        """Return the session of a caller, which may still have to begin."""
        session = self._sessions.get(caller)
        if session is None:
            session = self._sessions[caller] = self._begin(caller)
        return session

    def _begin(self, caller: str) -> CallerSession:
        tags = self._role.tags if self._tag is None else {**self._role.tags, self._tag: caller}
        role = self._role.model_copy(update={"session_name": caller, "tags": tags})
        issuer = AssumedRole(self._sts, self._source, role, default_session_name=caller)
        refresher = Refresher(issuer, assumer=self._source, urgent=False)
        work = again_and_again(f"session of {caller}", refresher.run)
        self._tasks.append(asyncio.create_task(work, name=f"session of {caller}"))  # noqa: TID251 - `aclose` ends it
        return CallerSession(refresher)

    async def aclose(self) -> None:
        """End the renewals."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class CallerSession:
    """A `CredentialSource` of one caller."""

    def __init__(self, refresher: Refresher) -> None:
        self._refresher = refresher

    @property
    def origins(self) -> tuple[str, ...]:
        """The role, and what assumes it."""
        return self._refresher.origins

    async def current(self) -> RequestCredentials:
        """Return the session's credentials, the first time after a while.

        Raises:
            UpstreamUnavailable: STS has not answered yet.
            UpstreamDenied: it has refused.
        """
        try:
            async with asyncio.timeout(FIRST_S):
                await self._refresher.first_round()
        except TimeoutError:
            raise UpstreamUnavailable(
                OUTAGE_WORDS, detail="STS does not answer for the caller's session"
            ) from None
        if self._refresher.seconds_left == 0:
            self._refresher.wake()
        return await self._refresher.current()

    async def renew(self, rejected: RequestCredentials) -> bool:
        """Ask for others; see `CredentialSource`."""
        return await self._refresher.renew(rejected)
