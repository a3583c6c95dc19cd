"""What is read or framed without a look comes out as it does where each field is looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects import anthropic_invoke
from gateway.dialects.anthropic_relay import ClaudeEvents
from gateway.errors import InvalidRequest
from tests.dialects.anthropic_reading import events_of

ROLES = st.sampled_from(["user", "assistant", "system", 7, None])
CONTENTS = st.sampled_from(
    ["hi", "", "\u2028", None, 7, [{"type": "text", "text": "hi"}], [{"source": {"type": "url"}}]]
)
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {}, optional={"role": ROLES, "content": CONTENTS, "name": st.sampled_from(["n", None])}
    ),
    st.sampled_from([7, None]),
)
FIELDS = {
    "messages": st.one_of(st.lists(MESSAGES, max_size=3), st.sampled_from([None, "hi"])),
    "model": st.just("m"),
    "stream": st.sampled_from([True, False, None]),
    "system": st.sampled_from(["be kind", "", None, [{"type": "text", "text": "s"}]]),
    "max_tokens": st.just(5),
    "temperature": st.sampled_from([0, 1.5, None]),
    "stop_sequences": st.sampled_from([[], ["x"], None]),
    "tools": st.sampled_from([[], None, [{"type": "web_search_20250305"}], [{"name": "t"}]]),
    "thinking": st.sampled_from([{"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024}]),
    "metadata": st.sampled_from([{"user_id": "u"}, None]),
    "output_config": st.just({"effort": "low"}),
    "output_format": st.sampled_from([None, {"type": "json_schema"}]),
    "cache_control": st.sampled_from([None, {"type": "ephemeral"}]),
    "service_tier": st.sampled_from(["auto", None]),
    "speed": st.sampled_from(["standard", "fast"]),
    "container": st.sampled_from([None, "c"]),
    "novelty": st.sampled_from([None, 1]),
}


GOOD = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": True}
ODD = st.lists(st.sampled_from(sorted(FIELDS)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)


@given(odd=ODD)
@settings(max_examples=200)
def test_the_usual_body_is_what_the_look_makes_of_it(odd: dict[str, Any]) -> None:
    """Where there is one; nothing that the look refuses is usual."""
    value = {**GOOD, **odd}
    before = json.dumps(value)
    asked = anthropic_invoke.usual(value)
    assert json.dumps(value) == before
    try:
        expected = anthropic_invoke.body(value)
    except InvalidRequest:
        assert asked is None
    else:
        assert asked is None or list(asked.items()) == list(expected.items())


def test_text_turns_are_usual() -> None:
    """So that nothing is compared with nothing above."""
    turns = [{"role": role, "content": "hi"} for role in ("user", "assistant", "user")]
    asked = anthropic_invoke.usual({"model": "m", "stream": True, "messages": turns, "max_tokens": 5})
    assert asked == {"anthropic_version": "bedrock-2023-05-31", "messages": turns, "max_tokens": 5}


def test_flags_of_a_usual_body() -> None:
    """What is told in headers goes with it all the same."""
    asked = anthropic_invoke.read(GOOD, betas=("context-1m-2025-08-07",))
    assert json.loads(asked.body)["anthropic_beta"] == ["context-1m-2025-08-07"]


# ── the answer ────────────────────────────────────────────────────────────────────────────────────────

BEDROCKS = ',"amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":2}'
STARTS = (
    '{"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}',
    '{"type":"message_start","message":{"usage":{"input_tokens":9,"cache_read_input_tokens":4,"x":1}}}',
    '{"type":"message_start","message":{"usage":{"input_tokens":9,"x":4,"output_tokens":1}}}',
    '{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1,"cache_read_input_tokens":4}}}',
    '{"type":"message_start","message":{"usage":{"output_tokens":1,"input_tokens":9}}}',
    '{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1},"x":{"y":{}}}}',
    '{"type":"message_start","message":{},"x":{"usage":{"input_tokens":9,"output_tokens":1}}}',
    '{"type":"message_start","message":{},"usage":{"input_tokens":9,"output_tokens":1}}',
    '{"type":"message_start","message":{"x":{"usage":{"input_tokens":9,"output_tokens":1}}}}',
    '{"type":"message_start","x":{"usage":{"input_tokens":9,"output_tokens":1}}}',
    '{"type":"message_start","message":{"id":"}{","usage":{"input_tokens":9,"output_tokens":1}}}',
    '{"type":"message_start","message":{"id":"\\u007d","usage":{"input_tokens":9,"output_tokens":1}}}',
    '{"type":"message_start","message":{"usage":{"input_tokens":9.0,"output_tokens":1}}}',
    '{"type":"message_start","message":null' + BEDROCKS + "}",
    '{"type":"ping"}',
)
_DELTA = '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}'
CHUNKS = (
    *STARTS,
    _DELTA + ',"usage":{"output_tokens":2}}',
    _DELTA + ',"usage":{"output_tokens":2,"input_tokens":3}}',
    _DELTA + ',"usage":{"output_tokens":2,"cache_read_input_tokens":3}}',
    _DELTA + ',"usage":{"output_tokens":2},"x":{}}',
    _DELTA + ',"x":{"usage":{"output_tokens":2}}}',
    _DELTA + ',"x":{},"usage":{"output_tokens":2}' + BEDROCKS + "}",
    _DELTA + ',"usage":{"x":1},"usage":{"output_tokens":2}}',
    _DELTA + ',"usage":null}',
    _DELTA + "}",
    '{"type":"message_delta","delta":{"stop_sequence":"\\n"},"usage":{"output_tokens":2}}',
    _DELTA + ',"x":{"input_tokens":3},"usage":{"output_tokens":2}}',
    _DELTA + ',"usage":{"output_tokens":-2}}',
    _DELTA + ', "usage": {"output_tokens": 2}}',
    '{"type":"message_stop"}',
    '{"type":"message_stop"' + BEDROCKS + "}",
    '{"type":"message_stop","type":"ping"}',
    '{"type":"message_stop","\\u0074ype":"ping"}',
    '{"type":"message_stopped"}',
    '{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}',
    '{"type":"content_block_stop","index":7}',
    '{"type":"content_block_stop","index":8' + BEDROCKS + "}",
    '{"type":"content_block_stop","index":8,"amazon\\u002dbedrock-trace":{}}',
    '{"type":"content_block_stop",\n"index":8}',
    '{"type":"content_block_stop",\r"index":8}',
)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_chunk_known_by_its_bytes_is_what_the_look_makes_of_it(start: str, chunk: str) -> None:
    """A space behind the first brace is all that it takes to be looked into."""
    short, long = ClaudeEvents(), ClaudeEvents()
    short.payload("chunk", start.encode())
    long.payload("chunk", _looked_into(start))

    said = short.known.get(chunk.encode())
    if said is None:
        said = short.payload("chunk", chunk.encode())

    assert events_of(said) == events_of(long.payload("chunk", _looked_into(chunk)))


def _looked_into(chunk: str) -> bytes:
    return chunk.replace("{", "{ ", 1).encode()
