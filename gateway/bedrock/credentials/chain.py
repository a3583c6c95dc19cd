"""The SDK's default chain: static keys, profile, web identity, SSO, process, container and instance roles.

The chain is resolved anew for each renewal, by aiobotocore's own providers. So files and tokens are read
again, and none of the SDK's refresh windows, locks and caches is ever entered (reliability.md S23–S25).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobotocore.credentials import create_credential_resolver

from gateway.bedrock.credentials.source import Issued
from gateway.bedrock.exceptions import NO_CREDENTIALS_WORDS
from gateway.errors import UpstreamDenied
from gateway.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from datetime import datetime

    from aiobotocore.session import AioSession

PRIVATE = ("_expiry_time",)
"""Of `AioRefreshableCredentials`: the moment of expiry, with its zone; absent where nothing expires."""

PATIENCE = {"metadata_service_timeout": (1, 2), "metadata_service_num_attempts": (1, 3)}
"""Of the instance metadata service: the SDK's default, which is too few under load (S23, R33), and ours."""


class DefaultChain:
    """An `Issuer` of what the chain finds; `method` is the provider's name, None before it has found any."""

    def __init__(self, session: AioSession) -> None:
        self._session = session
        self.method: str | None = None
        for variable, (usual, ours) in PATIENCE.items():
            if session.get_config_variable(variable) == usual:
                session.set_config_variable(variable, ours)

    @property
    def name(self) -> str:
        """Where the credentials come from, in botocore's words."""
        return self.method or "default chain"

    @property
    def overlapping(self) -> bool:
        """Not before it is known what a call does, and not where it starts a process."""
        return self.method not in {None, "custom-process"}

    async def issue(self) -> Issued:
        """Walk the chain.

        Raises:
            UpstreamDenied: no source of the chain gave any.
            Exception: whatever botocore's sources raise, RuntimeError, ValueError and KeyError among it.
        """
        found: Any = await create_credential_resolver(self._session).load_credentials()
        if found is None:
            raise UpstreamDenied(
                NO_CREDENTIALS_WORDS, detail="no source of the default chain gave credentials"
            )
        self.method = found.method
        frozen = await found.get_frozen_credentials()
        expires: datetime | None = getattr(found, PRIVATE[0], None)
        return Issued(Credentials(frozen.access_key, frozen.secret_key, frozen.token), expires)
