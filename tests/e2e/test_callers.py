"""Callers who are named in the settings, over sockets, in every dialect."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.settings import CallerSettings
from tests.e2e.sdk import boto3_client
from tests.emulator.asking import CLAUDE, converse
from tests.harness import ask, lines

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator
    from tests.harness import StartGateway

KEY = "CANARY-key-of-team-a"
CALLERS = {
    "team-a": CallerSettings(
        key_sha256=(sha256(KEY.encode()).hexdigest(),), access_key_ids=("AKIAOFACALLER",)
    )
}
MESSAGES = [{"role": "user", "content": "Hello"}]
ROUTES: dict[str, dict[str, Any]] = {
    "/chat/completions": ask(model=CLAUDE),
    "/chat/completions/stream": ask(model=CLAUDE),
    "/v1/chat/completions": {"model": CLAUDE, "messages": MESSAGES},
    "/v1/responses": {"model": CLAUDE, "input": "Hello"},
    "/v1/messages": {"model": CLAUDE, "max_tokens": 100, "messages": MESSAGES},
    f"/model/{CLAUDE}/converse": converse(),
    f"/model/{CLAUDE}/converse-stream": converse(),
}


@pytest.mark.parametrize("path", ROUTES)
async def test_every_dialect(path: str, emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """A known caller is served and named in the log, an unknown one is refused in the dialect's shape."""
    async with start(emulator, callers=CALLERS) as caller:
        statuses = []
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {KEY}"}):
            url = caller.url + path
            async with caller.session.post(url, json=ROUTES[path], headers=headers) as response:
                statuses.append(response.status)
                text = await response.read()
                if response.status != 200:
                    assert b"known" in text or b"does not know" in text
        assert statuses == ([403, 403, 200] if path.startswith("/model") else [401, 401, 200])
    assert [line.get("caller") for line in lines(log)] == [None, None, "team-a"]
    assert [line.get("code") for line in lines(log)] == ["unauthenticated", "unauthenticated", None]
    assert len(emulator.calls) == 1


async def test_a_signature_names_its_caller(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """By boto3's access key id; another one is refused as AWS would."""

    def call(url: str, access_key: str) -> Any:
        with boto3_client(url, key=(access_key, "any")) as client:
            return client.converse(modelId=CLAUDE, **converse())

    async with start(emulator, callers=CALLERS) as caller:
        assert await asyncio.to_thread(call, caller.url, "AKIAOFACALLER")
        with pytest.raises(ClientError) as refused:
            await asyncio.to_thread(call, caller.url, "AKIAOFNOBODY")
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert [line.get("caller") for line in lines(log)] == ["team-a", None]


async def test_probes_are_open(emulator: Emulator, start: StartGateway) -> None:
    """A load balancer has no key; nobody else's routes are open, not even those that are not there."""
    async with start(emulator, callers=CALLERS) as caller:
        for path, status in {"/livez": 200, "/readyz": 200, "/models/config": 401, "/no": 401}.items():
            async with caller.session.get(caller.url + path) as response:
                assert response.status == status
