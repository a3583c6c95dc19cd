"""The judge, fed with transcripts of every kind; and the table of the docs, made anew from its evidence.

No other gateway is needed here: they run by `python -m tests.comparison` only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.comparison import packages, report
from tests.comparison.__main__ import TABLE, TRANSCRIPTS, main
from tests.comparison.answers import (
    error_name,
    read_anthropic_stream,
    read_native,
    read_native_stream,
    read_openai,
    read_openai_stream,
)
from tests.comparison.judging import Judgement, Truth, Verdict, judge, judge_leaving
from tests.comparison.processes import StartError, running
from tests.comparison.run import compare
from tests.comparison.scenarios import PREAMBLE, SCENARIOS, WORDS
from tests.comparison.subjects import WAYS, Gateway
from tests.comparison.transcripts import HOST, Transcript, encode_post, exchange, parse
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.comparison.answers import Reader
    from tests.comparison.transcripts import End

RESET = struct.pack("ii", 1, 0)  # linger for no time: closing resets the connection
TEXT = "Hello there"
HEALTHY = Truth(fails=False, text=TEXT)
CUT = Truth(fails=True, text=TEXT, statuses=frozenset({502}))

# ── bodies, as the four kinds of API send them ────────────────────────────────────────────────────────


def ndjson(*records: dict[str, Any]) -> bytes:
    """Return this gateway's records."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def sse(*events: dict[str, Any] | str) -> bytes:
    """Return server-sent events."""
    datas = [event if isinstance(event, str) else orjson.dumps(event).decode() for event in events]
    return "".join(f"data: {data}\n\n" for data in datas).encode()


def chunk(text: str = "", finish: str | None = None) -> dict[str, Any]:
    """Return one of OpenAI's chunks."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


def block(text: str) -> dict[str, Any]:
    """Return one of Anthropic's deltas."""
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


NATIVE_TEXT = [{"type": "text_delta", "text": "Hello"}, {"type": "text_delta", "text": " there"}]
NATIVE_DONE = {"type": "done", "finish_reason": "stop"}
NATIVE_ERROR = {"type": "error", "error": {"code": "upstream_throttled", "message": "Slow down."}}
OPENAI_TEXT = [chunk("Hello"), chunk(" there")]
OPENAI_ERROR = {"error": {"message": "Slow down.", "type": "throttling_error", "param": None, "code": "429"}}
CLAUDE_TEXT = [{"type": "message_start"}, block("Hello"), block(" there")]
CLAUDE_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Slow down."}}
STOP = {"type": "message_stop"}

NATIVE = {
    Verdict.COMPLETE: ndjson({"type": "start"}, *NATIVE_TEXT, NATIVE_DONE),
    Verdict.ERROR: ndjson({"type": "start"}, *NATIVE_TEXT, NATIVE_ERROR),
    Verdict.UNMARKED: ndjson({"type": "start"}, *NATIVE_TEXT),
    Verdict.CONTRADICTION: ndjson(*NATIVE_TEXT, NATIVE_DONE, NATIVE_ERROR),
}
OPENAI = {
    Verdict.COMPLETE: sse(*OPENAI_TEXT, chunk(finish="stop"), "[DONE]"),
    Verdict.ERROR: sse(*OPENAI_TEXT, OPENAI_ERROR),
    Verdict.UNMARKED: sse(*OPENAI_TEXT),
    Verdict.CONTRADICTION: sse(*OPENAI_TEXT, chunk(finish="stop"), OPENAI_ERROR),
}
CLAUDE = {
    Verdict.COMPLETE: sse(*CLAUDE_TEXT, {"type": "message_delta"}, STOP),
    Verdict.ERROR: sse(*CLAUDE_TEXT, CLAUDE_ERROR),
    Verdict.UNMARKED: sse(*CLAUDE_TEXT),
    Verdict.CONTRADICTION: sse(*CLAUDE_TEXT, CLAUDE_ERROR, STOP),
}
APIS: list[tuple[Reader, dict[Verdict, bytes], str]] = [
    (read_native_stream, NATIVE, "upstream_throttled"),
    (read_openai_stream, OPENAI, "throttling_error 429"),
    (read_anthropic_stream, CLAUDE, "overloaded_error"),
]


def chunked(body: bytes, *, last: bool = True) -> bytes:
    """Return a 200 with this body in two chunks, with or without the last one."""
    middle = len(body) // 2
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(parts) + (b"0\r\n\r\n" if last else b"")


def counted(status: int, body: bytes) -> bytes:
    """Return an answer with a length."""
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def transcript(raw: bytes, end: End = "whole") -> Transcript:
    """Return what came back."""
    return Transcript(raw=raw, end=end, seconds=1.0)


# ── the judge ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("read", "bodies", "name"), APIS)
def test_each_api_is_judged_alike(read: Reader, bodies: dict[Verdict, bytes], name: str) -> None:
    """The same ends have the same verdicts, whatever they look like in an API."""

    def verdict(kind: Verdict, truth: Truth, **broken: Any) -> Verdict:
        raw = chunked(bodies[kind], last=not broken)
        return judge(transcript(raw, **broken), truth, read).verdict

    assert verdict(Verdict.COMPLETE, HEALTHY) is Verdict.COMPLETE
    assert verdict(Verdict.COMPLETE, CUT) is Verdict.SILENT_TRUNCATION
    assert verdict(Verdict.COMPLETE, Truth(fails=False, text="Hello")) is Verdict.DAMAGED
    assert verdict(Verdict.COMPLETE, Truth(fails=True, text="Hello")) is Verdict.DAMAGED
    assert verdict(Verdict.ERROR, CUT) is Verdict.ERROR
    assert verdict(Verdict.ERROR, HEALTHY) is Verdict.FAILED
    assert verdict(Verdict.UNMARKED, CUT) is Verdict.UNMARKED
    assert verdict(Verdict.CONTRADICTION, CUT) is Verdict.CONTRADICTION
    assert verdict(Verdict.UNMARKED, CUT, end="closed") is Verdict.BROKEN
    assert verdict(Verdict.UNMARKED, CUT, end="reset") is Verdict.BROKEN
    assert verdict(Verdict.UNMARKED, CUT, end="silent") is Verdict.HANG
    assert verdict(Verdict.ERROR, CUT, end="reset") is Verdict.ERROR
    judged = judge(transcript(chunked(bodies[Verdict.ERROR])), CUT, read)
    assert judged == Judgement(verdict=Verdict.ERROR, name=name, delivered=1.0)


def test_a_good_end_of_half_a_text_is_the_lie() -> None:
    """The verdict names the end that was made up, and how much of the text there was."""
    body = sse(chunk("Hello"), chunk(finish="stop"), "[DONE]")

    assert judge(transcript(chunked(body)), CUT, read_openai_stream) == Judgement(
        verdict=Verdict.SILENT_TRUNCATION, name="stop + [DONE]", delivered=0.45
    )


def test_the_mark_behind_an_error_is_no_contradiction() -> None:
    """OpenAI's own client raises at the error and reads no further."""
    body = sse(*OPENAI_TEXT, OPENAI_ERROR, "[DONE]")

    assert judge(transcript(chunked(body)), CUT, read_openai_stream).verdict is Verdict.ERROR


def test_only_done_is_a_good_end_too() -> None:
    """`[DONE]` without a finish reason ends the loop of every client."""
    body = sse(*OPENAI_TEXT, "[DONE]")

    assert judge(transcript(chunked(body)), CUT, read_openai_stream).verdict is Verdict.SILENT_TRUNCATION


@pytest.mark.parametrize(
    ("status", "truth", "verdict"),
    [
        (502, CUT, Verdict.STATUS),
        (400, CUT, Verdict.UNTRUE_STATUS),
        (502, HEALTHY, Verdict.FAILED),
    ],
)
def test_a_status_is_true_or_not(status: int, truth: Truth, verdict: Verdict) -> None:
    """A status must mean what happened, and its error is named."""
    raw = counted(status, orjson.dumps({"error": {"code": "upstream_protocol"}}))

    assert judge(transcript(raw), truth, read_native_stream) == Judgement(
        verdict=verdict, name=f"{status} upstream_protocol", delivered=0.0
    )


@pytest.mark.parametrize(("end", "verdict"), [("silent", Verdict.HANG), ("closed", Verdict.BROKEN)])
def test_no_answer_at_all(end: End, verdict: Verdict) -> None:
    """Without a status line there is silence, or a broken connection."""
    assert judge(transcript(b"", end), CUT, read_native_stream).verdict is verdict


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["client_gone"], Verdict.LEFT),
        (["client_gone", "client_gone"], Verdict.LEFT),
        (["complete"], Verdict.RUNS_ON),
        (["client_gone", "complete"], Verdict.RUNS_ON),
        ([], Verdict.RUNS_ON),
    ],
)
def test_leaving_must_reach_every_call(outcomes: list[str], verdict: Verdict) -> None:
    """A caller who left leaves nothing behind, and there must have been something to leave."""
    assert judge_leaving(outcomes).verdict is verdict


WHOLE = {"finish_reason": "stop", "message": {"content": TEXT}}


@pytest.mark.parametrize(
    ("read", "document", "verdict"),
    [
        (read_native, WHOLE, Verdict.COMPLETE),
        (read_native, {"type": "what"}, Verdict.UNMARKED),
        (read_openai, {"choices": [WHOLE]}, Verdict.COMPLETE),
        (read_openai, ["what"], Verdict.UNMARKED),
    ],
)
def test_answers_in_one_piece(read: Reader, document: Any, verdict: Verdict) -> None:
    """Their good end is the finish reason."""
    assert judge(transcript(counted(200, orjson.dumps(document))), HEALTHY, read).verdict is verdict


def test_tool_calls_are_read() -> None:
    """The arguments are gathered in all three APIs."""
    call = {"delta": {"tool_calls": [{"function": {"arguments": '{"a'}}]}}
    piece = {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a'}}
    record = {"type": "tool_call_delta", "index": 0, "arguments": '{"a'}

    assert read_openai_stream(sse({"choices": [call]})).arguments == '{"a'
    assert read_anthropic_stream(sse(piece)).arguments == '{"a'
    assert read_native_stream(ndjson({"type": "tool_call"}, record)).arguments == '{"a'


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_native_stream, b'{"type":"new"}\n'),
        (read_native_stream, b"half a li"),
        (read_openai_stream, sse("half a li")),
        (read_openai_stream, sse({"what": 1})),
        (read_anthropic_stream, sse({"type": "new"})),
        (read_anthropic_stream, sse("[]")),
    ],
)
def test_what_is_not_the_apis_is_kept(read: Reader, body: bytes) -> None:
    """Nothing is dropped in silence: an answer with such pieces is not called complete."""
    answer = read(body)

    assert len(answer.strange) == 1
    assert (answer.text, answer.ends, answer.errors) == ("", [], [])


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"error":{"type":"None","code":"429","message":"m"}}', "429"),
        (b'{"error":{"type":null,"code":null,"message":"Too fast"}}', "“Too fast…”"),
        (b'{"type":"error","error":{"type":"api_error"}}', "api_error"),
        (b'{"message":"Too fast"}', "“Too fast…”"),
        (b'{"error":"Too fast"}', "Too fast"),
        (b"<html>", ""),
    ],
)
def test_errors_are_named(body: bytes, name: str) -> None:
    """By type and code; by their message, where they have neither."""
    assert error_name(body) == name


# ── the transcripts ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", (0, b"", False)),
        (b"HTTP/1.1 200 OK\r\nContent-", (0, b"", False)),
        (b"nonsense\r\n\r\n", (0, b"", False)),
        (counted(404, b"no"), (404, b"no", True)),
        (counted(200, b"yes")[:-1], (200, b"ye", False)),
        (chunked(b"body"), (200, b"body", True)),
        (chunked(b"body", last=False), (200, b"body", False)),
        (chunked(b"0\r\n\r\n0\r\n\r\n")[:-3], (200, b"0\r\n\r\n0\r\n\r\n", False)),
        (b"HTTP/1.1 200 OK\r\n\r\nbody", (200, b"body", False)),
    ],
)
def test_an_answer_is_parsed_as_far_as_it_came(raw: bytes, message: tuple[int, bytes, bool]) -> None:
    """Whole means that HTTP says so."""
    assert parse(raw) == message


def test_the_end_of_the_connection_ends_a_body_without_length() -> None:
    """Where HTTP gives neither length nor chunks."""
    assert parse(b"HTTP/1.1 200 OK\r\n\r\nbody", closed=True).whole


@pytest.mark.parametrize(
    ("sent", "then", "leave_at", "end"),
    [
        (counted(200, b"all"), "wait", None, "whole"),
        (chunked(b"half", last=False), "close", None, "closed"),
        (chunked(b"half", last=False), "abort", None, "reset"),
        (chunked(b"half", last=False), "wait", None, "silent"),
        (chunked(b"half", last=False), "wait", b"half"[:2], "left"),
        (b"", "wait", b"", "left"),
    ],
    ids=["whole", "closed", "reset", "silent", "left in the midst", "left before"],
)
async def test_how_an_exchange_ends(sent: bytes, then: str, leave_at: bytes | None, end: End) -> None:
    """Over real sockets: the end of the answer, of the connection, of our patience, and our own leaving."""
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(sent)
        await writer.drain()
        if then == "abort":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        elif then == "wait":
            await gone.wait()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        patience = 2.0 if then == "wait" else 20.0  # to what has come, silence has to be added
        result = await exchange(port, encode_post("/", b"{}", {}), patience=patience, leave_at=leave_at)
        gone.set()

    assert result.end == end
    if end in {"whole", "closed", "silent"}:
        assert result.raw == sent


# ── the run and its table ─────────────────────────────────────────────────────────────────────────────


async def test_a_run_of_this_gateway(tmp_path: Path) -> None:
    """The run finds what happens, how many calls it took, and what became of them: two rows, really run."""
    wanted = {"cut-middle", "leave-middle"}
    rows = [scenario for scenario in SCENARIOS if scenario.name in wanted]
    said: list[str] = []

    cells = await compare([Gateway()], rows, tmp_path, said.append)

    # a path would do: what is hidden keeps its length, or chunks would break
    document = report.document(cells, [Gateway()], {}, hidden="upstream_protocol")
    ways = {way.key: way for way in WAYS}
    found = {(c["scenario"], c["way"]): (report.judgement(c, ways[c["way"]]), c) for c in document["cells"]}
    truths = {scenario.name: Verdict.LEFT if scenario.leave else Verdict.ERROR for scenario in rows}
    assert {key: judged.verdict for key, (judged, _) in found.items()} == {
        (name, key): verdict
        for name, verdict in truths.items()
        for key in ("gateway-converse", "gateway-invoke")
    }
    assert found["cut-middle", "gateway-invoke"][0].name == "<hidden>_________"
    assert {len(cell["calls"]) for _, cell in found.values()} == {1}
    assert said == [f"{way}: {row.name}" for row in rows for way in ("gateway-converse", "gateway-invoke")]


def test_the_table_is_what_the_evidence_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table in the repository is made from the transcripts beside it, by the judge as it is now."""
    assert main(["--render", "--table", str(tmp_path / "table")]) == 0

    assert (tmp_path / "table").read_text() == capsys.readouterr().out == TABLE.read_text()


def test_every_row_without_fault_was_answered_whole() -> None:
    """The evidence is worth something: where nothing was wrong, every gateway gave the whole text."""
    ways = {way.key: way for way in WAYS}
    healthy = [
        cell for cell in orjson.loads(TRANSCRIPTS.read_bytes())["cells"] if cell["scenario"] == "healthy"
    ]

    assert {report.judgement(cell, ways[cell["way"]]).verdict for cell in healthy} == {Verdict.COMPLETE}
    assert {cell["way"] for cell in healthy} == set(ways)


def test_the_script_is_one_table() -> None:
    """Names are unique, and what is said stands in the same place of both APIs."""
    names = [scenario.name for scenario in SCENARIOS]
    cut = next(scenario for scenario in SCENARIOS if scenario.name == "cut-middle")

    assert sorted(set(names)) == sorted(names)
    assert cut.truth.text == "".join(WORDS[:4])
    assert [cut.said(api, "key") for api in PREAMBLE] == [
        f"key [[emulator deltas=8 cut={frames}]]" for frames in (5, 6)
    ]


# ── what can go wrong ─────────────────────────────────────────────────────────────────────────────────


def test_a_package_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says which, and ends with 1, before it runs anything."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["--peers", "portkey", "--packages", str(tmp_path / "packages")]) == 1
    assert capsys.readouterr().err == (
        "no comparison: Portkey's gateway needs node and npm, which are not installed: "
        "leave it out by `--peers litellm`\n"
    )


def test_an_installer_that_fails(tmp_path: Path) -> None:
    """Its last words are in the message, and the next run tries again; a good one is not run twice."""
    bad = (sys.executable, "-c", "print('no such version'); raise SystemExit(1)")
    good = (sys.executable, "-c", f"open({str(tmp_path / 'made')!r}, 'x')")

    with pytest.raises(packages.PackageError, match="X 1 cannot be installed:\nno such version"):
        packages.install(tmp_path, "X 1", [bad])
    for _ in range(2):
        packages.install(tmp_path, "X 1", [good])
    assert (tmp_path / "made").exists()


async def test_a_process_that_does_not_start(tmp_path: Path) -> None:
    """The end of its log is in the message."""
    command = (sys.executable, "-c", "raise SystemExit('no configuration')")

    with pytest.raises(StartError, match="no configuration"):
        async with running(command, {}, tmp_path, free_port(), "/"):
            pass
