"""The targets of a process: Bedrock in a region, by an endpoint, with the credentials of an account.

Targets that differ in nothing share one client. Each client has credentials of its own even where two have
the same account: they are renewed at the STS of their region, so that the outage of one region is not that
of all.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from gateway.bedrock.client import open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.bedrock.client import BedrockClient
    from gateway.catalog.catalog import Catalog
    from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings


@dataclass(frozen=True, slots=True)
class Target:
    """One target, opened. `catalog` is that of its region."""

    name: str
    client: BedrockClient
    catalog: Catalog

    def __str__(self) -> str:
        return f"{self.name}: {self.client.region} at {self.client.endpoint_url}"


class BrokenTargets(Exception):
    """AWS's configuration is broken where some targets need it: `problems` by the target's name."""

    def __init__(self, problems: dict[str, BotoCoreError]) -> None:
        super().__init__(", ".join(problems))
        self.problems = problems


@asynccontextmanager
async def open_clients(
    bedrock: BedrockSettings,
    places: Mapping[str, tuple[AwsSettings, CredentialSettings]],
    *,
    max_concurrency: int,
) -> AsyncIterator[dict[str, BedrockClient]]:
    """Open the client of every target, all at once, for as long as the block runs.

    Every pool has room for all of the process's streams: when the other targets are down, they all come here.

    Raises:
        BrokenTargets: a profile that is not there, a file that cannot be read. Credentials that cannot be had
            are not part of that: such a target is there, and its calls fail.
    """
    distinct: list[tuple[AwsSettings, CredentialSettings]] = []
    for place in places.values():
        if place not in distinct:
            distinct.append(place)
    async with AsyncExitStack() as stack:
        opening = (
            stack.enter_async_context(open_client(bedrock, aws, credentials, max_concurrency=max_concurrency))
            for aws, credentials in distinct
        )
        clients = await asyncio.gather(*opening, return_exceptions=True)
        opened, broken = {}, {}
        for name, place in places.items():
            match clients[distinct.index(place)]:
                case BotoCoreError() as error:
                    broken[name] = error
                case BaseException() as error:
                    raise error
                case client:
                    opened[name] = client
        if broken:
            raise BrokenTargets(broken)
        yield opened
