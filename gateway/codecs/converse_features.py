"""What a Converse request may have besides the conversation, its limits and its tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.codecs.claude_request import claude_choice
from gateway.codecs.parameters import encode, tool_choice
from gateway.codecs.reasoning import claude_thinking, kind_of, nova_config

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Guardrail, ResponseFormat

Json = dict[str, Any]


def is_more_than_plain(request: CompletionRequest) -> bool:
    """Tell whether `add_features` has something to add."""
    return bool(
        request.reasoning is not None
        or request.response_format is not None
        or request.guardrail is not None
        or request.service_tier is not None
        or request.latency is not None
        or request.seed is not None
        or request.betas
        or request.parallel_tool_calls is False
    )


def add_features(request: CompletionRequest, model: Model, body: Json) -> None:
    """Add to a body what the request asks for, and to its fields what only the model's family knows.

    Raises:
        InvalidRequest: what goes with the reasoning cannot.
    """
    guarded, tier, latency = request.guardrail, request.service_tier, request.latency
    form = request.response_format
    output: Json = {} if form is None else {"textFormat": _text_format(form)}
    _add_family_words(request, body)
    if request.reasoning is not None:
        _reason(request, model, body, output)
    body["guardrailConfig"] = None if guarded is None else _guardrail(guarded, model)
    body["serviceTier"] = None if tier is None else {"type": tier}
    body["performanceConfig"] = None if latency is None else {"latency": latency}
    body["outputConfig"] = output


def _add_family_words(request: CompletionRequest, body: Json) -> None:
    """Add what Converse has no field for."""
    extra: Json = body["additionalModelRequestFields"]
    if request.seed is not None:
        extra["seed"] = request.seed
    if request.betas:
        extra["anthropic_beta"] = list(request.betas)
    if request.parallel_tool_calls is False and body["toolConfig"]:
        extra["tool_choice"] = claude_choice(request, tool_choice(request))
        body["toolConfig"].pop("toolChoice", None)  # Claude's own word says it already


def _reason(request: CompletionRequest, model: Model, body: Json, output: Json) -> None:
    extra, kind = body["additionalModelRequestFields"], kind_of(model)
    if kind == "nova":
        extra["reasoningConfig"] = nova_config(request)
    elif kind == "effort" and request.reasoning is not None:
        extra["reasoning_effort"] = request.reasoning.effort
    elif kind != "none":
        thinking, effort, limit = claude_thinking(request, model)
        if thinking is not None:
            extra["thinking"] = thinking
        if effort is not None:
            output["effort"] = effort
        if limit is not None:
            body["inferenceConfig"]["maxTokens"] = limit


def _guardrail(guardrail: Guardrail, model: Model) -> Json:
    """Return `guardrailConfig`; the mode is a stream's only: a whole answer is judged before it is sent."""
    config = {
        "guardrailIdentifier": guardrail.identifier,
        "guardrailVersion": guardrail.version,
        "streamProcessingMode": guardrail.stream_mode if model.streaming else None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _text_format(form: ResponseFormat) -> Json:
    definition = {
        "schema": encode(form.schema or {}).decode(),
        "name": form.name,
        "description": form.description,
    }
    schema = {name: value for name, value in definition.items() if value is not None}
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
