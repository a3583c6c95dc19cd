"""Liveness, readiness, version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.server.answers import json_response

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def live(exchange: Exchange) -> Answer:
    """`GET /livez`: the loop turns. Nothing else is asked, or an outage elsewhere would restart the fleet."""
    return json_response({"status": "live"}, exchange.log.request_id)


async def ready(exchange: Exchange) -> Answer:
    """`GET /readyz`: 200 where new requests are welcome, else 503 and the reasons."""
    problems = await exchange.services.readiness.problems()
    limiter = exchange.services.limiter
    state = {
        "status": "unready" if problems else "ready",
        "problems": problems,
        "unusable_targets": exchange.services.readiness.unusable_targets,
        "ledger": exchange.services.readiness.ledger,
        "streams": {"running": limiter.running, "waiting": limiter.waiting, "slots": limiter.max_running},
    }
    return json_response(state, exchange.log.request_id, status=503 if problems else 200)


async def version(exchange: Exchange) -> Answer:
    """`GET /version`: what serves, and how many times its settings have been read."""
    services = exchange.services
    return json_response(
        {
            "name": "bedrock-gateway",
            "version": services.version,
            "config_generation": services.generation,
        },
        exchange.log.request_id,
    )
