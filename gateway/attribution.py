"""AWS is told which caller a call is made for: by request metadata, and by the session that signs it.

Bedrock's invocation logs hold the metadata beside the tokens, so that the bill can be split by team without
a database of ours. The name is the gateway's to give: a request that says another one under the same key is
refused.
"""

from __future__ import annotations

from dataclasses import replace
from json import dumps
from typing import TYPE_CHECKING, Final

import orjson

from gateway.errors import InvalidRequest
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain import CompletionRequest, EmbeddingRequest
    from gateway.upstream import CallMaker, EmbeddingCall, RelayRequest, UpstreamCall

HEADER: Final = "X-Amzn-Bedrock-Request-Metadata"
"""InvokeModel's (bedrock-wire.md §2.3)."""
FIELD: Final = "requestMetadata"
"""Converse's."""
INVOKED: Final = frozenset({"invoke", "invoke-with-response-stream"})
CONVERSED: Final = frozenset({"converse", "converse-stream"})


class AttributedCalls:
    """The calls that others make, with the caller's name under a key; see `gateway.upstream.CallMaker`.

    Of embeddings, counts and guardrails Bedrock keeps no metadata.
    """

    def __init__(self, calls: CallMaker, key: str, name: str) -> None:
        self._calls = calls
        self._key = key
        self._name = name
        self._member = json.dumps({key: name})
        self.asked = calls.asked
        self.may_ask = calls.may_ask
        self.count = calls.count
        self.count_body = calls.count_body
        self.relay_guardrail = calls.relay_guardrail

    def format(self, request: CompletionRequest) -> Sequence[UpstreamCall]:
        """Make the calls; raises `InvalidRequest` where the request says another name."""
        metadata = self._joined(request.metadata)
        return self._calls.format(replace(request, metadata=metadata))

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """Make the calls, as they are."""
        return self._calls.format_embeddings(request)

    def relay(self, request: RelayRequest) -> Sequence[UpstreamCall]:
        """Make the calls; raises `InvalidRequest` where the request says another name."""
        if request.operation in INVOKED:
            given = request.headers.get(HEADER)
            said = {} if given is None else _in_header(given)
            header = _ascii(self._joined(said, HEADER))
            request = request._replace(headers={**request.headers, HEADER: header})
        calls = self._calls.relay(request)
        if request.operation not in CONVERSED:
            return calls
        bodies = {call.body for call in calls}
        made = {body: self._with_field(body) for body in bodies}
        return [call._replace(body=made[call.body]) for call in calls]

    def _with_field(self, body: bytes) -> bytes:
        if f'"{FIELD}"'.encode() in body or b"\\u" in body:  # a name may be written in escapes
            value = _object(orjson.loads(body), "body")  # which was checked where it came in
            said = value.get(FIELD)
            metadata = {} if said is None else _object(said, FIELD)
            return json.dumps({**value, FIELD: self._joined(metadata, FIELD)})
        start = body.index(b"{") + 1
        separator = b"" if body[start:].lstrip().startswith(b"}") else b","
        return b'%s"%s":%s%s%s' % (body[:start], FIELD.encode(), self._member, separator, body[start:])

    def _joined(self, said: Mapping[str, str], param: str = "metadata") -> dict[str, str]:
        if said.get(self._key, self._name) != self._name:
            raise InvalidRequest(
                f"{param}: '{self._key}' is where this gateway tells AWS who calls, which is '{self._name}': "
                "leave it out.",
                param=param,
            )
        return {**said, self._key: self._name}


class SessionCalls:
    """The calls that others make, each to be signed with the caller's own session; see `CallMaker`."""

    def __init__(self, calls: CallMaker, name: str) -> None:
        self._calls = calls
        self._name = name
        self.asked = calls.asked
        self.may_ask = calls.may_ask
        self.count_body = calls.count_body

    def format(self, request: CompletionRequest) -> Sequence[UpstreamCall]:
        """Make the calls."""
        return self._signed(self._calls.format(request))

    def relay(self, request: RelayRequest) -> Sequence[UpstreamCall]:
        """Make the calls."""
        return self._signed(self._calls.relay(request))

    def relay_guardrail(self, identifier: str, version: str, body: bytes) -> Sequence[UpstreamCall]:
        """Make the calls."""
        return self._signed(self._calls.relay_guardrail(identifier, version, body))

    def count(self, name: str) -> Sequence[UpstreamCall]:
        """Make the calls."""
        return self._signed(self._calls.count(name))

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """Make the calls."""
        name = self._name
        return [
            replace(
                call,
                caller=name,
                elsewhere=tuple(replace(other, caller=name) for other in call.elsewhere),
            )
            for call in self._calls.format_embeddings(request)
        ]

    def _signed(self, calls: Sequence[UpstreamCall]) -> Sequence[UpstreamCall]:
        return [call._replace(caller=self._name) for call in calls]


def _in_header(text: str) -> dict[str, str]:
    try:
        value = json.loads(text.encode())
    except InvalidRequest as error:  # which speaks of a body
        raise InvalidRequest(f"{HEADER}: send JSON that names each key once.", param=HEADER) from error
    return _object(value, HEADER)


def _ascii(metadata: Mapping[str, str]) -> str:
    """Return JSON that a header may hold: its caller may have written anything in escapes."""
    return dumps(metadata, separators=(",", ":")).replace("\x7f", "\\u007f")


def _object(value: object, param: str) -> dict[str, str]:
    if type(value) is not dict:
        raise InvalidRequest(f"{param}: send a JSON object.", param=param)
    return value
