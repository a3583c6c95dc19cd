"""HTTP/1.1 as a client speaks it: a request's head to bytes, and the bytes of its answer to head and body.

The parser pushes: it is given whatever a read brought, and gives back the bytes of the body that were in it.
It is strict, because whoever guesses where an answer ends may take the next one for a part of it: what is
not plainly one answer is a fault. Of RFC 9112 it takes what an origin or a proxy of today sends; obsolete
line folding, bare line feeds, two lengths, and transfer codings other than `chunked` are faults.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, NoReturn, TypeAlias

from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_HEAD: Final = 32 * 1024
"""Bytes of one head, or of all trailers."""
MAX_FIELDS: Final = 128
MAX_INTERIM: Final = 16
"""Interim answers (1xx) before the one that counts."""
MAX_SIZE_LINE: Final = 256
"""Bytes of the line before a chunk, with its extensions (reliability.md R61)."""

_VISIBLE: Final = bytes({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})
_BEGINNING: Final = b"HTTP/1."
_BEGUN: Final = len(_BEGINNING)
_STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_SIZE: Final = rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n"
_SIZE_LINE: Final = re.compile(_SIZE)
_NEXT_SIZE_LINE: Final = re.compile(rb"\r\n" + _SIZE)
_SWITCHING: Final = 101
_FINAL: Final = 200
_WITHOUT_BODY: Final = frozenset({204, 304})
NO_HTTP: Final = "What answered in Bedrock's place does not speak HTTP."
BROKEN: Final = "The connection to Bedrock broke in the middle of the answer."

_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long

State: TypeAlias = Literal[
    "head", "counted", "size", "chunk", "behind", "trailers", "endless", "ended", "dead"
]


class Head(NamedTuple):
    """The head of a final answer. Names are lower-case; values of equal names are joined by commas."""

    status: int
    headers: Mapping[str, str]


def encode_lines(lines: Sequence[str]) -> bytes:
    """Return lines of a request's head, each with its line break; an empty one ends the head.

    Raises:
        ValueError: a line holds a control character, a line break among them.
    """
    encoded = "\r\n".join([*lines, ""]).encode()
    if encoded.translate(None, _VISIBLE) != b"\r\n" * len(lines):
        raise ValueError("a header of the request holds a control character")
    return encoded


class ResponseParser:
    """Push parser of one answer to a request other than HEAD and CONNECT.

    After a fault it is dead: each later call raises that fault again.
    """

    __slots__ = ("_fault", "_interim", "_left", "_pending", "_state", "ended", "head", "reusable")

    def __init__(self) -> None:
        self.head: Head | None = None
        self.reusable = False
        """Whether the connection may carry another exchange once the answer has `ended`."""
        self.ended = False
        """Whether the answer is whole."""
        self._state: State = "head"
        self._left = 0  # bytes of the body, or of the chunk, that are still to come
        self._pending = b""  # the beginning of a line or a head that is not whole yet
        self._interim = 0
        self._fault: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"<ResponseParser {self._state}, {len(self._pending)} bytes buffered>"

    def feed(self, data: bytes, body: list[bytes]) -> None:
        """Append to `body` what is of it in `data`, in pieces.

        What came before a fault in the same `data` is appended before it is raised.

        Raises:
            UpstreamProtocolError: this is no answer that can be relied on; `detail` says why.
        """
        if self._pending:
            data, self._pending = self._pending + data, b""
        at, got = 0, len(data)
        while at < got:
            if self._state == "size":
                at = self._size_line(data, at, body)
            elif self._state == "chunk":
                at = self._chunk(data, at, body)
            elif self._state == "behind":
                at = self._line_break(data, at)
            else:
                at = self._unchunked(data, at, body)
        self.ended = self._state == "ended"

    def feed_end(self) -> bool:
        """Take the end of the connection; return whether the answer is whole by it."""
        if self._state == "endless":
            self._state, self.ended = "ended", True
        return self.ended

    # ── steps: each takes `data` from `at` on, and returns how far it came ──────────────────────────────

    def _unchunked(self, data: bytes, at: int, body: list[bytes]) -> int:
        match self._state:
            case "counted":
                end = min(at + self._left, len(data))
                body.append(data[at:end])
                self._left -= end - at
                if not self._left:
                    self._state = "ended"
                return end
            case "endless":
                body.append(data[at:])
            case "head":
                return self._take_head(data, at)
            case "trailers":
                return self._take_trailers(data, at)
            case "ended":
                self.reusable = False  # bytes that nobody asked for: whose answer would they begin?
            case _:
                assert self._fault is not None  # noqa: S101 - the dead have their fault
                self._fail(*self._fault)
        return len(data)

    def _take_head(self, data: bytes, at: int) -> int:
        if data[at : at + _BEGUN] != _BEGINNING[: len(data) - at]:
            self._refuse("the answer does not begin with a status line")
        end = self._block_end(data, at)
        if end < 0:
            return len(data)
        first, *fields = data[at:end].decode("latin-1").split("\r\n")
        status, minor = _read_status_line(first)
        if not status:
            self._refuse("the answer does not begin with a status line")
        headers = self._fields(fields)
        if status >= _FINAL:
            self._frame(status, headers, minor=minor)
        else:
            self._interim += 1
            if status == _SWITCHING or self._interim > MAX_INTERIM:
                self._refuse(f"an answer of status {status} was not asked for")
        return end + 4

    def _take_trailers(self, data: bytes, at: int) -> int:
        """Check the fields behind the last chunk: Bedrock sends none, and none has a meaning here."""
        if data[at : at + 2] == b"\r\n":
            self._state = "ended"
            return at + 2
        end = self._block_end(data, at)
        if end < 0:
            return len(data)
        self._fields(data[at:end].decode("latin-1").split("\r\n"))
        self._state = "ended"
        return end + 4

    def _block_end(self, data: bytes, at: int) -> int:
        """Return where the empty line behind a block of lines begins; -1 where it has not come yet."""
        end = data.find(b"\r\n\r\n", at, at + MAX_HEAD)
        block = data[at : end + 4 if end >= 0 else at + MAX_HEAD]
        breaks = b"\r\n" * block.count(b"\r\n")
        if end < 0 and block.endswith(b"\r"):
            breaks += b"\r"
        if block.translate(None, _VISIBLE) != breaks:
            self._refuse("a control character, or half a line break, in a head")
        if end < 0:
            self._keep(data, at, MAX_HEAD, "a head is too long")
        return end

    def _fields(self, lines: list[str]) -> dict[str, str]:
        if len(lines) > MAX_FIELDS:
            self._refuse("a head has too many fields")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            name = _lower(name)
            if not colon or not name:
                self._refuse("a line of a head is no field")
            value = value.strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def _frame(self, status: int, headers: dict[str, str], *, minor: str) -> None:
        """Decide how the body is delimited, and take the head."""
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None or minor == "0":
                self._refuse("where the answer ends cannot be told: its transfer coding")
            self._state = "size"
        elif length is not None:
            if _LENGTH.fullmatch(length) is None:
                self._refuse("where the answer ends cannot be told: its Content-Length")
            self._left = int(length)
            self._state = "counted" if self._left else "ended"
        else:
            self._state = "endless"
        if status in _WITHOUT_BODY:  # whatever the head says
            self._state = "ended"
        self.reusable = self._state != "endless" and _stays_open(headers.get("connection", ""), minor)
        self.head = _new(Head, (status, headers))

    def _size_line(self, data: bytes, at: int, body: list[bytes]) -> int:
        line = _SIZE_LINE.match(data, at, at + MAX_SIZE_LINE)
        if line is None:
            if data.find(b"\n", at, at + MAX_SIZE_LINE) >= 0:
                self._refuse("the size of a chunk cannot be read")
            return self._keep(data, at, MAX_SIZE_LINE, "the line before a chunk is too long")
        self._left = int(line[1], 16)
        if not self._left:
            self._state = "trailers"
            return line.end()
        self._state = "chunk"
        return self._chunk(data, line.end(), body)

    def _chunk(self, data: bytes, at: int, body: list[bytes]) -> int:
        """Take chunk after chunk, as long as they and the line between two of them are whole."""
        got, left = len(data), self._left
        while (end := at + left) <= got:
            body.append(data[at:end])
            if end + 2 == got and data[end:] == b"\r\n":  # as it comes from a server that sends at once
                self._state = "size"
                return got
            line = _NEXT_SIZE_LINE.match(data, end, end + 2 + MAX_SIZE_LINE)
            if line is None:
                self._state = "behind"
                return end
            at, left = line.end(), int(line[1], 16)
            if not left:
                self._state = "trailers"
                return at
        if at < got:
            body.append(data[at:])
        self._left = end - got
        return got

    def _line_break(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = "size"
            return at + 2
        if data[at:] != b"\r":
            self._refuse("a chunk is longer than its size")
        return self._keep(data, at, 2, "")

    def _keep(self, data: bytes, at: int, limit: int, words: str) -> int:
        """Keep what may become a whole line or head; return where the next read will go on."""
        if len(data) - at >= limit:
            self._refuse(words)
        self._pending = data[at:]
        return len(data)

    def _refuse(self, detail: str) -> NoReturn:
        self._fail(NO_HTTP if self.head is None else BROKEN, detail)

    def _fail(self, words: str, detail: str) -> NoReturn:
        self._state, self._pending, self.reusable = "dead", b"", False
        self._fault = (words, detail)
        raise UpstreamProtocolError(words, detail=detail)


@lru_cache(maxsize=64)
def _stays_open(connection: str, minor: str) -> bool:
    """Say what the `Connection` of an HTTP/1.`minor` answer means."""
    if not connection:
        return minor == "1"
    options = {option.strip(" \t") for option in connection.lower().split(",")}
    return "close" not in options and (minor == "1" or "keep-alive" in options)


@lru_cache(maxsize=64)
def _read_status_line(line: str) -> tuple[int, str]:
    """Return the status and the minor version; 0 for what is no status line."""
    found = _STATUS_LINE.fullmatch(line)
    return (0, "") if found is None else (int(found[2]), found[1])


@lru_cache(maxsize=256)
def _lower(name: str) -> str:
    """Return the name of a header in lower case; empty for what can be none."""
    return name.lower() if _TOKEN.fullmatch(name) else ""
