"""Amazon Titan's embeddings: one text a call, or a text with a picture (bedrock-wire.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.errors import invalid, malformed
from gateway.emulator.families.unstreamed import Unstreamed
from gateway.emulator.families.vectors import embedding_counters, vector
from gateway.emulator.shapes import Base64, CamelShape, NonEmpty, read_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.models import ModelId

_MAX_CHARS: Final = 50_000
_MAX_TOKENS: Final = 8192
_MAX_IMAGE_TOKENS: Final = 256
_FIRST_DIMENSIONS: Final = 1536
_FIRST: Final = ("titan-embed-text-v1", "titan-embed-g1-")

Text = Annotated[NonEmpty, Field(max_length=_MAX_CHARS)]


class FirstBody(CamelShape):
    """The body of the first Titan embedding."""

    input_text: Text


class SecondBody(CamelShape):
    """The body of the second."""

    input_text: Text
    dimensions: Literal[256, 512, 1024] = 1024
    normalize: bool = True
    embedding_types: Annotated[list[Literal["float", "binary"]], Field(min_length=1)] | None = None


class EmbeddingConfig(CamelShape):
    """How long the vector is."""

    output_embedding_length: Literal[256, 384, 1024] = 1024


class ImageBody(CamelShape):
    """The body of the multimodal one."""

    input_text: NonEmpty | None = None
    input_image: Base64 | None = None
    embedding_config: EmbeddingConfig = EmbeddingConfig()


class TitanEmbedding(Unstreamed):
    """Speaks for the two that take a text."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return the text."""
        said = read_schema(_shape(model), body).input_text
        return _question(said, _MAX_TOKENS)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the vector, by its types too from the second model; without `float` it is only there."""
        counted = {"inputTextTokenCount": answer.input_tokens}
        if model.name.startswith(_FIRST):
            return {"embedding": vector(body["inputText"], _FIRST_DIMENSIONS), **counted}
        asked = SecondBody.model_validate(body)
        values = vector(asked.input_text, asked.dimensions, unit=asked.normalize)
        kinds = {"float": values, "binary": [int(value > 0) for value in values]}
        by_type = {kind: kinds[kind] for kind in asked.embedding_types or ["float"]}
        first = {"embedding": values} if "float" in by_type else {}
        return {**first, "embeddingsByType": by_type, **counted}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the counters of an embedding."""
        return embedding_counters(answer)


class TitanImageEmbedding(Unstreamed):
    """Speaks for the multimodal one."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return the text; a picture alone says nothing."""
        del model
        asked = read_schema(ImageBody, body)
        if asked.input_text is None and asked.input_image is None:
            raise malformed("#: at least one of the keys [inputText, inputImage] is required")
        return _question(asked.input_text or "", _MAX_IMAGE_TOKENS)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the vector of both."""
        del model
        asked = ImageBody.model_validate(body)
        shown = f"{asked.input_text or ''}{asked.input_image or ''}"
        values = vector(shown, asked.embedding_config.output_embedding_length)
        return {"embedding": values, "inputTextTokenCount": answer.input_tokens, "message": None}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the counters of an embedding."""
        return embedding_counters(answer)


def _shape(model: ModelId) -> type[FirstBody | SecondBody]:
    return FirstBody if model.name.startswith(_FIRST) else SecondBody


def _question(said: str, limit: int) -> Question:
    count = tokens(len(said))
    if count > limit:
        raise invalid(
            f"400 Bad Request: Too many input tokens. Max input tokens: {limit}, request input token count: "
            f"{count} "
        )
    return Question(said=said, input_tokens=count, max_tokens=0, speaks_reasoning=False)
