"""`python -m gateway.emulator`: the emulator in a process of its own, for benchmarks and by hand.

Says where it listens in one line of JSON on standard output, and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator import directives
from gateway.emulator.errors import CODES
from gateway.emulator.guardrails import Guardrail
from gateway.emulator.quotas import Quota, read_quota
from gateway.emulator.server import Emulator
from gateway.emulator.settings import EmulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def parse_arguments(arguments: Sequence[str]) -> EmulatorSettings:
    """Return the settings that a command line asks for; exits with a message if it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.emulator",
        description=__doc__,
        epilog=directives.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, kind, meaning in (
        ("--host", str, "address to listen on"),
        ("--port", int, "port to listen on, 0 for any"),
        ("--region", str, "region that requests are signed for"),
        ("--access-key-id", str, "the one access key that is accepted"),
        ("--secret-access-key", str, "its secret"),
        ("--session-token", str, "the session token that requests must carry"),
        ("--bearer-token", str, "the one API key that is accepted"),
        ("--deltas", int, "text deltas of an answer"),
        ("--delta-chars", int, "characters of a delta, 0 for one word"),
        ("--reasoning", int, "reasoning deltas where thinking is on"),
        ("--pace-ms", float, "milliseconds before each delta"),
        ("--first-byte-ms", float, "milliseconds before the headers"),
        ("--frames-per-write", int, "frames in one write, 0 for all"),
        ("--cache-minimum-tokens", int, "tokens from which the beginning of a prompt is cached"),
        (
            "--guardrails",
            read_guardrails,
            'JSON: {"id": {"words": ["blocked"], "regexes": {"name": "masked"}}}',
        ),
        ("--refusals", read_refusals, 'JSON: {"model id": ["error code", "message"]}'),
        ("--quotas", read_quotas, 'JSON: {"pattern of model ids": {"tokens_per_minute": 200000}}'),
        ("--abandoned", read_billed, "what is billed of an answer that is left: whole or generated"),
        ("--team-key", str, "key of a request's metadata that says whose it is"),
        ("--date-offset-s", float, "seconds that its clock is ahead"),
        ("--recordings", Path, "folder of recordings to replay"),
    ):
        parser.add_argument(name, type=kind, help=meaning, default=argparse.SUPPRESS)
    parser.add_argument(
        "--no-verify-signatures",
        dest="verify_signatures",
        action="store_false",
        default=argparse.SUPPRESS,
        help="take requests from anybody",
    )
    return EmulatorSettings(**vars(parser.parse_args(arguments)))


def read_refusals(text: str) -> dict[str, tuple[str, str]]:
    """Return what `--refusals` says.

    Raises:
        ArgumentTypeError: it is not that JSON, or names an error that Bedrock does not have.
    """
    try:
        refusals = {model: (code, str(message)) for model, (code, message) in orjson.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError('should be {"model id": ["error code", "message"]}') from error
    unknown = sorted({code for code, _ in refusals.values()} - CODES)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such error codes: {', '.join(unknown)}")
    return refusals


def read_billed(text: str) -> str:
    """Return what `--abandoned` says.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if text not in {"whole", "generated"}:
        raise argparse.ArgumentTypeError(f"whole or generated, not {text!r}")
    return text


def read_quotas(text: str) -> dict[str, Quota]:
    """Return what `--quotas` says.

    Raises:
        ArgumentTypeError: it is not that JSON.
    """
    try:
        return {pattern: read_quota(one) for pattern, one in orjson.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"no quotas: {error}") from error


def read_guardrails(text: str) -> dict[str, Guardrail]:
    """Return what `--guardrails` says.

    Raises:
        ArgumentTypeError: it is not that JSON.
    """
    try:
        return {
            name: Guardrail(
                words=tuple(map(str, one.get("words", ()))),
                regexes={k: str(v) for k, v in one.get("regexes", {}).items()},
            )
            for name, one in orjson.loads(text).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError('should be {"id": {"words": [...], "regexes": {...}}}') from error


async def serve(settings: EmulatorSettings, announce: Callable[[str], Any]) -> None:
    """Run an emulator until a signal ends it; `announce` gets the line of JSON."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, ended.set)
    try:
        async with Emulator(settings) as emulator:
            announce(orjson.dumps({"url": emulator.url, "region": settings.region}).decode())
            await ended.wait()
    finally:
        for number in _ENDING:
            loop.remove_signal_handler(number)


def announce_on_stdout(line: str) -> None:
    """Write the line at once: whoever started this process waits for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run by the command line's arguments."""
    asyncio.run(serve(parse_arguments(sys.argv[1:] if arguments is None else arguments), announce_on_stdout))


if __name__ == "__main__":
    main()
