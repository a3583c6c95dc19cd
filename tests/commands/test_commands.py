"""The command line as a person or a supervisor uses it: real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway import __version__, cli
from tests.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.emulator import Emulator
    from tests.harness import Caller


@asynccontextmanager
async def _process(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m gateway …`; end it by its own id if the test does not."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _run(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    async with _process(*arguments, **environment) as process, asyncio.timeout(60):
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


async def _line(process: asyncio.subprocess.Process, containing: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if containing in line:
                return line
    raise AssertionError(f"no line with {containing!r}")


def _environment(emulator: Emulator) -> dict[str, str]:
    keys = emulator.settings
    return {
        "GATEWAY_PORT": "0",
        "GATEWAY_DRAIN__PROPAGATION_MS": "0",
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": keys.region,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url,
    }


async def test_version() -> None:
    """`--version` says name and version."""
    assert await _run("--version") == (0, f"bedrock-gateway {__version__}\n", "")


async def test_no_command() -> None:
    """Without a command there is a usage line and exit code 2."""
    code, _, err = await _run()

    assert code == 2
    assert err.startswith("usage: bedrock-gateway")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve(number: signal.Signals, emulator: Emulator) -> None:
    """`serve` takes its settings from the environment, answers, and ends with 0 on a signal."""
    async with _process("serve", **_environment(emulator)) as process:
        url = json.loads(await _line(process, '"listening"'))["url"]
        async with aiohttp.ClientSession() as session, session.get(url + "/readyz") as response:
            ready = response.status
        process.send_signal(number)
        async with asyncio.timeout(60):
            out, _ = await process.communicate()

    assert (ready, process.returncode) == (200, 0)
    assert [json.loads(line)["event"] for line in out.decode().splitlines()][-3:] == [
        "draining",
        "drained",
        "stopped",
    ]


async def test_serve_with_broken_settings() -> None:
    """A configuration that cannot work ends at once with 78 and every problem."""
    code, out, err = await _run(
        "serve", GATEWAY_PORT="x", GATEWAY_MAX_CONCURRENCY="0", GATEWAY_MAX_CONCURENCY="5"
    )

    assert (code, out) == (78, "")
    assert "GATEWAY_PORT" in err
    assert "GATEWAY_MAX_CONCURRENCY" in err
    assert "GATEWAY_MAX_CONCURENCY: unknown setting" in err


async def test_serve_open_to_others() -> None:
    """An address that other machines reach, and nobody who has to say who he is: no start."""
    code, out, err = await _run("serve", GATEWAY_HOST="::", GATEWAY_PORT="0")

    assert code == 78
    assert ":: can be reached from other machines, and nothing says who may ask: give callers keys" in err
    assert "open_to_everybody" not in out


async def test_serve_with_a_broken_alias() -> None:
    """What only the catalogue can judge is judged before the start too."""
    code, _, err = await _run("serve", GATEWAY_ALIASES='{"fast": "no such model", "slow": "../x"}')

    assert code == 78
    problems = [line for line in err.splitlines() if line.startswith("  - ")]
    assert [problem.split(":")[0] for problem in problems] == ["  - alias 'fast'", "  - alias 'slow'"]


async def test_serve_with_a_profile_that_is_not_there() -> None:
    """What only the AWS SDK can judge ends the start as well, in one line."""
    code, _, err = await _run("serve", AWS_PROFILE="nobody")

    assert code == 78
    assert "nobody" in err
    assert "Traceback" not in err


async def test_serve_on_a_port_in_use(emulator: Emulator) -> None:
    """A port in use ends at once with 69 and says so."""
    port = emulator.url.rpartition(":")[2]
    code, _, err = await _run("serve", **{**_environment(emulator), "GATEWAY_PORT": port})

    assert code == 69
    assert f"cannot listen on 127.0.0.1:{port}" in err


@pytest.mark.parametrize("workers", [1, 2])
async def test_serve_with_metrics_on_a_port_in_use(emulator: Emulator, workers: int) -> None:
    """So does a port that a worker's metrics cannot have, with the setting that names it."""
    port = int(emulator.url.rpartition(":")[2])
    taken = {"GATEWAY_METRICS__PORT": str(port - workers + 1)}  # of the last worker
    code, _, err = await _run("serve", f"--workers={workers}", **_environment(emulator), **taken)

    assert code == 69
    assert "cannot serve metrics on 127.0.0.1:" in err
    assert "GATEWAY_METRICS__PORT" in err


async def test_demo_once() -> None:
    """The demo prints what to paste and streams one answer as NDJSON, with no AWS account."""
    code, out, err = await _run("demo", "--once", "--port", "0")

    records = [json.loads(line) for line in out.splitlines() if line.startswith('{"')]
    assert code == 0, err
    assert "curl -N http://127.0.0.1:" in out
    assert (records[0]["type"], records[-1]["type"]) == ("start", "done")
    assert "emulator" in "".join(record.get("text", "") for record in records)


async def test_demo_minds_nothing_of_the_machine() -> None:
    """A broken set-up of the operator's own does not stop the demo."""
    code, _, err = await _run(
        "demo", "--once", "--port", "0",
        AWS_PROFILE="nobody", GATEWAY_MAX_CONCURRENCY="abc", GATEWAY_BEDROCK__AUTH="bearer",
    )  # fmt: skip

    assert code == 0, err


async def test_demo_keeps_serving_until_a_signal() -> None:
    """After its one answer the demo serves what was pasted; a taken port makes it take another."""
    async with _process("demo", "--port", "0") as first:
        url = (await _line(first, "The gateway listens on")).split()[4].rstrip(",")
        await _line(first, '"type":"done"')
        async with _process("demo", "--port", url.rpartition(":")[2]) as second:
            await _line(second, "is in use: taking another")
            await _line(second, '"type":"done"')
        code, out, _ = await _run("chat", "--url", url, "Hello!")
        first.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await first.communicate()

    assert (code, first.returncode) == (0, 0)
    assert "You said: Hello!" in out


async def test_chat(caller: Caller) -> None:
    """`chat` shows the answer's text, and reason, tokens and times at the end."""
    code, out, err = await _run(
        "chat", "--url", caller.url, "--system", "Be brief", "--max-tokens", "500", "Hi"
    )

    assert code == 0
    assert out.startswith("This answer comes from the embedded Bedrock emulator")
    assert err.startswith("[stop · ")


async def test_chat_raw(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    """`chat --raw` prints the records."""
    code = await asyncio.to_thread(cli.main, ["chat", "--url", caller.url, "--raw", "Hi"])

    assert code == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["type"] == "done"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("[[emulator error=ThrottlingException]]", "error upstream_throttled"),
        ("[[emulator cut=6 frames_per_write=1]]", "error upstream_protocol"),
    ],
)
async def test_chat_says_what_failed(prompt: str, words: str, caller: Caller) -> None:
    """A failure before or in the stream is told, and the exit code is 1."""
    code, _, err = await _run("chat", "--url", caller.url, prompt)

    assert code == 1
    assert words in err


async def test_chat_without_a_gateway() -> None:
    """Where nothing listens, chat says so in one line."""
    code, _, err = await _run("chat", "--url", "http://127.0.0.1:9", "Hi")

    assert code == 1
    assert "127.0.0.1:9" in err
    assert "Traceback" not in err


async def test_chat_with_something_else() -> None:
    """A 200 that is not NDJSON is called what it is; escape sequences never reach the terminal."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        writer.write(b'{"type":"text_delta","text":"\\u001b]0;evil\\u0007"}\nhello\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, out, err = await _run("chat", "--url", f"http://127.0.0.1:{port}", "Hi")

    assert code == 1
    assert "not a Bedrock gateway" in err
    assert "\x1b" not in out


async def test_chat_notices_a_cut_stream() -> None:
    """A connection that ends without a terminal record is called cut, not answered."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{"type":"start"}\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, _, err = await _run("chat", "--url", f"http://127.0.0.1:{port}", "Hi")

    assert code == 1
    assert "the stream was cut" in err
