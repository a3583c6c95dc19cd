"""Credentials of a few seconds' life under load: `python -m tests.soak.credentials --seconds 60`.

A gateway in front of an emulated Bedrock that enforces expiry, its role assumed at an emulated STS. First a
time of health, then an outage of each kind. Prints one JSON report; the exit code is 1 where a promise broke.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from pydantic import SecretStr

from gateway import app
from gateway.bedrock.credentials.refresher import Refresher
from gateway.emulator import EmulatedSts, Emulator, EmulatorSettings, KeyRing, Role
from gateway.observability import logging
from gateway.settings import AwsSettings, CredentialSettings, RoleSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.emulator.sts import Mode

ROLE = "arn:aws:iam::111122223333:role/gateway"
EXTERNAL_ID = "customer-7"
WORKERS = 8
MODES: tuple[Mode, ...] = ("unavailable", "hanging", "refusing")
RECOVERY_S = 2.0
BODY = {"model": "us.amazon.nova-micro-v1:0", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class Load:
    """Callers that ask one stream after another; `asked` is (end, good) of each, by the loop's clock."""

    url: str
    session: aiohttp.ClientSession
    asked: list[tuple[float, bool]] = field(default_factory=list)

    async def one(self, body: dict[str, Any] = BODY) -> bool:
        """Ask once and say whether the stream ended in `done`."""
        url = f"{self.url}/chat/completions/stream"
        async with self.session.post(url, json=body) as response:
            data = await response.read()
        last = orjson.loads(data.splitlines()[-1])
        return response.status == 200 and last["type"] == "done"

    async def worker(self) -> None:
        """Ask for ever."""
        loop = asyncio.get_running_loop()
        while True:
            good = await self.one()
            self.asked.append((loop.time(), good))
            if not good:
                await asyncio.sleep(0.02)  # refused requests cost nothing: do not spin


@dataclass(frozen=True)
class Stage:
    """All parts of the experiment."""

    keys: KeyRing
    sts: EmulatedSts
    bedrock: Emulator
    refresher: Refresher
    load: Load


@asynccontextmanager
async def stage(life_s: float, **bedrock: Any) -> AsyncIterator[Stage]:
    """Run everything, without load."""
    keys = KeyRing(lifetime_s=life_s)
    async with AsyncExitStack() as stack:
        sts = await stack.enter_async_context(EmulatedSts(keys, (Role(arn=ROLE, external_id=EXTERNAL_ID),)))
        emulator = await stack.enter_async_context(Emulator(EmulatorSettings(**bedrock), keys))
        known = emulator.settings
        settings = Settings(
            port=0,
            aws=AwsSettings(
                access_key_id=SecretStr(known.access_key_id),
                secret_access_key=SecretStr(known.secret_access_key),
                region=known.region,
                endpoint_url=emulator.url,
                sts_endpoint_url=sts.url,
            ),
            credentials=CredentialSettings(roles=(RoleSettings(role_arn=ROLE, external_id=EXTERNAL_ID),)),
        )
        gateway = await stack.enter_async_context(app.running(settings))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        refresher = gateway.targets["default"].client.credentials
        assert isinstance(refresher, Refresher)
        yield Stage(keys, sts, emulator, refresher, Load(gateway.url, session))


@asynccontextmanager
async def loaded(load: Load, workers: int = WORKERS) -> AsyncIterator[None]:
    """Keep callers asking during the block; what they raise ends the experiment."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(load.worker()) for _ in range(workers)]
        yield
        for task in tasks:
            task.cancel()


async def healthy(on: Stage, seconds: float = 0.0, *, rotations_due: int = 0) -> dict[str, Any]:
    """Let callers ask for a while, and until the credentials have rotated so often, and count."""
    before, rotations = len(on.load.asked), on.refresher.renewals
    await asyncio.sleep(seconds)
    for number in range(rotations_due):
        await _next_renewal(on.refresher, rotations + number)
    since = len(on.load.asked)
    while not on.load.asked[since:]:  # noqa: ASYNC110 - whoever signs with the last ones is to be counted, too
        await asyncio.sleep(0.005)
    asked = on.load.asked[before:]
    return {
        "seconds": seconds,
        "requests": len(asked),
        "failed": sum(not good for _, good in asked),
        "rotations": on.refresher.renewals - rotations,
        "sts_calls": len(on.sts.calls),
        "sts_calls_not_by_the_task": len(on.sts.calls) - on.refresher.renewals - on.refresher.failures,
    }


async def outage(on: Stage, mode: Mode) -> dict[str, Any]:
    """Take STS away until after the credentials have expired, then give it back."""
    loop = asyncio.get_running_loop()
    await _next_renewal(on.refresher)
    began, before, calls = loop.time(), len(on.load.asked), len(on.sts.calls)
    failures = on.refresher.failures
    await on.sts.switch(mode)
    expiry = began + on.refresher.seconds_left
    await asyncio.sleep(expiry - began + 4.0)
    renewals, returned = on.refresher.renewals, loop.time()
    await on.sts.switch("healthy")
    await _next_renewal(on.refresher, renewals)
    while not await on.load.one():  # noqa: ASYNC110 - the time of the first good answer is what is measured
        await asyncio.sleep(0.01)
    recovered = loop.time()
    asked = on.load.asked[before:]
    return {
        "outage": mode,
        "outage_s": round(returned - began, 2),
        "served_s_after_outage_began": round(expiry - began, 2),
        "good_before_expiry": sum(good for end, good in asked if end < expiry),
        "failed_before_expiry": sum(not good for end, good in asked if end < expiry),
        "failed_after_expiry": sum(not good for end, good in asked if end >= expiry),
        "recovered_after_s": round(recovered - returned, 2),
        "attempts_failed": on.refresher.failures - failures,
        "sts_requests_seen": len(on.sts.calls) - calls,
    }


async def _next_renewal(refresher: Refresher, after: int | None = None) -> None:
    after = refresher.renewals if after is None else after
    while refresher.renewals == after:  # noqa: ASYNC110 - seen from outside, as a probe would see it
        await asyncio.sleep(0.005)


async def run(seconds: float, life_s: float) -> dict[str, Any]:
    """Return the report."""
    async with stage(life_s, deltas=10, pace_ms=10.0) as on, loaded(on.load):
        steady = await healthy(on, seconds)
        outages = [await outage(on, mode) for mode in MODES]
    kept = (
        steady["failed"] == 0
        and steady["rotations"] >= seconds / 4
        and steady["sts_calls_not_by_the_task"] == 0
        and all(one["failed_before_expiry"] == 0 for one in outages)
        and all(one["recovered_after_s"] <= RECOVERY_S for one in outages)
    )
    return {"life_s": life_s, "workers": WORKERS, "kept": kept, "steady": steady, "outages": outages}


def main() -> int:
    """Run by the command line's arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.credentials", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--life", type=float, default=3.0, help="seconds that credentials live")
    arguments = parser.parse_args()
    logging.configure(level="error", json=True, stream=sys.stderr)
    report = asyncio.run(run(arguments.seconds, arguments.life))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if report["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
