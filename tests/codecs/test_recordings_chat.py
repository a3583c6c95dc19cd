"""Recorded answers of Cohere's and AI21's models through their codecs, against what their raw JSON says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.catalog.model_id import parse
from gateway.codecs import CODECS
from gateway.completion import fold
from gateway.domain import Event, Usage
from tests.codecs.test_recordings import FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.catalog.model import Family

Recording = dict[str, Any]
FAMILIES: dict[str, tuple[Family, Callable[[Any], tuple[str, str]]]] = {
    "cohere.command-text": ("cohere_command", lambda raw: _generation(raw["generations"][0])),
    "cohere.command-light": ("cohere_command", lambda raw: _generation(raw["generations"][0])),
    "cohere.command-r": ("cohere_command_r", lambda raw: (raw["text"], raw["finish_reason"])),
    "ai21.j2": ("jurassic", lambda raw: _completion(raw["completions"][0])),
}
"""By the beginning of the base id: the family, and where its raw JSON has text and reason."""

pytestmark = pytest.mark.skipif(not FILES, reason="no recordings; set GATEWAY_RECORDINGS to their folder")


def _generation(raw: Any) -> tuple[str, str]:
    return raw["text"], raw["finish_reason"]


def _completion(raw: Any) -> tuple[str, str]:
    return raw["data"]["text"], raw["finishReason"]["reason"]


def recorded() -> list[Any]:
    """Return every good recording of InvokeModel with one of these families."""
    rows = []
    for file in FILES:
        recording: Recording = json.loads(file.read_bytes())
        if recording["operation"] != "invoke" or recording["status"] != 200:
            continue
        base = parse(recording["model_id"]).base_id or ""
        rows += [
            pytest.param(recording, prefix, id=file.stem) for prefix in FAMILIES if base.startswith(prefix)
        ]
    return rows


@pytest.mark.parametrize(("recording", "prefix"), recorded())
def test_a_recorded_answer_says_what_its_json_says(recording: Recording, prefix: str) -> None:
    """Text, reason of the stop, and the counters of the headers, for the bodies have none."""
    family, said = FAMILIES[prefix]
    body, headers = json.dumps(recording["response"]).encode(), recording["response_headers"]
    events: list[Event] = []
    assert CODECS[family].read(body, headers, events) == set()
    completion = fold(events)
    assert (completion.text, completion.stop_reason) == said(recording["response"])
    assert completion.usage == Usage(
        input_tokens=int(headers["x-amzn-bedrock-input-token-count"]),
        output_tokens=int(headers["x-amzn-bedrock-output-token-count"]),
    )


def test_the_recordings_of_these_families_are_the_ones_that_are_known() -> None:
    """Four, all of them whole answers: a new recording is looked at before it counts."""
    assert sorted(row.values[1] for row in recorded()) == sorted(FAMILIES)
