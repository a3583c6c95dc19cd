"""Sending one call and judging the head of its answer: it is a good status, or an error of ours is raised."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from gateway.bedrock import faults
from gateway.bedrock.exceptions import FOREIGN, STALE, before_the_head, from_exception
from gateway.errors import GatewayError, UpstreamDenied, UpstreamProtocolError
from gateway.wire.eventstream import CONTENT_TYPE as EVENT_STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.bedrock.client import BedrockClient
    from gateway.bedrock.clocks import Clocks
    from gateway.bedrock.credentials import RequestCredentials
    from gateway.bedrock.exchange import Exchange

MAX_ERROR_BODY = 65_536
"""Bytes; of a longer one the beginning counts."""


_GOOD: Final = 200
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Message(NamedTuple):
    """What is posted: the body for one operation of one model."""

    model_id: str
    operation: str
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    streaming: bool = False
    connect_timeout: float | None = None
    """Seconds; None: the client's own."""
    path: str | None = None
    """Of an operation that is none of a model's."""
    caller: str = ""
    """Whose session signs it, where callers have their own."""


async def send(client: BedrockClient, message: Message, clocks: Clocks) -> Exchange:
    """Send it, once more with other credentials where AWS finds them stale. The caller closes the answer.

    Raises:
        GatewayError: Bedrock refused, failed, or did not answer in time.
    """
    source = client.credentials_of(message.caller)
    try:
        credentials = await source.current()
    except GatewayError as error:
        error.unsigned = True
        raise
    try:
        return await _send_once(client, message, clocks, credentials)
    except UpstreamDenied as error:
        if error.upstream_code not in STALE:
            raise
        if not await clocks.bound(source.renew(credentials)):
            raise
    return await _send_once(client, message, clocks, await source.current())


async def _send_once(
    client: BedrockClient, message: Message, clocks: Clocks, credentials: RequestCredentials
) -> Exchange:
    try:
        response = await client.post(message, credentials, clocks)
    except FOREIGN as error:
        raise before_the_head(error) from error
    if response.status != _GOOD or (message.streaming and not is_event_stream(response)):
        await _refuse(client, response, clocks)
    return response


async def _refuse(client: BedrockClient, response: Exchange, clocks: Clocks) -> NoReturn:
    """Raise what an answer means that is not of the kind that was asked for."""
    try:
        fault = await clocks.bound(_fault_of(response))
    except FOREIGN as error:
        raise from_exception(error) from error
    finally:
        response.close()
    if isinstance(fault, UpstreamDenied):
        client.skew.explain(fault)
    raise fault


async def _fault_of(response: Exchange) -> GatewayError:
    if 300 <= response.status < 400:  # noqa: PLR2004 - redirects are not followed: they would carry the prompt
        return UpstreamProtocolError("Bedrock's endpoint redirects: it is not Bedrock's.")
    if response.status != _GOOD:
        body = await response.read_up_to(MAX_ERROR_BODY)
        return faults.from_answer(response.status, response.headers, body)
    return UpstreamProtocolError(
        "Bedrock's endpoint answered with something other than an event stream.",
        detail=f"content type {_media_type(response)[:100]}",
        upstream_request_id=faults.request_id_of(response.headers),
    )


def is_event_stream(response: Exchange) -> bool:
    """Say whether an answer is what a streaming operation gives."""
    content_type = response.headers.get("content-type", "")
    return content_type == EVENT_STREAM or _media_type(response) == EVENT_STREAM


def _media_type(response: Exchange) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()
