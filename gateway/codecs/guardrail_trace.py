"""The trace of a guardrail without the text before masking, which must not leave (bedrock-wire.md §6).

InvokeModel's answers have the trace under `amazon-bedrock-trace`, Converse's under `trace`; in both the
guardrail's part holds `modelOutput`, what the model said before the guardrail masked it, and each finding in
the output's assessments holds a `match`, the piece of it that was found. What was found in the input stays:
those are the caller's own words.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from gateway.errors import UpstreamProtocolError

_UNMASKED: Final = "modelOutput"
_MATCH: Final = "match"
_ANYWHERE: Final = (_UNMASKED,)
_IN_OUTPUTS: Final = (_UNMASKED, _MATCH)
_OUTPUTS: Final = frozenset({"outputAssessments", "outputs"})
_WHOLE: Final = _UNMASKED.encode()
_PIECE: Final = f'"{_MATCH}"'.encode()
_TRACES: Final = ("amazon-bedrock-trace", "trace")


def redacted(payload: bytes) -> bytes:
    """Return a payload, or a whole answer, without the unmasked text; as it is where it has none.

    Raises:
        UpstreamProtocolError: it may have some, and is not JSON.
    """
    if payload.find(_WHOLE) < 0 and payload.find(_PIECE) < 0:  # at half of what `in` costs
        return payload
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise UpstreamProtocolError(
            "Bedrock sent a guardrail's trace that cannot be read.", detail=str(error)
        ) from None
    return orjson.dumps(value) if type(value) is dict and _clean(value) else payload


def _clean(value: dict[str, Any]) -> bool:
    """Take it out of the traces, wherever an answer has them; say whether there was any."""
    found = False
    for name, inner in value.items():
        if name in _TRACES:
            found = _drop(inner) or found
        elif type(inner) is dict:  # Nova's events are wrapped by name
            found = _clean(inner) or found
    return found


def _drop(value: Any, unwanted: tuple[str, ...] = _ANYWHERE) -> bool:
    """Take the unwanted keys out, at any depth; say whether there was any."""
    found = False
    if type(value) is dict:
        found = [key for key in unwanted if value.pop(key, None) is not None] != []
        for name, inner in value.items():
            found = _drop(inner, _IN_OUTPUTS if name in _OUTPUTS else unwanted) or found
    elif type(value) is list:
        for item in value:
            found = _drop(item, unwanted) or found
    return found
