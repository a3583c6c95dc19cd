"""Callers with tokens of a real issuer, through a gateway in front of the emulator."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.identity import jwks
from gateway.settings import AuthSettings, CallerSettings, IssuerSettings
from tests.harness import ask, lines, settings_for
from tests.identity.issuer import AUDIENCE, OTHER_RSA, claims, issuing, jwk, signed

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

    from gateway.emulator import Emulator
    from tests.harness import Caller, StartGateway
    from tests.identity.issuer import LocalIssuer

CALLERS = {"team-a": CallerSettings(subjects=("system:serviceaccount:team-a:*",))}


@pytest.fixture(name="issuer")
async def _issuer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalIssuer]:
    """An issuer, looked at often."""
    monkeypatch.setattr("gateway.identity.watching.SECONDS", 0.02)
    monkeypatch.setattr(jwks, "AGAIN_S", 0.05)
    async with issuing() as issuer:
        yield issuer


def trusting(*issuers: LocalIssuer, **changes: Any) -> AuthSettings:
    """Return settings that believe these issuers."""
    sections = (
        IssuerSettings(
            issuer=one.url, audience=(AUDIENCE,), subject_prefix="" if not number else f"{number}:"
        )
        for number, one in enumerate(issuers)
    )
    return AuthSettings(issuers=tuple(one.model_copy(update=changes) for one in sections))


async def asked(caller: Caller, token: str) -> tuple[int, dict[str, Any], str | None]:
    """Return status, first record and Retry-After."""
    status, records, headers = await caller.stream(ask(), Authorization=f"Bearer {token}")
    return status, records[0], headers.get("Retry-After")


async def test_a_service_account(
    issuer: LocalIssuer, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """It is served under its caller's name; another one is told what its operator has to write."""
    async with start(emulator, callers=CALLERS, auth=trusting(issuer)) as caller:
        good = signed(claims(issuer.url))
        assert [(await asked(caller, good))[0] for _ in range(3)] == [200, 200, 200]
        stranger = signed(claims(issuer.url, sub="system:serviceaccount:team-b:worker"))
        status, refusal, _ = await asked(caller, stranger)
        assert (status, refusal["error"]["code"]) == (403, "forbidden")
        assert "`system:serviceaccount:team-b:worker`" in refusal["error"]["message"]
        expired = signed(claims(issuer.url, exp=1))
        status, refusal, again = await asked(caller, expired)
        assert (status, refusal["error"]["code"], again) == (401, "unauthenticated", None)
        async with caller.session.get(
            caller.url + "/v1/models", headers={"x-api-key": good, "anthropic-version": "2023-06-01"}
        ) as response:
            assert response.status == 200
    assert [line.get("caller") for line in lines(log)] == ["team-a"] * 3 + [None, None, "team-a"]
    assert good not in log.getvalue()
    assert good.rpartition(".")[2] not in log.getvalue()


async def test_rotated_keys(issuer: LocalIssuer, emulator: Emulator, start: StartGateway) -> None:
    """The first token of a new key is refused and told when to come again; soon the old ones are unknown."""
    async with start(emulator, callers=CALLERS, auth=trusting(issuer)) as caller:
        old, new = signed(claims(issuer.url)), signed(claims(issuer.url), OTHER_RSA, kid="2")
        assert (await asked(caller, old))[0] == 200
        issuer.keys = [jwk(OTHER_RSA, "2")]
        status, _, again = await asked(caller, new)
        assert status == 401
        assert again is not None
        async with asyncio.timeout(60):
            while (await asked(caller, new))[0] != 200:  # noqa: ASYNC110 - as a client would
                await asyncio.sleep(0.05)
        assert (await asked(caller, old))[0] == 401


async def test_the_issuer_is_away(
    issuer: LocalIssuer, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """A gateway starts without it, serves keys, and tokens once it is there; then it may go again."""
    issuer.status = 503
    auth = trusting(issuer)
    async with start(emulator, callers=CALLERS, auth=auth) as caller:
        good = signed(claims(issuer.url))
        assert (await asked(caller, good))[0] == 401
        issuer.status = 200
        async with asyncio.timeout(60):
            while (await asked(caller, good))[0] != 200:  # noqa: ASYNC110 - as a client would
                await asyncio.sleep(0.05)
        issuer.status = 503
        unknown = signed(claims(issuer.url), kid="9")
        failed = len(lines(log, "issuer_keys_failed"))
        async with asyncio.timeout(60):
            while len(lines(log, "issuer_keys_failed")) == failed:
                assert (await asked(caller, unknown))[0] == 401
        assert (await asked(caller, signed(claims(issuer.url, jti="other"))))[0] == 200


async def test_reloaded(issuer: LocalIssuer, emulator: Emulator, start: StartGateway) -> None:
    """What is known of an issuer survives other settings, and goes with its own."""
    async with start(emulator, callers=CALLERS, auth=trusting(issuer)) as caller, issuing() as other:
        good = signed(claims(issuer.url))
        assert (await asked(caller, good))[0] == 200
        fetches = len(issuer.asked)
        renamed = {"team-z": CALLERS["team-a"]}
        both = settings_for(emulator, callers=renamed, auth=trusting(issuer, other))
        await caller.gateway.reload(both)
        assert (await asked(caller, good))[0] == 200
        assert len(issuer.asked) == fetches
        assert len(other.asked) == 2
        elsewhere = settings_for(emulator, callers=renamed, auth=trusting(issuer, audience=("other",)))
        await caller.gateway.reload(elsewhere)
        assert (await asked(caller, good))[0] == 401
        assert (await asked(caller, signed(claims(issuer.url, aud="other"))))[0] == 200
        with pytest.raises(ValueError, match="nothing proves them"):
            settings_for(emulator, callers=renamed)
