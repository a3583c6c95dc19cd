"""Reading a gateway's metrics as Prometheus does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Samples: TypeAlias = dict[str, float]
"""Values by series: the name, and its labels in their order of name."""

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.7,text/plain;version=0.0.4;q=0.5"
FOREIGN = ("process_", "python_", "gateway_loop_lag_")
"""What moves by itself."""


async def scrape(url: str, accept: str = "text/plain") -> Samples:
    """Return every series."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Accept": accept}) as response,
    ):
        assert response.status == 200
        text = await response.text()
    read = read_openmetrics if "openmetrics" in response.headers["Content-Type"] else read_text
    samples: Samples = {}
    for family in read(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            series = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert series not in samples
            samples[series] = sample.value
    return samples


class Moves:
    """What has moved since a block began; to be read when the block has ended."""

    def __init__(self, url: str, before: Samples) -> None:
        self._url = url
        self._before = before
        self.all: Samples = {}

    async def wait(self, requests: int) -> None:
        """Wait until so many requests are over: a caller has the last byte before it is counted."""
        async with asyncio.timeout(60):
            while True:
                self._take(await scrape(self._url))
                if self.total("gateway_requests_total") >= requests:
                    return
                await asyncio.sleep(0.01)

    def _take(self, now: Samples) -> None:
        self.all = {
            series: value - self._before.get(series, 0.0)
            for series, value in now.items()
            if value != self._before.get(series, 0.0) and not series.startswith(FOREIGN)
        }

    def total(self, name: str) -> float:
        """Return by how much all series of this name have moved together."""
        return sum(value for series, value in self.all.items() if series.partition("{")[0] == name)

    @property
    def counted(self) -> Samples:
        """The counters of events, by name and labels; the model's label is left out, as one test has one."""
        return {
            series: value
            for series, value in self.all.items()
            if series.partition("{")[0].endswith("_total") and "tokens" not in series and "cost" not in series
        }


@asynccontextmanager
async def moves(url: str | None, requests: int = 1) -> AsyncIterator[Moves]:
    """Give what moves while the block runs, in which so many requests end."""
    assert url is not None, "metrics need a port"
    one = Moves(url, await scrape(url))
    yield one
    await one.wait(requests)
