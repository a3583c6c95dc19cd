"""Reasoning that a model writes into its text between two tags, told apart from the answer.

Only the first section counts, and only where the answer begins: a tag further on is something that the model
talks about. Nothing but the two tags is taken away; white space stays where the model wrote it, as Bedrock
itself keeps it (Converse's recorded DeepSeek answer begins with two line breaks).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from gateway.domain import ReasoningDelta, TextDelta

if TYPE_CHECKING:
    from gateway.domain import Event


class _State(Enum):
    BEGINNING = auto()  # nothing but white space and what may become the opening tag
    REASONING = auto()
    ANSWERING = auto()


class TaggedText:
    """Splits the pieces of one text into reasoning and answer, wherever the pieces were cut.

    Args:
        opening: the tag before the reasoning, such as `<reasoning>`; not empty.
        closing: the tag behind it; not empty.
        inside: the prompt already ended with the opening tag, so the text begins as reasoning; a model that
            writes the tag again has it taken away all the same.

    Law: however a text is cut into pieces, the events join to the same reasoning and the same answer.
    Reasoning that is never closed is reasoning to its end: such an answer was cut short.
    """

    __slots__ = ("_closing", "_held", "_inside", "_opening", "_state")

    def __init__(self, opening: str, closing: str, *, inside: bool = False) -> None:
        self._opening: Final = opening
        self._closing: Final = closing
        self._inside = inside
        self._held = ""  # the end of the text so far, as long as it may be the beginning of a tag
        self._state = _State.BEGINNING

    def feed(self, piece: str, events: list[Event]) -> None:
        """Append what this piece says, except for an end that may be the beginning of a tag."""
        if self._state is _State.BEGINNING:
            piece = self._begin(piece, events)
        if self._state is _State.REASONING:
            piece = self._reason(piece, events)
        if piece and self._state is _State.ANSWERING:
            events.append(TextDelta(piece))

    def finish(self, events: list[Event]) -> None:
        """The text is over: append what was held back, which is no tag. Calling it again does nothing."""
        self._say(self._held, events)
        self._held = ""

    def _begin(self, piece: str, events: list[Event]) -> str:
        """Look for the opening tag; return what is left to read once it is known to be there or not."""
        piece = self._held + piece
        begun = piece.lstrip()
        self._say(piece[: len(piece) - len(begun)], events)
        self._held = ""
        if begun.startswith(self._opening):
            self._state, self._inside = _State.REASONING, True
            return begun[len(self._opening) :]
        if self._opening.startswith(begun):
            self._held = begun
            return ""
        self._state = _State.REASONING if self._inside else _State.ANSWERING
        return begun

    def _reason(self, piece: str, events: list[Event]) -> str:
        """Look for the closing tag; return what follows it."""
        piece = self._held + piece
        said, tag, rest = piece.partition(self._closing)
        if tag:
            self._held = ""
            self._say(said, events)
            self._state, self._inside = _State.ANSWERING, False
            return rest
        kept = _overlap(piece, self._closing)
        self._held = piece[len(piece) - kept :]
        self._say(piece[: len(piece) - kept], events)
        return ""

    def _say(self, said: str, events: list[Event]) -> None:
        if said:
            events.append(ReasoningDelta(text=said) if self._inside else TextDelta(said))


def _overlap(piece: str, tag: str) -> int:
    """Return how many characters at the end of `piece` begin `tag`; the whole tag is not in `piece`."""
    start = piece.find(tag[0], max(0, len(piece) - len(tag) + 1))
    while start >= 0 and not tag.startswith(piece[start:]):
        start = piece.find(tag[0], start + 1)
    return 0 if start < 0 else len(piece) - start
