"""How a TCP connection of ours behaves when its peer vanishes: the same to callers and to Bedrock.

A peer that loses its power or its network sends no FIN, and the kernel's own patience is two hours. Here it
is a minute (reliability.md R14): keep-alive probes find who is idle, the user timeout whoever leaves bytes
unacknowledged or keeps its window shut.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import asyncio

AddressInfo: TypeAlias = tuple[int, int, int, str, Any]
"""As `getaddrinfo` gives it, and as aiohttp gives it to a socket factory."""

OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
)
"""Level, option and value; seconds, and milliseconds for the last."""


_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: closing the socket then resets the connection."""


def new_socket(address: AddressInfo, *more: tuple[int, int, int]) -> socket.socket:
    """Return a socket for this address with our options and `more`, which what it accepts inherits.

    Raises:
        OSError: this host has no such address family.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    try:
        for level, option, value in (*OPTIONS, *more):
            made.setsockopt(level, option, value)
    except BaseException:
        made.close()
        raise
    return made


READ_SIZE: Final = 64 * 1024
"""Bytes that one read may bring."""


def read_in_pieces(transport: asyncio.BaseTransport) -> None:
    """Let asyncio read at most `READ_SIZE` bytes at once.

    It makes room for 256 KiB before each read. That much the allocator maps and unmaps every time: 9 µs of
    the 10 that a small read then takes (glibc's threshold is 128 KiB). uvloop reads into a buffer of the
    loop, 250 KiB that stay, and its transports take no attributes.
    """
    if hasattr(transport, "max_size"):  # public by its name, and on selector transports
        transport.max_size = READ_SIZE


def reset(transport: asyncio.Transport) -> None:
    """Close a connection so that its peer knows that this is no good end, and keep nothing for it.

    After an abort of the transport alone the kernel goes on offering the peer what it has in its own buffer.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
