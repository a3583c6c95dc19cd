"""The description of the API: `GET /openapi.json`, and `GET /docs` to read it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from gateway.server.answers import rendered_json

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def openapi(exchange: Exchange) -> Answer:
    """`GET /openapi.json`."""
    return rendered_json(_file("openapi.json"), exchange.log.request_id)


async def docs(exchange: Exchange) -> Answer:
    """`GET /docs`: a page that loads nothing and runs nothing."""
    answer = rendered_json(_file("docs.html"), exchange.log.request_id)
    answer.headers["Content-Type"] = "text/html; charset=utf-8"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return answer


@cache
def _file(name: str) -> bytes:
    return files("gateway.openapi").joinpath(name).read_bytes()
