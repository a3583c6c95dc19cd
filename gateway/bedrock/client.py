"""The pooled aiobotocore client: it owns endpoint, TLS, proxies and the pool; requests are made here.

What of a request stays the same from one to the next is made once: with the signature's own work the head
of a request costs 15 µs.
"""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from aiobotocore.config import AioConfig

from gateway import __version__
from gateway.bedrock.clock_skew import ClockSkew
from gateway.bedrock.credentials import BearerToken
from gateway.bedrock.credentials.opening import open_credentials, sdk_session
from gateway.bedrock.credentials.source import Injected
from gateway.bedrock.loopback import proxies_for
from gateway.bedrock.pool import Pool
from gateway.tcp import new_socket
from gateway.wire.http1 import encode_lines
from gateway.wire.sigv4 import Signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.bedrock.clocks import Clocks
    from gateway.bedrock.credentials import CredentialSource, RequestCredentials
    from gateway.bedrock.credentials.sessions import CallerSessions
    from gateway.bedrock.exchange import Exchange
    from gateway.bedrock.sending import Message
    from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings
    from gateway.tcp import AddressInfo
    from gateway.wire.sigv4 import Form

DEFAULT_REGION = "us-east-1"
RECEIVE_BUFFER = 32 * 1024
"""Bytes that the kernel keeps of an answer whose caller does not read, which it doubles; by itself it takes
megabytes (R8). Over a round trip of 50 ms still a megabyte arrives in a second or two."""
POOL_HEADROOM = 10
"""Connections beyond the limiter's slots, so that the pool never becomes a second queue (R17, S3)."""


USER_AGENT: Final = f"bedrock-gateway/{__version__}"
"""CloudTrail shows it beside every call."""
MAX_DRAFTS: Final = 256


class Draft(NamedTuple):
    """What of a request stays the same from one to the next; `form` is for its signature."""

    head: bytes
    form: Form


class BedrockClient:
    """Sends signed requests to one Bedrock endpoint through the client's own pool."""

    def __init__(
        self, client: Any, credentials: CredentialSource, sessions: CallerSessions | None = None
    ) -> None:
        self.endpoint_url: str = client.meta.endpoint_url.rstrip("/")
        self.region: str = client.meta.region_name
        self.credentials = credentials
        self._sessions = sessions
        self.skew = ClockSkew(time.monotonic)
        self.pool = Pool(client)
        self._host = urlsplit(self.endpoint_url).netloc
        self._signer = Signer(self.region, client.meta.service_model.signing_name)
        self._drafts: dict[tuple[str, ...], Draft] = {}
        self._sound: RequestCredentials | None = None  # those that were found fit for a header last

    def __repr__(self) -> str:
        return f"<BedrockClient {self.endpoint_url} region {self.region}>"

    @property
    def clock_skew_s(self) -> float:
        """How many seconds this host's clock is ahead of AWS's, by its answers; negative for behind."""
        return self.skew.seconds

    def credentials_of(self, caller: str) -> CredentialSource:
        """Return what a caller's requests are signed with: a session of its own, where there are such."""
        return self.credentials if self._sessions is None or not caller else self._sessions.of(caller)

    async def warm(self) -> None:
        """Make what the first connection needs: the TLS context with its 140 authorities, 20 ms of CPU (R23).

        Where a CA bundle cannot be read, each call says so.
        """
        with suppress(OSError):  # ssl.SSLError among it
            await self.pool.session()

    async def reach(self) -> bool:
        """Ask the endpoint for its root, unsigned: any answer proves the way there.

        Return whether the answer told the time, so that `clock_skew_s` is known. Raises what aiohttp raises.
        """
        date = await self.pool.date_of_root()
        self.skew.observe(date)
        return date is not None

    async def post(self, message: Message, credentials: RequestCredentials, clocks: Clocks) -> Exchange:
        """Send one request and wait for the head of its answer; the caller must close the exchange.

        Raises what botocore and aiohttp raise, `exceptions.FOREIGN` names it all; `UpstreamProtocolError`
        where there was no answer to be made out; `UpstreamTimeout` where a clock struck.
        """
        exchange = await self.pool.idle()
        if exchange is None:
            exchange = await clocks.bound(self.pool.connect(message.connect_timeout))
        try:
            if credentials is not self._sound:
                _check(credentials)
                self._sound = credentials
            draft = self._draft(message)
            exchange.send(draft.head + _rest_of_head(draft, message.body, credentials), message.body)
            while not exchange.has_head():
                await clocks.arrival(exchange)
        except BaseException:
            exchange.close()
            raise
        self.skew.observe(exchange.headers.get("date"))
        return exchange

    def _draft(self, message: Message) -> Draft:
        headers = message.headers
        key = (message.model_id, message.operation, *headers, *headers.values())
        draft = self._drafts.get(key)
        if draft is None:
            if len(self._drafts) >= MAX_DRAFTS:  # callers choose models and metadata
                self._drafts.clear()
            path = message.path or path_of(message.model_id, message.operation)
            draft = self._drafts[key] = self._new_draft(path, headers)
        return draft

    def _new_draft(self, path: str, headers: Mapping[str, str]) -> Draft:
        headers = {"Content-Type": "application/json", **headers}
        sent = {"Host": self._host, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        if self.pool.proxy_authorization is not None:
            sent["Proxy-Authorization"] = self.pool.proxy_authorization
        url = self.endpoint_url + path if self.pool.proxied else path
        lines = [f"POST {url} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        return Draft(encode_lines(lines), self._signer.form("POST", self._host, path, headers))


def _rest_of_head(draft: Draft, body: bytes, credentials: RequestCredentials) -> bytes:
    """Return the end of the head: what only this request has."""
    if isinstance(credentials, BearerToken):
        added = {"Authorization": f"Bearer {credentials.token}"}
    else:
        added = draft.form.sign(credentials, body, datetime.now(UTC))
    text = f"Content-Length: {len(body)}\r\n\r\n"
    for name, value in added.items():
        text = f"{name}: {value}\r\n{text}"
    return text.encode()


def _check(credentials: RequestCredentials) -> None:
    """Look for what would end a header; all else that a signature adds is our own.

    Raises:
        ValueError: there is a control character.
    """
    if isinstance(credentials, BearerToken):
        encode_lines([credentials.token])
    else:
        encode_lines([credentials.access_key_id, credentials.session_token or ""])


def path_of(model_id: str, operation: str) -> str:
    """Return the raw path of an operation: the model's id is one segment of it, whatever is in the id."""
    return f"/model/{quote(model_id, safe='')}/{operation}"


def _new_socket(address: AddressInfo) -> socket.socket:
    return new_socket(address, (socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER))


@asynccontextmanager
async def open_client(
    settings: BedrockSettings, aws: AwsSettings, credentials: CredentialSettings, *, max_concurrency: int
) -> AsyncIterator[BedrockClient]:
    """Open the client, and the tasks that renew its credentials, for as long as the block runs.

    Raises `botocore.exceptions.BotoCoreError` where the AWS configuration itself is broken; credentials that
    cannot be had are not part of that.
    """
    session = sdk_session(aws)
    region = aws.region or session.get_config_variable("region") or DEFAULT_REGION
    config = AioConfig(
        signature_version="v4",  # an ambient AWS_BEARER_TOKEN_BEDROCK would win silently (§2.6)
        max_pool_connections=max_concurrency + POOL_HEADROOM,
        connect_timeout=settings.connect_timeout_ms / 1000,
        read_timeout=None,  # upstream.py owns the clocks; it knows which phase it is in
        retries={"mode": "standard", "total_max_attempts": 1},  # `max_attempts: 1` still sends twice (S4)
        connector_args={"keepalive_timeout": 60, "ttl_dns_cache": 30, "socket_factory": _new_socket},
        use_fips_endpoint=aws.use_fips_endpoint or None,
        use_dualstack_endpoint=aws.use_dualstack_endpoint or None,
        proxies=proxies_for(aws.endpoint_url),
        ignore_configured_endpoint_urls=aws.of_target or None,  # the SDK's own reading of AWS_ENDPOINT_URL
    )
    async with open_credentials(settings, aws, credentials, region=region) as opened:
        # the session must not walk the default chain by itself: that is IO at start without a bound
        session.register_component("credential_provider", Injected(opened.source))
        async with session.create_client(
            "bedrock-runtime",
            region_name=region,
            endpoint_url=aws.endpoint_url,
            verify=str(aws.ca_bundle) if aws.ca_bundle is not None else None,
            config=config,
        ) as client:
            made = BedrockClient(client, opened.source, opened.sessions)
            await made.warm()
            yield made
