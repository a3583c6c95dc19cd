"""What AWS says to those who may not."""

from __future__ import annotations

from gateway.diagnosis.rules import DENIED, Rule

ACCESS_RULES: tuple[Rule, ...] = (
    Rule(
        DENIED,
        "explicit deny in a service control policy",
        "a service control policy (SCP) of the organisation denies {action} for {model}",
        "ask who runs the AWS organisation to allow {action} on {resource} in {region}; no policy of this "
        "account can",
    ),
    Rule(
        DENIED,
        "explicit deny in a VPC endpoint policy|VPC endpoint policy",
        "the policy of the VPC endpoint denies {action} for {model}",
        "allow {action} on {resource} in the policy of the bedrock-runtime VPC endpoint",
    ),
    Rule(
        DENIED,
        "explicit deny",
        "a policy denies {action} for {model} explicitly",
        "take the Deny for {action} on {resource} out of the identity's policies and permissions boundary",
    ),
    Rule(
        DENIED,
        "aws-marketplace",
        "the account is not subscribed to {model} in AWS Marketplace",
        "call the model once as someone with aws-marketplace:Subscribe and ViewSubscriptions, "
        "or enable it in the Bedrock console's model catalogue",
    ),
    Rule(
        "FTUFormNotFilled",
        "",
        "{model} needs the account's use-case form, and nobody has sent it",
        "send it in the Bedrock console (model catalogue, an Anthropic model, submit use case details) and "
        "wait 15 minutes",
    ),
    Rule(
        f"{DENIED} ResourceNotFoundException ValidationException",
        "use.case details",
        "{model} needs the account's use-case form, and nobody has sent it",
        "send it in the Bedrock console (model catalogue, an Anthropic model, submit use case details) and "
        "wait 15 minutes",
    ),
    Rule(
        DENIED,
        "api key|bearer token",
        "Bedrock does not accept the API key",
        "make a new one and set AWS_BEARER_TOKEN_BEDROCK, or set bedrock.auth to sigv4",
    ),
    Rule(
        DENIED,
        "not authorized to perform",
        "no IAM policy of ours allows {action} for {model}",
        "add {action} on {resource} to the policy of the identity above",
    ),
    Rule(
        DENIED,
        "",
        "the account has no access to {model}",
        "enable the model in the Bedrock console of {region} (model access), and allow {action} on "
        "{resource} in the IAM policy",
    ),
    Rule(
        "OptInRequired NotAuthorized",
        "",
        "the account is not signed up for Bedrock in {region}",
        "finish the account's sign-up and activate the region, or set AWS_REGION to another",
    ),
)
