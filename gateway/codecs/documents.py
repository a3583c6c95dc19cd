"""The documents of a request, and their names, in the words of Converse and Claude."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.domain import DocumentPart

Block = dict[str, Any]

_FORBIDDEN: Final = re.compile(r"[^a-zA-Z0-9\s()\[\]-]", re.ASCII)
_SPACES: Final = re.compile(r"\s+", re.ASCII)
_LONGEST: Final = 200
_TEXTS: Final = frozenset({"txt", "md", "csv", "html"})


def converse_document(part: DocumentPart) -> Block:
    """Return Converse's block, which Nova's body has too."""
    document: Block = {
        "format": part.format,
        "name": document_name(part.name),
        "source": {"bytes": b64encode(part.data).decode()},
    }
    if part.citations:
        document["citations"] = {"enabled": True}
    if part.context is not None:
        document["context"] = part.context
    return {"document": document}


def claude_document(path: str, part: DocumentPart) -> Block:
    """Return Claude's block.

    Raises:
        InvalidRequest: Claude does not read the format, or the text is not UTF-8.
    """
    block: Block = {"type": "document", "source": _claude_source(path, part), "title": part.name}
    if part.citations:
        block["citations"] = {"enabled": True}
    if part.context is not None:
        block["context"] = part.context
    return block


def document_name(name: str) -> str:
    """Return the name in the characters that Converse takes: a file's own name hardly ever keeps to them.

    ASCII letters, digits, hyphens, brackets and single spaces stay; everything else becomes a hyphen.
    """
    return _SPACES.sub(" ", _FORBIDDEN.sub("-", name)).strip()[:_LONGEST] or "document"


def make_names_unique(documents: Iterable[Block]) -> None:
    """Number the names that come again: Converse refuses a request with two documents of one name.

    In the order of the conversation, so that a turn more changes no name, and no cached prompt.
    """
    taken: set[str] = set()
    for document in documents:
        name, number = document["name"], 1
        while document["name"] in taken:
            number += 1
            document["name"] = f"{name[: _LONGEST - 8]} ({number})"
        taken.add(document["name"])


def _claude_source(path: str, part: DocumentPart) -> Block:
    if part.format == "pdf":
        data = b64encode(part.data).decode()
        return {"type": "base64", "media_type": "application/pdf", "data": data}
    if part.format not in _TEXTS:
        raise InvalidRequest(
            f"by InvokeModel Claude reads pdf and text, not {part.format}; Converse takes it.", param=path
        )
    try:
        return {"type": "text", "media_type": "text/plain", "data": part.data.decode()}
    except UnicodeDecodeError:
        raise InvalidRequest("the text of the document is not UTF-8.", param=path) from None
