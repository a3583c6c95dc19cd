"""The native API's requests: JSON value in, one `CompletionRequest` out, or a 400 that names the field."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from gateway import domain
from gateway.dialects import native_plain
from gateway.dialects import native_schema as shape
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DATA_URL = re.compile(r"data:image/(png|jpeg|gif|webp);base64,(.*)", re.DOTALL)
LISTED_PROBLEMS = 5
UNION_ITEM = ("messages", "content")
"""Lists whose items are unions, told apart by their role or type."""
MAX_DEPTH = 64
"""How deep the arguments of a tool call may nest, as `wire.json` bounds the body; orjson writes no deeper
than 254."""
WORDS = {
    "extra_forbidden": "unknown field",
    "union_tag_not_found": "Field required",
    "model_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "dict_type": "Input should be an object",
    "list_type": "Input should be a list (a string where text is meant)",
}
"""In the caller's terms; pydantic's would name our classes."""
TOOL_CHOICES = {
    "auto": domain.ToolChoice("auto"),
    "none": domain.ToolChoice("none"),
    "required": domain.ToolChoice("any"),
}


def parse(value: Any, *, default_model: str | None = None) -> domain.CompletionRequest:
    """Return the request that this parsed JSON body means; a body without `model` means the default one.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong; the message names up to five.
    """
    if default_model is not None and isinstance(value, dict) and "model" not in value:
        value = {**value, "model": default_model}
    return native_plain.read(value) or of_schema(value)


def of_schema(value: Any) -> domain.CompletionRequest:
    """Return what `parse` does, whatever the shape of the request; raises as it does."""
    try:
        body = shape.CompletionBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    system, turns = _split(body)
    request = domain.CompletionRequest(
        model=body.model,
        provider=body.provider,
        system=system,
        messages=tuple(_turns(turns)),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop),
        tools=tuple(_tool(tool) for tool in body.tools),
        tool_choice=_tool_choice(body),
        metadata=body.metadata,
    )
    if not request.messages:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="messages")
    return request


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


def _split(body: shape.CompletionBody) -> tuple[tuple[domain.TextPart, ...], list[tuple[int, Any]]]:
    """Separate the system text from the turns, which keep their index for error messages."""
    if (body.messages is None) == (body.prompt is None):
        raise InvalidRequest("Give either `messages` or `prompt`.", param="messages")
    texts = [body.system] if body.system is not None else []
    if body.prompt is not None:
        user = shape.UserMessage(role="user", content=[shape.TextPart(type="text", text=body.prompt)])
        return _parts(texts), [(0, user)]
    turns: list[tuple[int, Any]] = []
    for index, message in enumerate(body.messages or ()):
        if not isinstance(message, shape.SystemMessage):
            turns.append((index, message))
        elif turns:
            raise InvalidRequest(
                "System text must come before the first turn.", param=f"messages[{index}].role"
            )
        else:
            texts.extend(part.text for part in message.content)
    return _parts(texts), turns


def _parts(texts: Sequence[str]) -> tuple[domain.TextPart, ...]:
    return tuple(domain.TextPart(text) for text in texts if text)


def _turns(turns: Iterable[tuple[int, Any]]) -> Iterable[domain.Message]:
    """Tool results in a row are one turn of the user: they answer the same assistant turn."""
    results: list[domain.Part] = []
    for index, message in turns:
        if isinstance(message, shape.ToolMessage):
            content = _content(message.content, f"messages[{index}].content")
            results.append(domain.ToolResultPart(message.tool_call_id, content, message.is_error))
            continue
        if results:
            yield domain.Message("user", tuple(results))
            results = []
        if isinstance(message, shape.UserMessage):
            yield domain.Message("user", _content(message.content, f"messages[{index}].content"))
        else:
            yield domain.Message("assistant", _assistant(message, f"messages[{index}]"))
    if results:
        yield domain.Message("user", tuple(results))


def _assistant(message: shape.AssistantMessage, path: str) -> tuple[domain.Part, ...]:
    parts: list[domain.Part] = [
        _reasoning(block, f"{path}.reasoning[{number}]") for number, block in enumerate(message.reasoning)
    ]
    parts.extend(domain.TextPart(part.text) for part in message.content or ())
    for number, call in enumerate(message.tool_calls):
        arguments = _arguments(call.function.arguments, f"{path}.tool_calls[{number}].function.arguments")
        parts.append(domain.ToolUsePart(call.id, call.function.name, arguments))
    if not parts:
        raise InvalidRequest("An assistant message needs content or tool calls.", param=f"{path}.content")
    return tuple(parts)


def _reasoning(block: shape.Reasoning, path: str) -> domain.ReasoningPart:
    if bool(block.redacted) == bool(block.text or block.signature):
        raise InvalidRequest("Give either `text` with its `signature`, or `redacted`.", param=path)
    return domain.ReasoningPart(block.text, block.signature, block.redacted)


def _arguments(text: str, path: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("The arguments must be the JSON text of an object.", param=path)
    if _is_deeper(value, MAX_DEPTH):
        raise InvalidRequest(f"The arguments nest more than {MAX_DEPTH} deep.", param=path)
    return value


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for node in level for child in _children(node)]
    return any(isinstance(node, dict | list) for node in level)


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _content(parts: Sequence[Any], path: str) -> tuple[domain.TextPart | domain.ImagePart, ...]:
    return tuple(
        domain.TextPart(part.text)
        if isinstance(part, shape.TextPart)
        else image_part(part.image_url.url, f"{path}[{number}].image_url.url")
        for number, part in enumerate(parts)
    )


def image_part(url: str, path: str) -> domain.ImagePart:
    """Take an image out of its `data:` URL; the gateway never fetches one (reliability.md R57)."""
    match = DATA_URL.fullmatch(url)
    if match is None:
        raise InvalidRequest(
            "Images are taken as `data:image/png;base64,…` (png, jpeg, gif or webp); no URL is ever fetched.",
            param=path,
        )
    try:
        data = binascii.a2b_base64(match[2], strict_mode=True)
    except ValueError:  # binascii.Error is one; text beyond ASCII raises another
        raise InvalidRequest("The image is not valid base64.", param=path) from None
    if not data:
        raise InvalidRequest("The image is empty.", param=path)
    return domain.ImagePart(match[1], data)  # type: ignore[arg-type]  # the pattern allows these four only


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────


def _tool(tool: shape.Tool) -> domain.Tool:
    return domain.Tool(tool.function.name, tool.function.description, tool.function.parameters)


def _tool_choice(body: shape.CompletionBody) -> domain.ToolChoice | None:
    choice = body.tool_choice
    if choice is None:
        return None
    if not body.tools:
        raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
    if isinstance(choice, str):
        return TOOL_CHOICES[choice]
    name = choice.function.name
    if name not in {tool.function.name for tool in body.tools}:
        raise InvalidRequest("`tool_choice` names a function that is not in `tools`.", param="tool_choice")
    return domain.ToolChoice("tool", name)


# ── problems ──────────────────────────────────────────────────────────────────────────────────────────


def invalid(error: ValidationError, value: Any) -> InvalidRequest:
    """Return the error that names what a schema found wrong, in the caller's paths and without values."""
    problems = error.errors(include_input=False, include_url=False)
    described = [_describe(problem, value) for problem in problems[:LISTED_PROBLEMS]]
    listed = "; ".join(f"{path or 'body'}: {words}" for path, words in described)
    more = len(problems) - LISTED_PROBLEMS
    return InvalidRequest(
        f"{listed}{f'; and {more} more' if more > 0 else ''}.", param=described[0][0] or "body"
    )


def _describe(problem: Any, value: Any) -> tuple[str, str]:
    """Return path and words; never pydantic's words for a wrong tag, which repeat it."""
    path = _path(problem["loc"], value)
    if problem["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        path += "." + problem["ctx"]["discriminator"].strip("'")
    if problem["type"] == "union_tag_invalid":
        return path, f"Input should be one of {problem['ctx']['expected_tags']}"
    return path, WORDS.get(problem["type"], problem["msg"])


def _path(location: Sequence[int | str], value: Any) -> str:
    """Return the path as the caller wrote it, such as `messages[2].content`.

    Pydantic's locations also name the branch of a union that it took, for example the role of a message.
    Such a step is not in the caller's value, so it is left out, as is the index of an item that the caller
    gave without its list. The last step may name a field that is missing.
    """
    path, node = "", value
    for position, step in enumerate(location):
        last = position == len(location) - 1
        if isinstance(step, int):
            if isinstance(node, list):
                path, node = f"{path}[{step}]", node[step]
        elif isinstance(node, dict) and (last or (step in node and not _is_tag(location, position, node))):
            name = step if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", step) else "?"
            path += f".{name}" if path else name
            node = node.get(step)
    return path


def _is_tag(location: Sequence[int | str], position: int, node: Any) -> bool:
    """Say whether this step is the role or type of an item, not a field that has the same name."""
    if position < len(UNION_ITEM) or location[position - 2] not in UNION_ITEM:
        return False
    return location[position] in (node.get("role"), node.get("type"))
