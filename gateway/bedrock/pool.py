"""The connections to one endpoint, and the one file that touches private parts of aiohttp and aiobotocore.

aiobotocore owns TLS, proxies and the connection pool, which is that of aiohttp's connector. Their
per-request machinery is passed by: botocore's costs 545 of 768 µs (DESIGN.md), aiohttp's another 200.
`tests/bedrock/test_client.py` guards what is believed here of `PRIVATE`.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import ClientTimeout
from yarl import URL

from gateway.bedrock.exchange import Exchange, ExchangeProtocol
from gateway.errors import UpstreamProtocolError
from gateway.wire.http1 import NO_HTTP

if TYPE_CHECKING:
    from aiohttp.connector import Connection

PRIVATE: Final = ("_endpoint", "_get_session", "_proxy_config", "_factory", "_get", "_acquired", "_conns")
"""Of the client its endpoint, which has the `AIOHTTPSession`; of that the `aiohttp.ClientSession` for a
proxy, and which proxy is meant. `AIOHTTPSession.send` itself follows redirects, and would post prompt and
session token wherever one points. Of aiohttp's connector what makes the protocol of a new connection, and
what looks for an idle one, and those in use and idle, to count them."""


class Pool:
    """The pooled connections of one aiobotocore client to its endpoint, through its proxy if it has one."""

    def __init__(self, client: Any) -> None:
        self._url = URL(client.meta.endpoint_url)
        self._connect_timeout: float = client.meta.config.connect_timeout
        self._http = client._endpoint.http_session  # noqa: SLF001 - see PRIVATE
        proxies = self._http._proxy_config  # noqa: SLF001 - see PRIVATE
        self._proxy: str | None = proxies.proxy_url_for(client.meta.endpoint_url)
        self._proxy_headers: dict[str, str] = proxies.proxy_headers_for(client.meta.endpoint_url)
        self._connector: aiohttp.BaseConnector | None = None
        self._key = self._template().connection_key

    @property
    def proxied(self) -> bool:
        """Whether a proxy reads the requests: over plain HTTP they then name the whole URL."""
        return self._proxy is not None and self._url.scheme == "http"

    @property
    def proxy_authorization(self) -> str | None:
        """What such a proxy wants to see, by the user in its URL.

        Never anything for a tunnel: aiohttp tells the proxy, and what is inside goes to the endpoint.
        """
        proxy = URL(self._proxy or "")
        if not self.proxied or proxy.user is None:
            return None
        return "Basic " + b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()

    def connections(self) -> tuple[int, int]:
        """Return how many connections are in use, and how many are idle."""
        connector = self._connector
        if connector is None:
            return 0, 0
        idle = sum(map(len, connector._conns.values()))  # noqa: SLF001 - see PRIVATE
        return len(connector._acquired), idle  # noqa: SLF001 - see PRIVATE

    async def date_of_root(self) -> str | None:
        """Ask for the endpoint's root, unsigned and by aiohttp's own way; return the answer's `Date`.

        Raises what aiohttp raises.
        """
        session = await self.session()
        async with session.get(
            self._url.with_path("/"),
            allow_redirects=False,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers,
        ) as response:
            return response.headers.get("Date")

    async def session(self) -> aiohttp.ClientSession:
        """Return aiohttp's session, made at first; its own way works on these connections, too.

        Raises:
            OSError: the CA bundle cannot be read.
        """
        session: aiohttp.ClientSession = await self._http._get_session(self._proxy)  # noqa: SLF001 - see PRIVATE
        if self._connector is not session.connector:
            assert session.connector is not None  # noqa: S101 - aiobotocore opens it with one
            self._connector = session.connector
            factory: Any = partial(ExchangeProtocol, loop=asyncio.get_running_loop())
            self._connector._factory = factory  # noqa: SLF001 - see PRIVATE
        return session

    async def idle(self) -> Exchange | None:
        """Take an idle connection, without any IO; what one received unasked makes it unusable."""
        connector = self._connector
        if connector is None:
            return None
        while (idle := await connector._get(self._key, [])) is not None:  # noqa: SLF001 - see PRIVATE
            if _silent(idle):
                return Exchange(idle, asyncio.get_running_loop())
            idle.close()
        return None

    async def connect(self, connect_timeout: float | None = None) -> Exchange:
        """Make a connection; `connect_timeout`, in seconds, is the client's own unless given.

        Raises:
            aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError: none can be made; nothing was sent.
            UpstreamProtocolError: what accepted it spoke before it was spoken to.
        """
        connector = self._connector or (await self.session()).connector
        assert connector is not None  # noqa: S101 - see `session`
        timeout = _until_connected(connect_timeout or self._connect_timeout)
        try:
            connection = await connector.connect(self._template(), [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {self._url.host} in time") from error
        if _silent(connection):
            return Exchange(connection, asyncio.get_running_loop())
        connection.close()
        raise UpstreamProtocolError(NO_HTTP, detail="it spoke before it was asked")

    def _template(self) -> aiohttp.ClientRequest:
        """Return a request that says where to connect to; aiohttp writes into its headers."""
        return aiohttp.ClientRequest(
            "GET",
            self._url,
            loop=asyncio.get_running_loop(),
            proxy=URL(self._proxy) if self._proxy is not None else None,
            proxy_headers=dict(self._proxy_headers),
        )


def _silent(connection: Connection) -> bool:
    """Say whether nothing has come that no exchange was there for."""
    protocol = connection.protocol
    return protocol is not None and not protocol.should_close


@cache  # the values are the operator's, and few
def _until_connected(seconds: float) -> ClientTimeout:
    """Return the connect clock; `sock_connect` alone, as botocore sets it, leaves out resolving the name."""
    return ClientTimeout(connect=seconds, sock_connect=seconds)
