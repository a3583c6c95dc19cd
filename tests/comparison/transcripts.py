"""What came back, byte for byte, and how it ended: all that a judgement may look at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "127.0.0.1"
_READ = 65_536

End: TypeAlias = Literal["whole", "closed", "reset", "silent", "left"]
"""`whole`: HTTP says that the answer is over. `closed`, `reset`: the connection ended before that.
`silent`: our patience ended. `left`: we went, as the scenario wanted."""


class Message(NamedTuple):
    """An HTTP answer as far as it came; `status` is 0 where not even a status line did."""

    status: int
    body: bytes
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The bytes of one answer, transfer coding included, and what ended them after so many seconds."""

    raw: bytes
    end: End
    seconds: float

    @property
    def message(self) -> Message:
        """What the bytes say."""
        return parse(self.raw, closed=self.end == "closed")


def encode_post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a whole POST request with a JSON body."""
    fields = {"Host": HOST, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def parse(raw: bytes, *, closed: bool = False) -> Message:
    """Return the answer in `raw`; `closed`: its sender has ended the connection, properly, behind it."""
    head, found, rest = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    if not found or len(words := status_line.split(" ", 2)) < 2:
        return Message(0, b"", whole=False)
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return Message(int(words[1]), *_dechunk(rest))
    length = int(fields["content-length"]) if "content-length" in fields else None
    whole = closed if length is None else len(rest) >= length
    return Message(int(words[1]), rest[:length], whole)


def _dechunk(data: bytes) -> tuple[bytes, bool]:
    """Return the body as far as it came, and whether its last chunk did."""
    body = b""
    while (line_end := data.find(b"\r\n")) >= 0:
        size = int(data[:line_end].partition(b";")[0], 16)
        if not size:
            return body, True
        body += data[line_end + 2 : line_end + 2 + size]
        data = data[line_end + 2 + size + 2 :]
    return body, False


async def exchange(
    port: int, request: bytes, *, patience: float, leave_at: bytes | None = None
) -> Transcript:
    """Send a request and return what came back within `patience` seconds.

    With `leave_at`, close the connection as soon as those bytes have come; where they are empty, when
    patience ends.
    """
    clock = asyncio.get_running_loop().time
    begun, raw = clock(), bytearray()
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.timeout(patience):
            writer.write(request)
            end = await _receive(reader, raw, leave_at)
    except TimeoutError:
        end = "silent" if leave_at is None else "left"
    except ConnectionError:
        end = "reset"
    finally:
        seconds = clock() - begun
        writer.close()
    return Transcript(raw=bytes(raw), end=end, seconds=round(seconds, 3))


async def _receive(reader: asyncio.StreamReader, raw: bytearray, leave_at: bytes | None) -> End:
    while piece := await reader.read(_READ):
        raw += piece
        if leave_at and leave_at in raw:
            return "left"
        if parse(bytes(raw)).whole:
            return "whole"
    return "closed"
