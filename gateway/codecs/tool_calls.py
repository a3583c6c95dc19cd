"""The tool calls of one answer: numbered 0, 1, … as they appear, whatever block numbers the family uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from gateway.codecs.shapes import malformed
from gateway.domain import ToolCall, ToolCallDelta

if TYPE_CHECKING:
    from gateway.domain import Event


@dataclass(slots=True)
class _Open:
    index: int
    initial: Any  # arguments that came with the beginning of the call, as JSON values
    streamed: bool = False


class ToolCalls:
    """Turns blocks into numbered calls.

    Invariant: the argument pieces of every call that has ended make one JSON text; a call for which the
    model streamed nothing gets what came with its beginning, `{}` at the least.
    """

    __slots__ = ("_foreign", "_next", "_open")

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._foreign: set[int] = set()
        self._next = 0

    def begin(self, block: int, call: tuple[str, str], events: list[Event], initial: Any = None) -> None:
        """Block number `block` is the tool call `(id, name)`."""
        if block in self._open:
            raise malformed(f"tool call block {block} begins twice")
        self._open[block] = _Open(self._next, {} if initial is None else initial)
        events.append(ToolCall(self._next, *call))
        self._next += 1

    def ignore(self, block: int) -> None:
        """Block number `block` takes arguments that are nobody's business: a tool that the provider runs."""
        self._foreign.add(block)

    def arguments(self, block: int, piece: str, events: list[Event]) -> None:
        """Take the next piece of the arguments' JSON text."""
        call = self._open.get(block)
        if call is None:
            if block in self._foreign:
                return
            raise malformed(f"tool arguments for block {block}, which is not an open tool call")
        if piece:
            call.streamed = True
            events.append(ToolCallDelta(call.index, piece))

    def end(self, block: int, events: list[Event]) -> None:
        """Block number `block` is over; blocks that are not tool calls may be named too."""
        self._foreign.discard(block)
        call = self._open.pop(block, None)
        if call is not None and not call.streamed:
            events.append(ToolCallDelta(call.index, orjson.dumps(call.initial).decode()))

    def end_all(self, events: list[Event]) -> None:
        """The message is over, and with it every block that the provider forgot to end."""
        while self._open:
            self.end(next(iter(self._open)), events)

    def whole(self, call: tuple[str, str], arguments: Any, events: list[Event]) -> None:
        """Take a call that came in one piece, as unary answers bring it."""
        self.begin(-1, call, events, arguments)
        self.end(-1, events)
