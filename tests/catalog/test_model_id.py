"""The grammar of model ids: every form that Bedrock takes, and nothing that could harm a URL."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.model_id import MAX_LENGTH, ModelId, parse
from gateway.errors import UnknownModel

SHARED = Path(__file__).parents[3] / "shared"
RECORDINGS = Path(os.environ.get("GATEWAY_RECORDINGS") or SHARED / "recordings")
MODELS = SHARED / "reference" / "bedrock-models.json"
ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "anthropic.claude-3-haiku-20240307-v1:0",
            {"kind": "base", "base_id": "anthropic.claude-3-haiku-20240307-v1:0", "provider": "anthropic"},
        ),
        (
            "anthropic.claude-3-haiku-20240307-v1:0:48k",
            {
                "kind": "base",
                "base_id": "anthropic.claude-3-haiku-20240307-v1:0",
                "provider": "anthropic",
                "context": "48k",
            },
        ),
        (
            "cohere.embed-english-v3:0:512",
            {"kind": "base", "base_id": "cohere.embed-english-v3:0", "provider": "cohere", "context": "512"},
        ),
        (
            "moonshotai.kimi-k2.5",
            {"kind": "base", "base_id": "moonshotai.kimi-k2.5", "provider": "moonshotai"},
        ),
        ("deepseek.v3.2", {"kind": "base", "base_id": "deepseek.v3.2", "provider": "deepseek"}),
        ("acme.thinker-1.5", {"kind": "base", "base_id": "acme.thinker-1.5", "provider": "acme"}),
        ("does-not-exist", {"kind": "base", "base_id": "does-not-exist"}),
        (
            "us.anthropic.claude-sonnet-4-6",
            {
                "kind": "geo-profile",
                "base_id": "anthropic.claude-sonnet-4-6",
                "provider": "anthropic",
                "geo": "us",
            },
        ),
        (
            "us-gov.openai.gpt-oss-20b-1:0",
            {
                "kind": "geo-profile",
                "base_id": "openai.gpt-oss-20b-1:0",
                "provider": "openai",
                "geo": "us-gov",
            },
        ),
        (
            "us.openai.gpt-5.5",
            {"kind": "geo-profile", "base_id": "openai.gpt-5.5", "provider": "openai", "geo": "us"},
        ),
        (
            "atlantis.meta.llama9-v1:0",
            {"kind": "geo-profile", "base_id": "meta.llama9-v1:0", "provider": "meta", "geo": "atlantis"},
        ),
        (
            "eu.acme.thinker-1.5",
            {"kind": "geo-profile", "base_id": "acme.thinker-1.5", "provider": "acme", "geo": "eu"},
        ),
        (
            "us.does-not-exist-v1:0",
            {"kind": "geo-profile", "base_id": "does-not-exist-v1:0", "geo": "us"},
        ),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b-instruct-v1:0",
            {
                "kind": "foundation-model",
                "base_id": "meta.llama3-8b-instruct-v1:0",
                "provider": "meta",
                "partition": "aws",
                "region": "us-east-1",
            },
        ),
        (
            "arn:aws:bedrock:::foundation-model/zai.glm-5",
            {"kind": "foundation-model", "base_id": "zai.glm-5", "provider": "zai", "partition": "aws"},
        ),
        (
            f"arn:aws-us-gov:bedrock:us-gov-west-1:{ACCOUNT}:inference-profile/us-gov.anthropic.claude-opus-5",
            {
                "kind": "inference-profile",
                "base_id": "anthropic.claude-opus-5",
                "provider": "anthropic",
                "geo": "us-gov",
                "partition": "aws-us-gov",
                "region": "us-gov-west-1",
                "account": ACCOUNT,
            },
        ),
        (
            f"arn:aws-cn:bedrock:cn-north-1:{ACCOUNT}:application-inference-profile/mi1dadi0g15f",
            {
                "kind": "application-inference-profile",
                "partition": "aws-cn",
                "region": "cn-north-1",
                "account": ACCOUNT,
            },
        ),
        (
            f"arn:aws-eusc:bedrock:eusc-de-east-1:{ACCOUNT}:provisioned-model/abcdefghijkl",
            {
                "kind": "provisioned-model",
                "partition": "aws-eusc",
                "region": "eusc-de-east-1",
                "account": ACCOUNT,
            },
        ),
        *(
            (
                f"arn:aws:bedrock:us-east-1:{ACCOUNT}:{kind}/abcdefghijkl",
                {"kind": kind, "partition": "aws", "region": "us-east-1", "account": ACCOUNT},
            )
            for kind in ("custom-model-deployment", "imported-model")
        ),
        (
            f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl",
            {
                "kind": "custom-model",
                "base_id": "amazon.nova-lite-v1:0",
                "provider": "amazon",
                "context": "300k",
                "partition": "aws",
                "region": "us-east-1",
                "account": ACCOUNT,
            },
        ),
        (
            f"arn:aws:bedrock:us-east-1:{ACCOUNT}:default-prompt-router/anthropic.claude:1",
            {
                "kind": "default-prompt-router",
                "provider": "anthropic",
                "partition": "aws",
                "region": "us-east-1",
                "account": ACCOUNT,
            },
        ),
        (
            f"arn:aws:bedrock:us-east-1:{ACCOUNT}:prompt-router/r2d2",
            {"kind": "prompt-router", "partition": "aws", "region": "us-east-1", "account": ACCOUNT},
        ),
        (
            f"arn:aws:bedrock:us-east-1:{ACCOUNT}:prompt/ABCDEFGHIJ:3",
            {"kind": "prompt", "partition": "aws", "region": "us-east-1", "account": ACCOUNT},
        ),
        (
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/my-endpoint",
            {"kind": "sagemaker-endpoint", "partition": "aws", "region": "us-east-1", "account": ACCOUNT},
        ),
    ],
)
def test_every_form_is_taken_apart(text: str, expected: dict[str, str]) -> None:
    """Each documented form gives its kind, and the provider and base model where they can be told."""
    assert parse(text) == ModelId(raw=text, **expected)  # type: ignore[arg-type]  # one table for all fields


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("a" * (MAX_LENGTH + 1), "it is longer than 2048 characters"),
        ("../../etc/passwd", "characters or empty labels"),
        ("anthropic.claude%2f..%2finvoke", "characters or empty labels"),
        ("anthropic/claude", "characters or empty labels"),
        ("anthropic..claude", "characters or empty labels"),
        (".claude", "characters or empty labels"),
        ("claude:", "characters or empty labels"),
        ("anthropic claude", "characters or empty labels"),
        ("anthropic.claude\n", "characters or empty labels"),
        ("anthropic.claude\x00", "characters or empty labels"),
        ("anthropic.claude-٣", "characters or empty labels"),
        ("arn:aws:bedrock:us-east-1", "an ARN has the form"),
        ("ARN:aws:bedrock:us-east-1::foundation-model/meta.x", "an ARN has the form"),
        ("arn:gcp:bedrock:us-east-1::foundation-model/meta.x", "its partition"),
        (f"arn:aws:s3:us-east-1:{ACCOUNT}:bucket/x", "its service"),
        ("arn:aws:bedrock:us-east-1::foundation-model", "its resource has no name"),
        ("arn:aws:bedrock:us-east-1::foundation-model/", "its resource has no name"),
        ("arn:aws:bedrock:US_EAST::foundation-model/meta.x", "its region"),
        (f"arn:aws:bedrock::{ACCOUNT}:provisioned-model/x", "its region"),
        ("arn:aws:bedrock:us-east-1:12345:provisioned-model/x", "its account"),
        ("arn:aws:bedrock:us-east-1:١٢٣٤٥٦٧٨٩٠١٢:provisioned-model/x", "its account"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:foundation-model/meta.x", "has no account"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/x", "its resource type"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/../x", "its provisioned-model name"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:prompt/short", "its prompt name"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:prompt-router/a/b", "its prompt-router name"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/amazon.nova-lite-v1:0", "a custom-model ARN"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/a..b/x", "the model id in it"),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us./x", "the model id in it"),
        (f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model/x", "a sagemaker ARN must name an endpoint"),
        (f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/a.b", "a sagemaker ARN must name an endpoint"),
    ],
)
def test_what_is_no_id_is_refused_with_its_reason(text: str, reason: str) -> None:
    """The refusal names the field, says what is wrong and what would be right."""
    with pytest.raises(UnknownModel) as caught:
        parse(text)
    assert (caught.value.param, reason in caught.value.message, "Accepted:" in caught.value.message) == (
        "model",
        True,
        True,
    )


def test_a_refusal_does_not_repeat_hostile_text() -> None:
    """At most 64 harmless characters of what was asked come back."""
    with pytest.raises(UnknownModel) as caught:
        parse("<script>\x1b[31m" + "x" * 100)
    shown = caught.value.message.partition("'")[2].partition("'")[0]
    assert shown == "?script???31m" + "x" * 51 + "…"


@given(st.text() | st.from_regex(r"arn:aws[:a-z0-9/.-]{0,80}") | st.from_regex(r"[a-z0-9.:-]{1,40}"))
def test_random_text_is_parsed_or_unknown(text: str) -> None:
    """Whatever a caller writes, the answer is a model id made of harmless characters, or UnknownModel."""
    try:
        parsed = parse(text)
    except UnknownModel:
        return
    assert parsed.raw == text
    assert ".." not in (parsed.base_id or "")
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS.name}; see GATEWAY_RECORDINGS"
)
def test_every_recorded_id_is_parsed() -> None:
    """Ids that were sent to real Bedrock are all understood."""
    recorded = {json.loads(file.read_bytes())["model_id"] for file in RECORDINGS.glob("*.json")} - {""}
    assert {parse(model_id).raw for model_id in recorded} == recorded


@pytest.mark.skipif(not MODELS.is_file(), reason="the reference list of models is absent")
def test_every_listed_id_has_the_right_provider() -> None:
    """Ids of the public list give the provider that the list names.

    `@` and ids without a provider are that list's own notation, not Bedrock's.
    """
    listed = {
        model["id"]: model["provider"]
        for model in json.loads(MODELS.read_bytes())["models"]
        if "@" not in model["id"] and "." in model["id"]
    }
    assert {model_id: parse(model_id).provider for model_id in listed} == listed
