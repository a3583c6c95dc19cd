"""`python -m tests.benchmarks.counts`: what a request makes Python do, counted, and its ceilings.

No time is measured, so CI can hold a commit to it: the calls, of Python and of C functions, that the code of
the gateway and of its libraries makes for a stream of 16 and of 512 deltas, and for Claude's in each of the
ways that have the least to do, and the bytes that an open stream holds. The event loop's own calls are left
out, because their number depends on when things happen; of several requests the cheapest counts, because a
timer of the gateway may fall into one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tracemalloc
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from socket import create_connection
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

import gateway
from gateway import app
from gateway.emulator import Emulator, EmulatorSettings
from gateway.observability import logging
from gateway.settings import AwsSettings, MetricsSettings, Settings
from tests.benchmarks import lockstep
from tests.benchmarks.dialects import APIS, NATIVE
from tests.benchmarks.load import HOST
from tests.benchmarks.lockstep import Asked, FarEnd, Stream
from tests.benchmarks.scenarios import CLAUDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import FrameType

CEILINGS: Final = Path(__file__).with_name("ceilings.json")
HEADROOM: Final = 1.03
SHORT, LONG = 16, 512
WAYS: Final = (NATIVE, "Anthropic messages", "Bedrock")
"""How Claude is asked, the last two in its own words."""
CLAUDES: Final = f"calls of Claude's stream of {SHORT} deltas in one piece, {{}}"
WARM_UP: Final = 3
REQUESTS: Final = 5
STREAMS: Final = 20
_OURS: Final = (str(Path(gateway.__file__).parent), f"{os.sep}site-packages{os.sep}")


class _Profile:
    """Counts calls made by, and of, code that is neither the standard library's nor ours."""

    def __init__(self) -> None:
        self.calls = 0
        self._known: dict[str, bool] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Be told of a call or a return by the interpreter."""
        name = frame.f_code.co_filename
        counts = self._known.get(name)
        if counts is None:
            counts = self._known[name] = any(part in name for part in _OURS)
        if counts and (event in {"call", "c_call"}):
            self.calls += 1


async def measure() -> dict[str, int]:
    """Return the counts of the code as it is."""
    with ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))  # noqa: ASYNC230 - which blocks nobody
        logging.configure(level="info", json=True, stream=nowhere)
        far_end = stack.enter_context(FarEnd())
        async with Emulator(EmulatorSettings(verify_signatures=False)) as emulator:
            port = int(emulator.url.rpartition(":")[2])
            short = await asyncio.to_thread(lockstep.pieces_of, port, SHORT)
            long = await asyncio.to_thread(lockstep.pieces_of, port, LONG)
            claude = await asyncio.to_thread(lockstep.pieces_of, port, SHORT, CLAUDE, 2 * SHORT)
        async with _gateway(far_end) as port:
            calls = [
                await _calls(port, far_end, pieces, deltas)
                for pieces, deltas in ((short, SHORT), (long, LONG))
            ]
            ways = {
                CLAUDES.format(name): await _calls(port, far_end, claude, SHORT, Asked(APIS[name], CLAUDE))
                for name in WAYS
            }
            held = await _bytes_held(port, far_end, short)
    return {
        f"calls of a stream of {SHORT} deltas": calls[0],
        f"calls of a stream of {LONG} deltas": calls[1],
        **ways,
        "bytes held by an open stream": held,
    }


@asynccontextmanager
async def _gateway(far_end: FarEnd) -> AsyncIterator[int]:
    keys = EmulatorSettings()
    settings = Settings(
        port=0,
        metrics=MetricsSettings(port=0),
        aws=AwsSettings(
            access_key_id=SecretStr(keys.access_key_id),
            secret_access_key=SecretStr(keys.secret_access_key),
            region=keys.region,
            endpoint_url=f"http://{HOST}:{far_end.port}",
        ),
    )
    async with app.running(settings) as running:
        yield int(running.url.rpartition(":")[2])


async def _calls(
    port: int, far_end: FarEnd, pieces: list[bytes], deltas: int, asked: Asked = lockstep.NATIVE
) -> int:
    await asyncio.to_thread(lockstep.ask, port, far_end, pieces, deltas, WARM_UP, asked)
    counted: list[int] = []
    for _ in range(REQUESTS):
        profile = _Profile()
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            await asyncio.to_thread(lockstep.ask, port, far_end, pieces, deltas, 1, asked)
        finally:
            sys.setprofile(before)
        counted.append(profile.calls)
    return min(counted)


async def _bytes_held(port: int, far_end: FarEnd, pieces: list[bytes]) -> int:
    """Return the memory of an open stream that has brought its first piece, of all that Python allocated."""
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        return await asyncio.to_thread(_held, port, far_end, pieces, before)
    finally:
        tracemalloc.stop()


def _held(port: int, far_end: FarEnd, pieces: list[bytes], before: int) -> int:
    with ExitStack() as stack:
        streams = []
        for _ in range(STREAMS):
            caller = stack.enter_context(create_connection((HOST, port), timeout=60))
            stream = Stream(caller, far_end, pieces, SHORT)
            stream.step()
            streams.append(stream)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        for stream in streams:
            while stream.step():
                pass
            stream.check(SHORT)
    return (held - before) // STREAMS


def ceilings() -> dict[str, int]:
    """Return what may not be exceeded."""
    found: dict[str, int] = json.loads(CEILINGS.read_bytes())
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the counts beside their ceilings and return 1 if one is exceeded; `--write` makes new ones."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.counts", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write ceilings, {HEADROOM - 1:.0%}% above")
    options = parser.parse_args(arguments)
    counts = asyncio.run(measure())
    if options.write:
        document: dict[str, Any] = {name: round(count * HEADROOM) for name, count in counts.items()}
        CEILINGS.write_text(json.dumps(document, indent=2) + "\n")
    allowed = ceilings()
    for name, count in counts.items():
        sys.stdout.write(f"{name}: {count}, at most {allowed[name]}\n")
    return int(any(count > allowed[name] for name, count in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
