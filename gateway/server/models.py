"""What can be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.server.answers import SERVER
from gateway.server.request_id import HEADER

if TYPE_CHECKING:
    from gateway.server.exchange import Exchange


async def models_config(exchange: Exchange) -> web.StreamResponse:
    """`GET /models/config`: providers and their models, as bytes that were rendered once at the start."""
    return web.Response(
        body=exchange.services.models_config,
        headers={HEADER: exchange.log.request_id, "Server": SERVER, "Cache-Control": "no-store"},
        content_type="application/json",
    )
