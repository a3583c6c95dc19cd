"""Strategies that draw a dialect's bodies from its own schema: a field that is new there is drawn, too.

What the schema cannot say (that base64 is base64, that `tool_choice` names one of the tools) is said here by
hand: `Grammar.values` for the value of a field, `Grammar.mends` for an object of one shape.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from gateway.dialects import anthropic_schema, native_schema, openai_schema, responses_schema
from gateway.dialects.inline_content import DOCUMENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import BaseModel

Field = tuple[str, str]
"""The name of a shape, and of one of its fields."""


class Shaped(dict[str, Any]):
    """A JSON object that knows its shape."""

    shape: str

    @classmethod
    def of(cls, shape: str, fields: Mapping[str, Any]) -> Shaped:
        """Return the object of this shape that has these fields."""
        made = cls(fields)
        made.shape = shape
        return made


class Grammar(NamedTuple):
    """How the bodies of one dialect are drawn."""

    body: type[BaseModel]
    values: Mapping[Field, st.SearchStrategy[Any]]
    mends: Mapping[str, Callable[[Any], None]]


def fields(grammar: Grammar) -> set[Field]:
    """Return each field of each shape of a dialect."""
    schema = grammar.body.model_json_schema()
    shapes = {grammar.body.__name__: schema, **schema["$defs"]}
    return {(name, field) for name, shape in shapes.items() for field in shape["properties"]}


def bodies(grammar: Grammar, *, whole: bool = False) -> st.SearchStrategy[Any]:
    """Return the strategy that draws this dialect's bodies; `whole` ones have all that has room in them."""
    schema = grammar.body.model_json_schema()
    drawer = _Drawer(grammar, schema["$defs"], whole=whole)

    def mended(value: Any) -> Any:
        found = [one for _, one in objects(value)]
        for one in reversed(found):  # the body comes last
            if one.shape in grammar.mends:
                grammar.mends[one.shape](one)
        return value

    return drawer.shape(grammar.body.__name__, schema).map(mended)


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Shaped]]:
    """Return each object of a body that has a shape, with the path to it."""
    if isinstance(value, Shaped):
        yield path, value
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from objects(inner, (*path, key))


def plain(value: Any) -> Any:
    """Return the JSON value alone, a copy."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


class _Drawer:
    """Makes strategies of JSON Schema, as far as pydantic writes it for our shapes."""

    def __init__(self, grammar: Grammar, definitions: Mapping[str, Any], *, whole: bool) -> None:
        self._grammar = grammar
        self._definitions = definitions
        self._whole = whole

    def shape(self, name: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        known = self._grammar.values
        drawn = {
            field: known[name, field] if (name, field) in known else self._value((name, field), inner)
            for field, inner in schema["properties"].items()
        }
        required = set(drawn) if self._whole else set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {field: value for field, value in drawn.items() if field in required},
            optional={field: value for field, value in drawn.items() if field not in required},
        ).map(lambda given: Shaped.of(name, given))

    def _value(self, field: Field, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return st.deferred(lambda: self.shape(name, self._definitions[name]))
        if "const" in schema or "enum" in schema:
            return st.sampled_from(schema.get("enum", [schema.get("const")]))
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return st.one_of(
                    [self._value(field, one) for one in schema[union] if one.get("type") != "null"]
                )
        return self._simple(field, schema)

    def _simple(self, field: Field, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        match schema.get("type"):
            case "boolean":
                return st.booleans()
            case "integer":
                low = int(schema.get("minimum", -9))
                return st.integers(low, low + 9)
            case "number":
                return st.floats(schema.get("minimum", 0), min(schema.get("maximum", 2), 2), width=16)
            case "string" if "pattern" not in schema:
                return WORDS
            case "array" if "items" in schema:
                return self._list(field, schema)
            case _:
                raise AssertionError(f"{field[0]}.{field[1]} is new: say in `values` what it may be")

    def _list(self, field: Field, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        items = schema["items"]
        if self._whole:
            return st.tuples(*[self._value(field, kind) for kind in items.get("oneOf", [items])]).map(list)
        return st.lists(self._value(field, items), min_size=schema.get("minItems", 0), max_size=2)


# ── values ────────────────────────────────────────────────────────────────────────────────────────────

WORDS = st.text(alphabet='ab é"\\\n', min_size=1, max_size=4)
NAMES = st.sampled_from(["f", "g-1", "h_2"])
IDS = st.sampled_from(["t1", "call_2", "x.y:3"])
DATA = st.binary(min_size=1, max_size=3)
BASE64 = DATA.map(lambda data: base64.b64encode(data).decode())
TEXTS = st.dictionaries(st.sampled_from(["k", "m"]), st.sampled_from(["a", "b"]), max_size=2)
OBJECTS = st.dictionaries(WORDS, WORDS | st.integers(-9, 9) | st.none(), min_size=1, max_size=2)
SCHEMAS = OBJECTS.map(lambda properties: {"type": "object", "properties": properties})
JSON_TEXTS = OBJECTS.map(json.dumps)


def urls(types: Any) -> st.SearchStrategy[str]:
    """Return the strategy for `data:` URLs of these media types."""
    return st.builds(lambda kind, data: f"data:{kind};base64,{data}", st.sampled_from(list(types)), BASE64)


IMAGE_URLS = urls([f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp")])
DOCUMENT_URLS = urls(DOCUMENT_TYPES)
FILE_NAMES = st.sampled_from(["a", "a b", "report.pdf", "x.y.txt"])
NOTHING: st.SearchStrategy[Any] = st.none()


def _choose(body: Any, names: list[str], chosen: Callable[[Any], Any]) -> None:
    """Let a choice be of the tools that there are; `chosen` gives the object that names one."""
    if not names:
        body.pop("tool_choice", None)
    elif (named := chosen(body.get("tool_choice"))) is not None:
        named["name"] = names[0]


def _pick(value: Any, count: int) -> int:
    """Return a number below `count`: the same for the same value, and no other order in it."""
    return zlib.crc32(repr(value).encode()) % count


def _keep_one(given: Any, *names: str) -> None:
    """Leave no more than one of these fields, whichever."""
    there = [name for name in names if name in given]
    kept = _pick(given, len(there)) if there else 0
    for number, name in enumerate(there):
        if number != kept:
            del given[name]


def _find(value: Any, shape: str) -> list[Shaped]:
    return [found for _, found in objects(value) if found.shape == shape]


# ── native ────────────────────────────────────────────────────────────────────────────────────────────


def _mend_native(body: Any) -> None:
    _keep_one(body, "messages", "prompt")
    if not body.keys() & {"messages", "prompt"}:
        body["prompt"] = "p"
    if "messages" in body:
        of_system = [one for one in body["messages"] if one.shape == "SystemMessage"]
        turns = [one for one in body["messages"] if one.shape != "SystemMessage"]
        asked = Shaped.of("UserMessage", {"role": "user", "content": "x"})
        body["messages"] = [*of_system, *(turns or [asked])]
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    _choose(body, names, lambda choice: choice["function"] if isinstance(choice, dict) else None)


def _mend_block(block: Any) -> None:
    _keep_one(block, "redacted", "text")
    if "redacted" in block:
        block.pop("signature", None)
    elif not block.keys() & {"text", "signature"}:
        block["text"] = "t"


def _mend_assistant(message: Any) -> None:
    if not any(message.get(name) for name in ("content", "tool_calls", "reasoning", "thinking_blocks")):
        message["content"] = "x"


def _mend_result(message: Any) -> None:
    """A point stands behind all."""
    content = message["content"]
    message["content"] = [part for part in content if part.shape != "CachePointPart" or part is content[-1]]


def _mend_asked(reasoning: Any) -> None:
    _keep_one(reasoning, "effort", "budget_tokens")
    if not reasoning:
        reasoning["effort"] = "low"


NATIVE = Grammar(
    native_schema.CompletionBody,
    {
        ("ImageUrl", "url"): IMAGE_URLS,
        ("File", "file_data"): DOCUMENT_URLS,
        ("File", "filename"): FILE_NAMES,
        ("FunctionCall", "arguments"): JSON_TEXTS,
        ("FunctionCall", "name"): NAMES,
        ("ToolCall", "id"): IDS,
        ("ToolMessage", "tool_call_id"): IDS,
        ("Function", "name"): NAMES,
        ("Function", "parameters"): SCHEMAS,
        ("JsonSchema", "name"): NAMES,
        ("JsonSchema", "schema"): SCHEMAS,
        ("Guardrail", "identifier"): st.just("gr1"),
        ("Guardrail", "version"): st.sampled_from(["1", "DRAFT"]),
        ("CompletionBody", "betas"): st.just(["context-1m-2025-08-07"]),
        ("CompletionBody", "metadata"): TEXTS,
        ("CompletionBody", "provider"): st.just("amazon"),
        ("CompletionBody", "seed"): st.integers(-9, 9),
        ("AssistantMessage", "citations"): st.just([{"title": "t"}]),
    },
    {
        "CompletionBody": _mend_native,
        "Reasoning": _mend_block,
        "AssistantMessage": _mend_assistant,
        "ToolMessage": _mend_result,
        "ReasoningRequest": _mend_asked,
    },
)


# ── OpenAI's chat ─────────────────────────────────────────────────────────────────────────────────────


def _mend_chat(body: Any) -> None:
    _keep_one(body, "max_completion_tokens", "max_tokens")
    _keep_one(body, "thinking", "reasoning_effort")
    if not body.get("stream"):
        body.pop("stream_options", None)
    if not any(one.shape in {"UserMessage", "ToolMessage"} for one in body["messages"]):
        body["messages"].append(Shaped.of("UserMessage", {"role": "user", "content": "x"}))
    for name in ("user", "safety_identifier"):
        body.get("metadata", {}).pop(name, None)
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    if not names:
        body.pop("parallel_tool_calls", None)
    _choose(body, names, _of_chat)
    for allowed in _find(body, "AllowedTools"):
        for tool in allowed["tools"]:
            tool["function"]["name"] = names[0]


def _mend_thinking(thinking: Any) -> None:
    if thinking["type"] == "enabled":
        thinking.setdefault("budget_tokens", 9)
    else:
        thinking.pop("budget_tokens", None)


def _mend_thinking_block(block: Any) -> None:
    if block["type"] == "thinking":
        block.pop("data", None)
        if not block.keys() & {"thinking", "signature"}:
            block["thinking"] = "t"
    else:
        block.setdefault("data", "ZA==")
        block.pop("thinking", None)
        block.pop("signature", None)


_MARKS = ("cache_control", "prompt_cache_breakpoint")


def _mend_mark(marked: Any) -> None:
    _keep_one(marked, *_MARKS)


def _mend_message(message: Any) -> None:
    """Mark what is said, and once: the parts or the message."""
    _mend_mark(message)
    if message["role"] == "assistant":
        _mend_assistant(message)
    parts = [part for part in message.get("content") or () if isinstance(part, dict)]
    said = message.get("content") or message.get("tool_calls") or message["role"] == "tool"
    if not said:
        _unmark(message)
    elif not message.keys().isdisjoint(_MARKS):
        for one in parts if _pick(message, 2) else [message]:
            _unmark(one)
    if message["role"] == "tool":  # has one point at most
        for part in [one for one in parts if not one.keys().isdisjoint(_MARKS)][1:]:
            _unmark(part)


def _unmark(marked: Any) -> None:
    for mark in _MARKS:
        marked.pop(mark, None)


def _mend_tool(tool: Any) -> None:
    if "cache_control" in tool and "cache_control" in tool["function"]:
        del (tool if _pick(tool, 2) else tool["function"])["cache_control"]


def _of_chat(choice: Any) -> Any:
    return choice["function"] if isinstance(choice, dict) and choice["type"] == "function" else None


_NEUTRAL_IN_CHAT: Mapping[str, Any] = {
    **dict.fromkeys(("audio", "function_call", "moderation", "prediction", "web_search_options")),
    "frequency_penalty": 0,
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "n": 1,
    "modalities": ["text"],
    "presence_penalty": 0,
    "prompt_cache_retention": "in_memory",
    "store": False,
    "top_logprobs": 0,
    "verbosity": "medium",
}

CHAT = Grammar(
    openai_schema.ChatBody,
    {
        ("ImageUrl", "url"): IMAGE_URLS,
        ("File", "file_data"): DOCUMENT_URLS,
        ("File", "filename"): FILE_NAMES,
        ("File", "file_id"): NOTHING,
        ("CalledFunction", "arguments"): JSON_TEXTS,
        ("CalledFunction", "name"): NAMES,
        ("CalledFunction", "parsed_arguments"): OBJECTS,
        ("ToolCall", "id"): IDS,
        ("ToolMessage", "tool_call_id"): IDS,
        ("Function", "name"): NAMES,
        ("Function", "parameters"): SCHEMAS,
        ("JsonSchema", "name"): NAMES,
        ("JsonSchema", "schema"): SCHEMAS,
        ("AssistantMessage", "annotations"): st.just([]),
        ("AssistantMessage", "citations"): st.just([{"title": "t"}]),
        ("AssistantMessage", "parsed"): OBJECTS,
        ("AssistantMessage", "audio"): NOTHING,
        ("AssistantMessage", "function_call"): NOTHING,
        ("ChatBody", "metadata"): TEXTS,
        ("ChatBody", "user"): st.just("u"),
        ("ChatBody", "safety_identifier"): st.just("s"),
        **{("ChatBody", name): st.just(value) for name, value in _NEUTRAL_IN_CHAT.items()},
    },
    {
        "ChatBody": _mend_chat,
        "File": lambda file: file.setdefault("file_data", "data:application/pdf;base64,eA=="),
        "Thinking": _mend_thinking,
        "ThinkingBlock": _mend_thinking_block,
        "Tool": _mend_tool,
        **dict.fromkeys(("TextPart", "ImagePart", "FilePart"), _mend_mark),
        **dict.fromkeys(("SystemMessage", "UserMessage", "AssistantMessage", "ToolMessage"), _mend_message),
    },
)


# ── OpenAI's Responses ────────────────────────────────────────────────────────────────────────────────

_SAID_BY_USER = frozenset({"InputText", "InputImage", "InputFile"})
_SAID_BY_MODEL = frozenset({"OutputText", "Refusal"})


def _mend_responses(body: Any) -> None:
    items = body["input"]
    of_system = [one for one in items if one.get("role") in {"system", "developer"}]
    turns = [one for one in items if one.get("role") not in {"system", "developer"}]
    body["input"] = [*of_system, *(turns or [Shaped.of("Message", {"role": "user", "content": "x"})])]
    body.get("metadata", {}).pop("user", None)
    names = [tool["name"] for tool in body.get("tools", ())]
    _choose(body, names, lambda choice: choice if isinstance(choice, dict) else None)


def _mend_said(message: Any) -> None:
    if isinstance(message["content"], list):
        allowed = {"user": _SAID_BY_USER, "assistant": _SAID_BY_MODEL}.get(message["role"], {"InputText"})
        message["content"] = [part for part in message["content"] if part.shape in allowed] or "x"


def _mend_output(output: Any) -> None:
    if isinstance(output["output"], list):
        output["output"] = [part for part in output["output"] if part.shape in _SAID_BY_USER]


def _mend_reasoning(item: Any) -> None:
    if str(item.get("encrypted_content")).startswith("redacted:"):
        item.pop("summary", None)
        item.pop("content", None)
    elif "encrypted_content" not in item and not item.get("summary") and not item.get("content"):
        item["encrypted_content"] = "signature:s"


_NEUTRAL_IN_RESPONSES: Mapping[str, Any] = {
    **dict.fromkeys(("context_management", "conversation", "max_tool_calls", "previous_response_id")),
    "background": False,
    "prompt": None,
    "prompt_cache_retention": None,
    "store": False,
    "top_logprobs": 0,
    "truncation": "disabled",
}

RESPONSES = Grammar(
    responses_schema.ResponseBody,
    {
        ("InputImage", "image_url"): IMAGE_URLS,
        ("InputImage", "file_id"): NOTHING,
        ("InputFile", "file_data"): DOCUMENT_URLS,
        ("InputFile", "filename"): FILE_NAMES,
        ("InputFile", "file_id"): NOTHING,
        ("InputFile", "file_url"): NOTHING,
        ("OutputText", "annotations"): st.just([{"type": "bedrock_citation"}]),
        ("OutputText", "logprobs"): st.just([]),
        ("OutputText", "parsed"): OBJECTS,
        ("FunctionCall", "call_id"): IDS,
        ("FunctionCall", "name"): NAMES,
        ("FunctionCall", "arguments"): JSON_TEXTS,
        ("FunctionCall", "parsed_arguments"): OBJECTS,
        ("FunctionCallOutput", "call_id"): IDS,
        ("ReasoningItem", "encrypted_content"): st.sampled_from(["signature:s", "redacted:ZA=="]),
        ("Function", "name"): NAMES,
        ("Function", "parameters"): SCHEMAS,
        ("SchemaFormat", "name"): NAMES,
        ("SchemaFormat", "schema"): SCHEMAS,
        ("ResponseBody", "metadata"): TEXTS,
        ("ResponseBody", "user"): st.just("u"),
        ("ResponseBody", "safety_identifier"): st.just("s"),
        ("ResponseBody", "include"): st.just(["reasoning.encrypted_content"]),
        **{("ResponseBody", name): st.just(value) for name, value in _NEUTRAL_IN_RESPONSES.items()},
    },
    {
        "ResponseBody": _mend_responses,
        "Message": _mend_said,
        "FunctionCallOutput": _mend_output,
        "InputImage": lambda image: image.setdefault("image_url", "data:image/png;base64,eA=="),
        "InputFile": lambda file: file.setdefault("file_data", "data:application/pdf;base64,eA=="),
        "ReasoningItem": _mend_reasoning,
    },
)


# ── Anthropic ─────────────────────────────────────────────────────────────────────────────────────────


def _mend_anthropic(body: Any) -> None:
    _keep_one(body, "output_config", "output_format")
    thinking = body.get("thinking")
    if thinking is not None and thinking["type"] != "adaptive":
        body.get("output_config", {}).pop("effort", None)
    choice = body.get("tool_choice")
    if choice is not None:
        choice.pop("name", None)
    names = [tool["name"] for tool in body.get("tools", ())]
    _choose(body, names, lambda one: one if one is not None and one["type"] == "tool" else None)


def _mend_tool_result(result: Any) -> None:
    for block in result.get("content", ()):
        block.pop("cache_control", None)


ANTHROPIC = Grammar(
    anthropic_schema.MessagesBody,
    {
        ("ImageSource", "data"): BASE64,
        ("PdfSource", "data"): BASE64,
        ("TextBlock", "citations"): st.just([]),
        ("SpokenTextBlock", "citations"): st.just([{"type": "char_location"}]),
        ("RedactedThinkingBlock", "data"): BASE64,
        ("ToolUseBlock", "id"): IDS,
        ("ToolUseBlock", "name"): NAMES,
        ("ToolUseBlock", "input"): OBJECTS,
        ("ToolResultBlock", "tool_use_id"): IDS,
        ("Tool", "name"): NAMES,
        ("Tool", "input_schema"): SCHEMAS,
        ("Tool", "allowed_callers"): st.just(["direct"]),
        ("JsonFormat", "schema"): SCHEMAS,
    },
    {"MessagesBody": _mend_anthropic, "ToolResultBlock": _mend_tool_result},
)
