"""OpenAI's chat completions: JSON value in, one `CompletionRequest` out, or a 400 that names the field.

What is taken and changes nothing: `prompt_cache_key` (a hint where to look for a cache, which Bedrock finds
by itself), `store: false` and what else `openai_refused` has at its neutral value, and of messages what
`openai_messages` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from gateway import domain
from gateway.dialects import openai_plain
from gateway.dialects import openai_schema as shape
from gateway.dialects.openai_messages import conversation
from gateway.dialects.openai_plain import ChatRequest
from gateway.dialects.openai_refused import check_refused
from gateway.dialects.problems import invalid
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.domain import CacheTtl, CompletionRequest, ServiceTier

_TIERS: Final[Mapping[str, ServiceTier]] = {
    "default": "default",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",  # OpenAI's newer name for it
    "reserved": "reserved",
}
_CHOICES: Final = {
    "auto": domain.ToolChoice("auto"),
    "none": domain.ToolChoice("none"),
    "required": domain.ToolChoice("any"),
}


def parse(value: Any, *, default_model: str | None = None) -> ChatRequest:
    """Return the request that this parsed JSON body means; a body without `model` means the default one.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong; the message names up to five.
    """
    if (usual := openai_plain.read(value, default_model=default_model)) is not None:
        return usual
    if default_model is not None and isinstance(value, dict) and "model" not in value:
        value = {**value, "model": default_model}
    return of_schema(value)


def of_schema(value: Any) -> ChatRequest:
    """Return what `parse` does, whatever the shape of the request; raises as it does."""
    try:
        body = shape.ChatBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    check_refused(body)
    options = body.stream_options
    if options is not None and not body.stream:
        raise InvalidRequest("`stream_options` needs `stream: true`.", param="stream_options")
    return ChatRequest(
        _completion(body), bool(body.stream), options is not None and bool(options.include_usage)
    )


def _completion(body: shape.ChatBody) -> CompletionRequest:
    system, messages, *_ = conversation(body.messages, _cache_ttl(body))
    tools = tuple(_tool(tool, f"tools[{number}]") for number, tool in enumerate(body.tools or ()))
    choice, tools = _choice(body, tools)
    return domain.CompletionRequest(
        model=body.model,
        messages=messages,
        system=system,
        max_tokens=_max_tokens(body),
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop or ()),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=_parallel(body),
        reasoning=_reasoning(body),
        response_format=_response_format(body.response_format),
        seed=body.seed,
        service_tier=_TIERS.get(body.service_tier or "auto"),
        metadata=_metadata(body),
    )


def _cache_ttl(body: shape.ChatBody) -> CacheTtl | None:
    """Return how long cache points are to live; an hour is what Bedrock has that is no less than OpenAI's."""
    options = body.prompt_cache_options
    return "1h" if options is not None and options.ttl is not None else None


def _max_tokens(body: shape.ChatBody) -> int | None:
    if body.max_completion_tokens is not None and body.max_tokens is not None:
        raise InvalidRequest(
            "Give either `max_completion_tokens` or `max_tokens`, which is its old name.", param="max_tokens"
        )
    return body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens


def _reasoning(body: shape.ChatBody) -> domain.Reasoning | None:
    thinking = body.thinking
    if thinking is None:
        return None if body.reasoning_effort is None else domain.Reasoning(effort=body.reasoning_effort)
    if body.reasoning_effort is not None:
        raise InvalidRequest("Give either `reasoning_effort` or `thinking`.", param="thinking")
    if (thinking.type == "enabled") != (thinking.budget_tokens is not None):
        raise InvalidRequest(
            "`thinking` is enabled with `budget_tokens`, or disabled without.", param="thinking.budget_tokens"
        )
    if thinking.type == "disabled":
        return domain.Reasoning(effort="none")
    return domain.Reasoning(budget_tokens=thinking.budget_tokens)


def _response_format(form: shape.ResponseFormat | None) -> domain.ResponseFormat | None:
    if form is None or isinstance(form, shape.TextFormat):
        return None
    if isinstance(form, shape.JsonFormat):
        return domain.ResponseFormat()
    asked = form.json_schema
    return domain.ResponseFormat(asked.schema_, asked.name, asked.description, asked.strict)


def _metadata(body: shape.ChatBody) -> Mapping[str, str]:
    """Return what is kept beside Bedrock's invocation logs; who the user is, too."""
    who = {"user": body.user, "safety_identifier": body.safety_identifier}
    told = {name: value for name, value in who.items() if value is not None}
    metadata = body.metadata or {}
    for name in told.keys() & metadata.keys():
        raise InvalidRequest(f"`metadata` has a `{name}` of its own: send it once.", param=f"metadata.{name}")
    return {**metadata, **told}


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────


def _tool(tool: shape.Tool, path: str) -> domain.Tool:
    function = tool.function
    if tool.cache_control is not None and function.cache_control is not None:
        raise InvalidRequest("Give `cache_control` once.", param=f"{path}.function.cache_control")
    cached = tool.cache_control or function.cache_control
    schema = function.parameters
    return domain.Tool(
        function.name,
        function.description,
        {"type": "object", "properties": {}} if schema is None else schema,
        function.strict,
        None if cached is None else domain.CachePoint(cached.ttl),
    )


def _choice(
    body: shape.ChatBody, tools: tuple[domain.Tool, ...]
) -> tuple[domain.ToolChoice | None, tuple[domain.Tool, ...]]:
    """Return the choice, and the tools to choose from: of allowed tools the model gets no others to see."""
    choice = body.tool_choice
    if choice is None:
        return None, tools
    if not tools:
        raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
    if isinstance(choice, str):
        return _CHOICES[choice], tools
    if isinstance(choice, shape.NamedTool):
        name = _named([choice], tools, "tool_choice.function.name")[0]
        return domain.ToolChoice("tool", name), tools
    allowed = _named(choice.allowed_tools.tools, tools, "tool_choice.allowed_tools.tools")
    return _CHOICES[choice.allowed_tools.mode], tuple(tool for tool in tools if tool.name in allowed)


def _named(chosen: Iterable[shape.NamedTool], tools: Sequence[domain.Tool], path: str) -> list[str]:
    names = [tool.function.name for tool in chosen]
    if not {tool.name for tool in tools}.issuperset(names):
        raise InvalidRequest("`tool_choice` names a function that is not in `tools`.", param=path)
    return names


def _parallel(body: shape.ChatBody) -> bool | None:
    if body.parallel_tool_calls is not None and not body.tools:
        raise InvalidRequest("`parallel_tool_calls` needs `tools`.", param="parallel_tool_calls")
    return body.parallel_tool_calls
