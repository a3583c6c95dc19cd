"""The keys file: JSON with a digest of each key, written whole or not at all, read again when it changes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gateway.identity.keys import ID, StoredKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.identity.keys import Keyring

MAX_BYTES: Final = 64 * 1024 * 1024
"""Of a keys file: some 300,000 keys."""


class KeyFileError(Exception):
    """The keys file cannot be used; the words say which, where and why, and hold nothing of a key."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=rf"^{ID.pattern}$")]
    caller: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    version: Literal[1]
    keys: tuple[_Record, ...]


def read(path: Path) -> tuple[StoredKey, ...]:
    """Return the keys of a file.

    Raises:
        KeyFileError: it cannot be read, or is no such file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise KeyFileError(f"{path}: is larger than {MAX_BYTES} bytes")
    try:
        document = _Document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise KeyFileError(f"{path}: {place + ': ' if place else ''}{first['msg']}") from None
    keys = tuple(
        StoredKey(one.id, one.caller, bytes.fromhex(one.sha256), one.created, one.expires, one.revoked)
        for one in document.keys
    )
    if len({key.id for key in keys}) < len(keys):
        raise KeyFileError(f"{path}: an id is there twice")
    return keys


class Editing:
    """The keys of a file while nobody else writes it; what is in `keys` at the end is what it holds."""

    def __init__(self, keys: Sequence[StoredKey]) -> None:
        self.keys = list(keys)


@contextmanager
def edited(path: Path) -> Iterator[Editing]:
    """Change a keys file; one that is not there begins empty. A failure within the block changes nothing.

    Raises:
        KeyFileError: it cannot be read or written.
    """
    path = path.resolve()  # or a link would be replaced in place of what it leads to
    try:
        with _locked(path):
            editing = Editing(read(path) if path.exists() else ())
            yield editing
            _write(path, editing.keys)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for other writers; the lock is a file of its own, for the other one is replaced."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, keys: Sequence[StoredKey]) -> None:
    """Put a whole new file in the place of the old one, for its owner alone."""
    records = tuple(
        _Record(
            id=key.id, caller=key.caller, sha256=key.digest.hex(),
            created=key.created, expires=key.expires, revoked=key.revoked,
        )
        for key in keys
    )  # fmt: skip
    text = _Document(version=1, keys=records).model_dump_json(indent=1, exclude_none=True) + "\n"
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            _keep_owner(path, file.fileno())
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # else a crash of the machine may bring the old file back, with a revoked key
    finally:
        os.close(directory)


def _keep_owner(path: Path, descriptor: int) -> None:
    """Who runs the gateway must be able to read what root has written."""
    if path.exists():
        old, new = path.stat(), os.fstat(descriptor)
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(descriptor, old.st_uid, old.st_gid)


class KeyFile:
    """A keys file that a running gateway reads: `open` it, then `look` from time to time."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self.path = path
        self._keyring = keyring
        self._seen: object = None
        self._refused = ""

    async def open(self) -> None:
        """Read it; one that is not there yet has no keys.

        Raises:
            KeyFileError: it is there and cannot be used.
        """
        self._seen = await asyncio.to_thread(_signature, self.path)
        if self._seen is None:
            structlog.get_logger().warning(
                "no_keys_file", path=str(self.path), reason="it is not there (yet)"
            )
        else:
            self._take(await asyncio.to_thread(read, self.path))

    async def look(self) -> None:
        """Read it again where it has changed; a broken one changes nothing, and is told of once.

        One that cannot be read now is tried again: what it holds may revoke a key.
        """
        seen = await asyncio.to_thread(_signature, self.path)
        if seen == self._seen:
            return
        try:
            keys = await asyncio.to_thread(read, self.path)
        except KeyFileError as error:
            if not isinstance(error.__cause__, OSError):
                self._seen = seen
            if str(error) != self._refused:
                structlog.get_logger().error("keys_file_refused", reason=f"{error}; the keys of before stay")
            self._refused = str(error)
            return
        self._seen, self._refused = seen, ""
        self._take(keys)
        structlog.get_logger().info("keys_read", path=str(self.path), keys=len(keys))

    def _take(self, keys: Sequence[StoredKey]) -> None:
        if strangers := self._keyring.put(keys):
            structlog.get_logger().warning(
                "keys_of_nobody", reason="these names are not in [callers]: their keys open nothing",
                callers=strangers,
            )  # fmt: skip


def _signature(path: Path) -> object:
    """Return what changes with a file; None where there is none. A replaced file has another inode."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.errno  # it may well be there: `read` says what is wrong
    return status.st_mtime_ns, status.st_size, status.st_ino
