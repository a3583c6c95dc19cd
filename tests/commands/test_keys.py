"""`bedrock-gateway keys`: what it prints, what it stores, and that a running gateway follows."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from gateway import cli
from gateway.identity import key_file
from gateway.settings import CallerSettings
from tests.harness import ask, lines

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import Caller, StartGateway

Captured = pytest.CaptureFixture[str]


@pytest.fixture(name="path")
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keys file of the settings, with one caller."""
    path = tmp_path / "keys.json"
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(path))
    (tmp_path / "gateway.toml").write_text("[callers.team-a]\nmax_streams = 5\n")
    return path


def create(capsys: Captured, *arguments: str) -> str:
    """Make a key."""
    assert cli.main(["keys", "create", *arguments]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def test_create(path: Path, capsys: Captured) -> None:
    """The key alone is on stdout, its digest alone in the file."""
    assert cli.main(["keys", "create", "team-a"]) == 0
    printed = capsys.readouterr()
    key = printed.out.removesuffix("\n")
    [stored] = key_file.read(path)
    assert re.fullmatch(rf"bgw_{stored.id}\.[\w-]{{43}}", key)
    assert (stored.caller, stored.expires, stored.revoked) == ("team-a", None, None)
    assert stored.digest == sha256(key.encode()).digest()
    assert f"Key {stored.id} of team-a; its SHA-256 is in {path}." in printed.err
    assert key not in printed.err


def test_expiry(path: Path, capsys: Captured) -> None:
    """In days from now."""
    create(capsys, "team-a", "--expires-days", "30")
    [stored] = key_file.read(path)
    assert stored.expires == stored.created + timedelta(days=30)
    assert stored.created.tzinfo is not None
    assert cli.main(["keys", "create", "team-a", "--expires-days", "36501"]) == 1
    assert "at most 36500" in capsys.readouterr().err
    capsys.readouterr()
    for days in ("0", "x"):
        with pytest.raises(SystemExit):
            cli.main(["keys", "create", "team-a", "--expires-days", days])
        assert f"'{days}' is not a whole number above 0" in capsys.readouterr().err


def test_list_and_revoke(path: Path, capsys: Captured) -> None:
    """A table; a revoked key stays in it."""
    create(capsys, "team-a")
    key = create(capsys, "team-a", "--expires-days", "1")
    first, second = key_file.read(path)
    assert cli.main(["keys", "revoke", first.id]) == 0
    assert f"Key {first.id} of team-a is revoked" in capsys.readouterr().err
    assert cli.main(["keys", "revoke", key]) == 0, "a whole key is as good as its id"
    revoked = [one.revoked for one in key_file.read(path)]
    assert all(revoked)
    assert cli.main(["keys", "revoke", second.id]) == 0
    assert [one.revoked for one in key_file.read(path)] == revoked
    capsys.readouterr()

    assert cli.main(["keys", "list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["ID", "CALLER", "STATE", "CREATED", "EXPIRES", "REVOKED"]
    assert {(row[0], row[1], row[2]) for row in rows[1:]} == {
        (first.id, "team-a", "revoked"),
        (second.id, "team-a", "revoked"),
    }
    assert {row[4] == "-" for row in rows[1:]} == {True, False}


def test_a_file_named_by_hand(tmp_path: Path, capsys: Captured) -> None:
    """Needs no settings, and asks no one who the callers are."""
    file = str(tmp_path / "other.json")
    (tmp_path / "gateway.toml").write_text("nonsense")
    assert cli.main(["keys", "create", "anybody", "--file", file]) == 0
    warned = capsys.readouterr().err
    assert "whether [callers] has anybody is not known (the settings here cannot be loaded" in warned
    assert cli.main(["keys", "list", "--file", file]) == 0
    assert "anybody  active" in capsys.readouterr().out
    [stored] = key_file.read(tmp_path / "other.json")
    assert cli.main(["keys", "revoke", stored.id, "--file", file]) == 78
    told = capsys.readouterr().err
    assert "is revoked" in told
    assert "Replicas that do not read this file do not know: whether" in told
    assert "not valid TOML" in told, "so that nobody knows whether there is a Redis to be told"


@pytest.mark.usefixtures("path")
def test_a_file_named_by_hand_with_settings(tmp_path: Path, capsys: Captured) -> None:
    """Where they can be loaded, they say whose keys there may be, and whether replicas can be told."""
    file = tmp_path / "other.json"
    assert cli.main(["keys", "create", "team-b", "--file", str(file)]) == 78
    assert "team-b is not in [callers] of the settings, which has team-a" in capsys.readouterr().err
    assert not file.exists()
    create(capsys, "team-a", "--file", str(file))
    [stored] = key_file.read(file)
    assert cli.main(["keys", "revoke", stored.id, "--file", str(file)]) == 0
    told = capsys.readouterr().err
    assert "Replicas that do not read this file do not know: the settings here name no Redis" in told
    (tmp_path / "gateway.toml").write_text("")
    assert cli.main(["keys", "create", "else", "--file", str(file)]) == 0
    assert "is not known (the settings here name no callers)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\n", "x" * 65])
def test_names_that_nobody_has(name: str, tmp_path: Path, capsys: Captured) -> None:
    """They are refused in words, as in the settings."""
    file = tmp_path / "other.json"
    assert cli.main(["keys", "create", name, "--file", str(file)]) == 1
    assert "is no name for a caller: it has 1 to 64 printable characters" in capsys.readouterr().err
    assert not file.exists()


def test_refusals(path: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says what to do."""

    def refused(code: int, *arguments: str) -> str:
        assert cli.main(["keys", *arguments]) == code
        return capsys.readouterr().err

    assert "team-b is not in [callers] of the settings, which has team-a" in refused(78, "create", "team-b")
    assert not path.exists()
    assert "cannot be read" in refused(1, "list")
    assert "no such key" in refused(1, "revoke", "000000000000")
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(tmp_path / "no" / "keys.json"))
    assert "cannot be written (No such file" in refused(1, "create", "team-a")
    monkeypatch.delenv("GATEWAY_KEYS_FILE")
    (tmp_path / "gateway.toml").write_text("")
    assert "no keys file: set keys_file (GATEWAY_KEYS_FILE)" in refused(78, "list")
    (tmp_path / "gateway.toml").write_text("nonsense")
    assert "not valid TOML" in refused(78, "list")


async def status(caller: Caller, key: str) -> int:
    """Ask with a key."""
    status, _, _ = await caller.stream(ask(), Authorization=f"Bearer {key}")
    return status


async def becomes(caller: Caller, key: str, wanted: int) -> None:
    """Ask until the answer is what it is to be."""
    async with asyncio.timeout(60):
        while await status(caller, key) != wanted:  # noqa: ASYNC110 - another process would do no better
            await asyncio.sleep(0.05)


async def test_a_running_gateway_follows(
    emulator: Emulator,
    start: StartGateway,
    path: Path,
    capsys: Captured,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New keys open, revoked ones do not, and neither needs a signal; what is broken changes nothing."""
    monkeypatch.setattr("gateway.identity.watching.SECONDS", 0.02)
    callers = {"team-a": CallerSettings(max_streams=5)}
    async with start(emulator, callers=callers, keys_file=path) as caller:
        key = await asyncio.to_thread(create, capsys, "team-a")
        await becomes(caller, key, 200)
        whole = await asyncio.to_thread(path.read_bytes)
        await asyncio.to_thread(path.write_text, "{")
        async with asyncio.timeout(60):
            while not lines(log, "keys_file_refused"):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.05)
        assert await status(caller, key) == 200
        await asyncio.to_thread(path.write_bytes, whole)
        assert await asyncio.to_thread(cli.main, ["keys", "revoke", key]) == 0
        await becomes(caller, key, 401)
        assert "has been revoked" in str(await caller.stream(ask(), **{"x-api-key": key}))
    assert key not in log.getvalue()
