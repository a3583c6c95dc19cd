"""Amazon Titan embeddings: one input a call (bedrock-wire.md §5, recorded answers of v2)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.codecs.embeddings.protocol import dimensions, refuse, text_of, tokens
from gateway.codecs.embeddings.vectors import one, vector
from gateway.codecs.shapes import count, load
from gateway.domain import Embedded
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain import EmbeddingInput, EmbeddingRequest


class _Titan:
    batch_size: Final = 1

    def read(self, body: bytes, headers: Mapping[str, str], count_: int) -> Embedded:
        """Return the one vector; the body's own count of tokens comes before the header's."""
        answer = load(body)
        counted = count(answer, "inputTextTokenCount")
        return Embedded(
            one([vector(answer.get("embedding"))], count_), tokens(headers) if counted is None else counted
        )


class TitanV1(_Titan):
    """Titan Text Embeddings G1: a text, and no parameters."""

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body."""
        refuse(request, "Titan Text Embeddings G1", "dimensions", "normalize", "input_type", "truncate")
        return orjson.dumps({"inputText": text_of(batch[0], "Titan Text Embeddings G1", first)})


class TitanV2(_Titan):
    """Titan Text Embeddings V2: dimensions and normalisation."""

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body."""
        name = "Titan Text Embeddings V2"
        refuse(request, name, "input_type", "truncate")
        body: dict[str, Any] = {"inputText": text_of(batch[0], name, first)}
        if (size := dimensions(request, name, (256, 512, 1024))) is not None:
            body["dimensions"] = size
        if request.normalize is not None:
            body["normalize"] = request.normalize
        return orjson.dumps(body)


class TitanMultimodal(_Titan):
    """Titan Multimodal Embeddings G1: a text, an image, or both as one vector."""

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body."""
        name = "Titan Multimodal Embeddings"
        refuse(request, name, "normalize", "input_type", "truncate")
        given = batch[0]
        body: dict[str, Any] = {}
        if given.text is not None:
            body["inputText"] = given.text
        if given.image is not None:
            if given.image.format not in {"png", "jpeg"}:
                raise InvalidRequest(f"{name} takes PNG and JPEG.", param=f"input[{first}]")
            body["inputImage"] = base64.b64encode(given.image.data).decode()
        if (size := dimensions(request, name, (256, 384, 1024))) is not None:
            body["embeddingConfig"] = {"outputEmbeddingLength": size}
        return orjson.dumps(body)
