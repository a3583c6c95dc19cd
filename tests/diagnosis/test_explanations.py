"""The table of explanations, row by row: a failure of each kind, and that its row and no other answers."""

from __future__ import annotations

import re

import pytest

from gateway.bedrock import faults
from gateway.diagnosis.explanations import RULES, UNKNOWN, Scene, explain, symptom_of
from gateway.diagnosis.rules import Rule, Symptom
from gateway.errors import GatewayError, InvalidRequest, UnknownModel, UpstreamDenied, UpstreamUnavailable

SCENE = Scene(
    region="eu-west-1",
    endpoint="https://endpoint",
    skew="7 s",
    source="the role R",
    model="the-model",
    action="bedrock:InvokeModel",
    resource="arn:of:the:model",
    profile="use eu.the-model",
)
USER = "User: arn:aws:iam::111122223333:user/x is not authorized to perform: "

# what AWS (or the system) says: code, words → words of the message, words of the advice
SAID = [
    ("", "no source of the default chain gave credentials", "there are no AWS credentials", "AWS_PROFILE"),
    ("ProfileNotFound", "The config profile (x) could not be found", "profile that is named", "AWS_PROFILE"),
    ("UnauthorizedSSOTokenError", "The SSO session has expired", "sign-on session", "aws sso login"),
    ("ConfigParseError", "Unable to parse config file", "configuration files cannot", "AWS_CONFIG_FILE"),
    ("FileNotFoundError", "FileNotFoundError", "cannot be read", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ("InvalidIdentityToken", "Not valid", "web identity token", "OIDC provider"),
    ("AccessDenied", f"{USER}sts:AssumeRole on resource: r", "cannot be assumed: the role R", "external id"),
    ("ValidationError", "DurationSeconds exceeds the MaxSessionDuration", "so long", "duration_s"),
    ("", "duration_s 7200 of r: at most 3600", "temporary credentials assume it", "3600 or less"),
    ("RegionDisabledException", "STS is not activated", "not active in eu-west-1", "activate the region"),
    ("CredentialRetrievalError", "Error when retrieving", "a source of credentials failed", "IMDSv2"),
    ("", "the first attempt has not ended", "does not answer: the role R", "AWS_ENDPOINT_URL_STS"),
    ("ExpiredTokenException", "is expired", "credentials have expired", "AWS_SESSION_TOKEN"),
    ("RequestTimeTooSkewed", "too skewed", "clock (skew: 7 s)", "NTP"),
    ("RequestExpired", "-", "clock (skew: 7 s)", "NTP"),
    ("InvalidSignatureException", "Signature expired: 1 is now earlier", "clock (skew: 7 s)", "NTP"),
    ("SignatureDoesNotMatch", "Signature not yet current: 2 is", "clock (skew: 7 s)", "NTP"),
    (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region.",
        "region",
        "https://endpoint",
    ),
    ("SignatureDoesNotMatch", "does not match", "secret does not belong", "AWS_SECRET_ACCESS_KEY"),
    ("UnrecognizedClientException", "is invalid", "does not know this access key", "AWS_ACCESS_KEY_ID"),
    ("MissingAuthenticationTokenException", "Missing", "without its signature", "Authorization"),
    (
        "AccessDeniedException",
        f"{USER}x with an explicit deny in a service control policy",
        "(SCP) of the organisation denies bedrock:InvokeModel for the-model",
        "arn:of:the:model in eu-west-1",
    ),
    (
        "AccessDeniedException",
        "explicit deny in a VPC endpoint policy",
        "VPC endpoint denies",
        "VPC endpoint",
    ),
    ("AccessDeniedException", "explicit deny in an identity-based policy", "a policy denies", "Deny"),
    ("AccessDeniedException", "not authorized: aws-marketplace:Subscribe", "Marketplace", "Subscribe"),
    ("FTUFormNotFilled", "", "use-case form", "use case details"),
    (
        "ResourceNotFoundException",
        "Model use case details have not been submitted",
        "use-case form",
        "15 min",
    ),
    ("AccessDeniedException", "make sure your API Key is valid.", "API key", "AWS_BEARER_TOKEN_BEDROCK"),
    ("AccessDeniedException", f"{USER}bedrock:InvokeModel", "no IAM policy", "arn:of:the:model"),
    ("AccessDeniedException", "You don't have access to the model", "no access to the-model", "eu-west-1"),
    ("OptInRequired", "", "not signed up for Bedrock in eu-west-1", "sign-up"),
    ("ValidationException", "with on-demand throughput isn’t supported", "profile only", "use eu.the-model"),
    ("", "'x' is served through an inference profile, not by", "profile only", "use eu.the-model"),
    (
        "ValidationException",
        "The provided model identifier is invalid.",
        "does not know the-model",
        "spelling",
    ),
    ("ResourceNotFoundException", "reached the end of its life", "retired", "newer"),
    ("ResourceNotFoundException", "Could not resolve", "does not exist in eu-west-1", "AWS_REGION"),
    ("ValidationException", "Operation not allowed", "does not let this account", "AWS support"),
    ("ThrottlingException", "Too many tokens", "throttles the-model", "quotas"),
    ("ModelNotReadyException", "", "no capacity", "later"),
    ("ValidationException", "max_tokens: 1 is too small", "refused the check's one-token", "gateway.toml"),
    ("UnknownOperationException", "", "does not know the operation", "bedrock-runtime"),
    ("", "'x' is not among the models that", "not among allowed_models", "allowed_models"),
    ("", "'x' embeds nothing: it gives text.", "neither", "take it out"),
    ("", "'x' is not a Bedrock model id: it is empty", "no model that", "correct the id"),
    ("ClientConnectorDNSError", "Name or service not known", "cannot be resolved", "DNS"),
    ("ClientConnectorCertificateError", "", "is not trusted: https://endpoint", "AWS_CA_BUNDLE"),
    ("SSLError", "certificate verify failed", "is not trusted: https://endpoint", "AWS_CA_BUNDLE"),
    ("ClientConnectorSSLError", "wrong version number", "no TLS connection", "https or http"),
    ("ClientHttpProxyError", "", "the proxy does not let us through", "NO_PROXY"),
    ("ClientConnectorError", "Connect call failed ('127.0.0.1', 9)", "nothing answers", "port"),
    ("ConnectionTimeoutError", "ConnectionTimeoutError", "in time", "security groups"),
]


def rule_for(code: str, words: str) -> Rule:
    """Return the row that answers."""
    return next((rule for rule in RULES if rule.fits(Symptom(code, words))), UNKNOWN)


@pytest.mark.parametrize(("code", "words", "message", "advice"), SAID)
def test_explained(code: str, words: str, message: str, advice: str) -> None:
    """Every kind of failure has its line and its advice, in which nothing is left unfilled."""
    result = explain("name", UpstreamDenied("", detail=words or "-", upstream_code=code or None), SCENE)

    assert message in result.message
    assert advice in result.advice
    assert not re.search(r"[{}]", result.message + result.advice)


def test_every_row_is_reached() -> None:
    """No row stands behind one that answers in its place: each explains a failure above."""
    reached = {id(rule_for(code, words)) for code, words, _, _ in SAID}

    assert [rule.message for rule in RULES if id(rule) not in reached] == []


def test_every_denial_of_the_fault_map_is_explained() -> None:
    """What the gateway takes for the operator's fault, this table explains."""
    denied = [code for code, (cls, _) in faults.CODES.items() if cls is UpstreamDenied]

    assert [code for code in denied if rule_for(code, "-") is UNKNOWN] == []


def test_unknown() -> None:
    """What no row knows is called that, and fails."""
    result = explain("name", UpstreamUnavailable("Strange."), SCENE)

    assert (result.status, result.message, result.said) == ("fail", UNKNOWN.message, "Strange.")


@pytest.mark.parametrize(
    ("error", "symptom"),
    [
        (UpstreamDenied("m", detail="words", upstream_code="Code"), Symptom("Code", "words")),
        (UpstreamDenied("m", detail="A: words", upstream_code="Code"), Symptom("Code", "A: words")),
        (UpstreamDenied("m", detail="AccessDenied: words"), Symptom("AccessDenied", "words")),
        (UpstreamDenied("m", detail="KeyError"), Symptom("KeyError", "KeyError")),
        (UnknownModel("'x' is no id: why"), Symptom("", "'x' is no id: why")),
        (InvalidRequest("refused: w", upstream_code="Code"), Symptom("Code", "refused: w")),
    ],
)
def test_symptom(error: GatewayError, symptom: Symptom) -> None:
    """AWS's code, else the one that a detail begins with; the detail, else the message."""
    assert symptom_of(error) == symptom
