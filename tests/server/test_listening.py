"""Listening sockets: every address of a name, and options that what they accept inherits."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway import addresses, app, tcp
from gateway.server import listening
from tests.harness import ask, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.emulator import Emulator
    from tests.harness import Caller

SOMAXCONN = int(Path("/proc/sys/net/core/somaxconn").read_text())
LOCAL = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
]


@pytest.fixture(name="opened")
def _opened() -> Iterator[list[socket.socket]]:
    """Sockets that the test opens are closed behind it."""
    kept: list[socket.socket] = []
    yield kept
    for one in kept:
        one.close()


def _value(of: Any, level: int, option: int) -> int:
    value: int = of.getsockopt(level, option)
    return value


def test_accepted_sockets_inherit_the_options(opened: list[socket.socket]) -> None:
    """Keep-alive, user timeout and the bounded send buffer are those of the listening socket."""
    [server] = listening.listen("127.0.0.1", 0)
    client = socket.create_connection(server.getsockname())
    opened += [server, client]
    server.settimeout(10)
    accepted, _ = server.accept()
    opened.append(accepted)

    for level, option, value in tcp.OPTIONS:
        assert _value(accepted, level, option) == value
        assert _value(client, level, option) != value  # or the test would prove nothing
    # Linux doubles what it is given, for its own bookkeeping
    assert _value(accepted, socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * listening.SEND_BUFFER


async def test_connections_of_the_gateway_have_the_options(caller: Caller) -> None:
    """Both sides of a stream: what aiohttp accepted, and what it opened to Bedrock."""
    url = f"{caller.url}/chat/completions/stream"
    async with caller.session.post(url, json=ask("[[emulator deltas=9 pace_ms=60000]]")):
        found = _options_of_all_connections()

    ours = [value for _, _, value in tcp.OPTIONS]
    timed = [options for options in found if options[-1] == 60_000]
    assert timed[:2] == [ours, ours]
    assert all(options == ours for options in timed), "those of gateways that other tests share, too"


def _options_of_all_connections() -> list[list[int]]:
    """Return ours of every connection of this process: no event loop has a list of them for all to see."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        if not link.is_socket():  # a copy of a pipe would stay open, and its reader would wait for ever
            continue
        with (
            suppress(OSError),  # most are not connected
            socket.socket(fileno=os.dup(int(link.name))) as one,
        ):
            one.getpeername()
            found.append([_value(one, level, option) for level, option, _ in tcp.OPTIONS])
    return found


def test_every_address_has_the_same_port(
    monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket]
) -> None:
    """A name with two addresses and port 0 is one free port on both."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [*LOCAL, LOCAL[0]])

    opened += listening.listen("both.test", 0)

    names = [one.getsockname()[:2] for one in opened]
    assert [name[0] for name in names] == ["::1", "127.0.0.1"]
    assert names[0][1] == names[1][1] != 0
    assert [listening.url_of(one) for one in opened] == [
        f"http://[::1]:{names[0][1]}",
        f"http://127.0.0.1:{names[0][1]}",
    ]


def test_an_address_that_is_not_of_this_host_is_left_out(
    monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket]
) -> None:
    """`localhost` where there is no IPv6 listens on 127.0.0.1; with no address left it fails."""
    foreign = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [foreign, LOCAL[1]])
    opened += listening.listen("some.test", 0)
    assert [one.getsockname()[0] for one in opened] == ["127.0.0.1"]

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [foreign])
    with pytest.raises(OSError, match="assign") as caught:
        listening.listen("none.test", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_an_address_in_use_is_said(
    emulator: Emulator, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one address is taken, none is kept open, and the start says which."""
    opened += listening.listen("127.0.0.1", 0)
    port = opened[0].getsockname()[1]
    free = (*LOCAL[0][:4], ("::1", port, 0, 0))
    taken = (*LOCAL[1][:4], ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [free, taken])
    settings = settings_for(emulator).model_copy(update={"port": port})

    words = rf"cannot listen on 127.0.0.1:{port}: Address already in use"
    with pytest.raises(addresses.ListenError, match=words):
        addresses.listen(settings)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [free])
    opened += listening.listen("::1", port)  # it was closed again


def test_a_name_without_an_address_is_said(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name that nobody knows is no crash."""

    def unknown(*_args: Any, **_kwargs: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(addresses.ListenError, match="Name or service not known"):
        addresses.listen(settings_for(emulator))


async def test_serving_from_sockets_of_the_supervisor(emulator: Emulator) -> None:
    """Two gateways on sockets that share one port both answer, and each closes only its own."""
    first = listening.listen("127.0.0.1", 0, reuse_port=True)
    second = listening.listen("127.0.0.1", first[0].getsockname()[1], reuse_port=True)
    settings = settings_for(emulator)

    async with app.running(settings, second):
        async with app.running(settings, first) as one:
            assert one.url == listening.url_of(second[0])
        assert first[0].fileno() == -1
        reader, writer = await asyncio.open_connection(*second[0].getsockname())
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_the_kernel_keeps_our_backlog(emulator: Emulator) -> None:
    """However few connections asyncio accepts a turn, the kernel holds many that wait."""
    sockets = listening.listen("127.0.0.1", 0)

    async with app.running(settings_for(emulator), sockets):
        info = sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)

    # `tcpi_sacked` is the backlog of a socket that listens
    assert int.from_bytes(info[28:32], sys.byteorder) == min(listening.BACKLOG, SOMAXCONN)
