"""Cohere's embeddings: up to 96 texts a call, as lists or by type (bedrock-wire.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Discriminator, Field, StringConstraints

from gateway.emulator.answer import Question, tokens
from gateway.emulator.errors import malformed
from gateway.emulator.families.unstreamed import Unstreamed
from gateway.emulator.families.vectors import embedding_counters, typed, vector
from gateway.emulator.shapes import NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.models import ModelId

_MOST: Final = 96
_MAX_CHARS: Final = 2048
_THIRD_DIMENSIONS: Final = 1024
_FOLDED: Final = "embed-english-v3"
_MAX_TOKENS: Final = 128_000

Kinds = Annotated[
    list[Literal["float", "int8", "uint8", "binary", "ubinary"]], Field(min_length=1, max_length=5)
]
DataUrl = Annotated[str, StringConstraints(pattern=r"^data:image/[a-z]+;base64,.")]
Purpose = Literal["search_document", "search_query", "classification", "clustering", "image"]


class ThirdBody(Shape):
    """The body of the third version."""

    texts: (
        Annotated[
            list[Annotated[NonEmpty, Field(max_length=_MAX_CHARS)]], Field(min_length=1, max_length=_MOST)
        ]
        | None
    ) = None
    images: Annotated[list[DataUrl], Field(min_length=1, max_length=1)] | None = None
    input_type: Purpose
    truncate: Literal["NONE", "START", "END"] | None = None
    embedding_types: Kinds | None = None


class TextPart(Shape):
    """A text in an input."""

    type: Literal["text"]
    text: NonEmpty


class ImagePart(Shape):
    """A picture in an input."""

    type: Literal["image_url"]
    image_url: DataUrl


class Input(Shape):
    """Several parts that make one vector."""

    content: Annotated[list[Annotated[TextPart | ImagePart, Discriminator("type")]], Field(min_length=1)]


class FourthBody(Shape):
    """The body of the fourth version. `START` and `END` are recorded, `LEFT` and `RIGHT` documented."""

    texts: Annotated[list[NonEmpty], Field(min_length=1, max_length=_MOST)] | None = None
    images: Annotated[list[DataUrl], Field(min_length=1, max_length=_MOST)] | None = None
    inputs: Annotated[list[Input], Field(min_length=1, max_length=_MOST)] | None = None
    input_type: Purpose
    truncate: Literal["NONE", "START", "END", "LEFT", "RIGHT"] | None = None
    embedding_types: Kinds | None = None
    output_dimension: Literal[256, 512, 1024, 1536] = 1536
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] | None = None


class CohereEmbedding3(Unstreamed):
    """Speaks for the third version, English and multilingual."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return the texts."""
        del model
        asked = read_schema(ThirdBody, body)
        _check_one({"texts": asked.texts, "images": asked.images})
        if (asked.images is not None) != (asked.input_type == "image"):
            raise malformed("#/input_type: [image] is the type of images and of nothing else")
        return _question(asked.texts or [])

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the vectors, as lists unless types are asked for; English comes back in small letters."""
        asked = ThirdBody.model_validate(body)
        vectors = [vector(shown, _THIRD_DIMENSIONS) for shown in asked.texts or asked.images or ()]
        texts = list(asked.texts or ())
        if model.name.startswith(_FOLDED):
            texts = [text.lower() for text in texts]
        if asked.embedding_types is None:
            return _answer(answer, vectors, "embeddings_floats", texts)
        return _answer(answer, _by_type(vectors, asked.embedding_types), "embeddings_by_type", texts)

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the counters of an embedding, the only ones there are."""
        return embedding_counters(answer)


class CohereEmbedding4(Unstreamed):
    """Speaks for the fourth version, which answers by type whatever it is asked."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return the texts."""
        del model
        asked = read_schema(FourthBody, body)
        _check_one({"texts": asked.texts, "images": asked.images, "inputs": asked.inputs})
        parts = [part for one in asked.inputs or () for part in one.content]
        texts = asked.texts or [part.text for part in parts if isinstance(part, TextPart)]
        return _question(texts)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the vectors by type."""
        del model
        asked = FourthBody.model_validate(body)
        shown = asked.texts or asked.images or [repr(one) for one in asked.inputs or ()]
        vectors = [vector(one, asked.output_dimension) for one in shown]
        by_type = _by_type(vectors, asked.embedding_types or ["float"])
        return _answer(answer, by_type, "embeddings_by_type", list(asked.texts or ()))

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the counters of an embedding, the only ones there are."""
        return embedding_counters(answer)


def _check_one(sources: Mapping[str, object]) -> None:
    if sum(value is not None for value in sources.values()) != 1:
        raise malformed(f"#: exactly one of the keys [{', '.join(sources)}] is required")


def _question(texts: list[str]) -> Question:
    return Question(
        said=texts[-1] if texts else "",
        input_tokens=sum(tokens(len(text)) for text in texts),
        max_tokens=0,
        speaks_reasoning=False,
    )


def _by_type(vectors: list[list[float]], kinds: list[Any]) -> dict[str, list[list[Any]]]:
    return {kind: [typed(kind, values) for values in vectors] for kind in kinds}


def _answer(answer: Answer, embeddings: Any, kind: str, texts: list[str]) -> dict[str, Any]:
    return {
        "embeddings": embeddings,
        "id": str(UUID(hex=answer.key[:32])),
        "response_type": kind,
        "texts": texts,
    }
