"""Answers that are no chat, for the target `readers`: errors by HTTP, and vectors.

An input of theirs begins with a line `error STATUS CODE WAIT` or `embed MODEL COUNT TOKENS`; behind it is the
body.
"""

from __future__ import annotations

import math

from gateway.bedrock import faults
from gateway.codecs.embeddings import EMBEDDERS
from gateway.errors import GatewayError
from tests.fuzz.target import demand

SAFE_INTEGER = 2**53
LONGEST_MESSAGE = 1000
LONGEST_WAIT = 3600
ACCOUNT = "123456789012"


def check(data: bytes) -> bool:
    """Hold the answer to its laws; return False where the input is none of these."""
    head, _, body = data.partition(b"\n")
    kind, first, second, third = (*head.decode("utf-8", "replace").split(" ", 3), "", "", "", "")[:4]
    if kind == "error":
        _check_error(int(first) if first.isdecimal() and len(first) < 5 else 500, second, third, body)
    elif kind == "embed":
        model = first if first in EMBEDDERS else sorted(EMBEDDERS)[len(first) % len(EMBEDDERS)]
        _check_vectors(model, int(second) if second.isdecimal() and len(second) < 3 else 1, third, body)
    return kind in {"error", "embed"}


def _check_error(status: int, code: str, wait: str, body: bytes) -> None:
    headers = {"x-amzn-errortype": code, "x-amz-retry-after": wait, "x-amzn-requestid": code}
    fault = faults.from_answer(status, headers, body)
    demand(type(fault) is not GatewayError, "an error without a class", fault)
    for words in (fault.message, fault.detail or ""):
        demand(len(words) <= LONGEST_MESSAGE, "too many words", words)
        demand(
            not any(ord(letter) < 32 or letter in "\x7f\x85\u2028\u2029" for letter in words),
            "controls",
            words,
        )
        demand(ACCOUNT not in words.split(), "an account number", words)
    demand(fault.message, "no words", fault)
    demand(fault.retry_after is None or 1 <= fault.retry_after <= LONGEST_WAIT, "a wait", fault.retry_after)
    demand(fault.retry_after is None or fault.retryable, "a wait for nothing", fault)
    given = fault.upstream_request_id
    demand(given is None or (given.isascii() and given.isprintable() and " " not in given), "an id", given)


def _check_vectors(model: str, count: int, tokens: str, body: bytes) -> None:
    try:
        found = EMBEDDERS[model].read(body, {"x-amzn-bedrock-input-token-count": tokens}, count)
    except GatewayError as fault:
        demand(type(fault) is not GatewayError, "an error without a class", fault)
        return
    demand(len(found.vectors) == count, "not one vector an input", found)
    for vector in found.vectors:
        numbers = [type(value) in {int, float} and math.isfinite(value) for value in vector]
        demand(numbers and all(numbers), "no vector", vector)
    counted = found.input_tokens
    demand(counted is None or (type(counted) is int and 0 <= counted < SAFE_INTEGER), "no count", counted)
