"""The families that take OpenAI's Chat Completions, each with an end of its own (bedrock-wire.md §4.10).

No stream of theirs is recorded. What other gateways have met (§4.10, [G]) is dealt out to the families, to
each always the same, so that a reader meets all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from gateway.emulator.answer import pieces
from gateway.emulator.errors import invalid
from gateway.emulator.families.chat_rules import ask, call, usage
from gateway.emulator.families.chat_shapes import ChatBody
from gateway.emulator.families.native import METRICS, TEXT_REASONS, chunk, counters, metrics
from gateway.emulator.frames import CHUNK, Event
from gateway.emulator.shapes import read_anthropic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, Question, ToolCall
    from gateway.emulator.models import ModelId

_SEEING: Final = "-vl"
_ARGUMENT_PIECE: Final = 12
_ID_CHARS: Final = 24
_EPOCH: Final = 1_767_225_600
"""2026-01-01; answers are the same every time, so that they cannot tell the time."""

_SECONDS: Final = 31_536_000
_OPEN, _CLOSE = "<reasoning>", "</reasoning>"

Tail: TypeAlias = Literal["finish", "usage", "apart", "metrics", "done"]
"""What follows the last delta. `finish`: one chunk with everything but a usage. `usage`: the usage in a chunk
without choices, with the metrics. `apart`: both in chunks of their own. `metrics`: the usage with the finish
reason, the metrics alone. `done`: all in one chunk, then the JSON string `[DONE]`."""


class ChatModel(NamedTuple):
    """One family. `thoughts`: in tags inside of the content, in a field, or not at all; `thinks`: always."""

    prefix: str
    tail: Tail
    thoughts: Literal["tags", "field", ""] = ""
    thinks: bool = False
    images: bool = False
    stops: bool = True
    hottest: float = 2.0
    max_tokens: int | None = None
    usual_max_tokens: int | None = None
    refused: frozenset[str] = frozenset({"min_tokens"})


CHAT_MODELS: Final = (
    ChatModel("openai.gpt-oss-", "finish", "tags", thinks=True, refused=frozenset({"min_tokens", "top_k"})),
    ChatModel("qwen.", "usage", "field"),
    ChatModel("google.gemma-", "metrics", images=True),
    ChatModel("minimax.", "apart", "field", thinks=True),
    ChatModel("moonshot", "usage", "field", stops=False, hottest=1.0),
    ChatModel("nvidia.nemotron-", "metrics", "field"),
    ChatModel("zai.glm-", "apart", "field"),
    ChatModel("deepseek.v3", "finish", "field"),
    ChatModel("writer.palmyra-", "done", max_tokens=8192, usual_max_tokens=16, refused=frozenset({"top_k"})),
    ChatModel("mistral.mistral-large-3", "usage", images=True),
    ChatModel("mistral.pixtral-", "finish", images=True),
    ChatModel("mistral.ministral-", "usage", images=True),
    ChatModel("mistral.magistral-", "usage", "field"),
    ChatModel("mistral.devstral-", "usage"),
    ChatModel("mistral.voxtral-", "usage"),
)
_UNKNOWN: Final = ChatModel("", "finish", images=True)
"""Behind an opaque id: an imported model, for one."""


class Chat:
    """Speaks for all families whose body is OpenAI's."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the conversation asks."""
        asked = read_anthropic(ChatBody, body)
        traits = _traits(model)
        _check(asked, traits, model, streamed=streamed)
        limit = asked.max_completion_tokens if asked.max_tokens is None else asked.max_tokens
        if traits.max_tokens is not None and (limit or 1) > traits.max_tokens:
            raise invalid(f"max_tokens: Input should be less than or equal to {traits.max_tokens}")
        return ask(
            asked,
            body,
            max_tokens=traits.usual_max_tokens if limit is None else limit,
            images=traits.images or _SEEING in model.name,
            reasoning=traits.thinks or asked.reasoning_effort is not None,
            speaks_reasoning=bool(traits.thoughts),
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the chunks: the role, thoughts, text, tool calls, and the family's end."""
        del body
        head = _head(answer, model, "chat.completion.chunk")
        traits = _traits(model)
        yield chunk({**head, "choices": [_delta({"role": "assistant", "content": ""})]})
        for delta in _deltas(answer, model, traits):
            yield chunk({**head, "choices": [_delta(delta)]}, delta=True)
        finish = {**head, "choices": [_delta({}, TEXT_REASONS[answer.stop])]}
        yield from _tail(traits.tail, answer, head, finish)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the completion; content is null where there is nothing but tool calls."""
        del body
        traits = _traits(model)
        text = "".join(answer.text)
        if traits.thoughts == "tags":
            text = "".join(_tagged(answer))
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if traits.thoughts == "field" and answer.reasoning:
            message["reasoning_content"] = "".join(answer.reasoning)
        if answer.tool_calls:
            message["tool_calls"] = [
                call(made, _call_id(made, number, model), made.arguments)
                for number, made in enumerate(answer.tool_calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": TEXT_REASONS[answer.stop]}
        return {**_head(answer, model, "chat.completion"), "choices": [choice], "usage": usage(answer)}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters."""
        return counters(answer)


def _traits(model: ModelId) -> ChatModel:
    return next((traits for traits in CHAT_MODELS if model.base.startswith(traits.prefix)), _UNKNOWN)


def _check(asked: ChatBody, traits: ChatModel, model: ModelId, *, streamed: bool) -> None:
    if asked.model not in {None, model.given, model.base}:
        raise invalid(f"model: must be the model of the URI, {model.given}")
    if asked.stream not in {None, streamed}:
        raise invalid("stream: must match the operation")
    if asked.max_tokens is not None and asked.max_completion_tokens is not None:
        raise invalid("max_tokens: not permitted together with max_completion_tokens")
    if asked.stop is not None and not traits.stops:
        raise invalid("stop: not supported by the model")
    if (asked.temperature or 0) > traits.hottest:
        raise invalid(f"temperature: Input should be less than or equal to {traits.hottest:g}")
    for name in sorted(traits.refused):
        if getattr(asked, name) is not None:
            raise invalid(f"{name}: Extra inputs are not permitted")


def _head(answer: Answer, model: ModelId, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.key[:_ID_CHARS]}",
        "object": kind,
        "created": _EPOCH + int(answer.key[:8], 16) % _SECONDS,
        "model": model.base or model.given,
    }


def _delta(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": reason}


def _deltas(answer: Answer, model: ModelId, traits: ChatModel) -> Iterator[dict[str, Any]]:
    if traits.thoughts == "tags":
        yield from ({"content": text} for text in _tagged(answer))
    else:
        yield from ({"reasoning_content": text} for text in answer.reasoning)
        yield from ({"content": text} for text in answer.text)
    for number, made in enumerate(answer.tool_calls):
        start = call(made, _call_id(made, number, model), "")
        yield {"content": None, "tool_calls": [{"index": number, **start}]}
        for part in pieces(made.arguments, _ARGUMENT_PIECE):
            yield {"tool_calls": [{"index": number, "function": {"arguments": part}}]}


def _tagged(answer: Answer) -> Iterator[str]:
    """Yield thoughts in their tags, then the text. Thoughts that a limit cuts off are never closed."""
    if answer.reasoning:
        yield _OPEN
        yield from answer.reasoning
        if answer.text or answer.stop != "max_tokens":
            yield _CLOSE
    yield from answer.text


def _tail(tail: Tail, answer: Answer, head: dict[str, Any], finish: dict[str, Any]) -> Iterator[Event]:
    counted = {"usage": usage(answer)}
    measured = {METRICS: metrics(answer)}
    alone = {**head, "choices": [], **counted}
    chunks: Mapping[Tail, tuple[dict[str, Any], ...]] = {
        "finish": ({**finish, **measured},),
        "usage": (finish, {**alone, **measured}),
        "apart": (finish, alone, measured),
        "metrics": ({**finish, **counted}, measured),
        "done": ({**finish, **counted, **measured},),
    }
    yield from map(chunk, chunks[tail])
    if tail == "done":
        yield Event(CHUNK, b'"[DONE]"')


def _call_id(made: ToolCall, number: int, model: ModelId) -> str:
    """Return an id in the family's style: Kimi's are recorded, with a dot and a colon (§4.10)."""
    if model.base.startswith("moonshot"):
        return f"functions.{made.name}:{number}"
    return f"call_{made.key[:_ID_CHARS]}"
