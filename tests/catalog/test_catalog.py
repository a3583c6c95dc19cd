"""From the name asked for to the model that answers: aliases, cards, operations, overrides."""

from __future__ import annotations

from importlib.resources import files

import orjson
import pytest

from gateway.catalog.cards import NATIVE_FAMILIES, load_cards
from gateway.catalog.catalog import Catalog
from gateway.catalog.choices import ModelOverride, Operation
from gateway.catalog.defaults import Defaults
from gateway.catalog.model import Model
from gateway.catalog.prices import load_prices
from gateway.codecs import CODECS
from gateway.errors import GatewayError, InvalidRequest, UnknownModel

OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123xyz"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123xyz"
ROUTER = "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
GROK = "us.xai.grok-4.7"

R1 = "deepseek.r1-v1:0"
FOUNDATION = "arn:aws:bedrock:us-east-1::foundation-model/"
FORMS = (
    "a model id (provider.model-v1:0), an inference profile id (us.provider.model-v1:0), or the ARN of a "
    "foundation model, inference profile, application inference profile, provisioned model, custom model, "
    "custom model deployment, imported model, prompt router, prompt or SageMaker endpoint."
)
NO_CODEC = "no codec for 'invoke' is known for it; use 'converse' or 'auto'"


@pytest.mark.parametrize(
    ("asked", "provider", "native", "api", "family"),
    [
        (HAIKU, "anthropic", "claude", "invoke", "claude"),
        (f"{HAIKU}:48k", "anthropic", "claude", "invoke", "claude"),
        ("anthropic.claude-v2", "anthropic", "claude", "invoke", "claude"),
        ("us.amazon.nova-2-lite-v1:0", "amazon", "nova", "invoke", "nova"),
        ("amazon.titan-text-express-v1", "amazon", "titan", "invoke", "titan"),
        ("amazon.titan-text-express-v1:0:8k", "amazon", "titan", "invoke", "titan"),
        ("meta.llama3-8b-instruct-v1:0", "meta", "llama", "converse", "converse"),
        ("anthropic.claude-v1", "anthropic", "claude_text", "invoke", "claude_text"),
        ("ai21.j2-mid-v1", "ai21", "jurassic", "invoke", "jurassic"),
        ("us.xai.grok-4.7", "xai", None, "converse", "converse"),
        ("qwen.qwen9-1t", "qwen", "openai_chat", "converse", "converse"),
        (IMPORTED, "custom", "imported", "converse", "converse"),
        ("arn:aws:bedrock:us-east-1::foundation-model/" + HAIKU, "anthropic", "claude", "invoke", "claude"),
        (OPAQUE, "custom", None, "converse", "converse"),
        (ROUTER, "anthropic", None, "converse", "converse"),
        ("acme.thinker-v1:0", "acme", None, "converse", "converse"),
        ("does-not-exist", "custom", None, "converse", "converse"),
        ("anthropic.claude-opus-99", "anthropic", "claude", "converse", "converse"),
    ],
)
def test_the_catalogues_own_choice(
    asked: str, provider: str, native: str | None, api: str, family: str
) -> None:
    """Families with a codec are invoked natively; everything else and every opaque ARN goes to Converse."""
    model = Catalog().resolve(asked)
    assert (model.id, model.provider, model.native_family, model.api, model.family) == (
        asked,
        provider,
        native,
        api,
        family,
    )


def test_a_card_gives_limits_and_what_the_model_refuses() -> None:
    """Facts of the card are on the model, whatever prefix the caller wrote."""
    assert Catalog().resolve("eu.anthropic.claude-opus-4-7") == Model(
        id="eu.anthropic.claude-opus-4-7",
        base_id="anthropic.claude-opus-4-7",
        provider="anthropic",
        native_family="claude",
        api="invoke",
        streaming=True,
        sampling=False,
        max_output_tokens=128000,
        output_burndown=5,
        takes=("text", "image"),
        features=load_cards()["anthropic.claude-opus-4-7"].features,
        prices=load_prices()["eu.anthropic.claude-opus-4-7"],
    )


def test_a_model_that_cannot_stream_says_so() -> None:
    """Jurassic-2 has no streaming operation."""
    assert Catalog().resolve("ai21.j2-mid-v1").streaming is False


def test_streaming_can_be_ruled_out_for_all_but_some() -> None:
    """The operator's `streaming` holds for every model that no override speaks of."""
    catalog = Catalog(streaming=False, overrides={HAIKU: ModelOverride(streaming=True)})
    assert [catalog.resolve(model).streaming for model in (HAIKU, "meta.llama3-8b-instruct-v1:0")] == [
        True,
        False,
    ]


def test_an_alias_stands_for_its_target() -> None:
    """The alias's target goes into the URL, and its facts are the model's."""
    model = Catalog(aliases={"fast": f"us.{HAIKU}"}).resolve("fast")
    assert (model.id, model.base_id, model.family) == (f"us.{HAIKU}", HAIKU, "claude")


@pytest.mark.parametrize(
    ("overrides", "asked", "api", "streaming"),
    [
        ({HAIKU: ModelOverride(operation="converse")}, HAIKU, "converse", True),
        ({HAIKU: ModelOverride(operation="converse")}, f"us.{HAIKU}", "converse", True),
        ({f"us.{HAIKU}": ModelOverride(operation="converse")}, HAIKU, "invoke", True),
        ({HAIKU: ModelOverride(streaming=False)}, "fast", "invoke", False),
        (
            {
                "fast": ModelOverride(operation="invoke"),
                f"us.{HAIKU}": ModelOverride(operation="converse", streaming=False),
                HAIKU: ModelOverride(streaming=True),
            },
            "fast",
            "invoke",
            False,
        ),
        ({"ai21.j2-mid-v1": ModelOverride(streaming=True)}, "ai21.j2-mid-v1", "invoke", True),
        ({"anthropic.claude-new": ModelOverride(operation="invoke")}, "anthropic.claude-new", "invoke", True),
    ],
)
def test_the_most_specific_override_wins_field_by_field(
    overrides: dict[str, ModelOverride], asked: str, api: str, *, streaming: bool
) -> None:
    """Name asked for, then alias target, then base id; each field by itself."""
    model = Catalog(aliases={"fast": f"us.{HAIKU}"}, overrides=overrides).resolve(asked)
    assert (model.api, model.streaming) == (api, streaming)


@pytest.mark.parametrize(
    ("operation", "override", "api"),
    [
        ("converse", None, "converse"),
        ("converse", "auto", "invoke"),
        ("converse", "invoke", "invoke"),
        ("invoke", None, "invoke"),
        ("invoke", "converse", "converse"),
    ],
)
def test_an_override_is_stronger_than_the_general_operation(
    operation: Operation, override: Operation | None, api: str
) -> None:
    """`auto` in an override brings the catalogue's choice back."""
    catalog = Catalog(operation=operation, overrides={HAIKU: ModelOverride(operation=override)})
    assert catalog.resolve(HAIKU).api == api


@pytest.mark.parametrize(
    ("catalog", "asked", "error", "hint"),
    [
        (Catalog(), "no/such", UnknownModel, "not a Bedrock model id"),
        (Catalog(custom_ids=False), "acme.thinker-v1:0", UnknownModel, "custom_ids"),
        (Catalog(custom_ids=False), OPAQUE, UnknownModel, "custom_ids"),
        (Catalog(operation="invoke"), GROK, UnknownModel, "'converse' or 'auto'"),
        (Catalog(allowed=("fast", "eu.*")), f"us.{HAIKU}", UnknownModel, "allowed_models"),
        (Catalog(allowed=("fast",), aliases={"fast": HAIKU}), HAIKU, UnknownModel, "allowed_models"),
        (Catalog(region="eu-west-1"), SONNET, InvalidRequest, f": use eu.{SONNET}."),
        (Catalog(region="ap-northeast-1"), SONNET, InvalidRequest, f": use jp.{SONNET}."),
        (Catalog(region="sa-east-1"), SONNET, InvalidRequest, f": use global.{SONNET}."),
        (Catalog(), f"{FOUNDATION}{SONNET}", InvalidRequest, f"us.{SONNET}, us-gov.{SONNET}."),
        (
            Catalog(region="eu-west-1"),
            R1,
            InvalidRequest,
            f"none is known for eu-west-1, elsewhere there is us.{R1}.",
        ),
        (Catalog(region="cn-north-1"), R1, InvalidRequest, "none is known for cn-north-1"),
        (Catalog(operation="invoke"), OPAQUE, UnknownModel, "'converse' or 'auto'"),
        (Catalog(), "us.cohere.embed-v4:0", InvalidRequest, "takes text and image and gives embedding"),
        (Catalog(), "amazon.rerank-v1:0", InvalidRequest, "gives score"),
        (Catalog(), "amazon.nova-sonic-v1:0", InvalidRequest, "takes audio and gives audio"),
    ],
)
def test_refusals_name_the_model_and_a_way_out(
    catalog: Catalog, asked: str, error: type[GatewayError], hint: str
) -> None:
    """Each refusal is about `model` and says what would help."""
    with pytest.raises(error) as caught:
        catalog.resolve(asked)
    assert (caught.value.param, hint in caught.value.message) == ("model", True)


def test_choices_that_cannot_work_fail_at_construction_all_at_once() -> None:
    """The operator sees every problem of the configuration in one message."""
    with pytest.raises(ValueError, match="alias 'a'") as caught:
        Catalog(
            region="us-east-1",
            aliases={"a": "no such", "b": "c", "c": HAIKU, "grok": GROK, "base": SONNET},
            default_model="cohere.embed-v4:0",
            overrides={
                "not an id": ModelOverride(operation="invoke"),
                "a": ModelOverride(operation="invoke"),
                OPAQUE: ModelOverride(operation="invoke"),
                "grok": ModelOverride(operation="invoke", defaults=Defaults(temperature=0.5, system="s")),
                "cohere.embed-v4:0": ModelOverride(operation="invoke"),
                HAIKU: ModelOverride(operation="invoke", base_model="no such"),
                IMPORTED: ModelOverride(base_model=OPAQUE),
                "anthropic.claude-opus-4-7": ModelOverride(defaults=Defaults(top_p=0.5)),
            },
        )
    problems = str(caught.value).splitlines()
    assert [(problem.split(":")[0], problem.rsplit(": ")[-1]) for problem in problems] == [
        ("alias 'a'", FORMS),
        ("alias 'b'", "its target 'c' is itself an alias"),
        ("override 'not an id'", FORMS),
        ("override 'anthropic.claude-3-haiku-20240307-v1", FORMS),
        ("override 'arn", f"base_model {OPAQUE!r} does not name a foundation model"),
        ("override 'arn", NO_CODEC),
        ("override 'grok'", NO_CODEC),
        ("override 'cohere.embed-v4", NO_CODEC),
        ("override 'anthropic.claude-opus-4-7'", "the model does not accept top_p"),
        ("alias 'base'", f"use us.{SONNET}"),
        ("default_model", "it takes text and image and gives embedding."),
    ]


def test_the_listing_has_aliases_and_chat_models_only() -> None:
    """What could not be asked for is not listed."""
    listed = Catalog(aliases={"fast": HAIKU}).models()
    assert next(iter(listed)) == "fast"
    chats = [card for card in load_cards().values() if card.family is not None]
    based = {card.id for card in chats if card.on_demand is not False and card.id in load_prices()}
    profiled = {f"{geo}.{card.id}" for card in chats if card.id not in based for geo in card.profiles}
    assert set(listed) - {"fast"} == based | profiled
    assert [name for name, model in listed.items() if model.prices is None] == []


def test_the_listing_names_the_profiles_of_the_region() -> None:
    """A model that only profiles serve is listed by those that the region can call, the nearest first."""
    listed = Catalog(region="eu-central-1").models()
    assert [name for name in listed if SONNET in name] == [f"eu.{SONNET}", f"global.{SONNET}"]


def test_a_forced_operation_shortens_the_listing() -> None:
    """Models that the forced operation cannot serve are left out."""
    assert {model.family for model in Catalog(operation="invoke").models().values()} == (
        NATIVE_FAMILIES - {"imported"}
    )


def test_native_families_are_those_with_a_codec() -> None:
    """The catalogue offers InvokeModel for the families that this gateway speaks, and for no other."""
    assert set(CODECS) - {"converse"} == NATIVE_FAMILIES


def test_a_base_model_tells_what_an_arn_hides() -> None:
    """With it an opaque ARN is served, priced and described as the model behind it."""
    catalog = Catalog(overrides={OPAQUE: ModelOverride(base_model=f"us.{SONNET}")})
    model = catalog.resolve(OPAQUE)
    assert (model.id, model.base_id, model.provider, model.family, model.prices) == (
        OPAQUE,
        SONNET,
        "anthropic",
        "claude",
        load_prices()[f"us.{SONNET}"],
    )


@pytest.mark.parametrize(
    ("asked", "priced_as"),
    [
        (HAIKU, HAIKU),
        (f"us.{SONNET}", f"us.{SONNET}"),
        (f"global.{SONNET}", SONNET),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{SONNET}", f"us.{SONNET}"),
        (f"sg.{SONNET}", None),
        (f"{HAIKU}:48k", None),
        (PROVISIONED, None),
        ("acme.thinker-v1:0", None),
    ],
)
def test_the_prices_are_those_of_the_id(asked: str, priced_as: str | None) -> None:
    """A profile may cost more than its base id; what is billed by the hour has no price of tokens."""
    catalog = Catalog(overrides={PROVISIONED: ModelOverride(base_model=HAIKU)})
    assert catalog.resolve(asked).prices == (None if priced_as is None else load_prices()[priced_as])


def test_the_operator_may_know_better_than_the_catalogue() -> None:
    """Where a base id can be called after all, `on_demand` says so; and a wrong region is not certain."""
    catalog = Catalog(overrides={SONNET: ModelOverride(on_demand=True)}, aliases={"fast": SONNET})
    assert [catalog.resolve(name).id for name in (SONNET, "fast")] == [SONNET, SONNET]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", "use us.anthropic.claude-3-7-sonnet-20250219-v1:0"),
        ("amazon.titan-text-lite-v1", None),
        ("acme.thinker-v1:0", None),
    ],
)
def test_advice_for_what_bedrock_refuses(base: str, expected: str | None) -> None:
    """Where Bedrock itself asks for a profile, the catalogue knows which."""
    catalog = Catalog(region="us-west-2")
    assert catalog.profile_advice(catalog.resolve(base)) == expected


@pytest.mark.parametrize("asked", ["fast", "quick", f"us.{HAIKU}", "eu.amazon.nova-lite-v1:0"])
def test_allowed_models(asked: str) -> None:
    """A pattern matches the name asked for or what the alias stands for."""
    aliases = {"fast": GROK, "quick": f"us.{HAIKU}"}
    catalog = Catalog(allowed=("fast", "us.anthropic.*", "eu.*"), aliases=aliases)
    assert catalog.resolve(asked).id == aliases.get(asked, asked)


def test_the_data_is_sorted_one_model_to_a_line_and_sound() -> None:
    """The file stays easy to merge: a line per model, in order; and each line makes a card."""
    cards = load_cards()
    assert list(cards) == sorted(cards)
    assert all(card.takes and card.gives for card in cards.values())
    assert all(
        card.family is None or (card.gives == ("text",) and card.max_output_tokens) for card in cards.values()
    )


def test_each_line_of_the_data_is_one_model() -> None:
    """A change to a model is a change to one line."""
    first, *lines, last, end = files("gateway.catalog").joinpath("models.json").read_text().split("\n")
    assert (first, last, end) == ('{"models": [', "]}", "")
    assert [orjson.loads(line.rstrip(","))["id"] for line in lines] == list(load_cards())
