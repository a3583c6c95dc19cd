"""What callers want to have as vectors, and the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.requests import ImagePart


@dataclass(frozen=True, slots=True)
class EmbeddingInput:
    """One thing to embed: a text, an image, or both where the model joins them."""

    text: str | None = None
    image: ImagePart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Things to embed with one model. None means: the caller said nothing about it.

    `input_type` says what the vectors are for (`search_document`, `search_query`, `classification`,
    `clustering`, or a model's own word); `truncate` is `none`, `start` or `end`.
    """

    model: str
    inputs: tuple[EmbeddingInput, ...]
    dimensions: int | None = None
    normalize: bool | None = None
    input_type: str | None = None
    truncate: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of one call, in the order of its inputs, and the tokens that Bedrock counted for it."""

    vectors: list[list[float]]
    input_tokens: int | None
    request_id: str | None = None
