"""Cohere Command R: one message after a history, events by type, tools without ids (bedrock-wire.md §4.7)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from gateway.emulator.answer import Question, measure, tokens
from gateway.emulator.errors import malformed
from gateway.emulator.families.command_r_shapes import CommandRBody
from gateway.emulator.families.native import COHERE_REASONS, METRICS, chunk, counters, metrics
from gateway.emulator.frames import remember_words
from gateway.emulator.sense.calls import Tool
from gateway.emulator.shapes import read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.families.command_r_shapes import ToolDefinition
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_COUNTED_KEYS: Final = ("message", "chat_history", "preamble", "documents", "tools", "tool_results")
_PYTHON_TYPES: Final = MappingProxyType(
    {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    | {"list": "array", "dict": "object"}
)


class CommandR:
    """Speaks for Command R and R+."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the message asks."""
        del model, streamed  # the same body for both models and both operations
        asked = read_schema(CommandRBody, body)
        names = {tool.name for tool in asked.tools}
        unknown = [result.call.name for result in asked.tool_results if result.call.name not in names]
        if unknown:
            raise malformed(f"#/tool_results: [{unknown[0]}] is not the name of a tool of the request")
        if not asked.message and not asked.tool_results:
            raise malformed("#/message: expected minLength: 1, actual: 0")
        return Question(
            said=asked.message,
            returned=" ".join(
                orjson.dumps(output).decode() for result in asked.tool_results for output in result.outputs
            ),
            input_tokens=tokens(sum(measure(body.get(key)) for key in _COUNTED_KEYS)),
            instructions=asked.preamble or "",
            max_tokens=asked.max_tokens,
            stop_sequences=tuple(asked.stop_sequences),
            tools=tuple(Tool(tool.name, _schema(tool), tool.description) for tool in asked.tools),
            speaks_reasoning=False,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield an event a delta, one for all tool calls, and the end, which repeats the answer."""
        for text in answer.text:
            yield _delta(0, text)
        if answer.tool_calls:
            yield chunk(
                {
                    "is_finished": False,
                    "event_type": "tool-calls-generation",
                    "tool_calls": _calls(answer),
                }
            )
        yield chunk(
            {
                "is_finished": True,
                "event_type": "stream-end",
                "finish_reason": COHERE_REASONS[answer.stop],
                "response": self.whole(answer, model, body),
                METRICS: metrics(answer),
            }
        )

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer, with the history that it makes longer."""
        del model
        text = "".join(answer.text)
        history = [
            *(body.get("chat_history") or ()),
            {"role": "USER", "message": body["message"]},
            {"role": "CHATBOT", "message": text},
        ]
        whole: dict[str, Any] = {
            "response_id": f"{answer.key[:8]}/{UUID(hex=answer.key[:32])}",
            "text": text,
            "generation_id": str(UUID(hex=answer.key[32:64])),
            "chat_history": history,
            "finish_reason": COHERE_REASONS[answer.stop],
        }
        return {**whole, "tool_calls": _calls(answer)} if answer.tool_calls else whole

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [{"name": call.name, "parameters": orjson.loads(call.arguments)} for call in answer.tool_calls]


def _schema(tool: ToolDefinition) -> dict[str, Any]:
    """Return the JSON Schema of a tool's parameters, whose types are written as Python's: `List[str]`."""
    properties = {
        name: {"type": _PYTHON_TYPES.get(parameter.type.partition("[")[0].lower(), "string")}
        for name, parameter in tool.parameter_definitions.items()
    }
    return {"type": "object", "properties": properties}


@remember_words
def _delta(_: int, text: str) -> Event:
    return chunk({"is_finished": False, "event_type": "text-generation", "text": text}, delta=True)
