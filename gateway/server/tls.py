"""TLS with callers: the certificate that is shown to them, and those that are asked of them.

Each connection is handshaken with the files as they are now: certificates that rotate hourly need no restart.
A connection is counted while it handshakes, which takes as long as a head may; the event loop's own TLS
servers wait for a minute, for any number of callers, before anybody hears of them.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HANDSHAKES: Final = 256
"""Connections that may handshake at a time; for one more, the one that has taken longest is closed."""
SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds to wait for a caller's own goodbye behind ours; by itself asyncio waits for 30."""
RETIRE_S: Final = 300.0
"""So long before its certificate expires a caller is told to connect again, or half of what is left of it."""
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class TlsError(Exception):
    """The files cannot be used; the words say which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the certificates are."""

    cert_file: Path
    """The server's certificate and those between it and its authority."""
    key_file: Path
    client_ca_file: Path | None = None
    """Authorities that vouch for callers."""
    client_certificates: Literal["required", "optional", "none"] = "none"

    def context(self) -> ssl.SSLContext:
        """Return what handshakes are made with; blocking.

        Raises:
            TlsError: the files do not allow it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = _VERIFY[self.client_certificates]
        # who resumes a session is not checked again
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        _load(context.load_cert_chain, self.cert_file, self.key_file)
        if self.client_ca_file is not None:
            _load(context.load_verify_locations, self.client_ca_file)
        return context

    def signature(self) -> object:
        """Return what changes when one of the files does; blocking."""
        paths = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(_signature(path) for path in paths if path is not None)


def _load(load: Callable[..., object], *paths: Path) -> None:
    """Nobody types a password here: a key that needs one is refused, where OpenSSL would ask the terminal."""
    named = ", ".join(map(str, paths))
    try:
        if len(paths) > 1:
            load(*paths, password=_no_password)
        else:
            load(*paths)
    except ssl.SSLError as error:
        raise TlsError(f"{named}: {error.reason or 'no certificate or key in PEM'}") from error
    except OSError as error:
        raise TlsError(f"{named}: cannot be read ({error.strerror})") from error
    except _EncryptedError as error:
        raise TlsError(
            f"{named}: the key is encrypted, and there is nobody to ask for its password"
        ) from error


class _EncryptedError(Exception):
    pass


def _no_password() -> str:
    raise _EncryptedError


def _signature(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class Made(NamedTuple):
    """What was made of some files."""

    files: TlsFiles
    seen: object
    context: ssl.SSLContext


async def made(files: TlsFiles) -> Made:
    """Read the files; raises as `TlsFiles.context` does."""
    seen = await asyncio.to_thread(files.signature)  # before they are read: what changes meanwhile is seen
    return Made(files, seen, await asyncio.to_thread(files.context))


class Tls:
    """The files in force, and the context made of them; `look` makes a new one when they change."""

    context: ssl.SSLContext

    def __init__(self) -> None:
        self._files: TlsFiles | None = None
        self._seen: object = None

    def use(self, made: Made) -> None:
        """Handshake with these files from now on."""
        self._files, self._seen, self.context = made

    async def look(self) -> None:
        """Read the files again where they have changed; where they cannot be used, the old ones stay."""
        files = self._files
        if files is None or (seen := await asyncio.to_thread(files.signature)) == self._seen:
            return
        self._seen = seen  # what is wrong is told once
        try:
            self.use(await made(files))
        except TlsError as error:
            structlog.get_logger().error("certificates_refused", reason=f"{error}; those of before stay")
        else:
            structlog.get_logger().info("certificates_read", path=str(files.cert_file))


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a caller has proven by TLS: `fields` as `ssl.SSLSocket.getpeercert` gives them."""

    fields: Mapping[str, Any]
    expires: float
    """In seconds since 1970."""
    retires: float
    """When its connection should end, so that the next one shows a certificate that is still good."""

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> PeerCertificate | None:
        """Return that of a connection; None where none was shown, or none was asked for."""
        fields: Mapping[str, Any] | None = transport.get_extra_info("peercert")
        if not fields:
            return None
        now = datetime.now(UTC).timestamp()
        expires = float(ssl.cert_time_to_seconds(fields["notAfter"]))
        return cls(fields, expires, expires - min(RETIRE_S, (expires - now) / 2))

    @property
    def retired(self) -> bool:
        """Whether its connection should end behind the next answer."""
        return datetime.now(UTC).timestamp() >= self.retires
