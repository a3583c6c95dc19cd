"""The pooled aiobotocore client, and the one file that touches private parts of it.

aiobotocore owns endpoint resolution, TLS, proxies and the connection pool. Its per-request machinery (545 of
768 µs, DESIGN.md) is passed by: requests are signed here and handed to the client's own HTTP session. The
private attributes this needs are named in `PRIVATE` and guarded by `tests/bedrock/test_client.py`.
"""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from aiobotocore.config import AioConfig
from aiohttp import ClientTimeout
from yarl import URL

from gateway.bedrock.clock_skew import ClockSkew
from gateway.bedrock.credentials import BearerToken
from gateway.bedrock.credentials.opening import open_credentials, sdk_session
from gateway.bedrock.credentials.source import Injected
from gateway.bedrock.loopback import proxies_for
from gateway.tcp import new_socket
from gateway.wire.sigv4 import Signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from gateway.bedrock.credentials import CredentialSource, RequestCredentials
    from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings
    from gateway.tcp import AddressInfo

PRIVATE = ("_endpoint", "_get_session", "_proxy_config")
"""Of the client its endpoint, which has the `AIOHTTPSession`; of that the `aiohttp.ClientSession` for a
proxy, and which proxy is meant. `AIOHTTPSession.send` itself follows redirects, and would post prompt and
session token wherever one points; it also costs 70 µs a request."""

DEFAULT_REGION = "us-east-1"
RECEIVE_BUFFER = 32 * 1024
"""Bytes that the kernel keeps of an answer whose caller does not read, which it doubles; by itself it takes
megabytes (R8). Over a round trip of 50 ms still a megabyte arrives in a second or two."""
READ_BUFFER = 16 * 1024
"""aiohttp stops reading at twice as many bytes; by itself at 512 KiB, and each step of ours holds as much."""
POOL_HEADROOM = 10
"""Connections beyond the limiter's slots, so that the pool never becomes a second queue (R17, S3)."""


class BedrockClient:
    """Sends signed requests to one Bedrock endpoint through the client's own pool."""

    def __init__(self, client: Any, credentials: CredentialSource) -> None:
        self.endpoint_url: str = client.meta.endpoint_url.rstrip("/")
        self.region: str = client.meta.region_name
        self.credentials = credentials
        self.skew = ClockSkew(time.monotonic)
        self._connect_timeout: float = client.meta.config.connect_timeout
        self._host = urlsplit(self.endpoint_url).netloc
        self._http = client._endpoint.http_session  # noqa: SLF001 - see PRIVATE
        proxies = self._http._proxy_config  # noqa: SLF001 - see PRIVATE
        self._proxy: str | None = proxies.proxy_url_for(self.endpoint_url)
        self._proxy_headers: dict[str, str] = proxies.proxy_headers_for(self.endpoint_url)
        self._signer = Signer(self.region, client.meta.service_model.signing_name)

    def __repr__(self) -> str:
        return f"<BedrockClient {self.endpoint_url} region {self.region}>"

    @property
    def clock_skew_s(self) -> float:
        """How many seconds this host's clock is ahead of AWS's, by its answers; negative for behind."""
        return self.skew.seconds

    async def warm(self) -> None:
        """Make what the first connection needs: the TLS context with its 140 authorities, 20 ms of CPU (R23).

        Where a CA bundle cannot be read, each call says so.
        """
        with suppress(OSError):  # ssl.SSLError among it
            await self._http._get_session(self._proxy)  # noqa: SLF001 - see PRIVATE

    async def reach(self) -> bool:
        """Ask the endpoint for its root, unsigned: any answer proves the way there.

        Return whether the answer told the time, so that `clock_skew_s` is known. Raises what aiohttp raises.
        """
        session: aiohttp.ClientSession = await self._http._get_session(self._proxy)  # noqa: SLF001 - see PRIVATE
        async with session.get(
            self.endpoint_url + "/",
            allow_redirects=False,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers,
        ) as response:
            date = response.headers.get("Date")
            self.skew.observe(date)
            return date is not None

    async def post(
        self,
        model_id: str,
        operation: str,
        body: bytes,
        headers: dict[str, str],
        credentials: RequestCredentials | None = None,
        *,
        connect_timeout: float | None = None,
    ) -> aiohttp.ClientResponse:
        """Send one request; the response's body is unread, and the caller must close it.

        `credentials` are those of `self.credentials` unless the caller has read them already;
        `connect_timeout`, in seconds, is the client's own unless given.

        Raises what botocore and aiohttp raise; `exceptions.FOREIGN` names it all.
        """
        path = path_of(model_id, operation)
        headers = {"Content-Type": "application/json", **headers}
        if credentials is None:
            credentials = await self.credentials.current()
        if isinstance(credentials, BearerToken):
            headers["Authorization"] = f"Bearer {credentials.token}"
        else:
            now = datetime.now(UTC)
            headers |= self._signer.sign(credentials, "POST", self._host, path, body, headers, now)
        headers["Host"] = self._host
        headers["Accept-Encoding"] = "identity"
        session: aiohttp.ClientSession = await self._http._get_session(self._proxy)  # noqa: SLF001 - see PRIVATE
        response = await session.post(
            URL(
                self.endpoint_url + path, encoded=True
            ),  # decoded and encoded again, the signature would not fit
            data=body,
            headers=headers,
            read_bufsize=READ_BUFFER,
            allow_redirects=False,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers,
            timeout=_until_connected(connect_timeout or self._connect_timeout),
        )
        self.skew.observe(response.headers.get("Date"))
        return response


def path_of(model_id: str, operation: str) -> str:
    """Return the raw path of an operation: the model's id is one segment of it, whatever is in the id."""
    return f"/model/{quote(model_id, safe='')}/{operation}"


@cache  # the values are the operator's, and few
def _until_connected(seconds: float) -> ClientTimeout:
    """Return the connect clock; `sock_connect` alone, as botocore sets it, leaves out resolving the name."""
    return ClientTimeout(connect=seconds, sock_connect=seconds)


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
    async with open_credentials(settings, aws, credentials, region=region) as source:
        # the session must not walk the default chain by itself: that is IO at start without a bound
        session.register_component("credential_provider", Injected(source))
        async with session.create_client(
            "bedrock-runtime",
            region_name=region,
            endpoint_url=aws.endpoint_url,
            verify=str(aws.ca_bundle) if aws.ca_bundle is not None else None,
            config=config,
        ) as client:
            made = BedrockClient(client, source)
            await made.warm()
            yield made
