"""The benchmark itself: one tiny scenario end to end, and its arithmetic. No figure is asserted."""

from __future__ import annotations

import asyncio

import pytest

from tests.benchmarks import first_byte, footprint, report, subjects, sustained
from tests.benchmarks.apis import BedrockApi, ChatApi, NativeApi
from tests.benchmarks.cpu import Line, fit, pinned
from tests.benchmarks.first_byte import FirstByte
from tests.benchmarks.load import StreamFailedError, crowd, dechunk
from tests.benchmarks.measure import Sample, measure, results
from tests.benchmarks.peers import PORTKEY
from tests.benchmarks.record import Record, about, decode
from tests.benchmarks.scenarios import (
    BURST_CLAUDE,
    BURST_CONVERSE,
    CLAUDE,
    DEFAULT,
    LLAMA,
    PACED_CLAUDE,
    QUICK,
    Point,
    Scenario,
)
from tests.benchmarks.subjects import GATEWAY, NAIVE, NGINX, choose_cores, started
from tests.benchmarks.sustained import Try
from tests.benchmarks.verdict import judge

TINY = tuple(
    Scenario(
        name=model,
        model=model,
        points=(Point(1, 2), Point(4, 2)),
        concurrency=2,
        frames_per_write=1,
        pace_ms=1,
    )
    for model in (CLAUDE, LLAMA)
)


async def test_every_subject_answers_every_load() -> None:
    """A tiny run of every part has a row for each subject, survives JSON, and becomes tables."""
    starters = subjects.available(None)
    names, cores = list(starters), choose_cores()
    said: list[str] = []
    with pinned({cores.others}):
        async with started(names, cores) as (upstream, running):
            samples = await measure(upstream, running, TINY, 2, said.append)
            seen = first_byte.measure(upstream, running, 1, 8, said.append, deltas=4)
            tries = sustained.measure(upstream, running, (2,), 1, said.append, deltas=4)
        footprints = await footprint.measure(
            starters, cores, {GATEWAY: 1}, {GATEWAY: 3}, said.append, opening_s=0.1
        )

    assert [(s.scenario, s.deltas, s.subject, s.requests) for s in samples] == [
        (scenario.name, point.deltas, name, 2)
        for order in (names, names[1:] + names[:1])
        for scenario in TINY
        for point in scenario.points
        for name in order
    ]
    assert all(sample.cpu_us > 0 and sample.others_us > 0 for sample in samples)
    assert all(sample.reads >= sample.requests for sample in samples)
    assert said[:4] == [f"repetition {n} of 2: {scenario.name}" for n in (1, 2) for scenario in TINY]
    assert [(one.streams, one.subject) for one in seen] == [
        (streams, name) for streams in (1, 32) for name in ("direct", *names)
    ]
    assert {one.subject for one in tries} == {"direct", *names}
    (one,) = footprints
    assert (one.subject, one.streams, one.idle_rss_mb > 10) == (GATEWAY, 3, True)
    figures = results(samples)
    assert [(f.scenario, f.subject, len(f.repetitions)) for f in figures] == [
        (scenario.name, name, 2) for scenario in TINY for name in names
    ]
    circumstances = about("python -m tests.benchmarks", cores, names, ["quiet"])
    record = Record(
        about=circumstances, samples=samples, first_bytes=seen, tries=tries, footprints=footprints
    )
    assert decode(record.encode()) == record
    assert circumstances["machine"].keys() >= {"cores", "cpu", "kernel"}
    tables = report.markdown(record)
    assert all(f"CPU time: {scenario.name}" in tables for scenario in TINY)
    assert [row.met for row in judge(record)].count(None) == 10


@pytest.mark.parametrize(
    ("points", "line"),
    [
        ([(16, 748.0), (128, 1084.0), (512, 2236.0)], Line(700.0, 3.0)),
        ([(10, 50.0), (10, 50.0), (20, 50.0)], Line(50.0, 0.0)),
        # each 1 % off, one way and the other: the longest does not decide alone what a request costs
        ([(0, 99.0), (0, 101.0), (1000, 9900.0), (1000, 10100.0)], Line(99.99, 9.899)),
    ],
)
def test_the_fit_finds_the_line(points: list[tuple[float, float]], line: Line) -> None:
    """Costs that lie on a line give its height and its slope; noise counts by its share."""
    assert fit(points) == pytest.approx(line, rel=1e-4)


@pytest.mark.parametrize("points", [[], [(5, 1.0), (5, 2.0)], [(1, 0.0), (2, 1.0)]])
def test_no_line_without_two_sizes(points: list[tuple[float, float]]) -> None:
    """Runs of one size, and runs that cost nothing, are refused."""
    with pytest.raises(ValueError, match="a line needs"):
        fit(points)


def test_results_are_lines_through_medians() -> None:
    """Each repetition has a line of its own; the subject's goes through the medians at each size."""
    repetitions = [Line(100, 3), Line(300, 1), Line(200, 2)]
    samples = [
        Sample(
            scenario="s",
            subject=NAIVE,
            repetition=repetition,
            deltas=deltas,
            requests=10,
            cpu_us=10 * (line.per_request + line.per_delta * deltas),
            others_us=1.0,
            wall_s=1.0,
            reads=10,
        )
        for repetition, line in enumerate(repetitions)
        for deltas in (0, 10)
    ]

    (result,) = results(samples)

    assert [tuple(map(round, line)) for line in result.repetitions] == repetitions
    assert tuple(map(round, result.line)) == Line(200, 2)


def _samples(scenario: str, subject: str, *lines: Line) -> list[Sample]:
    """Return what a subject with these costs, one for each repetition, would have been seen to use."""
    return [
        Sample(
            scenario=scenario,
            subject=subject,
            repetition=repetition,
            deltas=deltas,
            requests=10,
            cpu_us=10 * (line.per_request + line.per_delta * deltas),
            others_us=1.0,
            wall_s=1.0,
            reads=1280,
        )
        for repetition, line in enumerate(lines)
        for deltas in (16, 128)
    ]


def test_the_table_shows_shares_of_the_naive_loop() -> None:
    """A row has the figure, the quartiles and the share for requests, the same for deltas, and the reads."""
    spread = (Line(240, 3), Line(250, 2.5), Line(260, 2))
    samples = [
        *_samples("burst", NAIVE, Line(1000, 30), Line(1000, 30), Line(1000, 30)),
        *_samples("burst", GATEWAY, *spread),
        *_samples("alone", GATEWAY, *spread),
    ]

    table = report.markdown(Record(about={}, samples=samples))

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row for row in rows if row[0] in {NAIVE, GATEWAY}] == [
        [NAIVE, "1000", "1000–1000", "1.00", "30.0", "30.0–30.0", "1.00", "1.00"],
        [GATEWAY, "250", "245–255", "0.25", "2.5", "2.2–2.8", "0.08", "1.00"],
        [GATEWAY, "250", "245–255", "–", "2.5", "2.2–2.8", "–", "1.00"],
    ]


def test_the_verdict_knows_good_from_bad() -> None:
    """Bars of this run are met or not by what was found, and say so where nothing was."""
    naive, nginx = Line(1000, 35), Line(20, 20)
    samples = [
        *_samples(BURST_CLAUDE, NAIVE, naive),
        *_samples(BURST_CLAUDE, GATEWAY, Line(250, 10)),
        *_samples(PACED_CLAUDE, GATEWAY, Line(250, 50)),
        *_samples(PACED_CLAUDE, NGINX, nginx),
        *_samples(BURST_CONVERSE, PORTKEY, Line(1500, 10)),
        *_samples(BURST_CONVERSE, GATEWAY, Line(300, 10)),
    ]
    tries = [_tried("direct", 450), _tried(GATEWAY, 400), _tried(GATEWAY, 450, "a gap of 201 ms")]
    seen = [
        FirstByte(subject=name, streams=32, repetition=0, requests=9, p50_ms=p50, p99_ms=p99)
        for name, p50, p99 in (("direct", 1.0, 2.0), (NAIVE, 3.0, 6.0), (GATEWAY, 2.0, 4.5))
    ]

    rows = judge(Record(about={}, samples=samples, tries=tries, first_bytes=seen))

    assert [(row.found.split()[0], row.met) for row in rows if row.met is not None] == [
        ("4.0", True),  # a request in bursts, to the naive loop
        ("3.5", False),  # a delta in bursts
        ("2.5", True),  # paced, to nginx
        ("5.0", False),  # Portkey, a request
        ("1.0", False),  # Portkey, a delta
        ("400", True),
        ("0.50", True),
        ("0.62", False),
    ]


def _tried(subject: str, streams: int, problem: str = "") -> Try:
    return Try(
        subject=subject,
        streams=streams,
        problem=problem,
        gap_ms=30.0,
        reads_per_delta=1.0,
        cpu_share=0.5,
        others_share=0.5,
    )


@pytest.mark.parametrize(
    ("limit", "asked", "largest"),
    [
        (900, [100, 200, 400], 400),
        (320, [100, 200, 400, 400, 300], 300),
        (250, [100, 200, 400, 400, 300, 300], 200),
        (50, [100, 100], 0),
    ],
)
def test_the_search_finds_what_is_sustained(limit: int, asked: list[int], largest: int) -> None:
    """Steps go up to the first that fails twice, and half way back; what passed last is the figure."""
    tries = sustained.search(
        (100, 200, 400), lambda streams: _tried(GATEWAY, streams, "late" if streams > limit else "")
    )

    assert [one.streams for one in tries] == asked
    assert sustained.largest(tries, GATEWAY) == largest


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\nA\r\n0\r\n\r\n     \r\n0\r\n\r\n", b"abc0\r\n\r\n     "),
        (b"A\r\n    0\r\n\r\n", None),
        (b"3\r\nabc\r\n", None),
    ],
)
def test_chunks_are_followed_to_the_last(data: bytes, body: bytes | None) -> None:
    """Bytes that only look like the last chunk do not end a body."""
    assert dechunk(data) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"type":"text_delta","text":"a"}\n',
        b'{"type":"done","usage":{}}\n',
        b'{"type":"text_delta","text":"a"}\n{"type":"error","error":{}}\n',
        b'{"type":"text_delta","text":"a"}\n{"type":"done","usage":{}}',
    ],
)
def test_a_stream_that_is_not_whole_fails_the_run(body: bytes) -> None:
    """A stream needs its deltas and `done` as its last line."""
    NativeApi().check(b'{"type":"text_delta","text":"a"}\n{"type":"done","usage":{}}\n', 1)

    with pytest.raises(StreamFailedError, match="1 deltas"):
        NativeApi().check(body, 1)


@pytest.mark.parametrize(
    ("body", "words"), [(b"", "0 of 0 deltas"), (b"\0\0\0", "ended after 3"), (b"\0" * 16, "checksum")]
)
def test_a_proxy_that_loses_bytes_fails_the_run(body: bytes, words: str) -> None:
    """Frames must be whole, and the terminal event must be there."""
    with pytest.raises(StreamFailedError, match=words):
        BedrockApi().check(body, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\ndata: [DONE]\n\n',
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    ],
)
def test_a_peer_that_loses_words_fails_the_run(body: bytes) -> None:
    """Chat completions need their deltas, a finish reason and `[DONE]`."""
    api = ChatApi(str.encode)
    api.check(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', 1)

    with pytest.raises(StreamFailedError, match="of 1 deltas"):
        api.check(body, 1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "not a stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "not a stream"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "broke after 55 bytes"),
    ],
)
async def test_callers_take_no_excuse(said: bytes, words: str) -> None:
    """A refusal, an answer that is no stream, and one that breaks off fail the run."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(said)
        writer.close()

    def ask(port: int) -> None:
        with crowd() as callers:
            callers.join(port, b"GET", NativeApi.text, iter(range(1)))
            callers.run()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        with pytest.raises(StreamFailedError, match=words):
            await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("table", [DEFAULT, QUICK])
def test_the_tables_can_be_fitted(table: tuple[Scenario, ...]) -> None:
    """Names are unique, and each row has two sizes, with at least a request for every connection."""
    assert len({scenario.name for scenario in table}) == len(table)
    for scenario in table:
        assert len({point.deltas for point in scenario.points}) > 1
        assert all(point.requests >= scenario.concurrency for point in scenario.points)
