"""The native stream as bytes, in its three forms: NDJSON, server-sent events, bare text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects import native_records
from gateway.dialects.text_records import TextRecords
from gateway.domain import Stop, TextDelta, Usage
from gateway.wire import json, ndjson, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.native_records import Record
    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import Event
    from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class NativeFormat:
    """How records become bytes.

    `frame` is None for bare text, which has room for the answer's text only: no start, no terminal record.
    There a failure breaks the transfer instead.
    """

    name: str
    content_type: str
    frame: Callable[[bytes], bytes] | None
    heartbeat: bytes
    """What breaks a silence; empty where there is no room for it."""
    texts: TextRecords | None
    """None where `frame` is."""

    def encode(self, record: Record) -> bytes:
        """Return the bytes of one record; empty where the format has no place for it."""
        return b"" if self.frame is None else self.frame(json.dumps(record))

    def start(self, begun: Begun) -> bytes:
        """Return the `start` record."""
        return self.encode(native_records.start(begun))

    def events(self, batch: list[Event]) -> bytes:
        """Return the bytes of a batch of events: of their records, or of what bare text keeps of them."""
        if self.texts is None:
            said = "".join([event.text for event in batch if type(event) is TextDelta])
            return said.encode("utf-8", "replace")
        pieces: list[bytes] = []
        texts: list[str] = []  # of the text deltas in a row
        for event in batch:
            if type(event) is TextDelta:
                texts.append(event.text)
            elif type(event) is Usage or type(event) is Stop:
                continue  # as `delta` says, too, for more
            elif (record := native_records.delta(event)) is not None:
                if texts:
                    pieces.append(self.texts.encode(texts))
                    texts = []
                pieces.append(self.encode(record))
        if texts:
            pieces.append(self.texts.encode(texts))
        return b"".join(pieces)

    def done(self, ended: Ended) -> bytes:
        """Return the `done` record."""
        return self.encode(native_records.done(ended))

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes | None:
        """Return the `error` record; None for bare text, which cannot say that it failed."""
        if self.frame is None:
            return None
        return self.encode(native_records.error(fault, usage, request_id=request_id))


_EMPTY = json.dumps(native_records.delta(TextDelta("")))
NDJSON = NativeFormat(
    "ndjson",
    ndjson.CONTENT_TYPE,
    ndjson.frame,
    ndjson.frame(json.dumps(native_records.PING)),
    TextRecords(_EMPTY, ndjson.frame),
)
SSE = NativeFormat("sse", sse.CONTENT_TYPE, sse.frame, sse.comment(), TextRecords(_EMPTY, sse.frame))
TEXT = NativeFormat("text", "text/plain; charset=utf-8", None, b"", None)
