"""The page at `/docs`: plain HTML without scripts, so that it needs no other host and no permission."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.openapi.operation import Schema

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f4f4 }
pre { padding: .75rem; overflow-x: auto } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; padding: .25rem .5rem }
h2 { border-bottom: 2px solid #222; margin-top: 3rem } h3 code { background: none; font-size: 1.1em }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } code, pre { background: #262626 } td, th { border-color: #444 }
}
"""


def page(document: Schema) -> str:
    """Return the HTML page of an OpenAPI document."""
    info = document["info"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(info['title'])}</title>",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            f"<p>{_words(info['description'])}</p>",
            '<p>For machines: <a href="openapi.json"><code>/openapi.json</code></a></p>',
            *_operations(document),
            "<h2>Schemas</h2>",
            *_schemas(document["components"]["schemas"]),
            "</body></html>\n",
        ]
    )


def _operations(document: Schema) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{_words(tag['description'])}</p>"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: Schema) -> Iterator[str]:
    name = operation["operationId"]
    title = f"<code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}"
    yield f'<h3 id="{escape(name)}">{title}</h3>'
    if "description" in operation:
        yield f"<p>{_words(operation['description'])}</p>"
    if operation["parameters"]:
        yield "<table><tr><th>Parameter<th>In<th>Meaning</tr>"
        for parameter in operation["parameters"]:
            about = _words(parameter["description"])
            yield f"<tr><td><code>{escape(parameter['name'])}</code><td>{parameter['in']}<td>{about}</tr>"
        yield "</table>"
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]
        yield f"<p>Body: {_type(body['schema'])}</p>"
        if "example" in body:
            yield f"<pre>{escape(json.dumps(body['example'], indent=2))}</pre>"
    yield "<table><tr><th>Status<th>Answer</tr>"
    for status, answer in operation["responses"].items():
        kinds = ", ".join(
            f"<code>{escape(kind)}</code> {_type(content['schema'])}"
            for kind, content in answer["content"].items()
        )
        yield f"<tr><td>{status}<td>{escape(answer['description'])} {kinds}</tr>"
    yield "</table>"


def _schemas(schemas: Schema) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3>'
        if "description" in schema:
            yield f"<p>{_words(schema['description'])}</p>"
        if "properties" not in schema:
            yield f"<p>{_type(schema)}</p>"
            continue
        yield "<table><tr><th>Field<th>Type<th></tr>"
        required = schema.get("required", ())
        for field, value in schema["properties"].items():
            must = "required" if field in required else ""
            about = f" {_words(value['description'])}" if "description" in value else ""
            yield f"<tr><td><code>{escape(field)}</code><td>{_type(value)}{about}<td>{must}</tr>"
        yield "</table>"


def _type(schema: Any) -> str:
    """Return a schema in a few words, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    for join in ("anyOf", "oneOf"):
        if join in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[join]))
    if "const" in schema or "enum" in schema:
        words = schema.get("enum", [schema.get("const")])
        return " or ".join(f"<code>{escape(json.dumps(word))}</code>" for word in words)
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    if kind == "object" and "properties" in schema:
        inner = ", ".join(f"<code>{escape(name)}</code>" for name in schema["properties"])
        return f"object with {inner}"
    return escape(kind)


def _words(text: str) -> str:
    """Return text as HTML; what stands between backticks is code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
