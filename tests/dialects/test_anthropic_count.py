"""Counting a Claude request: its InvokeModel body, inside Bedrock's CountTokens."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from gateway.dialects import anthropic_count
from gateway.errors import InvalidRequest, UpstreamProtocolError

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("thinking", "limit"),
    [(None, 1), ({"type": "adaptive"}, 1), ({"type": "enabled", "budget_tokens": 1024}, 1025)],
)
def test_the_body(thinking: Any, limit: int) -> None:
    """The limit that InvokeModel needs leaves room for thinking."""
    value = json.loads(anthropic_count.body({**ASKED, "thinking": thinking}, ("b",)))

    assert json.loads(b64decode(value["input"]["invokeModel"]["body"])) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["b"],
        "max_tokens": limit,
        "messages": ASKED["messages"],
        **({"thinking": thinking} if thinking else {}),
    }


@pytest.mark.parametrize("name", ["max_tokens", "stream", "temperature", "n"])
def test_what_only_an_answer_has(name: str) -> None:
    """It is refused by its name, as what is not known at all."""
    with pytest.raises(InvalidRequest) as caught:
        anthropic_count.body({**ASKED, name: 1})

    assert caught.value.param == name


def test_the_answer() -> None:
    """The count, by Anthropic's name."""
    assert anthropic_count.answer(b'{"inputTokens":18}') == b'{"input_tokens":18}'


@pytest.mark.parametrize("counted", [b"", b"[]", b"{}", b'{"inputTokens":"18"}'])
def test_an_answer_without_a_count(counted: bytes) -> None:
    """It is no answer."""
    with pytest.raises(UpstreamProtocolError):
        anthropic_count.answer(counted)
