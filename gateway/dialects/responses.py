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
from gateway.dialects.problems import invalid
from gateway.dialects.responses_input import conversation
from gateway.dialects.responses_objects import Echo
from gateway.dialects.responses_plain import Asked
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOL_CHOICES = MappingProxyType(
    {
        "auto": domain.ToolChoice("auto"),
        "none": domain.ToolChoice("none"),
        "required": domain.ToolChoice("any"),
    }
)
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
    system, messages, *_ = conversation(body)
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
