"""The log: JSON lines on stdout, facts only.

Every field that may appear is in `FIELDS`; anything else is dropped and its name reported, so that no prompt
and no secret can slip in by a new keyword. Foreign loggers (aiohttp, botocore, asyncio) go through the same
door: their message is redacted and of an exception only the type and the places are kept, because its text
may hold a header or a prompt (reliability.md S20, R54).
"""

from __future__ import annotations

import json as stdlib_json
import logging
import re
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TextIO

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from types import TracebackType

    from gateway.errors import Level

FIELDS = frozenset(
    {
        "event", "level", "timestamp", "logger", "message", "exception", "dropped",
        # one request
        "request_id", "upstream_request_id", "completion_id", "method", "route", "status", "outcome", "phase",
        "caller", "model", "provider", "family", "operation", "format", "finish_reason", "stop_reason",
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd",
        "usage_accuracy", "queue_position", "expected_wait_ms", "queue_ms",
        "first_byte_ms", "total_ms", "unknown_upstream", "code", "param", "detail", "limit", "retry_after",
        "upstream_code", "attempts", "target", "targets", "failed_with",
        # credentials and the clock
        "source", "failures", "seconds", "seconds_left", "task", "alarm",
        # the process
        "url", "event_loop", "problems", "reason", "peer", "cause", "replicas", "share",
        "fallback", "lane", "state", "tokens_per_minute", "requests_per_minute", "tokens_per_day",
        "exchanges", "interrupted", "cut", "generation", "settings",
        "worker", "pid", "workers", "exit_code", "signal",
        "host", "path", "keys", "callers", "issuer",  # who may ask
    }
)  # fmt: skip

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

GRAVER = {"exception": "error", "warn": "warning"}
"""The levels of the methods of structlog's loggers that are not named by theirs."""

SECRETS = (
    (
        re.compile(r"(?i)\b(authorization|x-api-key|x-amz-security-token|cookie)(['\"]?\s*[:=,]\s*).*"),
        r"\1\2***",
    ),
    (re.compile(r"(?i)\bbearer\s+[^\s'\"]+"), "Bearer ***"),
    (
        re.compile(r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{12,}\b|bgw_[0-9a-f]{12}\.\S+|eyJ[\w-]+\.[\w-]+\.[\w-]*)"),
        "***",
    ),
    (
        re.compile(
            r"(?i)(signature|credential|secret\w*|password|token|api_?key)(['\"]?\s*[:=]\s*b?['\"]?)[^\s&,'\"]+"
        ),
        r"\1\2***",
    ),
)
FREE_TEXT = frozenset({"message", "detail", "reason", "problems"})
"""Fields that quote others: AWS repeats signed headers, the session token too, in its signature errors."""

FOREIGN_MINIMUM = {"botocore": logging.WARNING, "aiobotocore": logging.WARNING, "urllib3": logging.WARNING}
"""botocore prints headers and bodies at DEBUG: it is never let below WARNING, whatever our own level."""

SILENT_TEXT = frozenset({"aiohttp"})
"""Families of loggers whose text repeats what the peer sent; only the kind of the event is kept."""

FIRST_LINE = frozenset({"asyncio"})
"""Families of loggers that add the repr of tasks below the first line, and in it the text of exceptions."""


def configure(
    *, level: str = "info", json: bool = True, stream: TextIO | None = None, worker: int | None = None
) -> None:
    """Set up structlog and the standard loggers of this process; the only place that does.

    `worker` is the number of this process among several that write to the same stream.
    """
    out = stream or sys.stdout
    structlog.configure(
        processors=[
            *([] if worker is None else [_Worker(worker)]),
            Stamp(),
            _only_what_may_be_said,
            _json_line if json else _ConsoleLine(colors=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_Sink(out, LEVELS[level]),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()  # noqa: TID251 - this module owns the standard loggers
    root.handlers[:] = [ForeignHandler()]
    root.setLevel(LEVELS[level])
    for name, minimum in FOREIGN_MINIMUM.items():
        logging.getLogger(name).setLevel(max(minimum, LEVELS[level]))  # noqa: TID251 - same


def write(level: Level, event: str, fields: dict[str, Any]) -> None:
    """Write an event through the one chain of `configure`, as structlog's method of this level would.

    For the line that every request has: the wrapping and binding that is left out here costs more than
    making the line. `fields` are taken over.
    """
    chain = structlog.get_config()
    sink = chain["logger_factory"]
    if not isinstance(sink, _Sink):
        raise RuntimeError("`configure` the log first")  # noqa: TRY004 - no argument is of a wrong type
    if LEVELS[level] >= sink.least:
        fields["event"] = event
        line: Any = fields
        for process in chain["processors"]:
            line = process(None, level, line)
        sink.msg(line)


class _Worker:
    """Says of each event which worker it is of."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["worker"] = self._number
        return event


class _Sink:
    """Writes lines. A full disk or a closed pipe loses lines, it must not fail or hang a request."""

    def __init__(self, out: TextIO, least: int) -> None:
        self._out = out
        self._bytes = getattr(out, "buffer", None)
        """Below the text, whose layer costs as much as the rest of writing does; not all streams have it."""
        self._owed = b""
        """The end of a line of which a pipe that does not wait has taken the beginning."""
        self.least = least
        """The number of the lowest level that is written."""

    def __call__(self, *_: object) -> Self:
        """Return what structlog asks its factory for."""
        return self

    def msg(self, line: str | bytes) -> None:
        """Write one line."""
        data = b""
        try:  # `suppress` would cost half of what both calls do
            if self._bytes is not None and isinstance(line, bytes):
                data = self._owed + line + b"\n"
                self._bytes.write(data)
                self._owed = b""
                self._bytes.flush()
                return
            self._out.write((line if isinstance(line, str) else line.decode()) + "\n")
            self._out.flush()
        except BlockingIOError as full:  # 0 of it where only the flush could not go on: nothing is lost then
            taken = full.characters_written
            self._owed = data[taken:] if taken > len(self._owed) else self._owed[taken:]
        except (OSError, ValueError):  # ValueError: the file is closed
            return

    debug = info = warning = error = msg


class Stamp:
    """Says of each event how grave it is and when it was, in UTC; a second's text is made once.

    `clock` gives nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._second: int | None = None
        self._text = ""

    def __call__(
        self, _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Add the level and the timestamp."""
        event["level"] = GRAVER.get(method, method)
        second, rest = divmod(self._clock(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")
        event["timestamp"] = f"{self._text}.{rest // 1000:06d}Z"
        return event


def _only_what_may_be_said(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Make an exception its type and places, keep the fields of `FIELDS`, and redact those that quote."""
    if "exc_info" in event:
        _render_exception(event)
    if not FIELDS.issuperset(event):
        _drop_strangers(event)
    for name in FREE_TEXT:
        if name in event:
            event[name] = _redacted(event[name])
    return event


def _drop_strangers(event: MutableMapping[str, Any]) -> None:
    """Name them without their values."""
    strangers = sorted(event.keys() - FIELDS)
    for name in strangers:
        del event[name]
    event["dropped"] = strangers


def redact(text: str) -> str:
    """Return the text without anything that looks like a credential."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text


class ForeignHandler(logging.Handler):
    """Turns records of other people's loggers into our events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record through structlog, redacted."""
        family = record.name.partition(".")[0]
        if record.levelno < FOREIGN_MINIMUM.get(family, logging.NOTSET):
            return
        fields: dict[str, Any] = {"logger": record.name}
        if family not in SILENT_TEXT:
            fields["message"] = _text_of(record, first_line=family in FIRST_LINE)
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = describe(record.exc_info[0], record.exc_info[2])
        level = _level_of(record)
        if family in SILENT_TEXT:  # mostly what a caller did wrong: no caller may ring an operator's alarm
            level = min(level, logging.WARNING)
        structlog.get_logger().log(level, "foreign", **fields)


def _text_of(record: logging.LogRecord, *, first_line: bool) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a stranger's format string must not fail whoever logs
        return f"cannot be formatted: {type(error).__name__}"
    return text.partition("\n")[0].partition(" exception=")[0] if first_line else text


def _level_of(record: logging.LogRecord) -> int:
    return max((level for level in LEVELS.values() if level <= record.levelno), default=logging.DEBUG)


def describe(kind: type[BaseException], trace: TracebackType | None) -> str:
    """Return the type of an exception and where it passed: no text of its own, no values of variables."""
    frames = traceback.extract_tb(trace)
    places = " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{kind.__module__}.{kind.__qualname__} at {places or 'unknown'}"


def _short(filename: str) -> str:
    return "/".join(filename.rsplit("/", 2)[-2:])


def _render_exception(event: MutableMapping[str, Any]) -> None:
    error = event.pop("exc_info")
    if error is True:  # `log.exception` means the one being handled
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["exception"] = describe(type(error), error.__traceback__)


def _redacted(value: Any) -> str | list[str]:
    if isinstance(value, (list, tuple)):
        return [redact(each if isinstance(each, str) else repr(each)) for each in value]
    return redact(value if isinstance(value, str) else repr(value))


class _ConsoleLine(structlog.dev.ConsoleRenderer):
    """structlog's own console form, in characters that any terminal's encoding takes."""

    def __call__(self, logger: Any, name: str, event_dict: MutableMapping[str, Any]) -> str:
        line = super().__call__(logger, name, event_dict)
        return line.encode("utf-8", "backslashreplace").decode()


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:  # a lone surrogate, from a header's bytes, or a number beyond 64 bits
        return stdlib_json.dumps(dict(event), default=repr, skipkeys=True).encode()
