"""Whether a caller takes what is sent: slow is allowed, stopped is not (reliability.md R5)."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.server.transfer import Transfer

CHECKS: Final = 4
"""How often the caller is looked at within its patience, which so ends up to a quarter late."""
_INT: Final = struct.Struct("@i")


class Progress:
    """Watches one answer; how much was delivered the kernel knows, and nothing is counted per write."""

    __slots__ = ("_delivered", "_patience", "_since", "_transfer")

    def __init__(self, transfer: Transfer, patience: float) -> None:
        self._transfer = transfer
        self._patience = patience
        self._delivered = 0
        self._since = 0.0

    def start(self, now: float) -> float:
        """A write begins; return when to look after it."""
        self._since = now
        return now + self._patience / CHECKS

    def look(self, now: float) -> float:
        """Return when to look again, or `now` where the caller has taken nothing for too long."""
        delivered = self._count()
        if delivered != self._delivered:
            self._delivered, self._since = delivered, now
        return now if now - self._since >= self._patience else now + self._patience / CHECKS

    def _count(self) -> int:
        """Return how many bytes of this answer the caller's host has acknowledged."""
        sent = self._transfer.sent
        transport = self._transfer.transport
        sock = transport.get_extra_info("socket") if transport is not None else None
        if transport is None or sock is None or sock.fileno() < 0:
            return sent
        unacknowledged = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(_INT.size))  # SIOCOUTQ of tcp(7)
        return sent - transport.get_write_buffer_size() - int(_INT.unpack(unacknowledged)[0])
