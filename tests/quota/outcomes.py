"""Requests of every dialect that end in every way, and clients that see them through, or leave them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import aiohttp

from tests.harness import CLAUDE, LLAMA, NOVA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fate: TypeAlias = Literal["whole", "retried", "throttled", "refused", "broken", "left"]
"""To its end · throttled once by Bedrock, and then whole · throttled for good · not valid · broken off by
Bedrock · left by its caller."""

_WEIGHTS: Final[dict[Fate, int]] = {
    "whole": 30,
    "retried": 6,
    "throttled": 6,
    "refused": 4,
    "broken": 14,
    "left": 40,
}
_BREAKS: Final = (
    "exception=throttlingException after=7",
    "exception=modelStreamErrorException after=8",
    "cut=7",
    "cut=6+9",
    "close=8",
    "error_frame=7",
)
SHARED: Final = "These words stand before every question and are kept in the cache. " * 80


def _native(model: str, text: str, *, broken: bool) -> dict[str, Any]:
    limit = {"max_tokens": -1} if broken else {"max_tokens": 2000}
    return {"model": model, "messages": [{"role": "user", "content": text}], **limit}


def _openai(model: str, text: str, *, broken: bool) -> dict[str, Any]:
    return {**_native(model, text, broken=broken), "stream_options": {"include_usage": True}}


def _responses(model: str, text: str, *, broken: bool) -> dict[str, Any]:
    return {"model": model, "input": text, "max_output_tokens": 0 if broken else 2000}


def _messages(model: str, text: str, *, broken: bool) -> dict[str, Any]:
    system = [{"type": "text", "text": SHARED, "cache_control": {"type": "ephemeral"}}]
    return {**_native(model, text, broken=broken), "system": system}


def _invoke(_: str, text: str, *, broken: bool) -> dict[str, Any]:
    body = _messages("", text, broken=broken)
    return {"anthropic_version": "bedrock-2023-05-31", **{k: v for k, v in body.items() if k != "model"}}


def _converse(_: str, text: str, *, broken: bool) -> dict[str, Any]:
    limit = -1 if broken else 2000
    return {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": limit},
    }


@dataclass(frozen=True, slots=True)
class Route:
    """A route, its body, and what asks for a stream there; `models` are those to ask."""

    path: str
    body: Callable[..., dict[str, Any]]
    streams: bool
    models: tuple[str, ...] = (CLAUDE, NOVA, LLAMA)
    asked_by: bool = False
    """Whether the body says that a stream is wanted."""


ROUTES: Final = (
    Route("/chat/completions", _native, streams=False),
    Route("/chat/completions/stream", _native, streams=True),
    Route("/v1/chat/completions", _native, streams=False),
    Route("/v1/chat/completions", _openai, streams=True, asked_by=True),
    Route("/v1/responses", _responses, streams=False),
    Route("/v1/responses", _responses, streams=True, asked_by=True),
    Route("/v1/messages", _messages, streams=False, models=(CLAUDE,)),
    Route("/v1/messages", _messages, streams=True, models=(CLAUDE,), asked_by=True),
    Route("/v1/messages", _native, streams=True, models=(NOVA,), asked_by=True),
    Route("/model/{model}/invoke", _invoke, streams=False, models=(CLAUDE,)),
    Route("/model/{model}/invoke-with-response-stream", _invoke, streams=True, models=(CLAUDE,)),
    Route("/model/{model}/converse", _converse, streams=False),
    Route("/model/{model}/converse-stream", _converse, streams=True),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request and what becomes of it. `patience` is after how many seconds its caller leaves."""

    number: int
    route: Route
    path: str
    body: dict[str, Any]
    fate: Fate
    patience: float | None


def outcomes(count: int, seed: int) -> Iterator[Outcome]:
    """Yield so many requests, of every route and every fate."""
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    fates, weights = zip(*_WEIGHTS.items(), strict=True)
    for number in range(count):
        route = ROUTES[number % len(ROUTES)]
        [fate] = chance.choices(fates, weights)
        if fate == "broken" and not route.streams:
            fate = "whole"
        yield _outcome(number, route, fate, chance)


def _outcome(number: int, route: Route, fate: Fate, chance: random.Random) -> Outcome:
    deltas = chance.randint(10, 40)
    words = f"deltas={deltas} delta_chars={4 * chance.randint(1, 8)} pace_ms={chance.choice((2, 5, 10))}"
    words += f" first_byte_ms={chance.choice((0, 0, 50, 200))}"
    words += {
        "retried": " error=ThrottlingException times=1",
        "throttled": " error=ThrottlingException",
        "broken": f" {chance.choice(_BREAKS)}",
    }.get(fate, "")
    model = chance.choice(route.models)
    body = route.body(
        model, f"[[emulator {words}]] {number} {'word ' * chance.randint(1, 60)}", broken=fate == "refused"
    )
    if route.asked_by:
        body["stream"] = True
    patience = chance.uniform(0, 0.5) if fate == "left" else None
    return Outcome(number, route, route.path.format(model=model), body, fate, patience)


async def see(session: aiohttp.ClientSession, url: str, outcome: Outcome, headers: dict[str, str]) -> None:
    """Ask and read to the end, or leave when patience ends."""
    try:
        async with asyncio.timeout(outcome.patience):
            async with session.post(url + outcome.path, json=outcome.body, headers=headers) as response:
                try:
                    await response.read()
                finally:
                    if outcome.fate == "left":
                        response.close()
    except (TimeoutError, aiohttp.ClientPayloadError):
        pass  # it has left, or its answer was broken off
