"""The route table and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gateway.errors import MethodNotAllowed, RouteNotFound
from gateway.server import completions, embeddings, health, models

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange

Handler: TypeAlias = "Callable[[Exchange], Awaitable[Answer | None]]"
"""Returns what is still to be sent; None where everything has been."""

ROUTES: dict[str, dict[str, Handler]] = {
    "/chat/completions/stream": {"POST": completions.stream_completion},
    "/chat/completions": {"POST": completions.create_completion},
    "/models/config": {"GET": models.models_config},
    "/embeddings": {"POST": embeddings.create_embeddings},
    "/livez": {"GET": health.live},
    "/readyz": {"GET": health.ready},
    "/version": {"GET": health.version},
}

QUIET = frozenset({"/livez", "/readyz"})
"""Probes come every few seconds; a good one is logged at debug."""


def find(method: str, path: str) -> Handler:
    """Return the handler for a request.

    Raises:
        RouteNotFound: no such path.
        MethodNotAllowed: the path has other methods; `param` is `method`.
    """
    methods = ROUTES.get(path)
    if methods is None:
        raise RouteNotFound("There is nothing at this path; see the README for the routes.", param="path")
    handler = methods.get("GET" if method == "HEAD" else method)
    if handler is None:
        raise MethodNotAllowed(f"This path takes {' and '.join(sorted(methods))} only.", param="method")
    return handler
