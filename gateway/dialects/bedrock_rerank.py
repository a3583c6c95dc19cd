"""Rerank of Bedrock's agent runtime, in the words of InvokeModel.

At AWS it is another host's operation, but the models are the same, and InvokeModel asks them the same
(bedrock-wire.md §5). What InvokeModel has no word for is refused; bounds are those of the service's model.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from gateway.dialects import bedrock_errors
from gateway.dialects.bedrock_errors import ERROR_TYPE
from gateway.dialects.bedrock_requests import ACCEPT, TRACE
from gateway.dialects.protocol import ErrorAnswer
from gateway.errors import InvalidRequest, UpstreamProtocolError
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import GatewayError

MOST: Final = 1000
"""Sources of a request, and results of an answer."""
LONGEST: Final = 32_000
"""Characters of a query or of a document."""

FIELDS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"amazon.rerank-": MappingProxyType({}), "cohere.rerank-": MappingProxyType({"api_version": 2})}
)
"""The models that rerank, by how their ids begin, and what the bodies of each have besides the question."""
MADE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "query": "queries[0] is it",
        "documents": "`sources` are they",
        "top_n": "numberOfResults is it",
        "return_documents": "results name documents by their index",
    }
)
"""Fields of InvokeModel's body that a caller may not add, and why."""
ERRORS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        "ConflictException": ("ConflictException", 409),
        "ModelErrorException": ("DependencyFailedException", 424),
        "ModelTimeoutException": ("DependencyFailedException", 424),
        "ModelNotReadyException": ("ThrottlingException", 429),
    }
)
"""Errors of InvokeModel that Rerank does not have so, and what it has for them: its clients would not know
which to raise, or to try again."""
_CONFIGURATION: Final = "rerankingConfiguration.bedrockRerankingConfiguration"
_MODEL: Final = f"{_CONFIGURATION}.modelConfiguration"
MODEL: Final = f"{_MODEL}.modelArn"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RerankRequest(NamedTuple):
    """What is asked; `number_of_results` is None where all are wanted."""

    model: str
    query: str
    documents: list[str]
    number_of_results: int | None
    additional: dict[str, Any]
    """Fields for the model's own body."""


def parse(value: Any) -> RerankRequest:
    """Return what the body of `POST /rerank` asks.

    Raises:
        InvalidRequest: it is none; `param` is the path of the field.
    """
    body = _object(value, "", "queries", "sources", "rerankingConfiguration", "nextToken")
    if body.get("nextToken") is not None:
        raise _bad("nextToken", "all results come in one answer, so there is no token. Leave it out.")
    [asked] = _list(body.get("queries"), "queries", 1)
    query = _object(asked, "queries[0]", "type", "textQuery")
    _check_type(query, "queries[0]", "TEXT")
    configuration = _object(
        body.get("rerankingConfiguration"),
        "rerankingConfiguration",
        "type",
        "bedrockRerankingConfiguration",
    )
    _check_type(configuration, "rerankingConfiguration", "BEDROCK_RERANKING_MODEL")
    name, number, additional = _configuration(configuration.get("bedrockRerankingConfiguration"))
    return RerankRequest(
        query=_text(query.get("textQuery"), "queries[0].textQuery"),
        documents=[
            _document(source, f"sources[{number}]")
            for number, source in enumerate(_list(body.get("sources"), "sources", MOST))
        ],
        model=name,
        number_of_results=number,
        additional=additional,
    )


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return those of InvokeModel's headers that go with a request; the answer is JSON, whatever is accepted.

    Raises:
        InvalidRequest: one asks for what Rerank's answer has no room for.
    """
    if TRACE in given:
        raise InvalidRequest(f"{TRACE}: Rerank's answer has no room for it. Leave it out.", param=TRACE)
    return {name: value for name, value in given.items() if name not in ACCEPT}


def body(asked: RerankRequest, base_id: str | None) -> bytes:
    """Return the body that asks InvokeModel the same of a model.

    Raises:
        InvalidRequest: it is no reranker, or cannot be told to be one.
    """
    own = next((own for prefix, own in FIELDS.items() if (base_id or "").startswith(prefix)), None)
    if own is None:
        names = " and ".join(f"{prefix}*" for prefix in FIELDS)
        raise _bad(
            MODEL,
            f"this model does not rerank; {names} do. Where the ARN does not tell its model, this "
            "gateway's operator can (base_model).",
        )
    made: dict[str, Any] = {**own, **asked.additional, "query": asked.query, "documents": asked.documents}
    if asked.number_of_results is not None:
        made["top_n"] = min(asked.number_of_results, len(asked.documents))
    return json.dumps(made)


def answer(asked: RerankRequest, invoked: bytes) -> bytes:
    """Return the answer for that of InvokeModel: the same results in the same order.

    Raises:
        UpstreamProtocolError: it is not a list of scores of documents that were asked about.
    """
    try:
        value = orjson.loads(invoked)
    except orjson.JSONDecodeError:
        value = None
    results = value.get("results") if type(value) is dict else None
    if type(results) is not list or not all(_is_score(result, len(asked.documents)) for result in results):
        raise UpstreamProtocolError("Bedrock sent an answer that does not rank the documents.")
    return json.dumps(
        {
            "results": [
                {"index": result["index"], "relevanceScore": result["relevance_score"]} for result in results
            ]
        }
    )


def _is_score(result: Any, documents: int) -> bool:
    if type(result) is not dict:
        return False
    index, score = result.get("index"), result.get("relevance_score")
    return type(index) is int and 0 <= index < documents and type(score) in {int, float}


def refusal(fault: GatewayError, request_id: str) -> ErrorAnswer:
    """Return the answer for a failure, by the name that Rerank has for it."""
    answered = bedrock_errors.refusal(fault, request_id)
    code = answered.headers[ERROR_TYPE]
    name, status = ERRORS.get(code, (code, answered.status))
    return ErrorAnswer(status, answered.value, {**answered.headers, ERROR_TYPE: name})


# ── the parts of a request ────────────────────────────────────────────────────────────────────────────


def _configuration(value: Any) -> tuple[str, int | None, dict[str, Any]]:
    asked = _object(value, _CONFIGURATION, "modelConfiguration", "numberOfResults")
    number = asked.get("numberOfResults")
    if number is not None and not (type(number) is int and 1 <= number <= MOST):
        raise _bad(f"{_CONFIGURATION}.numberOfResults", f"send a whole number from 1 to {MOST}.")
    model = _object(asked.get("modelConfiguration"), _MODEL, "modelArn", "additionalModelRequestFields")
    name = model.get("modelArn")
    if type(name) is not str or not name:
        raise _bad(MODEL, "send the ARN of a model, or its id.")
    return name, number, _additional(model)


def _additional(model: dict[str, Any]) -> dict[str, Any]:
    place = f"{_MODEL}.additionalModelRequestFields"
    fields = model.get("additionalModelRequestFields")
    if fields is None:
        return {}
    if type(fields) is not dict:
        raise _bad(place, "send an object.")
    for name, reason in MADE.items():
        if name in fields:
            raise _bad(f"{place}.{name}", f"{reason}. Leave it out.")
    return fields


def _document(source: Any, place: str) -> str:
    """Return a document as the text that InvokeModel takes: JSON as it is written without spaces."""
    _object(source, place, "type", "inlineDocumentSource")
    _check_type(source, place, "INLINE")
    place = f"{place}.inlineDocumentSource"
    document = _object(source.get("inlineDocumentSource"), place, "type", "textDocument", "jsonDocument")
    kind = _check_type(document, place, "TEXT", "JSON")
    unused, used = ("jsonDocument", "textDocument") if kind == "TEXT" else ("textDocument", "jsonDocument")
    if document.get(unused) is not None:
        raise _bad(f"{place}.{unused}", f"the type is {kind}. Leave it out.")
    given = document.get(used)
    if kind == "TEXT":
        return _text(given, f"{place}.{used}")
    if given is None:
        raise _bad(f"{place}.{used}", "send a JSON value.")
    return orjson.dumps(given).decode()


def _text(value: Any, place: str) -> str:
    text = _object(value, place, "text").get("text")
    if type(text) is not str or not 1 <= len(text) <= LONGEST:
        raise _bad(f"{place}.text", f"send a text of 1 to {LONGEST} characters.")
    return text


def _object(value: Any, place: str, *names: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise _bad(place or "body", "send an object.")
    for name in value:
        if name not in names:
            shown = name if _PLAIN_NAME.fullmatch(name) else "?"
            raise _bad(f"{place}.{shown}".lstrip("."), "unknown field.")
    return value


def _list(value: Any, place: str, most: int) -> list[Any]:
    if type(value) is not list or not 1 <= len(value) <= most:
        raise _bad(place, f"send a list of {'one' if most == 1 else f'1 to {most}'}.")
    return value


def _check_type(value: dict[str, Any], place: str, *kinds: str) -> str:
    kind = value.get("type")
    if type(kind) is not str or kind not in kinds:
        raise _bad(f"{place}.type", f"send {' or '.join(kinds)}.")
    return kind


def _bad(place: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"{place}: {words}", param=place)
