"""Every way in which Bedrock, AWS or the connection can fail has one meaning, decided in one table (R20)."""

from __future__ import annotations

import builtins
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import botocore.eventstream
import botocore.exceptions
import botocore.parsers
import botocore.session
import pytest
from aiohttp import client_exceptions, http_exceptions
from botocore.exceptions import ClientError, EventStreamError
from hypothesis import given
from hypothesis import strategies as st

from gateway.bedrock import exceptions, faults
from gateway.errors import (
    GatewayError,
    InternalError,
    InvalidRequest,
    UnknownModel,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.harness import shared

if TYPE_CHECKING:
    from types import ModuleType

CANARY = "CANARY-e4d2"
UNKNOWN_ID = "The provided model identifier is invalid."

# ── HTTP answers ──────────────────────────────────────────────────────────────────────────────────────

ANSWERS: list[tuple[int, str, type[GatewayError], int | None]] = [
    # (status, code, class, retry_after): bedrock-wire.md §7.1
    (400, "ValidationException", InvalidRequest, None),
    (400, "ServiceQuotaExceededException", UpstreamThrottled, 1),
    (400, "ConflictException", UpstreamFailed, None),
    (400, "ExpiredTokenException", UpstreamDenied, None),
    (403, "ExpiredTokenException", UpstreamDenied, None),
    (403, "ExpiredToken", UpstreamDenied, None),
    (403, "InvalidClientTokenId", UpstreamDenied, None),
    (403, "UnrecognizedClientException", UpstreamDenied, None),
    (403, "InvalidSignatureException", UpstreamDenied, None),
    (403, "SignatureDoesNotMatch", UpstreamDenied, None),
    (403, "MissingAuthenticationTokenException", UpstreamDenied, None),
    (400, "IncompleteSignature", UpstreamDenied, None),
    (400, "IncompleteSignatureException", UpstreamDenied, None),
    (400, "RequestExpired", UpstreamDenied, None),
    (403, "RequestTimeTooSkewed", UpstreamDenied, None),
    (403, "OptInRequired", UpstreamDenied, None),
    (400, "NotAuthorized", UpstreamDenied, None),
    (403, "AccessDeniedException", UpstreamDenied, None),
    (403, "AccessDenied", UpstreamDenied, None),
    (404, "FTUFormNotFilled", UpstreamDenied, None),
    (404, "ResourceNotFoundException", UnknownModel, None),
    (404, "UnknownOperationException", UpstreamFailed, None),
    (408, "ModelTimeoutException", UpstreamTimeout, None),
    (424, "ModelErrorException", UpstreamFailed, None),
    (424, "ModelStreamErrorException", UpstreamFailed, None),
    (429, "ThrottlingException", UpstreamThrottled, 1),
    (400, "Throttling", UpstreamThrottled, 1),
    (429, "TooManyRequestsException", UpstreamThrottled, 1),
    (429, "ModelNotReadyException", UpstreamThrottled, 1),
    (500, "InternalServerException", UpstreamFailed, None),
    (500, "InternalFailure", UpstreamFailed, None),
    (503, "ServiceUnavailableException", UpstreamUnavailable, None),
    (503, "ServiceUnavailable", UpstreamUnavailable, None),
    # codes that nobody has told us about: the status decides
    *(
        (status, code, cls, retry_after)
        for code in ("", "NewException", "429", "x" * 5000)
        for status, cls, retry_after in (
            (400, InvalidRequest, None),
            (401, UpstreamDenied, None),
            (403, UpstreamDenied, None),
            (404, UnknownModel, None),
            (408, UpstreamTimeout, None),
            (413, InvalidRequest, None),
            (424, UpstreamFailed, None),
            (429, UpstreamThrottled, 1),
            (503, UpstreamUnavailable, None),
            (504, UpstreamTimeout, None),
            (529, UpstreamUnavailable, None),
            (302, UpstreamFailed, None),
            (405, UpstreamFailed, None),
            (500, UpstreamFailed, None),
            (502, UpstreamFailed, None),
        )
    ),
]


@pytest.mark.parametrize(("status", "code", "cls", "retry_after"), ANSWERS)
def test_answer(status: int, code: str, cls: type[GatewayError], retry_after: int | None) -> None:
    """The code decides; without a known one, the status."""
    headers = {
        "x-amzn-errortype": f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/",
        "x-amzn-requestid": "0e1f-2",
    }
    error = faults.from_answer(status, headers, b'{"message": "a word"}')

    assert type(error) is cls
    assert error.retry_after == retry_after
    # what is wrong with a request may quote it: that is for the caller, not for the log
    assert error.detail == (None if cls is InvalidRequest else "a word")
    assert error.upstream_request_id == "0e1f-2"
    assert error.upstream_code == (code[:1].upper() + code[1:] or None)
    assert error.param == ("model" if cls is UnknownModel else None)


def test_every_code_is_in_the_table_of_answers() -> None:
    """No row of CODES and no row of STATUSES without a test."""
    assert {code for _, code, _, _ in ANSWERS} >= set(faults.CODES)
    assert {status for status, code, _, _ in ANSWERS if not code} >= set(faults.STATUSES)


@pytest.mark.parametrize(
    ("headers", "body", "code", "detail"),
    [
        ({"x-amzn-errortype": "ThrottlingException"}, b"{}", "ThrottlingException", None),
        ({"x-amzn-errortype": "aws.bedrock#ThrottlingException:x"}, b"{}", "ThrottlingException", None),
        ({}, b'{"__type": "com.amazon#ThrottlingException"}', "ThrottlingException", None),
        ({}, b'{"code": "throttlingException", "Message": "m"}', "ThrottlingException", "m"),
        ({}, b'{"message": 5, "code": null}', None, None),
        ({}, b'{"message": ""}', None, None),
        ({}, b"[]", None, None),
        ({}, b"", None, None),
        ({}, b"<html>\r\n<b>no</b>\x00</html>", None, None),
        ({}, b"\xff\xfe", None, None),
        ({}, b'{"message": "\\ud800"}', None, None),
        ({}, b"x" * 100_000, None, None),
        ({}, b'{"message": "' + b"x" * 100_000 + b'"}', None, "x" * 500),
    ],
)
def test_where_code_and_message_are_found(
    headers: dict[str, str], body: bytes, code: str | None, detail: str | None
) -> None:
    """The header before the body, with or without a namespace; a body that is not AWS's says nothing."""
    error = faults.from_answer(500, headers, body)

    assert (error.upstream_code, error.detail) == (code, detail)


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [
        ("1", 1),
        ("0", 1),
        ("1000", 1),
        ("1001", 2),
        ("59999", 60),
        ("999999999", 3600),
        ("", 1),
        ("-5", 1),
        ("1.5", 1),
        ("soon", 1),
        ("٣", 1),
        ("9" * 400, 1),
    ],
)
def test_retry_after(milliseconds: str, seconds: int) -> None:
    """`x-amz-retry-after` is honoured in whole seconds, rounded up, within an hour; nonsense is not."""
    headers = {"x-amz-retry-after": milliseconds, "x-amzn-errortype": "ThrottlingException"}

    assert faults.from_answer(429, headers, b"").retry_after == seconds


@pytest.mark.parametrize(
    ("status", "retry_after"), [(503, 3), (500, 3), (504, 3), (400, None), (403, None), (404, None)]
)
def test_retry_after_only_where_a_retry_may_help(status: int, retry_after: int | None) -> None:
    """Bedrock's wish counts for every retryable failure, and for no other."""
    assert faults.from_answer(status, {"x-amz-retry-after": "2500"}, b"").retry_after == retry_after


@pytest.mark.parametrize("request_id", ["", "a\r\nb", "\udcff", "x" * 129, "é"])
def test_a_request_id_that_is_none(request_id: str) -> None:
    """What could not stand in a header of ours is not taken over."""
    assert faults.from_answer(500, {"x-amzn-requestid": request_id}, b"").upstream_request_id is None


# ── what a caller is told ─────────────────────────────────────────────────────────────────────────────

PROFILE = (
    "Invocation of model ID x with on-demand throughput isn’t supported. Retry your request with the ID "
    "or ARN of an inference profile that contains this model."
)


@pytest.mark.parametrize(
    ("message", "cls", "words", "param"),
    [
        (
            "Malformed input request: #: extraneous key [x] is not permitted",
            InvalidRequest,
            "Bedrock refused the request: Malformed input request: #: extraneous key [x] is not permitted",
            None,
        ),
        ("", InvalidRequest, "Bedrock refused the request", None),
        (
            UNKNOWN_ID,
            UnknownModel,
            "Bedrock does not know this model id; check its spelling and the region.",
            "model",
        ),
        (
            PROFILE,
            InvalidRequest,
            f"This model is served through an inference profile only. Bedrock: {PROFILE}",
            "model",
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:x is not 1234567890123",
            InvalidRequest,
            "Bedrock refused the request: arn:aws:bedrock:us-east-1:************:x is not 1234567890123",
            None,
        ),
        (
            "a\r\nb\x00\x1b[31mc\x85\u2028d\u2029e",
            InvalidRequest,
            "Bedrock refused the request: a b [31mc d e",
            None,
        ),
        ("x" * 501, InvalidRequest, f"Bedrock refused the request: {'x' * 500}", None),
    ],
)
def test_validation(message: str, cls: type[GatewayError], words: str, param: str | None) -> None:
    """Bedrock's own words help whoever wrote the request: short, on one line, without account numbers."""
    error = faults.from_code("ValidationException", message)

    assert (type(error), error.message, error.param) == (cls, words, param)


@pytest.mark.parametrize("code", sorted(set(faults.CODES) - {"ValidationException"}))
def test_only_validation_repeats_bedrock(code: str) -> None:
    """No other failure's message has a word of Bedrock's; the log has them, without account numbers."""
    error = faults.from_code(code, f"User: arn:aws:iam::123456789012:user/{CANARY}\nis not")

    assert CANARY not in error.message
    assert error.detail == f"User: arn:aws:iam::************:user/{CANARY} is not"


@given(st.text(), st.text(), st.integers(100, 599), st.binary())
def test_anything(code: str, message: str, status: int, body: bytes) -> None:
    """Whatever an endpoint answers, it is a failure with a name, and never ours."""
    headers = {"x-amzn-errortype": code, "x-amzn-requestid": message, "x-amz-retry-after": message}
    errors = [
        faults.from_answer(status, headers, body),
        faults.from_answer(status, {}, json.dumps({"message": message, "code": code}).encode()),
        faults.from_frame(code, body),
        faults.from_code(code, message),
    ]

    assert all(isinstance(error, GatewayError) for error in errors)
    assert not any(isinstance(error, InternalError) for error in errors)
    assert not any(faults._CONTROL.search(error.message) for error in errors)


# ── against botocore's model of the service ───────────────────────────────────────────────────────────

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
STREAM_MEMBERS = {
    "internalServerException": UpstreamFailed,
    "modelStreamErrorException": UpstreamFailed,
    "validationException": InvalidRequest,
    "throttlingException": UpstreamThrottled,
    "modelTimeoutException": UpstreamTimeout,
    "serviceUnavailableException": UpstreamUnavailable,
}


def test_every_modelled_error_has_a_row() -> None:
    """The service-2.json of botocore names no error that our table does not."""
    modelled = {shape.name for shape in SERVICE.error_shapes}

    assert len(modelled) >= 12
    assert modelled - set(faults.CODES) == set()


def test_every_modelled_error_has_its_status() -> None:
    """Where a modelled error comes without its code, its status leads to a class that is as retryable."""
    differing = {
        shape.name
        for shape in SERVICE.error_shapes
        for status in [shape.metadata["error"]["httpStatusCode"]]
        if faults.from_code(shape.name, "").retryable != faults.from_code("", "", status=status).retryable
    }

    assert differing == {"ServiceQuotaExceededException", "ConflictException"}  # both 400, as validation is


def test_the_members_of_the_streams() -> None:
    """The exceptions of both streams are the six of the table below."""
    members = {
        name
        for operation in ("InvokeModelWithResponseStream", "ConverseStream")
        for name, shape in SERVICE.operation_model(operation).get_event_stream_output().members.items()
        if shape.metadata.get("exception")
    }

    assert members == set(STREAM_MEMBERS)


@pytest.mark.parametrize(("member", "cls"), STREAM_MEMBERS.items())
def test_frame(member: str, cls: type[GatewayError]) -> None:
    """An exception frame in camel case means what the same code means as an answer."""
    payload = b'{"message": "m", "originalStatusCode": 500, "originalMessage": "o"}'
    error = faults.from_frame(member, payload)

    assert (type(error), error.upstream_code) == (cls, member[0].upper() + member[1:])
    assert error.message == faults.from_code(error.upstream_code or "", "m").message


@pytest.mark.parametrize("kind", ["", "newException", "\udcff"])
@pytest.mark.parametrize("payload", [b"", b"{}", b"nonsense", b'{"message": "m"}'])
def test_an_unknown_frame(kind: str, payload: bytes) -> None:
    """A frame that says nothing we know is a failure of Bedrock's."""
    assert type(faults.from_frame(kind, payload)) is UpstreamFailed


# ── recorded errors ───────────────────────────────────────────────────────────────────────────────────


def test_recorded_errors() -> None:
    """Every error in the recordings of real Bedrock has the class that its message calls for."""
    folder = shared("recordings", "GATEWAY_RECORDINGS")
    recorded = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    errors = [exchange for exchange in recorded if exchange["status"] != 200]

    wrong = []
    for exchange in errors:
        headers = {name.lower(): value for name, value in exchange["response_headers"].items()}
        error = faults.from_answer(exchange["status"], headers, json.dumps(exchange["response"]).encode())
        message = exchange["response"]["message"]
        expected = (UnknownModel, "model") if message == UNKNOWN_ID else (InvalidRequest, None)
        if (type(error), error.param) != expected:
            wrong.append((exchange["path"], error))

    assert wrong == []
    assert len(errors) >= 13


# ── Python exceptions ─────────────────────────────────────────────────────────────────────────────────


def classes_of(module: ModuleType, root: type[BaseException] = Exception) -> list[type[BaseException]]:
    """Return the exception classes that a module defines."""
    return [
        value
        for _, value in sorted(vars(module).items())
        if isinstance(value, type)
        and issubclass(value, root)
        and not issubclass(value, Warning)
        and value.__module__ == module.__name__
    ]


def instance(cls: type[BaseException]) -> BaseException:
    """Return an instance whose text is the canary, past constructors that all differ."""
    error = cls.__new__(cls)
    error.args = (CANARY,)
    if isinstance(error, ClientError):
        error.response = {"Error": {"Code": "NewException", "Message": CANARY}}
    return error


OS_ERRORS = [
    value for value in vars(builtins).values() if isinstance(value, type) and issubclass(value, OSError)
]
EVERY_CLASS = sorted(
    {
        *classes_of(botocore.exceptions),
        *classes_of(botocore.eventstream),
        *classes_of(botocore.parsers),
        *classes_of(client_exceptions),
        *classes_of(http_exceptions),
        *OS_ERRORS,
        *(socket.gaierror, socket.herror, ssl.SSLError, ssl.SSLCertVerificationError, ssl.SSLEOFError),
        *(UnicodeError, RuntimeError, json.JSONDecodeError),
    },
    key=lambda cls: f"{cls.__module__}.{cls.__name__}",
)


@pytest.mark.parametrize("cls", EVERY_CLASS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_exception(cls: type[BaseException]) -> None:
    """Each class of each library means a failure of Bedrock's side, in our words, and keeps only its name."""
    error = exceptions.from_exception(instance(cls))

    assert isinstance(error, GatewayError)
    assert not isinstance(error, InternalError | InvalidRequest | UnknownModel)
    assert CANARY not in f"{error.message} {error}"
    assert error.detail == (CANARY if issubclass(cls, ClientError) else cls.__name__)


NEVER_ON_OUR_PATH = {
    # our own decoder reads the frames; the endpoint's parser errors are wrapped by aiohttp's client
    *classes_of(botocore.eventstream),
    *classes_of(http_exceptions),
    # of models and of websockets, which we do not have
    botocore.exceptions.UndefinedModelAttributeError,
    botocore.exceptions.MissingServiceIdError,
    aiohttp.WSMessageTypeError,
}


def test_what_is_caught() -> None:
    """`FOREIGN` catches every class of the libraries that a call or a read can raise."""
    libraries = [
        *classes_of(botocore.exceptions),
        *classes_of(botocore.parsers),
        *classes_of(client_exceptions),
        *OS_ERRORS,
    ]

    escaping = {cls for cls in libraries if not issubclass(cls, exceptions.FOREIGN)}

    assert escaping - NEVER_ON_OUR_PATH == set()


MEANINGS: list[tuple[type[BaseException], type[GatewayError]]] = [
    (botocore.exceptions.NoCredentialsError, UpstreamDenied),
    (botocore.exceptions.PartialCredentialsError, UpstreamDenied),
    (botocore.exceptions.CredentialRetrievalError, UpstreamDenied),
    (botocore.exceptions.ProfileNotFound, UpstreamDenied),
    (botocore.exceptions.ConfigParseError, UpstreamDenied),
    (botocore.exceptions.SSOTokenLoadError, UpstreamDenied),
    (botocore.exceptions.UnauthorizedSSOTokenError, UpstreamDenied),
    (botocore.exceptions.LoginRefreshRequired, UpstreamDenied),
    (botocore.exceptions.MetadataRetrievalError, UpstreamDenied),
    (FileNotFoundError, UpstreamDenied),
    (PermissionError, UpstreamDenied),
    (botocore.exceptions.ConnectTimeoutError, UpstreamTimeout),
    (botocore.exceptions.ReadTimeoutError, UpstreamTimeout),
    (aiohttp.ConnectionTimeoutError, UpstreamTimeout),
    (aiohttp.SocketTimeoutError, UpstreamTimeout),
    (aiohttp.ServerTimeoutError, UpstreamTimeout),
    (TimeoutError, UpstreamTimeout),
    (botocore.exceptions.SSLError, UpstreamUnavailable),
    (aiohttp.ClientConnectorCertificateError, UpstreamUnavailable),
    (ssl.SSLCertVerificationError, UpstreamUnavailable),
    (botocore.exceptions.ConnectionClosedError, UpstreamUnavailable),
    (aiohttp.ServerDisconnectedError, UpstreamUnavailable),
    (botocore.exceptions.EndpointConnectionError, UpstreamUnavailable),
    (botocore.exceptions.ProxyConnectionError, UpstreamUnavailable),
    (aiohttp.ClientConnectorDNSError, UpstreamUnavailable),
    (socket.gaierror, UpstreamUnavailable),
    (aiohttp.ClientHttpProxyError, UpstreamUnavailable),
    (aiohttp.ClientResponseError, UpstreamProtocolError),
    (aiohttp.ClientPayloadError, UpstreamProtocolError),
    (aiohttp.ClientConnectionResetError, UpstreamProtocolError),
    (ConnectionResetError, UpstreamProtocolError),
    (BrokenPipeError, UpstreamProtocolError),
    (botocore.eventstream.ChecksumMismatch, UpstreamProtocolError),
    (botocore.parsers.ResponseParserError, UpstreamProtocolError),
    (botocore.exceptions.HTTPClientError, UpstreamUnavailable),
    (OSError, UpstreamUnavailable),
    (botocore.exceptions.ParamValidationError, UpstreamFailed),
    (RuntimeError, UpstreamFailed),
]


@pytest.mark.parametrize(("cls", "expected"), MEANINGS)
def test_exception(cls: type[BaseException], expected: type[GatewayError]) -> None:
    """What each kind of exception means."""
    assert type(exceptions.from_exception(instance(cls))) is expected


def test_subclasses_stand_before_their_bases() -> None:
    """No row of the table is hidden behind an earlier one."""
    kinds = [kind for row, _, _ in exceptions.EXCEPTIONS for kind in row]
    hidden = [
        (kind, earlier)
        for place, kind in enumerate(kinds)
        for earlier in kinds[:place]
        if issubclass(kind, earlier) and earlier is not kind
    ]

    # within the row of the same meaning an order does not matter
    meaning = {kind: (cls, text) for row, cls, text in reversed(exceptions.EXCEPTIONS) for kind in row}
    assert [pair for pair in hidden if meaning[pair[0]] != meaning[pair[1]]] == []


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"Error": {"Code": "ThrottlingException"}}, UpstreamThrottled),
        ({"Error": {"Code": "throttlingException"}}, UpstreamThrottled),
        ({"Error": {"Code": "Throttling"}}, UpstreamThrottled),
        ({"Error": {"Code": "AccessDenied"}}, UpstreamDenied),
        ({"Error": {"Code": "ExpiredToken"}}, UpstreamDenied),
        ({"Error": {"Code": "ValidationError"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, UpstreamDenied),
        (
            {"Error": {"Code": "InvalidIdentityToken"}, "ResponseMetadata": {"HTTPStatusCode": 400}},
            UpstreamDenied,
        ),
        ({"Error": {"Code": "ValidationException", "Message": UNKNOWN_ID}}, UpstreamDenied),
        ({"Error": {"Code": "ResourceNotFoundException"}}, UpstreamDenied),
        ({"Error": {"Code": "New"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, UpstreamUnavailable),
        ({"Error": {"Code": "", "Message": ""}}, UpstreamFailed),
        ({"Error": {}}, UpstreamFailed),
        ({}, UpstreamFailed),
    ],
)
@pytest.mark.parametrize("cls", [ClientError, EventStreamError])
def test_client_error(cls: Any, response: dict[str, Any], expected: type[GatewayError]) -> None:
    """An error of STS or SSO is the operator's or AWS's, never the caller's."""
    error = cls(response, "AssumeRole")
    fault = exceptions.from_exception(error)

    assert type(fault) is expected
    assert str(error) not in fault.message
