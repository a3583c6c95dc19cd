"""OpenAI's Responses as a stream: its events in their order, each numbered.

An item of the output begins when the model first says something of its kind, and ends when something of
another kind begins. Only calls whose arguments have not come yet stay open: a family may tell those at the
end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.completion import FoldedReasoning, FoldedText, FoldedToolCall
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
        self._items: list[Object | None] = []  # those that are whole
        self._current: Block | None = None
        self._place = 0  # of the current one in the output
        self._calls: list[tuple[int, FoldedToolCall]] = []
        self._before = ""

    def start(self, begun: Begun) -> bytes:
        """Return `response.created` and `response.in_progress`."""
        self._begun = begun
        self._response = objects.response(begun, self._created_at, self._echo)
        self._tell("response.created", response=self._response)
        self._tell("response.in_progress", response=self._response)
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
        self._close()
        for place, call in self._calls:
            if self._items[place] is None:
                self._end_call(place, call)
        response = {**self._response, **objects.ending(ended), "output": self._items}
        self._tell(f"response.{response['status']}", response=response)
        return self._taken()

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes:
        """Return the `error` event. It has an `error` of its own, which is where the SDKs look for it."""
        del usage
        problem = {"type": fault.code, "message": fault.message, "param": fault.param, "code": fault.code}
        self._tell("error", code=fault.code, message=fault.message, param=fault.param, error=problem,
                   request_id=request_id)  # fmt: skip
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
            self._tell("response.reasoning_summary_text.delta", **self._here(), summary_index=0,
                       delta=delta.text)  # fmt: skip
        block.signature, block.redacted = delta.signature, delta.redacted

    def _call(self, event: ToolCall) -> None:
        self._close()
        call = FoldedToolCall(event.id, event.name)
        self._begin(call, lambda name: objects.function_call(name, call, "in_progress"))
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
        self._tell("response.output_text.annotation.added", **self._here(), content_index=0,
                   annotation_index=len(block.citations) - 1,
                   annotation=objects.annotation(event.citation))  # fmt: skip

    # ── items ─────────────────────────────────────────────────────────────────────────────────────────

    def _open_text(self) -> FoldedText:
        self._close()
        self._current = block = FoldedText()
        self._begin(block, lambda name: objects.message(name, [], "in_progress"))
        part = objects.output_text("", [])
        self._tell("response.content_part.added", **self._here(), content_index=0, part=part)
        fixed = json.dumps({"type": "response.output_text.delta", **self._here(), "content_index": 0,
                            "logprobs": [], "delta": ""})  # fmt: skip
        self._before = "event: response.output_text.delta\ndata: " + fixed.decode()[:-2]
        return block

    def _open_reasoning(self) -> FoldedReasoning:
        self._close()
        self._current = block = FoldedReasoning()
        self._begin(block, lambda name: objects.reasoning(name, block))
        return block

    def _begin(self, block: Block, made: Any) -> None:
        self._place = len(self._items)
        name = objects.item_id(self._begun, self._place, block)
        self._names.append(name)
        self._items.append(None)
        self._tell("response.output_item.added", output_index=self._place, item=made(name))

    def _close(self) -> None:
        """End the current item, unless it is a call of which nothing has come."""
        block, self._current = self._current, None
        if isinstance(block, FoldedToolCall):
            if block.pieces:
                self._end_call(self._place, block)
        elif isinstance(block, FoldedText):
            text = block.text
            self._tell("response.output_text.done", **self._here(), content_index=0, text=text, logprobs=[])
            part = objects.output_text(text, block.citations)
            self._tell("response.content_part.done", **self._here(), content_index=0, part=part)
            self._end(self._place, block)
        elif isinstance(block, FoldedReasoning):
            if block.pieces:
                text = "".join(block.pieces)
                self._tell("response.reasoning_summary_text.done", **self._here(), summary_index=0, text=text)
                self._tell_part("response.reasoning_summary_part.done", text)
            self._end(self._place, block)

    def _end_call(self, place: int, call: FoldedToolCall) -> None:
        self._tell("response.function_call_arguments.done", item_id=self._names[place], output_index=place,
                   name=call.name, arguments=call.arguments)  # fmt: skip
        self._end(place, call)

    def _end(self, place: int, block: Block) -> None:
        self._items[place] = item = objects.item(self._names[place], block)
        self._tell("response.output_item.done", output_index=place, item=item)

    def _here(self) -> Object:
        return {"item_id": self._names[self._place], "output_index": self._place}

    # ── events ────────────────────────────────────────────────────────────────────────────────────────

    def _tell_part(self, kind: str, text: str) -> None:
        self._tell(kind, **self._here(), summary_index=0, part={"type": "summary_text", "text": text})

    def _tell(self, kind: str, **fields: Any) -> None:
        record = {"type": kind, **fields, "sequence_number": self._number}
        self._number += 1
        self._pieces.append(sse.frame(json.dumps(record), kind))

    def _taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
