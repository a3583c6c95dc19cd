"""What a request asks for its credentials, and what issues them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gateway.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A Bedrock API key; its own credential source, because it never changes."""

    token: str = field(repr=False)
    origins = ("AWS_BEARER_TOKEN_BEDROCK",)

    async def current(self) -> BearerToken:
        """Return the token."""
        return self

    async def renew(self, rejected: RequestCredentials) -> bool:
        """Return False: there is no other token."""
        del rejected
        return False


RequestCredentials: TypeAlias = Credentials | BearerToken


class CredentialSource(Protocol):
    """Something that knows the credentials to use now, without any IO."""

    @property
    def origins(self) -> tuple[str, ...]:
        """Where they come from: variables, a role's ARN, botocore's name of a provider. No secrets.

        Behind a role stands what assumes it.
        """

    async def current(self) -> RequestCredentials:
        """Return valid credentials.

        Raises:
            UpstreamDenied: there are none.
            UpstreamUnavailable: there were some, but they have expired and cannot be renewed now.
        """

    async def renew(self, rejected: RequestCredentials) -> bool:
        """Say whether there are others than those that AWS rejected as expired, after an attempt to get some.

        One attempt serves everybody who waits for it, and a caller who leaves does not end it.
        """


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Keys that somebody wrote down: they are what they are."""

    credentials: Credentials
    origins = ("AWS_ACCESS_KEY_ID",)

    async def current(self) -> Credentials:
        """Return the keys."""
        return self.credentials

    async def renew(self, rejected: RequestCredentials) -> bool:
        """Return False: there are no other keys."""
        del rejected
        return False


@dataclass(frozen=True, slots=True)
class Issued:
    """Credentials as they were issued; `expires` has a time zone, None means never."""

    credentials: Credentials
    expires: datetime | None


class Issuer(Protocol):
    """Something that hands out credentials, by IO: STS, a metadata endpoint, a file, a process."""

    @property
    def name(self) -> str:
        """What the log calls it; never part of a secret."""

    @property
    def overlapping(self) -> bool:
        """Whether a second call may start while the first hangs; not where a call starts a process."""

    async def issue(self) -> Issued:
        """Return fresh credentials; raises whatever goes wrong, in bounded time."""


class Injected:
    """A credential source as aiobotocore wants it: a component `credential_provider` that loads itself.

    Each request that the session's clients sign reads the source again (`signers.py`), so a client can stay
    open while its credentials change.
    """

    method = "gateway"

    def __init__(self, source: CredentialSource) -> None:
        self._source = source

    async def load_credentials(self) -> Injected:
        """Return the credentials of the session, as a resolver does."""
        return self

    async def get_frozen_credentials(self) -> Any:
        """Return the source's credentials as botocore names them."""
        return _Frozen(await self._source.current())

    def get_deferred_property(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return what gives None: only the account id is ever asked, for endpoints that nobody here has."""
        del name
        return self.get_account_id

    async def get_account_id(self) -> None:
        """Return None: no account-based endpoint is wanted."""


class _Frozen:
    def __init__(self, credentials: RequestCredentials) -> None:
        if isinstance(credentials, BearerToken):
            raise TypeError("a bearer token signs nothing")
        self.access_key = credentials.access_key_id
        self.secret_key = credentials.secret_access_key
        self.token = credentials.session_token
