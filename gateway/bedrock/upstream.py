"""Bedrock as the pipeline sees it: format a call, send it, read its answer under its clocks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from gateway.bedrock import faults
from gateway.bedrock.clocks import Clocks
from gateway.bedrock.exceptions import FOREIGN, from_exception
from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.bedrock.sending import Message, send
from gateway.catalog.defaults import with_defaults
from gateway.codecs import codec_for
from gateway.codecs.embeddings import embedder_for
from gateway.codecs.stop_sequences import emulated
from gateway.errors import InvalidRequest
from gateway.upstream import EmbeddingCall, UpstreamCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from gateway.bedrock.client import BedrockClient
    from gateway.catalog.catalog import Catalog
    from gateway.catalog.model import Api, Model
    from gateway.domain import CompletionRequest, Embedded, EmbeddingRequest
    from gateway.settings import BedrockSettings

OPERATIONS: dict[tuple[Api, bool], str] = {
    ("invoke", True): "invoke-with-response-stream",
    ("invoke", False): "invoke",
    ("converse", True): "converse-stream",
    ("converse", False): "converse",
}
"""(API, streaming) to the last segment of the operation's path."""

Reader: TypeAlias = StreamReader | UnaryReader | CuttingReader


class BedrockAnswer:
    """One answer with a good status; see `gateway.upstream.UpstreamAnswer`."""

    def __init__(self, response: aiohttp.ClientResponse, reader: Reader, clocks: Clocks) -> None:
        self.request_id = faults.request_id_of(response.headers)
        self.reader = reader
        self._content = response.content
        self._clocks = clocks

    @property
    def at_end(self) -> bool:
        """Whether the end of the body has been seen; see `gateway.upstream.UpstreamAnswer`."""
        return self._content.at_eof()

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
            return await self._clocks.tail(self._content.readany())
        except FOREIGN:
            return b""  # the answer is whole; only the connection and late counters are lost


class BedrockUpstream:
    """Bedrock behind one client; see `gateway.upstream.Upstream`."""

    def __init__(self, client: BedrockClient, catalog: Catalog, settings: BedrockSettings) -> None:
        self._client = client
        self._catalog = catalog
        self._settings = settings

    def format(self, request: CompletionRequest) -> list[UpstreamCall]:
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
        return [UpstreamCall(model, codec.format(request, model), codec.headers(request), stop)]

    @asynccontextmanager
    async def invoke_stream(self, call: UpstreamCall) -> AsyncIterator[BedrockAnswer]:
        """Send the call; see `gateway.upstream.Upstream`.

        Raises:
            GatewayError: Bedrock refused, failed, or did not answer in time.
        """
        model = call.model
        clocks = Clocks(self._settings, model.timeouts, streaming=model.streaming)
        headers = dict(call.headers)
        if model.streaming and model.api == "invoke":
            headers["X-Amzn-Bedrock-Accept"] = "application/json"
        operation = OPERATIONS[model.api, model.streaming]
        message = Message(model.id, operation, call.body, headers, model.streaming, model.timeouts.connect)
        try:
            response = await self._send(message, model, clocks)
            try:
                yield BedrockAnswer(response, _reader(call, response), clocks)
            finally:
                response.close()  # nothing else frees a connection whose answer was not read to its end (S1)
        finally:
            clocks.close()

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """Resolve the model and make a body for each batch of inputs that it takes in one call.

        Raises:
            UnknownModel: there is no such model here.
            InvalidRequest: it does not embed, or not so; `param` names the field.
        """
        model = self._catalog.resolve_embedding(request.model)
        codec = embedder_for(model.base_id)
        calls = []
        for first in range(0, len(request.inputs), codec.batch_size):
            batch = request.inputs[first : first + codec.batch_size]
            calls.append(EmbeddingCall(model, codec.format(request, batch, first), len(batch)))
        return calls

    async def embed(self, call: EmbeddingCall) -> Embedded:
        """Send the call and return its vectors.

        Raises:
            GatewayError: Bedrock refused, failed, or did not answer in time.
        """
        clocks = Clocks(self._settings, call.model.timeouts, streaming=False)
        try:
            message = Message(call.model.id, "invoke", call.body, connect_timeout=call.model.timeouts.connect)
            response = await self._send(message, call.model, clocks)
            try:
                body = await clocks.bound(response.read())
            finally:
                response.close()
        except FOREIGN as error:
            raise from_exception(error) from error
        finally:
            clocks.close()
        embedded = embedder_for(call.model.base_id).read(body, _lower(response), call.count)
        return replace(embedded, request_id=faults.request_id_of(response.headers))

    async def _send(self, message: Message, model: Model, clocks: Clocks) -> aiohttp.ClientResponse:
        try:
            return await send(self._client, message, clocks)
        except InvalidRequest as error:
            faults.name_profile(error, self._catalog.profile_advice(model))
            raise


def _lower(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _reader(call: UpstreamCall, response: aiohttp.ClientResponse) -> Reader:
    model, codec = call.model, codec_for(call.model)
    reader: StreamReader | UnaryReader
    if model.streaming:
        reader = StreamReader(codec.extractor(), enveloped=model.api == "invoke")
    else:
        reader = UnaryReader(codec, _lower(response))
    return CuttingReader(reader, call.stop) if call.stop else reader


def _check_provider(provider: str | None, model: Model) -> None:
    if provider is None or model.base_id is None or provider.lower() in {"bedrock", model.provider}:
        return
    raise InvalidRequest(
        f"`provider` does not agree with `model`: the model is {model.provider}'s. Leave `provider` out.",
        param="provider",
    )
