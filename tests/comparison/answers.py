"""What a caller reads from the body of an answer, by the rules of the API that it came by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

DONE = "[DONE]"
_SHOWN = 32


@dataclass(slots=True)
class Answer:
    """What the body says. `ends` are marks that this API defines as a good end, `errors` are names.

    `strange` are pieces that are not this API's.
    """

    text: str = ""
    arguments: str = ""
    ends: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)


Reader: TypeAlias = Callable[[bytes], Answer]


def error_name(body: bytes) -> str:
    """Return how an answer that is an error calls itself."""
    document = _json(body)
    return _named(document.get("error", document)) if isinstance(document, dict) else ""


def read_native_stream(body: bytes) -> Answer:
    """Read this gateway's NDJSON: `done` is its good end."""
    answer = Answer()
    for line in body.split(b"\n"):
        if line:
            record = _json(line)
            _READ_RECORD.get(record["type"] if isinstance(record, dict) else None, _strange)(answer, record)
    return answer


def read_native(body: bytes) -> Answer:
    """Read this gateway's answer in one piece."""
    answer, document = Answer(), _json(body)
    if not isinstance(document, dict) or "finish_reason" not in document:
        _strange(answer, document)
        return answer
    answer.text = document["message"]["content"]
    answer.ends.append(document["finish_reason"])
    return answer


def read_openai_stream(body: bytes) -> Answer:
    """Read OpenAI's chat chunks: a finish reason and `[DONE]` are its good ends."""
    answer = Answer()
    for _, data in _events(body):
        if data == DONE:
            answer.ends.append(DONE)
            continue
        chunk = _json(data)
        if isinstance(chunk, dict) and "error" in chunk:
            answer.errors.append(_named(chunk["error"]))
        elif isinstance(chunk, dict) and "choices" in chunk:
            _openai_choices(answer, chunk["choices"], "delta")
        else:
            _strange(answer, data)
    return answer


def read_openai(body: bytes) -> Answer:
    """Read OpenAI's chat completion in one piece."""
    answer, document = Answer(), _json(body)
    if isinstance(document, dict) and "choices" in document:
        _openai_choices(answer, document["choices"], "message")
    else:
        _strange(answer, document)
    return answer


def read_anthropic_stream(body: bytes) -> Answer:
    """Read Anthropic's events: `message_stop` is its good end."""
    answer = Answer()
    for _, data in _events(body):
        event = _json(data)
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "error":
            answer.errors.append(_named(event["error"]))
        elif kind == "content_block_delta":
            answer.text += event["delta"].get("text", "")
            answer.arguments += event["delta"].get("partial_json", "")
        elif kind == "message_stop":
            answer.ends.append(kind)
        elif kind not in _SILENT_EVENTS:
            _strange(answer, data)
    return answer


_SILENT_EVENTS = {"message_start", "content_block_start", "content_block_stop", "message_delta", "ping"}


def _openai_choices(answer: Answer, choices: list[dict[str, Any]], key: str) -> None:
    for choice in choices:
        said = choice.get(key) or {}
        answer.text += said.get("content") or ""
        for call in said.get("tool_calls") or ():
            answer.arguments += call["function"].get("arguments") or ""
        if choice.get("finish_reason"):
            answer.ends.append(choice["finish_reason"])


def _strange(answer: Answer, piece: Any) -> None:
    answer.strange.append(str(piece)[:200])


def _text(answer: Answer, record: dict[str, Any]) -> None:
    answer.text += record["text"]


def _arguments(answer: Answer, record: dict[str, Any]) -> None:
    answer.arguments += record["arguments"]


def _done(answer: Answer, record: dict[str, Any]) -> None:
    answer.ends.append(record["finish_reason"])


def _error(answer: Answer, record: dict[str, Any]) -> None:
    answer.errors.append(_named(record["error"]))


def _nothing(answer: Answer, record: dict[str, Any]) -> None:
    del answer, record


_READ_RECORD: dict[Any, Callable[[Answer, Any], None]] = {
    "start": _nothing,
    "ping": _nothing,
    "tool_call": _nothing,
    "text_delta": _text,
    "tool_call_delta": _arguments,
    "done": _done,
    "error": _error,
}


def _named(error: Any) -> str:
    """Return type and code of an error object; the beginning of its message, where it has neither."""
    if not isinstance(error, dict):
        return str(error)[:_SHOWN]
    names = [str(error[key]) for key in ("type", "code") if error.get(key) not in {None, "", "None", "error"}]
    return " ".join(dict.fromkeys(names)) or f"“{str(error.get('message', ''))[:_SHOWN]}…”"


def _events(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and data of each server-sent event that has data; comments are no events."""
    for block in body.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n\n"):
        fields = [line.partition(":") for line in block.split("\n")]
        data = "\n".join(value.removeprefix(" ") for name, _, value in fields if name == "data")
        if data:
            yield next((value.strip() for name, _, value in fields if name == "event"), ""), data


def _json(text: bytes | str) -> Any:
    """Return the JSON in `text`, and `text` itself where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
