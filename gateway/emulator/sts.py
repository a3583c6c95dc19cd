"""An embedded STS: AssumeRole, AssumeRoleWithWebIdentity and GetCallerIdentity, and outages on demand.

The query protocol: a form in, XML out. What it issues goes into the key ring that the emulated Bedrock
enforces, so that expired credentials fail here as they fail at AWS.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

from gateway.emulator.authentication import SignedRequest, authenticate
from gateway.emulator.errors import BedrockError
from gateway.emulator.keyring import stamp
from gateway.emulator.loopback import LoopbackServer
from gateway.emulator.settings import EmulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.emulator.keyring import IssuedKey, KeyRing

Mode: TypeAlias = Literal["healthy", "unavailable", "hanging", "refusing"]

_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
_SHORTEST: Final = 900
_LONGEST: Final = 43_200
_LONGEST_CHAINED: Final = 3600
_SHORTEST_EXTERNAL_ID: Final = 2
_CODES: Final = MappingProxyType(
    {"ExpiredTokenException": "ExpiredToken", "InvalidSignatureException": "SignatureDoesNotMatch"}
)
"""What Bedrock calls by one name and STS by another."""
USER: Final = "arn:aws:iam::000000000000:user/emulator"
"""Whom the static key of the emulator speaks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role that can be assumed: by the principals it trusts, or by whoever shows `web_identity_token`."""

    arn: str
    trusts: tuple[str, ...] = (USER,)
    external_id: str | None = None
    web_identity_token: str | None = None
    max_seconds: int = _LONGEST


@dataclass(frozen=True, slots=True)
class StsCall:
    """One request: its parameters as they came, and the status that was answered, 0 for none."""

    action: str
    parameters: Mapping[str, str]
    access_key_id: str
    status: int


class StsError(Exception):
    """An error answer of STS."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks for what; `caller` is None for the static key and for nobody."""

    parameters: Mapping[str, str]
    access_key_id: str
    caller: IssuedKey | None = field(default=None)

    @property
    def principal(self) -> str:
        return USER if self.caller is None else self.caller.principal


class EmulatedSts(LoopbackServer):
    """STS on loopback. `calls` is what was asked, oldest first, outages included where a request came in."""

    def __init__(
        self, keys: KeyRing, roles: tuple[Role, ...] = (), settings: EmulatorSettings | None = None
    ) -> None:
        super().__init__(self._serve)
        self.calls: deque[StsCall] = deque(maxlen=10_000)
        self.mode: Mode = "healthy"
        self._keys = keys
        self._roles = {role.arn: role for role in roles}
        self._settings = EmulatorSettings() if settings is None else settings

    async def switch(self, mode: Mode) -> None:
        """Change how requests are met from now on; requests that hang go on hanging."""
        self.mode = mode
        if mode == "refusing":
            await self.close()
        else:
            await self.open()

    def count(self, action: str) -> int:
        """Return how often this was asked."""
        return sum(call.action == action for call in self.calls)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        parameters = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        status, access_key_id, text = 0, "", ""
        try:
            if self.mode == "hanging":
                await asyncio.Event().wait()
            asked = self._identify(request, body, parameters)
            access_key_id = asked.access_key_id
            status, text = 200, self._answer(asked)
        except StsError as error:
            status, text = error.status, _error_xml(error)
        finally:
            action = parameters.get("Action", "")
            self.calls.append(StsCall(action, parameters, access_key_id, status))
        return web.Response(status=status, body=text.encode(), content_type="text/xml")

    def _identify(self, request: web.BaseRequest, body: bytes, parameters: Mapping[str, str]) -> _Asked:
        if self.mode == "unavailable":
            raise StsError(503, "ServiceUnavailable", "Service is unavailable.")
        if (
            parameters.get("Action") == "AssumeRoleWithWebIdentity"
        ):  # the token is the proof: it is not signed
            return _Asked(parameters, "")
        headers = {name.lower(): value for name, value in request.headers.items()}
        path, _, query = request.raw_path.partition("?")
        signed = SignedRequest(request.method, path, query, headers, body)
        try:
            access_key_id = authenticate(signed, self._settings, keys=self._keys, service="sts")
        except BedrockError as error:
            raise StsError(403, _CODES.get(error.code, "InvalidClientTokenId"), error.message) from error
        return _Asked(parameters, access_key_id, self._keys.find(access_key_id))

    def _answer(self, asked: _Asked) -> str:
        actions: dict[str, Callable[[_Asked], str]] = {
            "AssumeRole": self._assume_role,
            "AssumeRoleWithWebIdentity": self._assume_role_with_web_identity,
            "GetCallerIdentity": self._get_caller_identity,
        }
        action = asked.parameters.get("Action", "")
        if action not in actions:
            raise StsError(400, "InvalidAction", f"Could not find operation {action}")
        result = actions[action](asked)
        return (
            f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>'
            f"<ResponseMetadata><RequestId>emulated</RequestId></ResponseMetadata></{action}Response>"
        )

    def _assume_role(self, asked: _Asked) -> str:
        arn = asked.parameters.get("RoleArn", "")
        external_id = asked.parameters.get("ExternalId")
        if external_id is not None and len(external_id) < _SHORTEST_EXTERNAL_ID:
            raise _invalid("externalId", "length greater than or equal to 2")
        role = self._roles.get(arn)
        trusted = role is not None and asked.principal in role.trusts and role.external_id == external_id
        if role is None or not trusted:
            raise StsError(
                403,
                "AccessDenied",
                f"User: {asked.principal} is not authorized to perform: sts:AssumeRole on resource: {arn}",
            )
        return self._issue(asked, role, chained=asked.caller is not None)

    def _assume_role_with_web_identity(self, asked: _Asked) -> str:
        role = self._roles.get(asked.parameters.get("RoleArn", ""))
        shown = asked.parameters.get("WebIdentityToken", "")
        if role is None or role.web_identity_token is None:
            raise StsError(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        if shown != role.web_identity_token:
            raise StsError(400, "InvalidIdentityToken", "The web identity token is not valid.")
        return self._issue(asked, role, chained=False)

    def _issue(self, asked: _Asked, role: Role, *, chained: bool) -> str:
        seconds = _duration(asked.parameters.get("DurationSeconds", "3600"), role, chained=chained)
        session = asked.parameters.get("RoleSessionName", "")
        if not session:
            raise _invalid("roleSessionName", "length greater than or equal to 2")
        account, name = role.arn.split(":")[4], role.arn.rpartition("/")[2]
        key = self._keys.issue(role.arn, seconds)
        return (
            f"<AssumedRoleUser><AssumedRoleId>AROAEMULATED:{escape(session)}</AssumedRoleId>"
            f"<Arn>arn:aws:sts::{account}:assumed-role/{escape(name)}/{escape(session)}</Arn></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>{key.access_key_id}</AccessKeyId>"
            f"<SecretAccessKey>{key.secret_access_key}</SecretAccessKey>"
            f"<SessionToken>{key.session_token}</SessionToken>"
            f"<Expiration>{stamp(key.expires)}</Expiration></Credentials>"
        )

    def _get_caller_identity(self, asked: _Asked) -> str:
        account = asked.principal.split(":")[4]
        return (
            f"<Arn>{escape(asked.principal)}</Arn><UserId>{asked.access_key_id}</UserId>"
            f"<Account>{account}</Account>"
        )


def _duration(text: str, role: Role, *, chained: bool) -> int:
    seconds = int(text) if text.isdecimal() else 0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise _invalid("durationSeconds", f"value between {_SHORTEST} and {_LONGEST}")
    if chained and seconds > _LONGEST_CHAINED:
        raise StsError(
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
            "chaining",
        )
    if seconds > role.max_seconds:
        raise StsError(
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    return seconds


def _invalid(member: str, constraint: str) -> StsError:
    return StsError(
        400,
        "ValidationError",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
        f"Member must have {constraint}",
    )


def _error_xml(error: StsError) -> str:
    kind = "Receiver" if error.status >= 500 else "Sender"  # noqa: PLR2004 - HTTP's own classes
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{kind}</Type><Code>{error.code}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>emulated</RequestId></ErrorResponse>"
    )
