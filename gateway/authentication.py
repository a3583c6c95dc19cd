"""From settings to whoever may ask; and whether an address may be listened on without asking who calls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import structlog

from gateway.admission.caller import Caller, CallerRules
from gateway.composition import StartError
from gateway.identity.callers import Callers, Known
from gateway.identity.key_file import KeyFile, KeyFileError
from gateway.server import tls
from gateway.settings import is_loopback

if TYPE_CHECKING:
    from gateway.identity.jwks import KeySet
    from gateway.identity.revocations import Revocations
    from gateway.identity.tokens import Tokens
    from gateway.settings import CallerSettings, IssuerSettings, Settings

_HOW: Final = (
    "give callers keys (`bedrock-gateway keys create`, keys_file or GATEWAY_KEYS_FILE; or "
    "callers.NAME.key_sha256), or tokens ([[auth.issuers]]) or certificates ([tls] client_certificates), or "
    "listen on 127.0.0.1"
)
FIRST_KEYS_S: Final = 5.0
"""How long a start, or a reload, waits for the keys of new issuers."""


def exposure(settings: Settings, host: str) -> list[str]:
    """Return why these settings must not serve at this address: whoever can connect could spend money."""
    if is_loopback(host) or authenticates(settings):
        return []
    missing = (
        "access_key_ids name callers and prove nothing" if settings.callers else "nothing says who may ask"
    )
    return [f"host (GATEWAY_HOST): {host} can be reached from other machines, and {missing}: {_HOW}"]


def authenticates(settings: Settings) -> bool:
    """Whether a caller has to prove who it is, by more than an access key id."""
    return (
        settings.keys_file is not None
        or bool(settings.auth.issuers)
        or settings.tls.client_certificates != "none"
        or any(caller.key_sha256 for caller in settings.callers.values())
    )


def check_openness(settings: Settings) -> None:
    """Say it loudly where everybody on this machine may ask.

    Raises:
        StartError: everybody could ask from elsewhere.
    """
    if problems := exposure(settings, settings.host):
        raise StartError(problems)
    if build_callers(settings, settings.host) is None:
        _tell_openness(settings.host)
    elif not settings.callers:
        structlog.get_logger().warning(
            "nobody_may_ask",
            reason="there are no [callers], whom keys, tokens and certificates are proof of: all are refused",
        )


def tell_opened(host: str, before: Callers | None, callers: Callers | None) -> None:
    """Say it as loudly where a reload has taken the last caller away."""
    if before is not None and callers is None:
        _tell_openness(host)


def _tell_openness(host: str) -> None:
    structlog.get_logger().warning(
        "open_to_everybody",
        reason="no callers are configured: every process and user of this machine may spend money here",
        host=host,
    )


def build_callers(settings: Settings, host: str) -> Callers | None:
    """Return who may ask where it listens on `host`; None where the settings name nobody."""
    if not settings.callers and not authenticates(settings):
        return None
    callers = Callers(
        (
            Known(
                Caller(name, _rules(caller)),
                tuple(bytes.fromhex(digest) for digest in caller.key_sha256),
                caller.access_key_ids,
                caller.subjects,
                caller.groups,
            )
            for name, caller in settings.callers.items()
        ),
        trust_access_key_ids=is_loopback(host) or settings.auth.trust_access_key_ids,
    )
    callers.certificate_names = settings.tls.client_names
    if settings.keys_file is not None:
        callers.key_file = KeyFile(settings.keys_file, callers.keyring)
    return callers


async def open_callers(settings: Settings, host: str, before: Callers | None = None) -> Callers | None:
    """Return who may ask, with the keys of the file, and of the issuers as far as they answer.

    What is known of an issuer stays, where its settings are those of `before`.

    Raises:
        StartError: everybody could ask from elsewhere, or the keys cannot be read.
    """
    if problems := exposure(settings, host):
        raise StartError(problems)
    callers = build_callers(settings, host)
    if callers is not None and callers.key_file is not None:
        try:
            await callers.key_file.open()
        except KeyFileError as error:
            raise StartError([f"keys_file (GATEWAY_KEYS_FILE): {error}"]) from error
        callers.revocations = _revocations(settings, before)
        if callers.revocations is not None:
            callers.keyring.revoked = callers.revocations.known
            await callers.revocations.look()  # which takes a second at most
    if callers is not None and settings.auth.issuers:
        callers.tokens = _tokens(settings, callers, before)
        # they may be away, and a process that starts must not wait for them long: later looks go on trying
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_KEYS_S):
                await asyncio.gather(*(keys.look() for keys in callers.tokens.key_sets))
    return callers


def _revocations(settings: Settings, before: Callers | None) -> Revocations | None:
    """Return what tells of revoked keys; one for the whole life of the process, as Redis's settings are."""
    if before is not None and before.revocations is not None:
        return before.revocations
    if settings.redis.url is None:
        return None
    from gateway.identity.revocations import Revocations  # noqa: PLC0415 - who has no Redis pays for none

    return Revocations(settings.redis.url.get_secret_value(), settings.redis.prefix)


def _tokens(settings: Settings, callers: Callers, before: Callers | None) -> Tokens:
    # cryptography takes 10 MB, which nobody pays who has no issuers
    from gateway.identity.jwks import KeySet, Source  # noqa: PLC0415
    from gateway.identity.tokens import Issuer, Tokens  # noqa: PLC0415

    known: dict[Source, KeySet] = {}
    if before is not None and before.tokens is not None:
        known = {keys.source: keys for keys in before.tokens.key_sets}

    def issuer(section: IssuerSettings) -> Issuer:
        source = Source(
            issuer=section.issuer,
            jwks_url=section.jwks_url,
            token_file=section.jwks_token_file,
            ca_file=section.jwks_ca_file,
            refresh_s=section.refresh_s,
        )
        return Issuer(
            name=section.issuer,
            keys=known.get(source) or KeySet(source),
            audiences=section.audience,
            algorithms=section.algorithms,
            caller_claim=section.caller_claim,
            groups_claim=section.groups_claim,
            subject_prefix=section.subject_prefix,
            leeway_s=section.leeway_s,
        )

    return Tokens(map(issuer, settings.auth.issuers), callers.subjects)


async def open_certificates(settings: Settings) -> tls.Made | None:
    """Return what connections are handshaken with; None where they are not.

    Raises:
        StartError: the files cannot be used.
    """
    section = settings.tls
    if section.cert_file is None or section.key_file is None:
        return None
    files = tls.TlsFiles(
        cert_file=section.cert_file,
        key_file=section.key_file,
        client_ca_file=section.client_ca_file,
        client_certificates=section.client_certificates,
    )
    try:
        return await tls.made(files)
    except tls.TlsError as error:
        raise StartError([f"tls: {error}"]) from error


def _rules(caller: CallerSettings) -> CallerRules:
    return CallerRules(**{field.name: getattr(caller, field.name) for field in fields(CallerRules)})
