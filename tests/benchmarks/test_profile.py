"""Samples find their part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import profile

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RUN = "<module> (gateway/__main__.py:7);run (gateway/commands/serve.py:9)"
SERVE = f"{RUN};_serve (gateway/server/request_loop.py:9)"


def test_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The innermost function of ours decides, with what it calls elsewhere; waiting threads do not count."""
    raw = tmp_path / "raw"
    raw.write_text(
        f"{SERVE};write (gateway/server/transfer.py:9);write (asyncio/selector_events.py:9) 4\n"
        f"{SERVE};feed (gateway/bedrock/reader.py:1) 2\n"
        f"{SERVE};post (gateway/bedrock/client.py:1);digest (hmac.py:2) 1\n"
        f"{RUN};select (selectors.py:3) 3\n"
        "run (threading.py:1);_worker (concurrent/futures/thread.py:1) 900\n"
    )

    assert profile.main([str(raw), "--us", "200"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| the caller: request, answer, their sockets | 80 |",
        "| asyncio and aiohttp, outside of ours: the loop, epoll, the parser, reads | 60 |",
        "| frames and events of the answer | 40 |",
        "| the call: signature, pool, socket, head, clocks | 20 |",
    ]
