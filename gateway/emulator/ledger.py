"""The far end's own account: what it would bill, by model and by the team that a request names."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tokens(NamedTuple):
    """The four counters of an answer."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0


@dataclass(slots=True)
class Entry:
    """Sums over requests. Each is `admitted`, `throttled` (answered by a ThrottlingException) or `refused`.

    Of the admitted, `left` were left by their client before the end, and `broken` were broken off by this
    side. `output_sent` is the part of `output` that was on its way by then.
    """

    requests: int = 0
    admitted: int = 0
    throttled: int = 0
    refused: int = 0
    left: int = 0
    broken: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    output_sent: int = 0

    @property
    def tokens(self) -> Tokens:
        """The four counters."""
        return Tokens(self.input, self.cache_read, self.cache_write, self.output)

    def bill(self, tokens: Tokens, sent: int) -> None:
        """Add one answer; `sent` is the part of its output that was sent."""
        self.input += tokens.input
        self.cache_read += tokens.cache_read
        self.cache_write += tokens.cache_write
        self.output += tokens.output
        self.output_sent += sent


class Ledger:
    """Entries by model (the id as in the quotas) and team, empty where a request names none."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    @property
    def entries(self) -> Mapping[tuple[str, str], Entry]:
        """All entries, by model and team."""
        return self._entries

    def entry(self, model: str, team: str) -> Entry:
        """Return the entry of a model and a team, an empty one at first."""
        return self._entries.setdefault((model, team), Entry())

    def total(self, *, model: str | None = None, team: str | None = None) -> Entry:
        """Return the sum of all entries, or of those of one model or team."""
        total = Entry()
        for (its_model, its_team), entry in self._entries.items():
            if model in {None, its_model} and team in {None, its_team}:
                for one in fields(Entry):
                    setattr(total, one.name, getattr(total, one.name) + getattr(entry, one.name))
        return total

    def as_json(self) -> list[dict[str, Any]]:
        """Return the entries as objects."""
        return [
            {"model": model, "team": team, **asdict(entry)} for (model, team), entry in self._entries.items()
        ]
