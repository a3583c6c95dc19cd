"""The five operations, as functions from what was asked to what is answered."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator import directives as directive
from gateway.emulator.answer import compose
from gateway.emulator.cache import NO_CACHE
from gateway.emulator.delivery import Reply, broken_reply, replay_reply, stream_reply, whole_reply
from gateway.emulator.errors import BedrockError, invalid, malformed
from gateway.emulator.families import CLAUDE, CONVERSE, native_family
from gateway.emulator.models import read_model_id
from gateway.emulator.shapes import Base64, CamelShape, UnionShape, read_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.emulator.answer import Answer
    from gateway.emulator.cache import PromptCache
    from gateway.emulator.directives import Directives
    from gateway.emulator.families.protocol import Family
    from gateway.emulator.models import ModelId
    from gateway.emulator.replay import Replay

_STREAMED: Final = frozenset({"converse-stream", "invoke-with-response-stream"})
_CONVERSED: Final = frozenset({"converse", "converse-stream"})
_JSON: Final = MappingProxyType({"Content-Type": "application/json"})
_MS: Final = 1000.0

HEADER_PREFIX: Final = "x-amzn-bedrock-"
_GUARDRAIL: Final = "x-amzn-bedrock-guardrailidentifier"
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


def reply_to(asked: Asked, body: Any, usual: Directives, cache: PromptCache | None = None) -> Reply:
    """Return the answer to a request whose JSON is `body`; without a `cache` there is nothing in it.

    Raises:
        BedrockError: Bedrock would answer so, or a directive wants it.
    """
    model = read_model_id(asked.model_id)
    if asked.operation == "count-tokens":
        _check(directive.read_words(asked.scripted, usual), asked.operation)
        return whole_reply(orjson.dumps({"inputTokens": count_tokens(body, model)}), _JSON)
    streamed = asked.operation in _STREAMED
    family = CONVERSE if asked.operation in _CONVERSED else native_family(model, body)
    headers = {} if family is CONVERSE else _repeated(asked.options)
    question = family.question(body, model, streamed=streamed)
    said, wanted = directive.read(question.said, usual)
    wanted = directive.read_words(asked.scripted, wanted)
    _check(wanted, asked.operation)
    use = NO_CACHE if cache is None else cache.use(model.given, question.prefixes)
    answer = compose(question, said, wanted, asked.body, use)
    if not streamed:
        whole = _whole(family, answer, model, body, headers)
        reply = whole if wanted.fault is None else broken_reply(whole, wanted.fault)
    else:
        if family is not CONVERSE:
            headers["X-Amzn-Bedrock-Content-Type"] = "application/json"
        reply = stream_reply(family.stream(answer, model, body), headers, wanted)
    return replace(reply, same=False) if use.asked else reply


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


def _whole(
    family: Family, answer: Answer, model: ModelId, body: Mapping[str, Any], headers: Mapping[str, str]
) -> Reply:
    payload = orjson.dumps(
        family.whole(answer, model, body), option=orjson.OPT_SORT_KEYS if family is CONVERSE else 0
    )
    return whole_reply(
        payload, {**_JSON, **headers, **family.counters(answer)}, delay=answer.latency_ms / _MS
    )


def _check(wanted: Directives, operation: str) -> None:
    if wanted.error is not None:
        raise BedrockError(wanted.error, retry_after_ms=wanted.retry_after_ms)
    fault = wanted.fault
    if fault is not None and fault.member == "modelTimeoutException" and operation == "converse-stream":
        raise invalid("ConverseStream has no modelTimeoutException; only InvokeModel streams have.")


def _repeated(options: Sequence[tuple[str, str]]) -> dict[str, str]:
    given = dict(options)
    if given.get(_GUARDRAIL):
        raise invalid("The guardrail identifier or version provided in the request does not exist.")
    for name, known in _OPTIONS.items():
        if given.get(name, next(iter(known))) not in known:
            raise malformed(f"{name}: {given[name]} is not a valid enum value")
    return {name: given[name] for name in _OPTIONS if name in given}
