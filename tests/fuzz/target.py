"""What a fuzz target is: how to open it, inputs to begin with, and how to change one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from random import Random

CORPUS = Path(__file__).parent / "corpus"


class FindingError(AssertionError):
    """A law is broken. Any other exception out of a target is a finding as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz.

    `opened` gives the function that takes one input, and returns if all laws held. `seeds` are inputs made
    from data that lies in the repository, `recorded` those made from recordings, none where these are absent.
    `mutate` changes an input, knowing its structure. `max_length` bounds inputs, in bytes.
    """

    name: str
    opened: Callable[[], AbstractContextManager[Callable[[bytes], None]]]
    seeds: Callable[[], Iterable[bytes]]
    recorded: Callable[[], Iterable[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    max_length: int

    def kept(self) -> list[bytes]:
        """Return the corpus in the repository, in a fixed order."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*")) if path.is_file()]


def demand(law: object, words: str, *facts: object) -> None:
    """Raise unless the law holds."""
    if not law:
        raise FindingError(": ".join([words, *(repr(fact)[:2000] for fact in facts)]))
