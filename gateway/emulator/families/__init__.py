"""One module a family: what it takes and the shapes in which it answers; `registry` has a row for each."""

from typing import Final

from gateway.emulator.families.converse import Converse
from gateway.emulator.families.registry import CLAUDE, native_family

__all__ = ["CLAUDE", "CONVERSE", "native_family"]

CONVERSE: Final = Converse()
