"""OpenAI's Responses: JSON value in, one `CompletionRequest` out, or a 400 that names the field.

Stateless: nothing of an answer is kept, so all of a conversation comes with each request, with the reasoning
of earlier answers in it (`encrypted_content` has the model's signature).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gateway import domain
from gateway.dialects import responses_plain
from gateway.dialects import responses_schema as shape
from gateway.dialects.inline_content import Arguments, document_part, image_part
from gateway.dialects.problems import invalid
from gateway.dialects.responses_objects import Echo, unsealed
from gateway.dialects.responses_plain import Asked
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TOOL_CHOICES = MappingProxyType(
    {
        "auto": domain.ToolChoice("auto"),
        "none": domain.ToolChoice("none"),
        "required": domain.ToolChoice("any"),
    }
)
_NOTHING = domain.TextPart("")
"""What clients send beside other things, and a tool that said nothing returns; Bedrock does not take it."""
_STATELESS = "this gateway keeps no answers: send the whole conversation in `input`"
REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = MappingProxyType(
    {
        "background": ((False,), "answers are not made in the background here"),
        "context_management": ((), "conversations are not shortened here: send what the model is to see"),
        "conversation": ((), _STATELESS),
        "max_tool_calls": ((), "no tools are run here, only the caller's own"),
        "previous_response_id": ((), _STATELESS),
        "prompt": ((), "prompt templates are not kept here: send `instructions` and `input`"),
        "prompt_cache_retention": ((), "Bedrock caches for 5 minutes or 1 hour, at cache points"),
        "store": ((False,), _STATELESS),
        "top_logprobs": ((0,), "Bedrock's models do not tell log probabilities"),
        "truncation": (("disabled",), "nothing is left out of `input` here"),
    }
)
"""Field → the values that ask for nothing, and why any other is refused."""
INCLUDED = "reasoning.encrypted_content"
"""What may be asked to be included; it always is."""
SERVER_TOOLS = "Only tools of type `function` are served: no tool is run by this gateway or by Bedrock."


def parse(value: Any, *, default_model: str | None = None) -> Asked:
    """Return what this parsed JSON body asks; a body without `model` means the default one.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong; the message names up to five.
    """
    if (usual := responses_plain.read(value, default_model=default_model)) is not None:
        return usual
    if default_model is not None and isinstance(value, dict) and "model" not in value:
        value = {**value, "model": default_model}
    return Asked(of_schema(value), bool(value.get("stream")), Echo.of(value))


def of_schema(value: Any) -> domain.CompletionRequest:
    """Return the request, whatever its shape; raises as `parse` does."""
    _refuse(value)
    try:
        body = shape.ResponseBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    system, messages = _conversation(body)
    return domain.CompletionRequest(
        model=body.model,
        system=system,
        messages=messages,
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        tools=tuple(_tool(tool) for tool in body.tools or ()),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning=_reasoning(body),
        response_format=_response_format(body),
        service_tier=None if body.service_tier == "auto" else body.service_tier,
        metadata=_metadata(body),
    )


def _refuse(value: Any) -> None:
    """Refuse by name what the API knows and this gateway does not do."""
    if not isinstance(value, dict):
        return
    for name, (harmless, reason) in REFUSED.items():
        given = value.get(name)
        if given is not None and not any(given is fine or given == fine for fine in harmless):
            raise InvalidRequest(f"`{name}`: {reason}.", param=name)
    included = value.get("include")
    for position, name in enumerate(included if isinstance(included, list) else ()):
        if name != INCLUDED:
            raise InvalidRequest(f"Only `{INCLUDED}` can be included.", param=f"include[{position}]")
    tools = value.get("tools")
    for position, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("type", "function") != "function":
            raise InvalidRequest(SERVER_TOOLS, param=f"tools[{position}].type")


# ── the conversation ──────────────────────────────────────────────────────────────────────────────────


def _conversation(
    body: shape.ResponseBody,
) -> tuple[tuple[domain.TextPart, ...], tuple[domain.Message, ...]]:
    system = [domain.TextPart(body.instructions)] if body.instructions else []
    turns: list[tuple[domain.Role, list[domain.Part]]] = []
    arguments = Arguments()
    for position, item in enumerate(body.input):
        path = f"input[{position}]"
        if isinstance(item, shape.Message) and item.role in {"system", "developer"}:
            if turns:
                raise InvalidRequest("System text must come before the first turn.", param=f"{path}.role")
            system.extend(_system(item, path))
            continue
        role, parts = _parts(item, path, arguments)
        # Items of one answer, and results in a row, are one turn
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    if not turns:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="input")
    return tuple(system), tuple(domain.Message(role, tuple(parts)) for role, parts in turns)


def _system(item: shape.Message, path: str) -> Iterable[domain.TextPart]:
    if isinstance(item.content, str):
        return [domain.TextPart(item.content)] if item.content else []
    texts = []
    for number, part in enumerate(item.content):
        if not isinstance(part, shape.InputText):
            raise InvalidRequest("System text is of `input_text` only.", param=f"{path}.content[{number}]")
        texts.append(domain.TextPart(part.text))
    return texts


def _parts(item: shape.Item, path: str, arguments: Arguments) -> tuple[domain.Role, list[domain.Part]]:
    match item:
        case shape.FunctionCall():
            given = arguments.read(item.arguments, f"{path}.arguments")
            return "assistant", [domain.ToolUsePart(item.call_id, item.name, given)]
        case shape.FunctionCallOutput():
            content = _user_content(item.output, f"{path}.output")
            said = tuple([part for part in content if part != _NOTHING])
            return "user", [domain.ToolResultPart(item.call_id, said)]
        case shape.ReasoningItem():
            return "assistant", [_reasoning_part(item, path)]
        case _ if item.role == "assistant":
            texts = _assistant_content(item.content, f"{path}.content")
            return "assistant", [part for part in texts if part != _NOTHING]
        case _:
            content = _user_content(item.content, f"{path}.content")
            return "user", [part for part in content if part != _NOTHING] or list(content)


def _user_content(
    content: str | Sequence[Any], path: str
) -> tuple[domain.TextPart | domain.ImagePart | domain.DocumentPart, ...]:
    if isinstance(content, str):
        return (domain.TextPart(content),)
    return tuple(_user_part(part, f"{path}[{number}]") for number, part in enumerate(content))


def _user_part(part: Any, path: str) -> domain.TextPart | domain.ImagePart | domain.DocumentPart:
    match part:
        case shape.InputText():
            return domain.TextPart(part.text)
        case shape.InputImage():
            _check_inline(part, path, "file_id", needed="image_url")
            return image_part(part.image_url or "", f"{path}.image_url")
        case shape.InputFile():
            _check_inline(part, path, "file_id", "file_url", needed="file_data")
            return document_part(part.file_data or "", part.filename or "document", f"{path}.file_data")
        case _:
            raise InvalidRequest("What a model has said has no place in a user's turn.", param=path)


def _check_inline(part: shape.InputImage | shape.InputFile, path: str, *elsewhere: str, needed: str) -> None:
    """Refuse content that is not in the body, by the field that says where it is."""
    for name in elsewhere:
        if getattr(part, name) is not None:
            raise InvalidRequest(f"No file is kept or fetched here: send `{needed}`.", param=f"{path}.{name}")
    if getattr(part, needed) is None:
        raise InvalidRequest("Images and files come inline, as a `data:` URL.", param=f"{path}.{needed}")


def _assistant_content(content: str | Sequence[Any], path: str) -> Iterable[domain.TextPart]:
    if isinstance(content, str):
        return [domain.TextPart(content)]
    texts = []
    for number, part in enumerate(content):
        match part:
            case shape.OutputText() | shape.InputText():
                texts.append(domain.TextPart(part.text))
            case shape.Refusal():
                texts.append(domain.TextPart(part.refusal))
            case _:
                raise InvalidRequest("An assistant's turn is of text only.", param=f"{path}[{number}]")
    return texts


def _reasoning_part(item: shape.ReasoningItem, path: str) -> domain.ReasoningPart:
    pieces = [*(part.text for part in item.content or ()), *(part.text for part in item.summary)]
    if item.encrypted_content is None:
        if not pieces:
            raise InvalidRequest("Give the reasoning back as it came.", param=path)
        return domain.ReasoningPart("".join(pieces))
    signature, redacted = unsealed(item.encrypted_content, f"{path}.encrypted_content")
    if redacted is not None and pieces:
        raise InvalidRequest("Redacted reasoning has no text: give it back as it came.", param=path)
    return domain.ReasoningPart("".join(pieces), signature, redacted)


# ── tools, reasoning, the form of the answer ──────────────────────────────────────────────────────────


def _tool(tool: shape.Function) -> domain.Tool:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return domain.Tool(tool.name, tool.description, parameters, tool.strict)


def _tool_choice(body: shape.ResponseBody) -> domain.ToolChoice | None:
    choice = body.tool_choice
    if choice is None:
        return None
    if isinstance(choice, str):
        if not body.tools and choice != "required":  # SDKs send `auto` with every request
            return None
        if not body.tools:
            raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
        return TOOL_CHOICES[choice]
    if choice.name not in {tool.name for tool in body.tools or ()}:
        raise InvalidRequest("`tool_choice` names a function that is not in `tools`.", param="tool_choice")
    return domain.ToolChoice("tool", choice.name)


def _reasoning(body: shape.ResponseBody) -> domain.Reasoning | None:
    if body.reasoning is None or body.reasoning.effort is None:
        return None
    return domain.Reasoning(effort=body.reasoning.effort)


def _response_format(body: shape.ResponseBody) -> domain.ResponseFormat | None:
    form = body.text.format if body.text is not None else None
    match form:
        case shape.JsonFormat():
            return domain.ResponseFormat()
        case shape.SchemaFormat():
            return domain.ResponseFormat(form.schema_, form.name, form.description, form.strict)
        case _:
            return None


def _metadata(body: shape.ResponseBody) -> dict[str, str]:
    metadata = dict(body.metadata or {})
    for name, value in (("user", body.user), ("safety_identifier", body.safety_identifier)):
        if value is not None:
            if metadata.get(name, value) != value:
                raise InvalidRequest(f"`metadata` has another `{name}`.", param=f"metadata.{name}")
            metadata[name] = value
    return metadata
