"""What goes wrong before AWS knows who we are: sources, roles, keys, signatures."""

from __future__ import annotations

from gateway.diagnosis.rules import DENIED, SIGNATURES, Rule

WRONG_CLOCK = "AWS refuses our signatures because of this host's clock (skew: {skew})"
SET_CLOCK = "set the clock: turn NTP on (timedatectl set-ntp true, chronyc makestep)"

CREDENTIAL_RULES: tuple[Rule, ...] = (
    Rule(
        "",
        "no source of the default chain",
        "there are no AWS credentials: no source of the default chain has any",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the task, pod or instance "
        "a role",
    ),
    Rule(
        "ProfileNotFound",
        "",
        "the AWS profile that is named does not exist on this host",
        "correct AWS_PROFILE, or add the profile to ~/.aws/config (AWS_CONFIG_FILE)",
    ),
    Rule(
        "UnauthorizedSSOTokenError SSOTokenLoadError TokenRetrievalError SSOError LoginError",
        "",
        "the sign-on session of the profile is missing or over",
        "run `aws sso login` for the profile, or use a role that renews itself",
    ),
    Rule(
        "ConfigParseError ConfigNotFound InvalidConfigError PartialCredentialsError UnknownCredentialError",
        "",
        "AWS's configuration files cannot be used",
        "correct the file and the profile that are named (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE)",
    ),
    Rule(
        "FileNotFoundError PermissionError",
        "",
        "a file with a token cannot be read",
        "look at AWS_WEB_IDENTITY_TOKEN_FILE (or AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE): is it mounted, and "
        "readable for this user?",
    ),
    Rule(
        "InvalidIdentityToken IDPCommunicationError IDPRejectedClaim",
        "",
        "STS does not accept the web identity token",
        "the role's trust policy must name the cluster's OIDC provider and this service account; look at "
        "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN",
    ),
    Rule(
        DENIED,
        "sts:AssumeRole|sts:TagSession",
        "the role cannot be assumed: {source}",
        "the role's trust policy must name who asks, with the same external id as credentials.roles here "
        "(sts:ExternalId); and who asks needs sts:AssumeRole on the role (sts:TagSession for tags)",
    ),
    Rule(
        "ValidationError",
        "DurationSeconds",
        "the role's session may not be so long: {source}",
        "lower duration_s of credentials.roles, or raise the role's maximum session duration",
    ),
    Rule(
        "",
        r"duration_s \d+ of .*: at most",
        "the role's session may not be so long, because temporary credentials assume it: {source}",
        "set duration_s of credentials.roles to 3600 or less",
    ),
    Rule(
        "RegionDisabledException",
        "",
        "STS is not active in {region}",
        "activate the region in the account's settings, or set AWS_REGION to one that is",
    ),
    Rule(
        "CredentialRetrievalError MetadataRetrievalError",
        "",
        "a source of credentials failed: {source}",
        "look at the credential process, the container's endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI) or "
        "the instance's metadata service (IMDSv2, hop limit 2 in containers)",
    ),
    Rule(
        "",
        "the first attempt has not ended",
        "the source of credentials does not answer: {source}",
        "look at the way to STS (AWS_ENDPOINT_URL_STS, a VPC endpoint for sts) or to the metadata service",
    ),
    Rule(
        "ExpiredTokenException ExpiredToken",
        "",
        "the AWS credentials have expired",
        "get new ones and a new AWS_SESSION_TOKEN, or let the gateway renew them: a role, a profile with sso "
        "or web identity",
    ),
    Rule("RequestTimeTooSkewed RequestExpired", "", WRONG_CLOCK, SET_CLOCK),
    Rule(SIGNATURES, "signature expired|not yet current", WRONG_CLOCK, SET_CLOCK),
    Rule(
        SIGNATURES,
        "scoped to",
        "the endpoint belongs to another region or service than {region}",
        "let AWS_REGION and the endpoint URL name the same region: {endpoint}",
    ),
    Rule(
        SIGNATURES,
        "",
        "the secret does not belong to the access key",
        "copy AWS_SECRET_ACCESS_KEY again, whole and without quotes; a proxy in between must not change "
        "requests",
    ),
    Rule(
        "UnrecognizedClientException InvalidClientTokenId",
        "",
        "AWS does not know this access key",
        "look at AWS_ACCESS_KEY_ID: deleted, inactive, or of another partition? A key that begins with ASIA "
        "needs its own AWS_SESSION_TOKEN",
    ),
    Rule(
        "MissingAuthenticationTokenException MissingAuthenticationToken",
        "",
        "the request arrived without its signature",
        "a proxy takes the Authorization header away, or the endpoint URL is not Bedrock's: {endpoint}",
    ),
)
