"""`bedrock-gateway check`: does this set-up work, and if not, what is to be done?"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import orjson

from gateway import __version__, composition
from gateway.diagnosis.examination import Plan, examine
from gateway.diagnosis.results import Result
from gateway.observability import logging
from gateway.settings import SettingsError, config_file, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.diagnosis.results import Status

EXIT_OK, EXIT_FAILED = 0, 1
EXIT_CONFIG = 78
"""`EX_CONFIG` of sysexits.h, as `serve` ends with the same settings."""
COLOURS: dict[Status, str] = {"ok": "32", "warn": "33", "fail": "31", "skipped": "2"}
WIDEST_NAME = 48


def run(*, models: Sequence[str], calls: bool, json: bool) -> int:
    """Look at everything once and tell; return the exit code: 0 without failures, 78 for broken settings."""
    logging.configure(level="error", json=not sys.stderr.isatty(), stream=sys.stderr)
    results = asyncio.run(_results(Plan(models=tuple(dict.fromkeys(models)), calls=calls)))
    code = _verdict(results)
    sys.stdout.write(_machine(results, code) if json else table(results, colours=sys.stdout.isatty()))
    return code


async def _results(plan: Plan) -> list[Result]:
    try:
        settings = load()
        composition.build_router(settings)
        read = Result("settings", "ok", f"{config_file() or 'no gateway.toml'}, and the environment")
        return [
            read,
            *await examine(settings, lambda region: composition.build_router(settings, region), plan),
        ]
    except (SettingsError, composition.StartError) as error:
        advice = "correct it in gateway.toml or in the environment; nothing else was looked at"
        return [Result("settings", "fail", " ".join(problem.split()), advice) for problem in error.problems]


def _verdict(results: list[Result]) -> int:
    failed = {result.name for result in results if result.status == "fail"}
    if "settings" in failed:
        return EXIT_CONFIG
    return EXIT_FAILED if failed else EXIT_OK


def _machine(results: list[Result], code: int) -> str:
    whole = {"ok": code == EXIT_OK, "exit_code": code, "version": __version__, "checks": results}
    return orjson.dumps(whole).decode() + "\n"


def table(results: list[Result], *, colours: bool) -> str:
    """Return a line for each result, in columns, and its advice below it."""
    wide = min(max(len(result.name) for result in results), WIDEST_NAME)
    lines = []
    for result in results:
        status = f"{result.status:7}"
        if colours:
            status = f"\x1b[{COLOURS[result.status]}m{status}\x1b[0m"
        lines.append(f"{status}  {result.name:{wide}}  {result.message}")
        lines += [f"{'':7}  → {result.advice}"] if result.advice else []
        lines += [f"{'':7}    it was said: {result.said}"] if result.said else []
    failed = sum(result.status == "fail" for result in results)
    warned = sum(result.status == "warn" for result in results)
    lines += ["", f"{len(results)} checks: {failed} failed, {warned} with a warning"]
    return "\n".join(lines) + "\n"
