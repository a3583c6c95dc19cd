"""LangChain's chat models: OpenAI's, Anthropic's and both of AWS's."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, ClassVar, Final

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
from tests.clients.drivers import converse
from tests.clients.exchange import EMBEDDING_MODEL, PNG, SCHEMA, TOOL, TOOL_RESULT, Ask

if TYPE_CHECKING:
    from tests.clients.exchange import Answer, Failure

UNKEPT: Final = {"Connection": "close"}
"""These models cannot be closed, and share one pool with all of their kind, whatever loop those ran on."""

_THINKING = {"type": "enabled", "budget_tokens": 1024}
_PERSON = {"title": "person", "description": "A person.", **SCHEMA}


class LangChain(Conversation):
    """A chat model of LangChain's."""

    structured: ClassVar = "json_schema"
    """The `method` of `with_structured_output`."""

    def model(self, url: str, ask: Ask) -> Any:
        """Return the chat model."""
        raise NotImplementedError

    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the messages, as dictionaries: LangChain's block for images is the same for all."""
        content: list[dict[str, Any]] = [{"type": "text", "text": ask.text}]
        if ask.image:
            data = base64.b64encode(PNG).decode()
            content.append({"type": "image", "base64": data, "mime_type": "image/png"})
        return {"messages": [{"role": "user", "content": content}]}

    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Invoke or stream the model; returns the message."""
        model = self.model(url, ask)
        if ask.schema:
            structured = model.with_structured_output(_PERSON, method=self.structured, include_raw=True)
            given = structured.invoke(asked["messages"])
            answer.value = given["parsed"]
            return given["raw"]
        if ask.tool:
            model = model.bind_tools([{"type": "function", "function": dict(TOOL)}])
        if ask.stream:
            message: Any = None
            for chunk in model.stream(asked["messages"]):
                answer.add(chunk.text)
                message = chunk if message is None else message + chunk
        else:
            message = model.invoke(asked["messages"])
            answer.add(message.text)
        _take(answer, message)
        return message

    def with_results(self, asked: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the messages with this one and the results of its calls."""
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": TOOL_RESULT}
            for call in message.tool_calls
        ]
        return {"messages": [*asked["messages"], message, *results]}


class ChatOpenAI(LangChain):
    """`langchain_openai.ChatOpenAI`."""

    name = "langchain-openai"
    title = "LangChain, ChatOpenAI"
    packages = ("langchain-openai", "langchain-core")
    api = "/v1/chat/completions"
    lacks: ClassVar = {
        "reasoning": "it reads no reasoning from chat completions",
        "reasoning_streamed": "it reads no reasoning from chat completions",
        "count": NO_COUNT,
        "models": NO_MODELS,
    }
    errors: ClassVar = {
        "400": "OpenAIInvalidRequestError",
        "404": "OpenAIModelNotFoundError",
        "429": "OpenAIRateLimitError",
        "500": "OpenAIAPIError",
        "503": "OpenAIAPIError",
        "stream": "APIError",
    }

    def model(self, url: str, ask: Ask) -> Any:
        """Return the chat model."""
        import langchain_openai  # noqa: PLC0415 - it may not be installed

        return langchain_openai.ChatOpenAI(
            model=ask.model,
            base_url=f"{url}/v1",
            api_key=API_KEY,
            max_retries=ask.retries,
            stream_usage=True,
            default_headers=UNKEPT,
        )

    def embed(self, url: str, text: str) -> list[float]:
        """Embed a text."""
        import langchain_openai  # noqa: PLC0415 - as above

        embeddings = langchain_openai.OpenAIEmbeddings(
            model=EMBEDDING_MODEL,
            base_url=f"{url}/v1",
            api_key=API_KEY,
            max_retries=0,
            default_headers=UNKEPT,
            check_embedding_ctx_length=False,  # or it sends OpenAI's own tokens instead of the text
        )
        vector: list[float] = embeddings.embed_query(text)
        return vector


class ChatAnthropic(LangChain):
    """`langchain_anthropic.ChatAnthropic`."""

    name = "langchain-anthropic"
    title = "LangChain, ChatAnthropic"
    packages = ("langchain-anthropic", "langchain-core")
    api = "/v1/messages"
    lacks: ClassVar = {
        "embeddings": NO_EMBEDDINGS,
        "models": NO_MODELS,
    }
    errors: ClassVar = {
        "400": "AnthropicInvalidRequestError",
        "404": "AnthropicModelNotFoundError",
        "429": "AnthropicRateLimitError",
        "500": "AnthropicAPIError",
        "503": "AnthropicOverloadedError",
        "stream": "APIStatusError",
    }

    def model(self, url: str, ask: Ask) -> Any:
        """Return the chat model."""
        import langchain_anthropic  # noqa: PLC0415 - it may not be installed

        return langchain_anthropic.ChatAnthropic(
            model=ask.model,
            base_url=url,
            api_key=API_KEY,
            max_retries=ask.retries,
            max_tokens=4096,
            default_headers=UNKEPT,
            thinking=_THINKING if ask.reasoning else None,
        )

    def count(self, url: str, text: str) -> int:
        """Ask for the count of a prompt."""
        from langchain_core.messages import HumanMessage  # noqa: PLC0415 - it may not be installed

        message = HumanMessage(text)
        counted: int = self.model(url, Ask(text=text)).get_num_tokens_from_messages([message])
        return counted


class ChatBedrockConverse(LangChain):
    """`langchain_aws.ChatBedrockConverse`."""

    name = "langchain-aws-converse"
    title = "LangChain, ChatBedrockConverse"
    packages = ("langchain-aws", "langchain-core")
    api = "/model/{id}/converse"
    lacks: ClassVar = {"count": "it counts by itself", "models": NO_MODELS}
    errors = converse.AWS_ERRORS
    obeys_retry_after = False

    def model(self, url: str, ask: Ask) -> Any:
        """Return the chat model."""
        import langchain_aws  # noqa: PLC0415 - it may not be installed

        return langchain_aws.ChatBedrockConverse(
            model=ask.model,
            max_tokens=4096,
            additional_model_request_fields={"thinking": _THINKING} if ask.reasoning else None,
            **aws(url, ask.retries),
        )

    def embed(self, url: str, text: str) -> list[float]:
        """Embed a text."""
        import langchain_aws  # noqa: PLC0415 - as above

        embeddings = langchain_aws.BedrockEmbeddings(model_id=EMBEDDING_MODEL, **aws(url, 0))
        vector: list[float] = embeddings.embed_query(text)
        return vector

    def failure(self, error: Exception) -> Failure:
        """Return what botocore tells of an error."""
        return converse.failure(error)


class ChatBedrock(LangChain):
    """`langchain_aws.ChatBedrock`, which goes by InvokeModel."""

    name = "langchain-aws-invoke"
    title = "LangChain, ChatBedrock"
    packages = ("langchain-aws", "langchain-core")
    api = "/model/{id}/invoke"
    lacks: ClassVar = {
        "embeddings": "as with ChatBedrockConverse",
        "count": "it counts by itself",
        "models": NO_MODELS,
    }
    errors = converse.AWS_ERRORS
    obeys_retry_after = False
    structured: ClassVar = "function_calling"

    def model(self, url: str, ask: Ask) -> Any:
        """Return the chat model."""
        import langchain_aws  # noqa: PLC0415 - it may not be installed

        return langchain_aws.ChatBedrock(
            model=ask.model,
            max_tokens=4096,
            model_kwargs={"thinking": _THINKING} if ask.reasoning else {},
            **aws(url, ask.retries),
        )

    def failure(self, error: Exception) -> Failure:
        """Return what botocore tells of an error."""
        return converse.failure(error)


def aws(url: str, retries: int) -> dict[str, Any]:
    """Return the arguments of AWS's classes: keys, region, endpoint and how often they try again."""
    settings = converse.settings(url, retries)
    return {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "config": settings["config"],
    }


def _take(answer: Answer, message: Any) -> None:
    answer.calls += [{"name": call["name"], "arguments": call["args"]} for call in message.tool_calls]
    for block in message.content_blocks:
        if block["type"] == "reasoning":
            answer.reasoning += block.get("reasoning", "")
            answer.signed |= "signature" in str(block)
    metadata = message.response_metadata
    finish = [metadata.get(key) for key in ("finish_reason", "stop_reason", "stopReason")]
    answer.finish = next((reason for reason in finish if reason), "")
    answer.input_tokens = message.usage_metadata["input_tokens"]
    answer.output_tokens = message.usage_metadata["output_tokens"]
