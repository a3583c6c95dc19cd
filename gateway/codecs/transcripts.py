"""The prompt of a completion model that takes one text and knows no turns.

One user message by itself is sent as it is. A conversation, or a system text, becomes a transcript: `User: …`
and the assistant's label line by line, ending where the assistant is to speak. In a transcript a line of a
caller's text that begins with a speaker's label would be a turn of its own, so such lines are quoted with
`> `: no text can put words into another speaker's mouth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.codecs.turns import NAMES, turns
from gateway.domain import TextPart
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.domain import CompletionRequest, Part

_USER: Final = "User"
_BREAKS: Final = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # whatever a reader may take for the end of a line


class Transcripts:
    """Writes the prompts of one family.

    Args:
        model: the family's name, for refusals.
        assistant: the label of the assistant's lines.
    """

    def __init__(self, model: str, assistant: str) -> None:
        self._model = model
        self._labels = {"user": _USER, "assistant": assistant}
        # each run of blanks is looked at once: linear in the text
        self._label = re.compile(
            rf"(?:^|(?<=[{_BREAKS}]))(?=[^\S{_BREAKS}]*(?:{_USER}|{assistant})\s*:)", re.IGNORECASE
        )

    def prompt(self, request: CompletionRequest) -> str:
        """Return the prompt.

        Raises:
            InvalidRequest: the conversation has anything but text, or tools are asked for.
        """
        self._refuse_tools(request)
        conversation = turns(request)
        said = [
            (turn.role, "\n".join(self._words(path, part) for path, part in turn.parts))
            for turn in conversation
        ]
        if len(request.messages) == 1 and not request.system:
            return said[0][1]
        lines = [self._quoted(request.system)] if request.system else []
        lines += [f"{self._labels[role]}: {self._quoted(words)}" for role, words in said]
        if conversation[-1].role == "user":
            lines.append(f"{self._labels['assistant']}:")
        return "\n".join(lines)

    def _refuse_tools(self, request: CompletionRequest) -> None:
        choice = request.tool_choice
        if request.tools or (choice is not None and choice.mode != "none"):
            param = "tools" if request.tools else "tool_choice"
            raise InvalidRequest(f"{self._model} does not take tools.", param=param)

    def _words(self, path: str, part: Part) -> str:
        if not isinstance(part, TextPart):
            raise InvalidRequest(f"{self._model} does not take {NAMES[type(part)]}.", param=path)
        return part.text

    def _quoted(self, words: str) -> str:
        return self._label.sub("> ", words)
