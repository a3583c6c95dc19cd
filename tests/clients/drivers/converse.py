"""boto3 and aiobotocore by Converse."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from tests.clients.client import ACCESS_KEY, NO_MODELS, REGION, SECRET_KEY, Conversation
from tests.clients.exchange import EMBEDDING_MODEL, PNG, SCHEMA, TOOL, TOOL_RESULT, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.clients.exchange import Answer, Ask

AWS_ERRORS: Mapping[str, str] = {
    "400": "ValidationException",
    "404": "ResourceNotFoundException",
    "429": "ThrottlingException",
    "500": "InternalServerException",
    "503": "ServiceUnavailableException",
    "stream": "EventStreamError",
}


def settings(url: str, retries: int) -> dict[str, Any]:
    """Return the arguments of an AWS client of the gateway: those of any, and an endpoint."""
    from botocore.config import Config  # noqa: PLC0415 - its package may not be installed

    return {
        "service_name": "bedrock-runtime",
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "config": Config(retries={"total_max_attempts": 1 + retries, "mode": "standard"}),
    }


def failure(error: Exception) -> Failure:
    """Return what botocore tells of an error."""
    response: dict[str, Any] = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return Failure(kind=type(error).__name__, status=status, message=str(error))


class Boto3Converse(Conversation):
    """boto3's `converse` and `converse_stream`."""

    name = "boto3-converse"
    title = "boto3, Converse"
    packages = ("boto3",)
    api = "/model/{id}/converse"
    lacks: ClassVar = {"models": NO_MODELS}
    errors = AWS_ERRORS
    obeys_retry_after = False

    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the arguments of either operation."""
        content: list[dict[str, Any]] = [{"text": ask.text}]
        if ask.image:
            content.append({"image": {"format": "png", "source": {"bytes": PNG}}})
        asked: dict[str, Any] = {
            "modelId": ask.model,
            "messages": [{"role": "user", "content": content}],
            "inferenceConfig": {"maxTokens": 4096},
        }
        if ask.tool:
            schema = {"json": TOOL["parameters"]}
            tool = {"name": TOOL["name"], "description": TOOL["description"], "inputSchema": schema}
            asked["toolConfig"] = {"tools": [{"toolSpec": tool}]}
        if ask.schema:
            structure = {"jsonSchema": {"name": "person", "schema": json.dumps(dict(SCHEMA))}}
            asked["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
        if ask.reasoning:
            thinking = {"type": "enabled", "budget_tokens": 1024}
            asked["additionalModelRequestFields"] = {"thinking": thinking}
        return asked

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Call the operation; returns the message."""
        runtime = boto3_client(url, ask.retries)
        if ask.stream:
            streamed = Streamed(answer)
            with closing(runtime.converse_stream(**asked)["stream"]) as stream:
                for event in stream:
                    streamed.take(event)
            return streamed.message()
        return take(answer, runtime.converse(**asked), schema=ask.schema)

    def with_results(self, asked: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the arguments with the message and the results of its calls."""
        results = [
            {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": TOOL_RESULT}]}}
            for block in message["content"]
            if "toolUse" in block
        ]
        return {**asked, "messages": [*asked["messages"], message, {"role": "user", "content": results}]}

    def embed(self, url: str, text: str) -> list[float]:
        """Return what Titan makes of a text, by InvokeModel: Converse has no embeddings."""
        body = json.dumps({"inputText": text, "dimensions": 256})
        response = boto3_client(url, 0).invoke_model(modelId=EMBEDDING_MODEL, body=body)
        vector: list[float] = json.load(response["body"])["embedding"]
        return vector

    def count(self, url: str, text: str) -> int:
        """Ask CountTokens."""
        asked = {"converse": {"messages": [{"role": "user", "content": [{"text": text}]}]}}
        counted: int = boto3_client(url, 0).count_tokens(modelId=COUNTED_MODEL, input=asked)["inputTokens"]
        return counted

    def failure(self, error: Exception) -> Failure:
        """Return what botocore tells of an error."""
        return failure(error)


class AiobotocoreConverse(Boto3Converse):
    """The same operations of aiobotocore."""

    name = "aiobotocore-converse"
    title = "aiobotocore, Converse"
    packages = ("aiobotocore",)

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Call the operation on a loop of its own; returns the message."""
        return asyncio.run(self._send(url, ask, asked, answer))

    async def _send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        async with _aiobotocore(url, ask.retries) as runtime:
            if ask.stream:
                streamed = Streamed(answer)
                with closing((await runtime.converse_stream(**asked))["stream"]) as stream:
                    async for event in stream:
                        streamed.take(event)
                return streamed.message()
            return take(answer, await runtime.converse(**asked), schema=ask.schema)

    def embed(self, url: str, text: str) -> list[float]:
        """Return what Titan makes of a text."""

        async def embed() -> list[float]:
            body = json.dumps({"inputText": text, "dimensions": 256})
            async with _aiobotocore(url, 0) as runtime:
                response = await runtime.invoke_model(modelId=EMBEDDING_MODEL, body=body)
                vector: list[float] = json.loads(await response["body"].read())["embedding"]
                return vector

        return asyncio.run(embed())

    def count(self, url: str, text: str) -> int:
        """Ask CountTokens."""

        async def count() -> int:
            asked = {"converse": {"messages": [{"role": "user", "content": [{"text": text}]}]}}
            async with _aiobotocore(url, 0) as runtime:
                counted: int = (await runtime.count_tokens(modelId=COUNTED_MODEL, input=asked))["inputTokens"]
                return counted

        return asyncio.run(count())


COUNTED_MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
"""CountTokens takes no inference profile."""


@cache
def boto3_client(url: str, retries: int, service: str = "bedrock-runtime") -> Any:
    """Return boto3's client, one for all that is asked with it: making it takes longer than asking."""
    import boto3  # noqa: PLC0415 - it may not be installed

    return boto3.client(**{**settings(url, retries), "service_name": service})


def _aiobotocore(url: str, retries: int) -> Any:
    from aiobotocore.session import get_session  # noqa: PLC0415 - as above

    return get_session().create_client(**settings(url, retries))


def take(answer: Answer, response: dict[str, Any], *, schema: bool) -> dict[str, Any]:
    """Put what a response holds into `answer` and return its message."""
    message: dict[str, Any] = response["output"]["message"]
    for block in message["content"]:
        _take_block(answer, block)
    answer.finish = response["stopReason"]
    _take_usage(answer, response["usage"])
    answer.value = json.loads(answer.text) if schema else None
    return message


class Streamed:
    """A stream's events, put into `answer` as they come, and the message that they make."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._blocks: dict[int, dict[str, Any]] = {}

    def take(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        match event:
            case {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": call}}}:
                self._blocks[index] = {"toolUse": {**call, "input": ""}}
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}:
                self._take_delta(self._blocks.setdefault(index, {}), delta)
            case {"messageStop": {"stopReason": reason}}:
                self._answer.finish = reason
            case {"metadata": {"usage": usage}}:
                _take_usage(self._answer, usage)

    def message(self) -> dict[str, Any]:
        """Return the message; its tool calls are in the answer from now on."""
        for block in self._blocks.values():
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
                _take_block(self._answer, block)
        return {"role": "assistant", "content": [self._blocks[index] for index in sorted(self._blocks)]}

    def _take_delta(self, block: dict[str, Any], delta: dict[str, Any]) -> None:
        match delta:
            case {"text": text}:
                block["text"] = block.get("text", "") + text
                self._answer.add(text)
            case {"toolUse": {"input": piece}}:
                block["toolUse"]["input"] += piece
            case {"reasoningContent": piece}:
                thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
                thought["reasoningText"]["text"] += piece.get("text", "")
                thought["reasoningText"] |= {key: piece[key] for key in piece if key == "signature"}
                self._answer.reasoning += piece.get("text", "")
                self._answer.signed |= "signature" in piece


def _take_block(answer: Answer, block: dict[str, Any]) -> None:
    match block:
        case {"text": text}:
            answer.add(text)
        case {"toolUse": call}:
            answer.calls.append({"name": call["name"], "arguments": call["input"]})
        case {"reasoningContent": {"reasoningText": thought}}:
            answer.reasoning += thought["text"]
            answer.signed = bool(thought.get("signature"))


def _take_usage(answer: Answer, usage: dict[str, int]) -> None:
    answer.input_tokens, answer.output_tokens = usage["inputTokens"], usage["outputTokens"]
