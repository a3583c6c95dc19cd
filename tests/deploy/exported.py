"""What a gateway exports, to compare with what files of `deploy/` ask for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp

from gateway.settings import MetricsSettings
from tests.harness import ask

if TYPE_CHECKING:
    from gateway.emulator import Emulator
    from tests.harness import StartGateway


async def exported(emulator: Emulator, start: StartGateway) -> set[str]:
    """Return the names of all series that a gateway has, after a request."""
    async with start(emulator, metrics=MetricsSettings(port=0)) as caller:
        await caller.stream(ask())
        url = caller.gateway.metrics_url
        assert url is not None
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = await response.text()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def unknown_names(text: str, names: set[str]) -> set[str]:
    """Return what is called like a metric of the gateway in a text, and is none."""
    return set(re.findall(r"\bgateway_[a-z0-9_]+", text)) - names
