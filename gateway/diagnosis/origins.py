"""Where credentials come from, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.bedrock.credentials.refresher import Refresher

if TYPE_CHECKING:
    from gateway.bedrock.credentials import CredentialSource

WORDS = {
    "AWS_ACCESS_KEY_ID": "the keys of AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK": "the API key of AWS_BEARER_TOKEN_BEDROCK",
    "shared-credentials-file": "profile {profile} of the shared credentials file",
    "config-file": "profile {profile} of the config file",
    "assume-role": "profile {profile}, whose role the SDK assumes",
    "assume-role-with-web-identity": "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
    "sso": "profile {profile}, by single sign-on",
    "custom-process": "the credential_process of profile {profile}",
    "container-role": "the endpoint of the container (ECS or EKS Pod Identity)",
    "iam-role": "the role of the instance (IMDS)",
    "default chain": "the SDK's default chain",
}
"""Names of sources (`CredentialSource.origins`; botocore's where its chain found them) → words."""


def named(source: CredentialSource, profile: str | None) -> str:
    """Return the source in words: a role, what assumes it, and so on."""
    words = (
        WORDS.get(origin, f"the role {origin}" if ":" in origin else origin) for origin in source.origins
    )
    return ", assumed with ".join(words).replace("{profile}", profile or "default")


def time_left(source: CredentialSource) -> str:
    """Return how long the credentials last, as the end of a sentence; empty where they do not expire."""
    if not isinstance(source, Refresher) or math.isinf(source.seconds_left):
        return ""
    return f"; they last {source.seconds_left / 60:.0f} min and are renewed in the background"
