"""Faults as a client of the emulator meets them: over a real socket, read by the SDK or byte by byte."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import EventStreamError
from urllib3.exceptions import ProtocolError

from gateway.emulator import Emulator, EmulatorSettings
from tests.emulator.asking import CLAUDE, NOVA, claude, converse, converse_stream, invoke, invoke_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GUARD = 30.0
"""Seconds after which a test that hangs fails; no promise."""
SILENCE = 0.1
"""Seconds without a byte behind those that were to come."""


@pytest.fixture(name="unsigned")
async def _unsigned() -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings(verify_signatures=False)) as running:
        yield running


async def fetch(
    emulator: Emulator, words: str, *, streamed: bool = True, until: int | None = None
) -> tuple[int, bytes, str]:
    """Return status (0: none came), body as far as it came, and how it ended.

    Where silence is expected, it is that behind `until` bytes.
    """
    body, status, ending = b"", 0, "end"
    operation = "converse-stream" if streamed else "converse"
    async with aiohttp.ClientSession() as session:
        try:
            url = f"{emulator.url}/model/{NOVA}/{operation}"
            async with session.post(url, json=converse(f"[[emulator {words}]]")) as response:
                status = response.status
                async with asyncio.timeout(GUARD):
                    body += await response.content.readexactly(until or 0)
                async with asyncio.timeout(GUARD if until is None else SILENCE):
                    async for piece in response.content.iter_any():
                        body += piece
        except aiohttp.ClientError as error:
            ending = "reset" if isinstance(error.__cause__, ConnectionResetError) else "close"
            if isinstance(error, ConnectionResetError) or "reset" in str(error).lower():
                ending = "reset"
        except TimeoutError:
            ending = "stall"
    return status, body, ending


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("kind", ["cut", "close", "reset", "stall"])
async def test_a_break_behind_some_bytes(kind: str, unsigned: Emulator, *, streamed: bool) -> None:
    """What was to come before it has come, and the connection ends as it was told to."""
    _, whole, _ = await fetch(unsigned, "deltas=2", streamed=streamed)

    until = 10 if kind == "stall" else None
    status, body, ending = await fetch(unsigned, f"deltas=2 {kind}=0+10", streamed=streamed, until=until)

    assert (status, ending) == (200, "end" if kind == "cut" else kind)
    assert body == whole[:10]
    await unsigned.wait_active(0)
    outcome = {"cut": "complete", "stall": "client_gone"}.get(kind, "error")
    assert unsigned.calls[-1].outcome == outcome


@pytest.mark.parametrize("kind", ["close", "reset"])
async def test_a_break_before_the_head(kind: str, unsigned: Emulator) -> None:
    """No status, no byte, and the emulator goes on."""
    assert await fetch(unsigned, f"{kind}=start") == (0, b"", kind)
    assert (await fetch(unsigned, ""))[::2] == (200, "end")


@pytest.mark.parametrize("words", ["cut=start", "close=start+12", "garbage=start", "flip=start"])
async def test_no_good_head(words: str, unsigned: Emulator) -> None:
    """No head, a part of one, none at all, one with a wrong bit: no client finds a status in it."""
    assert (await fetch(unsigned, words))[:2] == (0, b"")


async def test_an_interim_answer(unsigned: Emulator) -> None:
    """What a client must be ready for at any time (RFC 9110 §15.2), and then the answer."""
    unsigned.script("", "unknown_event=start")

    assert await fetch(unsigned, "") == await fetch(unsigned, "")


async def test_a_stall_before_the_head_ends_with_the_client(unsigned: Emulator) -> None:
    """It holds a request for as long as somebody waits."""
    asking = asyncio.ensure_future(fetch(unsigned, "stall=start"))
    await unsigned.wait_active(1)

    asking.cancel()

    async with asyncio.timeout(GUARD):
        await unsigned.wait_active(0)
    assert (unsigned.calls[-1].status, unsigned.calls[-1].outcome) == (200, "client_gone")


async def test_slow_slices_are_the_same_answer(unsigned: Emulator) -> None:
    """Byte by byte, and not a bit different."""
    unsigned.script("", "slice=1 slice_ms=0.01")
    _, whole, _ = await fetch(unsigned, "deltas=1")

    assert await fetch(unsigned, "deltas=1") == (200, whole, "end")
    assert unsigned.calls[0].body == unsigned.calls[1].body


# ── as the SDK sees it (bedrock-wire.md §1.3) ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("member", ["accessDeniedException", "somethingNewException"])
async def test_an_unmodelled_exception(member: str, client: Any) -> None:
    """The SDK knows no such member, so its error has no code."""
    with pytest.raises(EventStreamError) as caught:
        await asyncio.to_thread(
            converse_stream, client, NOVA, converse(f"[[emulator exception={member} after=2]]")
        )

    assert caught.value.response["Error"].get("Code", "") == ""


async def test_an_error_frame(client: Any) -> None:
    """Code and message are headers."""
    with pytest.raises(EventStreamError) as caught:
        await asyncio.to_thread(converse_stream, client, NOVA, converse("[[emulator error_frame=2]]"))

    assert caught.value.response["Error"] == {"Code": "InternalError", "Message": "Something failed."}


@pytest.mark.parametrize("fault", ["flip=3", "garbage=3"])
async def test_a_damaged_stream(fault: str, client: Any) -> None:
    """The SDK stops at the checksum."""
    with pytest.raises(ChecksumMismatch):
        await asyncio.to_thread(converse_stream, client, NOVA, converse(f"[[emulator {fault}]]"))


async def test_what_the_sdk_does_not_notice(client: Any) -> None:
    """A cut inside a frame just ends, an unknown event is skipped, a double is told twice (S5, S6)."""
    usual = await asyncio.to_thread(invoke_stream, client, CLAUDE, claude("[[emulator deltas=3]]"))

    async def chunks(words: str) -> int:
        body = claude(f"[[emulator deltas=3 {words}]]")
        return len(await asyncio.to_thread(invoke_stream, client, CLAUDE, body))

    assert await chunks("cut=2+30") == 2
    assert await chunks("unknown_event=2") == len(usual)
    assert await chunks("duplicate=2") == len(usual) + 1


async def test_a_reset_reaches_the_sdk(client: Any) -> None:
    """It is no exception of Bedrock's."""

    def read() -> None:
        response = client.converse_stream(modelId=NOVA, **converse("[[emulator reset=2]]"))
        with closing(response["stream"]) as events:
            list(events)

    with pytest.raises(ProtocolError, match="reset"):
        await asyncio.to_thread(read)


# ── the script ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_call_fails_and_the_second_does_not(emulator: Emulator, client: Any) -> None:
    """The same request gets what the script says for its turn, and the wait it is to respect."""
    body = claude("Hello")
    usual = await asyncio.to_thread(invoke, client, CLAUDE, body)
    emulator.script("error=ThrottlingException retry_after_ms=1500", "", "deltas=1")

    with pytest.raises(client.exceptions.ThrottlingException) as caught:
        await asyncio.to_thread(invoke, client, CLAUDE, body)
    second = await asyncio.to_thread(invoke, client, CLAUDE, body)
    third = await asyncio.to_thread(invoke, client, CLAUDE, body)
    fourth = await asyncio.to_thread(invoke, client, CLAUDE, body)

    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-retry-after"] == "1500"
    assert (second, fourth) == (usual, usual)
    assert third["usage"]["output_tokens"] < usual["usage"]["output_tokens"]


async def test_a_script_holds_for_counting_too(emulator: Emulator, client: Any) -> None:
    """Every operation can fail."""
    emulator.script("error=ServiceUnavailableException")
    counted = {"invokeModel": {"body": json.dumps(claude())}}
    model = CLAUDE.removeprefix("us.")

    with pytest.raises(client.exceptions.ServiceUnavailableException):
        await asyncio.to_thread(client.count_tokens, modelId=model, input=counted)
    assert (await asyncio.to_thread(client.count_tokens, modelId=model, input=counted))["inputTokens"]


async def test_a_script_that_would_do_nothing_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    """A misspelt word, or an emulator that only replays."""
    recording: dict[str, object] = {
        "id": "1",
        "operation": "converse",
        "model_id": NOVA,
        "request": None,
        "status": 200,
    }
    recording |= {"response": {}, "response_headers": {}}
    (tmp_path / "1.json").write_text(json.dumps(recording))

    with pytest.raises(ValueError, match=r"Unknown directive \[stal\]"):
        emulator.script("stal=0")
    with pytest.raises(ValueError, match="replayed as they are"):
        Emulator(EmulatorSettings(recordings=tmp_path)).script("stall=0")
