"""Stop sequences for models that have none: the gateway looks for them in the answer itself.

Law: the text that comes out is the whole text up to the leftmost place at which some sequence stands, without
the sequence, however the text was cut into deltas. Where two sequences begin at one place it makes no
difference which of them is meant. A sequence that is complete waits as long as one that began before it may
still become complete.

Only the answer's text is looked at. Reasoning passes as it is: callers think of the answer when they choose
the sequences. Reasoning, a tool call or a citation between two pieces of text ends the first: no sequence is
found across it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.codecs.parameters import stop_sequences
from gateway.domain import FinishReason, Stop, TextDelta, Usage
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.domain import CompletionRequest, Event

FAMILY: Final = "emulated"
LONGEST: Final = 256
"""Characters of a sequence that is looked for here; the work per delta grows with it."""

STOPPED: Final = Stop(FinishReason.STOP, "stop_sequence")


def emulated(request: CompletionRequest) -> tuple[str, ...]:
    """Return the sequences to look for, after checking that looking for them costs little.

    Raises:
        InvalidRequest: too many, an empty one, or one that is too long.
    """
    for position, sequence in enumerate(request.stop):
        if len(sequence) > LONGEST:
            raise InvalidRequest(
                f"stop: at most {LONGEST} characters are accepted for this model.", param=f"stop[{position}]"
            )
    return tuple(stop_sequences(request, FAMILY))


class StopFilter:
    """Passes the events of one answer on, up to the first stop sequence in its text.

    Args:
        sequences: what to look for; none of them empty.
    """

    __slots__ = ("_anywhere", "_begins", "_held", "_longest", "_sequences", "cut")

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self.cut = False
        """Whether a sequence was found: the answer is over, whatever the model goes on to say."""
        self._sequences = sequences
        self._longest = max(map(len, sequences))
        self._anywhere = re.compile("|".join(map(re.escape, sequences)))
        self._begins = re.compile("[" + "".join({re.escape(sequence[0]) for sequence in sequences}) + "]")
        self._held = ""  # the end of the text so far, from where a sequence may have begun

    def feed(self, heard: Iterable[Event], events: list[Event]) -> None:
        """Append what of `heard` belongs to the answer; the shortest possible end of the text waits.

        Behind the cut only counters pass: they were paid for.
        """
        for event in heard:
            if type(event) is TextDelta:
                if not self.cut:
                    self._look(event.text, events)
            elif type(event) is Usage:
                events.append(event)
            elif not self.cut:
                self._end_of_text(event, events)

    def flush(self, events: list[Event]) -> None:
        """The text is over, well or badly: append what waited, up to a sequence that is complete in it."""
        held, self._held = self._held, ""
        found = self._anywhere.search(held)
        self.cut = self.cut or found is not None
        _say(held if found is None else held[: found.start()], events)

    def _end_of_text(self, event: Event, events: list[Event]) -> None:
        self.flush(events)
        if not self.cut:
            events.append(event)

    def _look(self, text: str, events: list[Event]) -> None:
        text = self._held + text
        found = self._anywhere.search(text)
        begun = self._begun(text)
        self.cut = found is not None and found.start() <= begun
        if found is not None and self.cut:
            begun = found.start()
        self._held = "" if self.cut else text[begun:]
        _say(text[:begun], events)

    def _begun(self, text: str) -> int:
        """Return where a sequence begins that the text ends in the midst of; its length if there is none."""
        for start in self._begins.finditer(text, max(0, len(text) - self._longest + 1)):
            rest = text[start.start() :]
            if any(len(rest) < len(sequence) and sequence.startswith(rest) for sequence in self._sequences):
                return start.start()
        return len(text)


def _say(text: str, events: list[Event]) -> None:
    if text:
        events.append(TextDelta(text))
