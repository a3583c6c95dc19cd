"""Nothing secret in any log line or error, however a request ends (reliability.md R54, R55)."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydantic import SecretStr

from gateway import app
from gateway.emulator import Emulator, EmulatorSettings
from gateway.identity.key_file import edited
from gateway.identity.keys import new_key
from gateway.settings import AwsSettings, CallerSettings
from tests.harness import CLAUDE, FAMILIES, LLAMA, Caller, lines, settings_for

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from tests.harness import StartGateway

CANARY = "CANARY-7f3a"
ENDINGS = (
    "deltas=3",
    "deltas=3 cut=2",
    "deltas=3 reset=2",
    "deltas=3 close=2",
    "deltas=3 flip=2",
    "deltas=3 garbage=2",
    "deltas=3 stall=2",
    "deltas=3 unknown_event=2",
    "deltas=3 exception=modelStreamErrorException after=2",
    "error=ThrottlingException",
    "error=ValidationException",
    "error=AccessDeniedException",
    "error=InternalServerException",
    "stall=start",
    "garbage=0",
)
HEADERS = {
    "Authorization": f"Bearer {CANARY}",
    "X-Api-Key": CANARY,
    "Cookie": f"session={CANARY}",
    "X-Request-Id": f"{CANARY} is no id",
    "User-Agent": CANARY,
}


def _body(model: str, directive: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "system": f"{CANARY} in the system text",
        "messages": [{"role": "user", "content": f"[[emulator {directive}]] {CANARY} in the prompt"}],
        "stop": [f"{CANARY} as a stop sequence"],
    }
    if model == CLAUDE:
        schema = {"type": "object", "properties": {CANARY: {"type": "string"}}}
        function = {"name": "look_up", "description": CANARY, "parameters": schema}
        body["tools"] = [{"type": "function", "function": function}]
    return body


async def _ask(caller: Caller, path: str, body: Any) -> str:
    try:
        async with asyncio.timeout(60):
            url = f"{caller.url}{path}?key={CANARY}"
            async with caller.session.post(url, data=json.dumps(body), headers=HEADERS) as response:
                return str(response.headers) + (await response.text(errors="replace"))
    except (OSError, TimeoutError) as error:
        return str(error)


@pytest.mark.parametrize("model", FAMILIES)
async def test_however_it_ends(model: str, log: io.StringIO) -> None:
    """Prompt, keys, headers and query stay out of the log and of every answer, at debug, in every ending."""
    keys = EmulatorSettings(secret_access_key=f"{CANARY}-secret", session_token=f"{CANARY}-token")
    async with Emulator(keys) as emulator:
        settings = settings_for(
            emulator,
            bedrock={"first_byte_timeout_ms": 2000, "gap_timeout_ms": 2000},
            retries={"max_attempts": 1},
            breaker={"enabled": False},  # it would open, and refuse the good ones
            adaptive={"enabled": False},
        )
        aws = settings.aws.model_copy(update={"session_token": SecretStr(f"{CANARY}-token")})
        settings = settings.model_copy(update={"aws": AwsSettings.model_validate(aws.model_dump())})
        async with (
            app.running(settings) as gateway,
            aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session,
        ):
            caller = Caller(gateway, session)
            answers = await asyncio.gather(
                *(
                    _ask(caller, path, _body(model, directive))
                    for directive in ENDINGS
                    for path in ("/chat/completions/stream", "/chat/completions")
                ),
                _ask(caller, f"/{CANARY}", {}),
                _ask(caller, "/chat/completions", {"messages": CANARY}),
                _ask(caller, "/chat/completions", {"model": LLAMA, "prompt": CANARY, "temperature": CANARY}),
                _ask(caller, "/embeddings", {"model": LLAMA, "input": CANARY, "dimensions": CANARY}),
            )

    outcomes = {line["outcome"] for line in lines(log)}
    assert outcomes == {"ok", "error"}
    assert len(lines(log)) == 2 * len(ENDINGS) + 4
    assert CANARY not in log.getvalue()
    told = [answer[answer.index('{"') :] for answer in answers if CANARY in answer]
    assert told == []


async def test_what_callers_prove_themselves_with(
    emulator: Emulator, start: StartGateway, log: io.StringIO, tmp_path: Path
) -> None:
    """Keys and tokens, right, wrong, of another kind or broken, are in no line and in no answer."""
    made = new_key("team-a", now=datetime.now(UTC))
    file = tmp_path / "keys.json"
    with edited(file) as editing:
        editing.keys.append(made.stored)
    secret = made.key.partition(".")[2]
    sent = (
        made.key, made.key + CANARY, f"bgw_{made.stored.id}.{CANARY}", f"bgw_{CANARY}",
        f"{CANARY}.{CANARY}.{CANARY}",
        f"eyJhbGciOiJub25lIn0.{CANARY}.", f"{CANARY} {CANARY}", f"{CANARY}\xff",
    )  # fmt: skip
    async with start(emulator, callers={"team-a": CallerSettings()}, keys_file=file) as caller:
        statuses = []
        for value in sent:
            for headers in (
                {"Authorization": f"Bearer {value}"}, {"x-api-key": value},
                {"Authorization": f"Basic {value}"},
                {"Authorization": f"AWS4-HMAC-SHA256 Credential={value}/x/y, Signature={CANARY}"},
            ):  # fmt: skip
                url = f"{caller.url}/chat/completions"
                async with caller.session.post(url, json=_body(LLAMA, "deltas=1"), headers=headers) as answer:
                    statuses.append(answer.status)
                    text = str(answer.headers) + await answer.text()
                    assert secret not in text
                    assert answer.status == 200 or CANARY not in text
    assert statuses == [200, 200] + [401] * (len(statuses) - 2)
    assert lines(log)
    assert secret not in log.getvalue()
    assert CANARY not in log.getvalue()
