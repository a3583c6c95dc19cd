"""The sockets that callers connect to: made once, and served from by one process or by several."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from gateway.tcp import new_socket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from gateway.server.tls import Tls
    from gateway.tcp import AddressInfo

SEND_BUFFER: Final = 64 * 1024
"""Bytes that the kernel keeps for a caller who does not read, which it doubles; by itself it takes up to
2.9 MB (S12). With what it keeps of Bedrock's answer a stream stays below 256 KiB (R8)."""
BACKLOG: Final = 1024
"""Connections that wait in the kernel for their accept; it takes `net.core.somaxconn` where that is less."""
ACCEPTS_A_TURN: Final = 8
"""Connections that one turn of the loop accepts. asyncio takes its backlog for this too: of several processes
on one socket the first to wake would take all that wait, and its streams would wait for so many accepts."""
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What `::1` of a name such as `localhost` gives where there is no IPv6: no reason to refuse 127.0.0.1."""


def listen(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Return listening sockets, one for each address of `host`; port 0 is one free port for all.

    What they accept inherits their options on Linux: the bounded send buffer and those of `gateway.tcp`.
    `reuse_port` lets other processes bind the same address with the same option.

    Raises:
        OSError: the name has no address, or an address of it cannot be listened on.
    """
    sockets: list[socket.socket] = []
    missing: list[OSError] = []
    try:
        for address in dict.fromkeys(
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            try:
                sockets.append(_listening(address, sockets, reuse_port=reuse_port))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing.append(error)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    if not sockets:
        raise missing[0]
    return sockets


async def serve(runner: web.ServerRunner, sockets: Sequence[socket.socket], tls: Tls | None = None) -> None:
    """Accept connections from these sockets until the runner's cleanup, which closes them."""
    # a supervisor listens, and serves nothing
    from aiohttp.web_runner import SockSite  # noqa: PLC0415

    from gateway.server.handshakes import TlsSite  # noqa: PLC0415

    for one in sockets:
        if tls is None:
            await SockSite(runner, one, backlog=ACCEPTS_A_TURN).start()
        else:
            await TlsSite(runner, one, tls, backlog=ACCEPTS_A_TURN).start()
        one.listen(BACKLOG)  # asyncio has just told the kernel its own


def url_of(listening: socket.socket, scheme: str = "http") -> str:
    """Return where a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _listening(address: AddressInfo, others: Sequence[socket.socket], *, reuse_port: bool) -> socket.socket:
    made = new_socket(address)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse_port))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        host, port, *scope = address[4]
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port == 0 and others:
            port = others[0].getsockname()[1]
        made.bind((host, port, *scope))
        made.listen(BACKLOG)
        made.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    except BaseException:
        made.close()
        raise
    return made
