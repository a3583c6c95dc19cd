"""The prompt cache of the far end: which beginnings of prompts it has seen, and what that saves."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Ttl: TypeAlias = Literal["5m", "1h"]

_KEPT: Final = 4096
TTLS: Final[tuple[Ttl, ...]] = ("5m", "1h")


class Prefix(NamedTuple):
    """A prompt up to a cache point: its tokens, what it is known again by, and how long it is to be kept."""

    tokens: int
    digest: str
    ttl: Ttl = "5m"


class CacheUse(NamedTuple):
    """The tokens of a prompt that came from the cache, and those that went into it, by how long they stay."""

    read: int = 0
    written: tuple[tuple[Ttl, int], ...] = ()
    asked: bool = False

    @property
    def write(self) -> int:
        """All tokens that went into the cache."""
        return sum(tokens for _, tokens in self.written)

    def kept(self, ttl: Ttl) -> int:
        """The tokens that went into the cache for so long."""
        return sum(tokens for kept, tokens in self.written if kept == ttl)

    def details(self) -> list[Mapping[str, Any]]:
        """The same as Converse tells it."""
        return [{"inputTokens": self.kept(ttl), "ttl": ttl} for ttl in TTLS if self.kept(ttl)]


NO_CACHE: Final = CacheUse()


class PromptCache:
    """Beginnings of prompts by model. Nothing expires: a test does not wait for five minutes.

    Beginnings of fewer than `least` tokens are not kept, and nobody is told, as Bedrock does it.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def look(self, model: str, prefixes: Sequence[Prefix]) -> CacheUse:
        """Return what a prompt with these beginnings, shortest first, would read and write."""
        if not prefixes:
            return NO_CACHE
        long = self._long(prefixes)
        known = [prefix for prefix in long if (model, prefix.digest) in self._known]
        read = known[-1].tokens if known else 0
        written: list[tuple[Ttl, int]] = []
        reached = read
        for prefix in long:
            if prefix.tokens > reached:
                written.append((prefix.ttl, prefix.tokens - reached))
                reached = prefix.tokens
        return CacheUse(read, tuple(written), asked=True)

    def keep(self, model: str, prefixes: Sequence[Prefix]) -> None:
        """Remember the beginnings of a prompt that is answered; one that is throttled leaves nothing."""
        for prefix in self._long(prefixes):
            self._known[model, prefix.digest] = None
            self._known.move_to_end((model, prefix.digest))
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def _long(self, prefixes: Sequence[Prefix]) -> list[Prefix]:
        return [prefix for prefix in prefixes if prefix.tokens >= self._least]
