"""Rerank of the agent runtime: another host at AWS, the same signature, the same models (§5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import Field

from gateway.emulator.errors import invalid
from gateway.emulator.families.rerank import rank
from gateway.emulator.models import read_model_id
from gateway.emulator.shapes import CamelShape, NonEmpty, read_schema

if TYPE_CHECKING:
    from collections.abc import Sequence


class TextDocument(CamelShape):
    """A text."""

    text: NonEmpty


class InlineDocument(CamelShape):
    """A document in the request."""

    type: Literal["TEXT", "JSON"]
    text_document: TextDocument | None = None
    json_document: Any = None

    @property
    def text(self) -> str:
        """What is looked at."""
        return (
            orjson.dumps(self.json_document).decode()
            if self.text_document is None
            else self.text_document.text
        )


class Source(CamelShape):
    """Where a document is."""

    type: Literal["INLINE"]
    inline_document_source: InlineDocument


class Query(CamelShape):
    """What to look for."""

    type: Literal["TEXT"]
    text_query: TextDocument


class ModelConfiguration(CamelShape):
    """Which model."""

    model_arn: NonEmpty
    additional_model_request_fields: dict[str, Any] | None = None


class BedrockConfiguration(CamelShape):
    """How many results, and of which model."""

    model_configuration: ModelConfiguration
    number_of_results: Annotated[int, Field(ge=1, le=1000)] | None = None


class Configuration(CamelShape):
    """How to rank."""

    type: Literal["BEDROCK_RERANKING_MODEL"]
    bedrock_reranking_configuration: BedrockConfiguration


class RerankBody(CamelShape):
    """The body of Rerank."""

    queries: Annotated[list[Query], Field(min_length=1, max_length=1)]
    sources: Annotated[list[Source], Field(min_length=1, max_length=1000)]
    reranking_configuration: Configuration
    next_token: str | None = None

    @property
    def query(self) -> str:
        """The one query, with its directives."""
        return self.queries[0].text_query.text


def read_body(body: Any) -> RerankBody:
    """Return the body.

    Raises:
        BedrockError: it has not its shape, or its model does not rank.
    """
    asked = read_schema(RerankBody, body)
    model = read_model_id(
        asked.reranking_configuration.bedrock_reranking_configuration.model_configuration.model_arn
    )
    if model.base and not model.name.startswith("rerank-"):
        raise invalid("The provided model doesn't support reranking.")
    return asked


def ranked(asked: RerankBody, query: str) -> dict[str, Any]:
    """Return the indices of the sources, best first."""
    texts: Sequence[str] = [source.inline_document_source.text for source in asked.sources]
    most = asked.reranking_configuration.bedrock_reranking_configuration.number_of_results
    return {
        "results": [{"index": index, "relevanceScore": score} for index, score in rank(query, texts)[:most]]
    }
