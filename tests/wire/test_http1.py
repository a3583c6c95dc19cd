"""HTTP/1.1 answers: what they are, what they are not, and the same however they are cut."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, TypeAlias

import pytest
from aiohttp import ClientPayloadError
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamProtocolError
from gateway.wire.http1 import (
    BROKEN,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_INTERIM,
    MAX_SIZE_LINE,
    NO_HTTP,
    ResponseParser,
    encode_lines,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
COUNTED = OK + b"Content-Length: 5\r\n\r\n"
BYTE_BY_BYTE = 4096
"""Longer inputs are only cut at random."""
Outcome: TypeAlias = "tuple[int, dict[str, str], bytes, bool, bool, tuple[str, str | None] | None]"


def parse(pieces: list[bytes], *, closed: bool = False) -> Outcome:
    """Return status, headers, body, whether it is whole and the connection reusable, and the fault."""
    parser, body, fault = ResponseParser(), list[bytes](), None
    try:
        for piece in pieces:
            parser.feed(piece, body)
    except UpstreamProtocolError as error:
        fault = (error.message, error.detail)
    if closed:
        parser.feed_end()
    status, headers = parser.head or (0, {})
    assert all(body)
    return status, dict(headers), b"".join(body), parser.ended, parser.reusable, fault


def parse_all_ways(data: bytes, *, closed: bool = False) -> Outcome:
    """Parse it whole, byte by byte and cut at random: it is the same."""
    outcome = parse([data], closed=closed)
    if len(data) <= BYTE_BY_BYTE:
        assert parse([data[at : at + 1] for at in range(len(data))], closed=closed) == outcome
    rng = Random(len(data))  # noqa: S311 - the cuts are a function of the input
    for _ in range(3):
        cuts = sorted(rng.choices(range(len(data) + 1), k=4))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert parse(pieces, closed=closed) == outcome
    return outcome


# bytes, then: status, body, whole, reusable
ANSWERS = {
    "counted": (COUNTED + b"hello", 200, b"hello", True, True),
    "not whole": (COUNTED + b"hell", 200, b"hell", False, True),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", 200, b"", True, True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True, True),
    "empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, b"", True, True),
    "unknown status": (b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", 799, b"", True, True),
    "chunked": (CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, b"hello!", True, True),
    "chunk not whole": (CHUNKED + b"5\r\nhello\r\nA\r\n!", 200, b"hello!", False, True),
    "no last chunk": (CHUNKED + b"5\r\nhello\r\n", 200, b"hello", False, True),
    "no end of trailers": (CHUNKED + b"0\r\n", 200, b"", False, True),
    "upper case": (OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n0a\r\n0123456789\r\n000\r\n\r\n", 200,
                   b"0123456789", True, True),
    "extension": (CHUNKED + b'5;a="b c" ;d\r\nhello\r\n0 ;x\r\n\r\n', 200, b"hello", True, True),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n", 200, b"hello", True, True),
    "until the end": (OK + b"A: b\r\n\r\nhello", 200, b"hello", False, False),
    "close": (OK + b"Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True, False),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True, False),
    "1.0 kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nh", 200, b"h",
                 True, True),
    "surplus": (COUNTED + b"hello\r\n", 200, b"hello", True, False),
    "surplus chunk": (CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, b"", True, False),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + COUNTED + b"hello",
                 200, b"hello", True, True),
    "204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b"", True, True),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", 304, b"", True, True),
    "error": (b"HTTP/1.1 429 Slow Down\r\nContent-Length: 2\r\n\r\n{}", 429, b"{}", True, True),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str) -> None:
    """What is an answer is taken, however it is cut, and whether it is whole is known."""
    data, status, body, whole, reusable = ANSWERS[name]
    outcome = parse_all_ways(data)
    assert (outcome[0], *outcome[2:]) == (status, body, whole, reusable, None)


def test_headers() -> None:
    """Names in lower case, values without the blanks around them; equal names are joined."""
    data = OK + b"X-Amzn-RequestId:  a-1 \t\r\nEmpty:\r\nA: \xe9\r\na: 2\r\nContent-Length: 0\r\n\r\n"
    headers = {"x-amzn-requestid": "a-1", "empty": "", "a": "é, 2", "content-length": "0"}
    assert parse_all_ways(data)[1] == headers


def test_the_end_of_the_connection() -> None:
    """It ends a body without any length, and no other."""
    assert parse_all_ways(OK + b"\r\nhello", closed=True)[2:5] == (b"hello", True, False)
    assert parse_all_ways(COUNTED + b"hell", closed=True)[2:4] == (b"hell", False)
    assert parse_all_ways(CHUNKED + b"1\r\na\r\n", closed=True)[2:4] == (b"a", False)
    assert parse_all_ways(OK, closed=True)[2:4] == (b"", False)


HEADS = {
    "another protocol": b"220 mail.example.com ESMTP\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "0.9": b"hello",
    "2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "case": b"http/1.1 200 OK\r\n\r\n",
    "empty line before": b"\r\n" + COUNTED,
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status is no number": b"HTTP/1.1 2O0 OK\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\n\r\n",
    "two blanks": b"HTTP/1.1  200 OK\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR": OK + b"A: b\rC: d\r\n\r\n",
    "CR before CRLF": OK + b"A: b\r\r\n\r\n",
    "CR and LF apart": OK + b"A: b\rc\nd\r\n\r\n",
    "NUL": OK + b"A: \x00\r\n\r\n",
    "DEL": OK + b"A: \x7f\r\n\r\n",
    "folded": OK + b"A: b\r\n c\r\n\r\n",
    "no colon": OK + b"A b\r\n\r\n",
    "no name": OK + b": b\r\n\r\n",
    "blank before the colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "odd name": OK + b"A(b): c\r\n\r\n",
    "name beyond ASCII": OK + b"\xe9: c\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "no end of interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1),
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "hexadecimal length": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "length with a separator": OK + b"Content-Length: 1_0\r\n\r\nhello",
    "length in other digits": OK + b"Content-Length: \xb2\r\n\r\nhello",
    "no length": OK + b"Content-Length:\r\n\r\nhello",
    "endless length": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    "chunked and a length": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length and chunked": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "compressed": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "too many fields": OK + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
    "too long": OK + b"A: " + b"b" * MAX_HEAD,
    "too long by its end": OK + b"A: " + b"b" * (MAX_HEAD - len(OK) - 6) + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_no_head(name: str) -> None:
    """What is not plainly the head of one answer is a fault, and nothing of it is taken."""
    status, _, body, whole, reusable, fault = parse_all_ways(HEADS[name])
    assert (status, body, whole, reusable) == (0, b"", False, False)
    assert fault is not None
    assert fault[0] == NO_HTTP


BODIES = {
    "no size": b"\r\n",
    "no number": b"xyz\r\n",
    "negative": b"-1\r\n",
    "signed": b"+1\r\nh\r\n",
    "prefixed": b"0x1\r\nh\r\n",
    "with a separator": b"1_0\r\n",
    "with a blank": b"5 \r\nhello\r\n",
    "bare LF": b"5\nhello\r\n",
    "bare CR": b"5\rhello\r\n",
    "endless size": b"f" * 16 + b"\r\n",
    "control character": b"5;a=\x01\r\n",
    "long extension": b"5;" + b"a" * MAX_SIZE_LINE,
    "long extension with its end": b"5;" + b"a" * (MAX_SIZE_LINE - 3) + b"\r\n",
    "trailer is no field": b"0\r\nhello\r\n\r\n",
    "bare LF behind the last": b"0\r\n\n",
    "control character in a trailer": b"0\r\nA: \x01\r\n\r\n",
    "too many trailers": b"0\r\n" + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
    "trailers too long": b"0\r\nA: " + b"b" * MAX_HEAD,
}


@pytest.mark.parametrize("start", [b"", b"2\r\nok\r\n"], ids=["first", "second"])
@pytest.mark.parametrize("name", BODIES)
def test_no_chunk(name: str, start: bytes) -> None:
    """Where a chunk cannot be made out the body is broken; what came before has been given."""
    status, _, body, whole, reusable, fault = parse_all_ways(CHUNKED + start + BODIES[name])
    assert (status, body, whole, reusable) == (200, b"ok" if start else b"", False, False)
    assert fault is not None
    assert fault[0] == BROKEN


@pytest.mark.parametrize("behind", [b"5\r\n", b"\n", b"\rx", b"lo"])
def test_a_chunk_longer_than_its_size(behind: bytes) -> None:
    """A chunk ends where its size says; the bytes of its size are given."""
    assert parse_all_ways(CHUNKED + b"3\r\nhel" + behind)[2:] == (
        *(b"hel", False, False), (BROKEN, "a chunk is longer than its size"),
    )  # fmt: skip


def test_a_dead_parser_stays_dead() -> None:
    """After a fault nothing is taken any more."""
    parser, body = ResponseParser(), list[bytes]()
    for data in (b"SSH-2.0", COUNTED + b"hello"):
        with pytest.raises(UpstreamProtocolError) as caught:
            parser.feed(data, body)
        assert caught.value.detail == "the answer does not begin with a status line"
    assert (body, parser.head, parser.ended, parser.reusable) == ([], None, False, False)
    assert repr(parser) == "<ResponseParser dead, 0 bytes buffered>"


# ── beside aiohttp's ──────────────────────────────────────────────────────────────────────────────────

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC-_0123456789", min_size=1, max_size=12).map(
    lambda name: f"X-{name}"
)
VALUES = st.text("abc 123;,=\"'/", max_size=20).map(str.strip)
PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return an answer and its body."""
    pieces = draw(PIECES)
    body = b"".join(pieces)
    fields = [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))]
    if draw(st.booleans()):
        fields.append(f"Content-Length: {len(body)}")
        sent = body
    else:
        fields.append("Transfer-Encoding: chunked")
        sent = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), draw(EXTENSIONS), piece) for piece in pieces)
        sent += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: a\r\n"])) + b"\r\n"
    lines = [draw(st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"])), *fields, "", ""]
    return "\r\n".join(lines).encode() + sent, body


def parse_with_aiohttp(data: bytes, loop: asyncio.AbstractEventLoop) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body as aiohttp's C parser reads them."""
    protocol = BaseProtocol(loop)
    parser: Any = HttpResponseParser(
        protocol, loop, 2**16, payload_exception=ClientPayloadError, auto_decompress=False
    )
    [(message, payload)], _, _ = parser.feed_data(data)
    headers: dict[str, str] = {}
    for name, value in message.headers.items():
        name = name.lower()  # noqa: PLW2901 - the same name
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = b""
    while not payload.at_eof():
        body += payload.read_nowait()
    return message.code, headers, body


@given(answers())
def test_equal_to_aiohttp(answer: tuple[bytes, bytes]) -> None:
    """Every answer that aiohttp's C parser takes is the same here, however it is cut."""
    data, body = answer
    loop = asyncio.new_event_loop()
    try:
        theirs = parse_with_aiohttp(data, loop)
    finally:
        loop.close()
    ours = parse_all_ways(data)
    assert ours[:3] == theirs
    assert ours[2:] == (body, True, True, None)


@given(answers(), st.randoms(use_true_random=False))
def test_mutilated(answer: tuple[bytes, bytes], rng: Random) -> None:
    """Whatever becomes of an answer on its way: it means the same however it is cut."""
    data = bytearray(answer[0])
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at] = rng.choice(b"\r\n\x000:; ,Af")
            case 1:
                del data[at : at + rng.randrange(1, 4)]
            case _:
                data[at:at] = rng.choice([b"\r\n", b"\n", b"\r", b"0\r\n\r\n", b" ", b"1"])
        data += b"!"
    parse_all_ways(bytes(data))


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────


def test_lines() -> None:
    """Each line with its break."""
    assert encode_lines(["POST / HTTP/1.1", "A: é", ""]) == "POST / HTTP/1.1\r\nA: é\r\n\r\n".encode()


@pytest.mark.parametrize("value", ["b\r\nC: d", "b\n", "b\r", "\x00", "\x7f"])
def test_no_line_within_a_line(value: str) -> None:
    """Nothing that comes from elsewhere makes a header of its own."""
    with pytest.raises(ValueError, match="control character"):
        encode_lines([f"A: {value}"])
