"""JSON of every type at every place of a body of Anthropic's: it is read or refused, and nothing else.

Claude's body goes on without a schema (`anthropic_invoke`), so each look into one has to take any JSON.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from gateway.dialects import anthropic_count, anthropic_invoke, anthropic_messages
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Path = tuple[str | int, ...]

TYPES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**64 - 1, 0.5, 1e308, "", "x", [], [[]], [1], {}, {"a": []}, [{}]),
)
MARK = {"type": "ephemeral", "ttl": "5m"}
SCHEMA: dict[str, Any] = {"type": "json_schema", "schema": {}}
GOOD: dict[str, Any] = {
    "model": "m",
    "max_tokens": 2000,
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]},
        {
            "role": "user",
            "content": [
                {"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}},
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}]},
            ],
        },
    ],
    "system": [{"type": "text", "text": "s", "cache_control": MARK}],
    "tools": [{"type": "custom", "name": "f", "input_schema": {}, "cache_control": MARK}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
    "metadata": {"user_id": "u"},
    "output_config": {"effort": "low", "format": None},
    "output_format": SCHEMA,
    "context_management": {"edits": []},
    "cache_control": MARK,
    "stop_sequences": ["a"],
    "stream": False,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 1,
    "service_tier": "auto",
    "speed": "standard",
    "container": None,
    "mcp_servers": None,
}
OF_AN_ANSWER = frozenset(anthropic_count.OF_AN_ANSWER)


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value in a body."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from _places(item, (*path, name))


def _with(path: Path, value: Any) -> Any:
    """Return the good body with this value at this place."""
    if not path:
        return value
    body = copy.deepcopy(GOOD)
    owner: Any = body
    for name in path[:-1]:
        owner = owner[name]
    owner[path[-1]] = value
    return body


def _message(body: Any) -> None:
    """Read it as the server does before Claude is asked."""
    anthropic_invoke.model_of(body)
    anthropic_invoke.is_streaming(body)
    anthropic_invoke.wants_structure(body)
    anthropic_invoke.said(body)
    anthropic_invoke.read(body)


def _count(body: Any) -> None:
    anthropic_invoke.model_of(body)
    anthropic_count.body({name: value for name, value in body.items() if name not in OF_AN_ANSWER})


READERS: dict[str, Callable[[Any], Any]] = {
    "message": _message,
    "count": _count,
    "message by the schema": anthropic_messages.parse,
    "count by the schema": anthropic_messages.parse_count,
}


def _fault(read: Callable[[Any], Any], body: Any) -> str:
    """Return what is wrong with how a body is read, nothing where it is read or refused by a name."""
    try:
        read(body)
    except InvalidRequest as refused:
        return "" if refused.param else "no field is named"
    except Exception as defect:  # noqa: BLE001 - whatever it is, the test says of which reader and value
        return repr(defect)
    return ""


@pytest.mark.parametrize("path", list(_places(GOOD)), ids=lambda path: ".".join(map(str, path)) or "body")
def test_every_type_at_every_place(path: Path) -> None:
    """None of them is a defect of the gateway's, and what is refused has a name."""
    found = {
        f"{name} of {value!r}": fault
        for value in TYPES
        for name, read in READERS.items()
        if (fault := _fault(read, _with(path, value)))
    }

    assert not found


@pytest.mark.parametrize("name", ["service_tier", "speed"])
@pytest.mark.parametrize("value", [[], {}, [1], 1, "fast"])
def test_a_word_of_another_type(name: str, value: Any) -> None:
    """It is refused by its name."""
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}], name: value}

    with pytest.raises(InvalidRequest, match=name) as caught:
        anthropic_invoke.read(body)

    assert caught.value.param == name
