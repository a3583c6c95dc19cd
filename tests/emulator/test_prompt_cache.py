"""The prompt cache: written once, read afterwards, told of in every shape of usage."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator.cache import NO_CACHE, CacheUse, Prefix, PromptCache
from gateway.emulator.errors import BedrockError
from tests.emulator.asking import (
    CLAUDE,
    LLAMA,
    NOVA,
    TOOL_CONFIG,
    claude,
    converse,
    converse_stream,
    invoke,
    invoke_stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

LONG = "word " * 2000
POINT = {"cachePoint": {"type": "default"}}
EPHEMERAL = {"type": "ephemeral"}


def use(cache: PromptCache, model: str, prefixes: list[Prefix]) -> CacheUse:
    """Ask with a prompt that is admitted."""
    found = cache.look(model, prefixes)
    cache.keep(model, prefixes)
    return found


def test_a_cache_knows_the_longest_beginning() -> None:
    """What is beyond it is written, by how long it stays; another model has a cache of its own."""
    cache = PromptCache(10)
    short, middle, long = Prefix(20, "a", "1h"), Prefix(30, "b"), Prefix(50, "c")

    assert use(cache, "m", []) == NO_CACHE
    assert use(cache, "m", [Prefix(9, "tiny")]) == CacheUse(asked=True)
    assert use(cache, "m", [short, middle]) == CacheUse(0, (("1h", 20), ("5m", 10)), asked=True)
    assert use(cache, "m", [short, middle]) == CacheUse(30, (), asked=True)
    assert use(cache, "m", [short, long]) == CacheUse(20, (("5m", 30),), asked=True)
    assert use(cache, "other", [short]).write == 20
    assert cache.look("third", [short]).write == cache.look("third", [short]).write == 20


def test_a_cache_is_bounded() -> None:
    """The beginnings that nobody asked for longest are forgotten."""
    cache = PromptCache(1)
    for number in range(5000):
        use(cache, "m", [Prefix(1, str(number))])

    assert use(cache, "m", [Prefix(1, "4999")]).read == 1
    assert use(cache, "m", [Prefix(1, "0")]).read == 0


async def test_converse_tells_of_its_cache(client: Any) -> None:
    """Written at first, then read, streamed or not; what follows the point is input as ever."""
    body = converse(
        "Hi", system=[{"text": LONG}, POINT], toolConfig={"tools": [*TOOL_CONFIG["tools"], POINT]}
    )

    first = (await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **body)))["usage"]
    events = await asyncio.to_thread(converse_stream, client, CLAUDE, body)
    again = events[-1]["metadata"]["usage"]

    written = first["cacheWriteInputTokens"]
    assert written > 2400
    assert first["cacheDetails"] == [{"ttl": "5m", "inputTokens": written}]
    assert (first["cacheReadInputTokens"], again["cacheReadInputTokens"]) == (0, written)
    assert again["cacheWriteInputTokens"] == 0
    assert (
        first["totalTokens"] == again["totalTokens"] == written + again["inputTokens"] + again["outputTokens"]
    )
    assert again["inputTokens"] < 20


async def test_claude_tells_of_its_cache(client: Any) -> None:
    """In its own four counters, by ttl, at the start of a stream and whole."""
    system = [
        {"type": "text", "text": LONG, "cache_control": {**EPHEMERAL, "ttl": "1h"}},
        {"type": "text", "text": LONG, "cache_control": EPHEMERAL},
    ]

    first = (await asyncio.to_thread(invoke, client, CLAUDE, claude(system=system)))["usage"]
    chunks = await asyncio.to_thread(invoke_stream, client, CLAUDE, claude("Else", system=system))
    again = chunks[0]["message"]["usage"]

    hour, minutes = (first["cache_creation"][f"ephemeral_{ttl}_input_tokens"] for ttl in ("1h", "5m"))
    assert first["cache_creation_input_tokens"] == hour + minutes
    assert min(hour, minutes) > 2400
    assert (first["cache_read_input_tokens"], again["cache_read_input_tokens"]) == (0, hour + minutes)
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["cacheReadInputTokenCount"] == hour + minutes


async def test_nova_tells_of_its_cache(client: Any) -> None:
    """In the counters that it always has."""
    body = converse("Hi", system=[{"text": LONG}, POINT])

    usages = [(await asyncio.to_thread(invoke, client, NOVA, body))["usage"] for _ in range(2)]

    assert usages[0]["cacheWriteInputTokenCount"] == usages[1]["cacheReadInputTokenCount"] > 2400


async def test_headers_tell_of_the_cache(client: Any) -> None:
    """InvokeModel's counters are there where a prompt has a cache point."""
    turns = [{"role": "user", "content": [{"type": "text", "text": LONG, "cache_control": EPHEMERAL}]}]
    body = claude(messages=turns)

    answer = await asyncio.to_thread(lambda: client.invoke_model(modelId=CLAUDE, body=json.dumps(body)))
    answer["body"].close()

    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert int(headers["x-amzn-bedrock-cache-write-input-token-count"]) > 2400
    assert headers["x-amzn-bedrock-cache-read-input-token-count"] == "0"


def marked(*ttls: str) -> list[dict[str, Any]]:
    """Return a system prompt of blocks with these ttls."""
    return [
        {"type": "text", "text": "x", "cache_control": {**EPHEMERAL, "ttl": ttl} if ttl else EPHEMERAL}
        for ttl in ttls
    ]


@pytest.mark.parametrize(
    ("operation", "model", "body", "message"),
    [
        ("converse", LLAMA, converse(system=[{"text": "x"}, POINT]), "You invoked an unsupported model or"),
        (
            "invoke",
            "anthropic.claude-3-haiku-20240307-v1:0",
            claude(system=marked("")),
            "You invoked an unsupported model or your request did not allow prompt caching.",
        ),
        (
            "invoke",
            CLAUDE,
            claude(system=marked("", "", "", "", "")),
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
        (
            "invoke",
            CLAUDE,
            claude(system=marked("5m", "1h")),
            "system.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m'",
        ),
        (
            "invoke",
            "anthropic.claude-3-7-sonnet-20250219-v1:0",
            claude(system=marked("1h")),
            "system.0.cache_control.ephemeral.ttl: Extra inputs are not permitted",
        ),
    ],
)
def test_what_cannot_be_cached_is_refused(
    reply: Ask, operation: str, model: str, body: dict[str, Any], message: str
) -> None:
    """Models without a cache, too many points, ttls out of order or out of reach."""
    with pytest.raises(BedrockError) as caught:
        reply(operation, model, body)

    assert caught.value.message.startswith(message)
