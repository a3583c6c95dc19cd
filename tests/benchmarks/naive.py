"""The yardstick: what a competent engineer writes first, with aiohttp and aiobotocore as documented.

One pooled client, the SDK's event iterator, one write an event, the stream closed whatever happens. It has
the native API's happy path and nothing else: no admission, no deadlines, no request log, no validation.

    python -m tests.benchmarks.naive --endpoint http://127.0.0.1:4000
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

import orjson
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT: web.AppKey[Any] = web.AppKey("client", object)
ENDPOINT = web.AppKey("endpoint", str)
MAX_TOKENS = 4096


async def stream(request: web.Request) -> web.StreamResponse:
    """`POST /chat/completions/stream`: the text deltas as NDJSON, then `done`."""
    body = orjson.loads(await request.read())
    client = request.app[CLIENT]
    if body["model"].startswith("us.anthropic."):
        answer, events = await invoke(client, body)
    else:
        answer, events = await converse(client, body)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    try:
        await response.prepare(request)
        async for record in events:
            await response.write(orjson.dumps(record) + b"\n")
        await response.write_eof()
    except ConnectionResetError:
        pass  # the caller left
    finally:
        answer.close()
    return response


async def invoke(client: Any, body: dict[str, Any]) -> tuple[Any, AsyncIterator[dict[str, Any]]]:
    """Ask Claude natively; return the SDK's stream, to be closed, and the records in it."""
    question = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": MAX_TOKENS,
        "messages": body["messages"],
    }
    answer = await client.invoke_model_with_response_stream(
        modelId=body["model"], contentType="application/json", body=orjson.dumps(question)
    )
    return answer["body"], _claude_records(answer["body"])


async def converse(client: Any, body: dict[str, Any]) -> tuple[Any, AsyncIterator[dict[str, Any]]]:
    """Ask any model by Converse; return the SDK's stream, to be closed, and the records in it."""
    messages = [
        {"role": message["role"], "content": [{"text": message["content"]}]} for message in body["messages"]
    ]
    answer = await client.converse_stream(modelId=body["model"], messages=messages)
    return answer["stream"], _converse_records(answer["stream"])


async def _claude_records(answer: Any) -> AsyncIterator[dict[str, Any]]:
    usage: dict[str, int] = {}
    reason = None
    async for event in answer:
        chunk = orjson.loads(event["chunk"]["bytes"])
        kind = chunk["type"]
        if kind == "content_block_delta" and chunk["delta"]["type"] == "text_delta":
            yield {"type": "text_delta", "text": chunk["delta"]["text"]}
        elif kind == "message_start":
            usage = chunk["message"]["usage"]
        elif kind == "message_delta":
            usage = {**usage, **chunk["usage"]}
            reason = chunk["delta"]["stop_reason"]
        elif kind == "message_stop":
            yield {"type": "done", "finish_reason": reason, "usage": usage}


async def _converse_records(answer: Any) -> AsyncIterator[dict[str, Any]]:
    reason = None
    async for event in answer:
        if "contentBlockDelta" in event:
            text = event["contentBlockDelta"]["delta"].get("text")
            if text:
                yield {"type": "text_delta", "text": text}
        elif "messageStop" in event:
            reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            yield {"type": "done", "finish_reason": reason, "usage": event["metadata"]["usage"]}


async def open_client(app: web.Application) -> AsyncIterator[None]:
    """Keep one client for the life of the process."""
    config = AioConfig(max_pool_connections=4096, read_timeout=120)
    async with get_session().create_client(
        "bedrock-runtime", endpoint_url=app[ENDPOINT], config=config
    ) as client:
        app[CLIENT] = client
        yield


async def serve(endpoint: str) -> None:
    """Serve until SIGTERM or SIGINT; say the port in one line of JSON on standard output."""
    app = web.Application()
    app[ENDPOINT] = endpoint
    app.cleanup_ctx.append(open_client)
    app.router.add_post("/chat/completions/stream", stream)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(orjson.dumps({"port": runner.addresses[0][1]}).decode() + "\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.naive", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="Bedrock's URL")
    asyncio.run(serve(parser.parse_args().endpoint))
