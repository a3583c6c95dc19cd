"""Where the credentials of a request come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from botocore.exceptions import BotoCoreError

from gateway.bedrock.exceptions import NO_CREDENTIALS_WORDS
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
        """Return the chain's credentials, refreshed by botocore where they expire.

        Raises:
            UpstreamDenied: no source of the chain gave any, or one failed; `detail` says which way.
        """
        try:
            source = await self._session.get_credentials()
            frozen = None if source is None else await source.get_frozen_credentials()
        except Exception as error:  # botocore's sources also raise bare RuntimeError, ValueError and KeyError
            raise UpstreamDenied(NO_CREDENTIALS_WORDS, detail=_described(error)) from error
        if frozen is None:
            raise UpstreamDenied(
                NO_CREDENTIALS_WORDS, detail="no source of the default chain gave credentials"
            )
        if self._credentials is None or frozen is not self._frozen:
            self._frozen = frozen
            self._credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._credentials


def _described(error: Exception) -> str:
    """Return the kind of a failure, with botocore's words: they name profiles, files and addresses."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, BotoCoreError) else kind
