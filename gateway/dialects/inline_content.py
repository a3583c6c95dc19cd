"""Content that comes inside the body as text: images and documents as `data:` URLs, arguments as JSON.

No URL is ever fetched (reliability.md R57).
"""

from __future__ import annotations

import binascii
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gateway import domain
from gateway.errors import InvalidRequest
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain import DocumentFormat

_IMAGE = re.compile(r"data:image/(png|jpe?g|gif|webp);base64,(.*)", re.DOTALL)
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


def image_part(url: str, path: str) -> domain.ImagePart:
    """Take an image out of its `data:` URL; raises `InvalidRequest` at `path`."""
    match = _IMAGE.fullmatch(url)
    if match is None:
        raise InvalidRequest(
            "Images are taken as `data:image/png;base64,…` (png, jpeg, gif or webp); no URL is ever fetched.",
            param=path,
        )
    data = decoded(match[2], path, "image")
    kind: Any = "jpeg" if match[1] == "jpg" else match[1]  # no media type, but what clients send for one
    return domain.ImagePart(kind, data)


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


class Arguments:
    """The arguments of the tool calls of one request, out of their JSON text.

    JSON inside of JSON: the bounds of a body hold for all of them together, as 4 MiB of `{},{},…` would take
    100 MB here, too (reliability.md S32).
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = json.MAX_NODES

    def read(self, text: str, path: str) -> dict[str, Any]:
        """Return the arguments of one more call; raises `InvalidRequest` at `path`."""
        if not text:
            return {}
        data = text.encode("utf-8", "surrogatepass")
        try:
            value = json.loads(data, max_nodes=self._left)
        except InvalidRequest as fault:
            words = fault.message.replace("The body", "The text of the arguments", 1)
            raise InvalidRequest(words, param=path) from None
        if not isinstance(value, dict):
            raise InvalidRequest("The arguments must be the JSON text of an object.", param=path)
        self._left -= json.count(data)
        return value
