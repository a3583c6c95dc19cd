"""OpenAI's messages as turns of the domain.

What changes nothing is taken and not sent: the `name` of a system, assistant or tool message; of an earlier
answer `annotations`, `citations`, what the SDK has parsed, and `reasoning_content`, which is a copy, for
reading, of what `thinking_blocks` hold: models take reasoning back only as the blocks that they gave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.dialects import openai_message_schema as shape
from gateway.dialects.inline_content import DOCUMENT_TYPES, Arguments, decoded, document_part, image_part
from gateway.dialects.places import Conversation
from gateway.domain import (
    CachePoint,
    DocumentPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolResultPart,
    ToolUsePart,
)
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.dialects.places import Placed
    from gateway.domain import CacheTtl, ImagePart, Role, SystemPart

_SUFFIXES: Final = frozenset(DOCUMENT_TYPES.values())
_UNNAMED: Final = "document"


def conversation(messages: Sequence[shape.Message], ttl: CacheTtl | None) -> Conversation:
    """Return the system text and the turns.

    System text may stand anywhere; Bedrock knows it only before the first turn, and there it goes, in its
    order. `ttl` is how long OpenAI's own cache points live that do not say it.

    Raises:
        InvalidRequest: a message is none; `param` is its path.
    """
    reader = _Reader(ttl)
    reader.read(messages)
    if not reader.turns:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="messages")
    system = tuple(part for part, _ in reader.system)
    return Conversation(system, tuple(reader.turns), [path for _, path in reader.system], reader.places)


class _Reader:
    """Reads the messages of one request."""

    def __init__(self, ttl: CacheTtl | None) -> None:
        self.system: list[tuple[SystemPart, str]] = []
        self.turns: list[Message] = []
        self.places: list[list[str]] = []
        self._ttl: CacheTtl | None = ttl
        self._arguments = Arguments()

    def read(self, messages: Sequence[shape.Message]) -> None:
        """Take the messages; tool results in a row are one turn: they answer the same assistant turn."""
        results: list[Placed] = []
        for number, message in enumerate(messages):
            path = f"messages[{number}]"
            if isinstance(message, shape.SystemMessage):
                self.system += self._system(message, path)
            elif isinstance(message, shape.ToolMessage):
                results += self._result(message, path)
            else:
                self._turn("user", results)
                results = []
                if isinstance(message, shape.UserMessage):
                    self._turn("user", self._user(message, path))
                else:
                    self._turn("assistant", self._assistant(message, path))
        self._turn("user", results)

    def _turn(self, role: Role, placed: Sequence[Placed]) -> None:
        if placed:
            self.turns.append(Message(role, tuple([part for part, _ in placed])))
            self.places.append([path for _, path in placed])

    def _system(self, message: shape.SystemMessage, path: str) -> Iterator[tuple[SystemPart, str]]:
        for number, part in enumerate(message.content):
            place = f"{path}.content[{number}]"
            if part.text:
                yield TextPart(part.text), place
            yield from self.cache_point(part, place)
        yield from self.cache_point(message, path)

    def _user(self, message: shape.UserMessage, path: str) -> list[Placed]:
        placed: list[Placed] = []
        if message.name is not None:  # which of the users it is: no model of Bedrock's has a field for it
            placed.append((TextPart(f"<name>{message.name}</name>"), f"{path}.name"))
        silent = all(_is_silent(part) for part in message.content)
        for number, part in enumerate(message.content):
            place = f"{path}.content[{number}]"
            if silent or not _is_silent(part):  # clients send "" beside images, which Bedrock does not take
                placed.append((_content(part, place), place))
            placed += self.cache_point(part, place)
        return [*placed, *self.cache_point(message, path)]

    def _result(self, message: shape.ToolMessage, path: str) -> list[Placed]:
        """Cache points stand behind the whole result: Bedrock has none inside of one.

        A tool that said nothing has no content: Bedrock does not take a text of "".
        """
        given = [(part, f"{path}.content[{at}]") for at, part in enumerate(message.content)]
        content = [_content(part, place) for part, place in given if not _is_silent(part)]
        points = [point for part in (*message.content, message) for point in self.cache_point(part, path)]
        return [(ToolResultPart(message.tool_call_id, tuple(content)), path), *points[:1]]

    def _assistant(self, message: shape.AssistantMessage, path: str) -> list[Placed]:
        """Return what the model said; nothing where it said "", which Bedrock does not take back."""
        placed: list[Placed] = []
        for number, block in enumerate(message.thinking_blocks or ()):
            place = f"{path}.thinking_blocks[{number}]"
            placed.append((_thought(block, place), place))
        for number, part in enumerate(message.content or ()):
            place = f"{path}.content[{number}]"
            text = part.refusal if isinstance(part, shape.RefusalPart) else part.text
            if text:  # clients send "" beside tool calls, which Bedrock does not take
                placed.append((TextPart(text), place))
            if isinstance(part, shape.TextPart):
                placed += self.cache_point(part, place)
        if message.refusal:
            placed.append((TextPart(message.refusal), f"{path}.refusal"))
        for number, call in enumerate(message.tool_calls or ()):
            place = f"{path}.tool_calls[{number}]"
            given = self._arguments.read(call.function.arguments, f"{place}.function.arguments")
            placed.append((ToolUsePart(call.id, call.function.name, given), place))
        if not placed and message.content is None:
            raise InvalidRequest("An assistant message needs content or tool calls.", param=f"{path}.content")
        return [*placed, *self.cache_point(message, path)] if placed else []

    def cache_point(self, marked: shape.Marked, path: str) -> list[tuple[CachePoint, str]]:
        """Return the cache point behind this, if there is one; raises where it is marked in both ways."""
        if marked.cache_control is not None:
            if marked.prompt_cache_breakpoint is not None:
                raise InvalidRequest(
                    "Give either `cache_control` or `prompt_cache_breakpoint`.",
                    param=f"{path}.prompt_cache_breakpoint",
                )
            return [(CachePoint(marked.cache_control.ttl), f"{path}.cache_control")]
        if marked.prompt_cache_breakpoint is None:
            return []
        # OpenAI's 30 minutes are the least: of Bedrock's times only an hour is as long
        ttl: CacheTtl | None = "1h" if marked.prompt_cache_breakpoint.ttl else self._ttl
        return [(CachePoint(ttl), f"{path}.prompt_cache_breakpoint")]


def _thought(block: shape.ThinkingBlock, path: str) -> ReasoningPart:
    if block.type == "redacted_thinking":
        if not block.data or block.thinking or block.signature:
            raise InvalidRequest("A block of redacted_thinking has `data` and nothing else.", param=path)
        return ReasoningPart(redacted=block.data)
    if block.data or not (block.thinking or block.signature):
        raise InvalidRequest("A block of thinking has `thinking` and its `signature`.", param=path)
    return ReasoningPart(block.thinking or "", block.signature or None)


# ── content ───────────────────────────────────────────────────────────────────────────────────────────


def _is_silent(part: shape.TextPart | shape.ImagePart | shape.FilePart) -> bool:
    return isinstance(part, shape.TextPart) and not part.text


def _content(
    part: shape.TextPart | shape.ImagePart | shape.FilePart, path: str
) -> TextPart | ImagePart | DocumentPart:
    if isinstance(part, shape.TextPart):
        return TextPart(part.text)
    if isinstance(part, shape.ImagePart):
        return image_part(part.image_url.url, f"{path}.image_url.url")
    return _document(part.file, f"{path}.file")


def _document(file: shape.File, path: str) -> DocumentPart:
    """Take a document out of its `data:` URL, or out of bare base64 with a name that tells its format."""
    if file.file_id is not None or file.file_data is None:
        raise InvalidRequest(
            "There are no stored files here: send `file_data`, as `data:application/pdf;base64,…`.",
            param=f"{path}.file_id" if file.file_id is not None else f"{path}.file_data",
        )
    name, dot, suffix = (file.filename or _UNNAMED).rpartition(".")
    form, path = suffix.lower(), f"{path}.file_data"
    if file.file_data.startswith("data:") or not dot or form not in _SUFFIXES:
        return document_part(file.file_data, name or suffix, path)
    return DocumentPart(form, decoded(file.file_data, path, "document"), name or suffix)
