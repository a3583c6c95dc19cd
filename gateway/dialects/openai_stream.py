"""OpenAI's stream as bytes: `chat.completion.chunk` events, `[DONE]` behind a whole answer and only there.

Pieces of reasoning come twice, as `reasoning_content` and inside `thinking_blocks`, whose entries have an
`index` as those of `tool_calls` do: so the SDKs put them together. An answer that failed ends with an event
that has an `error`, which the SDKs raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from gateway.dialects.openai_answer import finish, head, usage
from gateway.dialects.openai_errors import problem
from gateway.dialects.text_records import TextRecords
from gateway.domain import Citation, ReasoningDelta, TextDelta, ToolCall, ToolCallDelta
from gateway.wire import json, sse

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import Event, Usage
    from gateway.errors import GatewayError

DONE: Final = b"data: [DONE]\n\n"


class ChatStream:
    """Encodes the chunks of one answer. `created` is in seconds since 1970."""

    __slots__ = (
        *("_before", "_behind", "_blocks", "_citations", "_created", "_include_usage", "_open"),
        *("_service_tier", "_texts"),
    )

    content_type: Final = sse.CONTENT_TYPE
    heartbeat: Final = sse.comment()

    def __init__(self, created: int, *, include_usage: bool = False, service_tier: str | None = None) -> None:
        self._created = created
        self._include_usage = include_usage
        self._service_tier = service_tier
        self._before: bytes
        self._behind: bytes
        self._texts: TextRecords
        self._blocks = 0  # of reasoning, so far
        self._open = False  # whether the last of them may go on
        self._citations = 0

    def start(self, begun: Begun) -> bytes:
        """Return the chunk that says who speaks."""
        fields = json.dumps(head("chat.completion.chunk", begun, self._created, self._service_tier))
        self._before = b'data: %b,"choices":[{"index":0,"delta":' % fields[:-1]
        tail = b',"usage":null}' if self._include_usage else b"}"
        self._behind = b',"finish_reason":null}]%b\n\n' % tail
        self._texts = TextRecords(self._before + b'{"content":""}' + self._behind, _as_it_is)
        return self._chunk({"role": "assistant", "content": ""})

    def events(self, batch: list[Event]) -> bytes:
        """Return the chunks of a batch, one for each event that says something."""
        pieces: list[bytes] = []
        texts: list[str] = []  # of the text deltas in a row
        for event in batch:
            if type(event) is TextDelta:
                texts.append(event.text)
                continue
            encode = self._ENCODERS.get(type(event))
            if encode is None:  # usage and stop, which `done` tells
                continue
            if texts:
                pieces.append(self._said(texts))
                texts = []
            pieces.append(encode(self, event))
        if texts:
            pieces.append(self._said(texts))
        return b"".join(pieces)

    def done(self, ended: Ended) -> bytes:
        """Return the chunk with the reason, the chunk of the usage where it is wanted, and the end."""
        reason = json.dumps(finish(ended))[1:]
        tail = b',"usage":null}' if self._include_usage else b"}"
        data = b"%b{},%b]%b\n\n" % (self._before, reason, tail)
        if self._include_usage:
            counted = json.dumps(usage(ended.usage, ended.cost_usd))
            data += b'%b,"choices":[],"usage":%b}\n\n' % (self._before.partition(b',"choices":')[0], counted)
        return data + DONE

    def error(self, fault: GatewayError, usage_so_far: Usage, *, request_id: str) -> bytes:
        """Return the event that says that the answer failed, with the usage known so far."""
        failed = {"error": problem(fault, request_id=request_id), "usage": usage(usage_so_far)}
        return sse.frame(json.dumps(failed))

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._before + json.dumps(delta) + self._behind

    def _said(self, texts: list[str]) -> bytes:
        self._open = False
        return self._texts.encode(texts)

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        """Number the blocks as `completion.Completion` makes them."""
        if event.redacted is not None:
            self._blocks, self._open = self._blocks + 1, False
            return self._thinking({"type": "redacted_thinking", "data": event.redacted})
        if not self._open:
            self._blocks, self._open = self._blocks + 1, True
        if event.signature is not None:
            self._open = False
            return self._thinking({"type": "thinking", "thinking": "", "signature": event.signature})
        return (
            b'%b{"reasoning_content":%b,"thinking_blocks":[{"index":%d,"type":"thinking","thinking":%b}]}%b'
            % (self._before, piece := json.dumps(event.text), self._blocks - 1, piece, self._behind)
        )

    def _thinking(self, block: dict[str, Any]) -> bytes:
        return self._chunk({"thinking_blocks": [{"index": self._blocks - 1, **block}]})

    def _tool_call(self, event: ToolCall) -> bytes:
        self._open = False
        function = {"name": event.name, "arguments": ""}
        call = {"index": event.index, "id": event.id, "type": "function", "function": function}
        return self._chunk({"tool_calls": [call]})

    def _arguments(self, event: ToolCallDelta) -> bytes:
        return b'%b{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}%b' % (
            self._before,
            event.index,
            json.dumps(event.arguments),
            self._behind,
        )

    def _citation(self, event: Citation) -> bytes:
        self._open = False
        self._citations += 1
        return self._chunk({"citations": [{**event.citation, "index": self._citations - 1}]})

    _ENCODERS: ClassVar[dict[type[Event], Callable[[ChatStream, Any], bytes]]] = {
        ReasoningDelta: _reasoning,
        ToolCall: _tool_call,
        ToolCallDelta: _arguments,
        Citation: _citation,
    }


def _as_it_is(record: bytes) -> bytes:
    return record
