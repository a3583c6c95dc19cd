"""`python -m tests.benchmarks.dialects`: what each dialect costs beside the native stream, in one run.

One gateway is asked in each of its dialects in turn, for the same answers. Claude's Messages and Bedrock's
own API are passed on without translation (their short ways) where the model speaks them.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from tests.benchmarks import measure, scenarios, subjects
from tests.benchmarks.apis import BedrockApi, ChatApi, NativeApi
from tests.benchmarks.cpu import pinned
from tests.benchmarks.load import StreamFailedError, encode_post
from tests.benchmarks.record import about
from tests.benchmarks.scenarios import BURST_CLAUDE, BURST_CONVERSE, CLAUDE, LLAMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tests.benchmarks.apis import Api
    from tests.benchmarks.measure import Result

TRANSLATED: Final = 1.3
SHORT: Final = 1.0
"""The bars: times the native stream."""
REPETITIONS: Final = 25
PAGE: Final = Path(__file__).with_name("DIALECTS.md")
_MODELS = {BURST_CLAUDE: CLAUDE, BURST_CONVERSE: LLAMA}
_HI = 4096


class EventsApi:
    """Server-sent events whose records have a type: how many of one type there are, and which is last."""

    def __init__(self, path: str, delta: bytes, last: bytes, text: bytes) -> None:
        self.text = re.compile(text)
        self._path = path
        self._delta = b"event: %b\n" % delta
        self._last = b"event: %b\n" % last

    def request(self, model: str, prompt: str) -> bytes:
        """Return the bytes of the HTTP request."""
        body: dict[str, object] = {"model": model, "stream": True}
        if self._path == "/v1/messages":
            body |= {"max_tokens": _HI, "messages": [{"role": "user", "content": prompt}]}
        else:
            body["input"] = prompt
        return encode_post(self._path, orjson.dumps(body))

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless all deltas are there and the last event is the right one."""
        counted = body.count(self._delta)
        if counted != deltas or not body[body.rfind(b"event: ") :].startswith(self._last):
            raise StreamFailedError(f"{counted} of {deltas} deltas, the end is {body[-200:]!r}")


@dataclass(frozen=True, slots=True)
class OpenAiApi(ChatApi):
    """As other gateways are asked, but for the model, which is in the body."""

    def request(self, model: str, prompt: str) -> bytes:
        """Return the bytes of the HTTP request."""
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
        return encode_post("/v1/chat/completions", orjson.dumps(body))


NATIVE: Final = "native"
APIS: Final[dict[str, Api]] = {
    NATIVE: NativeApi(),
    "OpenAI chat": OpenAiApi(lambda _: b""),
    "OpenAI responses": EventsApi(
        "/v1/responses", b"response.output_text.delta", b"response.completed", rb"output_text\.delta"
    ),
    "Anthropic messages": EventsApi(
        "/v1/messages", b"content_block_delta", b"message_stop", rb"content_block_delta"
    ),
    "Bedrock": BedrockApi(),
}
SHORT_WAYS: Final = frozenset(
    {(BURST_CLAUDE, "Anthropic messages"), (BURST_CLAUDE, "Bedrock"), (BURST_CONVERSE, "Bedrock")}
)


class Cost(NamedTuple):
    """One dialect in one scenario: CPU µs, and how that compares with the native stream of the same run."""

    scenario: str
    dialect: str
    per_request: float
    per_delta: float
    of_native_request: float
    of_native_delta: float
    bar: float

    @property
    def met(self) -> bool:
        """Whether both are within the bar."""
        return self.of_native_request <= self.bar and self.of_native_delta <= self.bar


async def costs(names: Sequence[str], *, quick: bool) -> list[Cost]:
    """Measure these dialects, and the native one.

    Raises:
        StreamFailedError: a stream was not whole.
        StartError: the gateway or the emulator did not start.
    """
    cores = subjects.choose_cores()
    table = scenarios.QUICK if quick else scenarios.DEFAULT
    chosen = [scenario for scenario in table if scenario.name in _MODELS]
    with pinned({cores.others}):
        async with AsyncExitStack() as stack:
            scratch = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-bench-")))
            upstream = await stack.enter_async_context(subjects.emulator(cores, scratch))
            gateway = await stack.enter_async_context(subjects.gateway(upstream.port, cores, scratch))
            asked = [
                replace(gateway, name=name, api=api) for name, api in APIS.items() if name in {NATIVE, *names}
            ]
            times = 3 if quick else REPETITIONS
            samples = await measure.measure(upstream, asked, chosen, times, _progress)
    found = {(result.scenario, result.subject): result for result in measure.results(samples)}
    return [_cost(found, *key) for key in found]


def _cost(found: dict[tuple[str, str], Result], scenario: str, dialect: str) -> Cost:
    own, native = found[scenario, dialect], found[scenario, NATIVE]
    pairs = list(zip(own.repetitions, native.repetitions, strict=True))
    return Cost(
        scenario,
        dialect,
        own.line.per_request,
        own.line.per_delta,
        median(mine.per_request / theirs.per_request for mine, theirs in pairs),
        median(mine.per_delta / theirs.per_delta for mine, theirs in pairs),
        SHORT if (scenario, dialect) in SHORT_WAYS else TRANSLATED,
    )


def markdown(found: Sequence[Cost]) -> str:
    """Return what was found as a table."""
    lines = [
        "| answer | dialect | µs a request | of native | µs a delta | of native | bar | met |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for cost in found:
        request = f"{cost.per_request:.0f} | {cost.of_native_request:.2f}"
        delta = f"{cost.per_delta:.2f} | {cost.of_native_delta:.2f}"
        met = "yes" if cost.met else "**no**"
        lines.append(f"| {cost.scenario} | {cost.dialect} | {request} | {delta} | {cost.bar:.1f} | {met} |")
    return "\n".join(lines) + "\n"


def published(found: Sequence[Cost], told: Mapping[str, Any]) -> str:
    """Return the page that `--publish` writes; `told` are the circumstances, as `record.about` has them."""
    machine = told["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    return f"""# What each dialect costs

Written by `python -m tests.benchmarks.dialects --publish`: CPU time of one gateway that is asked in each of
its dialects for the same answers, beside its native stream of the same run; medians of {REPETITIONS}.

{told["date"]}, {machine["cores"]} × {machine["cpu"]}, {versions}

{markdown(found)}"""


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show; the exit code is 1 where a stream failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dialects", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--publish", action="store_true", help="write DIALECTS.md")
    parser.add_argument("--dialects", nargs="+", choices=list(APIS), default=list(APIS), metavar="NAME")
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(costs(options.dialects, quick=options.quick))
    except StreamFailedError as error:
        sys.stderr.write(f"a stream failed, so nothing was measured: {error}\n")
        return 1
    sys.stdout.write(markdown(found))
    if options.publish:
        circumstances = about("", subjects.choose_cores(), [subjects.GATEWAY], [])
        PAGE.write_text(published(found, circumstances))
    return 0


if __name__ == "__main__":
    sys.exit(main())
