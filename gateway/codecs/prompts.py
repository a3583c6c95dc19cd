r"""Prompts that we write ourselves, for models that take one text instead of a conversation.

Such a model tells the turns apart by marks in the text: special tokens (`<|eot_id|>`, `[/INST]`) or the
labels of the speakers (`\n\nHuman:`). A mark in a caller's text would end his turn and forge another's, so
each mark there is broken, and nothing else is touched:

- In a special token a space goes behind the first character: `< |eot_id|>`. A plain space, because it can be
  seen, by the model too, and no tokenizer takes it away as some do with characters of no width. As nothing is
  taken out and no token holds a space, no new token can come about, whatever the tokens were nested in.
- A line that begins with a speaker's label is quoted: `> Human:`. A space would not do: a label is words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.codecs.turns import NAMES, turns
from gateway.domain import TextPart
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain import CompletionRequest, Part, Role

_BARS: Final = "|｜￨∣│┃❘❙ǀ︱︳丨ㅣ⏐¦"
BARRED: Final = rf"[<＜](?=[{_BARS}][^\s<>＜＞{_BARS}]+[{_BARS}][>＞])"
"""`<|…|>` and `<｜…｜>`, the tokens of Llama 3 and 4, ChatML and DeepSeek, with any bar that looks like one.

Tokenizers know exactly one bar, but a model may read what merely looks like its tokens.
"""

_BREAKS: Final = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # whatever a reader may take for the end of a line


def token_breaker(*tokens: str) -> Callable[[str], str]:
    """Return what breaks the special tokens in a text.

    Each of `tokens` is a pattern for a token's first character, which looks ahead at the rest. So tokens that
    overlap are all found, each at its own place.
    """
    first = re.compile("|".join(tokens))
    return lambda words: first.sub(r"\g<0> ", words)


def label_quoter(*labels: str) -> Callable[[str], str]:
    """Return what quotes, with `> `, each line of a text that begins with one of the speakers' labels."""
    label = re.compile(
        rf"(?:^|(?<=[{_BREAKS}]))(?=[^\S{_BREAKS}]*(?:{'|'.join(labels)})\s*:)", re.IGNORECASE
    )  # each run of blanks is looked at once: linear in the text
    return lambda words: label.sub("> ", words)


def refuse_tools(request: CompletionRequest, who: str) -> None:
    """Refuse tools, and a choice among them, for a family that has none; `who` is its name in the message."""
    if request.tools:
        raise InvalidRequest(f"{who} does not take tools.", param="tools")
    if request.tool_choice is not None and request.tool_choice.mode != "none":
        raise InvalidRequest(f"{who} does not take tools.", param="tool_choice")


def spoken(request: CompletionRequest, who: str) -> list[tuple[Role, str]]:
    """Return the alternating turns of a conversation of nothing but text; parts are joined by line breaks.

    Raises:
        InvalidRequest: it has tools, or a part that is not text; `who` is the family's name in the message.
    """
    refuse_tools(request, who)
    return [
        (turn.role, "\n".join(_words(path, part, who) for path, part in turn.parts))
        for turn in turns(request)
    ]


def spoken_by_user_first(request: CompletionRequest, who: str) -> list[tuple[Role, str]]:
    """Return the same for a family whose template begins with the user.

    Raises:
        InvalidRequest: as `spoken`, and where the assistant speaks first.
    """
    said = spoken(request, who)
    if said[0][0] != "user":
        raise InvalidRequest(f"{who} needs a user's message first.", param="messages[0].role")
    return said


def under_system(system: str | None, said: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """Return the turns, the system text before the first one's: for families without a place for it."""
    if not system:
        return said
    (role, words), *rest = said
    return [(role, f"{system}\n\n{words}"), *rest]


def _words(path: str, part: Part, who: str) -> str:
    if not isinstance(part, TextPart):
        raise InvalidRequest(f"{who} does not take {NAMES[type(part)]}.", param=path)
    return part.text
