"""The OpenAPI document: pure data, from the operations and the models that parse their requests."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.openapi import anthropic, bedrock, native, openai

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.openapi.operation import Dialect, Operation, Schema

OPERATIONS: Final[tuple[Operation, ...]] = (
    *native.OPERATIONS,
    *openai.OPERATIONS,
    *anthropic.OPERATIONS,
    *bedrock.OPERATIONS,
)
_REFERENCE = "#/components/schemas/"
_ABOUT = (
    "An asynchronous gateway to Amazon Bedrock. Every stream that is not cut ends in exactly one terminal "
    "record; a parameter is applied, or refused by name."
)


def document(operations: Sequence[Operation] = OPERATIONS) -> Schema:
    """Return the OpenAPI 3.1 document."""
    dialects = list(dict.fromkeys(operation.dialect.name for operation in operations))
    by_name = {operation.dialect.name: operation.dialect for operation in operations}
    schemas: Schema = {}
    for name in dialects:
        schemas |= _schemas(by_name[name], [one for one in operations if one.dialect.name == name])
    paths: Schema = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bedrock gateway", "version": __version__, "description": _ABOUT},
        "tags": [{"name": name, "description": by_name[name].about} for name in dialects],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _schemas(dialect: Dialect, operations: Sequence[Operation]) -> Schema:
    """Return the schemas of a dialect's bodies, each with the dialect's prefix, and of its errors."""
    models = [
        operation.body
        for operation in operations
        if isinstance(operation.body, type) and issubclass(operation.body, BaseModel)
    ]
    _, made = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)],
        ref_template=_REFERENCE + dialect.prefix + "{model}",
    )
    found = {f"{dialect.prefix}{name}": _plain(schema) for name, schema in made.get("$defs", {}).items()}
    return {**found, f"{dialect.prefix}Error": dialect.error}


def _plain(schema: Any) -> Any:
    """Return a schema without the titles that pydantic makes out of names, and with docs in one line."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: _plain(value) for name, value in schema.items() if name != "title" or not isinstance(value, str)
    }
    if isinstance(kept.get("description"), str):
        kept["description"] = re.sub(r"\s+", " ", kept["description"])
    return kept


def _operation(operation: Operation) -> Schema:
    dialect = operation.dialect
    statuses = dialect.statuses if operation.statuses is None else operation.statuses
    headers = {**dialect.headers, **operation.headers}
    described: Schema = {
        "operationId": operation.name,
        "tags": [dialect.name],
        "summary": operation.summary,
        "parameters": [
            *(_parameter("path", name, about) for name, about in operation.parameters.items()),
            *(_parameter("query", name, about) for name, about in operation.query.items()),
            *(_parameter("header", name, about) for name, about in headers.items()),
        ],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {kind: {"schema": schema} for kind, schema in operation.answers.items()},
            },
            **{str(status): _failure(operation, status) for status in statuses},
        },
    }
    if operation.about:
        described["description"] = operation.about
    if operation.body is not None:
        body: Schema = {"schema": _body(operation)}
        if operation.example is not None:
            body["example"] = operation.example
        described["requestBody"] = {"required": True, "content": {"application/json": body}}
    return described


def _body(operation: Operation) -> Schema:
    if isinstance(operation.body, dict):
        return operation.body
    assert operation.body is not None, "the caller has looked"  # noqa: S101 - for the type checker
    return {"$ref": f"{_REFERENCE}{operation.dialect.prefix}{operation.body.__name__}"}


def _parameter(place: str, name: str, about: str) -> Schema:
    schema: Schema = {"type": "string"}
    if name == "X-Request-Timeout-Ms":
        schema = {"type": "integer", "minimum": 1, "maximum": 86_400_000}
    elif name == "X-No-Fallback":
        schema = {"type": "string", "enum": ["true", "false"]}
    return {"name": name, "in": place, "required": place == "path", "description": about, "schema": schema}


def _failure(operation: Operation, status: int) -> Schema:
    shapes = [
        {"$ref": f"{_REFERENCE}{dialect.prefix}Error"}
        for dialect in (operation.dialect, operation.also)
        if dialect is not None
    ]
    try:
        words = HTTPStatus(status).phrase
    except ValueError:  # Anthropic's 529 is its own
        words = "Overloaded"
    return {
        "description": f"{words}.",
        "content": {"application/json": {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}},
    }
