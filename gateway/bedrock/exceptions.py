"""What botocore, aiohttp and the socket raise, in our taxonomy: foreign exceptions end here.

Most faults in the middle of a stream are aiohttp's, not botocore's (reliability.md S6).
"""

from __future__ import annotations

import ssl

import aiohttp
import botocore.exceptions
from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from gateway.bedrock import faults
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    UnknownModel,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.wire.http1 import BROKEN
from gateway.wire.http1 import NO_HTTP as NO_HTTP_WORDS

NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.NoAuthTokenError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.UnauthorizedSSOTokenError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.MetadataRetrievalError,
    botocore.exceptions.InvalidConfigError,
    botocore.exceptions.ConfigNotFound,
    botocore.exceptions.ConfigParseError,
    botocore.exceptions.UnknownCredentialError,
    botocore.exceptions.RefreshWithMFAUnsupportedError,
    botocore.exceptions.SSOError,
    botocore.exceptions.LoginError,
    FileNotFoundError,  # a web identity token's file
    PermissionError,
)
STALE = frozenset(
    {"ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"}
)
"""AWS's codes for credentials that were good once: expired, or keys that were replaced and deleted. Their
source is asked once more; one that has nothing else says so at once."""

NO_CREDENTIALS_WORDS = "The gateway has no AWS credentials; its operator must look at the log."

NO_HTTP = aiohttp.ClientResponseError
"""The head of a proxy's answer cannot be read, or it refuses the tunnel."""

EXCEPTIONS: tuple[tuple[tuple[type[BaseException], ...], type[GatewayError], str], ...] = (
    (
        NO_CREDENTIALS,
        UpstreamDenied,
        NO_CREDENTIALS_WORDS,
    ),
    (
        (botocore.exceptions.ConnectTimeoutError, aiohttp.ConnectionTimeoutError),
        UpstreamTimeout,
        "Connecting to Bedrock took too long.",
    ),
    (
        (botocore.exceptions.ReadTimeoutError, aiohttp.ServerTimeoutError, TimeoutError),
        UpstreamTimeout,
        "Bedrock did not answer in time.",
    ),
    (
        (botocore.exceptions.SSLError, aiohttp.ClientSSLError, ssl.SSLError),
        UpstreamUnavailable,
        "The TLS connection to Bedrock failed.",
    ),
    (
        (botocore.exceptions.ConnectionClosedError, aiohttp.ServerDisconnectedError),
        UpstreamUnavailable,
        "Bedrock closed the connection before it answered.",
    ),
    (
        (botocore.exceptions.ConnectionError, aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError),
        UpstreamUnavailable,
        "Bedrock is not reachable.",
    ),
    (
        (NO_HTTP,),
        UpstreamProtocolError,
        NO_HTTP_WORDS,
    ),
    (
        (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, ConnectionError),
        UpstreamProtocolError,
        BROKEN,
    ),
    (
        (aiohttp.ClientError, botocore.exceptions.HTTPClientError),
        UpstreamUnavailable,
        "Bedrock is not reachable.",
    ),
    (
        (ResponseParserError, ParserError),
        UpstreamProtocolError,
        "AWS sent an answer that cannot be read.",
    ),
    ((OSError,), UpstreamUnavailable, "Bedrock is not reachable."),
    ((BotoCoreError,), UpstreamFailed, "The call to Bedrock failed."),
)
"""First match wins: subclasses stand before their bases."""


FOREIGN = (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError)
"""What a call or a read may raise that is not ours: catch it, and raise `from_exception` of it."""


UNSENT = (
    botocore.exceptions.ConnectTimeoutError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
)
"""There was no connection on which anything could have been sent."""


def before_the_head(error: BaseException) -> GatewayError:
    """As `from_exception`, for a call of which no answer has come: a break is no broken answer then."""
    fault = from_exception(error)
    broken = isinstance(error, ConnectionError | aiohttp.ClientError)
    if broken and isinstance(fault, UpstreamProtocolError) and not isinstance(error, NO_HTTP):
        fault = UpstreamUnavailable(
            "The connection to Bedrock broke before it answered.", detail=fault.detail
        )
    fault.unsent = isinstance(error, UNSENT)
    return fault


def from_exception(error: BaseException) -> GatewayError:
    """Return the error that a foreign exception means; its text may hold a header and stays behind."""
    if isinstance(error, ClientError):
        return _from_client_error(error)
    for kinds, cls, text in EXCEPTIONS:
        if isinstance(error, kinds):
            return cls(text, detail=_cause(error))
    return UpstreamFailed("The call to Bedrock failed.", detail=type(error).__name__)


def _cause(error: BaseException) -> str:
    """Return the type, and for a connection that could not be made the system's words for why."""
    cause = error.__cause__ if isinstance(error, aiohttp.ClientConnectorError) else None
    words = cause.strerror if isinstance(cause, OSError) else None
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _from_client_error(error: ClientError) -> GatewayError:
    """Bedrock is not called by botocore's client: such an error is STS's or SSO's, asked for credentials.

    What they find wrong with a request is the operator's configuration, never the caller's fault.
    """
    described = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    fault = faults.from_code(str(described.get("Code", "")), str(described.get("Message", "")), status=status)
    if isinstance(fault, InvalidRequest | UnknownModel):
        return UpstreamDenied(NO_CREDENTIALS_WORDS, detail=fault.detail, upstream_code=fault.upstream_code)
    return fault
