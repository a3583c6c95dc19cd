"""Bedrock as the pipeline sees it: format a call, send it, read its answer under four clocks.

The clocks are connect (the client's), first byte, gap and total. They are deadlines, never ticks: when one
strikes the answer is over (reliability.md S37).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from gateway.bedrock import faults
from gateway.bedrock.exceptions import FOREIGN, from_exception
from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.catalog.defaults import with_defaults
from gateway.codecs import codec_for
from gateway.codecs.stop_sequences import emulated
from gateway.errors import InvalidRequest, UpstreamDenied, UpstreamProtocolError, UpstreamTimeout
from gateway.upstream import UpstreamCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    import aiohttp

    from gateway.bedrock.client import BedrockClient
    from gateway.bedrock.credentials import RequestCredentials
    from gateway.catalog.catalog import Catalog
    from gateway.catalog.model import Api, Model
    from gateway.domain import CompletionRequest
    from gateway.settings import BedrockSettings

OPERATIONS: dict[tuple[Api, bool], str] = {
    ("invoke", True): "invoke-with-response-stream",
    ("invoke", False): "invoke",
    ("converse", True): "converse-stream",
    ("converse", False): "converse",
}
"""(API, streaming) to the last segment of the operation's path."""

EVENT_STREAM = "application/vnd.amazon.eventstream"
EOF_PATIENCE = 1.0
"""Seconds to wait for the end of the body behind the last event: closing earlier would cost the pooled
connection and a TLS handshake for the next request (S2)."""
MAX_ERROR_BODY = 65_536

EXPIRED = frozenset({"ExpiredTokenException", "ExpiredToken"})
"""Other credentials may help. Not so for keys that AWS does not know (`UnrecognizedClientException`)."""

Reader: TypeAlias = StreamReader | UnaryReader | CuttingReader
T = TypeVar("T")


class BedrockAnswer:
    """One answer with a good status; see `gateway.upstream.UpstreamAnswer`."""

    def __init__(self, response: aiohttp.ClientResponse, reader: Reader, clocks: Clocks) -> None:
        self.request_id = faults.request_id_of(response.headers)
        self.reader = reader
        self._content = response.content
        self._clocks = clocks

    async def read(self) -> bytes:
        """Return the next read of the body; empty at its end, or when no more of it is wanted.

        Raises:
            UpstreamTimeout: a clock struck; the message names it.
            UpstreamProtocolError: the connection broke.
        """
        if self.reader.cut:  # the model may go on for long: leaving is what ends it, and costs the connection
            return b""
        if self.reader.finished:
            return await self._read_past_the_last_event()
        try:
            data = await self._clocks.bound(self._content.readany())
        except FOREIGN as error:
            raise from_exception(error) from error
        self._clocks.answered = True
        return data

    async def _read_past_the_last_event(self) -> bytes:
        try:
            async with asyncio.timeout(EOF_PATIENCE):
                return await self._content.readany()
        except FOREIGN:
            return b""  # the answer is whole; only the connection and late counters are lost


class Clocks:
    """The deadlines of one call, in seconds of the loop's clock."""

    def __init__(self, settings: BedrockSettings, *, streaming: bool) -> None:
        now = asyncio.get_running_loop().time()
        self.answered = False
        self._gap = settings.gap_timeout_ms / 1000
        total = settings.total_timeout_ms / 1000
        self._total_at = now + total
        self._total_words = f"The answer took longer than {total:g} s."
        first = settings.first_byte_timeout_ms / 1000
        # a unary operation says nothing before it has said all: only the total bounds it
        self._first_at = now + first if streaming else self._total_at
        self._first_words = f"No first byte of the answer within {first:g} s."
        self._gap_words = f"The answer fell silent for more than {self._gap:g} s."

    async def bound(self, awaitable: Awaitable[T]) -> T:
        """Await it under the clock that is due.

        Raises:
            UpstreamTimeout: the clock struck first; the message names it.
        """
        if self.answered:
            deadline, words = asyncio.get_running_loop().time() + self._gap, self._gap_words
        else:
            deadline, words = self._first_at, self._first_words
        if deadline >= self._total_at:
            deadline, words = self._total_at, self._total_words
        clock = asyncio.timeout_at(deadline)
        try:
            async with clock:
                return await awaitable
        except TimeoutError:
            if clock.expired():
                raise UpstreamTimeout(words) from None
            raise


class BedrockUpstream:
    """Bedrock behind one client; see `gateway.upstream.Upstream`."""

    def __init__(self, client: BedrockClient, catalog: Catalog, settings: BedrockSettings) -> None:
        self._client = client
        self._catalog = catalog
        self._settings = settings

    def format(self, request: CompletionRequest) -> UpstreamCall:
        """Resolve the model and make its family's body.

        Raises:
            UnknownModel: there is no such model here.
            InvalidRequest: the model cannot do what is asked; `param` names the field.
        """
        model = self._catalog.resolve(request.model)
        _check_provider(request.provider, model)
        request = with_defaults(request, model)
        codec = codec_for(model)
        stop = () if codec.stop_is_native(model) else emulated(request)
        return UpstreamCall(model, codec.format(request, model), codec.headers(request), stop)

    @asynccontextmanager
    async def invoke_stream(self, call: UpstreamCall) -> AsyncIterator[BedrockAnswer]:
        """Send the call; see `gateway.upstream.Upstream`.

        Raises:
            GatewayError: Bedrock refused, failed, or did not answer in time.
        """
        model = call.model
        clocks = Clocks(self._settings, streaming=model.streaming)
        headers = dict(call.headers)
        if model.streaming and model.api == "invoke":
            headers["X-Amzn-Bedrock-Accept"] = "application/json"
        response = await self._send(call, clocks, headers)
        try:
            yield BedrockAnswer(response, _reader(call, response), clocks)
        finally:
            response.close()  # nothing else frees a connection whose answer was not read to its end (S1)

    async def _send(
        self, call: UpstreamCall, clocks: Clocks, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """Send the call; a second time, with others, where AWS finds the credentials expired."""
        credentials = await self._client.credentials.current()
        try:
            return await self._send_once(call, clocks, headers, credentials)
        except UpstreamDenied as error:
            if error.upstream_code not in EXPIRED:
                raise
            if not await clocks.bound(self._client.credentials.renew(credentials)):
                raise
        return await self._send_once(call, clocks, headers, await self._client.credentials.current())

    async def _send_once(
        self, call: UpstreamCall, clocks: Clocks, headers: dict[str, str], credentials: RequestCredentials
    ) -> aiohttp.ClientResponse:
        model = call.model
        operation = OPERATIONS[model.api, model.streaming]
        try:
            response = await clocks.bound(
                self._client.post(model.id, operation, call.body, headers, credentials)
            )
            try:
                await clocks.bound(_check(response, streaming=model.streaming))
            except BaseException:
                response.close()
                raise
        except FOREIGN as error:
            raise from_exception(error) from error
        except UpstreamDenied as error:
            self._client.skew.explain(error)
            raise
        except InvalidRequest as error:
            faults.name_profile(error, self._catalog.profile_advice(model))
            raise
        return response


def _reader(call: UpstreamCall, response: aiohttp.ClientResponse) -> Reader:
    model, codec = call.model, codec_for(call.model)
    reader: StreamReader | UnaryReader
    if model.streaming:
        reader = StreamReader(codec.extractor(), enveloped=model.api == "invoke")
    else:
        reader = UnaryReader(codec, {name.lower(): value for name, value in response.headers.items()})
    return CuttingReader(reader, call.stop) if call.stop else reader


async def _check(response: aiohttp.ClientResponse, *, streaming: bool) -> None:
    """Raise unless this is the kind of answer that was asked for."""
    if response.status != 200:  # noqa: PLR2004 - the one good status
        body = await response.content.read(MAX_ERROR_BODY)
        names = {name.lower(): value for name, value in response.headers.items()}
        raise faults.from_answer(response.status, names, body)
    if streaming and response.content_type != EVENT_STREAM:
        raise UpstreamProtocolError(
            "Bedrock's endpoint answered with something other than an event stream.",
            detail=f"content type {response.content_type}",
            upstream_request_id=faults.request_id_of(response.headers),
        )


def _check_provider(provider: str | None, model: Model) -> None:
    if provider is None or model.base_id is None or provider.lower() in {"bedrock", model.provider}:
        return
    raise InvalidRequest(
        f"`provider` does not agree with `model`: the model is {model.provider}'s. Leave `provider` out.",
        param="provider",
    )
