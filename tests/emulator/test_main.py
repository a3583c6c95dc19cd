"""`python -m gateway.emulator`: one line says where it is, a signal ends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from gateway.emulator import EmulatorSettings, Guardrail, Quota
from gateway.emulator.__main__ import main, parse_arguments, serve

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_setting_has_its_option() -> None:
    """The command line changes what it names and leaves the rest as it is."""
    arguments = [
        "--port",
        "7",
        "--deltas",
        "3",
        "--pace-ms",
        "1.5",
        "--recordings",
        "here",
        "--refusals",
        '{"m": ["AccessDeniedException", "No."]}',
        "--guardrails",
        '{"g": {"words": ["bad"], "regexes": {"Number": "1+"}}}',
        "--cache-minimum-tokens",
        "5",
        "--quotas",
        '{"us.*": {"tokens_per_minute": 9, "shape": "window"}}',
        "--abandoned",
        "generated",
        "--team-key",
        "who",
        "--date-offset-s",
        "-9",
        "--no-verify-signatures",
    ]

    assert parse_arguments([]) == EmulatorSettings()
    assert parse_arguments(arguments) == EmulatorSettings(
        port=7,
        deltas=3,
        pace_ms=1.5,
        recordings=Path("here"),
        refusals={"m": ("AccessDeniedException", "No.")},
        guardrails={"g": Guardrail(words=("bad",), regexes={"Number": "1+"})},
        cache_minimum_tokens=5,
        quotas={"us.*": Quota(tokens_per_minute=9, shape="window")},
        abandoned="generated",
        team_key="who",
        date_offset_s=-9.0,
        verify_signatures=False,
    )


@pytest.mark.parametrize(
    ("refusals", "words"),
    [
        ("{", "should be"),
        ("[]", "should be"),
        ('{"m": "No."}', "should be"),
        ('{"m": 1}', "should be"),
        ('{"m": ["Nope", "No."]}', "no such error codes: Nope"),
    ],
)
def test_refusals_that_cannot_be(refusals: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a table of Bedrock's errors is a usage error."""
    with pytest.raises(SystemExit):
        parse_arguments(["--refusals", refusals])

    assert f"argument --refusals: {words}" in capsys.readouterr().err


@pytest.mark.parametrize("guardrails", ["{", "[]", '{"g": 1}', '{"g": {"words": 1}}'])
def test_guardrails_that_cannot_be(guardrails: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a table of guardrails is a usage error."""
    with pytest.raises(SystemExit):
        parse_arguments(["--guardrails", guardrails])

    assert "argument --guardrails: should be" in capsys.readouterr().err


@pytest.mark.parametrize(
    "quotas",
    [
        "{",
        "[]",
        '{"m": 1}',
        '{"m": {"tokens": 1}}',
        '{"m": {"tokens_per_minute": "1"}}',
        '{"m": {"requests_per_minute": true}}',
        '{"m": {"tokens_per_minute": 0}}',
        '{"m": {"minute_s": null}}',
        '{"m": {"shape": "round"}}',
    ],
)
def test_quotas_that_cannot_be(quotas: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a table of quotas is a usage error."""
    with pytest.raises(SystemExit):
        parse_arguments(["--quotas", quotas])

    assert "argument --quotas: no quotas: " in capsys.readouterr().err


def test_what_is_billed_of_an_answer_that_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """There are two ways, and no third."""
    with pytest.raises(SystemExit):
        parse_arguments(["--abandoned", "half"])

    assert "argument --abandoned: whole or generated, not 'half'" in capsys.readouterr().err


def test_the_help_knows_the_directives(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever starts it by hand reads there how an answer is steered."""
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])

    assert "`exception=<member>`" in capsys.readouterr().out


@pytest.mark.parametrize("field", EmulatorSettings.__dataclass_fields__)
def test_no_setting_is_forgotten(field: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each field of the settings is in the help."""
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])

    assert field.replace("_", "-") in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    """What it announces is where it answers; afterwards nobody does."""
    announced: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.ensure_future(serve(EmulatorSettings(), announced.put_nowait))
    said = json.loads(await announced.get())

    async with aiohttp.ClientSession() as session:
        async with session.get(said["url"]) as response:
            assert response.status == 404
        os.kill(os.getpid(), number)
        await serving
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(said["url"])

    assert said["region"] == "us-east-1"


async def test_it_runs_in_a_process_of_its_own() -> None:
    """As a benchmark starts it: one line on standard output, and an end without an error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.emulator", "--port", "0", "--deltas", "2"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = json.loads(await process.stdout.readline())
    process.terminate()
    rest, errors = await process.communicate()

    assert line["url"].startswith("http://127.0.0.1:")
    assert (rest, errors, process.returncode) == (b"", b"", 0)


def test_main_announces_on_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is out before the signal comes, by arguments given and by those of the process."""

    class EndsAtOnce:
        """Standard output that ends the process as soon as it has been told where it listens."""

        def write(self, line: str) -> None:
            lines.append(line)
            os.kill(os.getpid(), signal.SIGTERM)

        def flush(self) -> None:
            """Nothing is kept back."""

    lines: list[str] = []
    monkeypatch.setattr(sys, "stdout", EndsAtOnce())
    main(["--port", "0"])
    monkeypatch.setattr(sys, "argv", ["emulator", "--port", "0"])
    main()

    assert [list(json.loads(line)) for line in lines] == [["url", "region"]] * 2
