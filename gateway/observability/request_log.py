"""The canonical line: one log event per request, with everything worth knowing about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from gateway.observability import logging

if TYPE_CHECKING:
    from gateway.errors import GatewayError, Level
    from gateway.retries.trail import Trail
    from gateway.timing import Timing

Outcome = Literal["ok", "error", "disconnected", "cut"]
"""`disconnected`: the caller left, a normal outcome; `cut`: the process stopped, and its last record was not
taken in time."""


class Observer(Protocol):
    """Who is told of every request, when all of it is known."""

    def ended(self, log: RequestLog, timing: Timing | None) -> None:
        """Take note of a request; `timing` is None where it never had a handler."""


class RequestLog:
    """Facts gathered while a request runs; `write` makes them one line."""

    __slots__ = (
        "_due", "_observer", "_timing", "fields", "held", "level", "method", "outcome", "request_id", "route",
        "status", "trail",
    )  # fmt: skip

    def __init__(self, request_id: str, method: str, route: str, *, status: int | None = None) -> None:
        self.request_id = request_id
        self.method = method
        self.route = route
        self.status = status
        self.outcome: Outcome = "ok"
        self.level: Level = "info"
        self.held = False
        self.trail: Trail | None = None
        """What was tried upstream."""
        self.fields: dict[str, Any] = {
            "request_id": request_id,
            "method": method,
            "route": route,
            "status": status,
            "outcome": "ok",
        }
        self._due = False
        self._observer: Observer | None = None
        self._timing: Timing | None = None

    def add(self, **facts: Any) -> None:
        """Remember facts; later ones win, None is not a fact."""
        fields = self.fields
        for name, value in facts.items():
            if value is not None:
                fields[name] = value

    def fail(self, error: GatewayError) -> None:
        """The request ended in this error."""
        self.outcome, self.level = "error", error.level
        self.add(
            phase="connect"
            if error.unsent
            else None,  # only the fault knows, clocks see one wait for the head
            code=error.code,
            param=error.param,
            detail=error.detail,
            limit=error.limit,
            retry_after=error.retry_after,
            upstream_code=error.upstream_code,
            upstream_request_id=error.upstream_request_id,
        )

    def leave(self, outcome: Literal["disconnected", "cut"]) -> None:
        """The answer ended before it was complete."""
        self.outcome = outcome
        if outcome == "cut":
            self.level = "warning"

    def hold(self) -> None:
        """Keep the line back until `let_go`: something is still to be learnt of this request."""
        self.held = True

    def let_go(self) -> None:
        """Everything is known: write the line, now or when the request ends."""
        self.held = False
        if self._due:
            self._write()

    def write(self, observer: Observer | None = None, timing: Timing | None = None) -> None:
        """Write the line and tell the observer, or leave both to `let_go`."""
        self._due, self._observer, self._timing = True, observer, timing
        if not self.held:
            self._write()

    def _write(self) -> None:
        fields = self.fields
        fields["status"], fields["outcome"] = self.status, self.outcome
        logging.write(self.level, "request", fields)
        if self._observer is not None:  # behind the line, which no defect of a metric may lose
            self._observer.ended(self, self._timing)
