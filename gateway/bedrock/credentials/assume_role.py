"""A role that is assumed by calling STS with the credentials of another source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gateway.bedrock.credentials.source import Issued
from gateway.bedrock.exceptions import NO_CREDENTIALS_WORDS, STALE, from_exception
from gateway.errors import UpstreamDenied
from gateway.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from gateway.bedrock.credentials.source import CredentialSource
    from gateway.settings import RoleSettings

MAX_CHAINED_S = 3600
"""AWS refuses longer sessions of a role that a role, or other temporary credentials, assume."""


class AssumedRole:
    """An `Issuer` of one role's credentials, by an STS client that signs with the source's."""

    overlapping = True

    def __init__(
        self, sts: Any, source: CredentialSource, role: RoleSettings, *, default_session_name: str
    ) -> None:
        self.name = role.role_arn
        self._sts = sts
        self._source = source
        self._duration = role.duration_s
        self._parameters = parameters(role, default_session_name)

    async def issue(self) -> Issued:
        """Call AssumeRole once.

        Raises:
            UpstreamDenied: the source has no credentials, or cannot be given so long a session.
            Exception: whatever the call raises.
        """
        source = await self._source.current()
        if isinstance(source, Credentials) and source.session_token and self._duration > MAX_CHAINED_S:
            raise UpstreamDenied(
                NO_CREDENTIALS_WORDS,
                detail=f"duration_s {self._duration} of {self.name}: at most {MAX_CHAINED_S}, because the "
                "credentials that assume it are temporary (role chaining)",
            )
        try:
            answer = await self._sts.assume_role(**self._parameters)
        except ClientError as error:  # the source may have others by now, and nobody else would ask it
            if from_exception(error).upstream_code not in STALE or not await self._source.renew(source):
                raise
            answer = await self._sts.assume_role(**self._parameters)
        keys = answer["Credentials"]
        return Issued(
            Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]),
            keys["Expiration"],
        )


def parameters(role: RoleSettings, default_session_name: str) -> dict[str, Any]:
    """Return what AssumeRole is called with; what was not set is not sent."""
    asked: dict[str, Any] = {
        "RoleArn": role.role_arn,
        "RoleSessionName": role.session_name or default_session_name,
        "DurationSeconds": role.duration_s,
    }
    if role.external_id is not None:
        asked["ExternalId"] = role.external_id
    if role.tags:
        asked["Tags"] = [{"Key": key, "Value": value} for key, value in role.tags.items()]
    return asked
