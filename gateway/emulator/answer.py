"""What the emulator says, before a family puts it into its own shapes: deterministic and honest about itself.

Tokens are an estimate, the same everywhere: four characters are one token, a part of four counts whole; a
picture or a document counts 1600.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import orjson

from gateway.emulator.cache import NO_CACHE, CacheUse, Prefix
from gateway.emulator.errors import invalid
from gateway.emulator.ledger import Tokens
from gateway.emulator.sense.calls import Tool, Wanted, calls_for
from gateway.emulator.sense.material import Material
from gateway.emulator.sense.structured import asks_for_json, json_answer
from gateway.emulator.sense.values import fill_object
from gateway.emulator.thoughts import redact, sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.directives import Directives

StopReason: TypeAlias = Literal["end", "max_tokens", "stop_sequence", "tool_use"]

Shown: TypeAlias = Literal["all", "none", "redacted"]
"""What a model gives of its reasoning: all of it, no more than a signature, a word that stands for it."""

_SHOWN: Final[Mapping[Shown, tuple[str, ...]]] = {"all": (), "none": (), "redacted": ("[REDACTED]",)}
_CHARS_PER_TOKEN: Final = 4
_CHARS_OF_A_SOURCE: Final = 1600 * _CHARS_PER_TOKEN
_ECHOED_CHARS: Final = 200
_MAX_CHARS: Final = 10_000_000
_JSON_PIECE: Final = 12

_OPENING: Final = "This answer comes from the embedded Bedrock emulator, not from a model."
_FILLER: Final = (
    " The words that follow say nothing, they only give this answer the length that was asked for."
)
_REASONING: Final = "The emulator does not think, it only shows where the thoughts of a model would stand. "
_WORD: Final = re.compile(r"\s*\S+")
_FILLER_WORDS: Final = tuple(_WORD.findall(_FILLER))
_REASONING_WORDS: Final = tuple(_WORD.findall(_REASONING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a family read from a body that it found valid.

    `said` is the text of the last user turn, directives included; `returned` the text of its tool
    results; `instructions` that of the system, `guarded` what alone a guardrail is to look at. `forced`
    are the tools of which one must be called, `parallel` says whether several may be. `schema` is that of
    the answer, which is JSON then, empty for any JSON. `reasoning`: the request turns reasoning on.
    `speaks_reasoning`: the family has a shape for it. `signs_reasoning`: the model signs it. `shown`:
    what it gives of it. `prefixes` are the beginnings of the prompt that are to be cached.
    """

    said: str
    input_tokens: int
    guarded: str = ""
    returned: str = ""
    instructions: str = ""
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    forced: tuple[Tool, ...] = ()
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    reasoning: bool = False
    speaks_reasoning: bool = True
    signs_reasoning: bool = False
    shown: Shown = "all"
    prefixes: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call; `key` makes its id in the family's own style, `arguments` is JSON text."""

    key: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer in the pieces in which it streams. `key` makes the ids, `signature` signs the reasoning.

    `input_tokens` are those that neither came from the cache nor went into it.
    """

    key: str
    reasoning: tuple[str, ...]
    signature: str
    redacted: tuple[str, ...]
    text: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    stop: StopReason
    stop_sequence: str | None
    input_tokens: int
    cache: CacheUse
    output_tokens: int
    first_byte_ms: int
    latency_ms: int

    @property
    def tokens(self) -> Tokens:
        """All that is charged for."""
        return Tokens(self.input_tokens, self.cache.read, self.cache.write, self.output_tokens)

    @property
    def total_tokens(self) -> int:
        """The sum of them."""
        return sum(self.tokens)


def tokens(chars: int) -> int:
    """Return the estimate for a text of `chars` characters."""
    return -(-chars // _CHARS_PER_TOKEN)


def measure(value: Any) -> int:
    """Return the number of characters in all strings of a JSON value, sources of pictures at a flat rate."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(measure, value))
    if isinstance(value, dict):
        return sum(_CHARS_OF_A_SOURCE if name == "source" else measure(part) for name, part in value.items())
    return 0


def compose(
    question: Question, said: str, directives: Directives, seed: bytes, cache: CacheUse = NO_CACHE
) -> Answer:
    """Return the answer to `question`, where `said` is what the user said without directives.

    `seed` is the request's body: the same body has the same answer, with the same ids.

    Raises:
        BedrockError: the directives ask for what the request or the family does not allow.
    """
    if directives.deltas * max(directives.delta_chars, 1) > _MAX_CHARS:
        raise invalid(f"The directives ask for a text of more than {_MAX_CHARS} characters.")
    key = sha256(seed).hexdigest()
    calls = _tool_calls(question, said, directives, key)
    budget = None if question.max_tokens is None else question.max_tokens * _CHARS_PER_TOKEN
    reasoning, left = _fit(_reasoning(question, directives), budget)
    silent = question.forced or (calls and directives.tool is None)
    shown = reasoning if question.shown == "all" else _SHOWN[question.shown] if reasoning else ()
    text, left = _fit(() if silent else _text(question, said, directives), left)
    text, sequence = _stop(text, question.stop_sequences)
    stop: StopReason = "end"
    if sequence is not None:
        calls, stop = (), "stop_sequence"
    elif left is not None and left < sum(len(call.arguments) for call in calls):
        calls, stop = (), "max_tokens"
    elif calls:
        stop = "tool_use"
    chars = sum(map(len, chain(reasoning, text))) + sum(len(call.arguments) for call in calls)
    first_byte = directives.first_byte_ms
    return Answer(
        key=key,
        reasoning=shown,
        signature=sign("".join(shown)) if question.signs_reasoning and reasoning else "",
        redacted=_redacted(question, directives, key),
        text=text,
        tool_calls=calls,
        stop=stop,
        stop_sequence=sequence,
        input_tokens=question.input_tokens - cache.read - cache.write,
        cache=cache,
        output_tokens=tokens(chars),
        first_byte_ms=round(first_byte),
        latency_ms=max(1, round(first_byte + directives.pace_ms * (len(reasoning) + len(text)))),
    )


def pieces(text: str, length: int) -> list[str]:
    """Return `text` cut into pieces of `length` characters."""
    return [text[start : start + length] for start in range(0, len(text), length)]


def _text(question: Question, said: str, directives: Directives) -> tuple[str, ...]:
    if question.schema is not None or asks_for_json(said) or asks_for_json(question.instructions):
        said_before = said or question.returned
        return tuple(pieces(json_answer(said_before, question.schema, question.instructions), _JSON_PIECE))
    opening = f"{_OPENING} You said: {_short(said)}" if said else _OPENING
    if question.returned:  # first, so that a short answer has it
        opening = f"Your tool returned: {_short(question.returned)} {opening}"
    if not directives.delta_chars:
        words = chain(_WORD.findall(opening), cycle(_FILLER_WORDS))
        return tuple(islice(words, directives.deltas))
    wanted = directives.deltas * directives.delta_chars
    filler = _FILLER * (max(0, wanted - len(opening)) // len(_FILLER) + 1)
    return tuple(pieces((opening + filler)[:wanted], directives.delta_chars))


def _reasoning(question: Question, directives: Directives) -> tuple[str, ...]:
    count = directives.reasoning
    if count is None:
        count = directives.usual_reasoning if question.reasoning else 0
    if count and not question.speaks_reasoning:
        raise invalid("The directive [reasoning] asks for what this family has no shape for.")
    return tuple(islice(cycle(_REASONING_WORDS), count))


def _redacted(question: Question, directives: Directives, key: str) -> tuple[str, ...]:
    if directives.redacted and not question.signs_reasoning:
        raise invalid("The directive [redacted] asks for what this family has no shape for.")
    return tuple(redact(f"{number}{key}") for number in range(directives.redacted))


def _tool_calls(question: Question, said: str, directives: Directives, key: str) -> tuple[ToolCall, ...]:
    offered = question.forced or question.tools
    if directives.tool and not offered:
        raise invalid("The directive [tool] asks for a tool call, but the request has no tools.")
    if directives.tool is not None:
        material = Material(said)
        turns = islice(cycle(offered), directives.tool)
        wanted = [Wanted(tool.name, fill_object(tool.schema, material)) for tool in turns]
    elif not offered or (question.returned and not question.forced):
        return ()
    else:
        wanted = calls_for(said, offered, forced=bool(question.forced), parallel=question.parallel)
    return tuple(
        ToolCall(
            key=sha256(f"{key}/{number}".encode()).hexdigest(),
            name=call.name,
            arguments=orjson.dumps(call.arguments).decode(),
        )
        for number, call in enumerate(wanted)
    )


def _short(words: str) -> str:
    return " ".join(words.split())[:_ECHOED_CHARS]


def _fit(parts: tuple[str, ...], budget: int | None) -> tuple[tuple[str, ...], int | None]:
    """Return as many of the parts as fit, the last one cut, and the characters left: -1 if any was cut."""
    if budget is None:
        return parts, None
    return _within(parts, budget) if budget >= 0 else ((), -1 if parts else budget)


def _within(parts: tuple[str, ...], budget: int) -> tuple[tuple[str, ...], int]:
    fitting: list[str] = []
    for part in parts:
        if len(part) > budget:
            return (*fitting, part[:budget]) if budget else tuple(fitting), -1
        fitting.append(part)
        budget -= len(part)
    return parts, budget


def _stop(parts: tuple[str, ...], sequences: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Return the parts up to the first stop sequence in them, and that sequence."""
    text = "".join(parts)
    found = min(((text.find(s), s) for s in sequences if s in text), default=None)
    if found is None:
        return parts, None
    return tuple(_until(parts, found[0])), found[1]


def _until(parts: tuple[str, ...], end: int) -> Iterator[str]:
    for part in parts:
        if end <= 0:
            return
        yield part[:end]
        end -= len(part)
