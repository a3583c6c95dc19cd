"""Counting the tokens of a Claude request: the same body, in the envelope of Bedrock's CountTokens."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.dialects import anthropic_invoke
from gateway.dialects.limits import MAX_TOKENS
from gateway.errors import InvalidRequest, UpstreamProtocolError
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ONE: Final = 1
"""The limit of an answer that is never given: InvokeModel's body needs one, and counts nothing for it."""
OF_AN_ANSWER: Final = (
    *("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata"),
    "service_tier",
)
"""What only a request for an answer may say."""


def body(value: Mapping[str, Any], betas: Sequence[str] = ()) -> bytes:
    """Return the body of CountTokens for the body of `POST /v1/messages/count_tokens`.

    Raises:
        InvalidRequest: `param` is the path of the first field that cannot be counted.
    """
    for name in OF_AN_ANSWER:
        if value.get(name) is not None:
            raise InvalidRequest(f"{name}: unknown field.", param=name)
    counted = {**anthropic_invoke.body(value, betas), "max_tokens": _limit(value.get("thinking"))}
    return json.dumps({"input": {"invokeModel": {"body": b64encode(json.dumps(counted)).decode()}}})


def answer(counted: bytes) -> bytes:
    """Return the answer for that of CountTokens.

    Raises:
        UpstreamProtocolError: it has no count.
    """
    try:
        value = orjson.loads(counted)
    except orjson.JSONDecodeError:
        value = None
    count = value.get("inputTokens") if type(value) is dict else None
    if type(count) is not int:
        raise UpstreamProtocolError("Bedrock sent an answer without a count of tokens.")
    return json.dumps({"input_tokens": count})


def _limit(thinking: Any) -> int:
    """Return a limit that lets the model think, which it has to; Bedrock judges what is no budget."""
    budget = thinking.get("budget_tokens") if type(thinking) is dict else None
    return budget + 1 if type(budget) is int and 0 < budget < MAX_TOKENS else ONE
