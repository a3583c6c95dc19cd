"""Reranking by InvokeModel, of Cohere and Amazon: documents by how many words of the query they have (§5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from gateway.emulator.answer import Question
from gateway.emulator.families.native import LATENCY
from gateway.emulator.families.unstreamed import Unstreamed
from gateway.emulator.shapes import NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.emulator.answer import Answer
    from gateway.emulator.models import ModelId

_DIGITS: Final = 6


class AmazonDocument(Shape):
    """A document in an object of its own."""

    text: NonEmpty


class AmazonBody(Shape):
    """The body of Amazon's model."""

    query: NonEmpty
    documents: Annotated[list[NonEmpty | AmazonDocument], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int, Field(ge=1)] | None = None

    @property
    def texts(self) -> list[str]:
        """The documents as texts."""
        return [one if isinstance(one, str) else one.text for one in self.documents]


class CohereBody(Shape):
    """The body of Cohere's model."""

    query: NonEmpty
    documents: Annotated[list[NonEmpty], Field(min_length=1, max_length=1000)]
    api_version: Literal[2]
    top_n: Annotated[int, Field(ge=1)] | None = None
    max_tokens_per_doc: Annotated[int, Field(ge=1)] | None = None

    @property
    def texts(self) -> list[str]:
        """The documents."""
        return list(self.documents)


class Rerank(Unstreamed):
    """Speaks for both."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return the query; it is what is billed, whatever its length."""
        asked = _read(body, model)
        return Question(said=asked.query, input_tokens=0, max_tokens=0)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the indices of the documents, best first."""
        del answer
        asked = _read(body, model)
        ranked = rank(asked.query, asked.texts)[: asked.top_n]
        return {"results": [{"index": index, "relevance_score": score} for index, score in ranked]}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the latency: queries are counted, not tokens."""
        return {LATENCY: str(answer.latency_ms)}


def rank(query: str, documents: Sequence[str]) -> list[tuple[int, float]]:
    """Return each document's index and score, best first; of equal ones the first."""
    wanted = _words(query)
    scores = [
        round(len(wanted & words) / (len(wanted) or 1) - len(words - wanted) / (1000 + len(words)), _DIGITS)
        for words in map(_words, documents)
    ]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return [(index, max(0.0, scores[index])) for index in order]


def _read(body: Any, model: ModelId) -> AmazonBody | CohereBody:
    return read_schema(CohereBody, body) if model.provider == "cohere" else read_schema(AmazonBody, body)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
