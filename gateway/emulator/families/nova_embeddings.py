"""Amazon Nova's multimodal embeddings, of texts and pictures (bedrock-wire.md §5)."""

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

_MAX_TOKENS: Final = 8172


class EmbeddedText(CamelShape):
    """A text, and which end of it goes if it is too long."""

    value: NonEmpty
    truncation_mode: Literal["START", "END", "NONE"]


class ImageSource(CamelShape):
    """Where a picture is: in the body."""

    bytes: Base64


class EmbeddedImage(CamelShape):
    """A picture."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: ImageSource
    detail_level: Literal["STANDARD_IMAGE", "DOCUMENT_IMAGE"] | None = None


class EmbeddingParams(CamelShape):
    """What to embed and what for."""

    embedding_purpose: Literal[
        "GENERIC_INDEX",
        "GENERIC_RETRIEVAL",
        "TEXT_RETRIEVAL",
        "IMAGE_RETRIEVAL",
        "VIDEO_RETRIEVAL",
        "DOCUMENT_RETRIEVAL",
        "AUDIO_RETRIEVAL",
        "CLASSIFICATION",
        "CLUSTERING",
    ]
    embedding_dimension: Literal[256, 384, 1024, 3072] = 3072
    text: EmbeddedText | None = None
    image: EmbeddedImage | None = None


class NovaEmbeddingBody(CamelShape):
    """The body; the emulator has no film and no sound."""

    task_type: Literal["SINGLE_EMBEDDING"]
    single_embedding_params: EmbeddingParams
    schema_version: Annotated[str, Field(pattern=r"^nova-multimodal-embed-v1$")] | None = None


class NovaEmbedding(Unstreamed):
    """Speaks for Nova's embeddings: one thing a call."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return the text; a picture says nothing."""
        del model
        asked = read_schema(NovaEmbeddingBody, body).single_embedding_params
        if (asked.text is None) == (asked.image is None):
            raise malformed("#/singleEmbeddingParams: exactly one of [text, image] is required")
        said = "" if asked.text is None else asked.text.value
        count = tokens(len(said))
        if asked.text is not None and asked.text.truncation_mode == "NONE" and count > _MAX_TOKENS:
            raise invalid(f"Input text exceeds the maximum of {_MAX_TOKENS} tokens: {count}.")
        return Question(said=said, input_tokens=min(count, _MAX_TOKENS), max_tokens=0, speaks_reasoning=False)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one vector; it tells no counts."""
        del answer, model
        asked = NovaEmbeddingBody.model_validate(body).single_embedding_params
        kind, shown = ("TEXT", asked.text.value) if asked.text is not None else ("IMAGE", repr(asked.image))
        return {
            "embeddings": [{"embedding": vector(shown, asked.embedding_dimension), "embeddingType": kind}]
        }

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the counters of an embedding."""
        return embedding_counters(answer)
