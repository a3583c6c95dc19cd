"""LangChain's own suite for chat models, through the gateway, with the emulator as the model.

What of it is not run stands in each class's `not_run`, with its reason.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.clients import packages
from tests.clients.client import API_KEY
from tests.clients.drivers import langchain
from tests.clients.drivers.converse import boto3_client
from tests.clients.exchange import ALIAS, PNG, Ask
from tests.harness import CLAUDE

if not packages.required():
    pytest.importorskip("langchain_tests", reason="not installed: langchain-tests; see requirements-dev.lock")

from langchain_tests.integration_tests import ChatModelIntegrationTests, chat_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.clients.world import World

pytestmark = [
    # What these packages say about themselves when they are used as the suite uses them.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
    pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning"),
    pytest.mark.filterwarnings("ignore:Bedrock Converse may require a filename:UserWarning"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
]

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
TIMES = {"test_stream_time": "it measures time, against cassettes that are recorded from a live API"}
OVERRIDES = [f"test_{call}_with_model_override" for call in ("invoke", "ainvoke", "stream", "astream")]
AUDIO = {"test_audio_inputs": "no model that Converse or InvokeModel serve takes audio in a message"}


class Standard(ChatModelIntegrationTests):  # type: ignore[misc]  # read by nobody: pyproject.toml
    """The suite with what the gateway has: tools, structure, images, documents, usage."""

    __test__ = False
    not_run: ClassVar[Mapping[str, str]] = {**TIMES, **AUDIO}
    supports_image_inputs = True
    supports_pdf_inputs = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    supports_json_mode = False
    model_override_value = ALIAS
    world: World

    @pytest.fixture(autouse=True)
    def _through_the_gateway(
        self, world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ask the gateway; the files that the suite takes from the web come from here."""
        self.world = world
        reason = self.not_run.get(request.function.__name__)
        if reason is not None:
            pytest.skip(reason)
        monkeypatch.setattr(chat_models.httpx, "get", _file)


def _file(url: str, **_: Any) -> Any:
    return SimpleNamespace(content=PDF if url.endswith(".pdf") else PNG)


class TestChatOpenAI(Standard):
    """`langchain_openai.ChatOpenAI` by chat completions."""

    __test__ = True
    chat_model_class = property(lambda _: _class(langchain.ChatOpenAI()))
    not_run: ClassVar = {
        **TIMES,
        **AUDIO,
        "test_anthropic_inputs": "it takes OpenAI's blocks",
    }
    supports_json_mode = True

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """What it is set up with."""
        return {
            "model": CLAUDE,
            "base_url": f"{self.world.url}/v1",
            "api_key": API_KEY,
            "stream_usage": True,
            "default_headers": langchain.UNKEPT,
        }


class TestChatAnthropic(Standard):
    """`langchain_anthropic.ChatAnthropic` by messages."""

    __test__ = True
    not_run: ClassVar = {
        **TIMES,
        **AUDIO,
        "test_json_mode": "it has no JSON mode",
    }
    chat_model_class = property(lambda _: _class(langchain.ChatAnthropic()))
    supports_anthropic_inputs = True

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """What it is set up with."""
        return {
            "model": CLAUDE,
            "base_url": self.world.url,
            "api_key": API_KEY,
            "default_headers": langchain.UNKEPT,
        }


class TestChatBedrockConverse(Standard):
    """`langchain_aws.ChatBedrockConverse` by Converse."""

    __test__ = True
    not_run: ClassVar = {
        **TIMES,
        **AUDIO,
        **dict.fromkeys(OVERRIDES, "a call cannot name another model: it takes no `model`"),
        "test_json_mode": "it has no JSON mode",
    }
    supports_anthropic_inputs = True
    chat_model_class = property(lambda _: _class(langchain.ChatBedrockConverse()))

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """What it is set up with."""
        services = {"client": "bedrock-runtime", "bedrock_client": "bedrock"}
        clients = {name: boto3_client(self.world.url, 0, service) for name, service in services.items()}
        return {"model": CLAUDE, **langchain.aws(self.world.url, 0), **clients}


def _class(driver: langchain.LangChain) -> type:
    return type(driver.model("http://127.0.0.1:1", Ask(text="")))
