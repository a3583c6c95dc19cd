"""Parameters of a request, checked alike for every family: applied as they are or refused by name.

Nothing is clamped: a caller who asks for temperature 1.5 is told the range, not given 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, ToolChoice

DEFAULT_MAX_TOKENS = 4096
"""Tokens of output where the caller sets no limit.

Bedrock reserves `max_tokens` of the account's quota at the start of a request, and the model's whole maximum
(64,000 and more) where it is unset; Claude demands a figure anyway.
"""

DEFAULTED = frozenset({"claude", "nova", "titan"})
"""Families whose maxima we are sure of."""

MAX_STOP_SEQUENCES = {
    "claude": 8191,
    "converse": 2500,
    "cohere_command": 4,
    "cohere_command_r": 5,
    "writer": 4,
    "mistral": 10,
    "deepseek_r1": 10,
    "emulated": 16,
}
"""From AWS's parameter reference and the service model; where it has none (Nova, Titan), Bedrock judges.
`emulated` is ours: see `stop_sequences`."""


def max_tokens(request: CompletionRequest, model: Model, highest: int | None = None) -> int | None:
    """Return the output limit to send, None to leave it to the model.

    `highest` is the family's documented maximum; None: it has none of its own, Bedrock judges.

    The gateway's default is applied under InvokeModel, and for the families of `DEFAULTED` under Converse
    too, so that the operation makes no difference. For other families the model's own default stands there:
    our figures of their maxima are not sure enough to send one that the caller did not ask for. What a
    caller's rules allow it is sent to all.
    """
    if request.max_tokens is not None:
        if request.max_tokens < 1:
            raise InvalidRequest("max_tokens must be at least 1.", param="max_tokens")
        if highest is not None and request.max_tokens > highest:
            raise InvalidRequest(f"max_tokens must be between 1 and {highest}.", param="max_tokens")
        return request.max_tokens
    if request.allowance is not None:
        default = request.allowance.default
    elif model.api == "converse" and model.native_family not in DEFAULTED:
        return None
    else:
        default = DEFAULT_MAX_TOKENS
    return min(model.max_output_tokens or default, highest or default, default)


def sampling(
    request: CompletionRequest,
    model: Model,
    *,
    top_k: int | None,
    temperature: int = 1,
    top_p: tuple[float, float] = (0, 1),
) -> Mapping[str, float | int]:
    """Return those of temperature, top_p and top_k that the caller gave, after checking them.

    `temperature` and `top_k` are the family's highest (from 0), `top_p` its lowest and highest; `top_k` None:
    the family has no such parameter.
    """
    given: dict[str, float | int] = {}
    if request.temperature is not None:
        given["temperature"] = request.temperature
    if request.top_p is not None:
        given["top_p"] = request.top_p
    if request.top_k is not None:
        given["top_k"] = request.top_k
    if given:
        _check_sampling(given, model, top_k, {"temperature": (0, temperature), "top_p": top_p})
    return given


def _check_sampling(
    given: Mapping[str, float], model: Model, top_k: int | None, ranges: dict[str, tuple[float, float]]
) -> None:
    if not model.sampling:
        name = next(iter(given))
        raise InvalidRequest(f"{model.base_id} does not accept {name}: it samples its own way.", param=name)
    if "top_k" in given and top_k is None:
        raise InvalidRequest("top_k: this model has no such parameter.", param="top_k")
    ranges["top_k"] = (0, top_k or 0)
    for name, value in given.items():
        _check_range(name, value, *ranges[name])


def stop_sequences(request: CompletionRequest, family: str) -> list[str]:
    """Return the stop sequences, after checking how many they are and that none is empty.

    `family` is a key of `MAX_STOP_SEQUENCES`, or anything else where no limit is known.
    """
    limit = MAX_STOP_SEQUENCES.get(family)
    if limit is not None and len(request.stop) > limit:
        raise InvalidRequest(f"stop: at most {limit} sequences are accepted.", param="stop")
    for position, sequence in enumerate(request.stop):
        if not sequence:
            raise InvalidRequest("stop: a stop sequence must not be empty.", param=f"stop[{position}]")
    return list(request.stop)


def tool_choice(request: CompletionRequest) -> ToolChoice | None:
    """Return the tool choice, after checking that there is something to choose from."""
    choice = request.tool_choice
    if choice is None or choice.mode == "none":
        return choice
    if not request.tools:
        raise InvalidRequest("tool_choice needs tools.", param="tool_choice")
    if choice.mode == "tool" and choice.name not in {tool.name for tool in request.tools}:
        raise InvalidRequest("tool_choice names a tool that is not among tools.", param="tool_choice")
    return choice


_PAIRS = 16
_METADATA_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}", re.ASCII)
_METADATA_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}", re.ASCII)


def check_metadata(request: CompletionRequest) -> None:
    """Check the metadata against what Converse takes; the same is asked of it for InvokeModel.

    Raises:
        InvalidRequest: too many pairs, or a key or value that is too long or has other characters.
    """
    if len(request.metadata) > _PAIRS:
        raise InvalidRequest(f"metadata: at most {_PAIRS} pairs are accepted.", param="metadata")
    for key, value in request.metadata.items():
        if not (_METADATA_KEY.fullmatch(key) and _METADATA_VALUE.fullmatch(value)):
            raise InvalidRequest(
                "metadata: keys (1 to 256 characters) and values (up to 256) may have ASCII letters, digits, "
                "white space and : _ @ $ # = / + , - .",
                param="metadata",
            )


GUARDRAIL_CONFIG = "amazon-bedrock-guardrailConfig"
_STREAM_MODES = {"sync": "SYNCHRONOUS", "async": "ASYNCHRONOUS"}


def invoked(body: Mapping[str, Any], request: CompletionRequest) -> bytes:
    """Return an InvokeModel body as JSON, with what Bedrock itself takes in one, whichever family reads it.

    Raises:
        InvalidRequest: as `encode`.
    """
    guardrail = request.guardrail
    if guardrail is not None and guardrail.stream_mode is not None:
        mode = {"streamProcessingMode": _STREAM_MODES[guardrail.stream_mode]}
        body = {**body, GUARDRAIL_CONFIG: mode}
    return encode(body)


def encode(body: Mapping[str, Any]) -> bytes:
    """Return `body` as JSON, in memory of just its size: it is kept until the answer has ended.

    orjson gives what it wrote in the buffer it wrote to: 4 KiB at least, and up to twice the size.

    Raises:
        InvalidRequest: it holds what JSON cannot say, such as half a surrogate pair.
    """
    try:
        return bytes(memoryview(orjson.dumps(body, default=_plain)))
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"the request cannot be written as JSON: {error}.") from error


def _plain(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no place in JSON")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also false for NaN
        raise InvalidRequest(f"{name} must be between {low} and {high}.", param=name)
