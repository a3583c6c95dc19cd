"""One model, asked by the cheapest call that there is.

Claude's base ids are counted for, which is free; embedding models embed one word; every other model
completes one token, by the same operation that requests will use.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, TypeVar

import orjson

from gateway.bedrock.clocks import Clocks
from gateway.bedrock.exceptions import FOREIGN, from_exception
from gateway.bedrock.sending import Message, send
from gateway.catalog.iam import Place
from gateway.catalog.model_id import parse
from gateway.catalog.profiles import advice
from gateway.domain import CompletionRequest, EmbeddingInput, EmbeddingRequest, TextPart, Usage
from gateway.domain import Message as Turn
from gateway.errors import GatewayError, InvalidRequest, UpstreamDenied
from gateway.upstream import EmbeddingCall, UpstreamCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.bedrock.targets import Target
    from gateway.bedrock.upstream import BedrockUpstream
    from gateway.catalog.model import Model
    from gateway.domain import Event
    from gateway.settings import BedrockSettings

WORD = "Hi"
MAX_COUNTED = 65_536
"""Bytes of an answer of CountTokens."""


C = TypeVar("C", UpstreamCall, EmbeddingCall)


class Prober:
    """Asks models; `calls` false: nothing is sent."""

    def __init__(
        self,
        target: Target,
        upstream: BedrockUpstream,
        settings: BedrockSettings,
        *,
        calls: bool,
    ) -> None:
        self._target = target
        self._client = target.client
        self._upstream = upstream
        self._catalog = target.catalog
        self._settings = settings
        self._calls = calls

    async def ask(self, name: str) -> str | None:
        """Return what the model's answer shows; None where it is asked at other targets only.

        Raises:
            GatewayError: whatever a request for this model would meet.
        """
        if self._embeds(name):
            return await self._embed(name)
        turn = Turn("user", (TextPart(WORD),))
        calls = self._upstream.format(CompletionRequest(model=name, messages=(turn,), max_tokens=1))
        call = self._here(call for call in calls if not call.fallback)
        if call is None:
            return None
        if not self._calls:
            return f"{_behind(name, call.model)}can be asked for; not called"
        if _countable(call.model) and (tokens := await self._count(call)) is not None:
            return f"{_behind(name, call.model)}answers CountTokens, which is free ({tokens} tokens)"
        return await self._complete(name, call)

    def _embeds(self, name: str) -> bool:
        card = self._catalog.card(name)
        return card is not None and "embedding" in card.gives

    def _here(self, calls: Iterable[C]) -> C | None:
        return next((call for call in calls if call.target == self._target.name), None)

    async def _embed(self, name: str) -> str | None:
        request = EmbeddingRequest(model=name, inputs=(EmbeddingInput(WORD),))
        [first] = self._upstream.format_embeddings(request)
        call = self._here((first, *first.elsewhere))
        if call is None:
            return None
        if not self._calls:
            return f"{_behind(name, call.model)}can be asked for; not called"
        embedded = await self._upstream.embed(call)
        return f"{_behind(name, call.model)}embeds: {len(embedded.vectors[0])} dimensions"

    async def _complete(self, name: str, call: UpstreamCall) -> str:
        events: list[Event] = []
        async with self._upstream.invoke_stream(call) as answer:
            while data := await answer.read():
                answer.reader.feed(data, events)
            answer.reader.close(events)
        usage = Usage()
        for event in events:
            usage = usage.merge(event) if isinstance(event, Usage) else usage
        api = "Converse" if call.model.api == "converse" else "InvokeModel"
        way = "streaming" if call.model.streaming else "unary"
        cost = f"{usage.input_tokens or 0} tokens in, {usage.output_tokens or 0} out"
        return f"{_behind(name, call.model)}answers by {api}, {way} (this cost {cost})"

    async def _count(self, call: UpstreamCall) -> int | None:
        """Return the tokens that Bedrock counts, None where it may not be asked to count."""
        counted = (
            {"converse": {"messages": orjson.loads(call.body)["messages"]}}
            if call.model.api == "converse"
            else {"invokeModel": {"body": b64encode(call.body).decode()}}
        )
        clocks = Clocks(self._settings, call.model.timeouts, streaming=False)
        message = Message(call.model.id, "count-tokens", orjson.dumps({"input": counted}))
        try:
            response = await send(self._client, message, clocks)
            try:
                return int(orjson.loads(await clocks.bound(response.read_all(MAX_COUNTED)))["inputTokens"])
            finally:
                response.close()
        except FOREIGN as error:
            raise from_exception(error) from error
        except (InvalidRequest, UpstreamDenied) as error:
            if isinstance(error, UpstreamDenied) and "CountTokens" not in (error.detail or ""):
                raise
            return None  # the completion will tell
        except (ValueError, KeyError, TypeError):
            return None  # not an answer of Bedrock's: the completion will tell that, too
        finally:
            clocks.close()

    # ── for explanations ──────────────────────────────────────────────────────────────────────────────

    def action(self, name: str) -> str:
        """Return the IAM action that requests for the model need; Converse needs the same."""
        if self._embeds(name):
            return "bedrock:InvokeModel"
        try:
            streaming = self._catalog.resolve(name).streaming
        except GatewayError:
            streaming = True
        return "bedrock:InvokeModelWithResponseStream" if streaming else "bedrock:InvokeModel"

    def profile(self, name: str) -> str:
        """Return which inference profile to ask for, as the end of a sentence."""
        card = self._catalog.card(name)
        if card is None or not card.profiles:
            return "use an inference profile (see the Bedrock console, cross-region inference)"
        return advice(card, self._client.region)


def resource(model_id: str, region: str) -> str:
    """Return the ARNs that a policy must name for a model; `*` is for any account."""
    place, known = Place(region, "*"), parse(model_id)
    if known.kind == "geo-profile":
        profile, model = place.owned("inference-profile", model_id), place.model(str(known.base_id), "*")
        return f"{profile} and {model}"
    return place.model(model_id) if known.kind == "base" else model_id


def _countable(model: Model) -> bool:
    """Geo profiles and ARNs are refused by CountTokens (bedrock-wire.md §2.1)."""
    return model.provider == "anthropic" and parse(model.id).kind == "base"


def _behind(name: str, model: Model) -> str:
    """Return the id behind an alias, as the beginning of a sentence."""
    return "" if model.id == name else f"{model.id} "
