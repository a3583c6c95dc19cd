"""Cohere Embed v3 and v4: up to 96 inputs a call (bedrock-wire.md §5, recorded)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.codecs.embeddings.protocol import dimensions, refuse, tokens
from gateway.codecs.embeddings.vectors import one, vector
from gateway.codecs.shapes import load, malformed
from gateway.domain import Embedded
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain import EmbeddingInput, EmbeddingRequest, ImagePart

INPUT_TYPES: Final = ("search_document", "search_query", "classification", "clustering")


class _Cohere:
    batch_size: int = 96
    name = ""

    def read(self, body: bytes, headers: Mapping[str, str], count: int) -> Embedded:
        """Return the vectors; v3 gives a bare list, v4 always one by type. Only the header counts tokens."""
        found = load(body).get("embeddings")
        if type(found) is dict:
            found = found.get("float")
        if type(found) is not list:
            raise malformed("there are no float embeddings")
        return Embedded(one([vector(item) for item in found], count), tokens(headers))

    def _common(self, request: EmbeddingRequest) -> dict[str, Any]:
        """Return what both versions take. `input_type` is required by Cohere: absent, `search_document`."""
        refuse(request, self.name, "normalize")
        asked = request.input_type or "search_document"
        if asked not in INPUT_TYPES:
            raise InvalidRequest(
                f"{self.name} takes an `input_type` of {', '.join(INPUT_TYPES)}.", param="input_type"
            )
        body: dict[str, Any] = {"input_type": asked}
        if request.truncate is not None:
            body["truncate"] = (
                request.truncate.upper()
            )  # v4's page says LEFT and RIGHT, recorded v4 takes these
        return body


class CohereV3(_Cohere):
    """Embed v3: texts, or one image a call."""

    name = "Cohere Embed v3"

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body."""
        refuse(request, self.name, "dimensions")
        body = self._common(request)
        texts = []
        for number, given in enumerate(batch, first):
            if given.image is not None or given.text is None:
                raise InvalidRequest(f"{self.name} embeds text only here.", param=f"input[{number}]")
            texts.append(given.text)
        return orjson.dumps({"texts": texts, **body})


class CohereV4(_Cohere):
    """Embed v4: texts, images, and both as one."""

    name = "Cohere Embed v4"

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body; texts alone go in Cohere's short form."""
        del first
        body = self._common(request)
        if (size := dimensions(request, self.name, (256, 512, 1024, 1536))) is not None:
            body["output_dimension"] = size
        if all(given.image is None for given in batch):
            return orjson.dumps({"texts": [given.text for given in batch], **body})
        return orjson.dumps({"inputs": [{"content": _content(given)} for given in batch], **body})


def _content(given: EmbeddingInput) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if given.text is not None:
        content.append({"type": "text", "text": given.text})
    if given.image is not None:
        content.append({"type": "image_url", "image_url": _data_url(given.image)})
    return content


def _data_url(image: ImagePart) -> str:
    return f"data:image/{image.format};base64,{base64.b64encode(image.data).decode()}"
