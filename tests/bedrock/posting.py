"""A request of a client, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.bedrock.clocks import Clocks
from gateway.bedrock.sending import Message
from gateway.catalog.timeouts import GENERAL
from gateway.settings import BedrockSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.bedrock.client import BedrockClient
    from gateway.bedrock.exchange import Exchange


async def post(
    client: BedrockClient,
    model_id: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    connect_timeout: float | None = None,
) -> Exchange:
    """Send a request under the general clocks and return its answer, whatever it says; to be closed."""
    clocks = Clocks(BedrockSettings(), GENERAL, streaming=False)
    message = Message(model_id, "invoke", body, headers or {}, connect_timeout=connect_timeout)
    try:
        return await client.post(message, await client.credentials.current(), clocks)
    finally:
        clocks.close()
