"""A session of the role for each caller: what STS is asked, and what signs the calls."""

from __future__ import annotations

from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from gateway import app
from gateway.emulator import EmulatedSts, Emulator, EmulatorSettings, KeyRing, Role
from gateway.settings import AwsSettings, CallerSettings, CredentialSettings, RoleSettings, Settings
from tests.e2e.test_permissions import TITAN, bodies
from tests.emulator.asking import CLAUDE, converse
from tests.harness import ask, lines

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

    from gateway.emulator.keyring import IssuedKey

ROLE = "arn:aws:iam::111122223333:role/bedrock"
NAMES = ("team-a", "team-b")


class WatchedKeys(KeyRing):
    """Remembers which keys were issued, in order, and which signed a request."""

    def __init__(self) -> None:
        super().__init__()
        self.issued: list[str] = []
        self.used: list[str] = []

    def issue(self, principal: str, seconds: float) -> IssuedKey:
        """Issue a key and remember it."""
        key = super().issue(principal, seconds)
        self.issued.append(key.access_key_id)
        return key

    def find(self, access_key_id: str) -> IssuedKey | None:
        """Find a key and remember it."""
        self.used.append(access_key_id)
        return super().find(access_key_id)


class World:
    """A gateway with two callers whose role is assumed at an emulated STS."""

    def __init__(self, url: str, session: aiohttp.ClientSession, sts: EmulatedSts, keys: WatchedKeys) -> None:
        self.url = url
        self.sts = sts
        self.keys = keys
        self._session = session

    async def ask(self, name: str, path: str, body: dict[str, Any]) -> int:
        """Ask as this caller and return the status."""
        headers = {"Authorization": f"Bearer {name}"}
        async with self._session.post(self.url + path, json=body, headers=headers) as response:
            await response.read()
            return response.status

    def sessions(self) -> list[str]:
        """Return the names of the sessions that STS was asked for, the process's own first."""
        return [call.parameters["RoleSessionName"] for call in self.sts.calls]


@asynccontextmanager
async def world(**credentials: Any) -> AsyncIterator[World]:
    """Run it all."""
    keys = WatchedKeys()
    async with EmulatedSts(keys, (Role(arn=ROLE),)) as sts, Emulator(EmulatorSettings(), keys) as bedrock:
        user = bedrock.settings
        settings = Settings(
            port=0,
            callers={name: CallerSettings(key_sha256=(sha256(name.encode()).hexdigest(),)) for name in NAMES},
            credentials=CredentialSettings(
                roles=(RoleSettings(role_arn=ROLE, tags={"app": "gw"}),), caller_sessions=True, **credentials
            ),
            aws=AwsSettings(
                access_key_id=SecretStr(user.access_key_id),
                secret_access_key=SecretStr(user.secret_access_key),
                region="us-east-1",
                endpoint_url=bedrock.url,
                sts_endpoint_url=sts.url,
            ),
        )
        async with app.running(settings) as gateway, aiohttp.ClientSession() as session:
            yield World(gateway.url, session, sts, keys)


async def test_every_way_is_signed_by_the_callers_session() -> None:
    """One AssumeRole for each caller, at its first call, with its name and tag; then all of its calls."""
    async with world(caller_tag="team") as here:
        assert len(here.sessions()) == 1
        embed: dict[str, dict[str, Any]] = {
            "/embeddings": {"model": TITAN, "input": "x"},
            f"/model/{CLAUDE.removeprefix('us.')}/count-tokens": {
                "input": {"converse": {"messages": converse()["messages"]}}
            },
            "/guardrail/emulated/version/1/apply": {
                "source": "INPUT",
                "content": [{"text": {"text": "x"}}],
            },
        }
        for path, body in (bodies(CLAUDE, limit=10) | embed).items():
            here.keys.used.clear()
            assert await here.ask("team-a", path, body) == 200
            used = {key for key in here.keys.used if key.startswith("ASIA")}  # the rest went to STS
            assert used == {here.keys.issued[1]}, path
        assert await here.ask("team-b", "/chat/completions", ask(model=CLAUDE)) == 200
        assert here.keys.used[-1] == here.keys.issued[2]
        assert here.sessions()[1:] == ["team-a", "team-b"]
        second = here.sts.calls[1].parameters
        tags = {second[f"Tags.member.{n}.Key"]: second[f"Tags.member.{n}.Value"] for n in (1, 2)}
        assert tags == {"app": "gw", "team": "team-a"}


async def test_an_outage_of_sts(log: io.StringIO) -> None:
    """Who has a session keeps it; who has none yet is told that there are no credentials now."""
    async with world() as here:
        assert await here.ask("team-a", "/chat/completions", ask(model=CLAUDE)) == 200
        here.sts.mode = "unavailable"
        assert await here.ask("team-a", "/chat/completions", ask(model=CLAUDE)) == 200
        assert await here.ask("team-b", "/chat/completions", ask(model=CLAUDE)) == 503
    failed = [line for line in lines(log) if line.get("status") == 503]
    assert [line["code"] for line in failed] == ["upstream_unavailable"]


async def test_a_silent_sts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call waits for so long and no longer."""
    monkeypatch.setattr("gateway.bedrock.credentials.sessions.FIRST_S", 0.05)
    async with world() as here:
        here.sts.mode = "hanging"
        assert await here.ask("team-b", "/chat/completions", ask(model=CLAUDE)) == 503


def test_settings_that_cannot_work() -> None:
    """Sessions need a role, and names that STS takes; a tag needs sessions."""
    keys = {"key_sha256": ["a" * 64]}
    role = {"roles": [{"role_arn": ROLE}], "caller_sessions": True}
    for values, words in (
        ({"credentials": {"caller_sessions": True}}, "no role"),
        ({"credentials": role, "callers": {"a b": keys}}, "64 letters"),
        ({"credentials": {"caller_tag": "team"}}, "needs caller_sessions"),
    ):
        with pytest.raises(ValidationError, match=words):
            Settings.model_validate({**values, "aws": AwsSettings()})
    Settings.model_validate({"credentials": role, "callers": {"ab": keys}, "aws": AwsSettings()})
