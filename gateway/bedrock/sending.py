"""Sending one call and judging the head of its answer: it is a good status, or an error of ours is raised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.bedrock import faults
from gateway.bedrock.exceptions import FOREIGN, STALE, before_the_head, from_exception
from gateway.errors import GatewayError, UpstreamDenied, UpstreamProtocolError
from gateway.wire.eventstream import CONTENT_TYPE as EVENT_STREAM

if TYPE_CHECKING:
    from gateway.bedrock.client import BedrockClient
    from gateway.bedrock.clocks import Clocks
    from gateway.bedrock.credentials import RequestCredentials
    from gateway.bedrock.exchange import Exchange

MAX_ERROR_BODY = 65_536
"""Bytes; of a longer one the beginning counts."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: the body for one operation of one model."""

    model_id: str
    operation: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    streaming: bool = False
    connect_timeout: float | None = None
    """Seconds; None: the client's own."""


async def send(client: BedrockClient, message: Message, clocks: Clocks) -> Exchange:
    """Send it, once more with other credentials where AWS finds them stale. The caller closes the answer.

    Raises:
        GatewayError: Bedrock refused, failed, or did not answer in time.
    """
    try:
        credentials = await client.credentials.current()
    except GatewayError as error:
        error.unsigned = True
        raise
    try:
        return await _send_once(client, message, clocks, credentials)
    except UpstreamDenied as error:
        if error.upstream_code not in STALE:
            raise
        if not await clocks.bound(client.credentials.renew(credentials)):
            raise
    return await _send_once(client, message, clocks, await client.credentials.current())


async def _send_once(
    client: BedrockClient, message: Message, clocks: Clocks, credentials: RequestCredentials
) -> Exchange:
    try:
        response = await clocks.bound(
            client.post(
                message.model_id,
                message.operation,
                message.body,
                message.headers,
                credentials,
                connect_timeout=message.connect_timeout,
            )
        )
    except FOREIGN as error:
        raise before_the_head(error) from error
    try:
        try:
            if response.status != _GOOD or (message.streaming and not is_event_stream(response)):
                await clocks.bound(_check(response, streaming=message.streaming))
        except BaseException:
            response.close()
            raise
    except FOREIGN as error:
        raise from_exception(error) from error
    except UpstreamDenied as error:
        client.skew.explain(error)
        raise
    return response


_GOOD = 200


async def _check(response: Exchange, *, streaming: bool) -> None:
    """Raise unless this is the kind of answer that was asked for."""
    if 300 <= response.status < 400:  # noqa: PLR2004 - redirects are not followed: they would carry the prompt
        raise UpstreamProtocolError("Bedrock's endpoint redirects: it is not Bedrock's.")
    if response.status != _GOOD:
        body = await response.read_up_to(MAX_ERROR_BODY)
        raise faults.from_answer(response.status, response.headers, body)
    if streaming and not is_event_stream(response):
        raise UpstreamProtocolError(
            "Bedrock's endpoint answered with something other than an event stream.",
            detail=f"content type {_media_type(response)[:100]}",
            upstream_request_id=faults.request_id_of(response.headers),
        )


def is_event_stream(response: Exchange) -> bool:
    """Say whether an answer is what a streaming operation gives."""
    return _media_type(response) == EVENT_STREAM


def _media_type(response: Exchange) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()
