"""A guardrail: words that it blocks, patterns that it masks, and its account of both (bedrock-wire.md §6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Order: TypeAlias = Literal["input", "output", "mask"]
"""What a directive makes a guardrail do: block the prompt, block the answer, mask a word of the answer."""

BLOCKED: Final = "Guardrail blocked."
MASKED: Final = "No action.\nGuardrail masked."
NO_ACTION: Final = "No action."
_UNITS: Final = (
    *("automatedReasoningPolicies", "automatedReasoningPolicyUnits", "contentPolicyImageUnits"),
    *("contentPolicyUnits", "contextualGroundingPolicyUnits", "sensitiveInformationPolicyFreeUnits"),
    *("sensitiveInformationPolicyUnits", "topicPolicyUnits", "wordPolicyUnits"),
)
_CHARGED: Final = frozenset(
    {"contentPolicyUnits", "sensitiveInformationPolicyUnits", "topicPolicyUnits", "wordPolicyUnits"}
)
_CHARS_OF_A_UNIT: Final = 1000
_LATENCY_MS: Final = 1
_ORDERED: Final = re.compile(r"emulator")
"""What is masked where a directive wants it: a word that every answer has."""

_PII: Final[Mapping[str, str]] = MappingProxyType({"EMAIL": r"[\w.+-]+@[\w-]+\.[\w.-]*\w"})
_REGEXES: Final[Mapping[str, str]] = MappingProxyType({"Account Number": r"\b\d{6}\d{4}\b"})


class Finding(NamedTuple):
    """Something that is masked: of a type of personal data, or of a pattern with a name."""

    name: str
    match: str
    regex: str = ""


class Assessment(NamedTuple):
    """What a guardrail found in a text. `masked` is the text that may be said instead."""

    text: str
    masked: str
    words: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    ordered: bool = False

    @property
    def blocked(self) -> bool:
        """Whether nothing of the text may be said."""
        return bool(self.words) or self.ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """One guardrail in all its versions.

    `words` are blocked in prompts and answers, whatever their case. Personal data (`pii`: type → pattern) and
    `regexes` (name → pattern) are masked in answers. The messages are said in place of what was blocked.
    """

    versions: frozenset[str] = frozenset({"DRAFT", "1"})
    words: tuple[str, ...] = ("forbidden",)
    pii: Mapping[str, str] = field(default_factory=lambda: _PII)
    regexes: Mapping[str, str] = field(default_factory=lambda: _REGEXES)
    blocked_input: str = "Input blocked"
    blocked_output: str = "Output blocked"

    def assess(
        self, text: str, *, order: Order | None = None, side: Literal["input", "output"]
    ) -> Assessment:
        """Return what is wrong with a text on its way in or out, and what an order makes of it."""
        words = tuple(
            found[0]
            for word in self.words
            if (found := re.search(rf"(?i:{re.escape(word)})", text)) is not None
        )
        findings: list[Finding] = []
        masked = text
        patterns = [*((name, pattern, "") for name, pattern in self.pii.items())]
        patterns += [(name, pattern, pattern) for name, pattern in self.regexes.items()]
        if order == "mask" and side == "output":
            patterns.append(("NAME", _ORDERED.pattern, ""))
        for name, pattern, regex in patterns:
            findings.extend(Finding(name, match[0], regex) for match in re.finditer(pattern, masked))
            masked = re.sub(pattern, f"{{{name}}}", masked)
        return Assessment(text, masked, words, tuple(findings), ordered=order == side)

    def record(self, assessment: Assessment, *, full: bool) -> dict[str, Any]:
        """Return an assessment as AWS writes it; in full with what was looked for and not found."""
        record: dict[str, Any] = {}
        if assessment.ordered:
            topic = {"name": "directive", "type": "DENY", "action": "BLOCKED", "detected": True}
            record["topicPolicy"] = {"topics": [topic]}
        words = [{"match": word, "action": "BLOCKED", "detected": True} for word in assessment.words]
        if full:
            clean = {word.lower() for word in self.words} - {word.lower() for word in assessment.words}
            words += [{"match": word, "action": "NONE", "detected": False} for word in sorted(clean)]
        if words:
            record["wordPolicy"] = {"customWords": words, "managedWordLists": []}
        if assessment.findings:
            record["sensitiveInformationPolicy"] = _sensitive(assessment.findings)
        chars = len(assessment.text)
        record["invocationMetrics"] = {
            "guardrailProcessingLatency": _LATENCY_MS,
            "usage": units(chars),
            "guardrailCoverage": coverage(chars, chars),
        }
        return record


def units(chars: int) -> dict[str, int]:
    """Return what looking at so many characters is charged for."""
    count = -(-chars // _CHARS_OF_A_UNIT)
    return {name: count if name in _CHARGED else 0 for name in _UNITS}


def coverage(guarded: int, total: int) -> dict[str, Any]:
    """Return how much of a text was looked at."""
    return {"textCharacters": {"guarded": guarded, "total": total}}


def _sensitive(findings: Sequence[Finding]) -> dict[str, Any]:
    seen = {"action": "ANONYMIZED", "detected": True}
    return {
        "piiEntities": [{"match": one.match, "type": one.name, **seen} for one in findings if not one.regex],
        "regexes": [
            {"name": one.name, "regex": one.regex, "match": one.match, **seen}
            for one in findings
            if one.regex
        ],
    }
