"""What goes wrong with a model that we may use."""

from __future__ import annotations

from gateway.diagnosis.rules import Rule

MODEL_RULES: tuple[Rule, ...] = (
    Rule(
        "",
        "on-demand throughput isn|served through an inference profile",
        "{model} is served through an inference profile only",
        "in default_model, aliases and models, {profile}",
    ),
    Rule(
        "ValidationException",
        "model identifier is invalid",
        "Bedrock does not know {model} in {region}",
        "look at the spelling (with its version, as in -v1:0), and at AWS_REGION: not every region has every "
        "model",
    ),
    Rule(
        "ResourceNotFoundException",
        "end of its life|legacy|retired|deprecated",
        "{model} is retired, or has not been used for too long to be served still",
        "move to a newer model",
    ),
    Rule(
        "ResourceNotFoundException",
        "",
        "{model} does not exist in {region}",
        "look at AWS_REGION and at the id or ARN: profiles and imported models belong to one region and "
        "account",
    ),
    Rule(
        "ValidationException",
        "operation not allowed",
        "AWS does not let this account call {model} yet",
        "new accounts are held back: open a case with AWS support (Bedrock, account limits)",
    ),
    Rule(
        "ThrottlingException Throttling TooManyRequestsException ServiceQuotaExceededException",
        "",
        "access is granted, but Bedrock throttles {model} now",
        "look at the quotas below, and at who else uses them",
        "warn",
    ),
    Rule(
        "ModelNotReadyException ServiceUnavailableException ServiceUnavailable ModelTimeoutException",
        "",
        "access is granted, but {model} has no capacity now",
        "try again later; an inference profile over several regions helps",
        "warn",
    ),
    Rule(
        "ValidationException",
        "",
        "{model} refused the check's one-token request",
        "look at the model's `defaults` and `operation` in gateway.toml",
    ),
    Rule(
        "UnknownOperationException",
        "",
        "the endpoint does not know the operation: {endpoint}",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME must be Bedrock's runtime (bedrock-runtime, not bedrock)",
    ),
    Rule(
        "",
        "not among the models",
        "{model} is not among allowed_models",
        "add it to allowed_models, or take it out of default_model, aliases and models",
    ),
    Rule(
        "",
        "embeds nothing|is not a chat model",
        "{model} is neither a model for chats nor for embeddings",
        "take it out of default_model, aliases and models",
    ),
    Rule(
        "",
        "model id|catalogue",
        "{model} is no model that the gateway can ask for",
        "correct the id: a name of the catalogue, an inference profile or an ARN",
    ),
)
