"""Sockets of ours: their options, their families, and how they are reset."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway import tcp
from tests.harness import on_both_loops


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


@on_both_loops
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


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_read_brings_no_more_than_a_piece() -> None:
    """The size of asyncio is an attribute of its transports, whose name it does not promise to keep."""
    sizes: list[int] = []
    whole = asyncio.Event()
    sent = 0

    class Sizes(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            sizes.append(len(data))
            if sum(sizes) == sent:
                whole.set()

    ours, peers = socket.socketpair()
    with peers:
        peers.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(Sizes, ours)
        tcp.read_in_pieces(transport)
        transport.pause_reading()
        peers.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        sent = peers.send(bytes(150_000))
        transport.resume_reading()
        async with asyncio.timeout(20):
            await whole.wait()
        transport.abort()

    assert max(sizes) == tcp.READ_SIZE < sent
