"""The route table and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote

from gateway.dialects import anthropic_errors, bedrock_errors, bedrock_rerank, native_records, openai_errors
from gateway.dialects.anthropic_headers import VERSION_HEADER
from gateway.errors import MethodNotAllowed, RouteNotFound
from gateway.server import (
    anthropic_api,
    bedrock_api,
    description,
    embeddings,
    health,
    models,
    native_api,
    openai_api,
    responses_api,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.dialects.protocol import ErrorShape
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange
    from gateway.server.request import Request

Handler: TypeAlias = "Callable[[Exchange], Awaitable[Answer | None]]"
"""Returns what is still to be sent; None where everything has been."""

TABLE: Final[tuple[tuple[str, dict[str, Handler]], ...]] = (
    ("/chat/completions/stream", {"POST": native_api.stream_completion}),
    ("/chat/completions", {"POST": native_api.create_completion}),
    ("/model/{modelId}/invoke", {"POST": bedrock_api.invoke}),
    ("/model/{modelId}/invoke-with-response-stream", {"POST": bedrock_api.invoke_stream}),
    ("/model/{modelId}/converse", {"POST": bedrock_api.converse}),
    ("/model/{modelId}/converse-stream", {"POST": bedrock_api.converse_stream}),
    ("/model/{modelId}/count-tokens", {"POST": bedrock_api.count_tokens}),
    (
        "/guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply",
        {"POST": bedrock_api.apply_guardrail},
    ),
    ("/rerank", {"POST": bedrock_api.rerank}),
    ("/models/config", {"GET": models.models_config}),
    ("/embeddings", {"POST": embeddings.create_embeddings}),
    ("/openapi.json", {"GET": description.openapi}),
    ("/docs", {"GET": description.docs}),
    ("/v1/chat/completions", {"POST": openai_api.create_chat_completion}),
    ("/v1/responses", {"POST": responses_api.create_response}),
    ("/v1/embeddings", {"POST": openai_api.create_embeddings}),
    ("/v1/models", {"GET": models.list_models}),
    ("/v1/models/{model}", {"GET": models.find_model}),
    ("/v1/messages", {"POST": anthropic_api.create_message}),
    ("/v1/messages/count_tokens", {"POST": anthropic_api.count_tokens}),
    ("/livez", {"GET": health.live}),
    ("/readyz", {"GET": health.ready}),
    ("/version", {"GET": health.version}),
)
"""Templates and what is there. `{name}` is a part of the path, which may have slashes in it, as ARNs do."""

SHAPES: Final[tuple[tuple[str, ErrorShape], ...]] = (
    ("/v1/messages", anthropic_errors.refusal),
    ("/v1/", openai_errors.refusal),
    ("/model/", bedrock_errors.refusal),
    ("/guardrail", bedrock_errors.refusal),
    ("/async-invoke", bedrock_errors.refusal),
    ("/rerank", bedrock_rerank.refusal),
)
"""How errors look, by the beginning of the path, the first that fits; elsewhere they are the native API's."""
MODELS: Final = "/v1/models"
"""Where they are Anthropic's if the caller is (see `models`)."""

QUIET = frozenset({"/livez", "/readyz"})
"""Probes come every few seconds; a good one is logged at debug."""

OPEN = QUIET | {"/openapi.json", "/docs"}
"""Served to whoever asks: probes, and what is the same in every gateway."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table."""

    template: str
    methods: Mapping[str, Handler]

    def handler(self, method: str) -> Handler:
        """Return what answers a method.

        Raises:
            RouteNotFound: there is nothing here at all.
            MethodNotAllowed: there are other methods; `param` is `method`.
        """
        if not self.methods:
            raise RouteNotFound("There is nothing at this path; see the README for the routes.", param="path")
        handler = self.methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise MethodNotAllowed(
                f"This path takes {' and '.join(sorted(self.methods))} only.", param="method"
            )
        return handler


def _pattern(template: str) -> re.Pattern[str]:
    """Only the first part may have slashes: with two, a head of 16 KB could hold the loop for 70 ms."""
    pieces = re.split(r"\{(\w+)\}", template)
    parts = (rf"(?P<{piece}>{'.' if number == 1 else '[^/]'}+)" for number, piece in enumerate(pieces))
    return re.compile(
        "".join(part if number % 2 else re.escape(pieces[number]) for number, part in enumerate(parts))
    )


NOWHERE: Final = Route("other", {})
"""Every path where there is nothing."""
ROUTES: Final = {template: Route(template, methods) for template, methods in TABLE}
_PATTERNS: Final = tuple((_pattern(template), ROUTES[template]) for template in ROUTES if "{" in template)
_NOTHING: Final[Mapping[str, str]] = {}


def find(request: Request) -> tuple[Route, Mapping[str, str]]:
    """Return the route of a request and the parts of its path that vary, decoded."""
    route = ROUTES.get(request.path)
    if route is not None:
        return route, _NOTHING
    return _find_pattern(request.raw_path)


@lru_cache(maxsize=256)  # callers ask few models, again and again
def _find_pattern(raw_path: str) -> tuple[Route, Mapping[str, str]]:
    for pattern, route in _PATTERNS:
        found = pattern.fullmatch(raw_path)
        if found is not None:
            return route, {name: unquote(value) for name, value in found.groupdict().items()}
    return NOWHERE, _NOTHING


def shape_of(request: Request) -> ErrorShape:
    """Return how errors look at the path of a request."""
    path = request.path
    if path.startswith(MODELS) and VERSION_HEADER in request.headers:
        return anthropic_errors.refusal
    return next((shape for prefix, shape in SHAPES if path.startswith(prefix)), native_records.refusal)
