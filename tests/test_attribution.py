"""The caller's name in what AWS is sent, whatever way a request takes."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from gateway.admission.caller import Caller, CallerRules
from gateway.bedrock.upstream import BedrockUpstream
from gateway.catalog.directory import ListedModel
from gateway.composition import build_router
from gateway.domain import CompletionRequest, EmbeddingInput, EmbeddingRequest, Message, TextPart
from gateway.errors import InvalidRequest
from gateway.permissions import Permissions
from gateway.settings import AwsSettings, Settings
from gateway.upstream import RelayRequest
from tests.harness import CLAUDE, NOVA

if TYPE_CHECKING:
    from gateway.upstream import CallMaker, RelayedOperation

HEADER = "X-Amzn-Bedrock-Request-Metadata"
KEYS = {"key_sha256": ["a" * 64]}


def permitted(rules: CallerRules | None = None, key: str | None = "team") -> CallMaker:
    """Return what makes the calls of the caller `ours`."""
    settings = Settings(aws=AwsSettings(region="us-east-1"))
    upstream = BedrockUpstream({}, build_router(settings), settings.bedrock, Random(0))  # noqa: S311 - no secret
    permissions = Permissions(upstream, {"default": "us-east-1"}, metadata_key=key)
    return permissions.of(Caller("ours", rules or CallerRules()))


def request(model: str, **metadata: str) -> CompletionRequest:
    """Return a request with metadata of its own."""
    return CompletionRequest(
        model=model, messages=(Message("user", (TextPart("Hello"),)),), metadata=metadata
    )


def relayed(
    operation: RelayedOperation, body: bytes = b"{}", metadata: str | None = None
) -> tuple[Any, dict[str, str]]:
    """Return body and headers of a relayed call."""
    sent = {} if metadata is None else {HEADER: metadata}
    call = permitted().relay(RelayRequest(CLAUDE, operation, body, sent))[0]
    return json.loads(call.body), call.headers


def test_translated_requests() -> None:
    """In the body of Converse, in the header of InvokeModel, beside what the caller says itself."""
    invoked = permitted().format(request(CLAUDE, job="7"))[0]
    conversed = permitted().format(request("us.writer.palmyra-x4-v1:0", job="7"))[0]

    assert json.loads(invoked.headers[HEADER]) == {"job": "7", "team": "ours"}
    assert json.loads(conversed.body)["requestMetadata"] == {"job": "7", "team": "ours"}
    assert permitted(key=None).format(request(CLAUDE))[0].headers == {}


@pytest.mark.parametrize("operation", ["invoke", "invoke-with-response-stream"])
def test_relayed_to_invoke(operation: RelayedOperation) -> None:
    """The header is made, or joined; the body stays."""
    for metadata, said in ((None, {}), ('{"job":"7"}', {"job": "7"})):
        body, sent = relayed(operation, b'{"a":1}', metadata)
        assert body == {"a": 1}
        assert json.loads(sent[HEADER]) == {**said, "team": "ours"}


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"a":1}', {"a": 1, "requestMetadata": {"team": "ours"}}),
        (" {\n} ", {"requestMetadata": {"team": "ours"}}),
        ('{"requestMetadata":{"job":"7"}}', {"requestMetadata": {"job": "7", "team": "ours"}}),
        ('{"requestMetadata":null,"a":1}', {"requestMetadata": {"team": "ours"}, "a": 1}),
        ('{"requestMet\\u0061data":{"job":"7"}}', {"requestMetadata": {"job": "7", "team": "ours"}}),
        ('{"a":"\\"requestMetadata\\""}', {"a": '"requestMetadata"', "requestMetadata": {"team": "ours"}}),
    ],
)
def test_relayed_to_converse(operation: RelayedOperation, body: str, expected: dict[str, Any]) -> None:
    """The field is put in, whatever stands there."""
    assert relayed(operation, body.encode())[0] == expected


def test_what_keeps_no_metadata() -> None:
    """Counts and vectors go as they are."""
    assert relayed("count-tokens", b'{"input":{}}') == ({"input": {}}, {})
    calls = permitted().format_embeddings(
        EmbeddingRequest(model="amazon.titan-embed-text-v2:0", inputs=(EmbeddingInput(text="x"),))
    )
    assert b"ours" not in calls[0].body


def test_another_name_is_refused() -> None:
    """Nobody is billed for somebody else; who says the same name says nothing new."""
    assert json.loads(permitted().format(request(CLAUDE, team="ours"))[0].headers[HEADER]) == {"team": "ours"}
    with pytest.raises(InvalidRequest, match="who calls"):
        permitted().format(request(NOVA, team="theirs"))
    with pytest.raises(InvalidRequest, match="who calls"):
        relayed("invoke", b"{}", metadata='{"team":"theirs"}')
    with pytest.raises(InvalidRequest, match="who calls"):
        relayed("converse", b'{"requestMetadata":{"team":"theirs"}}')


@pytest.mark.parametrize("said", ["[1]", "[]", '""', "0", "false"])
def test_what_is_no_metadata_is_refused(said: str) -> None:
    """Nothing that a caller says is dropped, empty or not; the refusal says where it stood."""
    with pytest.raises(InvalidRequest, match="requestMetadata: send a JSON object"):
        relayed("converse", b'{"requestMetadata":%b}' % said.encode())
    for metadata in (said, "{", '{"a":"1","a":"2"}'):
        with pytest.raises(InvalidRequest) as caught:
            relayed("invoke", b"{}", metadata=metadata)
        assert caught.value.param == HEADER
        assert caught.value.message.startswith(HEADER)


def test_the_header_stays_ascii() -> None:
    """Escapes in a caller's header stay escapes: no header holds anything else, and it is signed as it is."""
    said = {"k": "\u00e9\u2028\x07\x7f"}
    _, sent = relayed("invoke", b"{}", metadata=json.dumps(said))
    assert sent[HEADER].isascii()
    assert sent[HEADER].isprintable()
    assert json.loads(sent[HEADER]) == {**said, "team": "ours"}


def test_beside_the_rules() -> None:
    """The caller's limit and its name both go with a call."""
    made = permitted(CallerRules(max_tokens=9)).relay(RelayRequest(CLAUDE, "converse", b"{}", {}))[0]
    assert json.loads(made.body) == {
        "inferenceConfig": {"maxTokens": 9},
        "requestMetadata": {"team": "ours"},
    }
    assert permitted().may_ask(ListedModel("anything", "Anything", "anyone"))


def test_names_that_aws_takes() -> None:
    """With attribution a caller has a name that AWS takes; without, any."""
    for name in ("x", "a b", "ä" * 3):
        Settings.model_validate({"callers": {name: KEYS}, "aws": AwsSettings()})
        with pytest.raises(ValidationError, match="64 letters"):
            Settings.model_validate(
                {"callers": {name: KEYS}, "attribution": {"request_metadata": "team"}, "aws": AwsSettings()}
            )
