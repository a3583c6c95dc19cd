"""`bedrock-gateway keys`: make, list and revoke API keys in the keys file.

A key is printed once, alone on stdout; what is said about it goes to stderr. Running gateways read the file
again by themselves.
"""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.identity import key_file
from gateway.identity.keys import new_key
from gateway.settings import SettingsError, load, name_problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gateway.identity.keys import StoredKey
    from gateway.settings import Settings

EXIT_OK, EXIT_FAILED, EXIT_CONFIG = 0, 1, 78
_KEY: Final = re.compile(r"bgw_([0-9a-f]{12})\..*", re.DOTALL)
_MAX_DAYS: Final = 36_500
_UNTOLD: Final = "Replicas that do not read this file do not know"


class _Refused(Exception):
    """The words say what cannot be done and why; `code` is the exit code."""

    def __init__(self, words: str, code: int = EXIT_FAILED) -> None:
        super().__init__(words)
        self.code = code


def run(options: argparse.Namespace) -> int:
    """Do one task and return its exit code."""
    tasks = {"create": _create, "list": _list, "revoke": _revoke}
    try:
        # a file named by hand needs no settings: an administrator may keep it elsewhere
        tasks[options.task](options, None if options.file else load())
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return EXIT_CONFIG
    except key_file.KeyFileError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    except _Refused as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    return EXIT_OK


def _path(options: argparse.Namespace, settings: Settings | None) -> Path:
    if settings is None:
        return Path(options.file)
    if settings.keys_file is None:
        raise _Refused(
            "no keys file: set keys_file (GATEWAY_KEYS_FILE) for the gateway too, or give --file", EXIT_CONFIG
        )
    return settings.keys_file


def _check_caller(name: str, settings: Settings | None) -> None:
    """Refuse a name that is nobody's; with `--file` only where there are settings that have others."""
    if (problem := name_problem(name)) is not None:
        raise _Refused(problem)
    reason = "the settings here name no callers"
    if settings is not None:
        known = settings.callers
    else:
        try:
            known = load().callers
        except SettingsError as error:
            known, reason = {}, f"the settings here cannot be loaded: {error}"
        if not known:
            sys.stderr.write(
                f"Warning: whether [callers] has {name} is not known ({reason}); without it the key opens "
                "nothing.\n"
            )
            return
    if name not in known:
        listed = ", ".join(sorted(known)) or "nobody"
        raise _Refused(f"{name} is not in [callers] of the settings, which has {listed}", EXIT_CONFIG)


def _create(options: argparse.Namespace, settings: Settings | None) -> None:
    path = _path(options, settings)
    _check_caller(options.caller, settings)
    days, now = options.expires_days, datetime.now(UTC).replace(microsecond=0)
    if days is not None and days > _MAX_DAYS:
        raise _Refused(f"--expires-days is at most {_MAX_DAYS}")
    made = new_key(options.caller, now=now, expires=None if days is None else now + timedelta(days=days))
    with key_file.edited(path) as editing:
        editing.keys.append(made.stored)
    until = "" if made.stored.expires is None else f", until {made.stored.expires:%Y-%m-%d %H:%M} UTC"
    sys.stderr.write(
        f"Key {made.stored.id} of {made.stored.caller}{until}; its SHA-256 is in {path}.\n"
        "This is the key itself. It is stored nowhere, and shown this once:\n"
    )
    sys.stderr.flush()
    sys.stdout.write(f"{made.key}\n")


def _list(options: argparse.Namespace, settings: Settings | None) -> None:
    sys.stdout.write(_table(key_file.read(_path(options, settings)), datetime.now(UTC)))


def _revoke(options: argparse.Namespace, settings: Settings | None) -> None:
    path = _path(options, settings)
    whole = _KEY.fullmatch(options.id)  # somebody pastes the key: it has been shown to a shell's history now
    identifier = options.id if whole is None else whole[1]
    with key_file.edited(path) as editing:
        places = [place for place, key in enumerate(editing.keys) if key.id == identifier]
        if not places:
            raise _Refused(f"no such key in {path}: `keys list` shows their ids")
        [place] = places
        key = editing.keys[place]
        if key.revoked is None:
            editing.keys[place] = key._replace(revoked=datetime.now(UTC).replace(microsecond=0))
        revoked = [key.id for key in editing.keys if key.revoked is not None]
    sys.stderr.write(f"Key {key.id} of {key.caller} is revoked; gateways with this file know in seconds.\n")
    try:
        known = settings or load()
    except SettingsError:
        sys.stderr.write(
            f"{_UNTOLD}: whether there is a Redis that tells them is in settings that cannot be loaded:\n"
        )
        raise
    _tell_replicas(known, revoked)


def _tell_replicas(settings: Settings, revoked: Sequence[str]) -> None:
    """Put all of them into Redis, where there is one: what it has missed before it learns now."""
    if settings.redis.url is None:
        sys.stderr.write(
            f"{_UNTOLD}: the settings here name no Redis (redis.url, GATEWAY_REDIS__URL) that tells them.\n"
        )
        return
    from gateway.identity import revocations  # noqa: PLC0415 - needs redis-py

    url, prefix = settings.redis.url.get_secret_value(), settings.redis.prefix
    try:
        asyncio.run(revocations.publish(url, prefix, revoked))
    except revocations.PublishError as error:
        words = "Redis could not be told: gateways with another copy of the file may still take the key"
        raise _Refused(f"{words} ({error}); run this again") from error
    sys.stderr.write("Redis knows it, too: so do all gateways that share it.\n")


def _table(keys: Sequence[StoredKey], now: datetime) -> str:
    """Return a line for each key, in columns, below their names."""
    rows: list[tuple[str, ...]] = [("ID", "CALLER", "STATE", "CREATED", "EXPIRES", "REVOKED")]
    rows += [
        (key.id, key.caller, key.state(now), *map(_day, (key.created, key.expires, key.revoked)))
        for key in sorted(keys, key=lambda key: (key.caller, key.created, key.id))
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in rows
    )


def _day(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
