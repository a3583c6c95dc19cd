"""From the name asked for to the model that answers: aliases, cards, operations, overrides."""

from __future__ import annotations

from importlib.resources import files

import orjson
import pytest

from gateway.catalog.cards import load_cards
from gateway.catalog.catalog import Catalog, ModelOverride, Operation
from gateway.catalog.model import Model
from gateway.errors import GatewayError, InvalidRequest, UnknownModel

OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
ROUTER = "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"


@pytest.mark.parametrize(
    ("asked", "provider", "native", "api", "family"),
    [
        (HAIKU, "anthropic", "claude", "invoke", "claude"),
        (f"{HAIKU}:48k", "anthropic", "claude", "invoke", "claude"),
        ("anthropic.claude-v2", "anthropic", "claude", "invoke", "claude"),
        ("us.amazon.nova-2-lite-v1:0", "amazon", "nova", "invoke", "nova"),
        ("amazon.titan-text-express-v1", "amazon", "titan", "invoke", "titan"),
        ("amazon.titan-text-express-v1:0:8k", "amazon", "titan", "invoke", "titan"),
        ("meta.llama3-8b-instruct-v1:0", "meta", None, "converse", "converse"),
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
        ({"ai21.j2-mid-v1": ModelOverride(streaming=True)}, "ai21.j2-mid-v1", "converse", True),
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
        (Catalog(operation="invoke"), "meta.llama3-8b-instruct-v1:0", UnknownModel, "'converse' or 'auto'"),
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
            aliases={"a": "no such", "b": "c", "c": HAIKU, "llama": "meta.llama3-8b-instruct-v1:0"},
            overrides={
                "not an id": ModelOverride(operation="invoke"),
                "a": ModelOverride(operation="invoke"),
                OPAQUE: ModelOverride(operation="invoke"),
                "llama": ModelOverride(operation="invoke"),
                "cohere.embed-v4:0": ModelOverride(operation="invoke"),
                HAIKU: ModelOverride(operation="invoke"),
            },
        )
    problems = str(caught.value).splitlines()
    assert [problem.split(":")[0] for problem in problems] == [
        "alias 'a'",
        "alias 'b'",
        "override 'not an id'",
        "override 'arn",
        "override 'llama'",
        "override 'cohere.embed-v4",
    ]


def test_the_listing_has_aliases_and_chat_models_only() -> None:
    """What could not be asked for is not listed."""
    listed = Catalog(aliases={"fast": HAIKU}).models()
    assert next(iter(listed)) == "fast"
    assert set(listed) - {"fast"} == {card.id for card in load_cards().values() if card.family is not None}


def test_a_forced_operation_shortens_the_listing() -> None:
    """Models that the forced operation cannot serve are left out."""
    assert {model.family for model in Catalog(operation="invoke").models().values()} == {
        "claude",
        "nova",
        "titan",
    }


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
