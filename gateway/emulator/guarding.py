"""Guardrails on the way of an answer: asked for by headers or in Converse's body, told of in its traces."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.cache import NO_CACHE
from gateway.emulator.errors import invalid
from gateway.emulator.frames import CHUNK, Event
from gateway.emulator.guardrails import BLOCKED, MASKED, Guardrail
from gateway.emulator.shapes import Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.guardrails import Assessment, Order

_IDENTIFIER: Final = "x-amzn-bedrock-guardrailidentifier"
_VERSION: Final = "x-amzn-bedrock-guardrailversion"
_TRACE: Final = "x-amzn-bedrock-trace"
_CONFIG: Final = "amazon-bedrock-guardrailConfig"
_ACTION: Final = "amazon-bedrock-guardrailAction"
_NATIVE_TRACE: Final = "amazon-bedrock-trace"
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_MODES: Final = {"SYNCHRONOUS": "sync", "ASYNCHRONOUS": "async"}
_MISSING: Final = "The guardrail identifier or version provided in the request does not exist."
_PIECES: Final = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+$")


class NativeConfig(Shape):
    """What a body of InvokeModel says of its guardrail."""

    tagSuffix: str | None = None  # noqa: N815 - AWS's name
    streamProcessingMode: str | None = None  # noqa: N815 - AWS's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guardrail of one request. `trace` is disabled, enabled or enabled_full, `mode` sync or async."""

    guardrail: Guardrail
    identifier: str
    trace: str
    mode: str
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Guarded:
    """An answer after its guardrail: what was found on either side, and the answer as it may be given."""

    guard: Guard
    before: Assessment
    after: Assessment | None
    answer: Answer

    @property
    def intervened(self) -> bool:
        """Whether the guardrail changed anything."""
        return self.before.blocked or (self.after is not None and self._touched(self.after))

    def _touched(self, after: Assessment) -> bool:
        return after.blocked or (bool(after.findings) and self.guard.mode == "sync")


def find(guardrails: Mapping[str, Guardrail], identifier: str, version: str) -> Guardrail | None:
    """Return a guardrail by its id, or an ARN that ends with it, in a version that it has."""
    guardrail = guardrails.get(identifier.rpartition("/")[2])
    return guardrail if guardrail is not None and version in guardrail.versions else None


def guard_of_headers(
    guardrails: Mapping[str, Guardrail], options: Mapping[str, str], body: Any
) -> tuple[Guard | None, Any]:
    """Return the guardrail that InvokeModel's headers name, and the body without what it says of it.

    Raises:
        BedrockError: there is no such guardrail, or the body speaks of one that no header names.
    """
    config = body.get(_CONFIG) if isinstance(body, dict) else None
    identifier, version = options.get(_IDENTIFIER), options.get(_VERSION)
    if identifier is None or version is None:
        if config is not None or identifier != version:
            raise invalid(
                "The guardrail identifier and version must both be provided with a guardrail config."
            )
        return None, body
    read = NativeConfig() if config is None else read_schema(NativeConfig, config)
    mode = _MODES.get(read.streamProcessingMode or "SYNCHRONOUS")
    trace = options.get(_TRACE, "DISABLED").lower()
    if mode is None or trace not in {"disabled", "enabled", "enabled_full"}:
        raise invalid("The guardrail config or the trace header has a value that is not valid.")
    body = {name: part for name, part in body.items() if name != _CONFIG} if config is not None else body
    guard = _guard(guardrails, identifier, version, trace=trace, mode=mode)
    return replace(guard, tags=read.tagSuffix or ""), body


def guard_of_body(guardrails: Mapping[str, Guardrail], body: Any) -> Guard | None:
    """Return the guardrail that a body of Converse names, which has its shape.

    Raises:
        BedrockError: there is no such guardrail.
    """
    config = body.get("guardrailConfig")
    if config is None:
        return None
    identifier, version = config.get("guardrailIdentifier") or "", config.get("guardrailVersion") or ""
    trace, mode = config.get("trace") or "disabled", config.get("streamProcessingMode") or "sync"
    return _guard(guardrails, identifier, version, trace=trace, mode=mode)


def _guard(
    guardrails: Mapping[str, Guardrail], identifier: str, version: str, *, trace: str, mode: str
) -> Guard:
    guardrail = find(guardrails, identifier, version)
    if guardrail is None:
        raise invalid(_MISSING)
    return Guard(guardrail=guardrail, identifier=identifier.rpartition("/")[2], trace=trace, mode=mode)


def guarded(guard: Guard, said: str, answer: Answer, order: Order | None, *, streamed: bool) -> Guarded:
    """Return what a guardrail lets through of a question and its answer."""
    guardrail = guard.guardrail
    before = guardrail.assess(_tagged(guard, said), order=order, side="input")
    if before.blocked:
        return Guarded(guard, before, None, _only(answer, (guardrail.blocked_input,), silent=True))
    after = guardrail.assess("".join(answer.text), order=order, side="output")
    at_once = guard.mode == "sync" or not streamed
    if after.blocked:
        said_before = () if at_once else answer.text[: len(answer.text) // 2]
        answer = _only(answer, (*said_before, guardrail.blocked_output))
    elif after.findings and at_once:
        answer = replace(answer, text=tuple(_PIECES.findall(after.masked)))
    return Guarded(guard if streamed else replace(guard, mode="sync"), before, after, answer)


def _tagged(guard: Guard, said: str) -> str:
    """Return what stands between the tags of a prompt, all of it where there are none."""
    if not guard.tags:
        return said
    tag = re.escape(f"amazon-bedrock-guardrails-guardContent_{guard.tags}")
    return "\n".join(re.findall(rf"<{tag}>(.*?)</{tag}>", said, re.DOTALL)) or said


def _only(answer: Answer, text: tuple[str, ...], *, silent: bool = False) -> Answer:
    """Return an answer of nothing but a text; the model was not asked at all where it is silent."""
    changed = replace(
        answer,
        reasoning=(),
        signature="",
        redacted=(),
        text=text,
        tool_calls=(),
        stop="end",
        stop_sequence=None,
    )
    return replace(changed, input_tokens=0, output_tokens=0, cache=NO_CACHE) if silent else changed


def _trace(one: Guarded, raw: str, *, native: bool) -> dict[str, Any]:
    """Return the trace: with the answer as the model gave it wherever the guardrail changed that."""
    guard, full = one.guard, one.guard.trace == "enabled_full"
    record, name = guard.guardrail.record, guard.identifier
    trace: dict[str, Any] = {"input" if native else "inputAssessment": {name: record(one.before, full=full)}}
    if one.after is not None:
        if one.intervened:
            trace["modelOutput"] = [raw]
        found = record(one.after, full=full)
        trace |= {"outputs": [{name: found}]} if native else {"outputAssessments": {name: [found]}}
    if one.intervened:
        blocked = one.before.blocked or (one.after is not None and one.after.blocked)
        trace["actionReason"] = BLOCKED if blocked else MASKED
    return {"guardrail": trace}


def whole(one: Guarded, payload: dict[str, Any], raw: Mapping[str, Any], *, native: bool) -> dict[str, Any]:
    """Return an answer in one piece with what the guardrail did; `raw` is what it would be without."""
    added: dict[str, Any] = {}
    traced = one.guard.trace != "disabled"
    if traced:
        trace = _trace(one, orjson.dumps(raw).decode(), native=native)
        added[_NATIVE_TRACE if native else "trace"] = trace
    if native:
        added[_ACTION] = "INTERVENED" if one.intervened else "NONE"
    elif one.intervened:
        added["stopReason"] = "guardrail_intervened"
    return {**payload, **added}


def events(one: Guarded, given: Iterable[Event], raw: Answer) -> Iterator[Event]:
    """Yield the events of a stream with what the guardrail did: on every delta of a model's own, and last."""
    events = list(given)
    trace = _trace(one, "".join(raw.text), native=events[-1].kind == CHUNK)
    for number, event in enumerate(events, start=1):
        payload = orjson.loads(event.payload)
        last = number == len(events)
        if event.kind == CHUNK:
            _mark_chunk(one, payload, trace if last else None, delta=event.delta)
        elif event.kind == "messageStop" and one.intervened:
            payload["stopReason"] = "guardrail_intervened"
        elif last and one.guard.trace != "disabled":
            payload["trace"] = trace
        yield Event(event.kind, orjson.dumps(payload), event.delta)


def _mark_chunk(one: Guarded, payload: Any, trace: dict[str, Any] | None, *, delta: bool) -> None:
    if not isinstance(payload, dict):  # the string that Writer ends with
        return
    if delta or trace is not None:
        payload[_ACTION] = "INTERVENED" if one.intervened else "NONE"
    if trace is not None and one.guard.trace != "disabled":
        payload[_NATIVE_TRACE] = trace
    if one.before.blocked:
        payload.pop(_METRICS, None)  # the model was not invoked (recorded)
