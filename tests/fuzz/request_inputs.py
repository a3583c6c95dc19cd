"""Bodies of requests to begin with, ids of models among them, and how to change one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from tests.fuzz.mutation import CANARY, json_mutator, mutate_bytes
from tests.fuzz.recordings import recordings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


MAX_LENGTH = 16384
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
BODIES: tuple[dict[str, Any], ...] = (
    {"model": "us.amazon.nova-micro-v1:0", "prompt": "Hi"},
    {"prompt": "Hi", "temperature": 0.5, "top_p": 0.5, "top_k": 5, "max_tokens": 9, "stop": ["x", "y"]},
    {
        "prompt": "Hi",
        "max_tokens": 9,
        "stop": "x",
        "system": "s",
        "metadata": {"team": "a"},
        "provider": "amazon",
    },
    {
        "model": "anthropic.claude-3-haiku-20240307-v1:0",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "see"}, PNG]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [CALL],
                "reasoning": [{"text": "t", "signature": "s"}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "r", "is_error": True},
            {"role": "user", "content": "go on"},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    {"prompt": "Hi", "tools": [TOOL], "tool_choice": "required"},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "stop": ["\n"]},
    {"model": "amazon.titan-embed-text-v2:0", "input": ["a", "b"], "dimensions": 256, "normalize": False},
    {
        "model": "cohere.embed-v4:0",
        "input": [[{"type": "text", "text": "a"}, PNG]],
        "input_type": "search_query",
    },
    {"model": "cohere.embed-english-v3", "input": "a", "truncate": "end", "encoding_format": "base64"},
)
IDS = (
    *(
        "../../x",
        "..",
        ".",
        "a%2fb",
        "%2e%2e",
        "a/b",
        "a?b",
        "a#b",
        "a\r\nHost: x",
        "a\x00",
        "é.é",
        "",
        "x" * 10_000,
    ),
    *(
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.titan-text-express-v1:0:8k",
        "brand-new.model-1",
    ),
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
    "arn:aws:bedrock:us-east-1:123456789012:imported-model/../../x",
    "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0/abcdefghijkl",
    "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/my-endpoint",
)


def _deep_arguments() -> bytes:
    """Return a body with a tool call whose arguments, a text, nest deeper than anything else may."""
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a":' * 300 + "1" + "}" * 300},
    }
    return json.dumps({"messages": [{"role": "assistant", "tool_calls": [call]}]}).encode()


def seeds() -> Iterator[bytes]:
    """Yield bodies with every field, hostile model ids, and documents that are refused."""
    for body in BODIES:
        yield json.dumps(body).encode()
    for model in IDS:
        yield json.dumps({"model": model, "prompt": "Hi", "input": "a"}).encode()
        yield json.dumps({"model": model, "prompt": "Hi"}).encode()
    yield _deep_arguments()
    for schema in ({CANARY: 1}, {"properties": {"a": {"type": "string", CANARY: 1}}}, {"required": [CANARY]}):
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        yield json.dumps({"prompt": "Hi", "tools": [tool]}).encode()
    for field in BODIES[1] | BODIES[3]:
        yield json.dumps({**BODIES[1], field: CANARY}).encode()
    yield from (b"", b"[]", b'{"a":1,"a":2}', b"[" * 65 + b"]" * 65, b"[18446744073709551616]", b'"\\ud800"')


def recorded() -> Iterator[bytes]:
    """The texts and tools of recorded requests, as our API would have them."""
    for recording in recordings():
        asked = recording["request"]
        texts = re.findall(r'"text": ("(?:[^"\\]|\\.)*")', json.dumps(asked))[:3]
        messages = [{"role": "user", "content": json.loads(text)} for text in texts]
        body = {
            "model": recording.get("model_id") or "m",
            "messages": messages or [{"role": "user", "content": "a"}],
        }
        yield orjson.dumps(body)[:MAX_LENGTH]


_mutate_json = json_mutator()


def mutate(data: bytes, rng: Random) -> bytes:
    """Return the body with another model, other values, or just bytes changed."""
    if rng.random() < 0.1:
        try:
            body = json.loads(data)
            body["model"] = rng.choice(IDS)
            return json.dumps(body).encode()
        except (ValueError, TypeError, RecursionError):
            return mutate_bytes(data, rng)
    return _mutate_json(data, rng)
