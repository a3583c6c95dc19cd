"""The table of clients and features: `python -m tests.clients table` runs the tests and writes it.

It holds what passed, and refuses to hold anything else. What it must then say is known without a run, from
the matrix and the locks: a test finds a stale file.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from tests.clients import packages
from tests.clients.matrix import CELLS, CLIENTS, FEATURES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.clients.client import Client

TABLE: Final = Path(__file__).with_name("CLIENTS.md")
TESTS: Final = Path(__file__).with_name("test_clients.py")
COMMAND: Final = "python -m tests.clients table"
ERRORS: Final = {
    "invalid": "400",
    "unknown": "404",
    "throttled": "429",
    "failed": "500",
    "unavailable": "503",
    "fault": "stream",
}
"""The features whose cell tells the class that is raised, by the key of `Client.errors`."""

OPENING: Final = """\
# Real clients, and what of them works through the gateway

Written by `python -m tests.clients table` from a run of [test_clients.py](test_clients.py): real packages
over sockets, a gateway, and the embedded emulator behind it, with nothing but the base URL changed. Tools go
there and back: the model calls one, and its result reaches the model. Usage is that of the whole answer and
that of the stream, which agree. A stream that breaks off in the middle, by an error of Bedrock's or by merely
ending, raises in every client, after the text that had come. A 429 is sent again by the client itself, after
the `Retry-After` that it was told where it obeys one.

LangChain's own suite for chat models (`langchain-tests`) runs with ChatOpenAI, ChatAnthropic and
ChatBedrockConverse too: what of it does not stands in [its module](test_langchain_standard.py), with reasons.
"""


def make() -> list[str]:
    """Run the tests and write the table; returns the cells that did not pass: then it is not written."""
    with TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--tb=short",
            "--show-capture=no",
            f"--junitxml={report}",
            str(TESTS),
        ]
        subprocess.run(command, check=False)  # noqa: S603 - our own command
        passed = read(report.read_text())
    wrong = [f"{client} {feature}" for client, feature in CELLS if (client.name, feature) not in passed]
    if not wrong:
        TABLE.write_text(markdown(passed))
    return wrong


def read(report: str) -> set[tuple[str, str]]:
    """Return the cells that passed, by client and feature, of a run's report in JUnit's XML."""
    passed = set()
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest has just written it
        test, _, client = case.attrib["name"].removesuffix("]").partition("[")
        if {child.tag for child in case} <= {"properties", "system-out", "system-err"}:
            passed.add((client, test.removeprefix("test_")))
    return passed


def due() -> set[tuple[str, str]]:
    """Return all cells, as a run gives them in which every test passes."""
    return {(client.name, feature) for client, feature in CELLS}


def markdown(passed: Collection[tuple[str, str]]) -> str:
    """Return the whole file."""
    return "\n".join([OPENING, *_features(passed), "", *_errors(passed), "", *_lacking(), ""])


def _features(passed: Collection[tuple[str, str]]) -> Iterator[str]:
    shown = [feature for feature in FEATURES if feature not in ERRORS]
    yield "| client | packages | asks | " + " | ".join(FEATURES[feature] for feature in shown) + " |"
    yield "|---|---|---|" + ":-:|" * len(shown)
    for client in CLIENTS:
        cells = [_cell(client, feature, passed, "yes") for feature in shown]
        yield f"| {client.title} | {_versions(client)} | `{client.api}` | " + " | ".join(cells) + " |"


def _errors(passed: Collection[tuple[str, str]]) -> Iterator[str]:
    yield "What is raised, by the status of the answer and in the middle of a stream:"
    yield ""
    yield "| client | " + " | ".join(FEATURES[feature] for feature in ERRORS) + " |"
    yield "|---|" + "---|" * len(ERRORS)
    for client in CLIENTS:
        cells = [_cell(client, feature, passed, f"`{client.errors[key]}`") for feature, key in ERRORS.items()]
        yield f"| {client.title} | " + " | ".join(cells) + " |"


def _cell(client: Client, feature: str, passed: Collection[tuple[str, str]], good: str) -> str:
    if (client, feature) not in CELLS:
        return "–"
    return good if (client.name, feature) in passed else "not tried"


def _lacking() -> Iterator[str]:
    yield "What a client does not have (–):"
    yield ""
    for client in CLIENTS:
        reasons: dict[str, list[str]] = {}
        for feature, reason in client.lacks.items():
            reasons.setdefault(reason, []).append(FEATURES[feature])
        told = "; ".join(f"{', '.join(features)}: {reason}" for reason, features in reasons.items())
        if told:
            yield f"- {client.title}: {told}."


def _versions(client: Client) -> str:
    versions = packages.npm_versions() if client.npm else packages.python_versions()
    return ", ".join(f"{package} {versions[package]}" for package in client.packages)
