"""From settings to whoever may ask; and whether an address may be listened on without asking who calls."""

from __future__ import annotations

from dataclasses import fields
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import structlog

from gateway.admission.caller import Caller, CallerRules
from gateway.composition import StartError
from gateway.identity.callers import Callers, Known
from gateway.identity.key_file import KeyFile, KeyFileError

if TYPE_CHECKING:
    from gateway.settings import CallerSettings, Settings

_HOW: Final = (
    "give callers keys (`bedrock-gateway keys create`, keys_file or GATEWAY_KEYS_FILE; or "
    "callers.NAME.key_sha256), or listen on 127.0.0.1"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to what listens there; a name is not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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
    return settings.keys_file is not None or any(caller.key_sha256 for caller in settings.callers.values())


def check_openness(settings: Settings) -> None:
    """Say it loudly where everybody on this machine may ask.

    Raises:
        StartError: everybody could ask from elsewhere.
    """
    if problems := exposure(settings, settings.host):
        raise StartError(problems)
    if build_callers(settings, settings.host) is None:
        structlog.get_logger().warning(
            "open_to_everybody",
            reason="no callers are configured: every process and user of this machine may spend money here",
            host=settings.host,
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
            )
            for name, caller in settings.callers.items()
        ),
        trust_access_key_ids=is_loopback(host) or settings.auth.trust_access_key_ids,
    )
    if settings.keys_file is not None:
        callers.key_file = KeyFile(settings.keys_file, callers.keyring)
    return callers


async def open_callers(settings: Settings, host: str) -> Callers | None:
    """Return who may ask, with the keys of the file.

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
    return callers


def _rules(caller: CallerSettings) -> CallerRules:
    return CallerRules(**{field.name: getattr(caller, field.name) for field in fields(CallerRules)})
