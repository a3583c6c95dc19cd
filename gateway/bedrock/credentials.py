"""Where the credentials of a request come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gateway.errors import UpstreamDenied
from gateway.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A Bedrock API key; its own credential source, because it never changes."""

    token: str = field(repr=False)

    async def current(self) -> BearerToken:
        """Return the token."""
        return self


RequestCredentials: TypeAlias = Credentials | BearerToken


class CredentialSource(Protocol):
    """Something that knows the credentials to use now."""

    async def current(self) -> RequestCredentials:
        """Return valid credentials.

        Raises:
            UpstreamDenied: there are none.
        """


class ChainCredentials:
    """The SDK's default chain: static keys, profile, web identity, container and instance roles."""

    def __init__(self, session: AioSession) -> None:
        self._session = session
        self._frozen: Any = None
        self._credentials: Credentials | None = None

    async def current(self) -> Credentials:
        """Return the chain's credentials, refreshed by botocore where they expire."""
        source = await self._session.get_credentials()
        if source is None:
            raise UpstreamDenied(
                "The gateway has no AWS credentials; its operator must look at the log.",
                detail="no source of the default credential chain gave credentials",
            )
        frozen = await source.get_frozen_credentials()
        if self._credentials is None or frozen is not self._frozen:
            self._frozen = frozen
            self._credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._credentials
