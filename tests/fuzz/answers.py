"""Reading what a server sent over one connection: HTTP answers, of which only the last may be cut."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.fuzz.target import demand

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [ -~]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `bodiless`: its head tells of a body that does not follow, as after HEAD."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes
    cut: bool = False
    bodiless: bool = False


def answers(data: bytes, *, may_be_cut: bool) -> list[Answer]:
    """Return the answers in the bytes; raises `FindingError` where they are no HTTP."""
    found: list[Answer] = []
    while data:
        answer = _first(data)
        demand(not answer.cut or may_be_cut, "an answer is cut", data)
        found.append(answer)
        data = data[len(answer.raw) :]
    return found


def _first(data: bytes) -> Answer:
    head, gap, rest = data.partition(b"\r\n\r\n")
    if not gap:
        return Answer(0 if not data.startswith(b"HTTP") else 100, {}, b"", data, cut=True)
    line, *fields = head.split(b"\r\n")
    status = STATUS_LINE.fullmatch(line)
    demand(status is not None, "no status line", data)
    headers = {
        name.decode().lower(): value.strip().decode()
        for name, _, value in (f.partition(b":") for f in fields)
    }
    demand(len(headers) == len(fields), "a header twice or none", head)
    number = int(status[1]) if status else 0
    taken = len(head) + len(gap)
    if number == 100:
        return Answer(number, headers, b"", data[:taken])
    if headers.get("transfer-encoding") == "chunked":
        body, length, whole = _chunked(rest)
        bodiless = not whole and (not rest or rest.startswith(b"HTTP/1."))
        return Answer(
            number, headers, body, data[: taken + length], cut=not whole and not bodiless, bodiless=bodiless
        )
    if "content-length" not in headers:  # ends with the connection: HTTP/1.0
        return Answer(number, headers, rest, data)
    length = int(headers["content-length"])
    if length and (not rest or rest.startswith(b"HTTP/1.")):
        return Answer(number, headers, b"", data[:taken], bodiless=True)
    return Answer(number, headers, rest[:length], data[: taken + length], cut=len(rest) < length)


def _chunked(rest: bytes) -> tuple[bytes, int, bool]:
    """Return the body, how many bytes it took on the wire, and whether its end is there."""
    body, offset = b"", 0
    while (end := rest.find(b"\r\n", offset)) >= 0:
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", rest[offset:end]):
            break
        size = int(rest[offset:end], 16)
        body += rest[end + 2 : end + 2 + size]
        offset = end + 2 + size + 2
        if offset > len(rest):
            break
        if size == 0:
            return body, offset, True
    if rest.startswith(b"HTTP/1."):
        return b"", 0, False
    return body, len(rest), False
