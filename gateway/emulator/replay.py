"""Recorded exchanges with the real Bedrock, given back byte for byte.

A request gets the recording of the same operation, model and body. Where several are equal, a pinned one
goes first. A request without its equal gets the recording that is pinned for its operation and model, once.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OPERATIONS: Final = frozenset(
    {"converse", "converse-stream", "count-tokens", "invoke", "invoke-with-response-stream"}
)
EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
_REDACTED: Final = "**REDACTED**"
_OK: Final = 200
_REQUEST_ID: Final = "x-amzn-requestid"
# What belongs to the recorded connection, not to the answer.
_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "date", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One exchange. `headers` are those of the answer that may be sent again, with lower-case names.

    `request` is the JSON body, None for an empty one. `request_id` is None where it was not recorded.
    """

    id: str
    operation: str
    model_id: str
    request: Any
    status: int
    headers: Mapping[str, str]
    request_id: str | None
    body: bytes
    streamed: bool

    @property
    def ok(self) -> bool:
        """Whether it is an answer and not an error."""
        return self.status == _OK


class Replay:
    """The recordings of a folder, and which of them are pinned."""

    def __init__(self, folder: Path) -> None:
        """Load `folder`, one JSON file a recording; other APIs than the five operations are left out.

        Raises:
            ValueError: the folder has no recording.
        """
        self._by_id: dict[str, Recording] = {}
        self._by_request: dict[tuple[str, str, bytes], list[Recording]] = {}
        self._pins: dict[tuple[str, str], Recording] = {}
        for path in sorted(folder.glob("*.json")):
            record = orjson.loads(path.read_bytes())
            if record["operation"] in OPERATIONS:
                self._add(_read(record))
        if not self._by_id:
            raise ValueError(f"no recordings in {folder}")

    def __repr__(self) -> str:
        return f"<Replay of {len(self._by_id)} recordings, {len(self._pins)} pinned>"

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """All recordings, in the order of their files' names."""
        return tuple(self._by_id.values())

    def pin(self, recording_id: str) -> Recording:
        """Keep a recording for the next request of its operation and model; return it.

        Raises:
            KeyError: there is no such recording.
        """
        recording = self._by_id[recording_id]
        self._pins[recording.operation, recording.model_id] = recording
        return recording

    def match(self, operation: str, model_id: str, body: Any) -> Recording:
        """Return the recording for a request, `body` being its JSON, None for none.

        Raises:
            BedrockError: there is none.
        """
        equal = self._by_request.get((operation, model_id, _canonical(body)), [])
        pinned = self._pins.get((operation, model_id))
        if pinned is not None and (pinned in equal or not equal):
            del self._pins[operation, model_id]
            return pinned
        if not equal:
            raise invalid(f"No recording matches this {operation} of {model_id}, and none is pinned for it.")
        return equal[0]

    def _add(self, recording: Recording) -> None:
        self._by_id[recording.id] = recording
        key = (recording.operation, recording.model_id, _canonical(recording.request))
        self._by_request.setdefault(key, []).append(recording)


def split_frames(stream: bytes) -> list[bytes]:
    """Return the frames of a recorded stream, each with its own length in front (bedrock-wire.md §1)."""
    frames: list[bytes] = []
    start = 0
    while start < len(stream):
        length = int.from_bytes(stream[start : start + 4], "big") or len(stream)
        frames.append(stream[start : start + length])
        start += length
    return frames


def _read(record: Mapping[str, Any]) -> Recording:
    headers = {
        name.lower(): value
        for name, value in record["response_headers"].items()
        if value != _REDACTED and name.lower() not in _OF_THE_CONNECTION
    }
    request_id = headers.pop(_REQUEST_ID, None)
    streamed = "response_base64" in record
    headers.setdefault("content-type", EVENT_STREAM if streamed else "application/json")
    return Recording(
        id=record["id"],
        operation=record["operation"],
        model_id=record["model_id"],
        request=record["request"],
        status=record["status"],
        headers=headers,
        request_id=request_id,
        body=b64decode(record["response_base64"]) if streamed else orjson.dumps(record["response"]),
        streamed=streamed,
    )


def _canonical(body: Any) -> bytes:
    return orjson.dumps(_plain(body), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    """Return `value` with whole floats as integers: 1 and 1.0 are the same number of JSON."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
