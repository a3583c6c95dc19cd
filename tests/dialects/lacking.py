"""What a dialect has no words for: what is left out on the way across, and what becomes of who tries it.

Each row names a field of the domain. `cut` makes of any request one that says nothing of it; `attempts` has,
for each dialect that lacks the words, a body that tries in another's words, and the field that the refusal
names.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.domain import (
    CachePoint,
    CompletionRequest,
    DocumentPart,
    Guardrail,
    Message,
    Part,
    Reasoning,
    ReasoningPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    ToolUsePart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Cut = "Callable[[CompletionRequest], CompletionRequest]"
Json = dict[str, Any]
_USER: Json = {"role": "user", "content": "hi"}
_DATA = "data:application/pdf;base64,eA=="
_SCHEMA: Json = {"type": "object", "properties": {}}


class Lack(NamedTuple):
    """One row; `example` says what is lacking."""

    why: str
    cut: Callable[[CompletionRequest], CompletionRequest]
    example: CompletionRequest
    attempts: Mapping[str, tuple[Json, str]]


# ── bodies that try ───────────────────────────────────────────────────────────────────────────────────


def chat(*content: Any, role: str = "user", **fields: Any) -> Json:
    """Return a body of the native API's or of OpenAI's chat; without content a plain one."""
    said = {"role": role, "content": list(content)} if content else _USER
    return {"model": "m", "messages": [said], **fields}


def items(*content: Any, role: str = "user", **fields: Any) -> Json:
    """Return a body of OpenAI's Responses."""
    return {"model": "m", "input": [{"role": role, "content": list(content) or "hi"}], **fields}


def messages(*content: Any, role: str = "user", **fields: Any) -> Json:
    """Return a body of Anthropic's."""
    return {**chat(*content, role=role), "max_tokens": 9, **fields}


# ── cuts ──────────────────────────────────────────────────────────────────────────────────────────────


def _each(change: Callable[[Message], Sequence[Part]]) -> Callable[[CompletionRequest], CompletionRequest]:
    """Return the cut that changes the parts of each message; one of nothing is none."""

    def cut(request: CompletionRequest) -> CompletionRequest:
        changed = [Message(one.role, tuple(change(one))) for one in request.messages]
        return replace(request, messages=tuple(one for one in changed if one.content))

    return cut


def _each_document(change: Callable[[DocumentPart], Any]) -> Callable[[CompletionRequest], CompletionRequest]:
    def of(part: Any) -> Any:
        if isinstance(part, DocumentPart):
            return change(part)
        if isinstance(part, ToolResultPart):
            return replace(part, content=tuple(of(item) for item in part.content))
        return part

    return _each(lambda message: [of(part) for part in message.content])


def _field(name: str, value: Any = None) -> Callable[[CompletionRequest], CompletionRequest]:
    return lambda request: replace(request, **{name: value})


def _sorted(message: Message) -> Sequence[Part]:
    """Reasoning first, calls last; points go with what they stand behind."""
    if message.role == "user":
        return message.content
    order: list[tuple[int, Part]] = []
    for part in message.content:
        kind = {ReasoningPart: 0, ToolUsePart: 2}.get(type(part), 1)
        behind_call = isinstance(part, CachePoint) and bool(order) and order[-1][0] == 2
        order.append((2 if behind_call else kind, part))
    return [part for _, part in sorted(order, key=lambda one: one[0])]


def _without_points(after: tuple[type[Part], ...], *, first: bool = False) -> Any:
    """Return the change that leaves out points behind these kinds of parts, and at the beginning."""

    def change(message: Message) -> Sequence[Part]:
        kept: list[Part] = []
        for part in message.content:
            bad = (not kept and first) or (bool(kept) and isinstance(kept[-1], after))
            if not (isinstance(part, CachePoint) and bad):
                kept.append(part)
        return kept

    return change


def _last_point_only(message: Message) -> Sequence[Part]:
    """Of points behind tool calls OpenAI can say one: that of the whole message."""
    content = message.content
    return [
        part
        for number, part in enumerate(content)
        if not (
            isinstance(part, CachePoint)
            and any(isinstance(one, ToolUsePart) for one in content[:number])
            and number < len(content) - 1
        )
    ]


def _system_points(request: CompletionRequest) -> CompletionRequest:
    kept: list[Any] = []
    for part in request.system:
        if not isinstance(part, CachePoint) or (kept and not isinstance(kept[-1], CachePoint)):
            kept.append(part)
    return replace(request, system=tuple(kept))


def _tools(request: CompletionRequest, **fields: Any) -> CompletionRequest:
    return replace(request, tools=tuple(replace(tool, **fields) for tool in request.tools))


def _errors(message: Message) -> Sequence[Part]:
    return [
        replace(part, is_error=False) if isinstance(part, ToolResultPart) else part
        for part in message.content
    ]


def _stream_mode(request: CompletionRequest) -> CompletionRequest:
    guardrail = request.guardrail
    return request if guardrail is None else replace(request, guardrail=replace(guardrail, stream_mode=None))


def _form(change: Callable[[ResponseFormat], Any]) -> Callable[[CompletionRequest], CompletionRequest]:
    def cut(request: CompletionRequest) -> CompletionRequest:
        form = request.response_format
        return request if form is None else replace(request, response_format=change(form))

    return cut


def _efforts(request: CompletionRequest) -> CompletionRequest:
    asked = request.reasoning
    small = asked is not None and (asked.effort == "minimal" or (asked.budget_tokens or 1024) < 1024)
    return replace(request, reasoning=None) if small else request


def _singly(request: CompletionRequest) -> CompletionRequest:
    if request.parallel_tool_calls is None:
        return request
    if not request.tools:
        return replace(request, parallel_tool_calls=None)
    return replace(request, tool_choice=request.tool_choice or ToolChoice("auto"))


def _as_pdf(part: DocumentPart) -> Any:
    if part.format == "txt":
        try:
            part.data.decode()
        except UnicodeDecodeError:
            return replace(part, format="pdf")
        return part
    return replace(part, format="pdf")


def _ids(message: Message) -> Sequence[Part]:
    def plain(text: str) -> str:
        return re.sub(r"[^a-zA-Z0-9_.:-]", "_", text)

    return [
        replace(part, id=plain(part.id))
        if isinstance(part, ToolUsePart)
        else replace(part, tool_use_id=plain(part.tool_use_id))
        if isinstance(part, ToolResultPart)
        else part
        for part in message.content
    ]


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────


def said(*parts: Part, role: Any = "user", **fields: Any) -> CompletionRequest:
    """Return a request of one turn."""
    turn = Message(role, parts or (TextPart("hi"),))
    return CompletionRequest(model="m", messages=(turn,), **{"max_tokens": 9, **fields})


_TEXT = TextPart("a")
_CALL = ToolUsePart("t1", "f", {})
_PDF = DocumentPart("pdf", b"x", "a")
_TOOL = Tool("f", None, _SCHEMA)
_POINT = {"type": "cache_point"}
_FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": _DATA}}
_INPUT_FILE = {"type": "input_file", "filename": "a.pdf", "file_data": _DATA}
_SAID = {"type": "text", "text": "a"}
_CONTROL = {"type": "ephemeral"}
_USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
_PDF_BLOCK = {"type": "document", "source": {"type": "base64", "media_type": "text/csv", "data": "eA=="}}
_CALLED = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_FUNCTION = {"type": "function", "function": {"name": "f"}}
_SINGLE = {"name": "f", "input_schema": _SCHEMA}


def _result(**fields: Any) -> Json:
    return {"role": "tool", "tool_call_id": "t1", "content": "x", **fields}


def _format(**fields: Any) -> Json:
    return {"format": {"type": "json_schema", "schema": _SCHEMA, **fields}}


def _in_all(field: str, value: Any) -> Mapping[str, tuple[Json, str]]:
    """Return the attempts that say a field of the body by the native API's name."""
    return {
        "chat": (chat(**{field: value}), field),
        "responses": (items(**{field: value}), field),
        "anthropic": (messages(**{field: value}), field),
    }


def _but(attempts: Mapping[str, tuple[Json, str]], *names: str) -> Mapping[str, tuple[Json, str]]:
    return {name: attempt for name, attempt in attempts.items() if name in names}


LACKS: Mapping[str, Lack] = {
    "Message.content: order of text and calls": Lack(
        "an assistant's reasoning, text and calls are fields of their own, in this order",
        _each(_sorted),
        said(_CALL, _TEXT, role="assistant"),
        {
            "native": (chat(_USE, _SAID, role="assistant"), "messages[0].content[0].type"),
            "chat": (chat(_USE, _SAID, role="assistant"), "messages[0].content[0].type"),
        },
    ),
    "CachePoint behind a tool call": Lack(
        "its calls have no place for one",
        _each(_without_points((ToolUsePart,))),
        said(_CALL, CachePoint(), role="assistant"),
        {
            "native": (
                {
                    **chat(),
                    "messages": [{"role": "assistant", "tool_calls": [{**_CALLED, "cache_point": {}}]}],
                },
                "messages[0].tool_calls[0].cache_point",
            )
        },
    ),
    "CachePoint between tool calls": Lack(
        "its points behind calls close the whole message",
        _each(_last_point_only),
        said(_CALL, CachePoint(), ToolUsePart("t2", "f", {}), role="assistant"),
        {
            "chat": (
                {
                    **chat(),
                    "messages": [
                        {"role": "assistant", "tool_calls": [{**_CALLED, "cache_control": _CONTROL}]}
                    ],
                },
                "messages[0].tool_calls[0].cache_control",
            )
        },
    ),
    "CachePoint behind reasoning, a point or nothing": Lack(
        "its points are marks of a block that may be cached",
        _each(_without_points((ReasoningPart, CachePoint), first=True)),
        said(CachePoint(), _TEXT, CachePoint(), CachePoint()),
        {
            "chat": (chat(_POINT, _SAID), "messages[0].content[0].type"),
            "anthropic": (messages(_POINT, _SAID), "messages[0].content[0].type"),
        },
    ),
    "CachePoint in system, behind a point or nothing": Lack(
        "its points are marks of a text",
        _system_points,
        said(system=(CachePoint(), _TEXT, CachePoint(), CachePoint())),
        {
            "chat": (chat(_POINT, role="system"), "messages[0].content[0].type"),
            "anthropic": (messages(system=[_POINT]), "system[0].type"),
        },
    ),
    "CachePoint": Lack(
        "OpenAI caches by itself there",
        _each(lambda message: [part for part in message.content if not isinstance(part, CachePoint)]),
        said(_TEXT, CachePoint("1h")),
        {
            "responses": (
                items({"type": "input_text", "text": "a", "cache_control": _CONTROL}),
                "input[0].content[0].cache_control",
            )
        },
    ),
    "CachePoint in system": Lack(
        "OpenAI caches by itself there",
        lambda request: replace(
            request, system=tuple(part for part in request.system if isinstance(part, TextPart))
        ),
        said(system=(_TEXT, CachePoint())),
        {
            "responses": (
                items({"type": "input_text", "text": "a", "cache_control": _CONTROL}, role="system"),
                "input[0].content[0].cache_control",
            )
        },
    ),
    "Tool.cache": Lack(
        "OpenAI caches by itself there",
        lambda request: _tools(request, cache=None),
        said(tools=(replace(_TOOL, cache=CachePoint()),)),
        {
            "responses": (
                items(tools=[{"type": "function", "name": "f", "cache_control": _CONTROL}]),
                "tools[0].cache_control",
            )
        },
    ),
    "DocumentPart.citations": Lack(
        "OpenAI's files have no such field",
        _each_document(lambda part: replace(part, citations=False)),
        said(replace(_PDF, citations=True)),
        {
            "chat": (chat({**_FILE, "citations": True}), "messages[0].content[0].citations"),
            "responses": (items({**_INPUT_FILE, "citations": True}), "input[0].content[0].citations"),
        },
    ),
    "DocumentPart.context": Lack(
        "OpenAI's files have no such field",
        _each_document(lambda part: replace(part, context=None)),
        said(replace(_PDF, context="c")),
        {
            "chat": (chat({**_FILE, "context": "c"}), "messages[0].content[0].context"),
            "responses": (items({**_INPUT_FILE, "context": "c"}), "input[0].content[0].context"),
        },
    ),
    "DocumentPart.format": Lack(
        "Anthropic's documents are PDF, or text that is UTF-8",
        _each_document(_as_pdf),
        said(replace(_PDF, format="csv")),
        {"anthropic": (messages(_PDF_BLOCK), "messages[0].content[0].source.media_type")},
    ),
    "ToolResultPart.is_error": Lack(
        "OpenAI's results have no such field",
        _each(_errors),
        said(ToolResultPart("t1", (_TEXT,), is_error=True)),
        {
            "chat": ({**chat(), "messages": [_result(is_error=True)]}, "messages[0].is_error"),
            "responses": (
                {
                    "model": "m",
                    "input": [
                        {"type": "function_call_output", "call_id": "t", "output": "x", "is_error": True}
                    ],
                },
                "input[0].is_error",
            ),
        },
    ),
    "ToolUsePart.id, ToolResultPart.tool_use_id": Lack(
        "Anthropic's ids have a grammar",
        _each(_ids),
        said(ToolUsePart("t 1", "f", {}), role="assistant"),
        {"anthropic": (messages({**_USE, "id": "t 1"}, role="assistant"), "messages[0].content[0].id")},
    ),
    "max_tokens: None": Lack(
        "Anthropic's callers must say it",
        lambda request: replace(request, max_tokens=request.max_tokens or 9),
        said(max_tokens=None),
        {"anthropic": (chat(), "max_tokens")},
    ),
    "temperature above 1": Lack(
        "Anthropic's goes to 1",
        lambda request: replace(request, temperature=1.0) if (request.temperature or 0) > 1 else request,
        said(temperature=1.5),
        {"anthropic": (messages(temperature=1.5), "temperature")},
    ),
    "stop": Lack(
        "OpenAI has taken it away there",
        _field("stop", ()),
        said(stop=("a",)),
        _but(_in_all("stop", ["a"]), "responses"),
    ),
    "seed": Lack(
        "it has none",
        _field("seed"),
        said(seed=1),
        _but(_in_all("seed", 1), "responses", "anthropic"),
    ),
    "provider": Lack(
        "only callers of the earlier system name it",
        _field("provider"),
        said(provider="amazon"),
        _in_all("provider", "amazon"),
    ),
    "betas": Lack(
        "the flags are Anthropic's",
        _field("betas", ()),
        said(betas=("context-1m-2025-08-07",)),
        _but(_in_all("betas", ["context-1m-2025-08-07"]), "chat", "responses"),
    ),
    "Guardrail.stream_mode": Lack(
        "AWS has no header for it",
        _stream_mode,
        said(guardrail=Guardrail("g", "1", stream_mode="sync")),
        _in_all("guardrail", {"identifier": "g", "version": "1", "stream_mode": "sync"}),
    ),
    "Reasoning.budget_tokens": Lack(
        "OpenAI has efforts",
        lambda request: (
            replace(request, reasoning=None)
            if request.reasoning is not None and request.reasoning.effort is None
            else request
        ),
        said(reasoning=Reasoning(budget_tokens=2048)),
        {"responses": (items(reasoning={"budget_tokens": 2048}), "reasoning.budget_tokens")},
    ),
    "Reasoning.effort: minimal": Lack(
        "Anthropic has no such effort",
        _efforts,
        said(reasoning=Reasoning("minimal")),
        {"anthropic": (messages(output_config={"effort": "minimal"}), "output_config.effort")},
    ),
    "Reasoning.budget_tokens below 1024": Lack(
        "Anthropic takes no less",
        _efforts,
        said(reasoning=Reasoning(budget_tokens=9)),
        {
            "anthropic": (
                messages(thinking={"type": "enabled", "budget_tokens": 9}),
                "thinking.budget_tokens",
            )
        },
    ),
    "ResponseFormat without a schema, with a name": Lack(
        "a schema is what the name is of",
        _form(lambda form: form if form.schema is not None else ResponseFormat()),
        said(response_format=ResponseFormat(None, "n")),
        {
            "native": (
                chat(response_format={"type": "json_schema", "json_schema": {"name": "n"}}),
                "response_format.json_schema.schema",
            ),
            "responses": (items(text={"format": {"type": "json_schema", "name": "n"}}), "text.format.schema"),
        },
    ),
    "ResponseFormat.name: None": Lack(
        "OpenAI's callers must say it",
        _form(lambda form: replace(form, name=form.name or "n") if form.schema is not None else form),
        said(response_format=ResponseFormat(_SCHEMA)),
        {
            "chat": (
                chat(response_format={"type": "json_schema", "json_schema": {"schema": _SCHEMA}}),
                "response_format.json_schema.name",
            ),
            "responses": (items(text=_format()), "text.format.name"),
        },
    ),
    "ResponseFormat.schema: None": Lack(
        "Anthropic has no form without a schema",
        _form(lambda form: form if form.schema is not None else None),
        said(response_format=ResponseFormat()),
        {
            "anthropic": (
                messages(output_config={"format": {"type": "json_object"}}),
                "output_config.format.type",
            )
        },
    ),
    "ResponseFormat.name": Lack(
        "Anthropic's has none",
        _form(lambda form: replace(form, name=None)),
        said(response_format=ResponseFormat(_SCHEMA, "n", strict=True)),
        {"anthropic": (messages(output_config=_format(name="n")), "output_config.format.name")},
    ),
    "ResponseFormat.description": Lack(
        "Anthropic's has none",
        _form(lambda form: replace(form, description=None)),
        said(response_format=ResponseFormat(_SCHEMA, None, "d", strict=True)),
        {"anthropic": (messages(output_config=_format(description="d")), "output_config.format.description")},
    ),
    "ResponseFormat.strict: False or None": Lack(
        "Anthropic's always is",
        _form(lambda form: replace(form, strict=True)),
        said(response_format=ResponseFormat(_SCHEMA)),
        {"anthropic": (messages(output_config=_format(strict=False)), "output_config.format.strict")},
    ),
    "parallel_tool_calls without tools": Lack(
        "there is nothing to call",
        lambda request: request if request.tools else replace(request, parallel_tool_calls=None),
        said(parallel_tool_calls=True),
        {"chat": (chat(parallel_tool_calls=True), "parallel_tool_calls")},
    ),
    "parallel_tool_calls without tool_choice": Lack(
        "Anthropic's is part of the choice, which is `auto` where nothing is said",
        _singly,
        said(parallel_tool_calls=False, tools=(_TOOL,)),
        {
            "anthropic": (
                messages(tools=[_SINGLE], tool_choice={"disable_parallel_tool_use": True}),
                "tool_choice.type",
            )
        },
    ),
}
"""Row → which dialects lack it, and how that shows."""


def sayable(request: CompletionRequest, dialect: str) -> CompletionRequest:
    """Return what of this request a dialect has words for."""
    for lack in LACKS.values():
        if dialect in lack.attempts:
            request = lack.cut(request)
    return request
