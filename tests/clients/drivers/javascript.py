"""The JavaScript clients: `node/main.mjs` asks them, one process for all of a run."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from tests.clients import packages
from tests.clients.client import NO_COUNT, NO_MODELS, Client
from tests.clients.drivers.openai import IMAGE, OPENAI_ERRORS, OpenAIResponses
from tests.clients.exchange import EMBEDDING_MODEL, SCHEMA, TOOL, TOOL_RESULT, Failure

if TYPE_CHECKING:
    from tests.clients.exchange import Answer, Ask

_PATIENCE_S = 60.0
"""Only so that a defect fails a test instead of hanging it."""


class Process:
    """The process that runs the JavaScript clients, started when it is first asked."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._process: subprocess.Popen[str] | None = None

    def ask(self, client: str, action: str, url: str, ask: dict[str, Any]) -> Any:
        """Return what the client answered.

        Raises:
            AssertionError: the driver has a defect, or says nothing any more.
        """
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"client": client, "action": action, "url": url, "ask": ask}) + "\n")
        process.stdin.flush()
        watch = threading.Timer(_PATIENCE_S, process.kill)
        watch.start()
        told = process.stdout.readline()
        watch.cancel()
        watch.join()
        assert told, "the driver has ended, or was ended because it said nothing"
        answered: dict[str, Any] = json.loads(told)
        assert "failed" not in answered, answered["failed"]
        return answered["answer"]

    def close(self) -> None:
        """End the process. The end of its input would wait for every copy of that pipe in this process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        program = packages.node()
        assert program is not None
        return subprocess.Popen(  # noqa: S603 - our own script
            [program, "main.mjs"],
            cwd=packages.FOLDER,
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


PROCESS = Process()


class JavaScript(Client):
    """A client that is a module beside `main.mjs`."""

    npm = True

    def talk(self, url: str, ask: Ask, answer: Answer) -> None:
        """Let the process do it."""
        wanted = {
            "text": ask.text,
            "model": ask.model,
            "stream": ask.stream,
            "image": IMAGE if ask.image else None,
            "tool": dict(TOOL) if ask.tool else None,
            "tool_result": TOOL_RESULT,
            "schema": dict(SCHEMA) if ask.schema else None,
            "reasoning": ask.reasoning,
            "retries": ask.retries,
        }
        told = PROCESS.ask(self.name, "ask", url, wanted)
        PROCESS.waits = told.pop("waits")
        error = told.pop("error")
        for name, value in told.items():
            setattr(answer, name, value)
        answer.error = None if error is None else Failure(**error)

    def embed(self, url: str, text: str) -> list[float]:
        """Return the embedding of a text."""
        vector: list[float] = PROCESS.ask(self.name, "embed", url, {"model": EMBEDDING_MODEL, "text": text})
        return vector

    def models(self, url: str) -> list[str]:
        """Return the ids of the models that there are."""
        ids: list[str] = PROCESS.ask(self.name, "models", url, {})
        return ids


class OpenAINodeChat(JavaScript):
    """`openai`: chat completions."""

    name = "openai-node-chat"
    title = "openai (Node.js), chat completions"
    packages = ("openai",)
    api = "/v1/chat/completions"
    lacks: ClassVar = {"count": NO_COUNT}
    errors = OPENAI_ERRORS


class OpenAINodeResponses(JavaScript):
    """`openai`: responses."""

    name = "openai-node-responses"
    title = "openai (Node.js), responses"
    packages = ("openai",)
    api = "/v1/responses"
    lacks = OpenAIResponses.lacks
    errors = OPENAI_ERRORS


class AIOpenAICompatible(JavaScript):
    """`@ai-sdk/openai-compatible`."""

    name = "ai-openai-compatible"
    title = "Vercel AI SDK, openai-compatible"
    packages = ("ai", "@ai-sdk/openai-compatible")
    api = "/v1/chat/completions"
    lacks: ClassVar = {"count": NO_COUNT, "models": NO_MODELS}
    errors: ClassVar = {
        **dict.fromkeys(("400", "404", "429", "500", "503"), "AI_APICallError"),
        "stream": "AI_StreamProviderError",
    }
    signs = False


class AIAmazonBedrock(JavaScript):
    """`@ai-sdk/amazon-bedrock`."""

    name = "ai-amazon-bedrock"
    title = "Vercel AI SDK, amazon-bedrock"
    packages = ("ai", "@ai-sdk/amazon-bedrock")
    api = "/model/{id}/converse"
    lacks: ClassVar = {"count": NO_COUNT, "models": NO_MODELS}
    errors = AIOpenAICompatible.errors
