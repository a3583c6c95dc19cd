"""What was tried for one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.errors import GatewayError


@dataclass(slots=True)
class Trail:
    """What was tried for one request, for its log line."""

    lanes: list[str] = field(default_factory=list)
    faults: list[GatewayError] = field(default_factory=list)

    def join(self, other: Trail) -> None:
        """Add what was tried for another part of the request."""
        self.lanes += other.lanes
        self.faults += other.faults

    def facts(self) -> dict[str, Any]:
        """Return the fields of the log line."""
        if not self.lanes:
            return {}
        facts: dict[str, Any] = {"attempts": len(self.lanes), "target": self.lanes[-1].partition("/")[0]}
        if self.faults:
            facts["targets"] = self.lanes
            facts["failed_with"] = [fault.upstream_code or fault.code for fault in self.faults]
        return facts
