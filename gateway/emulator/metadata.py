"""The endpoints that a machine asks who it is: container credentials (ECS, EKS), instance metadata (v2)."""

from __future__ import annotations

import hmac
from collections import deque
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from gateway.emulator.keyring import stamp
from gateway.emulator.loopback import LoopbackServer

if TYPE_CHECKING:
    from gateway.emulator.keyring import KeyRing

CONTAINER_PATH: Final = "/v2/credentials/emulated"
_SESSION_PATH: Final = "/latest/api/token"
_ROLE_PATH: Final = "/latest/meta-data/iam/security-credentials/"
_ROLE: Final = "emulated-instance"
_SESSION: Final = "emulated-imds-session"
_LIFE_S: Final = 21_600
TASK_PRINCIPAL: Final = "arn:aws:iam::000000000000:role/emulated-task"
INSTANCE_PRINCIPAL: Final = "arn:aws:iam::000000000000:role/emulated-instance"


class EmulatedMetadata(LoopbackServer):
    """Both kinds of endpoint on one port of loopback.

    With `authorization`, the container's endpoint wants to see that text in the header of the same name, as
    EKS Pod Identity does. The instance's wants a session first: version 1 is not served. `calls` is what was
    asked, as method and path, oldest first.
    """

    def __init__(self, keys: KeyRing, *, authorization: str | None = None) -> None:
        super().__init__(self._serve)
        self.authorization = authorization
        self.calls: deque[str] = deque(maxlen=10_000)
        self._keys = keys

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        match request.method, request.path:
            case "GET", path if path == CONTAINER_PATH:
                return self._container(request)
            case "PUT", path if path == _SESSION_PATH:
                return web.Response(text=_SESSION)
            case "GET", path if path.startswith(_ROLE_PATH):
                return self._instance(request, path.removeprefix(_ROLE_PATH))
        return web.Response(status=404)

    def _container(self, request: web.BaseRequest) -> web.Response:
        shown = request.headers.get("Authorization", "")
        if self.authorization is not None and not hmac.compare_digest(
            shown.encode(), self.authorization.encode()
        ):
            return web.Response(status=401, text="not authorised")
        return self._issue(TASK_PRINCIPAL)

    def _instance(self, request: web.BaseRequest, role: str) -> web.Response:
        if request.headers.get("X-aws-ec2-metadata-token") != _SESSION:
            return web.Response(status=401)
        if not role:
            return web.Response(text=_ROLE)
        return self._issue(INSTANCE_PRINCIPAL)

    def _issue(self, principal: str) -> web.Response:
        key = self._keys.issue(principal, _LIFE_S)
        answer = {
            "Code": "Success",
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key,
            "Token": key.session_token,
            "Expiration": stamp(key.expires),
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")
