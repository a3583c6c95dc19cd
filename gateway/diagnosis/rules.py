"""A row of the tables of explanations, and what it is compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.diagnosis.results import Status


@dataclass(frozen=True, slots=True)
class Symptom:
    """A failure as it showed itself."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `codes` are separated by blanks, none means any; `words` is searched for, ignoring case."""

    codes: str
    words: str
    message: str
    advice: str
    status: Status = "fail"

    def fits(self, symptom: Symptom) -> bool:
        """Say whether the row is about this failure."""
        named = not self.codes or symptom.code in self.codes.split()
        return named and re.search(self.words, symptom.words, re.IGNORECASE) is not None


DENIED = "AccessDeniedException AccessDenied"
SIGNATURES = (
    "InvalidSignatureException SignatureDoesNotMatch IncompleteSignatureException IncompleteSignature"
)
