"""The `openai` package: chat completions and responses."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, ClassVar

from tests.clients.client import API_KEY, NO_COUNT, NO_EMBEDDINGS, Conversation
from tests.clients.exchange import EMBEDDING_MODEL, PNG, SCHEMA, TOOL, TOOL_RESULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.clients.exchange import Answer, Ask

IMAGE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
OPENAI_ERRORS: Mapping[str, str] = {
    "400": "BadRequestError",
    "404": "NotFoundError",
    "429": "RateLimitError",
    "500": "InternalServerError",
    "503": "InternalServerError",
    "stream": "APIError",
}


class OpenAI(Conversation):
    """`openai.OpenAI` with a base URL, in either of its APIs."""

    packages = ("openai",)
    errors = OPENAI_ERRORS

    def client(self, url: str, retries: int) -> Any:
        """Return the SDK's client."""
        import openai  # noqa: PLC0415 - it may not be installed

        return openai.OpenAI(base_url=f"{url}/v1", api_key=API_KEY, max_retries=retries)


class OpenAIChat(OpenAI):
    """`chat.completions`."""

    name = "openai-chat"
    title = "openai (Python), chat completions"
    api = "/v1/chat/completions"
    lacks: ClassVar = {"count": NO_COUNT}

    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the arguments of `create`."""
        content: list[dict[str, Any]] = [{"type": "text", "text": ask.text}]
        if ask.image:
            content.append({"type": "image_url", "image_url": {"url": IMAGE}})
        asked: dict[str, Any] = {"model": ask.model, "messages": [{"role": "user", "content": content}]}
        if ask.tool:
            asked["tools"] = [{"type": "function", "function": dict(TOOL)}]
        if ask.schema:
            schema = {"name": "person", "strict": True, "schema": dict(SCHEMA)}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        if ask.reasoning:
            asked["reasoning_effort"] = "low"
        return asked

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Create a completion; returns the message."""
        with self.client(url, ask.retries) as client:
            if ask.stream:
                return self._stream(client, asked, answer)
            completion = client.chat.completions.create(**asked).model_dump(mode="json", exclude_none=True)
        (choice,) = completion["choices"]
        message: dict[str, Any] = choice["message"]
        answer.add(message.get("content", ""))
        _take_thoughts(answer, message)
        answer.finish = choice["finish_reason"]
        _take_calls(answer, message)
        _take_usage(answer, completion["usage"])
        answer.value = json.loads(answer.text) if ask.schema else None
        return message

    def _stream(self, client: Any, asked: dict[str, Any], answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
        options = {"include_usage": True}
        for chunk in client.chat.completions.create(**asked, stream=True, stream_options=options):
            for choice in chunk.choices:
                delta = choice.delta.model_dump(mode="json", exclude_none=True)
                answer.add(delta.get("content", ""))
                _take_thoughts(answer, delta)
                answer.finish = choice.finish_reason or answer.finish
                message["content"] += delta.get("content", "")
                for piece in delta.get("tool_calls", []):
                    _add_call(message["tool_calls"], piece)
            if chunk.usage:
                _take_usage(answer, chunk.usage.model_dump())
        _take_calls(answer, message)
        return message if message["tool_calls"] else {"role": "assistant", "content": message["content"]}

    def with_results(self, asked: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the arguments with the message and the results of its calls."""
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": TOOL_RESULT}
            for call in message["tool_calls"]
        ]
        return {**asked, "messages": [*asked["messages"], message, *results]}

    def embed(self, url: str, text: str) -> list[float]:
        """Create an embedding."""
        with self.client(url, 0) as client:
            vector: list[float] = (
                client.embeddings.create(model=EMBEDDING_MODEL, input=text).data[0].embedding
            )
        return vector

    def models(self, url: str) -> list[str]:
        """Return the ids of the list."""
        with self.client(url, 0) as client:
            return [model.id for model in client.models.list()]


class OpenAIResponses(OpenAI):
    """`responses`, without a state on the server."""

    name = "openai-responses"
    title = "openai (Python), responses"
    api = "/v1/responses"
    lacks: ClassVar = {"count": NO_COUNT, "embeddings": NO_EMBEDDINGS, "models": "as with chat completions"}

    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the arguments of `create`."""
        content: list[dict[str, Any]] = [{"type": "input_text", "text": ask.text}]
        if ask.image:
            content.append({"type": "input_image", "image_url": IMAGE, "detail": "auto"})
        asked: dict[str, Any] = {
            "model": ask.model,
            "input": [{"role": "user", "content": content}],
            "store": False,
        }
        if ask.tool:
            asked["tools"] = [{"type": "function", "strict": True, **TOOL}]
        if ask.schema:
            form = {"type": "json_schema", "name": "person", "strict": True, "schema": dict(SCHEMA)}
            asked["text"] = {"format": form}
        if ask.reasoning:
            asked |= {
                "reasoning": {"effort": "low", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
            }
        return asked

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Create a response; returns its output."""
        with self.client(url, ask.retries) as client:
            if not ask.stream:
                response = client.responses.create(**asked)
                answer.add(response.output_text)
            else:
                with client.responses.stream(**asked) as stream:
                    for event in stream:
                        if event.type == "response.output_text.delta":
                            answer.add(event.delta)
                    response = stream.get_final_response()
        answer.finish = response.status
        whole = response.model_dump(mode="json", exclude_none=True, warnings=False)
        for item in whole["output"]:
            _take_item(answer, item)
        _take_usage(answer, whole["usage"], "input_tokens", "output_tokens")
        answer.value = json.loads(answer.text) if ask.schema else None
        return response.output

    def with_results(self, asked: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the arguments with the output and the results of its calls."""
        results = [
            {"type": "function_call_output", "call_id": item.call_id, "output": TOOL_RESULT}
            for item in message
            if item.type == "function_call"
        ]
        return {**asked, "input": [*asked["input"], *message, *results]}


def _take_item(answer: Answer, item: dict[str, Any]) -> None:
    match item:
        case {"type": "function_call"}:
            answer.calls.append({"name": item["name"], "arguments": json.loads(item["arguments"])})
        case {"type": "reasoning"}:
            pieces = [*item.get("summary", []), *item.get("content", [])]
            answer.reasoning += "".join(piece["text"] for piece in pieces)
            answer.signed = bool(item.get("encrypted_content"))


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    if piece["index"] == len(calls):
        calls.append({"id": piece["id"], "type": "function", "function": {"name": "", "arguments": ""}})
    whole = calls[piece["index"]]["function"]
    for key, value in piece["function"].items():
        whole[key] += value


def _take_thoughts(answer: Answer, said: Mapping[str, Any]) -> None:
    answer.reasoning += said.get("reasoning_content", "")
    answer.signed |= any(block.get("signature") for block in said.get("thinking_blocks", []))


def _take_calls(answer: Answer, message: Mapping[str, Any]) -> None:
    for call in message.get("tool_calls", []):
        function = call["function"]
        answer.calls.append({"name": function["name"], "arguments": json.loads(function["arguments"])})


def _take_usage(
    answer: Answer,
    usage: Mapping[str, Any],
    asked: str = "prompt_tokens",
    given: str = "completion_tokens",
) -> None:
    answer.input_tokens, answer.output_tokens = usage[asked], usage[given]
