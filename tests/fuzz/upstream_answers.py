"""Answers of upstream's as one text, for the target `readers`.

An input is text: a first line `FAMILY MODE SEQUENCE,SEQUENCE`, then for `stream` a frame a line:

    event-type TAB payload      an event; families under InvokeModel get their payload in its envelope
    !exception-type TAB payload an exception frame
    ?error-code TAB message     an error frame
    =event-type TAB payload     an event whose payload is not put into an envelope
    #bytes                      bytes between frames
    ~N                          the last N bytes of what is there so far are missing

and for `unary` the body. Everything is a valid input: what is missing is empty, an unknown family is chosen.
`whole_answers` reads two more kinds.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from gateway.bedrock.reader import StreamReader, UnaryReader
from gateway.codecs import CODECS
from gateway.wire.eventstream import encode

FAMILIES = sorted(CODECS)
SEQUENCES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of upstream's."""

    family: Any
    streamed: bool
    stop: tuple[str, ...]
    body: bytes

    def reader(self) -> StreamReader | UnaryReader:
        """Return the reader that the gateway would take."""
        codec = CODECS[self.family]
        if self.streamed:
            return StreamReader(codec.extractor(), enveloped=self.family != "converse")
        count = str(len(self.body))
        headers = {"x-amzn-bedrock-input-token-count": count, "x-amzn-bedrock-output-token-count": "1"}
        return UnaryReader(codec, headers)


def parse(data: bytes) -> Answer:
    """Return the answer that an input describes."""
    head, _, rest = data.partition(b"\n")
    family, mode, stop = (*head.decode("utf-8", "replace").split(" ", 2), "", "")[:3]
    if family not in CODECS:
        family = FAMILIES[crc32(family.encode()) % len(FAMILIES)]
    streamed = mode != "unary"
    sequences = tuple(part for part in stop.split(",") if part)[:SEQUENCES]
    body = _stream(rest.split(b"\n"), enveloped=family != "converse") if streamed else rest
    return Answer(family, streamed, sequences, body)


def _stream(lines: list[bytes], *, enveloped: bool) -> bytes:
    stream = b""
    for line in lines:
        kind, _, payload = line.partition(b"\t")
        name = kind[1:].decode("utf-8", "replace")[:300]
        if kind.startswith(b"#"):
            stream += line[1:]
        elif kind.startswith(b"!"):
            stream += encode({":exception-type": name, ":message-type": "exception"}, payload)
        elif kind.startswith(b"?"):
            words = payload.decode("utf-8", "replace")[:1000]
            stream += encode({":error-code": name, ":error-message": words, ":message-type": "error"}, b"")
        elif kind.startswith(b"~"):
            stream = stream[: len(stream) - int(kind[1:4])] if kind[1:4].isdigit() else stream
        elif line:
            bare = kind.startswith(b"=")
            event_type = kind.removeprefix(b"=").decode("utf-8", "replace")[:300]
            if enveloped and not bare and event_type == "chunk":
                payload = b'{"bytes":"%b","p":"abc"}' % base64.b64encode(payload)
            stream += encode({":event-type": event_type, ":message-type": "event"}, payload)
    return stream
