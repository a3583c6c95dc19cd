"""What is published was made from the record beside it, by this code."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.benchmarks import plot, publication
from tests.benchmarks.measure import results
from tests.benchmarks.record import decode
from tests.benchmarks.subjects import GATEWAY, NAIVE


def test_the_published_results_are_those_of_the_record() -> None:
    """After a change of the report: `python -m tests.benchmarks render`."""
    record = decode(publication.JSON.read_bytes())

    assert publication.TABLE.read_text() == publication.markdown(record)
    assert publication.PLOT.read_text() == plot.svg(record)


def test_the_picture_is_whole() -> None:
    """It is XML, every bar is inside, and ours are marked."""
    root = ET.fromstring(publication.PLOT.read_text())  # noqa: S314 - our own file
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    bars = [element for element in root if element.tag.endswith("rect")]

    assert all(float(bar.attrib["x"]) + float(bar.attrib["width"]) < width for bar in bars)
    assert all(float(bar.attrib["y"]) + float(bar.attrib["height"]) < height for bar in bars)
    assert sum("ours" in bar.attrib["class"] for bar in bars) == 3
    assert len({bar.attrib["y"] for bar in bars}) == len(bars) >= 9


def test_the_published_run_is_whole() -> None:
    """Nobody publishes a part, a quick look or a subject by itself."""
    record = decode(publication.JSON.read_bytes())
    found = results(record.samples)

    assert {NAIVE, GATEWAY} <= {result.subject for result in found}
    assert min(len(result.repetitions) for result in found) >= 3
    assert record.first_bytes
    assert record.tries
    assert record.footprints
