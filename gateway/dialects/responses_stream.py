"""OpenAI's Responses as a stream: its events in their order, each numbered.

An item of the output begins when the model first says something of its kind, and ends when something of
another kind begins. Only calls whose arguments are not whole yet stay open: a family may tell those at the
end, or of several calls by turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.completion import FoldedReasoning, FoldedText, FoldedToolCall
from gateway.dialects import openai_errors
from gateway.dialects import responses_objects as objects
from gateway.dialects.text_records import literal
from gateway.domain import Citation, ReasoningDelta, TextDelta, ToolCall, ToolCallDelta
from gateway.wire import json, sse

if TYPE_CHECKING:
    from gateway.completion import Block
    from gateway.dialects.protocol import Begun, Ended
    from gateway.dialects.responses_objects import Echo, Object
    from gateway.domain import Event, Usage
    from gateway.errors import GatewayError


_EVENT: Final = b'event: %b\ndata: {"type":"%b",%b,"sequence_number":%d}\n\n'


class ResponsesStream:
    """One response on its way; see `gateway.dialects.protocol.StreamEncoder`."""

    content_type: Final = sse.CONTENT_TYPE
    heartbeat: Final = sse.comment()

    def __init__(self, created_at: int, echo: Echo) -> None:
        self._created_at = created_at
        self._echo = echo
        self._begun: Begun
        self._response: Object = {}
        self._number = 0
        self._pieces: list[bytes] = []
        self._names: list[str] = []
        self._items: list[bytes] = []  # the JSON of those that are whole, nothing of the others
        self._current: Block | None = None
        self._place = 0  # of the current one in the output
        self._calls: list[tuple[int, FoldedToolCall]] = []
        self._name = b""
        self._here = b""
        self._before = ""

    def start(self, begun: Begun) -> bytes:
        """Return `response.created` and `response.in_progress`."""
        self._begun = begun
        self._response = objects.response(begun, self._created_at, self._echo)
        told = b'"response":%b' % json.dumps(self._response)
        self._say(b"response.created", told)
        self._say(b"response.in_progress", told)
        return self._taken()

    def events(self, batch: list[Event]) -> bytes:
        """Return the events of a batch."""
        for event in batch:
            if type(event) is TextDelta:
                self._text(event.text)
            elif type(event) is ToolCallDelta:
                self._arguments(event)
            elif type(event) is ReasoningDelta:
                self._reasoning(event)
            elif type(event) is ToolCall:
                self._call(event)
            elif type(event) is Citation:
                self._citation(event)
        return self._taken()

    def done(self, ended: Ended) -> bytes:
        """Return the ends of the items that are open, and `response.completed` or `response.incomplete`."""
        end = objects.ending(ended)
        self._close(end["status"].encode())
        for place, call in self._calls:
            if not self._items[place]:
                self._end_call(place, call)
        response = self._response | end
        kind = b"response.%b" % response["status"].encode()
        del response["output"]  # is JSON already
        told = b'"response":{"output":[%b],%b' % (b",".join(self._items), json.dumps(response)[1:])
        self._say(kind, told)
        return self._taken()

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes:
        """Return the `error` event. It has an `error` of its own, which is where the SDKs look for it."""
        del usage
        problem = openai_errors.problem(fault, request_id=request_id)
        told = {name: problem[name] for name in ("code", "message", "param")}
        self._tell("error", **told, error=problem)
        return self._taken()

    # ── what models say ───────────────────────────────────────────────────────────────────────────────

    def _text(self, text: str) -> None:
        block = self._current
        if type(block) is not FoldedText:
            block = self._open_text()
        block.pieces.append(text)
        self._pieces.append(f'{self._before}{literal(text)}","sequence_number":{self._number}}}\n\n'.encode())
        self._number += 1

    def _reasoning(self, delta: ReasoningDelta) -> None:
        block = self._current
        if not isinstance(block, FoldedReasoning) or block.complete or delta.redacted is not None:
            block = self._open_reasoning()
        if delta.text:
            if not block.pieces:
                self._tell_part("response.reasoning_summary_part.added", "")
            block.pieces.append(delta.text)
            self._tell("response.reasoning_summary_text.delta", **self._where(), summary_index=0,
                       delta=delta.text)  # fmt: skip
        block.signature, block.redacted = delta.signature, delta.redacted

    def _call(self, event: ToolCall) -> None:
        self._close()
        call = FoldedToolCall(event.id, event.name)
        self._begin(objects.function_call(self._place_next(call), call, "in_progress"))
        self._calls.append((self._place, call))
        self._current = call

    def _arguments(self, event: ToolCallDelta) -> None:
        place, call = self._calls[event.index]
        call.pieces.append(event.arguments)
        self._tell("response.function_call_arguments.delta", item_id=self._names[place], output_index=place,
                   delta=event.arguments)  # fmt: skip

    def _citation(self, event: Citation) -> None:
        block = self._current
        if not isinstance(block, FoldedText):
            block = self._open_text()
        block.citations.append(event.citation)
        self._tell("response.output_text.annotation.added", **self._where(), content_index=0,
                   annotation_index=len(block.citations) - 1,
                   annotation=objects.annotation(event.citation))  # fmt: skip

    # ── items ─────────────────────────────────────────────────────────────────────────────────────────

    def _open_text(self) -> FoldedText:
        self._close()
        self._current = block = FoldedText()
        self._place_next(block)
        item = (
            b'"output_index":%d,"item":{"id":"%b","type":"message","status":"in_progress","role":"assistant",'
            b'"content":[]}'
        )
        self._say(b"response.output_item.added", item % (self._place, self._name))
        part = b'%b,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}'
        self._say(b"response.content_part.added", part % self._here)
        self._before = (
            'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
            f'{self._here.decode()},"content_index":0,"logprobs":[],"delta":"'
        )
        return block

    def _open_reasoning(self) -> FoldedReasoning:
        self._close()
        self._current = block = FoldedReasoning()
        self._begin(objects.reasoning(self._place_next(block), block))
        return block

    def _place_next(self, block: Block) -> str:
        """Give the block the next place in the output, and return its name."""
        self._place = len(self._items)
        name = objects.item_id(self._begun, self._place, block)
        self._names.append(name)
        self._items.append(b"")
        self._name = name.encode()
        self._here = b'"item_id":"%b","output_index":%d' % (self._name, self._place)
        return name

    def _begin(self, item: Object) -> None:
        self._tell("response.output_item.added", output_index=self._place, item=item)

    def _close(self, status: bytes = b"completed") -> None:
        """End the current item, unless it is a call of which more is to come; a message has this status."""
        block, self._current = self._current, None
        if isinstance(block, FoldedToolCall):
            if _is_json(block.arguments):
                self._end_call(self._place, block)
        elif isinstance(block, FoldedText):
            self._end_text(block, status)
        elif isinstance(block, FoldedReasoning):
            if block.pieces:
                text = "".join(block.pieces)
                self._tell(
                    "response.reasoning_summary_text.done", **self._where(), summary_index=0, text=text
                )
                self._tell_part("response.reasoning_summary_part.done", text)
            self._end(self._place, json.dumps(objects.item(self._names[self._place], block)))

    def _end_text(self, block: FoldedText, status: bytes) -> None:
        """The text goes out four times: as text, in its part, in its item, in the response."""
        text, here = json.dumps(block.text), self._here
        self._say(
            b"response.output_text.done", b'%b,"content_index":0,"logprobs":[],"text":%b' % (here, text)
        )
        cited = json.dumps([objects.annotation(citation) for citation in block.citations])
        part = b'{"type":"output_text","text":%b,"annotations":%b,"logprobs":[]}' % (text, cited)
        self._say(b"response.content_part.done", b'%b,"content_index":0,"part":%b' % (here, part))
        item = b'{"id":"%b","type":"message","status":"%b","role":"assistant","content":[%b]}'
        self._end(self._place, item % (self._name, status, part))

    def _end_call(self, place: int, call: FoldedToolCall) -> None:
        name = self._names[place]
        self._tell("response.function_call_arguments.done", item_id=name, output_index=place,
                   name=call.name, arguments=call.arguments)  # fmt: skip
        self._end(place, json.dumps(objects.item(name, call)))

    def _end(self, place: int, item: bytes) -> None:
        self._items[place] = item
        self._say(b"response.output_item.done", b'"output_index":%d,"item":%b' % (place, item))

    # ── events ────────────────────────────────────────────────────────────────────────────────────────

    def _where(self) -> Object:
        return {"item_id": self._names[self._place], "output_index": self._place}

    def _tell_part(self, kind: str, text: str) -> None:
        self._tell(kind, **self._where(), summary_index=0, part={"type": "summary_text", "text": text})

    def _tell(self, kind: str, **fields: Any) -> None:
        self._say(kind.encode(), json.dumps(fields)[1:-1])

    def _say(self, kind: bytes, fields: bytes) -> None:
        """Send an event whose fields are JSON already."""
        self._pieces.append(_EVENT % (kind, kind, fields, self._number))
        self._number += 1

    def _taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
