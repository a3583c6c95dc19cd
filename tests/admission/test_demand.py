"""What a request may use, from its body: text by its bytes, media by what they are, and the limit said."""

from __future__ import annotations

import base64

import orjson
import pytest

from gateway.admission.caller import ANONYMOUS
from gateway.admission.demand import (
    IMAGE_TOKENS,
    MAX_DOCUMENT_TOKENS,
    PAGE_TOKENS,
    UNKNOWN_MAX_TOKENS,
    Demand,
    Ticket,
    demand_of,
    input_tokens,
    micro_dollars,
)
from gateway.catalog.catalog import Catalog
from gateway.upstream import Relay, UpstreamCall
from tests.admission.asking import MODEL, call

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4_000).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(range(256)) * 1_000).decode()
HUGE = base64.b64encode(b"%PDF-1.7\n" + bytes(6_000_000)).decode()
TEXT = base64.b64encode(b"plain words and more of them, again. " * 100).decode()


def of(value: object) -> int:
    """Return the tokens of a body beyond those of its shape."""
    return input_tokens(orjson.dumps(value))


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ({"prompt": "word " * 4_000}, 5_000, 5_010),
        ({"source": {"type": "base64", "media_type": "image/png", "data": PNG}}, IMAGE_TOKENS, 1_630),
        ({"image": {"format": "jpeg", "source": {"bytes": JPEG}}}, IMAGE_TOKENS, 1_630),
        ({"url": f"data:image/png;base64,{PNG}"}, IMAGE_TOKENS, 1_630),
        ({"inputImage": PNG, "inputText": "a word"}, IMAGE_TOKENS, 1_630),
        ([{"bytes": PNG}, {"bytes": JPEG}], 2 * IMAGE_TOKENS, 3_230),
        ({"document": {"source": {"bytes": PDF}}}, 10_240, 10_270),
        ({"document": {"source": {"bytes": PDF[:4_000]}}}, PAGE_TOKENS, 2_030),
        ({"document": {"source": {"bytes": HUGE}}}, MAX_DOCUMENT_TOKENS, 200_030),
        ({"document": {"source": {"bytes": TEXT}}}, 920, 940),
        ({"data": "a word of text and no media", "bytes": 5}, 8, 18),
        ({}, 1, 1),
    ],
)
def test_input(value: object, least: int, most: int) -> None:
    """Base64 is no text: a picture has as many tokens as any, a document as its size says, in bounds."""
    assert least <= of(value) <= most


def test_escapes() -> None:
    """A caller that escapes what is not ASCII asks for no more."""
    words = {"prompt": "приклад тексту " * 200}
    plain, escaped = orjson.dumps(words), str.encode(ascii(words["prompt"]))
    assert len(escaped) > 1.5 * len(plain)
    assert input_tokens(escaped) < 1.1 * input_tokens(plain)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (b'{"max_t\\u006fkens":5000,"messages":[{"input":{"max_tokens":1}}]}', 5000),
        (b'{"max_tokens":1,"inferenceConfig":{"maxT\\u006fkens":5000}}', 5000),
        (b'{"max_tokens":1,"inferenceConfig":{"maxTokens":5000}}', 5000),
        (b'{"inferenceConfig":{"maxTokens":1,"max_new_tokens":5000}}', 5000),
        (b'{"additionalModelRequestFields":{"max_tokens":5000},"inferenceConfig":{"maxTokens":1}}', 5000),
        (b'{"messages":[{"input":{"max_tokens":1}}]}', 64_000),
        (b'{"x":{"max_tokens":1}}', 64_000),
        (b'{"max_tokens":1.5e4}', 64_000),
        (b'{"max_tokens":-1,"inferenceConfig":{"maxTokens":-1}}', 64_000),
        (b'{"messages":["\\u0041\\u00e9"],"max_tokens":17}', 17),
    ],
)
def test_nobody_reserves_less_than_it_asks_for(body: bytes, limit: int) -> None:
    """By a name in escapes, by one that only looks like a limit, or by several of which one is small."""
    model = Catalog(region="us-east-1").resolve(MODEL)
    assert demand_of(UpstreamCall(model, body, {})).max_tokens == limit


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"max_tokens": 17}, 17),
        ({"inferenceConfig": {"maxTokens": 17}}, 17),
        ({"textGenerationConfig": {"maxTokenCount": 17}}, 17),
        ({"max_gen_len": 17}, 17),
        ({"max_tokens_to_sample": 17}, 17),
        ({"messages": [{"text": '"max_tokens": 5'}], "max_tokens": 17}, 17),
        ({"tools": [{"max_results": 4, "max_tokens": {"type": "integer"}}], "max_tokens": 17}, 17),
        ({"messages": [{"input": {"max_tokens": 90_000}}], "max_tokens": 17}, 17),
        ({"messages": [{"input": {"max_tokens": 5}}, {"input": {"max_tokens": 6}}]}, 64_000),
        ({"messages": []}, 64_000),
        ([{"max_tokens": 5}, {"max_tokens": 6}], 64_000),
        ({"inferenceConfig": 5, "x": {"max_tokens": 5}, "y": {"max_tokens": 5}}, 64_000),
    ],
)
def test_the_limit_of_the_answer(body: object, limit: int) -> None:
    """It is found wherever families have it, and nowhere else; unsaid, it is the model's own."""
    model = Catalog(region="us-east-1").resolve(MODEL)
    assert demand_of(UpstreamCall(model, orjson.dumps(body), {})).max_tokens == limit


def test_a_model_that_nobody_knows() -> None:
    """It has no price, and an answer of a usual length."""
    model = Catalog(region="us-east-1").resolve("acme.own-model-v1")
    demand = demand_of(UpstreamCall(model, b'{"inputText":"a word or two"}', {}))
    assert demand == Demand(7, UNKNOWN_MAX_TOKENS, 0)


def test_the_price() -> None:
    """The longest answer is reserved, in micro-dollars, rounded up."""
    assert demand_of(call(1_000, 100)).cost == 3_000 + 1_500
    assert [micro_dollars(usd) for usd in (None, 0.0, 1e-9, 0.25)] == [0, 0, 1, 250_000]


def test_what_generates_nothing() -> None:
    """Counting tokens takes none."""
    counting = call()._replace(relay=Relay("count-tokens", "converse"))
    ticket = Ticket(ANONYMOUS, [counting])
    assert ticket.demand(counting) == Demand(0, 0, 0)


def test_a_ticket_reckons_once() -> None:
    """And for each call apart; an embedding's calls are reckoned together."""
    first, second = call(100, 5), call(100, 7, target="there")
    ticket = Ticket(ANONYMOUS, [first, second])
    assert ticket.demand(second).max_tokens == 7
    assert ticket.demand(first) is ticket.demand(first)
    assert (ticket.call_in("there/" + MODEL), ticket.call_in("nowhere")) == (second, first)
    assert Ticket(ANONYMOUS, [first], [first, second]).demand(first) == Demand(200, 0, 600, 2)
