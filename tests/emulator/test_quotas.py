"""The quota of an account: what is reserved, what is settled, and what its minute is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.emulator.errors import BedrockError
from gateway.emulator.ledger import Tokens
from gateway.emulator.limits import burndown, longest_answer
from gateway.emulator.metering import Metered
from gateway.emulator.models import read_model_id
from gateway.emulator.quotas import TOO_MANY_REQUESTS, TOO_MANY_TOKENS, Quota, Quotas, pool_of
from tests.harness import ROOT

if TYPE_CHECKING:
    from gateway.emulator.quotas import Shape

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MICRO = "amazon.nova-micro-v1:0"
APPLICATION = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return its time in seconds."""
        return self.now


def asked(tokens: int, max_tokens: int | None = 0, model: str = MICRO) -> Metered:
    """Return what a prompt of so many tokens is measured by."""
    return Metered(read_model_id(model), tokens, max_tokens, Tokens())


def fits(quotas: Quotas, metered: Metered) -> bool:
    """Reserve, and say whether that went well."""
    try:
        quotas.reserve(metered)
    except BedrockError:
        return False
    return True


@pytest.mark.parametrize(
    ("model", "input_tokens", "max_tokens", "reserved"),
    [
        (MICRO, 10, 90, 100),
        (MICRO, 10, None, 10_010),
        (MICRO, 10, 0, 10),
        (SONNET, 10, None, 64_010),
        ("anthropic.claude-opus-4-8", 0, None, 128_000),
        (APPLICATION, 4, None, 4100),
    ],
)
def test_a_request_reserves(model: str, input_tokens: int, max_tokens: int | None, reserved: int) -> None:
    """All of its input and `max_tokens`, its model's longest answer where it names none: to the token."""
    metered = asked(input_tokens, max_tokens, model)

    for limit, expected in ((reserved, True), (reserved - 1, False)):
        assert fits(Quotas({"*": Quota(tokens_per_minute=limit)}, Clock()), metered) is expected


@pytest.mark.parametrize(
    ("model", "used"),
    [(SONNET, 10 + 3 + 5 * 20), (MICRO, 10 + 3 + 20), ("anthropic.claude-3-5-haiku-20241022-v1:0", 33)],
)
def test_an_answer_settles(model: str, used: int) -> None:
    """Cache reads come free, output counts by the burndown: to the token."""
    quotas = Quotas({"*": Quota(tokens_per_minute=10_000)}, Clock())

    reservation = quotas.reserve(asked(5000, 5000, model))
    assert not fits(quotas, asked(1, model=model))
    reservation.settle(Tokens(input=10, cache_read=4000, cache_write=3, output=20))
    reservation.settle(Tokens())  # settled once

    assert not fits(quotas, asked(10_001 - used, model=model))
    assert fits(quotas, asked(10_000 - used, model=model))


def test_more_may_be_used_than_was_reserved() -> None:
    """The burndown is not reserved: what it takes beyond is owed by those who come next."""
    clock = Clock()
    quotas = Quotas({"*": Quota(tokens_per_minute=1000)}, clock)

    quotas.reserve(asked(100, 300, SONNET)).settle(Tokens(input=100, output=300))

    clock.now += 36.0  # 1600 used: 600 of 1000 are gone again, and not one token is left
    assert not fits(quotas, asked(1, model=SONNET))
    clock.now += 0.1
    assert fits(quotas, asked(1, model=SONNET))


def test_a_bucket_fills_up_continuously() -> None:
    """By a minute's worth in a minute, and no further than full."""
    clock = Clock()
    quotas = Quotas({"*": Quota(tokens_per_minute=600, minute_s=6.0)}, clock)
    assert fits(quotas, asked(600))

    clock.now += 1.0
    assert not fits(quotas, asked(101))
    assert fits(quotas, asked(100))
    clock.now += 60.0
    assert not fits(quotas, asked(601))
    assert fits(quotas, asked(600))


def test_a_window_slides() -> None:
    """What was used counts for a minute and then not at all, at what it has been settled with."""
    clock = Clock()
    quotas = Quotas({"*": Quota(tokens_per_minute=600, shape="window")}, clock)
    first = quotas.reserve(asked(400))
    clock.now += 30.0
    assert fits(quotas, asked(200))

    clock.now += 29.9
    assert not fits(quotas, asked(1))
    first.settle(Tokens(input=300))
    assert fits(quotas, asked(100))
    clock.now += 0.1
    assert not fits(quotas, asked(301))
    assert fits(quotas, asked(300))


@pytest.mark.parametrize("shape", ["bucket", "window"])
def test_requests_are_counted_too(shape: Shape) -> None:
    """Requests are throttled in words of their own, and what is throttled uses nothing of either."""
    clock = Clock()
    quota = Quota(tokens_per_minute=100, requests_per_minute=2, shape=shape)
    quotas = Quotas({"*": quota}, clock)

    for tokens, words in ((101, TOO_MANY_TOKENS), (50, ""), (51, TOO_MANY_TOKENS), (50, "")):
        if words:
            with pytest.raises(BedrockError, match=words):
                quotas.reserve(asked(tokens))
        else:
            quotas.reserve(asked(tokens))
    with pytest.raises(BedrockError, match=TOO_MANY_REQUESTS):
        quotas.reserve(asked(0))
    clock.now += 60.0
    assert fits(quotas, asked(100))


def test_each_pool_is_its_own() -> None:
    """A model and each of its profiles have a pool each; an ARN of a profile uses the profile's."""
    quotas = Quotas({"*nova-micro*": Quota(tokens_per_minute=10)}, Clock())
    profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-micro-v1:0"

    assert fits(quotas, asked(10, model=MICRO))
    assert fits(quotas, asked(10, model="us.amazon.nova-micro-v1:0"))
    assert fits(quotas, asked(10, model="eu.amazon.nova-micro-v1:0"))
    assert not fits(quotas, asked(1, model=profile))
    assert not fits(quotas, asked(1, model=MICRO))
    assert fits(quotas, asked(1000, model="amazon.nova-lite-v1:0"))
    assert pool_of(read_model_id(APPLICATION)) == APPLICATION


def test_a_quota_changes_while_it_runs() -> None:
    """At once, and without forgetting what was used; another shape begins anew."""
    quotas = Quotas({}, Clock())
    assert fits(quotas, asked(10_000))
    quotas.limit("*", Quota(tokens_per_minute=100))
    assert fits(quotas, asked(100))
    quotas.limit("*", Quota(tokens_per_minute=150))
    assert not fits(quotas, asked(51))
    assert fits(quotas, asked(50))
    quotas.limit("*", Quota(tokens_per_minute=150, shape="window"))
    assert fits(quotas, asked(150))
    quotas.limit("*", None)
    quotas.limit("*", None)
    assert fits(quotas, asked(10_000))


def test_a_quota_tells_what_an_id_does_not() -> None:
    """The burndown and the longest answer of the model behind an application inference profile."""
    quotas = Quotas({"*": Quota(tokens_per_minute=1000, burndown=5, longest_answer=990)}, Clock())

    reservation = quotas.reserve(asked(10, None, APPLICATION))
    assert not fits(quotas, asked(1, model=APPLICATION))
    reservation.settle(Tokens(output=100))
    assert not fits(quotas, asked(501, model=APPLICATION))
    assert fits(quotas, asked(500, model=APPLICATION))


def test_the_longest_answers_are_those_of_the_catalogue() -> None:
    """Both sides know the same facts, each by itself."""
    models = orjson.loads((ROOT / "gateway/catalog/models.json").read_bytes())["models"]
    known = {one["id"]: one["max_output_tokens"] for one in models if one.get("max_output_tokens")}

    assert {name: longest_answer(read_model_id(name)) for name in known} == known


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", 1),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", 5),
        ("eu.anthropic.claude-sonnet-4-20250514-v1:0", 5),
        ("anthropic.claude-opus-5", 5),
        ("anthropic.claude-v2:1", 1),
        ("amazon.nova-pro-v1:0", 1),
    ],
)
def test_the_burndown(model: str, factor: int) -> None:
    """Five since Claude 3.7, one for all others."""
    assert burndown(read_model_id(model)) == factor
