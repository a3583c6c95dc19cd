"""What is offered: requests as they would come, the same for everybody who tries to get them answered.

Prompts and answers of mixed lengths, most with a `max_tokens` that is larger than the answer, some without
any, some with a prompt that is in the cache. By the emulator's own count: four characters are a token.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARS_PER_TOKEN: Final = 4
DELTA_TOKENS: Final = 8
BURNDOWN: Final = 5
"""Of the model that is asked, Claude Sonnet 4.5."""

_SHARED_TOKENS: Final = 3000
_SHARED: Final = tuple(f"{number} shared instructions. " for number in range(3))
_MAX_TOKENS: Final = (256, 512, 1024, 4096, 8192)
_UNLIMITED: Final = 0.15
_CACHED: Final = 0.25
_FIRST_BYTE_MS: Final = 300
_PACE_MS: Final = 40


@dataclass(frozen=True, slots=True)
class Offer:
    """One request, `due` seconds after the start."""

    number: int
    due: float
    body: dict[str, Any]
    max_tokens: int | None


def text_of(tokens: int, words: str) -> str:
    """Return a text of so many tokens that begins with `words`."""
    return (words + "lorem ipsum " * (tokens // 3 + 1))[: tokens * CHARS_PER_TOKEN]


def offers(per_second: float, seed: int) -> Iterator[Offer]:
    """Yield requests without end, as many as use `per_second` tokens of a quota, arriving by chance."""
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    mean = _mean_settled(seed)
    due = 0.0
    number = 0
    while True:
        due += chance.expovariate(per_second / mean)
        yield _offer(number, due, _draw(chance))
        number += 1


def _mean_settled(seed: int) -> float:
    chance = random.Random(seed + 1)  # noqa: S311 - a seed, no secret
    sample = [_draw(chance).settled for _ in range(5000)]
    return math.fsum(sample) / len(sample)


class _Drawn(NamedTuple):
    """What chance decides of a request: tokens of its prompt, deltas of its answer, and so on."""

    prompt: int
    answer: int
    limit: int | None
    shared: str | None

    @property
    def settled(self) -> int:
        """What a quota will have lost by its answer, but for what is written to the cache once."""
        return self.prompt + BURNDOWN * self.answer * DELTA_TOKENS


def _draw(chance: random.Random) -> _Drawn:
    prompt = max(20, min(12_000, round(chance.lognormvariate(6.3, 1.0))))
    answer = max(1, min(120, round(chance.lognormvariate(3.2, 0.7))))
    limit = chance.choice([limit for limit in _MAX_TOKENS if limit >= answer * DELTA_TOKENS])
    unlimited, cached = chance.random() < _UNLIMITED, chance.random() < _CACHED
    return _Drawn(prompt, answer, None if unlimited else limit, chance.choice(_SHARED) if cached else None)


def _offer(number: int, due: float, drawn: _Drawn) -> Offer:
    words = f"[[emulator first_byte_ms={_FIRST_BYTE_MS} pace_ms={_PACE_MS} deltas={drawn.answer} "
    words += f"delta_chars={DELTA_TOKENS * CHARS_PER_TOKEN}]] {number} "
    text = text_of(drawn.prompt, words)
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    if drawn.limit is not None:
        body["inferenceConfig"] = {"maxTokens": drawn.limit}
    if drawn.shared is not None:
        shared = text_of(_SHARED_TOKENS, drawn.shared)
        body["system"] = [{"text": shared}, {"cachePoint": {"type": "default"}}]
    return Offer(number, due, body, drawn.limit)
