"""What can be asked for: the native API's list, and that under `/v1/models`, where two dialects meet.

Who sends `anthropic-version`, as Anthropic's clients do, is answered in its shape; all others in OpenAI's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from gateway.dialects import anthropic_headers, anthropic_models, openai_models
from gateway.dialects.anthropic_errors import REQUEST_ID
from gateway.errors import UnknownModel
from gateway.server.answers import json_response, rendered_json

if TYPE_CHECKING:
    from typing import Any

    from gateway.catalog.directory import ListedModel
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def models_config(exchange: Exchange) -> Answer:
    """`GET /models/config`: providers and their models, as bytes that are rendered at its first use."""
    return rendered_json(exchange.services.models_config(), exchange.log.request_id)


async def list_models(exchange: Exchange) -> Answer:
    """`GET /v1/models`: in pages for Anthropic's clients, whole for OpenAI's."""
    listed = [one for one in exchange.services.models.listed if exchange.upstream.may_ask(one)]
    if _speaks_anthropic(exchange):
        query = parse_qs(exchange.request.query, keep_blank_values=True)
        return _of_anthropic(
            exchange,
            anthropic_models.page([anthropic_models.model(one.id, one.title) for one in listed], query),
        )
    return json_response(openai_models.listing(map(_of_openai, listed)), exchange.log.request_id)


async def find_model(exchange: Exchange) -> Answer:
    """`GET /v1/models/{model}`: whatever a request could name, in the list or not."""
    speaks_anthropic = _speaks_anthropic(exchange)
    found = exchange.services.models.find(exchange.parameters["model"])
    if not exchange.upstream.may_ask(found):
        raise UnknownModel(f"'{found.id}' is none of the models that this caller may ask.", param="model")
    if speaks_anthropic:
        return _of_anthropic(exchange, anthropic_models.model(found.id, found.title))
    return json_response(_of_openai(found), exchange.log.request_id)


def _speaks_anthropic(exchange: Exchange) -> bool:
    """Return whether Anthropic's API is asked; raises `InvalidRequest` where its version is not spoken."""
    version = exchange.header(anthropic_headers.VERSION_HEADER)
    anthropic_headers.check_version(version)
    return version is not None


def _of_anthropic(exchange: Exchange, value: dict[str, Any]) -> Answer:
    answer = json_response(value, exchange.log.request_id)
    answer.headers[REQUEST_ID] = exchange.log.request_id
    return answer


def _of_openai(model: ListedModel) -> dict[str, Any]:
    return openai_models.model(model.id, model.provider, model.end_of_life)
