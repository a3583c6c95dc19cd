"""`bedrock-gateway chat`: a terminal client of the NDJSON stream, and the model of how to read one.

An answer is complete only when its `done` record has come; a stream without a terminal record was cut.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a model must not send to a terminal: escape sequences can do more than print."""


def run(url: str, body: dict[str, Any], *, raw: bool) -> int:
    """Ask, show the answer as it comes, and return the exit code: 0 only after a `done` record."""
    try:
        return asyncio.run(ask(url, body, raw=raw))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


async def ask(url: str, body: dict[str, Any], *, raw: bool, out: TextIO | None = None) -> int:
    """Ask and show; `raw` shows the records themselves."""
    out = out or sys.stdout
    last: dict[str, Any] = {}
    try:
        async for line in _lines(url, body):
            last = orjson.loads(line)
            out.write(line.decode() + "\n" if raw else _shown(last))
            out.flush()
    except (aiohttp.ClientError, TimeoutError) as error:
        sys.stderr.write(f"\n{url}: {str(error) or type(error).__name__}\n")
        return EXIT_FAILED
    except orjson.JSONDecodeError:
        sys.stderr.write(f"\n{url}: this is not a Bedrock gateway: its answer is not NDJSON\n")
        return EXIT_FAILED
    if not raw:
        out.write("\n")
    return _verdict(last)


async def _lines(url: str, body: dict[str, Any]) -> AsyncIterator[bytes]:
    """Yield the records of the stream, or the one error object of an HTTP answer that is not 200."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{url.rstrip('/')}/chat/completions/stream", json=body) as response,
    ):
        if response.status != 200:  # noqa: PLR2004 - anything else is an error object
            problem = await response.read()
            try:
                yield orjson.dumps({"type": "error", "http_status": response.status, **orjson.loads(problem)})
            except (orjson.JSONDecodeError, TypeError):
                yield orjson.dumps({"type": "error", "error": {"message": f"HTTP {response.status}"}})
            return
        buffer = b""
        async for data in response.content.iter_any():
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                if line:
                    yield line


def _shown(record: dict[str, Any]) -> str:
    kind = record.get("type")
    if kind == "text_delta":
        return CONTROL.sub("\N{REPLACEMENT CHARACTER}", record["text"])
    if kind == "tool_call":
        return f"\n[tool call {record['name']}] "
    if kind == "tool_call_delta":
        return CONTROL.sub("\N{REPLACEMENT CHARACTER}", record["arguments"])
    return ""


def _verdict(last: dict[str, Any]) -> int:
    kind = last.get("type")
    if kind == "done":
        usage, timing = last["usage"], last["timing"]
        sys.stderr.write(
            f"[{last['finish_reason']} · {usage['input_tokens']} in, {usage['output_tokens']} out · "
            f"first byte {timing['first_byte_ms']:.0f} ms, total {timing['total_ms']:.0f} ms]\n"
        )
        return EXIT_OK
    if kind == "error":
        problem = last["error"]
        sys.stderr.write(f"error {problem.get('code', '')}: {problem.get('message', '')}\n")
        return EXIT_FAILED
    sys.stderr.write("the stream was cut: it ended without `done` or `error`\n")
    return EXIT_FAILED
