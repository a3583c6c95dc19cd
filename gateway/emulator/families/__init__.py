"""One module a family: what it takes and the shapes in which it answers. A new family is a row below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.errors import invalid
from gateway.emulator.families.claude import Claude
from gateway.emulator.families.converse import Converse
from gateway.emulator.families.nova import Nova
from gateway.emulator.families.titan import Titan

if TYPE_CHECKING:
    from gateway.emulator.families.protocol import Family
    from gateway.emulator.models import ModelId

CONVERSE: Final = Converse()
CLAUDE: Final = Claude()

_NATIVE: Final[tuple[tuple[str, Family], ...]] = (
    ("anthropic.claude", CLAUDE),
    ("amazon.nova-", Nova()),
    ("amazon.titan-text-", Titan()),
)
# An opaque id, such as an application inference profile's, does not tell its family; the body does.
_TELLING_KEYS: Final[tuple[tuple[str, Family], ...]] = (
    ("anthropic_version", CLAUDE),
    ("inputText", _NATIVE[2][1]),
    ("messages", _NATIVE[1][1]),
)


def native_family(model: ModelId, body: Any) -> Family:
    """Return the family whose native body InvokeModel takes for `model`.

    Raises:
        BedrockError: the emulator does not speak that family's body.
    """
    if not model.base and isinstance(body, dict):
        for key, family in _TELLING_KEYS:
            if key in body:
                return family
    if model.talks:
        for prefix, family in _NATIVE:
            if model.base.startswith(prefix):
                return family
    raise invalid(
        f"The embedded emulator does not speak the native body of [{model.given}] yet; use Converse instead."
    )
