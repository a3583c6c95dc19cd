"""What can be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.server.answers import rendered_json

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def models_config(exchange: Exchange) -> Answer:
    """`GET /models/config`: providers and their models, as bytes that were rendered once at the start."""
    return rendered_json(exchange.services.models_config, exchange.log.request_id)
