"""`python -m tests.benchmarks.delta`: what a delta costs in the gateway's own code, without sockets.

From the bytes of a read to the bytes of the caller's records: frames, payloads, events, accounts, NDJSON. The
answers are the emulator's; what is told is CPU time of this process, the least of some runs, since whatever
else the machine does can only add to it. `--quick` is a look, for the impatient and for the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import orjson

from gateway.bedrock.reader import StreamReader
from gateway.catalog.catalog import Catalog
from gateway.codecs import CODECS
from gateway.dialects.native_stream import NDJSON
from gateway.emulator.directives import defaults
from gateway.emulator.operations import Account, Asked, reply_to
from gateway.emulator.replay import split_frames
from gateway.emulator.settings import EmulatorSettings
from gateway.pipeline import CompletionStream
from gateway.timing import Timing
from gateway.upstream import UpstreamCall
from tests.benchmarks.scenarios import CLAUDE, LLAMA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.catalog.model import Family

DELTAS = 384
READ = 65_536
"""Bytes of a read in a burst: what asyncio reads at most."""
SUBJECTS: tuple[tuple[Family, str], ...] = (("claude", CLAUDE), ("converse", LLAMA))
_US = 1e6


class Cost(NamedTuple):
    """CPU µs: of an answer but for its deltas, of a delta in a burst, of one that comes alone."""

    family: Family
    answer: float
    burst: float
    alone: float


class Recorded:
    """An answer that has come already, cut into reads."""

    request_id = None
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, reader: StreamReader, reads: Sequence[bytes]) -> None:
        self.reader = reader
        self._reads = iter(reads)
        self._left = len(reads)

    @property
    def at_end(self) -> bool:
        """Whether that was the last read."""
        return not self._left

    async def read(self) -> bytes:
        """Return the next one."""
        self._left -= 1
        return next(self._reads)

    async def forward(self, take: Callable[[bytes], bool]) -> None:
        """Push all of them but the last."""
        while self._left > 1 and take(await self.read()):
            pass


def answer_of(model: str, deltas: int) -> bytes:
    """Return the bytes of the emulator's streamed answer."""
    text = f"[[emulator deltas={deltas} frames_per_write=0]] Hello"
    if model == CLAUDE:
        operation, content = "invoke-with-response-stream", [{"type": "text", "text": text}]
    else:
        operation, content = "converse-stream", [{"text": text}]
    body: dict[str, object] = {"messages": [{"role": "user", "content": content}]}
    if model == CLAUDE:
        body |= {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096}
    asked = Asked(operation, model, orjson.dumps(body))
    account = Account(usual=defaults(EmulatorSettings()))
    return b"".join(write.data for write in reply_to(asked, body, account).writes)


def call_of(model: str) -> UpstreamCall:
    """Return a call for the model; what it asks is of no account here."""
    return UpstreamCall(Catalog(region="us-east-1").resolve(model), b"", {})


async def relay(family: Family, call: UpstreamCall, reads: Sequence[bytes]) -> bytes:
    """Return what a caller is sent of these reads."""
    reader = StreamReader(CODECS[family].extractor(), enveloped=family != "converse")
    stream = CompletionStream(call, Recorded(reader, reads), Timing())
    records: list[bytes] = []
    while (batch := await stream.next_batch()) is not None:
        records.append(NDJSON.events(batch))
    return b"".join(records)


def measure(family: Family, model: str, *, repetitions: int, loops: int) -> Cost:
    """Return what the answers of this model cost."""
    call = call_of(model)
    none, many = answer_of(model, 0), answer_of(model, DELTAS)
    burst = [many[start : start + READ] for start in range(0, len(many), READ)]

    def costs(reads: Sequence[bytes], times: int) -> float:
        return _least(lambda: asyncio.run(_repeat(family, call, reads, times)), repetitions) / times

    empty = costs([none], loops * 10)
    return Cost(
        family,
        empty,
        (costs(burst, loops) - empty) / DELTAS,
        (costs(list(split_frames(many)), loops) - empty) / DELTAS,
    )


async def _repeat(family: Family, call: UpstreamCall, reads: Sequence[bytes], times: int) -> None:
    for _ in range(times):
        await relay(family, call, reads)


def _least(run: Callable[[], None], repetitions: int) -> float:
    took: list[float] = []
    for _ in range(repetitions):
        start = time.process_time()
        run()
        took.append(time.process_time() - start)
    return min(took) * _US


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.delta", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(arguments).quick
    repetitions, loops = (2, 2) if quick else (11, 20)
    sys.stdout.write("CPU µs      an answer  a delta in a burst  a delta alone\n")
    for family, model in SUBJECTS:
        cost = measure(family, model, repetitions=repetitions, loops=loops)
        sys.stdout.write(f"{family:10}{cost.answer:11.1f}{cost.burst:20.2f}{cost.alone:15.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
