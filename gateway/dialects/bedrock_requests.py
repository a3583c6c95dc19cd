"""Requests in Bedrock's own words: what is checked of them, and which headers go with them.

A body goes to Bedrock as it came, if it is one JSON object and does not point Bedrock at S3: what it reads
there it reads by the gateway's rights, not by the caller's, so that is the operator's to allow. Everything
else in it is Bedrock's to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Container

PREFIX: Final = "X-Amzn-Bedrock-"
OF_INVOKE: Final = (
    "Accept",
    f"{PREFIX}Accept",
    f"{PREFIX}Trace",
    f"{PREFIX}GuardrailIdentifier",
    f"{PREFIX}GuardrailVersion",
    f"{PREFIX}PerformanceConfig-Latency",
    f"{PREFIX}Service-Tier",
    f"{PREFIX}Request-Metadata",
)
"""Headers of InvokeModel's requests (bedrock-wire.md §2.3); Converse has all of that in its body."""

_S3: Final = b"s3Location"
_KEY: Final = _S3.decode()
_ESCAPE: Final = b"\\u"


def check(body: bytes, value: Any, *, s3_locations: bool = False) -> None:
    """Refuse a body that is not to be passed on; `value` is what it says.

    `s3_locations`: the operator lets every caller read what the gateway's role may read.

    Raises:
        InvalidRequest: it is no object, or has Bedrock read an object of S3's.
    """
    if type(value) is not dict:
        raise InvalidRequest("The body must be a JSON object.", param="body")
    if s3_locations:
        return
    if (_S3 in body or _ESCAPE in body) and (place := _s3_in(value, "")) is not None:
        raise InvalidRequest(
            f"{place}: Bedrock would read this by the gateway's own rights, which its operator does not lend "
            "(bedrock.s3_locations). Send the content as `bytes`.",
            param=place,
        )


def _s3_in(value: Any, path: str) -> str | None:
    """Return where a body names an object of S3's: a key that may be any tool's, if its value has a `uri`."""
    if type(value) is dict:
        source = value.get(_KEY)
        if type(source) is dict and "uri" in source:
            return f"{path}{_KEY}"
        items = [(f"{path}{key}.", item) for key, item in value.items()]
    elif type(value) is list:
        items = [(f"{path.removesuffix('.')}[{number}].", item) for number, item in enumerate(value)]
    else:
        return None
    return next((found for inner, item in items if (found := _s3_in(item, inner)) is not None), None)


def headers(given: Container[str], header: Callable[[str], str | None], *, invoked: bool) -> dict[str, str]:
    """Return the headers that go with a request: `header` gives the value of one of those that are `given`.

    Raises:
        InvalidRequest: one holds what no header may, or is InvokeModel's beside a Converse body.
    """
    names = [name for name in OF_INVOKE if name in given]
    if not invoked and names and names != [OF_INVOKE[0]]:
        name = names[-1]
        raise InvalidRequest(f"{name} is InvokeModel's: Converse takes it in the body.", param=name)
    found: dict[str, str] = {}
    for name in names if invoked else ():
        value = header(name) or ""
        if not (value.isascii() and value.isprintable()):
            raise InvalidRequest(f"{name} must be printable ASCII.", param=name)
        found[name] = value
    return found
