"""The operations, as functions from what was asked to what is answered."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from gateway.emulator import agent_rerank, apply_guardrail
from gateway.emulator import directives as directive
from gateway.emulator.answer import compose
from gateway.emulator.cache import NO_CACHE
from gateway.emulator.delivery import Reply, broken_reply, replay_reply, stream_reply, whole_reply
from gateway.emulator.errors import BedrockError, invalid, malformed
from gateway.emulator.families import CLAUDE, CONVERSE, native_family
from gateway.emulator.guarding import events as mark_events
from gateway.emulator.guarding import guard_of_body, guard_of_headers, guarded
from gateway.emulator.guarding import whole as mark_whole
from gateway.emulator.metering import Metered
from gateway.emulator.models import read_model_id
from gateway.emulator.shapes import Base64, CamelShape, UnionShape, read_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.emulator.answer import Answer
    from gateway.emulator.cache import PromptCache
    from gateway.emulator.directives import Directives
    from gateway.emulator.families.protocol import Family
    from gateway.emulator.guarding import Guarded
    from gateway.emulator.guardrails import Guardrail
    from gateway.emulator.models import ModelId
    from gateway.emulator.replay import Replay

_STREAMED: Final = frozenset({"converse-stream", "invoke-with-response-stream"})
_CONVERSED: Final = frozenset({"converse", "converse-stream"})
_JSON: Final = MappingProxyType({"Content-Type": "application/json"})
_MS: Final = 1000.0

HEADER_PREFIX: Final = "x-amzn-bedrock-"
# The options of InvokeModel that its answer repeats (bedrock-wire.md §2.3, §2.4).
_OPTIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "x-amzn-bedrock-performanceconfig-latency": frozenset({"standard", "optimized"}),
        "x-amzn-bedrock-service-tier": frozenset({"priority", "default", "flex", "reserved"}),
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, apart from who sends it. `options` are its `x-amzn-bedrock-` headers, in order.

    `scripted` are directives that did not come with it: the emulator was told of them (`Emulator.script`).
    """

    operation: str
    model_id: str
    body: bytes
    options: tuple[tuple[str, str], ...] = ()
    scripted: str = ""


class CountedBody(CamelShape):
    """A body of InvokeModel to count."""

    body: Base64


class CountInput(UnionShape):
    """What to count."""

    invoke_model: CountedBody | None = None
    converse: dict[str, Any] | None = None


class CountTokensBody(CamelShape):
    """The body of CountTokens."""

    input: CountInput


def parse(body: bytes) -> Any:
    """Return the JSON of a body, None for an empty one.

    Raises:
        BedrockError: it is not JSON.
    """
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise invalid("Malformed input request, please reformat your input and try again.") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What answers depend on beside the request: how they usually are, what is kept, which guardrails."""

    usual: Directives
    guardrails: Mapping[str, Guardrail] = field(default_factory=dict)
    cache: PromptCache | None = None
    failed: Counter[str] = field(default_factory=Counter)

    def spared(self, said: str, wanted: Directives) -> Directives:
        """Return what is wanted without its fault, where that was to come only so many times and has."""
        if wanted.times is None:
            return wanted
        self.failed[said] += 1
        if self.failed[said] <= wanted.times:
            return wanted
        return replace(wanted, error=None, retry_after_ms=None, fault=None)


def reply_to(asked: Asked, body: Any, account: Account) -> Reply:
    """Return the answer to a request whose JSON is `body`.

    Raises:
        BedrockError: Bedrock would answer so, or a directive wants it.
    """
    if asked.operation in _WITHOUT_MODEL:
        return _WITHOUT_MODEL[asked.operation](asked, body, account)
    model = read_model_id(asked.model_id)
    streamed = asked.operation in _STREAMED
    family: Family = CONVERSE
    guard = None
    if asked.operation not in _CONVERSED:
        guard, body = guard_of_headers(account.guardrails, dict(asked.options), body)
        family = native_family(model, body)
    headers = {} if family is CONVERSE else _repeated(asked.options)
    question = family.question(body, model, streamed=streamed)
    if family is CONVERSE:
        guard = guard_of_body(account.guardrails, body)
    said, wanted = _directed(question.said, asked, account)
    use = NO_CACHE if account.cache is None else account.cache.look(model.given, question.prefixes)
    answer = compose(question, said, wanted, asked.body, use)
    if family is not CONVERSE and streamed:
        headers["X-Amzn-Bedrock-Content-Type"] = "application/json"
    saying = _Saying(family, model, body, headers, wanted)
    given = answer
    if guard is not None:
        watched = guarded(guard, question.guarded or said, answer, wanted.guardrail, streamed=streamed)
        reply, given = saying.guarded(watched, answer, streamed=streamed), watched.answer
    elif wanted.guardrail is not None:
        raise invalid("The directive [guardrail] needs a request with a guardrail.")
    else:
        reply = saying.stream(answer) if streamed else saying.whole(answer)
    metered = Metered(
        model, question.input_tokens, question.max_tokens, given.tokens, tuple(question.prefixes)
    )
    return replace(reply, metered=metered, same=reply.same and not use.asked and wanted.times is None)


class _Saying(NamedTuple):
    """How a family says an answer."""

    family: Family
    model: ModelId
    body: Any
    headers: Mapping[str, str]
    wanted: Directives

    def stream(self, answer: Answer) -> Reply:
        """Return the answer as a stream."""
        return stream_reply(self.family.stream(answer, self.model, self.body), self.headers, self.wanted)

    def whole(self, answer: Answer) -> Reply:
        """Return the answer in one piece."""
        return self._sealed(answer, self.family.whole(answer, self.model, self.body))

    def guarded(self, one: Guarded, raw: Answer, *, streamed: bool) -> Reply:
        """Return the answer that a guardrail let through; `raw` is the model's own."""
        if streamed:
            events = self.family.stream(one.answer, self.model, self.body)
            return stream_reply(mark_events(one, events, raw), self.headers, self.wanted)
        payload = self.family.whole(one.answer, self.model, self.body)
        said = self.family.whole(raw, self.model, self.body)
        return self._sealed(one.answer, mark_whole(one, payload, said, native=self.family is not CONVERSE))

    def _sealed(self, answer: Answer, payload: Mapping[str, Any]) -> Reply:
        data = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS if self.family is CONVERSE else 0)
        headers = {**_JSON, **self.headers, **self.family.counters(answer)}
        reply = whole_reply(data, headers, delay=answer.latency_ms / _MS)
        return reply if self.wanted.fault is None else broken_reply(reply, self.wanted.fault)


def _directed(said: str, asked: Asked, account: Account) -> tuple[str, Directives]:
    """Return what was said without directives, and what they want, a script above all."""
    left, wanted = directive.read(said, account.usual)
    wanted = account.spared(said, directive.read_words(asked.scripted, wanted))
    _check(wanted, asked.operation)
    return left, wanted


def _json_reply(payload: Mapping[str, Any], wanted: Directives) -> Reply:
    reply = whole_reply(orjson.dumps(payload), _JSON, delay=wanted.first_byte_ms / _MS)
    reply = reply if wanted.fault is None else broken_reply(reply, wanted.fault)
    return replace(reply, same=wanted.times is None)


def _count(asked: Asked, body: Any, account: Account) -> Reply:
    model = read_model_id(asked.model_id)
    _, wanted = _directed("", asked, account)
    return _json_reply({"inputTokens": count_tokens(body, model)}, wanted)


def _apply(asked: Asked, body: Any, account: Account) -> Reply:
    read, guardrail = apply_guardrail.read_body(body, account.guardrails, asked.model_id)
    _, wanted = _directed("\n".join(read.texts), asked, account)
    texts = [directive.read(text, account.usual)[0] for text in read.texts]
    return _json_reply(apply_guardrail.apply(read, guardrail, texts, wanted.guardrail), wanted)


def _rerank(asked: Asked, body: Any, account: Account) -> Reply:
    read = agent_rerank.read_body(body)
    query, wanted = _directed(read.query, asked, account)
    return _json_reply(agent_rerank.ranked(read, query), wanted)


_WITHOUT_MODEL: Final[Mapping[str, Callable[[Asked, Any, Account], Reply]]] = MappingProxyType(
    {"count-tokens": _count, "apply-guardrail": _apply, "rerank": _rerank}
)
"""The operations that generate nothing."""


def replayed(asked: Asked, body: Any, replay: Replay, usual: Directives) -> tuple[Reply, str | None]:
    """Return the recorded answer and its request id, paced as answers usually are.

    Raises:
        BedrockError: no recording matches.
    """
    recording = replay.match(asked.operation, asked.model_id, body)
    return replay_reply(recording, usual), recording.request_id


def count_tokens(body: Any, model: ModelId) -> int:
    """Return the input tokens that the body inside `body` would be charged for.

    Raises:
        BedrockError: one of the two bodies is not valid, or the model is not one that Bedrock counts for.
    """
    if model.geo or model.provider != "anthropic":  # recorded for Claude; geo profiles are refused (§2.1)
        raise invalid("The provided model doesn't support counting tokens.")
    counted = read_schema(CountTokensBody, body).input
    if counted.converse is not None:
        return CONVERSE.count(counted.converse, model)
    inner = parse(b64decode(body["input"]["invokeModel"]["body"]))
    return CLAUDE.question(inner, model, streamed=False).input_tokens


def _check(wanted: Directives, operation: str) -> None:
    if wanted.error is not None:
        raise BedrockError(wanted.error, retry_after_ms=wanted.retry_after_ms, same=wanted.times is None)
    fault = wanted.fault
    if fault is not None and fault.member == "modelTimeoutException" and operation == "converse-stream":
        raise invalid("ConverseStream has no modelTimeoutException; only InvokeModel streams have.")


def _repeated(options: Sequence[tuple[str, str]]) -> dict[str, str]:
    given = dict(options)
    for name, known in _OPTIONS.items():
        if given.get(name, next(iter(known))) not in known:
            raise malformed(f"{name}: {given[name]} is not a valid enum value")
    return {name: given[name] for name in _OPTIONS if name in given}
