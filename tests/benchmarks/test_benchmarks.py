"""The benchmark itself: one tiny scenario end to end, and its arithmetic. No figure is asserted."""

from __future__ import annotations

from dataclasses import asdict

import orjson
import pytest

from tests.benchmarks import report
from tests.benchmarks.apis import BedrockApi, NativeApi
from tests.benchmarks.cpu import Line, fit, pinned
from tests.benchmarks.load import StreamFailedError, dechunk
from tests.benchmarks.measure import Result, Sample, measure, results
from tests.benchmarks.scenarios import CLAUDE, DEFAULT, LLAMA, QUICK, Point, Scenario
from tests.benchmarks.subjects import (
    GATEWAY,
    NAIVE,
    NGINX,
    choose_cores,
    nginx_binary,
    started,
)

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


async def test_every_subject_answers_the_same_load() -> None:
    """A tiny run has a sample for each scenario, size and subject, and becomes a table and a document."""
    names = [NAIVE, GATEWAY] + [NGINX] * (nginx_binary() is not None)
    cores = choose_cores()
    said: list[str] = []
    with pinned({cores.others}):
        async with started(names, cores) as subjects:
            samples = await measure(subjects, TINY, 2, said.append)

    assert [(s.scenario, s.deltas, s.subject, s.requests) for s in samples] == [
        (scenario.name, point.deltas, name, 2)
        for order in (names, names[1:] + names[:1])
        for scenario in TINY
        for point in scenario.points
        for name in order
    ]
    assert all(sample.cpu_us > 0 for sample in samples)
    assert said == [f"repetition {n} of 2: {scenario.name}" for n in (1, 2) for scenario in TINY]
    figures = results(samples)
    assert [(f.scenario, f.subject, len(f.repetitions)) for f in figures] == [
        (scenario.name, name, 2) for scenario in TINY for name in names
    ]
    document = orjson.loads(orjson.dumps(report.document(figures, samples, cores, ["quiet"])))
    assert document["samples"] == [asdict(sample) for sample in samples]
    assert document["machine"].keys() >= {"cores", "cpu", "kernel"}


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
            wall_s=1.0,
        )
        for repetition, line in enumerate(repetitions)
        for deltas in (0, 10)
    ]

    (result,) = results(samples)

    assert [tuple(map(round, line)) for line in result.repetitions] == repetitions
    assert tuple(map(round, result.line)) == Line(200, 2)


def test_the_table_shows_shares_of_the_naive_loop() -> None:
    """A row has the figure, the quartiles and the share for requests, and the same for deltas."""
    alike = (Line(1000, 30), Line(1000, 30))
    spread = (Line(240, 3), Line(250, 2.5), Line(260, 2))
    table = report.table(
        [
            Result(scenario="burst", subject=NAIVE, line=Line(1000, 30), repetitions=alike),
            Result(scenario="burst", subject=GATEWAY, line=Line(250, 2.4), repetitions=spread),
            Result(scenario="alone", subject=GATEWAY, line=Line(250, 2.4), repetitions=spread),
        ]
    )

    rows = [line.split() for line in table.splitlines() if line.startswith("  ") and "µs" not in line]
    assert rows == [
        ["naive", "1000", "(1000–1000)", "1.00", "30.0", "(30.0–30.0)", "1.00"],
        ["gateway", "250", "(245–255)", "0.25", "2.4", "(2.2–2.8)", "0.08"],
        ["gateway", "250", "(245–255)", "–", "2.4", "(2.2–2.8)", "–"],
    ]


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


@pytest.mark.parametrize("table", [DEFAULT, QUICK])
def test_the_tables_can_be_fitted(table: tuple[Scenario, ...]) -> None:
    """Names are unique, and each row has two sizes, with at least a request for every connection."""
    assert len({scenario.name for scenario in table}) == len(table)
    for scenario in table:
        assert len({point.deltas for point in scenario.points}) > 1
        assert all(point.requests >= scenario.concurrency for point in scenario.points)
