"""What Bedrock takes beside a body, in AWS's own headers: taken of every dialect, whose bodies lack words.

`X-Amzn-Bedrock-GuardrailIdentifier`, `-GuardrailVersion`, `-Trace`, `-PerformanceConfig-Latency`,
`-Service-Tier` and `-Request-Metadata`, as InvokeModel has them (bedrock-wire.md §2.3). What a header says
and the body says too must be the same. A name that begins so and is none of these is refused: a misspelt
guardrail would guard nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, get_args

import orjson

from gateway.domain import Guardrail, Latency, ServiceTier
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gateway.domain import CompletionRequest

PREFIX: Final = "X-Amzn-Bedrock-"
GUARDRAIL: Final = f"{PREFIX}GuardrailIdentifier"
VERSION: Final = f"{PREFIX}GuardrailVersion"
TRACE: Final = f"{PREFIX}Trace"
LATENCY: Final = f"{PREFIX}PerformanceConfig-Latency"
TIER: Final = f"{PREFIX}Service-Tier"
METADATA: Final = f"{PREFIX}Request-Metadata"
NAMES: Final = (GUARDRAIL, VERSION, TRACE, LATENCY, TIER, METADATA)
BEGINNING: Final = PREFIX.lower()
TAKEN: Final[Mapping[str, str]] = MappingProxyType({name.lower(): name for name in NAMES})
"""What a completion takes, in any dialect: names in lower case, and as AWS writes them."""
NONE_TAKEN: Final[Mapping[str, str]] = MappingProxyType({})
"""What embeddings take, and operations of Bedrock's that have no such header."""
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")

TRACES: Final = ("DISABLED", "ENABLED", "ENABLED_FULL")
GUARDRAIL_ID: Final = (
    r"^([a-z0-9]{1,2048}|arn:aws(-[a-z-]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+)$"
)
GUARDRAIL_VERSION: Final = r"^([1-9][0-9]{0,7}|DRAFT)$"


class Headers(Protocol):
    """The headers of a request; names in any case."""

    def get(self, key: str, /) -> str | None:
        """Return the value of a header, None where it is not there."""


class Lines(Protocol):
    """The headers of a request as they came, of which one may come twice."""

    def __iter__(self) -> Iterator[str]:
        """Yield their names; one that comes twice may be given once."""

    def getall(self, key: str, /) -> Sequence[str]:
        """Return the values of a header that is there."""


def check(lines: Lines, taken: Mapping[str, str]) -> None:
    """Refuse names of AWS's that are not `taken`, or come twice: either would be dropped in silence.

    Raises:
        InvalidRequest: `param` is the header's name.
    """
    for given in lines:
        name = given.lower()
        if not name.startswith(BEGINNING):
            continue
        if name not in taken:
            shown = given if _PLAIN_NAME.fullmatch(given) else f"{PREFIX}?"
            raise InvalidRequest(f"{shown}: {_others(taken)}", param=shown)
        if len(lines.getall(given)) > 1:
            raise InvalidRequest(f"Send {taken[name]} once.", param=taken[name])


def _others(taken: Mapping[str, str]) -> str:
    if not taken:
        return f"this operation takes no {PREFIX}* header. Leave it out."
    return f"unknown header. Of AWS's own this operation takes {', '.join(taken.values())}."


def apply(request: CompletionRequest, headers: Headers) -> CompletionRequest:
    """Return the request with what the headers ask for.

    Raises:
        InvalidRequest: a header is malformed, or the body says something else; `param` is the header's name.
    """
    given = [name for name in NAMES if headers.get(name) is not None]
    if not given:
        return request
    for name in given:
        value = (headers.get(name) or "").strip()
        if name in _FIELDS:
            field, read = _FIELDS[name]
            request = _with(request, field, read(value), name)
    if GUARDRAIL in given or VERSION in given or TRACE in given:
        request = _with(request, "guardrail", guardrail(headers, request.guardrail), GUARDRAIL)
    return request


def guardrail(headers: Headers, known: Guardrail | None = None) -> Guardrail | None:
    """Return the guardrail that the headers name, with what the body says about it.

    `known` is the body's, which stands where the headers name none.

    Raises:
        InvalidRequest: a header is malformed, or lacks the other one, or asks for the trace.
    """
    _refuse_trace(headers)
    identifier, version = _text(headers, GUARDRAIL), _text(headers, VERSION)
    if identifier is None and version is None:
        return known
    if identifier is None or version is None:
        lacking = VERSION if version is None else GUARDRAIL
        raise InvalidRequest(f"{GUARDRAIL} and {VERSION} come together.", param=lacking)
    if re.search(GUARDRAIL_ID, identifier) is None:
        raise InvalidRequest(f"{GUARDRAIL} must be a guardrail's id or ARN.", param=GUARDRAIL)
    if re.search(GUARDRAIL_VERSION, version) is None:
        raise InvalidRequest(f"{VERSION} must be a number or DRAFT.", param=VERSION)
    if known is None:
        return Guardrail(identifier, version)
    if (known.identifier, known.version) != (identifier, version):
        raise _conflict(GUARDRAIL)
    return known


def _refuse_trace(headers: Headers) -> None:
    trace = _text(headers, TRACE)
    if trace is None or _word(TRACE, trace, {word: word for word in TRACES}) == "DISABLED":
        return
    raise InvalidRequest(
        f"{TRACE}: this API has no place for a guardrail's trace. Ask Bedrock's own for it: "
        "POST /model/{modelId}/converse or /invoke.",
        param=TRACE,
    )


def _text(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    return None if value is None else value.strip()


def _word(name: str, value: str, words: Mapping[str, Any]) -> Any:
    if value not in words:
        raise InvalidRequest(f"{name} must be one of {', '.join(words)}.", param=name)
    return words[value]


def _latency(value: str) -> Any:
    return _word(LATENCY, value, {word: word for word in get_args(Latency)})


def _tier(value: str) -> Any:
    return _word(TIER, value, {word: word for word in get_args(ServiceTier)})


def _metadata(value: str) -> dict[str, str]:
    if not (value.isascii() and value.isprintable()):  # it goes on as it is, and is signed
        raise InvalidRequest(f"{METADATA} must be printable ASCII.", param=METADATA)
    try:
        metadata = orjson.loads(value)
    except orjson.JSONDecodeError:
        metadata = None
    if type(metadata) is not dict or not all(type(text) is str for text in metadata.values()):
        raise InvalidRequest(f"{METADATA} must be a JSON object of texts.", param=METADATA)
    return metadata


_FIELDS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    LATENCY: ("latency", _latency),
    TIER: ("service_tier", _tier),
    METADATA: ("metadata", _metadata),
}


def _with(request: CompletionRequest, field: str, value: Any, name: str) -> CompletionRequest:
    """Return the request with a header's value; metadata of both are joined."""
    said = getattr(request, field)
    if field == "metadata":
        if any(key in said and said[key] != text for key, text in value.items()):
            raise _conflict(name)
        return replace(request, metadata={**said, **value})
    if field != "guardrail" and said is not None and said != value:
        raise _conflict(name)
    return replace(request, **{field: value})


def _conflict(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name} does not agree with the body: say it once.", param=name)
