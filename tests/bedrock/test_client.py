"""The pooled client: what it sends, how it is set up, and the ground it stands on."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from aiohttp.client_proto import ResponseHandler
from pydantic import SecretStr
from yarl import URL

from gateway.bedrock.client import POOL_HEADROOM, open_client
from gateway.bedrock.exceptions import from_exception
from gateway.bedrock.exchange import ExchangeProtocol
from gateway.bedrock.sending import Message
from gateway.emulator import Emulator, EmulatorSettings
from gateway.errors import UpstreamDenied, UpstreamUnavailable
from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings
from tests.bedrock.posting import post
from tests.harness import CLAUDE, StartGateway, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEYS: dict[str, Any] = {
    "access_key_id": SecretStr("AKIAXXXXXXXXXXXXXXXX"),
    "secret_access_key": SecretStr("s"),
}


class TestGround:
    """The private parts of aiobotocore and aiohttp that `bedrock/pool.py` uses are as it believes."""

    async def test_client_has_an_http_session(self) -> None:
        """`client._endpoint.http_session` has the `aiohttp.ClientSession` for each proxy, and knows which."""
        session = get_session()
        session.set_credentials("a", "b")
        async with session.create_client("bedrock-runtime", region_name="us-east-1") as client:
            http = client._endpoint.http_session
            inner = await http._get_session(None)

            assert type(http) is AIOHTTPSession
            assert type(inner) is aiohttp.ClientSession
            assert await http._get_session(None) is inner
            assert http._proxy_config.proxy_url_for("https://bedrock.example") is None
            assert http._proxy_config.proxy_headers_for("https://bedrock.example") == {}
            assert client.meta.service_model.signing_name == "bedrock"

    async def test_connector_makes_protocols_and_finds_idle_connections(self) -> None:
        """`_factory` makes a connection's protocol; `_get` gives an idle one, or None; both are counted."""
        kept: list[asyncio.StreamWriter] = []
        async with (
            aiohttp.TCPConnector() as connector,
            await asyncio.start_server(lambda _, writer: kept.append(writer), "127.0.0.1", 0) as server,
        ):
            url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            loop = asyncio.get_running_loop()
            request = aiohttp.ClientRequest("GET", url, loop=loop)
            assert type(connector._factory()) is ResponseHandler
            assert await connector._get(request.connection_key, []) is None
            connector._factory = partial(ExchangeProtocol, loop=loop)  # type: ignore[assignment]
            connection = await connector.connect(request, [], aiohttp.ClientTimeout())
            made = connection.protocol
            assert (len(connector._acquired), [*map(len, connector._conns.values())]) == (1, [])
            connection.release()
            assert (len(connector._acquired), [*map(len, connector._conns.values())]) == (0, [1])
            idle = connector._get(request.connection_key, [])
            with pytest.raises(StopIteration) as given:  # without waiting for anything
                idle.send(None)

            assert type(made) is ExchangeProtocol
            assert given.value.value.protocol is made
            assert (made.should_close, made.writing_paused) == (False, False)
            given.value.value.close()
            for writer in kept:
                writer.close()

    async def test_protocol_of_an_idle_connection(self) -> None:
        """Aiohttp's protocol keeps what comes unasked, and says that the connection is of no use any more."""
        protocol = ExchangeProtocol(loop=asyncio.get_running_loop())
        assert not protocol.should_close
        protocol.data_received(b"HTTP/1.1 200 OK")
        assert protocol.should_close


@pytest.mark.parametrize(
    ("aws", "url"),
    [
        ({"region": "eu-west-1"}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ({}, "https://bedrock-runtime.us-east-1.amazonaws.com"),
        (
            {"region": "us-gov-west-1", "use_fips_endpoint": True},
            "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
        ),
        ({"use_dualstack_endpoint": True}, "https://bedrock-runtime.us-east-1.api.aws"),
        ({"endpoint_url": "https://vpce-1.example"}, "https://vpce-1.example"),
    ],
)
async def test_endpoint(aws: dict[str, Any], url: str) -> None:
    """Region, FIPS, dual stack and an endpoint of one's own lead to AWS's own host names."""
    async with open_client(
        BedrockSettings(), AwsSettings(**KEYS, **aws), CredentialSettings(), max_concurrency=5
    ) as client:
        assert client.endpoint_url == url


async def test_region_of_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no variable names a region, the profile's is taken before the default."""
    config = tmp_path / "config"
    config.write_text("[profile team]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "team")

    async with open_client(
        BedrockSettings(), AwsSettings(**KEYS), CredentialSettings(), max_concurrency=5
    ) as client:
        assert client.region == "eu-central-1"


async def test_pool_is_larger_than_the_limit() -> None:
    """The pool never becomes a second, hidden queue."""
    async with open_client(
        BedrockSettings(), AwsSettings(**KEYS), CredentialSettings(), max_concurrency=7
    ) as client:
        assert client.pool._http._max_pool_connections == 7 + POOL_HEADROOM


async def test_tls_is_set_up_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first request needs is made when the client is opened, and once."""
    made: list[ssl.SSLContext] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *arguments: Any) -> None:
        made.append(context)
        load(context, *arguments)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    async with open_client(
        BedrockSettings(), AwsSettings(**KEYS), CredentialSettings(), max_concurrency=5
    ) as client:
        assert len(made) == 1

        await client.warm()
        assert len(made) == 1


async def test_ca_bundle_that_is_none(tmp_path: Path) -> None:
    """A file without certificates does not end the start, as before; the calls say what is wrong."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nothing")
    aws = AwsSettings(**KEYS, endpoint_url="https://127.0.0.1:9", ca_bundle=bundle)
    async with open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        with pytest.raises(ssl.SSLError):
            await post(client, "amazon.titan-text-express-v1", b"{}")


async def test_keys_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulator: Emulator) -> None:
    """Without keys in the environment, the default chain finds those of the profile."""
    keys = emulator.settings
    file = tmp_path / "credentials"
    file.write_text(
        f"[team]\naws_access_key_id={keys.access_key_id}\naws_secret_access_key={keys.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "team")
    aws = AwsSettings(endpoint_url=emulator.url, region=keys.region)

    async with open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        response = await post(client, "amazon.titan-text-express-v1", b'{"inputText":"x"}')
        status = response.status
        response.close()

    assert status == 200


async def test_no_credentials(emulator: Emulator) -> None:
    """Without any credentials a call is refused here, and said to be the operator's matter."""
    aws = AwsSettings(endpoint_url=emulator.url)
    async with open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        with pytest.raises(UpstreamDenied):
            await client.credentials.current()


async def test_wrong_secret(emulator: Emulator) -> None:
    """A wrong secret reaches Bedrock and is refused there."""
    aws = AwsSettings(
        endpoint_url=emulator.url,
        access_key_id=SecretStr(emulator.settings.access_key_id),
        secret_access_key=SecretStr("wrong"),
    )
    async with open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        response = await post(client, CLAUDE, b"{}")
        code = response.headers["x-amzn-errortype"]
        response.close()

    assert (response.status, code.partition(":")[0]) == (403, "InvalidSignatureException")


async def test_ambient_bearer_token_is_not_used(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, start: StartGateway
) -> None:
    """AWS_BEARER_TOKEN_BEDROCK in the environment changes nothing unless bearer was chosen."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "ambient-token")
    async with start(emulator) as caller:
        status, _, _ = await caller.stream(ask())

    assert status == 200


async def test_chosen_bearer_token() -> None:
    """With `auth = bearer` the token is sent, and no signature."""
    async with Emulator(EmulatorSettings(bearer_token="the-token")) as emulator:
        aws = AwsSettings(endpoint_url=emulator.url, bearer_token=SecretStr("the-token"))
        async with open_client(
            BedrockSettings(auth="bearer"), aws, CredentialSettings(), max_concurrency=5
        ) as client:
            response = await post(client, "amazon.titan-text-express-v1", b'{"inputText":"x"}')
            response.close()

    assert response.status == 200
    assert "the-token" not in repr(client.credentials)


async def test_proxy_is_not_used_for_loopback(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, start: StartGateway
) -> None:
    """HTTP_PROXY of the environment does not stand between gateway and a loopback endpoint."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with start(emulator) as caller:
        status, _, _ = await caller.stream(ask())

    assert status == 200


async def test_proxy_is_used_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY is honoured for an endpoint that is not on loopback."""
    asked = asyncio.get_running_loop().create_future()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set_result(await reader.readline())
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    aws = AwsSettings(**KEYS, endpoint_url="https://bedrock.invalid")
    async with server, open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        with pytest.raises(aiohttp.ClientError):
            await post(client, CLAUDE, b"{}")

    assert (await asked).startswith(b"CONNECT bedrock.invalid:443")


@pytest.fixture(name="tls")
async def _tls(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """An HTTPS server that answers 404 to everything, and the certificate that vouches for it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    command = [
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key),
        "-out", str(certificate), "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1,DNS:bedrock.invalid",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", certificate


async def test_ca_bundle(tls: tuple[str, Path]) -> None:
    """A certificate of one's own CA is trusted by AWS_CA_BUNDLE."""
    url, certificate = tls
    aws = AwsSettings(**KEYS, endpoint_url=url, ca_bundle=certificate)
    async with open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        response = await post(client, CLAUDE, b"{}")
        response.close()

    assert response.status == 404


async def test_unknown_ca(tls: tuple[str, Path]) -> None:
    """Without it the certificate is refused: TLS is always verified."""
    url, _ = tls
    aws = AwsSettings(**KEYS, endpoint_url=url)
    async with open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        with pytest.raises(aiohttp.ClientError) as caught:
            await post(client, CLAUDE, b"{}")

    assert type(from_exception(caught.value)) is UpstreamUnavailable


async def test_through_a_tunnel(monkeypatch: pytest.MonkeyPatch, tls: tuple[str, Path]) -> None:
    """Over HTTPS a proxy opens a tunnel, by aiohttp's own way; the request is made out inside of it."""
    url, certificate = tls
    asked: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{port}")
    aws = AwsSettings(**KEYS, endpoint_url="https://bedrock.invalid", ca_bundle=certificate)
    async with server, open_client(BedrockSettings(), aws, CredentialSettings(), max_concurrency=5) as client:
        response = await post(client, CLAUDE, b"{}")
        body = await response.read_all(100)
        response.close()
        sent = client._draft(Message(CLAUDE, "invoke", b"{}")).head

    assert b"Proxy-Authorization" not in sent, "the proxy's password went to the endpoint"
    assert (response.status, body) == (404, b"{}")
    assert asked[0].startswith(b"CONNECT bedrock.invalid:443 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " in asked[0]
