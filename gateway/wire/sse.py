"""Server-sent events, as the WHATWG's HTML standard (§9.2.6) has them."""

from __future__ import annotations

from typing import Final

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"


def frame(record: bytes, event: str | None = None) -> bytes:
    """Return `record` as one event, of the type `event` if given.

    `record` comes from `wire.json.dumps`, which leaves no line break in it, so one `data` line is enough.

    Raises:
        ValueError: `event` holds a line break.
    """
    if event is None:
        return b"data: %b\n\n" % record
    return b"event: %b\ndata: %b\n\n" % (_line(event), record)


def comment(text: str = "") -> bytes:
    """Return a comment, which clients ignore: the heartbeat of a silent stream.

    Raises:
        ValueError: `text` holds a line break.
    """
    return b": %b\n\n" % _line(text) if text else b":\n\n"


def _line(text: str) -> bytes:
    if "\n" in text or "\r" in text:
        raise ValueError("a line of a server-sent event cannot hold a line break")
    return text.encode()
