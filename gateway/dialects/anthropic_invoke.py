"""Claude's short way: the body of `POST /v1/messages` becomes the body of InvokeModel, nearly as it came.

The two speak one language. What differs: the model and streaming are in the URL there, the version and the
flags are in the body, the service tier is a header, and the cache point of the whole body has no field. The
conversation itself is Bedrock's to judge, so that what Claude learns tomorrow passes today; only the fields
at the top are known by name, so that one that Bedrock does not know is refused here, by name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from gateway.dialects import anthropic_refusals, bedrock_headers
from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.domain import CompletionRequest
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.dialects.bedrock_headers import Headers
    from gateway.domain import ServiceTier

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
"""The only value that Bedrock accepts."""
KEPT: Final = frozenset(
    {
        *("messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "tools"),
        *("tool_choice", "thinking", "metadata", "output_config", "context_management"),
    }
)
"""What InvokeModel takes as it is (bedrock-wire.md §4.1)."""
TURNED: Final = frozenset({"model", "stream", "service_tier", "speed", "cache_control", "output_format"})
"""What is said in another place there, or says nothing."""
NOTHING: Final[tuple[Any, ...]] = (None, "", [])
"""Values by which a field says nothing."""
SPEEDS: Final[tuple[Any, ...]] = (None, "standard")
TIERS: Final[tuple[Any, ...]] = (None, "auto", "standard_only")
"""Tuples: what a body says may be a list or an object, which no set can look for."""
NO_DEFAULTS: Final[Mapping[str, str]] = MappingProxyType({})
_USUAL: Final = (KEPT - {"tools", "output_config"}) | {"model", "stream"}
"""Fields that need no look, unless they say nothing."""
_VERSION: Final = {"anthropic_version": ANTHROPIC_VERSION}
_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long
UNCACHEABLE: Final = ("thinking", "redacted_thinking")


class Invocation(NamedTuple):
    """What to ask InvokeModel."""

    body: bytes
    headers: dict[str, str]


def model_of(value: Any, default_model: str | None = None) -> str:
    """Return the model that a body names.

    Raises:
        InvalidRequest: it is no object, or names none.
    """
    if type(value) is not dict:
        raise InvalidRequest("Send a JSON object.", param="body")
    model = value.get("model", default_model)
    if type(model) is not str or not 0 < len(model) <= MAX_MODEL:
        raise InvalidRequest("model: name the model, such as `anthropic.claude-…`.", param="model")
    return model


def is_streaming(value: Mapping[str, Any]) -> bool:
    """Return whether a body asks for a stream; raises `InvalidRequest` where it says neither yes nor no."""
    stream = value.get("stream")
    if stream is not None and type(stream) is not bool:
        raise InvalidRequest("stream: Input should be true or false.", param="stream")
    return bool(stream)


def wants_structure(value: Mapping[str, Any]) -> bool:
    """Return whether the answer is to fit a schema: not every Claude can, so that needs a translation."""
    config = value.get("output_config")
    return value.get("output_format") is not None or (
        type(config) is dict and config.get("format") is not None
    )


def said(value: Mapping[str, Any]) -> set[str]:
    """Return the fields of a body that no default is put in for: those that it has, and what they rule out.

    Claude refuses to be told how to choose its words where it is to think.
    """
    given = {name for name, field in value.items() if field not in NOTHING}
    thinking = value.get("thinking")
    if type(thinking) is dict and thinking.get("type") != "disabled":
        given |= {"temperature", "top_p"}
    return given


def read(
    value: Mapping[str, Any],
    *,
    betas: Sequence[str] = (),
    defaults: Mapping[str, Any] = NO_DEFAULTS,
    headers: Headers = NO_DEFAULTS,
) -> Invocation:
    """Return what the body of `POST /v1/messages` asks of InvokeModel.

    `defaults` are the operator's, for what the body does not say; `headers` are the request's, of which
    those go on that Bedrock knows.

    Raises:
        InvalidRequest: `param` is the path of the first field that cannot be asked of it.
    """
    limit = value.get("max_tokens")
    if type(limit) is not int or not 0 < limit <= MAX_TOKENS:
        raise InvalidRequest("max_tokens: give the number of tokens to answer with.", param="max_tokens")
    asked = usual(value)
    if asked is None or betas:
        asked = body(value, betas)
    if defaults:
        asked.update(defaults)
    tier = value.get("service_tier")
    told = {} if tier is None and headers is NO_DEFAULTS else _headers(tier, headers)
    return _new(Invocation, (orjson.dumps(asked), told))


def usual(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `body` makes of turns that are nothing but text; None where it has to look."""
    messages = value.get("messages")
    if type(messages) is not list or not messages or not _USUAL.issuperset(value) or None in value.values():
        return None
    before = None
    for message in messages:
        if type(message) is not dict:
            return None
        role = message.get("role")
        if type(role) is not str or role == before or type(message.get("content")) is not str:
            return None
        before = role
    asked = {**_VERSION, **value}
    asked.pop("stream", None)
    asked.pop("model", None)
    return asked


def body(value: Mapping[str, Any], betas: Sequence[str] = ()) -> dict[str, Any]:
    """Return the body of InvokeModel for a body of this API; raises `InvalidRequest` as `read` does."""
    anthropic_refusals.check(value)
    if value.get("speed") not in SPEEDS:
        raise InvalidRequest("speed: Bedrock has `standard` only.", param="speed")
    kept = {"anthropic_version": ANTHROPIC_VERSION, **_kept(value)}
    if type(kept.get("messages")) is not list or not kept["messages"]:
        raise InvalidRequest("messages: give a list of at least one message.", param="messages")
    if _repeats_a_role(kept["messages"]):
        kept["messages"] = _joined(kept["messages"])
    if value.get("cache_control") is not None:
        kept["messages"] = _cached(kept["messages"], value["cache_control"])
    if value.get("output_format") is not None:
        kept["output_config"] = _with_format(kept.get("output_config"), value["output_format"])
    if betas:
        kept["anthropic_beta"] = list(betas)
    return kept


def _kept(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that InvokeModel has, too; clients send null for what they do not say."""
    kept = {}
    for name, given in value.items():
        if name in KEPT:
            if given is not None:
                kept[name] = given
        elif name not in TURNED and given is not None:
            known = name if name.isascii() and name.isidentifier() else "?"
            raise InvalidRequest(f"{known}: unknown field.", param=known)
    return kept


def _headers(tier: Any, given: Headers) -> dict[str, str]:
    """Return the headers for Bedrock, with the service tier in its words; `auto` is what it does anyway."""
    if tier not in TIERS:
        raise InvalidRequest("service_tier: Input should be `auto` or `standard_only`.", param="service_tier")
    headers = {
        name: value.strip() for name in bedrock_headers.NAMES if (value := given.get(name)) is not None
    }
    asked: ServiceTier | None = "default" if tier == "standard_only" else None
    if headers:  # each is right, and none says what the body does not
        bedrock_headers.apply(CompletionRequest(model="", messages=(), service_tier=asked), headers)
    if asked is not None:
        headers[bedrock_headers.TIER] = asked
    return headers


def _repeats_a_role(messages: list[Any]) -> bool:
    before = None
    for message in messages:
        role = message.get("role") if type(message) is dict else None
        if role is not None and role == before:
            return True
        before = role
    return False


def _joined(messages: list[Any]) -> list[Any]:
    """Make one of turns in a row that have one role, as Anthropic's API does; Bedrock is not known to."""
    turns: list[Any] = []
    for message in messages:
        blocks, earlier = _blocks(message), _blocks(turns[-1]) if turns else None
        if blocks is None or earlier is None or turns[-1]["role"] != message["role"]:
            turns.append(message)
        else:
            turns[-1] = {"role": message["role"], "content": [*earlier, *blocks]}
    return turns


def _blocks(message: Any) -> list[Any] | None:
    """Return the blocks of a turn; None where it is no plain one, which is Bedrock's to judge."""
    if type(message) is not dict or message.keys() != {"role", "content"}:
        return None
    content = message["content"]
    if type(content) is str:
        return [{"type": "text", "text": content}]
    return content if type(content) is list else None


def _with_format(config: Any, structure: Any) -> dict[str, Any]:
    given = config if type(config) is dict else {}
    if given.get("format") is not None:
        raise InvalidRequest("Give `output_config.format` alone.", param="output_format")
    return {**given, "format": structure}


def _cached(messages: list[Any], control: Any) -> list[Any]:
    """Put the cache point of the whole body behind the last block that may have one, as Anthropic does."""
    for number in range(len(messages) - 1, -1, -1):
        message = messages[number]
        content = message.get("content") if type(message) is dict else None
        marked = _marked(content, control)
        if marked is not None:
            return [*messages[:number], {**message, "content": marked}, *messages[number + 1 :]]
    return messages  # something is wrong with them, and Bedrock says what


def _marked(content: Any, control: Any) -> list[Any] | None:
    blocks = [{"type": "text", "text": content}] if type(content) is str else content
    if type(blocks) is not list:
        return None
    for number in range(len(blocks) - 1, -1, -1):
        block = blocks[number]
        if type(block) is dict and block.get("type") not in UNCACHEABLE:
            marked = {"cache_control": control, **block}  # its own word counts more
            return [*blocks[:number], marked, *blocks[number + 1 :]]
    return None
