"""The description of the API is what the code makes, is complete, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway import openapi
from gateway.dialects import bedrock_headers, bedrock_requests
from gateway.openapi.__main__ import files
from gateway.openapi.document import OPERATIONS, document
from gateway.server.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.openapi.operation import Operation
    from tests.harness import Caller

FILES = files()


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_is_made_now(name: str) -> None:
    """Who changes a body's model makes the files anew: `python -m gateway.openapi`."""
    committed = (Path(openapi.__file__).parent / name).read_text()

    assert committed == FILES[name], "run `python -m gateway.openapi` and commit what it made"


def test_every_route_is_described() -> None:
    """And nothing else is."""
    served = {(path, method.lower()) for path, route in ROUTES.items() for method in route.methods}
    described = {(operation.path, operation.method) for operation in OPERATIONS}

    assert described == served - {("/openapi.json", "get"), ("/docs", "get")}


def references(node: Any) -> Iterator[str]:
    """Yield what a document refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere() -> None:
    """Names are given once, whatever two dialects call alike."""
    made = document()
    names = {f"#/components/schemas/{name}" for name in made["components"]["schemas"]}

    assert set(references(made)) <= names
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def test_the_page_asks_nobody() -> None:
    """No script, nothing from another host; every link leads to a place on the page, or to the document."""
    page = FILES["docs.html"]
    targets = set(re.findall(r'href="([^"]*)"', page)) - {"openapi.json"}

    assert not re.search(r"<script|src=|@import|url\(|https?:", page)
    assert {target.removeprefix("#") for target in targets} <= set(re.findall(r' id="([^"]*)"', page))


EXAMPLES = [operation for operation in OPERATIONS if operation.example is not None]


@pytest.mark.parametrize("operation", EXAMPLES, ids=[operation.name for operation in EXAMPLES])
async def test_the_example_works(operation: Operation, caller: Caller) -> None:
    """It is answered with 200, in a media type that is described."""
    path = operation.path
    for name, value in operation.path_example.items():
        path = path.replace(f"{{{name}}}", value)
    async with caller.session.post(caller.url + path, json=operation.example) as response:
        body = await response.read()

        assert response.status == 200, body
        assert response.content_type in operation.answers


async def test_they_are_served(caller: Caller) -> None:
    """The files as they are; the page may run nothing."""
    async with caller.session.get(f"{caller.url}/openapi.json") as response:
        assert (response.content_type, await response.text()) == ("application/json", FILES["openapi.json"])
    async with caller.session.get(f"{caller.url}/docs") as response:
        assert (response.content_type, await response.text()) == ("text/html", FILES["docs.html"])
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_aws_headers_are_described() -> None:
    """Where a completion is asked for they are all there; embeddings take none."""
    for operation in OPERATIONS:
        described = {name.lower() for name in operation.headers if name.startswith(bedrock_headers.PREFIX)}
        if operation.name.startswith("invokeModel"):
            assert described == set(bedrock_requests.TAKEN)
        elif operation.dialect.name in {"Native", "OpenAI", "Anthropic"} and operation.method == "post":
            taken = set() if "mbeddings" in operation.name else set(bedrock_headers.TAKEN)
            assert described == taken, operation.name


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/{model}", "/models/config"])
def test_lists_may_ask_who_is_there(path: str) -> None:
    """With callers set, a request without a key is answered with 401."""
    assert "401" in document()["paths"][path]["get"]["responses"]
