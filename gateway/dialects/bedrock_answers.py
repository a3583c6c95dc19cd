"""Answers in Bedrock's own words: frames and bodies as they came, and the headers that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.dialects import bedrock_errors
from gateway.dialects.bedrock_errors import REQUEST_ID
from gateway.domain import PassedOn
from gateway.wire.eventstream import CONTENT_TYPE

if TYPE_CHECKING:
    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import Event, Usage
    from gateway.errors import GatewayError

MODEL: Final = "X-Gateway-Model"
"""Which model has answered, by its id at Bedrock: a fallback model may have."""
PASSED_ON: Final = {
    name.lower(): name
    for name in (
        "X-Amzn-Bedrock-Content-Type",
        "X-Amzn-Bedrock-Input-Token-Count",
        "X-Amzn-Bedrock-Output-Token-Count",
        "X-Amzn-Bedrock-Cache-Read-Input-Token-Count",
        "X-Amzn-Bedrock-Cache-Write-Input-Token-Count",
        "X-Amzn-Bedrock-Invocation-Latency",
        "X-Amzn-Bedrock-PerformanceConfig-Latency",
        "X-Amzn-Bedrock-Service-Tier",
    )
}
"""Headers of Bedrock's answers (bedrock-wire.md §2.4)."""


def headers(begun: Begun, request_id: str) -> dict[str, str]:
    """Return the headers of an answer; its request id is AWS's, where it has one."""
    told = begun.headers
    found: dict[str, str] = {}
    if not PASSED_ON.keys().isdisjoint(told):
        found = {name: told[key] for key, name in PASSED_ON.items() if key in told}
    found[REQUEST_ID] = begun.upstream_request_id or request_id
    found[MODEL] = begun.model
    return found


class FrameStream:
    """An event stream, frame by frame as Bedrock sent it; see `dialects.protocol.StreamEncoder`.

    A stream that fails ends in an exception frame, one that is whole in its own last frame. There is no room
    for heartbeats: no API of AWS has a frame that every client passes over.
    """

    content_type: Final = CONTENT_TYPE
    heartbeat: Final = b""

    def start(self, begun: Begun) -> bytes:  # noqa: ARG002 - the seam's signature
        """Return nothing: the first frame is the beginning."""
        return b""

    def events(self, batch: list[Event]) -> bytes:
        """Return the frames that a read brought."""
        first = batch[0]
        if len(batch) == 1 and type(first) is PassedOn:  # as ever: not even a copy
            return first.data
        return b"".join([event.data for event in batch if type(event) is PassedOn])

    def done(self, ended: Ended) -> bytes:  # noqa: ARG002 - the seam's signature
        """Return nothing: the last frame has said it."""
        return b""

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes:
        """Return the exception frame; no client would read anything but its message."""
        del usage, request_id
        return bedrock_errors.frame(fault)


FRAMES: Final = FrameStream()
