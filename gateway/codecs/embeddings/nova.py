"""Amazon Nova multimodal embeddings: one item a call (bedrock-wire.md §5, recorded)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.codecs.embeddings.protocol import dimensions, refuse, tokens
from gateway.codecs.embeddings.vectors import one, vector
from gateway.codecs.shapes import load, records
from gateway.domain import Embedded
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain import EmbeddingInput, EmbeddingRequest

PURPOSES: Final = {
    "search_document": "GENERIC_INDEX",
    "search_query": "GENERIC_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""The general words for `input_type`, and Nova's."""

OWN_PURPOSES: Final = frozenset(
    {
        *PURPOSES.values(), "TEXT_RETRIEVAL", "IMAGE_RETRIEVAL", "VIDEO_RETRIEVAL", "DOCUMENT_RETRIEVAL",
        "AUDIO_RETRIEVAL",
    }
)  # fmt: skip
_NAME = "Nova Multimodal Embeddings"


class NovaEmbeddings:
    """Text or an image; `truncate` absent means `none`: Nova wants it said, and cutting must be asked for."""

    batch_size: Final = 1

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body; an absent `input_type` is `search_document`."""
        refuse(request, _NAME, "normalize")
        asked = request.input_type or "search_document"
        purpose = PURPOSES.get(asked, asked)
        if purpose not in OWN_PURPOSES:
            listed = ", ".join([*PURPOSES, *sorted(OWN_PURPOSES)])
            raise InvalidRequest(f"{_NAME} takes an `input_type` of {listed}.", param="input_type")
        item: dict[str, Any] = {"embeddingPurpose": purpose, **_item(request, batch[0], first)}
        if (size := dimensions(request, _NAME, (256, 384, 1024, 3072))) is not None:
            item["embeddingDimension"] = size
        return orjson.dumps({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": item})

    def read(self, body: bytes, headers: Mapping[str, str], count: int) -> Embedded:
        """Return the one vector; only the header counts tokens."""
        found = [vector(item.get("embedding")) for item in records(load(body), "embeddings")]
        return Embedded(one(found, count), tokens(headers))


def _item(request: EmbeddingRequest, given: EmbeddingInput, number: int) -> dict[str, Any]:
    if given.image is None:
        mode = (request.truncate or "none").upper()
        return {"text": {"truncationMode": mode, "value": given.text}}
    if given.text is not None:
        raise InvalidRequest(f"{_NAME} takes a text or an image, not both as one.", param=f"input[{number}]")
    refuse(request, f"{_NAME} of an image", "truncate")
    source = {"bytes": base64.b64encode(given.image.data).decode()}
    return {"image": {"format": given.image.format, "source": source}}
