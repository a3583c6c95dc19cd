"""Who may ask this gateway, by what they send anyway; with no callers named everybody may, without a name."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from gateway.settings.caller_rules import CallerRuleSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OF_NOTHING: Final = sha256(b"").hexdigest()


def _of_a_key(digest: str) -> str:
    if digest == _OF_NOTHING:
        raise PydanticCustomError(
            "empty_key", "this is the hash of an empty key, which everybody has: was the variable not set?"
        )
    return digest


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), AfterValidator(_of_a_key)]
AccessKeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{4,128}$")]


class CallerSettings(CallerRuleSettings):
    """What one caller is known by, of which one is enough, and what it may."""

    key_sha256: tuple[Sha256, ...] = ()
    """SHA-256 of each of its keys, in hexadecimal; the keys themselves are nowhere."""
    access_key_ids: tuple[AccessKeyId, ...] = ()
    """AWS's access key ids that it signs with. They name it and prove nothing: the gateway cannot check a
    signature without its secret."""
    subjects: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What tokens and certificates prove, such as `system:serviceaccount:team-a:*`: `*` is anything."""
    groups: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Groups of tokens; whoever is in one of them is this caller."""

    @property
    def known(self) -> bool:
        """Whether anything here says who it is."""
        return bool(self.key_sha256 or self.access_key_ids or self.subjects or self.groups)


MAX_NAME: Final = 64


def name_problem(name: str) -> str | None:
    """Return why no caller can be called so; None where one can. Names stand in logs, metrics and files."""
    if 1 <= len(name) <= MAX_NAME and name.isprintable() and name.strip() == name and "/" not in name:
        return None
    return (
        f"{name[:MAX_NAME]!r} is no name for a caller: it has 1 to {MAX_NAME} printable characters, "
        "no slash, and no space at either end"
    )


def unknowable(callers: Mapping[str, CallerSettings]) -> Iterable[str]:
    """Name the callers that nobody can ever be, where there is no file with keys of theirs."""
    for name, caller in callers.items():
        if not caller.known:
            yield (
                f"callers.{name}: needs key_sha256, subjects, groups, access_key_ids, or keys in a keys_file "
                "(GATEWAY_KEYS_FILE): nothing says who it is"
            )


def unprovable(callers: Mapping[str, CallerSettings], *, tokens: bool, certificates: bool) -> Iterable[str]:
    """Name the callers of subjects and groups where nothing proves any."""
    for name, caller in callers.items():
        if caller.subjects and not (tokens or certificates):
            yield (
                f"callers.{name}.subjects: nothing proves them: there are no auth.issuers, and "
                "tls.client_certificates is none"
            )
        if caller.groups and not tokens:
            yield f"callers.{name}.groups: nothing proves them: there are no auth.issuers"


def ambiguous(callers: Mapping[str, CallerSettings]) -> Iterable[str]:
    """Name the callers that share a key, which of them would it be; and names that nobody can have."""
    yield from (f"callers: {problem}" for problem in map(name_problem, callers) if problem is not None)
    for field in ("key_sha256", "access_key_ids", "subjects", "groups"):
        known = Counter(known for caller in callers.values() for known in getattr(caller, field))
        names = [
            name
            for name, caller in callers.items()
            if any(known[value] > 1 for value in getattr(caller, field))
        ]
        if names:
            yield f"callers: {', '.join(names)}: one of {field} is there twice"
