"""What a failure means and what to do about it, as a table: code and words → explanation and advice.

The codes are AWS's, or the type of a foreign exception where nobody answered. The words are AWS's or the
system's. Sources: bedrock-wire.md §7.1 for Bedrock's codes; the rest are the messages that AWS's
documentation and users report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from gateway.diagnosis.access_rules import ACCESS_RULES
from gateway.diagnosis.credential_rules import CREDENTIAL_RULES
from gateway.diagnosis.model_rules import MODEL_RULES
from gateway.diagnosis.network_rules import NETWORK_RULES
from gateway.diagnosis.results import Result
from gateway.diagnosis.rules import Rule, Symptom

if TYPE_CHECKING:
    from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a failure happened: what explanations may name. None of it is secret."""

    region: str
    endpoint: str
    skew: str = "unknown"
    source: str = ""
    model: str = ""
    action: str = ""
    resource: str = ""
    profile: str = ""


RULES = (*CREDENTIAL_RULES, *ACCESS_RULES, *MODEL_RULES, *NETWORK_RULES)
"""First match wins: what is special stands before what is general."""

UNKNOWN = Rule(
    "",
    "",
    "it failed in a way that this check has no explanation for",
    "AWS's words and the code say what they can; the gateway will answer requests with the same error",
)

_CODE = re.compile(r"[A-Za-z]+\Z")


def symptom_of(error: GatewayError) -> Symptom:
    """Return how an error showed itself.

    An error without AWS's code may begin its detail with one, or with the type of what was raised.
    """
    words = error.detail or error.message
    head, _, rest = words.partition(": ")
    if error.upstream_code is None and _CODE.match(head):
        return Symptom(head, rest or head)
    return Symptom(error.upstream_code or "", words)


def explain(name: str, error: GatewayError, scene: Scene) -> Result:
    """Return what an error says about the check `name`."""
    symptom = symptom_of(error)
    rule = next((rule for rule in RULES if rule.fits(symptom)), UNKNOWN)
    known = {field.name: getattr(scene, field.name) for field in fields(scene)}
    said = f"{symptom.code}: {symptom.words}" if symptom.code else symptom.words
    return Result(
        name,
        rule.status,
        rule.message.format_map(known),
        rule.advice.format_map(known),
        " ".join(said.split()),
    )
