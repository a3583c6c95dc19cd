"""The log: one JSON line an event, known fields only, and no secret and no prompt at any level (R54)."""

from __future__ import annotations

import asyncio
import io
import json
import logging as standard
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability import logging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.errors import Level

CANARY = "CANARY-51af"
KEY_ID = "AKIAIOSFODNN7CANARY51"
NOTHING: dict[str, str] = {}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
LEVELS = ["debug", "info", "warning", "error"]


@pytest.fixture(name="_restored", autouse=True)
def __restored() -> Iterator[None]:
    """Give structlog and the standard loggers back as they were."""
    root = standard.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: standard.getLogger(name).level for name in (*logging.FOREIGN_MINIMUM, "botocore.auth")}
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        standard.getLogger(name).setLevel(was)


class Log:
    """A configured log, and what it wrote."""

    def __init__(self, **options: Any) -> None:
        self.stream = io.StringIO()
        logging.configure(**{"level": "debug", "stream": self.stream, **options})
        self.gateway = structlog.get_logger()

    @property
    def text(self) -> str:
        """Everything written."""
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines, without their timestamps, which are UTC."""
        lines = [json.loads(line) for line in self.text.split("\n")[:-1]]
        assert all(TIMESTAMP.fullmatch(line.pop("timestamp")) for line in lines)
        return lines


def raised(error: BaseException) -> BaseException:
    """Return the error with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


# ── our own events ────────────────────────────────────────────────────────────────────────────────────


def test_one_line_an_event() -> None:
    """Event, level and fields make one JSON object on one line, whatever text is in them."""
    log = Log()

    log.gateway.info("listening", url="http://x", status=1)
    log.gateway.error("two\nlines", reason="a\r\nb\u2028c")

    assert log.lines == [
        {"event": "listening", "level": "info", "url": "http://x", "status": 1},
        {"event": "two\nlines", "level": "error", "reason": "a\r\nb\u2028c"},
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: str) -> None:
    """What is below the level is not written, ours or others'."""
    log = Log(level=level)

    for name in LEVELS:
        getattr(log.gateway, name)("ours")
        getattr(standard.getLogger("stranger"), name)("theirs")

    expected = [name for name in LEVELS[LEVELS.index(level) :] for _ in range(2)]
    assert [line["level"] for line in log.lines] == expected


def test_strangers_are_dropped_and_named() -> None:
    """A field outside the list is left out; its name says what to add, and nothing else is lost by it."""
    log = Log()

    log.gateway.info("request", prompt=CANARY, headers={"authorization": CANARY}, message="m", status=200)

    assert log.lines == [
        {
            "event": "request",
            "level": "info",
            "status": 200,
            "message": "m",
            "dropped": ["headers", "prompt"],
        }
    ]
    assert CANARY not in log.text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("\ud800", "\ud800"),
        (b"\xff", "b'\\xff'"),
        (2**80, 2**80),
        (float("nan"), None),
        ({"a": "\udcff"}, {"a": "\udcff"}),
        ({1, 2}, "{1, 2}"),
        (ValueError("x"), "ValueError('x')"),
    ],
)
def test_odd_values(value: object, written: object) -> None:
    """What JSON has no form for, such as a header's stray bytes, does not break the line or its request."""
    log = Log()

    log.gateway.info("request", param=value)

    assert log.lines == [{"event": "request", "level": "info", "param": written}]


def test_a_line_of_anything() -> None:
    """Even a mapping with odd keys and a value beyond JSON are written."""
    log = Log()

    log.gateway.info("request", param={(1, 2): "x", "\ud800": object})

    (line,) = log.lines
    assert line["param"] == {"\ud800": "<class 'object'>"}


EXCEPTION = f"the prompt was {CANARY}"


@pytest.mark.parametrize(
    "write",
    [
        lambda log: log.error("defect", exc_info=raised(RuntimeError(EXCEPTION))),
        lambda log: log.debug("defect", exc_info=raised(RuntimeError(EXCEPTION))),
    ],
)
def test_an_exception_is_its_type_and_places(write: Callable[[Any], None]) -> None:
    """Of an exception the type and where it passed are kept; its text is not."""
    log = Log()

    write(log.gateway)

    (line,) = log.lines
    assert re.fullmatch(
        r"builtins\.RuntimeError at observability/test_logging\.py:\d+ raised", line["exception"]
    )
    assert CANARY not in log.text


def test_log_exception() -> None:
    """`log.exception` means the exception being handled; with none there is nothing to say."""
    log = Log()

    try:
        NOTHING[CANARY]
    except KeyError:
        log.gateway.exception("defect")
    log.gateway.error("no defect", exc_info=True)

    first, second = log.lines
    assert first["exception"].startswith("builtins.KeyError at observability/test_logging.py:")
    assert second == {"event": "no defect", "level": "error"}
    assert CANARY not in log.text


def test_an_exception_that_was_never_raised() -> None:
    """An exception without a traceback has no places."""
    assert logging.describe(ValueError, None) == "builtins.ValueError at unknown"


AWS_SIGNATURE_ERROR = (
    "The request signature we calculated does not match the signature you provided. The Canonical String "
    f"should have been 'POST /model/x/invoke host:bedrock x-amz-security-token:{CANARY} host;x-amz-date'"
)


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        (
            {"detail": AWS_SIGNATURE_ERROR},
            {"detail": AWS_SIGNATURE_ERROR.partition(CANARY)[0] + "***"},
        ),
        ({"reason": f"Bearer {CANARY}"}, {"reason": "Bearer ***"}),
        ({"problems": [f"password={CANARY}"]}, {"problems": ["password=***"]}),
        ({"message": None, "detail": "plain"}, {"message": "None", "detail": "plain"}),
    ],
)
def test_quoted_text_is_redacted(fields: dict[str, Any], written: dict[str, Any]) -> None:
    """Our own fields that quote others pass the same redaction: AWS repeats the signed headers."""
    log = Log()

    log.gateway.error("request", **fields)

    assert log.lines == [{"event": "request", "level": "error", **written}]


@given(st.lists(st.integers(0, 3 * 10**18), min_size=1, max_size=3), st.integers(0, 2 * 10**9))
def test_when_it_was(moments: list[int], step: int) -> None:
    """The timestamp is the event's microsecond, also in the next second and when the clock is set back."""
    moments = [*moments, moments[-1] + step, moments[0]]
    clock = iter(moments)
    stamp = logging.Stamp(lambda: next(clock))

    for moment in moments:
        text = stamp(None, "info", {})["timestamp"]
        told = datetime.fromisoformat(text)
        assert told - datetime.fromtimestamp(0, UTC) == timedelta(microseconds=moment // 1000)
        assert TIMESTAMP.fullmatch(text)


# ── past structlog's binding ──────────────────────────────────────────────────────────────────────────

TEXT = st.text("a\u00e9\u2028\n\ud800'\"=:", max_size=8) | st.just("Bearer x")
NAMES = [*sorted(logging.FIELDS - {"event", "timestamp", "exception", "logger"}), "prompt", "headers"]
VALUES = st.none() | st.integers() | st.floats() | TEXT | st.lists(TEXT, max_size=2)


@given(
    fields=st.dictionaries(st.sampled_from(NAMES), VALUES),
    error=st.none() | st.just(RuntimeError(EXCEPTION)),
    level=st.sampled_from(LEVELS),
    least=st.sampled_from(LEVELS),
    worker=st.none() | st.just(3),
    in_json=st.booleans(),
)
def test_both_ways_write_the_same(
    fields: dict[str, Any],
    error: Exception | None,
    level: Level,
    least: str,
    worker: int | None,
    *,
    in_json: bool,
) -> None:
    """The short way gives the bytes that structlog's own methods give, or nothing where they do."""
    if error is not None:
        fields["exc_info"] = error
    log = Log(level=least, worker=worker, json=in_json)

    getattr(log.gateway, level)("request", **fields)
    through_structlog = log.text
    logging.write(level, "request", fields)

    assert bool(through_structlog) == (LEVELS.index(level) >= LEVELS.index(least))
    assert TIMESTAMP.sub("", log.text) == 2 * TIMESTAMP.sub("", through_structlog)


@pytest.mark.parametrize("in_json", [True, False])
def test_a_stream_of_bytes(*, in_json: bool) -> None:
    """A file's lines are those that a stream of text gets, in UTF-8, each out at once."""
    raw = io.BytesIO()
    text, file = io.StringIO(), io.TextIOWrapper(raw, encoding="utf-8")

    for stream in (text, file):
        logging.configure(stream=stream, json=in_json)
        logging.write("info", "request", {"route": "\u00e9\u2028", "param": "\ud800"})
        structlog.get_logger().info("listening", url="http://x")
    written = raw.getvalue().decode()

    assert written.count("\n") == 2
    assert TIMESTAMP.sub("", written) == TIMESTAMP.sub("", text.getvalue())


def test_the_short_way_needs_a_configured_log() -> None:
    """Before `configure` nobody has said where lines go."""
    structlog.reset_defaults()

    with pytest.raises(RuntimeError, match="configure"):
        logging.write("info", "request", {})


@pytest.mark.parametrize(
    "error", [OSError("no space left on device"), ValueError("I/O operation on closed file")]
)
def test_a_stream_that_fails_fails_nobody(error: Exception) -> None:
    """A full disk and a closed pipe lose lines, and nothing else."""

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise error

    logging.configure(stream=Broken())

    logging.write("info", "request", {"status": 200})
    structlog.get_logger().info("listening")


def test_a_pipe_that_is_full_and_does_not_wait() -> None:
    """Lines are lost there, but whole ones: none is cut short, and none begins inside another."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    written = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe, os.fdopen(writing, "w", encoding="utf-8") as stream:
        logging.configure(stream=stream)
        for number in range(300):
            logging.write("info", "request", {"status": number, "detail": "x" * (300 + number)})
            if number > 200:  # it has been full for long
                written += pipe.read(997) or b""
        while piece := pipe.read(65536):
            written += piece
        logging.write("info", "request", {"status": -1})
        written += pipe.read(65536) or b""

    lines = [json.loads(line)["status"] for line in written.split(b"\n")[:-1]]
    assert lines == [*sorted(set(lines) - {-1}), -1]
    assert 100 < len(lines) < 300


# ── what counts as a secret ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"Authorization: Bearer {CANARY}", "Authorization: ***"),
        (f"'Authorization': 'Bearer {CANARY}', 'x': 1", "'Authorization': ***"),
        (f"(b'authorization', b'AWS4 {CANARY}')", "(b'authorization', ***"),
        (f"proxy-authorization=Basic {CANARY}", "proxy-authorization=***"),
        (f"X-Api-Key: {CANARY}", "X-Api-Key: ***"),
        (f"x-amz-security-token: {CANARY}", "x-amz-security-token: ***"),
        (f"Cookie: a={CANARY}; b={CANARY}", "Cookie: ***"),
        (f"sent bearer {CANARY} there", "sent Bearer *** there"),
        (f"key {KEY_ID} is not known", "key *** is not known"),
        (f"ASIA{'X' * 16}", "***"),
        (f"?X-Amz-Signature={CANARY}&X-Amz-Date=1", "?X-Amz-Signature=***&X-Amz-Date=1"),
        (f"Credential={CANARY}/20260101/us-east-1", "Credential=***"),
        (f"aws_secret_access_key={CANARY}", "aws_secret_access_key=***"),
        (f'{{"SecretAccessKey": "{CANARY}", "x": 1}}', '{"SecretAccessKey": "***", "x": 1}'),
        (f"'SessionToken': '{CANARY}'", "'SessionToken': '***'"),
        (f"aws_session_token = {CANARY}", "aws_session_token = ***"),
        (f"https://u:x@h?token={CANARY}", "https://u:x@h?token=***"),
        (f"password: {CANARY}", "password: ***"),
        (f"api_key='{CANARY}'", "api_key='***'"),
        ("input_tokens=5 max_tokens: 7", "input_tokens=5 max_tokens: 7"),
        ("Too many tokens, please wait before trying again.", None),
        ("Unable to locate credentials", None),
        ("Found credentials in shared credentials file: ~/.aws/credentials", None),
    ],
)
def test_redact(text: str, redacted: str | None) -> None:
    """What looks like a credential is masked, its name stays; plain words stay as they are."""
    assert logging.redact(text) == (text if redacted is None else redacted)


# ── other people's loggers ────────────────────────────────────────────────────────────────────────────


def test_a_foreign_event() -> None:
    """A record of another logger becomes one of our lines, with its name, level, text and exception type."""
    log = Log()

    standard.getLogger("stranger.part").warning(
        "no %s", "bread", exc_info=raised(OSError(CANARY)), extra={"a": 1}
    )

    (line,) = log.lines
    assert line.pop("exception").startswith("builtins.OSError at observability/test_logging.py:")
    assert line == {"event": "foreign", "level": "warning", "logger": "stranger.part", "message": "no bread"}
    assert CANARY not in log.text


@pytest.mark.parametrize(
    ("number", "level"), [(50, "error"), (45, "error"), (35, "warning"), (25, "info"), (5, "debug")]
)
def test_foreign_levels(number: int, level: str) -> None:
    """A level between ours counts as the one below; one below all of ours is debug."""
    log = Log()
    logger = standard.getLogger("stranger.levels")
    logger.setLevel(1)

    logger.log(number, "x")

    assert [line["level"] for line in log.lines] == [level]


def test_a_format_string_that_does_not_fit() -> None:
    """A stranger's mistake in its format string fails nobody and quotes nothing."""
    log = Log()

    standard.getLogger("stranger").info("%d", CANARY)

    assert [line["message"] for line in log.lines] == ["cannot be formatted: TypeError"]
    assert CANARY not in log.text


@pytest.mark.parametrize(
    ("logger", "text"),
    [
        ("stranger", f"Authorization: Bearer {CANARY}"),
        ("stranger", f"headers: {{'X-Amz-Security-Token': '{CANARY}'}}"),
        ("botocore.credentials", f"refresh failed for secret_key={CANARY}"),
        ("aiohttp.server", f"Error handling request from 1.2.3.4: invalid header {CANARY}"),
        ("aiohttp.access", f"GET /?q={CANARY}"),
        ("aiohttp.client", f"Can not load response cookies: {CANARY}"),
        ("aiohttp", CANARY),
        (
            "asyncio",
            f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{CANARY}')>",
        ),
        ("asyncio", f"Executing <Task finished exception=ValueError('{CANARY}')> took 0.2 seconds"),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_no_foreign_secret(logger: str, text: str, level: str) -> None:
    """Whoever logs it, at whichever level, with a traceback whose exception repeats it: it is not written."""
    log = Log(level=level)

    for method in LEVELS:
        getattr(standard.getLogger(logger), method)(text, exc_info=raised(RuntimeError(text)))
        getattr(standard.getLogger(logger), method)("%s", text)

    # what a caller can provoke in aiohttp's loggers is no error of ours, so at level error nothing is left
    assert ("foreign" in log.text) == (level != "error" or not logger.startswith("aiohttp"))
    assert CANARY not in log.text


def test_a_task_that_nobody_awaited() -> None:
    """The loop's own complaint about a lost exception comes without the exception's text."""
    log = Log()

    async def scene() -> None:
        async def fail() -> None:
            raise RuntimeError(EXCEPTION)

        task = asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(0)
        del task
        await asyncio.sleep(0)

    asyncio.run(scene())

    lost = [line for line in log.lines if line["level"] == "error"]
    assert [line["message"] for line in lost] == ["Task exception was never retrieved"]
    assert lost[0]["exception"].startswith("builtins.RuntimeError at observability/test_logging.py:")
    assert CANARY not in log.text


def test_botocore_stays_silent_below_warning() -> None:
    """At debug, botocore prints headers and bodies: it may not, nor may a child with a level of its own."""
    log = Log(level="debug")
    standard.getLogger("botocore.auth").setLevel(standard.DEBUG)

    for name in ("botocore", "botocore.parsers", "botocore.auth", "aiobotocore.httpsession", "urllib3.pool"):
        standard.getLogger(name).debug("Signature: %s", CANARY)
        standard.getLogger(name).info("Found credentials %s", CANARY)
        standard.getLogger(name).warning("careful")

    assert [line["message"] for line in log.lines] == ["careful"] * 5


def test_botocore_is_no_louder_than_asked() -> None:
    """At level error not even its warnings come."""
    log = Log(level="error")

    standard.getLogger("botocore").warning("careful")
    standard.getLogger("botocore").error("bad")

    assert [line["message"] for line in log.lines] == ["bad"]


def test_configuring_again_replaces() -> None:
    """A second configuration leaves nothing of the first."""
    first, second = Log(), Log(level="info")

    standard.getLogger("stranger").info("x")

    assert (first.text, len(second.lines)) == ("", 1)


# ── the console form ──────────────────────────────────────────────────────────────────────────────────


def test_console() -> None:
    """For a terminal the same facts come as one readable line, under the same rules."""
    log = Log(json=False)

    log.gateway.warning("request", status=503, prompt=CANARY, detail=f"Bearer {CANARY}", param="a\ud800é")

    assert re.fullmatch(
        r"\S+Z \[warning\s*\] request\s+detail='?Bearer \*\*\*'? dropped=\['prompt'\] "
        r"param='?a\\ud800é'? status=503\n",
        log.text,
    )


def test_console_with_an_exception() -> None:
    """There, too, an exception is its type and places."""
    log = Log(json=False)

    log.gateway.error("defect", exc_info=raised(RuntimeError(EXCEPTION)))

    assert "builtins.RuntimeError at observability/test_logging.py" in log.text
    assert CANARY not in log.text


def test_the_log_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stream of its own the log is on stdout, as JSON."""
    logging.configure()

    structlog.get_logger().info("listening")

    assert json.loads(capsys.readouterr().out)["event"] == "listening"
