"""Content that comes inside the body as text: images and documents as `data:` URLs, arguments as JSON.

No URL is ever fetched (reliability.md R57).
"""

from __future__ import annotations

import binascii
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from gateway import domain
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.domain import DocumentFormat

_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,(.*)", re.DOTALL)
_DOCUMENT = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;charset=[a-zA-Z0-9-]+)?;base64,(.*)", re.DOTALL)
DOCUMENT_TYPES: Mapping[str, DocumentFormat] = MappingProxyType(
    {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    }
)
"""Media types of the documents that Bedrock takes."""
MAX_DEPTH = 64
"""How deep the arguments of a tool call may nest, as `wire.json` bounds the body; orjson writes no deeper
than 254."""


def image_part(url: str, path: str) -> domain.ImagePart:
    """Take an image out of its `data:` URL; raises `InvalidRequest` at `path`."""
    match = _IMAGE.fullmatch(url)
    if match is None:
        raise InvalidRequest(
            "Images are taken as `data:image/png;base64,…` (png, jpeg, gif or webp); no URL is ever fetched.",
            param=path,
        )
    data = decoded(match[2], path, "image")
    return domain.ImagePart(match[1], data)  # type: ignore[arg-type]  # the pattern allows these four only


def document_part(url: str, name: str, path: str) -> domain.DocumentPart:
    """Take a document out of its `data:` URL; raises `InvalidRequest` at `path`."""
    match = _DOCUMENT.fullmatch(url)
    kind = DOCUMENT_TYPES.get(match[1]) if match is not None else None
    if match is None or kind is None:
        raise InvalidRequest(
            "Documents are taken as `data:application/pdf;base64,…` (pdf, csv, doc, docx, xls, xlsx, html, "
            "plain text or markdown); no URL is ever fetched.",
            param=path,
        )
    return domain.DocumentPart(kind, decoded(match[2], path, "document"), name)


def decoded(text: str, path: str, what: str) -> bytes:
    """Return what base64 text holds; raises `InvalidRequest` at `path` where it is none, or holds nothing."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one; text beyond ASCII raises another
        raise InvalidRequest(f"The {what} is not valid base64.", param=path) from None
    if not data:
        raise InvalidRequest(f"The {what} is empty.", param=path)
    return data


def arguments(text: str, path: str) -> dict[str, Any]:
    """Return the arguments of a tool call out of their JSON text; raises `InvalidRequest` at `path`."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("The arguments must be the JSON text of an object.", param=path)
    if _is_deeper(value, MAX_DEPTH):
        raise InvalidRequest(f"The arguments nest more than {MAX_DEPTH} deep.", param=path)
    return value


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node)]
    return any(isinstance(node, dict | list) for node in level)


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()
