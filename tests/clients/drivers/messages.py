"""Anthropic's Messages: the `anthropic` package, with and without Bedrock, and boto3's InvokeModel."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from tests.clients.client import (
    ACCESS_KEY,
    API_KEY,
    NO_COUNT,
    NO_EMBEDDINGS,
    NO_MODELS,
    REGION,
    SECRET_KEY,
    Conversation,
)
from tests.clients.drivers.converse import AWS_ERRORS, Boto3Converse, boto3_client, failure
from tests.clients.exchange import PNG, SCHEMA, TOOL, TOOL_RESULT

if TYPE_CHECKING:
    from tests.clients.exchange import Answer, Ask, Failure


class Messages(Conversation):
    """A client of Anthropic's Messages API, whatever carries it."""

    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the body, without the model."""
        content: list[dict[str, Any]] = [{"type": "text", "text": ask.text}]
        if ask.image:
            data = base64.b64encode(PNG).decode()
            content.append(
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
            )
        asked: dict[str, Any] = {"max_tokens": 4096, "messages": [{"role": "user", "content": content}]}
        if ask.tool:
            schema = TOOL["parameters"]
            tool = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": schema}
            asked["tools"] = [tool]
        if ask.schema:
            asked["output_config"] = {"format": {"type": "json_schema", "schema": dict(SCHEMA)}}
        if ask.reasoning:
            asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return asked

    def with_results(self, asked: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the body with the message and the results of its calls."""
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": TOOL_RESULT}
            for block in message["content"]
            if block["type"] == "tool_use"
        ]
        assistant = {"role": "assistant", "content": message["content"]}
        return {**asked, "messages": [*asked["messages"], assistant, {"role": "user", "content": results}]}


class Anthropic(Messages):
    """`anthropic.Anthropic` with a base URL."""

    name = "anthropic"
    title = "anthropic (Python), Anthropic"
    packages = ("anthropic",)
    api = "/v1/messages"
    lacks: ClassVar = {"embeddings": NO_EMBEDDINGS}
    errors: ClassVar = {
        "400": "BadRequestError",
        "404": "NotFoundError",
        "429": "RateLimitError",
        "500": "InternalServerError",
        "503": "OverloadedError",
        "stream": "APIStatusError",
    }

    def client(self, url: str, retries: int) -> Any:
        """Return the SDK's client."""
        import anthropic  # noqa: PLC0415 - it may not be installed

        return anthropic.Anthropic(base_url=url, api_key=API_KEY, max_retries=retries)

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Send the body by the SDK; returns the message."""
        with self.client(url, ask.retries) as client:
            if ask.stream:
                with client.messages.stream(model=ask.model, **asked) as stream:
                    for text in stream.text_stream:
                        answer.add(text)
                    message = stream.get_final_message()
            else:
                message = client.messages.create(model=ask.model, **asked)
        whole: dict[str, Any] = message.model_dump(mode="json", exclude_none=True)
        take(answer, whole, schema=ask.schema, text=not ask.stream)
        return whole

    def count(self, url: str, text: str) -> int:
        """Ask for the count of a prompt."""
        with self.client(url, 0) as client:
            asked = {"role": "user", "content": text}
            counted: int = client.messages.count_tokens(model=MODEL, messages=[asked]).input_tokens
        return counted

    def models(self, url: str) -> list[str]:
        """Return the ids of the list."""
        with self.client(url, 0) as client:
            found = list(client.models.list(limit=7))
            assert {(model.type, bool(model.display_name)) for model in found} == {("model", True)}
            assert client.models.retrieve(found[-1].id) == found[-1]
            return [model.id for model in found]


class AnthropicBedrock(Anthropic):
    """`anthropic.AnthropicBedrock`, which signs and reads event streams."""

    name = "anthropic-bedrock"
    title = "anthropic (Python), AnthropicBedrock"
    api = "/model/{id}/invoke"
    lacks: ClassVar = {"embeddings": NO_EMBEDDINGS, "count": NO_COUNT, "models": NO_MODELS}
    errors: ClassVar = {**Anthropic.errors, "503": "ServiceUnavailableError"}

    def client(self, url: str, retries: int) -> Any:
        """Return the SDK's client."""
        import anthropic  # noqa: PLC0415 - it may not be installed

        return anthropic.AnthropicBedrock(
            base_url=url,
            aws_access_key=ACCESS_KEY,
            aws_secret_key=SECRET_KEY,
            aws_region=REGION,
            max_retries=retries,
        )


class Boto3Invoke(Messages):
    """boto3's `invoke_model` and `invoke_model_with_response_stream`."""

    name = "boto3-invoke"
    title = "boto3, InvokeModel"
    packages = ("boto3",)
    api = "/model/{id}/invoke"
    lacks: ClassVar = {"models": NO_MODELS}
    errors = AWS_ERRORS
    obeys_retry_after = False

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Call the operation; returns the message."""
        runtime = boto3_client(url, ask.retries)
        body = json.dumps({"anthropic_version": "bedrock-2023-05-31", **asked})
        if not ask.stream:
            message = json.load(runtime.invoke_model(modelId=ask.model, body=body)["body"])
            take(answer, message, schema=ask.schema)
            return message
        response = runtime.invoke_model_with_response_stream(modelId=ask.model, body=body)
        streamed = Streamed(answer)
        with closing(response["body"]) as stream:
            for event in stream:
                streamed.take(json.loads(event["chunk"]["bytes"]))
        take(answer, streamed.message, text=False)
        return streamed.message

    def embed(self, url: str, text: str) -> list[float]:
        """Return what Titan makes of a text."""
        return Boto3Converse().embed(url, text)

    def count(self, url: str, text: str) -> int:
        """Ask CountTokens, with the body of an invocation."""
        asked = {"max_tokens": 1, "messages": [{"role": "user", "content": text}]}
        body = json.dumps({"anthropic_version": "bedrock-2023-05-31", **asked})
        response = boto3_client(url, 0).count_tokens(
            modelId=MODEL.removeprefix("us."), input={"invokeModel": {"body": body}}
        )
        counted: int = response["inputTokens"]
        return counted

    def failure(self, error: Exception) -> Failure:
        """Return what botocore tells of an error."""
        return failure(error)


MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def take(answer: Answer, message: dict[str, Any], *, schema: bool = False, text: bool = True) -> None:
    """Put what a message holds into `answer`, with its text unless a stream has done so."""
    for block in message["content"]:
        match block:
            case {"type": "text", "text": words} if text:
                answer.add(words)
            case {"type": "tool_use"}:
                answer.calls.append({"name": block["name"], "arguments": block["input"]})
            case {"type": "thinking"}:
                answer.reasoning += block["thinking"]
                answer.signed = bool(block["signature"])
    answer.finish = message["stop_reason"]
    usage = message["usage"]
    answer.input_tokens, answer.output_tokens = usage["input_tokens"], usage["output_tokens"]
    answer.value = json.loads(answer.text) if schema else None


class Streamed:
    """The chunks of a stream, their text put into `answer` as it comes; `message` is what they make."""

    def __init__(self, answer: Answer) -> None:
        self.message: dict[str, Any] = {}
        self._answer = answer
        self._json = ""

    def take(self, event: dict[str, Any]) -> None:
        """Take the next event of the model."""
        match event:
            case {"type": "message_start", "message": message}:
                self.message = message
            case {"type": "content_block_start", "content_block": block}:
                self.message["content"].append(block)
                self._json = ""
            case {"type": "content_block_delta", "delta": delta}:
                self._take_delta(self.message["content"][-1], delta)
            case {"type": "content_block_stop"} if self._json:
                self.message["content"][-1]["input"] = json.loads(self._json)
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                self.message |= delta
                self.message["usage"] |= usage

    def _take_delta(self, block: dict[str, Any], delta: dict[str, Any]) -> None:
        match delta:
            case {"type": "text_delta", "text": text}:
                block["text"] += text
                self._answer.add(text)
            case {"type": "thinking_delta", "thinking": text}:
                block["thinking"] += text
            case {"type": "signature_delta", "signature": signature}:
                block["signature"] = signature
            case {"type": "input_json_delta", "partial_json": piece}:
                self._json += piece
