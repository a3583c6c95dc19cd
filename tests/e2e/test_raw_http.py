"""Bytes that are not quite HTTP, or not quite one request: refused once, in our shape, and then closed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.harness import ask
from tests.raw import SILENT, connected, exchanged, heads, post

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator
    from tests.harness import Caller

CANARY = b"CANARY-d41d8cd9"
HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"
BEHIND = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
"""What an attacker hides in a body: answered, it would be a second answer."""
POST = b"POST /chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    # what two servers on one path may read in two ways
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "one length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "gzip": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "two encodings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size 0x5": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size 1_0": CHUNKED + b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "chunk size +5": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size too large": CHUNKED + b"fffffffffffffffff\r\n",
    "chunk longer than its size": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "bare line feed behind a size": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "large chunk extension": CHUNKED + b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
    "large extension of the last chunk": CHUNKED + b"2\r\n{}\r\n0;" + b"a" * 100_000 + b"\r\n\r\n",
    "bare line feeds": b"GET /version HTTP/1.1\nHost: x\n\n",
    "folded header": b"GET /version HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "NUL in a header": b"GET /version HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "bare carriage return": b"GET /version HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "header without a name": b"GET /version HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "header without a colon": b"GET /version HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
    # whom it is for
    "no Host": b"GET /version HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /version HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "absolute form": b"GET http://x/version HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute form, other host": b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority form": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no authority": b"CONNECT \nTransfer-Encoding:chunked\r\n\r\n",
    "no authority in HTTP/1.1": b"CONNECT  HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "asterisk without OPTIONS": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "no slash": b"GET version HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank in the path": b"GET /ver sion HTTP/1.1\r\nHost: x\r\n\r\n",
    # what protocol it is
    "HTTP/0.9": b"GET /version HTTP/0.9\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET /version HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /version\r\n\r\n",
    "lower case": b"GET /version http/1.1\r\nHost: x\r\n\r\n",
    "no method": b" /version HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "WebSocket": b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    # sizes
    "line of 9 kB": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "header of 9 kB": b"GET /version HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    "200 headers": b"GET /version HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "head of 24 kB": b"GET /version HTTP/1.1\r\nHost: x\r\n" + (b"A: " + b"a" * 6000 + b"\r\n") * 4 + b"\r\n",
    "24 kB of an endless head": b"GET /version HTTP/1.1\r\nHost: x\r\n"
    + (b"A: " + b"a" * 6000 + b"\r\n") * 4,
}


async def test_refused(caller: Caller, emulator: Emulator, log: io.StringIO) -> None:
    """One 400 of ours, and the end of the connection; what stands behind is not another request."""
    wrong = {}
    for name, data in REFUSED.items():
        answer = await exchanged(caller.url, data.replace(b"A: ", b"A: " + CANARY) + BEHIND)
        if not _refused(answer):
            wrong[name] = answer

    assert wrong == {}
    assert CANARY.decode() not in log.getvalue()
    assert list(emulator.calls) == []


def _refused(answer: bytes) -> bool:
    """Tell whether this is one 400 in our shape that repeats nothing."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    return (
        [line.split(b" ", 1)[1] for line in heads(answer)] == [b"400 Bad Request"]
        and error["code"] == "invalid_request"
        and bool(error["param"])
        and b"Server: bedrock-gateway" in head
        and (b"Connection: close" in head or head.startswith(b"HTTP/1.0"))
        and CANARY not in answer
    )


BODY = json.dumps(ask("[[emulator deltas=1]]")).encode()
WHOLE = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
VERSION = b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

ANSWERED = {
    "chunks": (POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + WHOLE + b"\r\n", 200),
    "Chunks, in capitals": (
        POST + b"Connection: close\r\nTransfer-Encoding: CHUNKED\r\n\r\n" + WHOLE + b"\r\n",
        200,
    ),
    "chunks of one byte": (
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)
        + b"0\r\n\r\n",
        200,
    ),
    "a short chunk extension": (
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + WHOLE.replace(b"\r\n", b";a=b\r\n", 1)
        + b"\r\n",
        200,
    ),
    "trailers": (
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + WHOLE + b"X-Sum: 1\r\n\r\n",
        200,
    ),
    "HEAD": (b"HEAD /version " + VERSION, 200),
    "HEAD of a POST": (b"HEAD /chat/completions " + VERSION, 405),
    "OPTIONS": (b"OPTIONS /chat/completions " + VERSION, 405),
    "OPTIONS of all": (b"OPTIONS * " + VERSION, 404),
    "TRACE": (b"TRACE /version " + VERSION, 405),
    "HTTP/1.0": (b"GET /version HTTP/1.0\r\n\r\n", 200),
    "empty lines before": (b"\r\n\r\nGET /version " + VERSION, 200),
    "query": (b"GET /version?a=b " + VERSION, 200),
    "upgrade to HTTP/2, which is not taken": (
        b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
        200,
    ),
    "large body beside small framing": (
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"30d40\r\n"
        + BODY.ljust(200_000)
        + b"\r\n0\r\n\r\n",
        200,
    ),
}


async def test_answered(caller: Caller) -> None:
    """What is odd but clear is answered once (R15)."""
    found = {name: await exchanged(caller.url, data) for name, (data, _) in ANSWERED.items()}

    assert {name: [int(head.split()[1]) for head in heads(answer)] for name, answer in found.items()} == {
        name: [status] for name, (_, status) in ANSWERED.items()
    }
    for name, answer in found.items():
        assert b"Server: bedrock-gateway" in answer
        assert b"aiohttp" not in answer
        assert answer.endswith(b"\r\n\r\n") == name.startswith("HEAD")


async def test_requests_one_behind_the_other(caller: Caller) -> None:
    """A few pipelined requests are answered in their order, whatever their bodies; the last one closes."""
    chunked = CHUNKED + WHOLE + b"\r\n"

    answer = await exchanged(caller.url, chunked * 3 + BEHIND + b"GET /livez " + VERSION)

    assert heads(answer) == [b"HTTP/1.1 200 OK"] * 5
    assert answer.count(b'"finish_reason"') == 3


async def test_chunk_extension_that_comes_later(caller: Caller) -> None:
    """A body that is being read and turns into an endless extension is refused, not waited for."""
    async with connected(caller.url) as raw:
        await raw.send(POST + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        await raw.until(b"100 Continue\r\n\r\n")  # from now on the handler reads
        await raw.send(b"2;" + b"a" * 2_000)

        answer = await raw.until(b"}}")

    [head] = heads(answer)
    assert head == b"HTTP/1.1 400 Bad Request"
    assert b"The chunks of the body are malformed." in answer


async def test_half_close_is_a_caller_who_left(caller: Caller, emulator: Emulator) -> None:
    """Who shuts its side down gets nothing more, and Bedrock's stream is closed (S10)."""
    async with connected(caller.url) as raw:
        await raw.send(post(SILENT))
        await emulator.wait_active(1)
        raw.writer.write_eof()

        assert await raw.rest() == b""
        await emulator.wait_active(0)


async def test_every_byte_in_a_header(caller: Caller) -> None:
    """A byte in the request id is kept where it is well formed, else replaced or refused; never repeated."""
    head = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: "
    wrong = []
    for byte in range(256):
        value = b"id-d41d8cd9" + bytes([byte]) + b"x"
        answer = await exchanged(caller.url, head + value + b"\r\n\r\n")
        kept = b"X-Request-Id: " + value + b"\r\n" in answer
        well_formed = chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "._-")
        once = [line.split()[1] for line in heads(answer)] in ([b"200"], [b"400"])
        if not once or kept != well_formed or (not well_formed and b"id-d41d8cd9" in answer):
            wrong.append(byte)

    assert wrong == []
