"""Answers that fit a schema: by the model's own means, or as the arguments of a tool that it must call.

The tool is ours and bears the schema's name; the caller never sees it. Its arguments are the text of the
answer, and the answer ends as one that called no tool.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from gateway.codecs.reasoning import wanted
from gateway.domain import Citation, FinishReason, Stop, TextDelta, Tool, ToolCall, ToolCallDelta, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event, ResponseFormat

Way: TypeAlias = Literal["native", "unsure", "tool", "none"]
"""`unsure`: by the model's own means, of which nobody knows whether it has them; Bedrock judges."""

_OPENAI: Final = frozenset({"openai_chat", "gpt_oss"})
_WAYS: Final[Mapping[bool | None, Way]] = {True: "native", None: "unsure", False: "none"}
_BY_SCHEMA: Final = frozenset({"claude", "converse"})
_BY_TOOL: Final = frozenset({"claude", "nova", "mistral_chat", "converse"})
_FORBIDDEN: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NAME: Final = "answer"
_LONGEST: Final = 64
_DESCRIPTION: Final = "Give the answer with this tool: its arguments are the answer."
_ANY: Final = {"type": "object", "additionalProperties": True}


def way(request: CompletionRequest, model: Model) -> Way:
    """Return how the model is made to answer in the form that the request wants."""
    form = request.response_format
    if form is None:
        return "native"
    if model.family in _OPENAI:
        return _WAYS[model.features.structured]
    if model.family == "jamba":
        return "native" if form.schema is None else "none"
    if model.family not in _BY_TOOL:
        return "none"
    native = model.features.structured
    if form.schema is None or model.family not in _BY_SCHEMA:
        native = False
    if not native and _tool_serves(request, form, model):
        return "tool"
    return _WAYS[native]


def with_tool(request: CompletionRequest) -> tuple[CompletionRequest, str]:
    """Return the request with the tool instead of the form, and the tool's name."""
    form = request.response_format
    assert form is not None  # noqa: S101 - `way` said that there is one
    name = _tool_name(form, {tool.name for tool in request.tools})
    tool = Tool(name, form.description or _DESCRIPTION, _ANY if form.schema is None else form.schema)
    others = () if request.tool_choice is not None and request.tool_choice.mode == "none" else request.tools
    made = replace(request, response_format=None, tools=(*others, tool), tool_choice=ToolChoice("any"))
    return made, name


def _tool_serves(request: CompletionRequest, form: ResponseFormat, model: Model) -> bool:
    """Tell whether the model can be made to call a tool that takes the answer."""
    choices = model.features.tool_choice
    if model.features.tools is None and choices is None:
        return form.schema is None and model.family == "converse"  # nothing else could serve
    if model.features.tools is False or (choices is not None and not choices):
        return False
    if request.tool_choice is not None and request.tool_choice.mode in {"any", "tool"}:
        return False  # a call of the caller's own tool is wanted, not an answer
    if wanted(request) and model.native_family == "claude":
        return False  # it cannot be made to call a tool while it thinks
    return form.schema is None or form.schema.get("type") == "object"


def _tool_name(form: ResponseFormat, taken: set[str]) -> str:
    name = _FORBIDDEN.sub("_", form.name or _NAME)[: _LONGEST - len(_NAME) - 1] or _NAME
    while name in taken:
        name = f"{name}_{_NAME}"[-_LONGEST:]
    return name


class AnswerFilter:
    """Makes an answer out of the events of one that was given as a tool's arguments.

    Text waits until it is known what it is: beside the tool's arguments it is the model's talk and no part of
    the answer, before a call of the caller's own tool or where the model called none it is the caller's.
    """

    __slots__ = ("_answer", "_calls", "_held", "_name", "unknown")

    def __init__(self, name: str) -> None:
        self.unknown: set[str] = set()
        """Names of what was left out of the answer."""
        self._name = name
        self._answer: int | None = None  # the number of the call that is the answer
        self._calls: dict[int, int] = {}  # the caller's own: their numbers, and those without ours
        self._held: list[Event] = []

    def feed(self, heard: Iterable[Event], events: list[Event]) -> None:
        """Append what of `heard` belongs to the answer."""
        for event in heard:
            if isinstance(event, TextDelta | Citation):
                self._held.append(event)
            elif isinstance(event, ToolCall):
                self._call(event, events)
            elif isinstance(event, ToolCallDelta):
                self._arguments(event, events)
            elif isinstance(event, Stop):
                self.flush(events)
                events.append(self._stop(event))
            else:
                events.append(event)

    def flush(self, events: list[Event]) -> None:
        """The answer is over, well or badly: what waited is the caller's, unless the tool was called."""
        if self._answer is None:
            events.extend(self._held)
        elif any(isinstance(event, TextDelta) and event.text.strip() for event in self._held):
            self.unknown.add("text:beside_structured_output")
        self._held.clear()

    def _call(self, call: ToolCall, events: list[Event]) -> None:
        if call.name != self._name:
            self.flush(events)
            self._calls[call.index] = len(self._calls)
            events.append(replace(call, index=self._calls[call.index]))
        elif self._answer is None:
            self._answer = call.index
        else:  # one answer was asked for
            self.unknown.add("tool_call:another_structured_output")

    def _arguments(self, delta: ToolCallDelta, events: list[Event]) -> None:
        if delta.index == self._answer:
            events.append(TextDelta(delta.arguments))
        elif delta.index in self._calls:
            events.append(replace(delta, index=self._calls[delta.index]))

    def _stop(self, stop: Stop) -> Stop:
        if stop.reason is FinishReason.TOOL_CALLS and self._answer is not None and not self._calls:
            return Stop(FinishReason.STOP, stop.raw)
        return stop
