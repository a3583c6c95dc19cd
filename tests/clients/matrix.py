"""Which clients there are, what each is tried with, and what of that it does not have."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.clients.drivers.converse import AiobotocoreConverse, Boto3Converse
from tests.clients.drivers.javascript import (
    AIAmazonBedrock,
    AIOpenAICompatible,
    OpenAINodeChat,
    OpenAINodeResponses,
)
from tests.clients.drivers.langchain import ChatAnthropic, ChatBedrock, ChatBedrockConverse, ChatOpenAI
from tests.clients.drivers.messages import Anthropic, AnthropicBedrock, Boto3Invoke
from tests.clients.drivers.openai import OpenAIChat, OpenAIResponses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.clients.client import Client

CLIENTS: Final[tuple[Client, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAINodeChat(),
    OpenAINodeResponses(),
    AIOpenAICompatible(),
    ChatOpenAI(),
    Anthropic(),
    ChatAnthropic(),
    AnthropicBedrock(),
    Boto3Invoke(),
    ChatBedrock(),
    Boto3Converse(),
    AiobotocoreConverse(),
    ChatBedrockConverse(),
    AIAmazonBedrock(),
)

FEATURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unary": "whole",
        "stream": "stream",
        "usage": "usage",
        "tools": "tools",
        "tools_streamed": "tools, streamed",
        "image": "image",
        "reasoning": "reasoning",
        "reasoning_streamed": "reasoning, streamed",
        "structured": "structured",
        "invalid": "400",
        "unknown": "404",
        "throttled": "429",
        "failed": "500",
        "unavailable": "503",
        "fault": "error in a stream",
        "cut": "cut-off stream",
        "retry": "retry of a 429",
        "embeddings": "embeddings",
        "count": "count",
        "models": "models",
    }
)
"""What the tests are called, `test_` before it, and what the table calls it."""


CELLS: Final = tuple(
    (client, feature) for client in CLIENTS for feature in FEATURES if feature not in client.lacks
)
"""What is tested."""
