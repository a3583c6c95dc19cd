"""Answers of a Bedrock that the emulator does not give: in pieces, from a proxy, with a caller's words."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydantic import SecretStr

from gateway import app
from gateway.settings import AwsSettings, RetrySettings, Settings
from tests.harness import ask

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

CANARY = "CANARY-in-the-prompt"
THROTTLED = b'{"code":"ThrottlingException","message":"Too many tokens, please wait before trying again."}'


@asynccontextmanager
async def _answering(*pieces: bytes) -> AsyncIterator[str]:
    """Run a gateway in front of a server that writes these bytes, piece by piece, to every request."""
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)  # lets a piece be a read of its own
        except ConnectionError:
            pass  # the gateway has seen enough
        writer.close()
        answered.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    aws = AwsSettings(
        access_key_id=SecretStr("AKIAXXXXXXXXXXXXXXXX"),
        secret_access_key=SecretStr("secret"),
        region="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
    )
    once = RetrySettings(max_attempts=1)  # so that the one answer has been given when it is waited for
    async with server, app.running(Settings(port=0, aws=aws, retries=once)) as gateway:
        yield gateway.url
        await answered.wait()


async def _ask(url: str) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions/stream", json=ask()) as response,
    ):
        return response.status, json.loads(await response.read())


def _head(status: str, length: int, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", "Connection: close", *more, "", ""]
    return "\r\n".join(lines).encode()


async def test_error_body_in_pieces() -> None:
    """An error body is read to its end, however the network cut it."""
    async with _answering(_head("400 Bad Request", len(THROTTLED)), THROTTLED[:20], THROTTLED[20:]) as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (429, "upstream_throttled")


async def test_page_of_a_proxy() -> None:
    """What is not Bedrock's is not repeated to a caller."""
    page = b"<html>squid at internal-host-7.corp refused</html>"
    async with _answering(_head("400 Bad Request", len(page), "Content-Type: text/html"), page) as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert "internal-host" not in json.dumps(answer)


async def test_words_about_the_request_go_to_the_caller_and_not_to_the_log(log: io.StringIO) -> None:
    """Bedrock quotes a request when it refuses it: its writer may read that, the log must not."""
    body = json.dumps({"message": f"Value '{CANARY}' at 'messages.1' failed"}).encode()
    error_type = "x-amzn-ErrorType: ValidationException:http://internal.amazon.com/"
    async with _answering(_head("400 Bad Request", len(body), error_type), body) as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert CANARY in answer["error"]["message"]
    assert CANARY not in log.getvalue()


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/elsewhere", "/model/again"])
async def test_redirect_is_not_followed(location: str) -> None:
    """A redirect would send prompt and session token somewhere else: it is a broken answer."""
    async with _answering(_head("307 Temporary Redirect", 0, f"Location: {location}")) as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (502, "upstream_protocol")


async def test_something_that_is_no_event_stream() -> None:
    """A 200 with another content type is not an answer of Bedrock's."""
    async with _answering(_head("200 OK", 2, "Content-Type: application/json"), b"{}") as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (502, "upstream_protocol")


async def test_connection_closed_before_the_answer() -> None:
    """A connection that closes without an answer is an upstream that is not available."""
    async with _answering() as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (503, "upstream_unavailable")


async def test_connection_broken_in_the_middle() -> None:
    """A body that is shorter than announced ends in an error record or a true status, never in done."""
    head = _head("200 OK", 5000, "Content-Type: application/vnd.amazon.eventstream")
    async with _answering(head, b"\x00\x00\x00\x80") as url:
        status, answer = await _ask(url)

    assert (status, answer["error"]["code"]) == (502, "upstream_protocol")
