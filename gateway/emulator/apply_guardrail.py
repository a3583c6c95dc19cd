"""ApplyGuardrail: a guardrail by itself, without any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gateway.emulator.errors import BedrockError
from gateway.emulator.families.guardrail_shapes import ApplyBody
from gateway.emulator.guarding import find
from gateway.emulator.guardrails import BLOCKED, MASKED, NO_ACTION, coverage, units
from gateway.emulator.shapes import read_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.emulator.guardrails import Guardrail, Order


def read_body(body: Any, guardrails: Mapping[str, Guardrail], name: str) -> tuple[ApplyBody, Guardrail]:
    """Return the body, and the guardrail that `name`, its id and version with a slash between, stands for.

    Raises:
        BedrockError: the body has not its shape, or there is no such guardrail.
    """
    asked = read_schema(ApplyBody, body)
    identifier, _, version = name.rpartition("/")
    guardrail = find(guardrails, identifier, version)
    if guardrail is None:
        raise BedrockError(
            "ResourceNotFoundException",
            "The guardrail identifier or version provided in the request does not exist.",
        )
    return asked, guardrail


def apply(
    asked: ApplyBody, guardrail: Guardrail, texts: Sequence[str], order: Order | None
) -> dict[str, Any]:
    """Return what the guardrail makes of the texts, which are those of the body without directives."""
    side: Literal["input", "output"] = "input" if asked.source == "INPUT" else "output"
    found = [guardrail.assess(text, order=order, side=side) for text in texts]
    blocked = any(one.blocked for one in found)
    masked = any(one.findings for one in found)
    outputs: list[dict[str, str]] = []
    if blocked:
        message = guardrail.blocked_input if side == "input" else guardrail.blocked_output
        outputs = [{"text": message}]
    elif masked:
        outputs = [{"text": one.masked} for one in found]
    full = asked.output_scope == "FULL"
    chars = sum(map(len, texts))
    return {
        "usage": units(chars),
        "action": "GUARDRAIL_INTERVENED" if outputs else "NONE",
        "actionReason": BLOCKED if blocked else MASKED if masked else NO_ACTION,
        "outputs": outputs,
        "assessments": [
            guardrail.record(one, full=full) for one in found if full or one.blocked or one.findings
        ],
        "guardrailCoverage": coverage(chars, chars),
    }
