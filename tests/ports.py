"""Ports for processes that must be told where to listen."""

from __future__ import annotations

import os
import socket
from itertools import count
from typing import Final

HOST: Final = "127.0.0.1"
_FIRST: Final = 15_000
_END: Final = 30_000
"""Outgoing connections are given ports from 32768 on (Linux); one of those could take what was found free."""
_tried = count(os.getpid() * 7 % (_END - _FIRST))


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that was never returned before."""
    while True:
        candidate = _FIRST + next(_tried) % (_END - _FIRST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            return candidate
