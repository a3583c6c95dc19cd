"""A text's beginning and a block's end, known by their bytes, mean what the parser makes of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codecs.claude import ClaudeExtractor
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from types import FrameType

    from gateway.codecs.protocol import UsualDelta
    from gateway.domain import Event

Seen: TypeAlias = "tuple[list[Event], AbstractSet[str], bool, UsualDelta | None, str]"
START = b'{"type":"message_start","message":{"usage":{"input_tokens":1}}}'
TEXT = b'{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}'
END = b'{"type":"content_block_stop","index":%d}'
NUMBERED = (
    TEXT,
    TEXT,
    END,
    END,
    b'{"type":"content_block_start","index":%d,"content_block":{"type":"thinking","thinking":""}}',
    b'{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":"a","name":"b"}}',
    b'{"type":"content_block_start","index":%d,"content_block":{"type":"server_tool_use"}}',
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":"{"}}',
)
OTHERS = (
    START,
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"}}',
    b'{"type":"message_stop"}',
    b"{",
)
PAYLOADS = st.one_of(
    *[
        st.builds(
            lambda form, number: form % number, st.sampled_from(NUMBERED), st.sampled_from([0, 0, 0, 1, 7, 8])
        )
    ]
    * 5,
    st.sampled_from(OTHERS),
)
FED = st.lists(st.tuples(st.sampled_from(["chunk"] * 9 + ["novelty"]), PAYLOADS), max_size=8)


def seen(fed: list[tuple[str, bytes]], behind: bytes = b"") -> list[Seen]:
    """Return all that can be known of an extractor behind each payload."""
    extractor, found = ClaudeExtractor(), list[Seen]()
    for event_type, payload in fed:
        events, fault = list[Any](), ""
        try:
            extractor.feed(event_type, payload + behind, events)
        except GatewayError as error:
            fault = f"{type(error).__name__} {error}"
        found.append((events, set(extractor.unknown), extractor.finished, extractor.usual, fault))
    return found


@given(fed=FED, begun=st.sampled_from([True, True, True, False]))
@example(fed=[("chunk", NUMBERED[5] % 0), ("chunk", END % 0)], begun=True)
def test_known_or_parsed_it_is_the_same(fed: list[tuple[str, bytes]], begun: bool) -> None:  # noqa: FBT001 - drawn
    """A blank behind a payload changes its bytes and nothing of its meaning."""
    fed = [("chunk", START), *fed] if begun else fed
    assert seen(fed) == seen(fed, b" ")


@pytest.mark.parametrize(("form", "parsed"), [(TEXT, 0), (END, 0), (TEXT + b" ", 1), (END + b" ", 1)])
def test_what_is_known_is_not_parsed(form: bytes, parsed: int) -> None:
    """As Anthropic spells them they need no JSON parser; otherwise they do."""
    extractor, calls = ClaudeExtractor(), list[str]()

    def count(_frame: FrameType, kind: str, called: Any) -> None:
        if kind == "c_call":
            calls.append(called.__name__)

    extractor.feed("chunk", START, [])
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        extractor.feed("chunk", form % 0, [])
    finally:
        sys.setprofile(before)

    assert calls.count("loads") == parsed
