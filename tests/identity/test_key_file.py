"""The keys file: written whole, by one writer at a time; read again when it changes, broken or not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.admission.caller import Caller
from gateway.errors import Unauthenticated
from gateway.identity import key_file
from gateway.identity.key_file import KeyFile, KeyFileError
from gateway.identity.keys import Keyring, new_key
from tests.harness import ROOT, lines

if TYPE_CHECKING:
    import io

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MADE, OTHER = new_key("a", now=NOW), new_key("stranger", now=NOW, expires=NOW)
DIGEST = sha256(b"x").hexdigest()
RECORD = {"id": "0" * 12, "caller": "a", "sha256": DIGEST, "created": "2026-11-21T12:00:00Z"}


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read; the file is its owner's alone, and nothing else is left beside it."""
    path = tmp_path / "keys.json"
    with key_file.edited(path) as editing:
        editing.keys += [MADE.stored, OTHER.stored._replace(revoked=NOW)]
    assert key_file.read(path) == (MADE.stored, OTHER.stored._replace(revoked=NOW))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]
    assert MADE.key.partition(".")[2] not in path.read_text()


def test_a_failure_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one of the change nor one of the writing; the half-written file goes."""
    path = tmp_path / "keys.json"
    with key_file.edited(path) as editing:
        editing.keys.append(MADE.stored)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), key_file.edited(path) as editing:
        editing.keys = editing.keys[: 1 // 0]

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with (
        pytest.raises(KeyFileError, match="cannot be written \\(No space left"),
        key_file.edited(path) as editing,
    ):
        editing.keys.clear()
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "keys.json"
    link.symlink_to(tmp_path / "there" / "keys.json")
    with key_file.edited(link) as editing:
        editing.keys.append(MADE.stored)
    assert link.is_symlink()
    assert key_file.read(tmp_path / "there" / "keys.json") == (MADE.stored,)


def test_the_owner_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator who is root writes what the gateway's own user can read."""
    path = tmp_path / "keys.json"
    with key_file.edited(path):
        pass
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((0, 0, 0, 0, 65_534, 65_534, 0, 0, 0, 0)))
    with key_file.edited(path):
        pass
    assert given == [(path.stat().st_uid, path.stat().st_gid)]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.identity import key_file
from gateway.identity.keys import new_key
for _ in range(10):
    with key_file.edited(Path(sys.argv[1])) as editing:
        editing.keys.append(new_key("a", now=datetime.now(UTC)).stored)
"""


def test_several_writers(tmp_path: Path) -> None:
    """None overwrites what another has just written."""
    path = tmp_path / "keys.json"
    writers = [
        subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", WRITER, str(path)], env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        for _ in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(key_file.read(path)) == 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ('{"version":2,"keys":[]}', "version: Input should be 1"),
        ('{"version":1}', "keys: Field required"),
        ('{"version":1,"keys":[{}]}', "keys.0.id: Field required"),
        (json.dumps({"version": 1, "keys": [RECORD | {"sha256": "CANARY"}]}), "keys.0.sha256: String should"),
        (json.dumps({"version": 1, "keys": [RECORD | {"id": "CANARY"}]}), "keys.0.id: String should match"),
        (json.dumps({"version": 1, "keys": [RECORD | {"created": "2026-11-21T12:00:00"}]}), "timezone"),
        (json.dumps({"version": 1, "keys": [RECORD | {"key": "CANARY"}]}), "keys.0.key: Extra inputs"),
        (json.dumps({"version": 1, "keys": [RECORD, RECORD]}), "an id is there twice"),
        ("\udcff", "Invalid JSON"),
    ],
)
def test_broken(tmp_path: Path, text: str, words: str) -> None:
    """It is said where, without a word of what may be a key."""
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KeyFileError, match=words) as refused:
        key_file.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "CANARY" not in str(refused.value)


def test_not_to_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, no file, too large."""
    with pytest.raises(KeyFileError, match="cannot be read \\(No such file"):
        key_file.read(tmp_path / "none.json")
    with pytest.raises(KeyFileError, match="cannot be read \\(Is a directory"):
        key_file.read(tmp_path)
    monkeypatch.setattr(key_file, "MAX_BYTES", 10)
    (tmp_path / "large.json").write_text('{"version":1,"keys":[]}')
    with pytest.raises(KeyFileError, match="larger than 10 bytes"):
        key_file.read(tmp_path / "large.json")


async def test_a_gateway_reads_it_again(tmp_path: Path, log: io.StringIO) -> None:
    """Each change once; a broken one, or none at all, keeps the keys there were."""
    path, ring = tmp_path / "keys.json", Keyring({"a": Caller("a")}, [])
    file = KeyFile(path, ring)
    await file.open()
    assert lines(log, "no_keys_file")
    await file.look()
    with key_file.edited(path) as editing:
        editing.keys += [MADE.stored, OTHER.stored]
    await file.look()
    assert ring.find(MADE.key.encode(), "x") == Caller("a")
    assert lines(log, "keys_of_nobody")[0]["callers"] == ["stranger"]

    path.write_text("{")
    for _ in range(2):
        await file.look()
    assert len(lines(log, "keys_file_refused")) == 1
    path.unlink()
    await file.look()
    assert len(lines(log, "keys_file_refused")) == 2
    assert ring.find(MADE.key.encode(), "x") == Caller("a")

    with key_file.edited(path):
        pass
    await file.look()
    assert ring.find(MADE.key.encode(), "x") is None
    assert [line["keys"] for line in lines(log, "keys_read")] == [2, 0]


async def test_one_that_cannot_be_read_now(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read as soon as it can be, though it does not change again: it may revoke a key. Told of once."""
    path, ring = tmp_path / "keys.json", Keyring({"a": Caller("a")}, [])
    with key_file.edited(path) as editing:
        editing.keys.append(MADE.stored)
    file = KeyFile(path, ring)
    await file.open()
    with key_file.edited(path) as editing:
        editing.keys[0] = MADE.stored._replace(revoked=NOW)

    def fails(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fails)
        for _ in range(2):
            await file.look()
    assert ring.find(MADE.key.encode(), "x") == Caller("a")
    assert [line["reason"] for line in lines(log, "keys_file_refused")] == [
        f"{path}: cannot be read (Too many open files); the keys of before stay"
    ]
    await file.look()
    with pytest.raises(Unauthenticated, match="revoked"):
        ring.find(MADE.key.encode(), "x")


async def test_a_broken_one_is_no_beginning(tmp_path: Path) -> None:
    """Who starts with it is told so; what cannot be looked for is not taken for what is not there."""
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="Not a directory"):
        await KeyFile(tmp_path / "file" / "keys.json", Keyring({}, [])).open()
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(KeyFileError, match="Invalid JSON"):
        await KeyFile(tmp_path / "keys.json", Keyring({}, [])).open()
