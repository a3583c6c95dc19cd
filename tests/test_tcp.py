"""Sockets of ours: their options, their families, and how they are reset."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway import tcp


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_socket_is_of_its_address(family: socket.AddressFamily) -> None:
    """Both families get our options, so that racing the addresses of a name goes on as ever."""
    more = (socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)

    with tcp.new_socket((family, socket.SOCK_STREAM, 6, "", ("::1", 1)), more) as made:
        assert made.family == family
        for level, option, value in tcp.OPTIONS:
            assert made.getsockopt(level, option) == value
        assert made.getsockopt(*more[:2]) == 2 * more[2]  # Linux doubles it


def test_a_socket_without_its_options_is_closed() -> None:
    """What cannot be set up is not left open; an open one would be a warning, and so an error here."""
    with pytest.raises(OSError, match="rotocol"):
        tcp.new_socket(
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)), (socket.SOL_SOCKET, 9999, 1)
        )


async def test_reset() -> None:
    """The peer is told that this was no good end, even behind bytes that it has not read."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as peer,
    ):
        accepted, _ = server.accept()
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, accepted)
        transport.write(b"unread")

        tcp.reset(transport)
        tcp.reset(transport)  # twice is once
        await asyncio.sleep(0)

        assert peer.recv(100) == b"unread"
        with pytest.raises(ConnectionResetError):
            peer.recv(100)
