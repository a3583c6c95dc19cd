"""Bedrock as the pipeline sees it: format a call, send it, read its answer under its clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gateway.bedrock import counting, faults, relays
from gateway.bedrock.answer import BedrockAnswer
from gateway.bedrock.answer_reader import AnsweringReader
from gateway.bedrock.bodies import body_of
from gateway.bedrock.clocks import Clocks
from gateway.bedrock.exceptions import FOREIGN, from_exception
from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.bedrock.relay_reader import reader_of
from gateway.bedrock.sending import Message, send
from gateway.catalog.charges import charged
from gateway.codecs import codec_for
from gateway.codecs.embeddings import embedder_for
from gateway.errors import InvalidRequest
from gateway.upstream import EmbeddingCall, RelayRequest, UpstreamCall
from gateway.wire.eventstream import MAX_PAYLOAD_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random
    from types import TracebackType

    from gateway.bedrock.answer import Reader
    from gateway.bedrock.bodies import Body
    from gateway.bedrock.exchange import Exchange
    from gateway.bedrock.routing import Route, Router
    from gateway.bedrock.targets import Target
    from gateway.catalog.directory import ListedModel
    from gateway.catalog.model import Api, Model
    from gateway.deadline import Deadline
    from gateway.domain import CompletionRequest, Embedded, EmbeddingRequest
    from gateway.settings import BedrockSettings

_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long

OPERATIONS: dict[tuple[Api, bool], str] = {
    ("invoke", True): "invoke-with-response-stream",
    ("invoke", False): "invoke",
    ("converse", True): "converse-stream",
    ("converse", False): "converse",
}
"""(API, streaming) to the last segment of the operation's path."""


class Invocation:
    """One call, under way while the block runs: a context manager that gives its answer.

    Not a generator: that costs as much as the signature.
    """

    __slots__ = ("_call", "_clocks", "_exchange", "_upstream")

    def __init__(self, upstream: BedrockUpstream, call: UpstreamCall) -> None:
        self._upstream = upstream
        self._call = call
        self._clocks: Clocks
        self._exchange: Exchange | None = None

    async def __aenter__(self) -> BedrockAnswer:
        """Send the call and wait for the head of the answer.

        Raises:
            GatewayError: Bedrock refused, failed, or did not answer in time.
        """
        call, upstream = self._call, self._upstream
        model = call.model
        self._clocks = clocks = upstream.clocks(model, streaming=model.streaming)
        try:
            self._exchange = exchange = await upstream.send(call.target, _message(call), model, clocks)
            return BedrockAnswer(exchange, _reader(call, exchange), clocks)
        except BaseException:
            self._close()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._exchange is not None:  # nothing else frees the connection of an answer not read (S1)
            self._exchange.close()
        self._clocks.close()


class BedrockUpstream:
    """Bedrock behind its targets; see `gateway.upstream.Upstream`. `rng` draws the weighted orders."""

    def __init__(
        self, targets: Mapping[str, Target], router: Router, settings: BedrockSettings, rng: Random
    ) -> None:
        self._targets = targets
        self._router = router
        self._settings = settings
        self._rng = rng
        self._told: set[str] = set()
        self._rested: list[Deadline] = []
        self._known: tuple[tuple[str, Model], ...] | None = None

    def format(self, request: CompletionRequest) -> list[UpstreamCall]:
        """Make a body for each model that may answer, and a call for each target that has it.

        A model of the operator's choice that cannot do what is asked is left out; what the model asked for
        cannot do is an error, whatever others could: nobody gets another model for a parameter.

        Raises:
            UnknownModel: there is no such model here.
            InvalidRequest: the model cannot do what is asked; `param` names the field.
        """
        routes = self._router.routes(request.model)
        calls = self._calls(routes[0], request)
        for route in routes[1:]:
            try:
                calls += self._calls(route, request)
            except InvalidRequest as error:
                self._tell(request.model, route, error)
        return calls

    def asked(self, name: str) -> Model:
        """Return the model that is asked first; raises as `Router.routes` does."""
        return self._router.routes(name)[0].bodies[0]

    def may_ask(self, model: ListedModel) -> bool:
        """Return true: what the operator does not allow anybody is not in the list."""
        del model
        return True

    def _calls(self, route: Route, request: CompletionRequest) -> list[UpstreamCall]:
        """Return the calls of one route, in the order for this request."""
        bodies: list[Body | None] = []
        first: InvalidRequest | None = None
        for model in route.bodies:
            try:
                bodies.append(body_of(model, request, self._models, check_provider=not route.fallback))
            except InvalidRequest as error:
                first = first or error
                bodies.append(None)
        calls = [
            UpstreamCall(
                place.model if body.plain else charged(place.model, request),
                *body[:3],
                place.target,
                route.fallback,
                None,
                body.answer_tool,
            )
            for place in route.drawn(self._rng)
            if (body := bodies[place.body]) is not None
        ]
        if first is not None and not calls:
            raise first
        return calls

    def _models(self) -> Iterable[tuple[str, Model]]:
        """Return the models that may be asked of the first target, by name."""
        if self._known is None:
            self._known = tuple(self._router.preferred.models().items())
        return self._known

    def _tell(self, asked: str, route: Route, error: InvalidRequest) -> None:
        """Log once that a fallback model does not take all requests."""
        model = route.bodies[0]
        name = model.base_id or route.places[0].model.id
        if name not in self._told:
            self._told.add(name)
            structlog.get_logger().debug(
                "fallback_left_out", model=asked, fallback=name, reason=error.message, param=error.param
            )

    def relay(self, request: RelayRequest) -> list[UpstreamCall]:
        """Make the calls for a request in Bedrock's own words; see `relays.calls_of`."""
        return relays.calls_of(request, self._router, self._rng)

    def relay_guardrail(self, identifier: str, version: str, body: bytes) -> list[UpstreamCall]:
        """Make the calls that apply a guardrail to a text; see `relays.guardrail_calls`."""
        return relays.guardrail_calls(identifier, version, body, self._router.general_targets)

    def count(self, name: str) -> list[UpstreamCall]:
        """Make the calls that count tokens, without their body; see `counting`."""
        return counting.at_the_base(self.relay(RelayRequest(name, "count-tokens", b"", {})))

    def count_body(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the body that counts a request; see `counting.body`."""
        return counting.body(request, model)

    def invoke_stream(self, call: UpstreamCall) -> Invocation:
        """Return what sends the call when its block begins; see `gateway.upstream.Upstream`."""
        return Invocation(self, call)

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """Resolve the model and make a body for each batch of inputs that it takes in one call.

        Raises:
            UnknownModel: there is no such model here.
            InvalidRequest: it does not embed, or not so; `param` names the field.
        """
        route = self._router.embedding_route(request.model)
        model = route.bodies[0]
        codec = embedder_for(model.base_id)
        calls = []
        for first in range(0, len(request.inputs), codec.batch_size):
            batch = request.inputs[first : first + codec.batch_size]
            body = codec.format(request, batch, first)
            places = [
                EmbeddingCall(place.model, body, len(batch), place.target)
                for place in route.drawn(self._rng)
                if place.model.base_id == model.base_id
            ]
            calls.append(replace(places[0], elsewhere=tuple(places[1:])) if places[1:] else places[0])
        return calls

    async def embed(self, call: EmbeddingCall) -> Embedded:
        """Send the call and return its vectors.

        Raises:
            GatewayError: Bedrock refused, failed, or did not answer in time.
        """
        clocks = self.clocks(call.model, streaming=False)
        try:
            connect = call.model.timeouts.connect
            message = Message(call.model.id, "invoke", call.body, connect_timeout=connect, caller=call.caller)
            response = await self.send(call.target, message, call.model, clocks)
            try:
                body = await clocks.bound(response.read_all(MAX_PAYLOAD_LENGTH))
            finally:
                response.close()
        except FOREIGN as error:
            raise from_exception(error) from error
        finally:
            clocks.close()
        embedded = embedder_for(call.model.base_id).read(body, response.headers, call.count)
        return replace(embedded, request_id=faults.request_id_of(response.headers))

    def clocks(self, model: Model, *, streaming: bool) -> Clocks:
        """Start the clocks of one call."""
        return Clocks(self._settings, model.timeouts, streaming=streaming, rested=self._rested)

    async def send(self, name: str, message: Message, model: Model, clocks: Clocks) -> Exchange:
        """Send it to the target of this name; see `gateway.bedrock.sending.send`."""
        target = self._targets[name]
        try:
            return await send(target.client, message, clocks)
        except InvalidRequest as error:
            faults.name_profile(error, target.catalog.profile_advice(model))
            raise


def _message(call: UpstreamCall) -> Message:
    model, headers, relay = call.model, call.headers, call.relay
    path = None
    if relay is not None:
        operation, path = relay.operation, relay.path
    else:
        operation = OPERATIONS[model.api, model.streaming]
        if model.streaming and model.api == "invoke":
            headers = {**headers, "X-Amzn-Bedrock-Accept": "application/json"}
    parts = (
        model.id,
        operation,
        call.body,
        headers,
        model.streaming,
        model.timeouts.connect,
        path,
        call.caller,
    )
    return _new(Message, parts)


def _reader(call: UpstreamCall, response: Exchange) -> Reader:
    if call.relay is not None:
        return reader_of(call.relay, response.headers)
    model, codec = call.model, codec_for(call.model)
    reader: StreamReader | UnaryReader
    if model.streaming:
        reader = StreamReader(codec.extractor(), enveloped=model.api == "invoke")
    else:
        reader = UnaryReader(codec, response.headers)
    if call.answer_tool:
        return AnsweringReader(reader, call.answer_tool)
    return CuttingReader(reader, call.stop) if call.stop else reader
