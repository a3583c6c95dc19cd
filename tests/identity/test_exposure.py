"""Who may listen where: everybody who can connect is asked who he is, unless only this machine can."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict

from gateway import app, authentication
from gateway.composition import StartError
from gateway.errors import Unauthenticated
from gateway.settings import AuthSettings, CallerSettings, Settings
from tests.harness import lines, settings_for

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator

KEYED = CallerSettings(key_sha256=(sha256(b"k").hexdigest(),))
NAMED = CallerSettings(access_key_ids=("AKIATEAMA",))
FILE = Path("keys.json")
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is what must not be
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIATEAMA/20260101/us-east-1/bedrock/aws4_request"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    """Only this machine connects there: anybody may ask."""
    assert authentication.exposure(Settings(), host) == []


@pytest.mark.parametrize(
    "host", [EVERYWHERE, "::", "10.0.0.1", "fe80::1", "gateway.internal", "localhost.example.com", "127.1"]
)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "nothing says who may ask"),
        ({"callers": {"a": NAMED}}, "access_key_ids name callers and prove nothing"),
        (
            {"callers": {"a": NAMED}, "auth": AuthSettings(trust_access_key_ids=True)},
            "access_key_ids name callers and prove nothing",
        ),
        ({"callers": {"a": KEYED}}, None),
        ({"keys_file": FILE}, None),
        ({"auth": {"issuers": [{"issuer": "https://i.example", "audience": "a"}]}}, None),
    ],
)
def test_elsewhere(host: str, settings: dict[str, Any], words: str | None) -> None:
    """Somebody must have to prove who he is."""
    problems = authentication.exposure(Settings(**settings), host)
    assert len(problems) == (words is not None)
    if words is not None:
        assert f"host (GATEWAY_HOST): {host} can be reached from other machines, and {words}" in problems[0]
        assert "keys create" in problems[0]
        assert "[[auth.issuers]]" in problems[0]
        assert "[tls]" in problems[0]


@pytest.mark.parametrize(
    ("host", "trust", "known"),
    [("127.0.0.1", False, True), (EVERYWHERE, False, False), (EVERYWHERE, True, True)],
)
def test_an_access_key_id_elsewhere(host: str, *, trust: bool, known: bool) -> None:
    """It opens nothing where others can connect, unless the operator says so; the refusal says what does."""
    settings = Settings(callers={"a": NAMED, "b": KEYED}, auth=AuthSettings(trust_access_key_ids=trust))
    callers = authentication.build_callers(settings, host)
    assert callers is not None
    headers = CIMultiDict(SIGNED)
    if known:
        assert callers.identify(headers).name == "a"
    else:
        with pytest.raises(Unauthenticated, match="AWS_BEARER_TOKEN_BEDROCK"):
            callers.identify(headers)
    assert callers.identify(CIMultiDict({"x-api-key": "k"})).name == "b"


async def test_a_gateway_refuses(emulator: Emulator) -> None:
    """To start, and to take settings that would leave its own address open, whatever they say of the host."""
    settings = settings_for(emulator, host=EVERYWHERE)
    with pytest.raises(StartError, match="can be reached from other machines"):
        async with app.running(settings):
            pass
    safe = settings.model_copy(update={"callers": {"a": KEYED}})
    async with app.running(safe) as gateway:
        with pytest.raises(StartError, match=r"0\.0\.0\.0 can be reached"):
            await gateway.reload(settings.model_copy(update={"host": "127.0.0.1"}))


async def test_a_broken_keys_file_refuses(emulator: Emulator, tmp_path: Path) -> None:
    """Who starts with it would serve nobody."""
    path = tmp_path / "keys.json"
    path.write_text("{")
    with pytest.raises(StartError, match=r"keys_file \(GATEWAY_KEYS_FILE\): .*Invalid JSON"):
        async with app.running(settings_for(emulator, keys_file=path)):
            pass


def test_openness_is_told(log: io.StringIO) -> None:
    """Loudly, and only where it is so."""
    authentication.check_openness(Settings(keys_file=FILE, callers={"a": CallerSettings()}))
    assert log.getvalue() == ""
    authentication.check_openness(Settings(keys_file=FILE))
    assert not lines(log, "open_to_everybody")
    assert [line["level"] for line in lines(log, "nobody_may_ask")] == ["warning"]
    authentication.check_openness(Settings())
    [line] = lines(log, "open_to_everybody")
    assert line["level"] == "warning"
    assert line["host"] == "127.0.0.1"


async def test_a_reload_that_opens_is_told(emulator: Emulator, log: io.StringIO) -> None:
    """As loudly as a start, and once."""
    opened = settings_for(emulator)
    async with app.running(opened.model_copy(update={"callers": {"a": KEYED}})) as gateway:
        await gateway.reload(opened.model_copy(update={"callers": {"a": KEYED}}))
        assert not lines(log, "open_to_everybody")
        await gateway.reload(opened)
        await gateway.reload(opened)
    [line] = lines(log, "open_to_everybody")
    assert (line["level"], line["host"]) == ("warning", "127.0.0.1")
