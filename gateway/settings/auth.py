"""How callers prove who they are, beside the keys that the settings themselves name."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.settings.sections import Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Asymmetric ones only: with a shared secret whoever checks tokens can make them; `none` proves nothing."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to what listens there; a name is not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _trustworthy(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise PydanticCustomError("no_url", "is not a URL") from None
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (parts.scheme == "https" or local) or not parts.hostname:
        raise PydanticCustomError(
            "not_https", "needs to be an https URL: whoever can change the keys on their way is everybody"
        )
    return url


Url = Annotated[str, AfterValidator(_trustworthy)]


class IssuerSettings(Section):
    """One issuer of tokens (OIDC, Kubernetes), and what is believed of them."""

    issuer: Url
    """As the tokens' `iss` has it, to the letter."""
    audience: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """What `aud` must have one of; tokens for others are not for us."""
    jwks_url: Url | None = None
    """Where its keys are; without it, where `/.well-known/openid-configuration` says."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    caller_claim: str = Field("sub", min_length=1)
    """The claim that is the subject."""
    groups_claim: str | None = Field(None, min_length=1)
    """The claim that lists groups."""
    subject_prefix: str = ""
    """Put before subjects and groups, so that two issuers cannot name each other's."""
    leeway_s: float = Field(30.0, ge=0, le=300, allow_inf_nan=False)
    """How wrong clocks may be."""
    refresh_s: int = Field(300, ge=30, le=86_400)
    """How old its keys may be."""
    jwks_token_file: Path | None = None
    """A token to show there; the Kubernetes API wants the pod's own."""
    jwks_ca_file: Path | None = None
    """Who vouches for the host, in place of the system's authorities."""

    @model_validator(mode="before")
    @classmethod
    def _one_audience(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("audience"), str):
            return value | {"audience": (value["audience"],)}
        return value


class AuthSettings(Section):
    """Authentication as a whole."""

    issuers: tuple[IssuerSettings, ...] = ()
    trust_access_key_ids: bool = False
    """Let an AWS access key id name its caller where others than this machine can connect, too: whoever knows
    the id is that caller. For networks that nobody else is in."""

    @model_validator(mode="after")
    def _issuers_differ(self) -> Self:
        for field, words in (
            ("issuer", "list all audiences in one entry"),
            ("subject_prefix", "give each its own, or one could name the subjects of another"),
        ):
            counted = Counter(getattr(one, field) for one in self.issuers)
            twice = [repr(value) for value, count in counted.items() if count > 1]
            if twice:
                raise ValueError(f"auth.issuers: {field} {', '.join(twice)} is there twice: {words}")
        return self
