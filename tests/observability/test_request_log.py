"""The canonical line: one log event per request with all that is worth knowing about it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import GatewayError, InternalError, InvalidRequest, Overloaded, UpstreamThrottled
from gateway.observability.logging import FIELDS
from gateway.observability.request_log import RequestLog

if TYPE_CHECKING:
    import io

    from gateway.timing import Timing

ROOT = Path(__file__).parent.parent.parent


def written(log: io.StringIO) -> dict[str, Any]:
    """Return the one line without its timestamp."""
    (line,) = [json.loads(text) for text in log.getvalue().split("\n") if text]
    del line["timestamp"]
    return dict(line)


REQUEST = {"event": "request", "request_id": "req_1", "method": "POST", "route": "/chat/completions"}


def test_a_good_request(log: io.StringIO) -> None:
    """Facts gathered on the way are on the line; later ones win, None is not a fact."""
    line = RequestLog("req_1", "POST", "/chat/completions")
    line.add(model="m", provider=None, total_ms=1.5)
    line.add(total_ms=2.5, input_tokens=0)
    line.status = 200

    line.write()

    assert written(log) == {
        **REQUEST,
        "level": "info",
        "status": 200,
        "outcome": "ok",
        "model": "m",
        "total_ms": 2.5,
        "input_tokens": 0,
    }


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (
            InvalidRequest("no", param="model"),
            {"level": "info", "code": "invalid_request", "param": "model"},
        ),
        (Overloaded("full", retry_after=1), {"level": "warning", "code": "overloaded", "retry_after": 1}),
        (InternalError("oops", detail="d"), {"level": "error", "code": "internal_error", "detail": "d"}),
        (
            UpstreamThrottled("slow", upstream_code="ThrottlingException", upstream_request_id="r"),
            {
                "level": "warning",
                "code": "upstream_throttled",
                "upstream_code": "ThrottlingException",
                "upstream_request_id": "r",
            },
        ),
    ],
)
def test_a_failed_request(log: io.StringIO, error: GatewayError, facts: dict[str, Any]) -> None:
    """The error's class decides the level; what it knows is on the line, but not its message."""
    line = RequestLog("req_1", "POST", "/chat/completions")
    line.fail(error)

    line.write()

    assert written(log) == {**REQUEST, "status": None, "outcome": "error", **facts}


def test_a_caller_who_left(log: io.StringIO) -> None:
    """A caller who leaves is an outcome, not an error."""
    line = RequestLog("req_1", "POST", "/chat/completions")
    line.leave("disconnected")

    line.write()

    assert written(log) == {**REQUEST, "status": None, "outcome": "disconnected", "level": "info"}


def facts_in(source: str) -> set[str]:
    """Return the keywords given to `….log.add(…)` and to structlog's methods."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, method = ast.unparse(node.func.value), node.func.attr
        ours = owner.endswith("log") or owner == "structlog.get_logger()"
        if ours and method in {"add", "debug", "info", "warning", "error", "exception"}:
            found |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return found - {"exc_info"}


def test_every_fact_is_allowed() -> None:
    """No module of the gateway logs a field that the allow-list would drop."""
    sources = {path: path.read_text() for path in sorted((ROOT / "gateway").rglob("*.py"))}
    strangers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, source in sources.items()
        for name in facts_in(source) - FIELDS
        if "emulator" not in path.parts
    }

    assert strangers == set()
    assert facts_in(
        "exchange.log.add(a=1)\nstructlog.get_logger().info('x', b=2)\nlog.warning('x', c=3)"
    ) == {*"abc"}


def test_a_defect_in_the_metrics_loses_no_line(log: io.StringIO) -> None:
    """The line is written first: whoever counts it may fail."""

    class Broken:
        def ended(self, _log: RequestLog, _timing: Timing | None) -> None:
            raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        RequestLog("req_1", "GET", "/readyz", status=200).write(Broken())

    assert written(log)["request_id"] == "req_1"
