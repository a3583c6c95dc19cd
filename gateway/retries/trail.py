"""What was tried for one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.errors import GatewayError


@dataclass(slots=True)
class Trail:
    """What was tried for one request, for its log line and the metrics."""

    lanes: list[str] = field(default_factory=list)
    """Those that failed first, in the order of `faults`; of one part it is the order of the calls."""
    faults: list[GatewayError] = field(default_factory=list)
    answered: bool = False
    """Whether the last call gave its first events."""
    parts: list[Trail] = field(default_factory=list)
    """Of a request that is several calls side by side: none of them is another's retry."""
    given_up: bool = False
    """Nobody waits for an answer any more: what has been sent may come to its end, nothing is sent again."""

    @property
    def in_flight(self) -> bool:
        """Whether a call has been sent, and neither failed nor gave its first events."""
        return not self.answered and len(self.lanes) > len(self.faults)

    def join(self, part: Trail) -> None:
        """Add what was tried for a part of the request."""
        failed, known = len(part.faults), len(self.faults)
        self.lanes[known:known] = part.lanes[:failed]
        self.lanes += part.lanes[failed:]
        self.faults += part.faults
        self.parts.append(part)

    def failed_with(self) -> list[str]:
        """Return the name of each fault: AWS's, else ours."""
        return [fault.upstream_code or fault.code for fault in self.faults]

    def facts(self) -> dict[str, Any]:
        """Return the fields of the log line."""
        if not self.lanes:
            return {}
        facts: dict[str, Any] = {"attempts": len(self.lanes), "target": self.lanes[-1].partition("/")[0]}
        if self.faults:
            facts["targets"] = self.lanes
            facts["failed_with"] = self.failed_with()
        return facts
