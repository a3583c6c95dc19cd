"""The costs as a picture: SVG of our own, which follows the reader's light or dark scheme."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks.measure import results
from tests.benchmarks.scenarios import BURST_CONVERSE, PACED_CONVERSE
from tests.benchmarks.subjects import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.measure import Result
    from tests.benchmarks.record import Record

_WIDTH: Final = 720
_LABELS: Final = 90
_FIGURES: Final = 70
_ROW: Final = 24
_TITLE: Final = 40
_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.bar { fill: #8c959f }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bar { fill: #6e7681 }
  .ours { fill: #4493f8 }
}
"""


class _Panel(NamedTuple):
    """One group of bars: which figure of which scenario."""

    title: str
    scenario: str
    axis: int


_PANELS: Final = (
    _Panel("a streaming request", BURST_CONVERSE, 0),
    _Panel("a delta, whole reply in one write", BURST_CONVERSE, 1),
    _Panel("a delta, one each 20 ms", PACED_CONVERSE, 1),
)


def svg(record: Record) -> str:
    """Return the picture of a run: CPU µs, on one logarithmic scale for each group."""
    body: list[str] = []
    height = 0
    for panel in _PANELS:
        rows = [result for result in results(record.samples) if result.scenario == panel.scenario]
        rows = [result for result in rows if result.line[panel.axis] > 0]
        if rows:
            body += _panel(panel, rows, height)
            height += _TITLE + _ROW * len(rows)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 10}" role="img">'
    return "\n".join([head, f"<style>\n{_STYLE}</style>", *body, "</svg>", ""])


def _panel(panel: _Panel, rows: Sequence[Result], top: int) -> Iterator[str]:
    figures = [result.line[panel.axis] for result in rows]
    least = 10 ** math.floor(math.log10(min(figures)))
    scale = (_WIDTH - _LABELS - _FIGURES) / math.log10(max(figures) / least)
    yield f'<text class="title" x="0" y="{top + 26}">CPU µs, {panel.title} (logarithmic)</text>'
    for number, (result, figure) in enumerate(zip(rows, figures, strict=True)):
        y = top + _TITLE + number * _ROW
        length = max(scale * math.log10(figure / least), 2)
        kind = "bar ours" if result.subject == GATEWAY else "bar"
        shown = f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"
        yield f'<text x="0" y="{y + 13}">{result.subject}</text>'
        yield f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_ROW - 7}" rx="2"/>'
        yield f'<text x="{_LABELS + length + 6:.1f}" y="{y + 13}">{shown}</text>'
