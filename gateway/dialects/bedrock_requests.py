"""Requests in Bedrock's own words: what is checked of them, and which headers go with them.

A body goes to Bedrock as it came, if it is one JSON object and does not point Bedrock at S3: what it reads
there it reads by the gateway's rights, not by the caller's, so that is the operator's to allow. Everything
else in it is Bedrock's to judge.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.bedrock_headers import GUARDRAIL_ID, GUARDRAIL_VERSION, PREFIX
from gateway.errors import InvalidRequest
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

ACCEPT: Final = ("Accept", f"{PREFIX}Accept")
"""What type the answer is to be of, whole and streamed."""
TRACE: Final = f"{PREFIX}Trace"
OF_INVOKE: Final = (
    *ACCEPT,
    TRACE,
    f"{PREFIX}GuardrailIdentifier",
    f"{PREFIX}GuardrailVersion",
    f"{PREFIX}PerformanceConfig-Latency",
    f"{PREFIX}Service-Tier",
    f"{PREFIX}Request-Metadata",
)
"""Headers of InvokeModel's requests (bedrock-wire.md §2.3); Converse has all of that in its body."""
PLAIN: Final = tuple(name for name in OF_INVOKE if not name.startswith(PREFIX))
"""Those of them whose names are everybody's."""
TAKEN: Final[Mapping[str, str]] = MappingProxyType(
    {name.lower(): name for name in OF_INVOKE if name.startswith(PREFIX)}
)
"""Those of them whose names are AWS's, in lower case and as AWS writes them."""

_S3: Final = b"s3Location"
_KEY: Final = _S3.decode()
_ESCAPE: Final = b"\\u"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_COUNTED: Final = ("input", "invokeModel", "body")
"""Where CountTokens has a body of InvokeModel, in base64."""


def check(body: bytes, value: Any, *, s3_locations: bool = False) -> None:
    """Refuse a body that is not to be passed on; `value` is what it says.

    `s3_locations`: the operator lets every caller read what the gateway's role may read.

    Raises:
        InvalidRequest: it is no object, or has Bedrock read an object of S3's.
    """
    if type(value) is not dict:
        raise InvalidRequest("The body must be a JSON object.", param="body")
    if not s3_locations and (body.find(_S3) >= 0 or body.find(_ESCAPE) >= 0):  # `in` costs twice as much
        _refuse_s3(value, "")


def check_counted(value: Any, *, s3_locations: bool = False) -> None:
    """Refuse what `check` refuses in the body of InvokeModel inside one of CountTokens.

    Raises:
        InvalidRequest: that body is no base64 of JSON, or has Bedrock read an object of S3's.
    """
    body = value
    for name in _COUNTED:
        body = body.get(name) if type(body) is dict else None
    if s3_locations or type(body) is not str:
        return
    place = ".".join(_COUNTED)
    try:
        inner = json.loads(a2b_base64(body, strict_mode=True))
    except (Base64Error, ValueError):
        raise InvalidRequest(f"{place}: send the base64 of InvokeModel's body.", param=place) from None
    except InvalidRequest as error:
        error.param = place
        raise
    _refuse_s3(inner, f"{place}.")


def check_guardrail(identifier: str, version: str) -> None:
    """Refuse what is no guardrail's name: it becomes a part of the path that is asked for.

    Raises:
        InvalidRequest: `param` says which of the two it is.
    """
    if re.fullmatch(GUARDRAIL_ID, identifier) is None:
        raise InvalidRequest(
            "guardrailIdentifier must be a guardrail's id or ARN.", param="guardrailIdentifier"
        )
    if re.fullmatch(GUARDRAIL_VERSION, version) is None:
        raise InvalidRequest("guardrailVersion must be a number or DRAFT.", param="guardrailVersion")


def _refuse_s3(value: Any, path: str) -> None:
    place = _s3_in(value, path)
    if place is not None:
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
        items = [(f"{path}{_shown(key)}.", item) for key, item in value.items()]
    elif type(value) is list:
        items = [(f"{path.removesuffix('.')}[{number}].", item) for number, item in enumerate(value)]
    else:
        return None
    return next((found for inner, item in items if (found := _s3_in(item, inner)) is not None), None)


def _shown(key: str) -> str:
    """Return a key as it may stand in an answer and in the log: only one that is a plain name (R54)."""
    return key if _PLAIN_NAME.fullmatch(key) else "?"


def headers(
    given: Container[str], header: Callable[[str], str | None], *, invoked: bool, plain: bool = False
) -> dict[str, str]:
    """Return the headers that go with a request: `header` gives the value of one of those that are `given`.

    `plain`: it is known that none of them is AWS's own.

    Raises:
        InvalidRequest: one holds what no header may, or is InvokeModel's beside a Converse body.
    """
    names = [name for name in (PLAIN if plain else OF_INVOKE) if name in given]
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
