"""Who is compared, how each is started in front of one far end, and how each is asked.

Every gateway has its default configuration but for what is written here: the far end's address and keys, a
timeout in the rows about silence, and nothing that reaches out of this machine.
"""

from __future__ import annotations

import json
import secrets
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gateway.emulator import EmulatorSettings
from tests.comparison import answers, processes
from tests.comparison.scenarios import TIMEOUT_S
from tests.comparison.transcripts import encode_post
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.comparison.answers import Reader
    from tests.comparison.processes import Started
    from tests.comparison.scenarios import Api, Scenario

ROOT: Final = Path(__file__).resolve().parent.parent.parent
MODEL: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEYS: Final = EmulatorSettings()
AWS: Final = {
    "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
    "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
    "AWS_REGION": KEYS.region,
    "AWS_DEFAULT_REGION": KEYS.region,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
PARAMETERS: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("city", "country", "unit")},
    "required": ["city"],
}


@dataclass(frozen=True, slots=True)
class Way:
    """One column: an API of a gateway, in front of one API of Bedrock."""

    key: str
    title: str
    api: Api
    path: str
    read: Reader
    streams: bool = True


GATEWAY_WAYS: Final = (
    Way(
        "gateway-converse",
        "this gateway, Converse",
        "converse",
        "/chat/completions/stream",
        answers.read_native_stream,
    ),
    Way(
        "gateway-invoke",
        "this gateway, InvokeModel",
        "invoke",
        "/chat/completions/stream",
        answers.read_native_stream,
    ),
    Way("gateway-unary", "this gateway", "converse", "/chat/completions", answers.read_native, streams=False),
)
LITELLM_WAYS: Final = (
    Way(
        "litellm-converse",
        "LiteLLM chat, Converse",
        "converse",
        "/v1/chat/completions",
        answers.read_openai_stream,
    ),
    Way(
        "litellm-invoke",
        "LiteLLM chat, InvokeModel",
        "invoke",
        "/v1/chat/completions",
        answers.read_openai_stream,
    ),
    Way(
        "litellm-messages",
        "LiteLLM messages, InvokeModel",
        "invoke",
        "/v1/messages",
        answers.read_anthropic_stream,
    ),
    Way(
        "litellm-unary",
        "LiteLLM chat",
        "converse",
        "/v1/chat/completions",
        answers.read_openai,
        streams=False,
    ),
)
PORTKEY_WAYS: Final = (
    Way(
        "portkey-converse",
        "Portkey chat, Converse",
        "converse",
        "/v1/chat/completions",
        answers.read_openai_stream,
    ),
    Way(
        "portkey-unary",
        "Portkey chat",
        "converse",
        "/v1/chat/completions",
        answers.read_openai,
        streams=False,
    ),
)
WAYS: Final = GATEWAY_WAYS + LITELLM_WAYS + PORTKEY_WAYS


def _function() -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


def _openai_body(model: str, way: Way, scenario: Scenario, said: str) -> bytes:
    """Return a body of chat completions; `stream` only where it is one."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": said}]}
    if way.streams:
        body["stream"] = True
    if scenario.tool:
        body["tools"] = [_function()]
    return json.dumps(body).encode()


@dataclass(frozen=True, slots=True)
class Gateway:
    """This gateway. It is `fresh`, a process of its own for each cell, because it starts fast."""

    name: str = "gateway"
    fresh: bool = True
    ways: tuple[Way, ...] = GATEWAY_WAYS
    settings: tuple[str, ...] = (
        "two aliases of one model, `operation` `converse` and `invoke`",
        f"`bedrock.first_byte_timeout_ms` and `.gap_timeout_ms` of {TIMEOUT_S} s in the rows with a timeout",
        "a process of its own for each cell: its retry budget and circuit breaker are the process's",
    )

    @asynccontextmanager
    async def running(
        self, upstream: str, folder: Path, scenarios: Sequence[Scenario]
    ) -> AsyncIterator[Started]:
        """Run it with two aliases, one for each API of Bedrock."""
        port = free_port()
        lines = ["[aliases]", *(f'{api} = "{MODEL}"' for api in ("converse", "invoke"))]
        lines += [f'[models.{api}]\noperation = "{api}"' for api in ("converse", "invoke")]
        (folder / "gateway.toml").write_text("\n".join(lines))
        environment = {
            **AWS,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream,
            "GATEWAY_PORT": str(port),
            "PYTHONPATH": str(ROOT),
        }
        if any(scenario.timeout for scenario in scenarios):
            milliseconds = str(TIMEOUT_S * 1000)
            environment |= {
                "GATEWAY_BEDROCK__FIRST_BYTE_TIMEOUT_MS": milliseconds,
                "GATEWAY_BEDROCK__GAP_TIMEOUT_MS": milliseconds,
            }
        command = (sys.executable, "-m", "gateway", "serve")
        async with processes.running(command, environment, folder, port, "/readyz") as started:
            yield started

    def request(self, way: Way, scenario: Scenario, said: str, upstream: str) -> bytes:
        """Ask the alias of the way."""
        del upstream
        body: dict[str, Any] = {"model": way.api, "messages": [{"role": "user", "content": said}]}
        if scenario.tool:
            body["tools"] = [_function()]
        return encode_post(way.path, json.dumps(body).encode(), {})


@dataclass(frozen=True, slots=True)
class LiteLlm:
    """LiteLLM's proxy, one model group for each row, so that a cooldown in one does not reach another."""

    command: Path
    name: str = "litellm"
    fresh: bool = False
    ways: tuple[Way, ...] = LITELLM_WAYS
    settings: tuple[str, ...] = (
        "`litellm_params.model`: `bedrock/converse/…` or `bedrock/invoke/…`",
        "`litellm_params`: `aws_access_key_id`, `aws_secret_access_key`, `aws_region_name`",
        "`litellm_params.aws_bedrock_runtime_endpoint`: the far end",
        f"`timeout` and `stream_timeout` of {TIMEOUT_S} s in the rows with a timeout",
        "`general_settings.master_key`, which it does not start without",
        "`LITELLM_LOCAL_MODEL_COST_MAP=True`: prices from its package, not from the network",
        "`AWS_EC2_METADATA_DISABLED=true`: nothing is asked of this machine's own account",
        "a model group of its own for each cell, so that a cooldown in one does not reach another",
    )
    key: str = field(default_factory=lambda: f"sk-{secrets.token_urlsafe(32)}")

    @asynccontextmanager
    async def running(
        self, upstream: str, folder: Path, scenarios: Sequence[Scenario]
    ) -> AsyncIterator[Started]:
        """Run it; JSON is YAML."""
        port = free_port()
        groups = [
            {
                "model_name": self._group(way, scenario),
                "litellm_params": self._parameters(way, scenario, upstream),
            }
            for scenario in scenarios
            for way in self.ways
        ]
        configuration = {"model_list": groups, "general_settings": {"master_key": self.key}}
        path = folder / "config.yaml"
        path.write_text(json.dumps(configuration))
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "AWS_EC2_METADATA_DISABLED": "true"}
        command = (str(self.command), "--config", str(path), "--host", "127.0.0.1", "--port", str(port))
        async with processes.running(command, environment, folder, port, "/health/liveliness") as started:
            yield started

    def request(self, way: Way, scenario: Scenario, said: str, upstream: str) -> bytes:
        """Ask the model group of the row."""
        del upstream
        group = self._group(way, scenario)
        headers = {"Authorization": f"Bearer {self.key}"}
        if way.path == "/v1/messages":
            return encode_post(way.path, _anthropic_body(group, scenario, said), headers)
        return encode_post(way.path, _openai_body(group, way, scenario, said), headers)

    @staticmethod
    def _group(way: Way, scenario: Scenario) -> str:
        return f"{way.key}-{scenario.name}"

    @staticmethod
    def _parameters(way: Way, scenario: Scenario, upstream: str) -> dict[str, Any]:
        limits = {"timeout": TIMEOUT_S, "stream_timeout": TIMEOUT_S} if scenario.timeout else {}
        return {
            "model": f"bedrock/{way.api}/{MODEL}",
            "aws_access_key_id": KEYS.access_key_id,
            "aws_secret_access_key": KEYS.secret_access_key,
            "aws_region_name": KEYS.region,
            "aws_bedrock_runtime_endpoint": upstream,
            **limits,
        }


def _anthropic_body(model: str, scenario: Scenario, said: str) -> bytes:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 4096,
        "stream": True,
        "messages": [{"role": "user", "content": said}],
    }
    if scenario.tool:
        body["tools"] = [{"name": "get_weather", "input_schema": PARAMETERS}]
    return json.dumps(body).encode()


@dataclass(frozen=True, slots=True)
class Portkey:
    """Portkey's gateway, which is told all it needs by each request's headers."""

    script: Path
    name: str = "portkey"
    fresh: bool = False
    ways: tuple[Way, ...] = PORTKEY_WAYS
    settings: tuple[str, ...] = (
        "headers `x-portkey-provider: bedrock`, `x-portkey-custom-host`",
        "headers `x-portkey-aws-access-key-id`, `x-portkey-aws-secret-access-key`, `x-portkey-aws-region`",
        f"`x-portkey-request-timeout` of {TIMEOUT_S} s in the rows with a timeout",
    )

    @asynccontextmanager
    async def running(
        self, upstream: str, folder: Path, scenarios: Sequence[Scenario]
    ) -> AsyncIterator[Started]:
        """Run it without its console."""
        del upstream, scenarios
        port = free_port()
        command = ("node", str(self.script), f"--port={port}", "--headless")
        async with processes.running(command, {}, folder, port, "/") as started:
            yield started

    def request(self, way: Way, scenario: Scenario, said: str, upstream: str) -> bytes:
        """Ask for the model, and name provider, keys and host."""
        headers = {
            "x-portkey-provider": "bedrock",
            "x-portkey-aws-access-key-id": KEYS.access_key_id,
            "x-portkey-aws-secret-access-key": KEYS.secret_access_key,
            "x-portkey-aws-region": KEYS.region,
            "x-portkey-custom-host": upstream,
        }
        if scenario.timeout:
            headers["x-portkey-request-timeout"] = str(TIMEOUT_S * 1000)
        return encode_post(way.path, _openai_body(MODEL, way, scenario, said), headers)


Peer: TypeAlias = Gateway | LiteLlm | Portkey
