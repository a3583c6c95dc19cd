"""The fault proxy, against a server that only says back what it hears."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.proxy import CLEAN, Direction, FaultProxy, Toxics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GUARD = 30.0
"""Seconds after which a test that hangs fails; no promise."""
SILENCE = 0.1
"""Seconds without a byte behind those that were to come."""
SAID = bytes(range(256)) * 8


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Serve what comes back as it came, and end when the caller ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def talk(proxy: FaultProxy, until: int | None = None) -> tuple[bytes, str]:
    """Say it, and return what came back and how that ended.

    Where silence is expected, `until` so many bytes have come, nothing ends what is said.
    """
    host, _, port = proxy.url.rpartition("/")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    heard, ending = b"", "end"
    try:
        writer.write(SAID)
        if until is None:
            writer.write_eof()
        async with asyncio.timeout(GUARD):
            heard += await reader.readexactly(until or 0)
        async with asyncio.timeout(GUARD if until is None else SILENCE):
            while data := await reader.read(4096):
                heard += data
    except ConnectionResetError:
        ending = "reset"
    except TimeoutError:
        ending = "silence"
    finally:
        writer.transport.abort()
    return heard, ending


@pytest.mark.parametrize(
    "toxics",
    [
        CLEAN,
        Toxics(slice=7),
        Toxics(slice=300, jitter=0.0001),
        Toxics(latency=0.001),
        Toxics(bandwidth=1_000_000),
        Toxics(close_after=0.001),
        Toxics(fault="reset", at=len(SAID)),
    ],
)
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_what_only_delays_changes_nothing(direction: str, toxics: Toxics) -> None:
    """Every byte comes, in order; a fault behind the last byte never strikes."""
    async with echo() as server, FaultProxy(server) as proxy:
        setattr(proxy, direction, toxics)
        assert await talk(proxy) == (SAID, "end")


@pytest.mark.parametrize("at", [0, 1, 700])
@pytest.mark.parametrize(
    ("fault", "ending"), [("reset", "reset"), ("close", "end"), ("half_close", "end"), ("stall", "silence")]
)
async def test_an_answer_ends_at_its_byte(fault: Any, ending: str, at: int) -> None:
    """What came before the place has come; nothing behind it does."""
    async with echo() as server, FaultProxy(server, down=Toxics(fault=fault, at=at)) as proxy:
        assert await talk(proxy, until=at if ending == "silence" else None) == (SAID[:at], ending)


@pytest.mark.parametrize(("fault", "ending"), [("half_close", "end"), ("stall", "silence")])
async def test_a_question_ends_at_its_byte(fault: Any, ending: str) -> None:
    """The far end hears the beginning, and answers that."""
    async with echo() as server, FaultProxy(server, up=Toxics(fault=fault, at=9)) as proxy:
        assert await talk(proxy, until=9 if ending == "silence" else None) == (SAID[:9], ending)


async def test_a_flipped_bit() -> None:
    """One bit of the byte at the place, and which one depends on the seed."""
    async with echo() as server:
        heard = []
        for seed in (1, 1, 2, 3, 4, 5):
            async with FaultProxy(server, down=Toxics(fault="flip", at=50), seed=seed) as proxy:
                heard.append((await talk(proxy))[0])

    assert [one[:50] + one[51:] for one in heard] == [SAID[:50] + SAID[51:]] * 6
    assert {(one[50] ^ SAID[50]).bit_count() for one in heard} == {1}
    assert heard[0] == heard[1]
    assert len(set(heard)) > 1


async def test_garbage() -> None:
    """Random bytes stand between what was said, and they are the seed's."""
    async with echo() as server:
        heard = []
        for seed in (1, 1, 2):
            async with FaultProxy(server, down=Toxics(fault="garbage", at=50), seed=seed) as proxy:
                heard.append((await talk(proxy))[0])

    assert all(one.startswith(SAID[:50]) and one.endswith(SAID[50:]) for one in heard)
    assert {len(one) - len(SAID) for one in heard} == {24}
    assert (heard[0] == heard[1], heard[1] == heard[2]) == (True, False)


def cuts(seed: int, chunk: int) -> set[int]:
    """Return where the pieces end, if reads bring `chunk` bytes each."""
    direction = Direction(None, None, Toxics(slice=50), Random(seed))  # type: ignore[arg-type]  # noqa: S311
    ends, at = set(), 0
    for start in range(0, len(SAID), chunk):
        for piece in direction.pieces(SAID[start : start + chunk]):
            at += len(piece)
            ends.add(at)
    return ends


def test_slices_depend_on_the_seed_alone() -> None:
    """However reads bring the bytes, they are cut at the same places."""
    whole, halves = cuts(1, len(SAID)), cuts(1, len(SAID) // 2)

    assert halves - whole <= {len(SAID) // 2}
    assert whole <= halves
    assert whole != cuts(2, len(SAID))


async def test_nobody_behind_it() -> None:
    """A far end that is not there closes the connection, and the proxy goes on."""
    async with FaultProxy("tcp://127.0.0.1:1") as proxy:
        assert (await talk(proxy))[0] == b""
        assert (await talk(proxy))[0] == b""
        async with asyncio.timeout(GUARD):
            while proxy.active:  # noqa: ASYNC110 - the proxy has no event for what only this test wants
                await asyncio.sleep(0)
        assert proxy.connections == 2


async def test_toxics_may_change() -> None:
    """Later connections get what holds then; those that hang are dropped when the proxy closes."""
    async with echo() as server, FaultProxy(server, down=Toxics(fault="stall")) as proxy:
        assert await talk(proxy, until=0) == (b"", "silence")
        proxy.down = CLEAN
        assert await talk(proxy) == (SAID, "end")
        proxy.up = Toxics(fault="stall")
        hanging = asyncio.ensure_future(talk(proxy))
        async with asyncio.timeout(GUARD):
            while proxy.active == 0:  # noqa: ASYNC110 - the proxy has no event for what only this test wants
                await asyncio.sleep(0)
    assert (await hanging)[0] == b""
