"""What a host must give before the gateway listens."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.bedrock.client import POOL_HEADROOM
from gateway.server import prerequisites
from gateway.server.connections import SURPLUS
from tests.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

BESIDES = SURPLUS + prerequisites.MARGIN


@pytest.fixture(name="limits")
def _limits() -> Iterator[tuple[int, int]]:
    """The limits of this process, which are put back."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limits
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_soft_limit_is_raised_where_that_helps(limits: tuple[int, int]) -> None:
    """A soft limit below what is needed goes up to the hard one; one that suffices stays."""
    _, hard = limits
    low = BESIDES + 300
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))

    assert prerequisites.problems(max_connections=200, upstream_connections=100) == []
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (low, hard)
    assert prerequisites.problems(max_connections=201, upstream_connections=100) == []
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > low


async def _start(*before: str, **environment: str) -> tuple[int | None, str]:
    """Run `serve` behind a command of the shell, and return the exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "; ".join([*before, f"exec {sys.executable} -m gateway serve"]),
        env={**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_PORT": "0", **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    return process.returncode, err.decode()


async def test_a_hard_limit_that_is_too_low_is_said() -> None:
    """The start fails with the numbers and with what to do."""
    code, words = await _start("ulimit -n 500", GATEWAY_MAX_CONNECTIONS="600", GATEWAY_MAX_CONCURRENCY="50")

    assert code == 78
    needed = 600 + 50 + POOL_HEADROOM + BESIDES
    assert f"{needed} file descriptors are needed (max_connections 600, to Bedrock 60" in words
    assert "the hard limit is 500: raise it" in words


async def test_the_parser_in_python_is_refused() -> None:
    """Without aiohttp's C extensions there is no start: its other parser is looser (R61)."""
    code, words = await _start(AIOHTTP_NO_EXTENSIONS="1")

    assert code == 78
    assert "aiohttp runs without its C extensions" in words
