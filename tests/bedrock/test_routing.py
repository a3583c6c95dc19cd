"""From a model's name to the places where it may be asked: order, weights, residency, fallback models."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext, suppress
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from gateway.bedrock.routing import MAX_KEPT, Router
from gateway.bedrock.upstream import BedrockUpstream
from gateway.catalog.cards import load_cards
from gateway.catalog.catalog import Catalog
from gateway.catalog.choices import ModelOverride
from gateway.catalog.model_id import parse
from gateway.catalog.residency import REACH, inside
from gateway.composition import StartError, build_router
from gateway.domain import CompletionRequest, EmbeddingInput, EmbeddingRequest, Message, TextPart
from gateway.errors import InvalidRequest, UnknownModel
from gateway.settings import (
    AwsSettings,
    BedrockSettings,
    ModelSettings,
    RoutingSettings,
    Settings,
    TargetChoice,
)
from tests.harness import CLAUDE, NOVA, TITAN, lines

if TYPE_CHECKING:
    import io

    from gateway.upstream import UpstreamCall

SONNET = CLAUDE.removeprefix("us.")
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
EMBEDDER = "amazon.titan-embed-text-v2:0"
ARN = "arn:aws:bedrock:us-west-2:123456789012"
APPLICATION = f"{ARN}:application-inference-profile/abc123xyz"
REGIONS = {"east": "us-east-1", "west": "us-west-2", "eu": "eu-west-1"}


def settings(targets: tuple[str, ...] = ("east", "west"), **changes: Any) -> Settings:
    """Return settings with these targets, in this order."""
    values = {
        "targets": {name: {"region": REGIONS[name]} for name in targets},
        "aws": AwsSettings(region="us-east-1"),
        **changes,
    }
    return Settings.model_validate(values)


def upstream(configured: Settings, seed: int = 0) -> BedrockUpstream:
    """Return what formats by these settings; it has no clients, and format needs none."""
    return BedrockUpstream({}, build_router(configured), configured.bedrock, Random(seed))  # noqa: S311 - no secret


def request(model: str, **fields: Any) -> CompletionRequest:
    """Return a request that every model takes."""
    return CompletionRequest(model=model, messages=(Message("user", (TextPart("Hi"),)),), **fields)


def calls(configured: Settings, model: str, **fields: Any) -> list[tuple[str, str, bool]]:
    """Return (target, model id, whether a fallback) of the calls for a request."""
    made = upstream(configured).format(request(model, **fields))
    return [(call.target, call.model.id, call.fallback) for call in made]


def refused(**changes: Any) -> list[str]:
    """Return why there is no start with these settings."""
    with pytest.raises(StartError) as caught:
        build_router(settings(**changes))
    return caught.value.problems


# ── order ─────────────────────────────────────────────────────────────────────────────────────────────


ALONE = {"targets": ()}


@pytest.mark.parametrize(
    ("model", "changes", "expected"),
    [
        (NOVA, {}, ["east", "west"]),
        (NOVA, {"routing": {"targets": ["west", "east"]}}, ["west", "east"]),
        (NOVA, {"models": {NOVA: {"targets": ["west"]}}}, ["west"]),
        (NOVA, {"models": {"amazon.nova-micro-v1:0": {"targets": ["west", "east"]}}}, ["west", "east"]),
        (f"{ARN}:provisioned-model/abc", {}, ["west"]),  # an ARN belongs to its region
        ("eu.amazon.nova-micro-v1:0", {"targets": ("east", "eu", "west")}, ["eu"]),  # and a geography
        ("uk.amazon.nova-micro-v1:0", {}, ["east", "west"]),  # which nobody here knows
        (NOVA, ALONE, ["default"]),
        ("eu.amazon.nova-micro-v1:0", ALONE, ["default"]),  # one target alone: let AWS say no
    ],
)
def test_order(model: str, changes: dict[str, Any], expected: list[str]) -> None:
    """Targets are asked in the order of the list that is nearest to the model, where they can serve it."""
    made = settings(**changes) if changes != ALONE else Settings(aws=AwsSettings(region="us-east-1"))

    assert [target for target, _, _ in calls(made, model)] == expected


def test_a_model_has_its_name_at_each_target() -> None:
    """An alias stands for what the model is called there, though its own id cannot be called."""
    places = [{"target": "east", "model": CLAUDE}, {"target": "eu", "model": f"eu.{SONNET}"}]
    made = settings(
        ("east", "eu"),
        aliases={"claude": SONNET},
        default_model="claude",
        models={"claude": {"targets": places}},
    )

    assert calls(made, "claude") == [("east", CLAUDE, False), ("eu", f"eu.{SONNET}", False)]


def test_a_body_is_made_once_and_shared() -> None:
    """Targets of the same model have the same bytes; one that speaks another API has its own."""
    places = ["east", {"target": "west", "model": APPLICATION}, {"target": "eu", "model": f"eu.{SONNET}"}]
    made = settings(("east", "west", "eu"), models={CLAUDE: {"targets": places}})
    first, other, third = upstream(made).format(request(CLAUDE))

    assert first.body is third.body
    assert (first.model.api, other.model.api) == ("invoke", "converse")
    assert other.body != first.body


def test_what_no_target_serves_is_the_first_ones_error() -> None:
    """The caller hears it with the reason."""
    with pytest.raises(UnknownModel) as caught:
        calls(settings(), "eu.amazon.nova-micro-v1:0")
    assert caught.value.message == (
        "'eu.amazon.nova-micro-v1:0' is not served here: its inference profile cannot be called "
        "from us-east-1."
    )
    with pytest.raises(InvalidRequest, match="is not a chat model"):
        calls(settings(), EMBEDDER)


def test_routes_in_memory_are_bounded() -> None:
    """Names come from callers: what is kept of them does not grow without end."""
    router = build_router(settings())
    kept = router.routes(NOVA)
    assert router.routes(NOVA) is kept
    for number in range(MAX_KEPT):
        router.routes(f"amazon.nova-{number}")
    assert router.routes(NOVA) == kept
    assert router.routes(NOVA) is not kept


# ── weights ───────────────────────────────────────────────────────────────────────────────────────────


def test_weighted_shares() -> None:
    """Each target comes first as often as its weight says; all the others follow. The draw is seeded."""
    places = [{"target": "east", "weight": 1}, {"target": "west", "weight": 3}]
    made = upstream(settings(routing={"targets": places, "order": "weighted"}))
    orders = [tuple(call.target for call in made.format(request(NOVA))) for _ in range(2000)]
    shares = Counter(order[0] for order in orders)

    assert {frozenset(order) for order in orders} == {frozenset({"east", "west"})}
    assert shares["west"] / len(orders) == pytest.approx(0.75, abs=0.03)


def test_one_model_may_be_weighted() -> None:
    """`order` of a model wins over the general one; its fallback models stay behind it."""
    made = upstream(settings(models={NOVA: {"order": "weighted", "fallback_models": [TITAN]}}))
    drawn = {tuple(call.target for call in made.format(request(NOVA))) for _ in range(50)}

    assert drawn == {("east", "west", "east", "west"), ("west", "east", "east", "west")}


# ── headroom ──────────────────────────────────────────────────────────────────────────────────────────


def test_where_most_is_free() -> None:
    """The target goes first of whose lane the larger share is free, of those that may serve the model."""
    free = {f"east/{NOVA}": 0.2, f"west/{NOVA}": 0.2}
    configured = settings(routing={"order": "headroom", "targets": ["east", "west"]})
    router = build_router(configured, None, lambda lane: free.get(lane, 1.0))
    made = BedrockUpstream({}, router, configured.bedrock, Random(0))  # noqa: S311 - no secret

    def order(model: str) -> list[str]:
        return [call.target for call in made.format(request(model))]

    assert order(NOVA) == ["east", "west"]
    free[f"west/{NOVA}"] = 0.3
    assert order(NOVA) == ["west", "east"]
    free[f"west/{NOVA}"] = 0.0
    assert order(NOVA) == ["east", "west"]
    assert order(f"{ARN}:provisioned-model/abc") == ["west"]


# ── fallback models ───────────────────────────────────────────────────────────────────────────────────


def test_fallback_models_come_last() -> None:
    """Every target of the model first, then every target of each fallback model."""
    made = settings(models={CLAUDE: {"fallback_models": [NOVA, TITAN]}, NOVA: {"targets": ["west"]}})

    assert calls(made, CLAUDE) == [
        ("east", CLAUDE, False),
        ("west", CLAUDE, False),
        ("west", NOVA, True),
        ("east", TITAN, True),
        ("west", TITAN, True),
    ]
    assert calls(made, CLAUDE, provider="anthropic") == calls(made, CLAUDE)


def test_a_fallback_model_that_cannot_take_the_request_is_left_out(log: io.StringIO) -> None:
    """It is told once, at debug; what the model asked for cannot take is an error, whatever others could."""
    made = upstream(settings(models={NOVA: {"fallback_models": [TITAN]}, TITAN: {"fallback_models": [NOVA]}}))
    asked = request(NOVA, top_k=5)
    for _ in range(2):
        assert {call.model.id for call in made.format(asked)} == {NOVA}

    [line] = lines(log, "fallback_left_out")
    assert (line["level"], line["model"], line["fallback"], line["param"]) == ("debug", NOVA, TITAN, "top_k")
    with pytest.raises(InvalidRequest):
        made.format(request(TITAN, top_k=5))


def test_a_target_whose_model_cannot_take_the_request_is_left_out() -> None:
    """Only where none is left is that an error."""
    places = ["east", {"target": "west", "model": TITAN}]
    made = settings(models={NOVA: {"targets": places}})

    assert calls(made, NOVA) == [("east", NOVA, False), ("west", TITAN, False)]
    assert calls(made, NOVA, top_k=5) == [("east", NOVA, False)]


# ── embeddings ────────────────────────────────────────────────────────────────────────────────────────


def test_embeddings_have_targets_and_no_fallback() -> None:
    """Each call says where else the same vectors are to be had."""
    made = upstream(settings(models={EMBEDDER: {"targets": ["west", "east"], "fallback_models": [TITAN]}}))
    [first, second] = made.format_embeddings(
        EmbeddingRequest(model=EMBEDDER, inputs=(EmbeddingInput("a"), EmbeddingInput("b")))
    )

    assert (first.target, [call.target for call in first.elsewhere]) == ("west", ["east"])
    assert (first.lane, first.fallback) == (f"west/{EMBEDDER}", False)
    assert first.elsewhere[0].body is first.body
    assert second.body != first.body
    [alone] = upstream(Settings(aws=AwsSettings())).format_embeddings(
        EmbeddingRequest(model=EMBEDDER, inputs=(EmbeddingInput("a"),))
    )
    assert (alone.target, alone.elsewhere) == ("default", ())
    with pytest.raises(InvalidRequest):
        made.format_embeddings(EmbeddingRequest(model=NOVA, inputs=(EmbeddingInput("a"),)))


# ── residency ─────────────────────────────────────────────────────────────────────────────────────────

RULES = (
    ("us-*",),
    ("eu-*",),
    ("us-east-1",),
    ("ap-*",),
    ("us-*", "eu-*"),
    ("us-gov-*",),
    ("ap-northeast-*",),
)
HOMES = {"east": "us-east-1", "eu": "eu-west-1", "tokyo": "ap-northeast-1", "gov": "us-gov-west-1"}
SEEN = {
    "us": {"us-east-1", "us-east-2", "us-west-2"},
    "us-gov": {"us-gov-east-1", "us-gov-west-1"},
    "eu": {"eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-3"},
    "apac": {"ap-northeast-1", "ap-south-1", "ap-southeast-2"},
    "jp": {"ap-northeast-1", "ap-northeast-3"},
    "au": {"ap-southeast-2", "ap-southeast-4"},
    "in": {"ap-south-1", "ap-south-2"},
}
"""Where AWS's documentation says that profiles of these geographies lead to."""
ANYWHERE = {"us-east-1", "eu-west-1", "ap-south-1", "sa-east-1", "us-gov-west-1"}
IN_PLACE = {"provisioned-model", "imported-model", "base", "foundation-model"}


def names() -> list[str]:
    """Return every id that the catalogue knows, and forms that hide where they lead."""
    found = []
    for card in load_cards().values():
        profiles = [f"{geo}.{card.id}" for geo in card.profiles]
        places = ("us-east-1", "eu-west-1", "ap-northeast-1", "us-gov-west-1")
        arns = [
            f"arn:aws:bedrock:{at}:123456789012:inference-profile/{id_}" for at in places for id_ in profiles
        ]
        found += [card.id, *profiles, *arns]
    for region in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        arn = f"arn:aws:bedrock:{region}"
        kinds = ("application-inference-profile", "provisioned-model", "imported-model", "prompt-router")
        found += [f"{arn}:123456789012:{kind}/abc" for kind in kinds]
        found += [f"{arn}:123456789012:prompt/ABCDEFGHIJ", f"{arn}::foundation-model/{HAIKU}"]
    hidden = ("mars.anthropic.claude-v9", "mars.acme.model-v1", "abc123xyz", "global.acme.model-v1")
    return [*found, *hidden, f"arn:aws:bedrock:::foundation-model/{HAIKU}"]


def led_to(call: UpstreamCall) -> set[str]:
    """Return where a call may be processed, by what AWS documents and nothing of the gateway's."""
    found = parse(call.model.id)
    places = {HOMES[call.target], *([found.region] if found.region else [])}
    if found.geo is not None:
        return places | SEEN.get(found.geo, ANYWHERE)
    certain = found.kind in IN_PLACE and found.raw not in {"mars.acme.model-v1", "abc123xyz"}
    return places if certain else ANYWHERE


def routed(rule: tuple[str, ...], models: dict[str, ModelSettings], **choices: Any) -> BedrockUpstream:
    """Return what formats for targets in four geographies under a rule, unchecked by the start."""
    catalogs = {name: Catalog(region=at, residency=rule, **choices) for name, at in HOMES.items()}
    general = tuple(TargetChoice(target=name) for name in HOMES)
    router = Router(catalogs, general, RoutingSettings(targets=general, residency=rule), models)
    return BedrockUpstream({}, router, BedrockSettings(), Random(0))  # noqa: S311 - no secret


@pytest.mark.parametrize("rule", RULES, ids=" ".join)
@pytest.mark.parametrize("way", ["id", "alias", "called", "fallback"])
def test_no_prompt_leaves_the_regions_of_the_rule(rule: tuple[str, ...], way: str) -> None:
    """Every model of the catalogue, and what hides where it leads: no formed call can end up outside."""
    asked = [f"{way}-{number}" for number, _ in enumerate(NAMES)] if way in {"alias", "called"} else NAMES
    renamed = dict.fromkeys(asked, ModelOverride(renamed=True))
    models, choices = {}, {}
    if way == "alias":
        choices = {"aliases": dict(zip(asked, NAMES, strict=True)), "overrides": renamed}
    elif way == "called":
        choices = {"aliases": dict.fromkeys(asked, HAIKU)}
        models = {
            name: ModelSettings(targets=tuple(TargetChoice(target=at, model=model) for at in HOMES))
            for name, model in zip(asked, NAMES, strict=True)
        }
    elif way == "fallback":
        models, asked = {HAIKU: ModelSettings(fallback_models=tuple(NAMES))}, [HAIKU]
    bedrock = routed(rule, models, **choices)
    formed: list[UpstreamCall] = []
    for name in asked:
        with suppress(InvalidRequest, UnknownModel):
            formed += bedrock.format(request(name))

    assert {call.model.id for call in formed} >= {HAIKU}
    outside = [call for call in formed if not all(inside(place, rule) for place in led_to(call))]
    assert [(call.target, call.model.id) for call in outside] == []


NAMES = names()


def test_a_rule_for_everywhere_refuses_nothing() -> None:
    """`*` is what it says, also for what cannot be told."""
    bedrock = routed(("*",), {})

    for name in (APPLICATION.replace("us-west-2", "us-east-1"), f"global.{SONNET}", "mars.acme.model-v1"):
        assert bedrock.format(request(name))


@pytest.mark.parametrize(
    ("override", "rule", "served"),
    [
        (ModelOverride(), "us-*", False),
        (ModelOverride(base_model=SONNET), "us-*", False),  # it may be made of a profile all the same
        (ModelOverride(base_model=CLAUDE), "us-*", True),
        (ModelOverride(base_model=CLAUDE), "us-west-2", False),
        (ModelOverride(base_model=HAIKU, on_demand=True), "us-west-2", True),
        (ModelOverride(base_model=f"global.{SONNET}"), "us-*", False),
    ],
)
def test_what_an_application_profile_is_made_of(override: ModelOverride, rule: str, *, served: bool) -> None:
    """Its ARN does not tell where it leads; the operator can, by its base model."""
    catalog = Catalog(region="us-west-2", residency=(rule,), overrides={APPLICATION: override})
    with nullcontext() if served else pytest.raises(UnknownModel):
        catalog.resolve(APPLICATION)


def test_a_models_own_rule_replaces_the_general_one_and_binds_its_fallback() -> None:
    """What falls back takes the prompt along: the rule of the model asked for holds, and its own besides."""
    europe = {"residency": ["eu-*"], "fallback_models": [HAIKU, f"eu.{SONNET}"]}
    made = settings(("east", "eu"), models={"eu.amazon.nova-micro-v1:0": europe})

    assert calls(made, "eu.amazon.nova-micro-v1:0") == [
        ("eu", "eu.amazon.nova-micro-v1:0", False),
        ("eu", HAIKU, True),
        ("eu", f"eu.{SONNET}", True),
    ]
    with pytest.raises(UnknownModel) as caught:
        calls(settings(routing={"residency": ["us-*"]}), f"global.{SONNET}")
    assert caught.value.message == (
        f"'global.{SONNET}' is not served here: its inference profile may lead anywhere, and this gateway's "
        "operator keeps prompts in us-* (residency)."
    )


# ── at the start ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"routing": {"residency": ["us-*"]}}, []),
        (
            {"routing": {"residency": ["us-east-*"]}},
            ["routing.targets: west is in us-west-2, outside of routing.residency"],
        ),
        (
            {"routing": {"residency": ["us-*"]}, "aliases": {"a": f"global.{SONNET}"}},
            [f"alias 'a': 'global.{SONNET}' is not served here: its inference profile may lead anywhere"],
        ),
        (
            {"routing": {"residency": ["us-*"]}, "default_model": f"global.{SONNET}"},
            [f"default_model: 'global.{SONNET}' is not served here: its inference profile may lead anywhere"],
        ),
        (
            {"models": {NOVA: {"residency": ["eu-*"]}}},
            [f"models.\"{NOVA}\": '{NOVA}' is not served here: it would be processed in us-east-1"],
        ),
        (
            {"models": {NOVA: {"targets": ["east", {"target": "west", "model": f"eu.{SONNET}"}]}}},
            [f"models.\"{NOVA}\".targets: west: 'eu.{SONNET}' is not served here: its inference profile"],
        ),
        (
            {"models": {NOVA: {"fallback_models": [EMBEDDER]}}},
            [f"models.\"{NOVA}\".fallback_models: '{EMBEDDER}' is not a chat model: it takes text"],
        ),
        ({"aliases": {"a": "no such"}}, ["alias 'a': 'no?such' is not a Bedrock model id"]),
    ],
)
def test_what_cannot_work_is_told_at_the_start(changes: dict[str, Any], problems: list[str]) -> None:
    """A start is refused with a line for each, once for all regions."""
    if not problems:
        assert build_router(settings(**changes)).routes(NOVA)
        return
    found = refused(**changes)
    assert [line[: len(words)] for line, words in zip(found, problems, strict=True)] == problems


def test_every_region_without_names_is_taken_as_it_comes() -> None:
    """Before the default target's region is known, only what the ids themselves say is looked at."""
    made = Settings(aws=AwsSettings(), routing=RoutingSettings(residency=("eu-*",)))

    assert build_router(made).routes(HAIKU)
    with pytest.raises(UnknownModel):
        build_router(made).routes(NOVA)
    with pytest.raises(StartError, match="default is in us-east-1, outside"):
        build_router(made, "us-east-1")


@pytest.mark.parametrize("geo", sorted(REACH))
def test_a_geography_is_whole(geo: str) -> None:
    """The regions that AWS documents for a geography are in the table."""
    assert set(REACH[geo]) >= SEEN.get(geo, set())
