"""The shapes of Bedrock's own API: its errors, by the SDK's own reading, and what goes with an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway import errors
from gateway.dialects import bedrock_answers, bedrock_errors, bedrock_requests
from gateway.dialects.protocol import Begun, Ended
from gateway.domain import FinishReason, PassedOn, Stop, Usage
from gateway.wire.eventstream import Decoder
from tests.replay.reading import SERVICE, botocore_error

if TYPE_CHECKING:
    from gateway.errors import GatewayError


def _classes(root: type[GatewayError]) -> list[type[GatewayError]]:
    found = [child for child in root.__subclasses__() if "code" in vars(child)]
    return found + [deeper for child in root.__subclasses__() for deeper in _classes(child)]


ALL = sorted(set(_classes(errors.GatewayError)), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_name_of_aws(kind: type[GatewayError]) -> None:
    """The SDK reads code and words out of it; a modelled code has its own status."""
    fault = kind("it failed", retry_after=2)

    status, value, headers = bedrock_errors.refusal(fault, "req_1")

    parsed = botocore_error(status, dict(headers), orjson.dumps(value))
    assert parsed["Error"]["Message"] == "it failed"
    assert parsed["Error"]["Code"] == headers["x-amzn-ErrorType"]
    assert headers["x-amzn-RequestId"] == "req_1"
    assert headers["x-amz-retry-after"] == "2000"
    code = parsed["Error"]["Code"]
    modelled = SERVICE.shape_for(code).metadata["error"] if code in SERVICE.shape_names else {}
    if kind not in {errors.NotAcceptable, errors.ExpectationFailed}:  # which no SDK will ever meet
        assert status == modelled.get("httpStatusCode", status)


@pytest.mark.parametrize("code", bedrock_errors.STATUSES)
def test_bedrocks_own_codes_are_kept(code: str) -> None:
    """With the status that the service's model has for them."""
    answer = bedrock_errors.refusal(errors.UpstreamFailed("x", upstream_code=code), "req_1")
    assert answer.headers["x-amzn-ErrorType"] == code
    assert answer.status == SERVICE.shape_for(code).metadata["error"]["httpStatusCode"]


def test_what_ails_the_gateways_credentials_is_its_own_affair() -> None:
    """To its caller it is one thing, however AWS calls it."""
    for code in ("ExpiredTokenException", "AccessDeniedException", "ValidationException"):
        fault = errors.UpstreamDenied("x", upstream_code=code, upstream_request_id="aws-1")
        answer = bedrock_errors.refusal(fault, "req_1")
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")
        assert answer.headers["x-amzn-RequestId"] == "aws-1"


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_frame(kind: type[GatewayError]) -> None:
    """Its exception is a member of both streams, so that every client raises it by its name."""
    messages: list[Any] = []
    Decoder().feed(bedrock_errors.frame(kind("it failed")), messages)
    [(headers, payload)] = messages
    assert headers[":message-type"] == "exception"
    assert orjson.loads(payload) == {"message": "it failed"}
    for operation in ("InvokeModelWithResponseStream", "ConverseStream"):
        shape: Any = SERVICE.operation_model(operation).get_event_stream_output()
        assert headers[":exception-type"] in shape.members


def test_an_answer() -> None:
    """Bytes leave as they came; an end that is good adds nothing."""
    encoder, data = bedrock_answers.FRAMES, b"frame"
    begun = Begun("cmpl_1", "model", "amazon", None, {"x-amzn-bedrock-service-tier": "flex", "x-other": "1"})
    assert encoder.start(begun) == b""
    assert encoder.events([PassedOn(data, 3)]) is data
    assert encoder.events([Usage(), PassedOn(data, 3), PassedOn(data, 3)]) == data + data
    assert encoder.events([Usage()]) == b""
    assert encoder.done(Ended(Stop(FinishReason.STOP, ""), Usage(), dict, None)) == b""
    assert bedrock_answers.headers(begun, "req_1") == {
        "X-Amzn-Bedrock-Service-Tier": "flex",
        "x-amzn-RequestId": "req_1",
        "X-Gateway-Model": "model",
    }


@pytest.mark.parametrize("given", [{}, {"Accept": "image/png"}, {"accept-language": "de"}])
def test_who_sends_no_header_of_awss_is_not_asked_for_one(given: dict[str, str]) -> None:
    """What goes on is the same."""
    asked: list[str] = []

    def header(name: str) -> str | None:
        asked.append(name)
        return given.get(name)

    found = bedrock_requests.headers(given, header, invoked=True)
    assert bedrock_requests.headers(given, header, invoked=True, plain=True) == found
    assert found == {name: value for name, value in given.items() if name == "Accept"}
    assert asked == [*found, *found]
