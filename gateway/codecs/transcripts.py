"""The prompt of a completion model that takes one text and knows no turns.

One user message by itself is sent as it is. A conversation, or a system text, becomes a transcript: `User: …`
and the assistant's label line by line, ending where the assistant is to speak. In a transcript a line of a
caller's text that begins with a speaker's label would be a turn of its own, so such lines are quoted with
`> `: no text can put words into another speaker's mouth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.codecs.prompts import label_quoter, spoken

if TYPE_CHECKING:
    from gateway.domain import CompletionRequest

_USER: Final = "User"


class Transcripts:
    """Writes the prompts of one family.

    Args:
        model: the family's name, for refusals.
        assistant: the label of the assistant's lines.
    """

    def __init__(self, model: str, assistant: str) -> None:
        self._model = model
        self._labels = {"user": _USER, "assistant": assistant}
        self._quoted = label_quoter(_USER, assistant)

    def prompt(self, request: CompletionRequest) -> str:
        """Return the prompt.

        Raises:
            InvalidRequest: the conversation has anything but text, or tools are asked for.
        """
        said = spoken(request, self._model)
        if len(request.messages) == 1 and not request.system_text:
            return said[0][1]
        lines = [self._quoted(text)] if (text := request.system_text) else []
        lines += [f"{self._labels[role]}: {self._quoted(words)}" for role, words in said]
        if said[-1][0] == "user":
            lines.append(f"{self._labels['assistant']}:")
        return "\n".join(lines)
