"""What the emulator makes of prompts that ask for tools or for JSON: transcripts of prompt and answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.emulator.sense.calls import Tool, calls_for
from gateway.emulator.sense.material import Material
from gateway.emulator.sense.structured import asks_for_json, json_answer
from gateway.emulator.sense.values import fill

STRING = {"type": "string"}
INTEGER = {"type": "integer"}


def schema(*optional: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object, all of it required but `optional`."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


WEATHER = Tool("get_weather", schema(city=STRING), "Get the weather in a city.")
MAGIC = Tool("magic_function", schema(input={**INTEGER, "exclusiveMaximum": 1000}), "Apply a magic function.")
ADD = Tool("Add", schema(a=INTEGER, b=INTEGER), "Add two integers.")
MULTIPLY = Tool("multiply", schema(a=INTEGER, b=INTEGER))
CALCULATOR = Tool("calculator", schema(expression=STRING))
CUSTOMER = Tool("new_customer", schema(customer_name=STRING, description=STRING), "Create a customer.")
ORDER = Tool("place_order", schema("gift", item=STRING, count=INTEGER, gift={"type": "boolean"}))
ANY = Tool("json", {"type": "object", "additionalProperties": True})
PING = Tool("ping", {})
REMIND = Tool(
    "create_reminder", schema(date={**STRING, "format": "date"}, email={**STRING, "format": "email"})
)
TOGGLE = Tool("toggle", schema(on={"type": "boolean"}))
STYLE = Tool("greeter", schema(style=STRING), "Generate a greeting in a particular style of speaking.")


@pytest.mark.parametrize(
    ("prompt", "tools", "expected"),
    [
        ("Hello", [WEATHER, MAGIC], []),
        ("Hello", [], []),
        ("A toggle of Rome and Bern", [TOGGLE], [("toggle", {"on": True})]),
        ("Whether it rains?", [WEATHER], []),
        ("What is the weather in Paris?", [MAGIC, WEATHER], [("get_weather", {"city": "Paris"})]),
        ("How is the weather in Boston, MA today?", [WEATHER], [("get_weather", {"city": "Boston, MA"})]),
        ("The weather in Oslo? Do not use a tool.", [WEATHER], []),
        (
            "What is the weather in Seattle and San Francisco?",
            [WEATHER],
            [("get_weather", {"city": "Seattle"}), ("get_weather", {"city": "San Francisco"})],
        ),
        ('Weather of "a", "b" and "c"', [WEATHER], [("get_weather", {"city": city}) for city in "abc"]),
        ("What is magic_function(3)?", [WEATHER, MAGIC], [("magic_function", {"input": 3})]),
        (
            "magic_function(3), then magic_function(-4)",
            [MAGIC],
            [("magic_function", {"input": 3}), ("magic_function", {"input": -4})],
        ),
        ("Apply magic_function to 7 and 8", [MAGIC], [("magic_function", {"input": n}) for n in (7, 8)]),
        ("Apply magic_function to 5000", [MAGIC], [("magic_function", {"input": 1})]),
        ("Call `ping` now", [WEATHER, PING], [("ping", {})]),
        (
            "Whats 3 * 12? Also 11 + 49?",
            [ADD, MULTIPLY],
            [("multiply", {"a": 3, "b": 12}), ("Add", {"a": 11, "b": 49})],
        ),
        ("What is two and 5 minus 3?", [ADD, MULTIPLY], []),
        ("What is 3 * 12 - 5?", [CALCULATOR], [("calculator", {"expression": "3 * 12 - 5"})]),
        (
            "Create a new customer named '你好啊' (Hello Group)",
            [CUSTOMER],
            [("new_customer", {"customer_name": "你好啊", "description": "Hello Group"})],
        ),
        (
            "Place an order: item = tea, count: 1,200, gift: yes",
            [ORDER],
            [("place_order", {"item": "tea", "count": 1200, "gift": True})],
        ),
        ("Place the order of 'tea'", [ORDER], [("place_order", {"item": "tea", "count": 1})]),
        (
            "A reminder for ann@example.com on 2026-03-04",
            [REMIND],
            [("create_reminder", {"date": "2026-03-04", "email": "ann@example.com"})],
        ),
        ("Generate a Pirate greeting", [STYLE], [("greeter", {"style": "Pirate"})]),
        ("Use the tool to say hi", [STYLE], [("greeter", {"style": "example style"})]),
    ],
)
def test_a_prompt_gets_its_calls(prompt: str, tools: list[Tool], expected: list[tuple[str, Any]]) -> None:
    """The tool that is spoken of, as often as it takes, with what the prompt has for it."""
    assert calls_for(prompt, tools, forced=False, parallel=True) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hello!", [("get_weather", {"city": "example city"})]),
        ("What is magic_function(3)?", [("magic_function", {"input": 3})]),
        ("Return JSON with 'a' and 'b' keys", [("json", {"a": "example a", "b": "example b"})]),
        ('JSON by {"properties": {}, "const": 3}', [("json", {"answer": 3})]),
        ("Do not use any tools.", [("get_weather", {"city": "example city"})]),
    ],
)
def test_a_forced_call_comes_always(prompt: str, expected: list[tuple[str, Any]]) -> None:
    """The likeliest of the tools is called where one must be."""
    tools = [ANY] if "JSON" in prompt else [WEATHER, MAGIC]
    assert calls_for(prompt, tools, forced=True, parallel=True) == expected


def test_one_call_at_a_time() -> None:
    """A request that forbids parallel calls gets the first."""
    calls = calls_for("The weather in Rome and Bern", [WEATHER], forced=False, parallel=False)

    assert calls == [("get_weather", {"city": "Rome"})]


ADDRESS = {"$ref": "#/$defs/address"}
PERSON = {**schema(name=STRING, address=ADDRESS), "$defs": {"address": schema(street=STRING, city=STRING)}}


@pytest.mark.parametrize(
    ("prompt", "shape", "expected"),
    [
        (
            "Look up John who lives at 12 Main St, Springfield",
            PERSON,
            {"name": "John", "address": {"street": "12 Main St", "city": "Springfield"}},
        ),
        (
            "John is 30 and Jane is 25",
            schema(people={"type": "array", "items": schema(name=STRING, age=INTEGER)}),
            {"people": [{"name": "John", "age": 30}, {"name": "Jane", "age": 25}]},
        ),
        ("Add 1, 2 and 3", schema(n={"type": "array", "items": INTEGER, "maxItems": 2}), {"n": [1, 2]}),
        ("", schema(n={"type": "array", "items": INTEGER, "minItems": 2}), {"n": [1, 1]}),
        ("It is bad", schema(mood={"enum": ["good", "bad"]}), {"mood": "bad"}),
        ("A joke about cats.", schema(setup=STRING), {"setup": "example setup about cats"}),
        (
            "No punchline, please",
            schema("punchline", setup=STRING, punchline={"anyOf": [STRING, {"type": "null"}]}),
            {"setup": "example setup"},
        ),
        ("x", schema(a={"anyOf": [STRING, {"type": "null"}], "default": None}), {"a": None}),
        ("a is 4", schema(a={"anyOf": [INTEGER, {"type": "null"}], "default": None}), {"a": 4}),
        ("What now?", schema(user_query=STRING), {"user_query": "What now?"}),
        ("without the sugar", schema(sugar={"type": "boolean"}), {"sugar": False}),
        ("sugar: maybe", schema(sugar={"type": "boolean"}), {"sugar": True}),
        ("sugar: off", schema(sugar={"type": "boolean"}), {"sugar": False}),
        ("count: many", schema(count=INTEGER), {"count": 1}),
        ("weight 2.5", schema(weight={"type": "number"}), {"weight": 2.5}),
        ("weight 2.5", schema(weight=INTEGER), {"weight": 1}),
        ("", schema(n={**INTEGER, "minimum": 5}), {"n": 5}),
        ("", schema(n={**INTEGER, "exclusiveMinimum": 5}), {"n": 6}),
        ("", schema(n={**INTEGER, "maximum": -5}), {"n": -5}),
        ("", schema(n={**INTEGER, "exclusiveMaximum": -5}), {"n": -6}),
        ("", schema(n={**INTEGER, "multipleOf": 7, "examples": [14]}), {"n": 14}),
        ("", schema(s={**STRING, "minLength": 12}), {"s": "example s..."}),
        ("", schema(s={**STRING, "maxLength": 3}), {"s": "exa"}),
        ("", schema(s={**STRING, "format": "date-time"}), {"s": "2026-01-01T00:00:00Z"}),
        ("See https://a.example/b", schema(s={**STRING, "format": "uri"}), {"s": "https://a.example/b"}),
        ("", schema(s={"const": 1}), {"s": 1}),
        ("a == 3 + 4", schema(formula=STRING), {"formula": "3 + 4"}),
    ],
)
def test_a_schema_is_filled(prompt: str, shape: dict[str, Any], expected: Any) -> None:
    """Values come from the prompt where it has them, and fit the schema where it has not."""
    assert fill(shape, Material(prompt)) == expected


@pytest.mark.parametrize(
    ("prompt", "instructions", "expected"),
    [
        ("Return JSON with 'setup' and 'end' keys", "", {"setup": "example setup", "end": "example end"}),
        ('Answer in JSON by {"properties": {"n": {"type": "integer"}}}: 5', "", {"n": 5}),
        (
            "The city of Rome",
            'Respond in JSON: {"x": {}} {broken {"properties": {"city": {}}}',
            {"city": "Rome"},
        ),
        ("Reply in JSON: the key is Ann", "", {"answer": "Ann"}),
        ("Reply in JSON", "", {"answer": "example answer"}),
        ("Hi", "Output JSON, the key is `greeting`", {"greeting": "example greeting"}),
    ],
)
def test_json_without_a_schema_has_the_keys_of_the_prompt(
    prompt: str, instructions: str, expected: Any
) -> None:
    """A schema or keys in the prompt or the instructions give the shape."""
    assert asks_for_json(prompt) or asks_for_json(instructions)
    assert json.loads(json_answer(prompt, {}, instructions)) == expected


@pytest.mark.parametrize("prompt", ["What is JSON?", "Return the book", "", "I love JSON. Answer me!"])
def test_json_is_not_always_asked_for(prompt: str) -> None:
    """To speak of JSON is not to ask for it."""
    assert not asks_for_json(prompt)
