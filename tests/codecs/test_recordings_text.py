"""Recorded answers of the families that take one text, against what their raw JSON says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.catalog.model_id import parse
from gateway.codecs import CODECS
from gateway.completion import fold
from gateway.domain import Event
from tests.codecs.test_recordings import FILES, NATIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.catalog.model import Family

Recording = dict[str, Any]
OPERATIONS = {"invoke", "invoke-with-response-stream"}

FAMILIES: dict[str, tuple[Family, Callable[[Any], tuple[str, str]]]] = {
    "meta.llama": ("llama", lambda raw: (raw["generation"], raw["stop_reason"])),
    "mistral.": ("mistral", lambda raw: (raw["outputs"][0]["text"], raw["outputs"][0]["stop_reason"])),
}
"""By the beginning of the base id: the family, and where its raw JSON has text and reason."""
OTHERS = (*NATIVE, "cohere.", "ai21.", "amazon.")
"""Read in `test_recordings` and `test_recordings_chat`, or embeddings and images."""

pytestmark = pytest.mark.skipif(not FILES, reason="no recordings; set GATEWAY_RECORDINGS to their folder")


def recorded() -> list[tuple[str, Recording]]:
    """Return every good recording of InvokeModel with its name."""
    every = [(file.stem, json.loads(file.read_bytes())) for file in FILES]
    return [
        (name, recording)
        for name, recording in every
        if recording["operation"] in OPERATIONS and recording["status"] == 200
    ]


def rows() -> list[Any]:
    """Return the recordings of these families, as parameters."""
    return [
        pytest.param(recording, prefix, id=name)
        for name, recording in recorded()
        for prefix in FAMILIES
        if (parse(recording["model_id"]).base_id or "").startswith(prefix)
    ]


@pytest.mark.parametrize(("recording", "prefix"), rows())
def test_a_recorded_answer_says_what_its_json_says(recording: Recording, prefix: str) -> None:
    """Text, reason and counters; the latter are Llama's own, and the headers' where Mistral has none."""
    family, said = FAMILIES[prefix]
    raw, headers = recording["response"], recording["response_headers"]
    events: list[Event] = []
    unknown = CODECS[family].read(json.dumps(raw).encode(), headers, events)
    answer = fold(events)
    counted = (
        raw.get("prompt_token_count") or int(headers["x-amzn-bedrock-input-token-count"]),
        raw.get("generation_token_count") or int(headers["x-amzn-bedrock-output-token-count"]),
    )
    assert (answer.text, answer.stop_reason) == said(raw)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == counted
    assert unknown == set()


@pytest.mark.parametrize(("recording", "prefix"), rows())
def test_an_imported_model_might_answer_like_any_of_them(recording: Recording, prefix: str) -> None:
    """The generic family tells the shape by itself and reads the same out of it."""
    body, headers = json.dumps(recording["response"]).encode(), recording["response_headers"]
    own, generic = list[Event](), list[Event]()
    CODECS[FAMILIES[prefix][0]].read(body, headers, own)
    CODECS["imported"].read(body, headers, generic)
    assert generic == own


def test_a_completion_in_openais_shape() -> None:
    """A recorded server behind SageMaker, of the kind that serves imported models, speaks completions."""
    found = [recording for _, recording in recorded() if "sagemaker" in recording["model_id"]]
    for recording in found:
        events: list[Event] = []
        CODECS["imported"].read(json.dumps(recording["response"]).encode(), {}, events)
        assert fold(events).text == recording["response"]["choices"][0]["text"]
    assert found != []


def test_no_recording_of_a_conversation_is_left_out() -> None:
    """Every model that was recorded by InvokeModel is some test's, or no model of ours."""
    known = (*FAMILIES, *OTHERS)
    bases = {parse(recording["model_id"]).base_id for _, recording in recorded()}
    assert {base for base in bases if base is not None and not base.startswith(known)} == set()
