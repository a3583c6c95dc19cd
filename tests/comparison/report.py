"""The document of a run, and the table that is made from nothing but the document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway import __version__
from tests.comparison.judging import TRUTHFUL, Judgement, Verdict, judge, judge_leaving
from tests.comparison.scenarios import PATIENCE_S, SCENARIOS
from tests.comparison.subjects import WAYS
from tests.comparison.transcripts import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.comparison.run import Cell
    from tests.comparison.subjects import Peer, Way

COMMAND: Final = "python -m tests.comparison"
_BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
_ENCODING: Final = "latin-1"  # any byte is a character of it, so that a transcript is text and loses nothing

_LABELS: Final[Mapping[Verdict, str]] = {
    Verdict.COMPLETE: "complete",
    Verdict.ERROR: "error",
    Verdict.STATUS: "status",
    Verdict.LEFT: "closed",
    Verdict.UNTRUE_STATUS: "**untrue status**",
    Verdict.BROKEN: "*broken transfer*",
    Verdict.UNMARKED: "*unmarked end*",
    Verdict.CONTRADICTION: "**contradiction**",
    Verdict.SILENT_TRUNCATION: "**SILENT TRUNCATION**",
    Verdict.DAMAGED: "**damaged**",
    Verdict.HANG: "**hang**",
    Verdict.RUNS_ON: "**runs on**",
    Verdict.FAILED: "**failed**",
}


def document(
    cells: Iterable[Cell],
    peers: Sequence[Peer],
    versions: Mapping[str, str],
    *,
    hidden: str,
    **more: Any,
) -> dict[str, Any]:
    """Return all of a run as JSON: when, what, how, and the raw transcript of each cell.

    `hidden` is a path of this machine, which a traceback may show: it is covered at its full length, so that
    chunks keep their sizes.
    """
    cover = "<hidden>".ljust(len(hidden), "_")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"gateway": __version__, **versions},
        "settings": {peer.name: list(peer.settings) for peer in peers},
        **more,
        "cells": [
            {
                "scenario": cell.scenario,
                "way": cell.way,
                "end": cell.transcript.end,
                "seconds": cell.transcript.seconds,
                "calls": list(cell.outcomes),
                "released": cell.released,
                "raw": cell.transcript.raw.decode(_ENCODING).replace(hidden, cover),
            }
            for cell in cells
        ],
    }


def judgement(cell: Mapping[str, Any], way: Way) -> Judgement:
    """Judge one cell of a document."""
    scenario = _BY_NAME[cell["scenario"]]
    raw = cell["raw"].encode(_ENCODING)
    transcript = Transcript(raw=raw, end=cell["end"], seconds=cell["seconds"])
    if cell["end"] == "left":
        return judge_leaving(cell["calls"])
    return judge(transcript, scenario.truth, way.read)


def table(run: Mapping[str, Any]) -> str:
    """Return the Markdown of a document."""
    judged = {
        (cell["scenario"], way.key): (judgement(cell, way), cell)
        for cell in run["cells"]
        for way in WAYS
        if way.key == cell["way"]
    }
    parts = [_HEAD.format(date=run["date"], command=COMMAND, versions=_listed(run["versions"]))]
    asked = {key for _, key in judged}
    for title, streams in (("Streams", True), ("Answers in one piece", False)):
        columns = [way for way in WAYS if way.streams is streams and way.key in asked]
        parts += [f"## {title}", _grid(columns, judged), _counts(columns, judged)]
    parts += ["## How to read it", _criterion(), "## Settings", _settings(run)]
    return "\n\n".join(parts) + "\n"


_HEAD: Final = """# The same streams, the same faults, several gateways

Made by `{command}` on {date}; do not edit. {versions}.

One far end on loopback (the emulator of this repository) gives every gateway the same answers and the same
faults. Each cell is one request; what the caller saw is judged from the raw bytes by one criterion, below.
`×N` is the number of calls that reached the far end, where it was not one: retries that no caller sees.
The far end checks no signatures (it refuses Portkey's with a custom host, and signing is not compared)."""


def _grid(columns: Sequence[Way], judged: Mapping[tuple[str, str], Any]) -> str:
    lines = [_row(["what happens", *(way.title for way in columns)]), _row(["---"] * (len(columns) + 1))]
    for scenario in SCENARIOS:
        cells = [judged.get((scenario.name, way.key)) for way in columns]
        if any(cells):
            lines.append(_row([scenario.title, *(_cell(*cell) if cell else "–" for cell in cells)]))
    return "\n".join(lines)


def _cell(judged: Judgement, cell: Mapping[str, Any]) -> str:
    label = _LABELS[judged.verdict]
    if judged.verdict is Verdict.STATUS:
        label = judged.name
    elif judged.name:
        label += f": {judged.name}"
    if judged.verdict in {Verdict.ERROR, Verdict.SILENT_TRUNCATION} and judged.delivered < 1:
        label += f" ({judged.delivered:.0%} of what came)"
    if judged.verdict in {Verdict.LEFT, Verdict.RUNS_ON}:
        label += f" after {cell['released']:.1f} s" if cell["released"] is not None else ""
    elif _BY_NAME[cell["scenario"]].timeout:
        label += f" after {cell['seconds']:.1f} s"
    calls = len(cell["calls"])
    return label if calls == 1 else f"{label} ×{calls}"


def _counts(columns: Sequence[Way], judged: Mapping[tuple[str, str], Any]) -> str:
    """Return a table of how often each column told the truth, and how often it lied or hung."""
    lines = [
        _row(["", "rows", "true", "broken or unmarked", "silent truncation", "hang", "other untruth"]),
        _row(["---", *["--:"] * 6]),
    ]
    for way in columns:
        verdicts = [judged[key][0].verdict for key in judged if key[1] == way.key]
        groups: list[set[Verdict]] = [
            TRUTHFUL,
            {Verdict.BROKEN, Verdict.UNMARKED},
            {Verdict.SILENT_TRUNCATION},
            {Verdict.HANG},
        ]
        counts = [sum(verdict in group for verdict in verdicts) for group in groups]
        other = len(verdicts) - sum(counts)
        lines.append(_row([way.title, *map(str, (len(verdicts), *counts, other))]))
    return "\n".join(lines)


def _criterion() -> str:
    lines = [_row(["verdict", "means"]), _row(["---", "---"])]
    lines += [_row([_LABELS[verdict], verdict.value]) for verdict in Verdict]
    return "\n".join([*lines, "", *_WORDS])


_WORDS: Final = (
    "A status alone, `error`, `complete` and `closed` are the truth. What is in italics is no lie, but gives",
    "no reason; what is in bold is untrue, or never comes. `[DONE]` behind an error is no contradiction:",
    f"clients stop reading at the error. The judge waits {PATIENCE_S:g} s.",
)


def _settings(run: Mapping[str, Any]) -> str:
    lines = []
    for name, settings in run["settings"].items():
        lines += [
            f"**{name}**: the defaults of its release, and",
            "",
            *(f"- {line}" for line in settings),
            "",
        ]
    return "\n".join(lines).strip()


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
