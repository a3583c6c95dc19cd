"""Which caller is meant by what a token or a certificate proves: a subject, and the groups that it is in."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.admission.caller import Caller

MAX_TOKEN: Final = 16 * 1024
"""Characters; the head of a request has no room for more."""
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
_TOLD: Final = 10
"""Of many groups, so many are named in a refusal."""
_LONGEST: Final = 300
"""Characters of a name in a refusal."""


def is_token(text: str) -> bool:
    """Whether this looks like a JSON Web Token, signed or not; a key of ours has one dot only."""
    return len(text) <= MAX_TOKEN and _FORM.fullmatch(text) is not None


class Member(NamedTuple):
    """A caller, and the subjects and groups that are it; `*` in a subject stands for anything."""

    caller: Caller
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Subjects:
    """Finds callers: a subject's own name goes before patterns, patterns before groups, in this order."""

    def __init__(self, members: Iterable[Member]) -> None:
        members = tuple(members)
        named = [(subject, member.caller) for member in members for subject in member.subjects]
        self._exact: Mapping[str, Caller] = {name: caller for name, caller in named if "*" not in name}
        self._patterns = tuple((name, caller) for name, caller in named if "*" in name)
        self._groups = tuple((group, member.caller) for member in members for group in member.groups)

    def caller(self, subjects: Sequence[str], groups: Sequence[str] = ()) -> Caller:
        """Return who this is, by the first of its subjects that is somebody.

        Raises:
            Forbidden: nobody; it says what makes somebody of it.
        """
        caller = self.find(subjects, groups)
        if caller is None:
            raise Forbidden(_unknown(subjects, groups), detail=f"no caller is {_names(subjects)}")
        return caller

    def find(self, subjects: Sequence[str], groups: Sequence[str] = ()) -> Caller | None:
        """Return who this is, None where it is nobody."""
        for subject in subjects:
            if (caller := self._exact.get(subject)) is not None:
                return caller
        for subject in subjects:
            for pattern, caller in self._patterns:
                if fnmatchcase(subject, pattern.replace("[", "[[]")):
                    return caller
        for group, caller in self._groups:
            if group in groups:
                return caller
        return None


def _unknown(subjects: Sequence[str], groups: Sequence[str]) -> str:
    words = f"You have proven to be {_names(subjects)}, who is no caller of this gateway: "
    words += "its operator adds the name to `subjects` of a caller in the settings"
    if groups:
        words += f", or one of its groups ({', '.join(map(shortened, groups[:_TOLD]))}) to `groups`"
    return words + "."


def _names(subjects: Sequence[str]) -> str:
    return " or ".join(f"`{shortened(subject)}`" for subject in subjects[:_TOLD])


def shortened(text: str) -> str:
    """Return a name as it may stand in a message: not too long, and printable."""
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return "".join(char if char.isprintable() else "?" for char in shown)
