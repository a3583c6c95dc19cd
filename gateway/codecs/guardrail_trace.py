"""The trace of a guardrail without the text before masking, which must not leave (bedrock-wire.md §6).

InvokeModel's answers have the trace under `amazon-bedrock-trace`, Converse's under `trace`; in both the
guardrail's part holds `modelOutput`, what the model said before the guardrail masked it.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from gateway.errors import UpstreamProtocolError

UNMASKED: Final = b"modelOutput"
_KEY: Final = UNMASKED.decode()
_TRACES: Final = ("amazon-bedrock-trace", "trace")


def redacted(payload: bytes) -> bytes:
    """Return a payload, or a whole answer, without the unmasked text; as it is where it has none.

    Raises:
        UpstreamProtocolError: it may have some, and is not JSON.
    """
    if UNMASKED not in payload:
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


def _drop(value: Any) -> bool:
    found = False
    if type(value) is dict:
        found = value.pop(_KEY, None) is not None
        value = list(value.values())
    for item in value if type(value) is list else ():
        found = _drop(item) or found
    return found
