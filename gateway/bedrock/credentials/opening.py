"""From settings to a credential source whose tasks run."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from gateway.bedrock.credentials.assume_role import AssumedRole
from gateway.bedrock.credentials.chain import DefaultChain
from gateway.bedrock.credentials.refresher import Refresher
from gateway.bedrock.credentials.sessions import CallerSessions
from gateway.bedrock.credentials.source import BearerToken, Injected, StaticCredentials
from gateway.bedrock.credentials.supervision import supervised
from gateway.bedrock.loopback import proxies_for
from gateway.bedrock.sdk_data import sdk_data
from gateway.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiobotocore.session import AioSession

    from gateway.bedrock.credentials.source import CredentialSource, Issuer
    from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings, RoleSettings

STS_CONNECT_S, STS_READ_S = 2, 5
"""The SDK's are 60 and 60, five times (reliability.md S-T6); a hung STS must not hang a renewal so long."""
MAX_SESSION_NAME = 64


class Opened(NamedTuple):
    """What requests are signed with: the process's own credentials, and of callers sessions of their own."""

    source: CredentialSource
    sessions: CallerSessions | None = None


@asynccontextmanager
async def open_credentials(
    bedrock: BedrockSettings, aws: AwsSettings, settings: CredentialSettings, *, region: str
) -> AsyncIterator[Opened]:
    """Give what Bedrock's requests are signed with, renewed for as long as the block runs.

    The first fetch is awaited for at most `settings.startup_timeout_ms`; where it fails, the tasks try on.
    """
    if bedrock.auth == "bearer" and aws.bearer_token is not None:
        yield Opened(BearerToken(aws.bearer_token.get_secret_value()))
        return
    async with AsyncExitStack() as stack:
        deadline = asyncio.get_running_loop().time() + settings.startup_timeout_ms / 1000
        source: CredentialSource
        if (keys := static_keys(aws)) is not None:
            source = keys
        else:
            chain = refreshed(DefaultChain(_session(aws, region)), deadline)
            source = await stack.enter_async_context(chain)
        sessions = None
        for role in [*settings.roles, *ambient_role(aws)]:
            sts = await stack.enter_async_context(sts_client(source, aws, region))
            issuer_of_role = AssumedRole(sts, source, role, default_session_name=session_name())
            sessions = CallerSessions(sts, source, role, tag=settings.caller_tag)
            source = await stack.enter_async_context(refreshed(issuer_of_role, deadline, source))
        if sessions is not None and settings.caller_sessions:
            await stack.enter_async_context(aclosing(sessions))
            yield Opened(source, sessions)
        else:
            yield Opened(source)


def static_keys(aws: AwsSettings) -> StaticCredentials | None:
    """Return the keys that were set by AWS's variables, None where there are none."""
    if aws.access_key_id is None or aws.secret_access_key is None:
        return None
    token = None if aws.session_token is None else aws.session_token.get_secret_value()
    return StaticCredentials(
        Credentials(aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value(), token)
    )


def ambient_role(aws: AwsSettings) -> list[RoleSettings]:
    """Return the role of AWS_ROLE_ARN; none where it belongs to web identity, which the SDK knows."""
    role = aws.role_to_assume
    return [] if role is None else [role]


@asynccontextmanager
async def refreshed(
    issuer: Issuer, deadline: float, assumer: CredentialSource | None = None
) -> AsyncIterator[Refresher]:
    """Run a refresher; its first attempt has ended when the block begins, or the deadline has passed."""
    refresher = Refresher(issuer, assumer=assumer)
    async with supervised(f"credentials of {issuer.name}", refresher.run):
        try:
            async with asyncio.timeout_at(deadline):
                await refresher.first_round()
        except TimeoutError:
            structlog.get_logger().warning("credentials_slow", source=issuer.name)
        yield refresher


def session_name() -> str:
    """Return a name that says in CloudTrail which replica it was: `gw-<host>-<process>`."""
    host = re.sub(r"[^\w+=,.@-]", "-", socket.gethostname(), flags=re.ASCII)
    tail = f"-{os.getpid()}"
    return f"gw-{host}"[: MAX_SESSION_NAME - len(tail)] + tail


def _sts_config(aws: AwsSettings) -> AioConfig:
    return AioConfig(
        connect_timeout=STS_CONNECT_S,
        read_timeout=STS_READ_S,
        retries={"mode": "standard", "total_max_attempts": 1},  # the refresher is who tries again
        use_fips_endpoint=aws.use_fips_endpoint or None,
        use_dualstack_endpoint=aws.use_dualstack_endpoint or None,
        proxies=proxies_for(aws.sts_endpoint_url),
    )


def sdk_session(aws: AwsSettings) -> AioSession:
    """Return a session of the SDK, with the profile of a target that names its own.

    A profile that is set so closes the environment's sources of credentials, as it should: AWS_PROFILE alone
    would not.
    """
    session: AioSession = get_session()
    if aws.of_target and aws.profile is not None:
        session.set_config_variable("profile", aws.profile)
    session.register_component("data_loader", sdk_data(session.get_config_variable("data_path")))
    return session


def _session(aws: AwsSettings, region: str) -> AioSession:
    session = sdk_session(aws)
    # botocore does not read AWS_REGION; STS is asked regionally
    session.set_config_variable("region", aws.sts_region or region)
    session.set_default_client_config(_sts_config(aws))  # web identity and profiles with roles go to STS, too
    return session


def sts_client(source: CredentialSource, aws: AwsSettings, region: str) -> Any:
    """Return a client of the regional STS that signs with the source's credentials: an `async with`."""
    session = _session(aws, region)
    session.register_component("credential_provider", Injected(source))
    return session.create_client(
        "sts",
        endpoint_url=aws.sts_endpoint_url,
        verify=str(aws.ca_bundle) if aws.ca_bundle is not None else None,
    )
