"""OpenAI's messages as turns of the domain.

What changes nothing is taken and not sent: the `name` of a system, assistant or tool message; of an earlier
answer `annotations`, `citations`, what the SDK has parsed, and `reasoning_content`, which is a copy, for
reading, of what `thinking_blocks` hold: models take reasoning back only as the blocks that they gave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.dialects import openai_message_schema as shape
from gateway.dialects.inline_content import DOCUMENT_TYPES, arguments, decoded, document_part, image_part
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
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.domain import CacheTtl, ImagePart, Part, SystemPart

_SUFFIXES: Final = frozenset(DOCUMENT_TYPES.values())
_UNNAMED: Final = "document"


def conversation(
    messages: Sequence[shape.Message], ttl: CacheTtl | None
) -> tuple[tuple[SystemPart, ...], tuple[Message, ...]]:
    """Return the system text and the turns.

    System text may stand anywhere; Bedrock knows it only before the first turn, and there it goes, in its
    order. `ttl` is how long OpenAI's own cache points live that do not say it.

    Raises:
        InvalidRequest: a message is none; `param` is its path.
    """
    reader = _Reader(ttl)
    turns = tuple(reader.turns(messages))
    if not turns:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="messages")
    return tuple(reader.system), turns


class _Reader:
    """Reads the messages of one request."""

    def __init__(self, ttl: CacheTtl | None) -> None:
        self.system: list[SystemPart] = []
        self._ttl: CacheTtl | None = ttl

    def turns(self, messages: Sequence[shape.Message]) -> Iterator[Message]:
        """Yield the turns; tool results in a row are one of the user: they answer the same assistant turn."""
        results: list[Part] = []
        for number, message in enumerate(messages):
            path = f"messages[{number}]"
            if isinstance(message, shape.SystemMessage):
                self.system += self._system(message)
                continue
            if isinstance(message, shape.ToolMessage):
                results += self._result(message, path)
                continue
            if results:
                yield Message("user", tuple(results))
                results = []
            if isinstance(message, shape.UserMessage):
                yield Message("user", tuple(self._user(message, path)))
            elif parts := self._assistant(message, path):
                yield Message("assistant", tuple(parts))
        if results:
            yield Message("user", tuple(results))

    def _system(self, message: shape.SystemMessage) -> Iterator[SystemPart]:
        for part in message.content:
            if part.text:
                yield TextPart(part.text)
            yield from self.cache_point(part)
        yield from self.cache_point(message)

    def _user(self, message: shape.UserMessage, path: str) -> Iterator[Part]:
        if message.name is not None:  # which of the users it is: no model of Bedrock's has a field for it
            yield TextPart(f"<name>{message.name}</name>")
        for number, part in enumerate(message.content):
            yield _content(part, f"{path}.content[{number}]")
            yield from self.cache_point(part)
        yield from self.cache_point(message)

    def _result(self, message: shape.ToolMessage, path: str) -> Iterator[Part]:
        """Cache points stand behind the whole result: Bedrock has none inside of one."""
        content = [_content(part, f"{path}.content[{at}]") for at, part in enumerate(message.content)]
        yield ToolResultPart(message.tool_call_id, tuple(content))
        yield from [point for part in (*message.content, message) for point in self.cache_point(part)][:1]

    def _assistant(self, message: shape.AssistantMessage, path: str) -> Sequence[Part]:
        """Return what the model said; nothing where it said "", which Bedrock does not take back."""
        parts: list[Part] = [
            _thought(block, f"{path}.thinking_blocks[{number}]")
            for number, block in enumerate(message.thinking_blocks or ())
        ]
        said = [TextPart(message.refusal)] if message.refusal else []
        for part in message.content or ():
            text = part.refusal if isinstance(part, shape.RefusalPart) else part.text
            if text:  # clients send "" beside tool calls, which Bedrock does not take
                parts.append(TextPart(text))
            if isinstance(part, shape.TextPart):
                parts += self.cache_point(part)
        parts += said
        for number, call in enumerate(message.tool_calls or ()):
            given = arguments(call.function.arguments, f"{path}.tool_calls[{number}].function.arguments")
            parts.append(ToolUsePart(call.id, call.function.name, given))
        if not parts and message.content is None:
            raise InvalidRequest("An assistant message needs content or tool calls.", param=f"{path}.content")
        return [*parts, *self.cache_point(message)] if parts else []

    def cache_point(self, marked: shape.Marked) -> Iterable[CachePoint]:
        """Return the cache point behind this, if there is one."""
        if marked.cache_control is not None:
            return (CachePoint(marked.cache_control.ttl),)
        if marked.prompt_cache_breakpoint is not None:
            # OpenAI's 30 minutes are the least: of Bedrock's times only an hour is as long
            return (CachePoint("1h" if marked.prompt_cache_breakpoint.ttl else self._ttl),)
        return ()


def _thought(block: shape.ThinkingBlock, path: str) -> ReasoningPart:
    if block.type == "redacted_thinking":
        if not block.data or block.thinking or block.signature:
            raise InvalidRequest("A block of redacted_thinking has `data` and nothing else.", param=path)
        return ReasoningPart(redacted=block.data)
    if block.data or not (block.thinking or block.signature):
        raise InvalidRequest("A block of thinking has `thinking` and its `signature`.", param=path)
    return ReasoningPart(block.thinking or "", block.signature or None)


# ── content ───────────────────────────────────────────────────────────────────────────────────────────


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
