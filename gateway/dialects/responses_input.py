"""The `input` and `instructions` of OpenAI's Responses as turns of the domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.dialects import responses_schema as shape
from gateway.dialects.inline_content import Arguments, document_part, image_part
from gateway.dialects.places import Conversation
from gateway.dialects.responses_objects import unsealed
from gateway.domain import (
    DocumentPart,
    ImagePart,
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
    from gateway.domain import Role


def conversation(body: shape.ResponseBody) -> Conversation:
    """Return the system text and the turns: items of one answer, and results in a row, are one turn.

    Raises:
        InvalidRequest: an item is none; `param` is its path.
    """
    system = [(TextPart(body.instructions), "instructions")] if body.instructions else []
    turns: list[tuple[Role, list[Placed]]] = []
    arguments = Arguments()
    for position, item in enumerate(body.input):
        path = f"input[{position}]"
        if isinstance(item, shape.Message) and item.role in {"system", "developer"}:
            if turns:
                raise InvalidRequest("System text must come before the first turn.", param=f"{path}.role")
            system += _system(item.content, f"{path}.content")
            continue
        role, placed = _parts(item, path, arguments)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(placed)
        elif placed:
            turns.append((role, placed))
    if not turns:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="input")
    return Conversation(
        tuple(part for part, _ in system),
        tuple(Message(role, tuple(part for part, _ in placed)) for role, placed in turns),
        [path for _, path in system],
        [[path for _, path in placed] for _, placed in turns],
    )


def _system(content: str | Sequence[Any], path: str) -> Iterator[tuple[TextPart, str]]:
    if isinstance(content, str):
        if content:
            yield TextPart(content), path
        return
    for number, part in enumerate(content):
        place = f"{path}[{number}]"
        if not isinstance(part, shape.InputText):
            raise InvalidRequest("System text is of `input_text` only.", param=place)
        if part.text:
            yield TextPart(part.text), place


def _parts(item: shape.Item, path: str, arguments: Arguments) -> tuple[Role, list[Placed]]:
    match item:
        case shape.FunctionCall():
            given = arguments.read(item.arguments, f"{path}.arguments")
            return "assistant", [(ToolUsePart(item.call_id, item.name, given), path)]
        case shape.FunctionCallOutput():
            # A tool that said nothing has no content: Bedrock does not take a text of ""
            said = [
                (part, place) for part, place in _content(item.output, f"{path}.output") if not _silent(part)
            ]
            return "user", [(ToolResultPart(item.call_id, tuple(part for part, _ in said)), path)]
        case shape.ReasoningItem():
            return "assistant", [(_reasoning_part(item, path), path)]
        case _ if item.role == "assistant":
            return "assistant", list(_assistant_content(item.content, f"{path}.content"))
        case _:
            return "user", _user(item.content, f"{path}.content")


def _user(content: str | Sequence[Any], path: str) -> list[Placed]:
    """Return what the user says; clients send "" beside images, which Bedrock does not take."""
    given = list(_content(content, path))
    if not given:
        raise InvalidRequest("A user message needs content.", param=path)
    placed: list[Placed] = [(part, place) for part, place in given if not _silent(part)]
    return placed or list(given)


def _silent(part: TextPart | ImagePart | DocumentPart) -> bool:
    return isinstance(part, TextPart) and not part.text


def _content(
    content: str | Sequence[Any], path: str
) -> Iterator[tuple[TextPart | ImagePart | DocumentPart, str]]:
    if isinstance(content, str):
        yield TextPart(content), path
        return
    for number, part in enumerate(content):
        yield _user_part(part, f"{path}[{number}]"), f"{path}[{number}]"


def _user_part(part: Any, path: str) -> TextPart | ImagePart | DocumentPart:
    match part:
        case shape.InputText():
            return TextPart(part.text)
        case shape.InputImage():
            _check_inline(part, path, "file_id", needed="image_url")
            return image_part(part.image_url or "", f"{path}.image_url")
        case shape.InputFile():
            _check_inline(part, path, "file_id", "file_url", needed="file_data")
            return document_part(part.file_data or "", part.filename or "document", f"{path}.file_data")
        case _:
            raise InvalidRequest("What a model has said has no place in a user's turn.", param=path)


def _check_inline(part: shape.InputImage | shape.InputFile, path: str, *elsewhere: str, needed: str) -> None:
    """Refuse content that is not in the body, by the field that says where it is."""
    for name in elsewhere:
        if getattr(part, name) is not None:
            raise InvalidRequest(f"No file is kept or fetched here: send `{needed}`.", param=f"{path}.{name}")
    if getattr(part, needed) is None:
        raise InvalidRequest("Images and files come inline, as a `data:` URL.", param=f"{path}.{needed}")


def _assistant_content(content: str | Sequence[Any], path: str) -> Iterator[Placed]:
    """Return what the model said, without "", which Bedrock does not take back."""
    if isinstance(content, str):
        if content:
            yield TextPart(content), path
        return
    for number, part in enumerate(content):
        place = f"{path}[{number}]"
        match part:
            case shape.OutputText() | shape.InputText():
                text = part.text
            case shape.Refusal():
                text = part.refusal
            case _:
                raise InvalidRequest("An assistant's turn is of text only.", param=place)
        if text:
            yield TextPart(text), place


def _reasoning_part(item: shape.ReasoningItem, path: str) -> ReasoningPart:
    pieces = [*(part.text for part in item.content or ()), *(part.text for part in item.summary)]
    if item.encrypted_content is None:
        if not pieces:
            raise InvalidRequest("Give the reasoning back as it came.", param=path)
        return ReasoningPart("".join(pieces))
    signature, redacted = unsealed(item.encrypted_content, f"{path}.encrypted_content")
    if redacted is not None and pieces:
        raise InvalidRequest("Redacted reasoning has no text: give it back as it came.", param=path)
    return ReasoningPart("".join(pieces), signature, redacted)
