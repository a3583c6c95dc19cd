"""Model ids, as the far end reads them."""

from __future__ import annotations

import pytest

from gateway.emulator.errors import BedrockError
from gateway.emulator.models import read_model_id

ARN = "arn:aws:bedrock:us-east-1:123456789012"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"


@pytest.mark.parametrize(
    ("given", "base", "geo"),
    [
        (HAIKU, HAIKU, ""),
        (f"{HAIKU}:48k", f"{HAIKU}:48k", ""),
        (f"us.{HAIKU}", HAIKU, "us"),
        ("us-gov.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", "us-gov"),
        ("moonshotai.kimi-k2.5", "moonshotai.kimi-k2.5", ""),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}", HAIKU, ""),
        (f"{ARN}:inference-profile/us.{HAIKU}", HAIKU, "us"),
        (f"{ARN}:application-inference-profile/abc123xyz", "", ""),
        (f"{ARN}:provisioned-model/abc123xyz", "", ""),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine", "", ""),
    ],
)
def test_a_valid_id_is_read(given: str, base: str, geo: str) -> None:
    """The foundation model and the geography, where the id tells them."""
    model = read_model_id(given)

    assert (model.given, model.base, model.geo) == (given, base, geo)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "does-not-exist",
        "us.does-not-exist-model-v1:0",
        "nobody.model",
        "us.nobody.model",
        "us.amazon",
        "amazon.nova lite",
        "amazon.nova-lite\n",
        "../amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:flow/ABCDEFGHIJ",
        "arn:aws:s3:::bucket/key",
        f"{ARN}:inference-profile/nobody.model",
        f"{ARN}:application-inference-profile/{'x' * 2048}",
    ],
)
def test_an_invalid_id_is_refused(given: str) -> None:
    """In the recorded words."""
    with pytest.raises(BedrockError) as caught:
        read_model_id(given)

    assert caught.value.message == "The provided model identifier is invalid."


def test_there_are_no_prompts() -> None:
    """A prompt's ARN is well formed, but the emulator has none."""
    with pytest.raises(BedrockError, match="has no prompts"):
        read_model_id(f"{ARN}:prompt/ABCDEFGHIJ")


@pytest.mark.parametrize(
    ("given", "talks"),
    [
        ("us.amazon.nova-2-lite-v1:0", True),
        ("amazon.nova-canvas-v1:0", False),
        ("amazon.nova-sonic-v1:0", False),
        ("amazon.nova-2-multimodal-embeddings-v1:0", False),
        ("amazon.titan-text-lite-v1", True),
        ("amazon.titan-embed-text-v2:0", False),
        ("cohere.embed-v4:0", False),
        ("cohere.rerank-v3-5:0", False),
        ("cohere.command-r-v1:0", True),
        (f"{ARN}:imported-model/abc123xyz", True),
    ],
)
def test_some_models_do_not_talk(given: str, talks: bool) -> None:  # noqa: FBT001 - a column of the table
    """Embeddings, rerankers and painters do not converse."""
    assert read_model_id(given).talks is talks
