"""From a request to the body of one model's call: defaults, what the model lacks, its codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.catalog.defaults import with_defaults
from gateway.codecs import codec_for
from gateway.codecs.capabilities import check
from gateway.codecs.stop_sequences import emulated
from gateway.codecs.structured import way, with_tool
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.codecs.capabilities import Others
    from gateway.domain import CompletionRequest


class Body(NamedTuple):
    """The body of a call, its headers, and what is to be done with the answer."""

    body: bytes
    headers: dict[str, str]
    stop: tuple[str, ...]
    """Stop sequences that the model does not take."""
    answer_tool: str
    """The tool whose arguments are the answer, empty where there is none."""
    plain: bool
    """Whether the request asks for nothing that has a price of its own."""


def body_of(model: Model, request: CompletionRequest, others: Others, *, check_provider: bool) -> Body:
    """Return what is to be sent to this model.

    `others` gives the models that may be asked here, for the message of a refusal.

    Raises:
        InvalidRequest: the model cannot do what is asked; `param` names the field.
    """
    if check_provider and request.provider is not None:
        _check_provider(request.provider, model)
    request = with_defaults(request, model)
    plain = check(request, model, others)
    answer_tool = ""
    if request.response_format is not None and way(request, model) == "tool":
        request, answer_tool = with_tool(request)
    codec = codec_for(model)
    stop = () if codec.stop_is_native(model) else emulated(request)
    return Body(codec.format(request, model), codec.headers(request), stop, answer_tool, plain)


def _check_provider(provider: str, model: Model) -> None:
    if model.base_id is None or provider.lower() in {"bedrock", model.provider}:
        return
    raise InvalidRequest(
        f"`provider` does not agree with `model`: the model is {model.provider}'s. Leave `provider` out.",
        param="provider",
    )
