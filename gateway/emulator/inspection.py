"""What can be seen and changed of an emulator in another process: nobody's API, and no part of Bedrock's.

GET /emulator/ledger    what it would bill
GET /emulator/quotas    the quotas of the account, by pattern
PUT /emulator/quotas    the same object; null lifts a quota, what is not named stays
"""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from gateway.emulator.quotas import read_quota

if TYPE_CHECKING:
    from gateway.emulator.metering import Metering
    from gateway.emulator.quotas import Quota

PREFIX: Final = "/emulator/"


async def inspect(request: web.BaseRequest, metering: Metering) -> web.Response:
    """Answer a request whose path begins with `PREFIX`."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "ledger":
            return _json(metering.ledger.as_json())
        case "GET", "quotas":
            return _json(_quotas(metering.quotas.given))
        case "PUT", "quotas":
            try:
                given = orjson.loads(await request.read())
                changes = {str(name): None if one is None else read_quota(one) for name, one in given.items()}
            except (ValueError, TypeError, AttributeError) as error:
                return _json({"message": f"no quotas: {error}"}, HTTPStatus.BAD_REQUEST)
            for pattern, quota in changes.items():
                metering.quotas.limit(pattern, quota)
            return _json(_quotas(metering.quotas.given))
    return _json({"message": f"no {request.method} {request.path}"}, HTTPStatus.NOT_FOUND)


def _quotas(given: dict[str, Quota]) -> dict[str, Any]:
    return {pattern: asdict(quota) for pattern, quota in given.items()}


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
