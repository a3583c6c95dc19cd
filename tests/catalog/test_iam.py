"""What IAM must let through for a model: the ARNs by which Bedrock is asked, and those that it leads to."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Final

import pytest

from gateway.catalog.cards import load_cards
from gateway.catalog.iam import (
    BY_PROFILE,
    BY_ROUTER,
    IN_ACCOUNT,
    Permission,
    Place,
    counted,
    destinations,
    of_everything,
    of_model,
    of_pattern,
)
from gateway.catalog.model_id import parse
from gateway.catalog.profiles import profile_ids
from gateway.catalog.residency import REACH
from tests.harness import ROOT

MODELS: Final = ROOT.parent / "shared" / "reference" / "bedrock-models.json"
EAST = Place("us-east-1", "123456789012")
OWN = "arn:aws:bedrock:us-east-1:123456789012:"
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def by(arn: str, *resources: str) -> list[Permission]:
    """Return what is let through by way of a profile only."""
    return [Permission(resource, BY_PROFILE, arn) for resource in resources]


def model(region: str, name: str = CLAUDE, partition: str = "aws") -> str:
    """Return the ARN of a foundation model."""
    return f"arn:{partition}:bedrock:{region}::foundation-model/{name}"


CASES = {
    "a base id": (
        "amazon.nova-micro-v1:0",
        EAST,
        [Permission(model("us-east-1", "amazon.nova-micro-v1:0"))],
    ),
    "a variant of a base id": (
        "amazon.nova-pro-v1:0:300k",
        EAST,
        [Permission(model("us-east-1", "amazon.nova-pro-v1:0:300k"))],
    ),
    "a profile of a geography": (
        f"us.{CLAUDE}",
        EAST,
        [
            Permission(f"{OWN}inference-profile/us.{CLAUDE}"),
            *by(f"{OWN}inference-profile/us.{CLAUDE}", model("us-*")),
        ],
    ),
    "a profile of a small geography, by every region of it": (
        f"jp.{CLAUDE}",
        Place("ap-northeast-1", "*"),
        [
            Permission(f"arn:aws:bedrock:ap-northeast-1:*:inference-profile/jp.{CLAUDE}"),
            *by(
                f"arn:aws:bedrock:ap-northeast-1:*:inference-profile/jp.{CLAUDE}",
                model("ap-northeast-1"),
                model("ap-northeast-3"),
            ),
        ],
    ),
    "a global profile: here, and without a region": (
        f"global.{CLAUDE}",
        EAST,
        [
            Permission(f"{OWN}inference-profile/global.{CLAUDE}"),
            *by(f"{OWN}inference-profile/global.{CLAUDE}", model("us-east-1"), model("")),
        ],
    ),
    "a profile asked from outside its geography": (
        f"us.{CLAUDE}",
        Place("ca-central-1", "*"),
        [
            Permission(f"arn:aws:bedrock:ca-central-1:*:inference-profile/us.{CLAUDE}"),
            *by(
                f"arn:aws:bedrock:ca-central-1:*:inference-profile/us.{CLAUDE}",
                model("ca-central-1"),
                model("us-*"),
            ),
        ],
    ),
    "a geography that nobody knows": (
        "xx.anthropic.claude-9-v1:0",
        EAST,
        [
            Permission(f"{OWN}inference-profile/xx.anthropic.claude-9-v1:0"),
            *by(f"{OWN}inference-profile/xx.anthropic.claude-9-v1:0", model("*", "anthropic.claude-9-v1:0")),
        ],
    ),
    "another partition": (
        "us-gov.anthropic.claude-v2",
        Place("us-gov-west-1", "*"),
        [
            Permission("arn:aws-us-gov:bedrock:us-gov-west-1:*:inference-profile/us-gov.anthropic.claude-v2"),
            *by(
                "arn:aws-us-gov:bedrock:us-gov-west-1:*:inference-profile/us-gov.anthropic.claude-v2",
                model("us-gov-*", "anthropic.claude-v2", "aws-us-gov"),
            ),
        ],
    ),
    "the ARN of a profile, in its own region": (
        f"arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.{CLAUDE}",
        EAST,
        [
            Permission(f"arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.{CLAUDE}"),
            *by(f"arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.{CLAUDE}", model("eu-*")),
        ],
    ),
    "the ARN of a foundation model": (model("us-east-1"), EAST, [Permission(model("us-east-1"))]),
    "a profile of one's own, of a model that is told": (
        f"{OWN}application-inference-profile/abc",
        EAST,
        [
            Permission(f"{OWN}application-inference-profile/abc"),
            *by(f"{OWN}application-inference-profile/abc", model("*")),
        ],
    ),
    "provisioned": (
        f"{OWN}provisioned-model/abc",
        EAST,
        [Permission(f"{OWN}provisioned-model/abc")],
    ),
    "imported": (f"{OWN}imported-model/abc", EAST, [Permission(f"{OWN}imported-model/abc")]),
    "a router": (
        f"{OWN}default-prompt-router/anthropic.claude:1",
        EAST,
        [
            Permission(f"{OWN}default-prompt-router/anthropic.claude:1"),
            Permission(model("*", "*"), BY_ROUTER, f"{OWN}default-prompt-router/anthropic.claude:1"),
            Permission(
                f"{OWN}inference-profile/*", BY_ROUTER, f"{OWN}default-prompt-router/anthropic.claude:1"
            ),
        ],
    ),
    "a prompt, of a model that is told": (
        f"{OWN}prompt/ABCDEFGHIJ:1",
        EAST,
        [Permission(f"{OWN}prompt/ABCDEFGHIJ:1"), Permission(model("*"))],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_of_a_model(case: str) -> None:
    """Each form of an id."""
    text, place, expected = CASES[case]
    parsed = parse(text)

    assert list(of_model(parsed, parsed.base_id or CLAUDE, place)) == expected


def test_of_a_profile_of_an_unknown_model() -> None:
    """Whatever it is made of, it is asked by way of the profile only."""
    arn = f"{OWN}application-inference-profile/abc"

    assert list(of_model(parse(arn), None, EAST))[1:] == by(arn, model("*", "*"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("anthropic.*", [Permission(model("us-east-1", "anthropic.*"))]),
        ("amazon.nova-[lm]*", [Permission(model("us-east-1", "amazon.nova-?*"))]),
        (
            "us.anthropic.*",
            [
                Permission(f"{OWN}inference-profile/us.anthropic.*"),
                *by(f"{OWN}inference-profile/us.anthropic.*", model("us-*", "anthropic.*")),
            ],
        ),
        (
            "*.claude-*",
            [
                Permission(model("us-east-1", "*.claude-*")),
                Permission(f"{OWN}inference-profile/*.claude-*"),
                *by(f"{OWN}inference-profile/*.claude-*", model("*", "*")),
            ],
        ),
        (
            f"{OWN}application-inference-profile/*",
            [
                Permission(f"{OWN}application-inference-profile/*"),
                *by(f"{OWN}application-inference-profile/*", model("*", "*")),
            ],
        ),
    ],
)
def test_of_a_pattern(pattern: str, expected: list[Permission]) -> None:
    """Patterns of `allowed_models` as policies have them."""
    assert list(of_pattern(pattern, EAST)) == expected


def test_of_everything() -> None:
    """Base models here; those of other regions by profiles and routers of the account only."""
    found = list(of_everything(EAST))

    assert [one.resource for one in found if one.condition is None] == [
        model("us-east-1", "*"),
        *(f"{OWN}{kind}/*" for kind in IN_ACCOUNT),
    ]
    assert {one.resource for one in found if one.condition} == {model("*", "*")}


@pytest.mark.parametrize("geo", sorted(set(REACH) - {"global"}))
def test_a_profile_may_lead_wherever_residency_knows_it_to(geo: str) -> None:
    """The two tables are one: what rules must cover, with regions yet to be opened, policies let through."""
    for source in REACH[geo]:
        patterns = destinations(geo, source)
        assert [one for one in REACH[geo] if not any(fnmatchcase(one, shell) for shell in patterns)] == []


@pytest.mark.skipif(not MODELS.is_file(), reason="the reference list of models is absent")
def test_no_geography_of_the_facts_is_unknown() -> None:
    """Each prefix that AWS's price lists have leads to regions that are known, not to all of them."""
    rows = json.loads(MODELS.read_text())["models"]
    geos = {row["geo_prefix"] for row in rows if row.get("geo_prefix")}

    assert len(geos) >= 8
    assert [geo for geo in geos if "*" in destinations(geo, "us-east-1")] == []


def test_every_profile_of_the_catalogue_is_let_through_by_its_geography() -> None:
    """A pattern of all of a geography's profiles has no less than each of them needs."""
    for card in load_cards().values():
        for profile in profile_ids(card, "us-east-1"):
            geo = profile.partition(".")[0]
            broad = list(of_pattern(f"{geo}.*", EAST))
            for one in of_model(parse(profile), card.id, EAST):
                assert any(
                    fnmatchcase(one.resource, other.resource)
                    and one.condition == other.condition
                    and fnmatchcase(one.by or "", other.by or "")
                    for other in broad
                ), one


@pytest.mark.parametrize(
    ("pattern", "base"),
    [
        (CLAUDE, CLAUDE),
        (f"us.{CLAUDE}", CLAUDE),
        ("eu.anthropic.*", "anthropic.*"),
        ("*", "anthropic.*"),
        ("*claude*", "anthropic.*"),
        ("amazon.nova-*", None),
        ("us.amazon.*", None),
        (f"{OWN}application-inference-profile/*", None),
    ],
)
def test_counted(pattern: str, base: str | None) -> None:
    """Tokens are counted at Claude's base ids, whatever stands before them."""
    assert counted(pattern) == base
