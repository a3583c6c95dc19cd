"""The catalogue's rows: one card per foundation model, read from models.json beside this file.

Facts come from AWS's documentation and public price lists. What is not in the list is not forbidden, only
not known (see `catalog`). `bedrock-gateway models check` looks for holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

from gateway.catalog.features import UNKNOWN, Features, features

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.catalog.model import Family

NATIVE_FAMILIES: frozenset[Family] = frozenset(
    {
        *("claude", "claude_text", "nova", "titan", "llama", "mistral", "mistral_chat", "cohere_command"),
        *("cohere_command_r", "jurassic", "jamba", "deepseek_r1", "openai_chat", "gpt_oss", "imported"),
    }
)
"""The families whose InvokeModel bodies this gateway speaks. The codecs are not asked: `catalog` does not
know them; a test compares the two."""

INVOKED_FAMILIES: frozenset[Family] = frozenset({"claude", "nova", "titan", "claude_text", "jurassic"})
"""The families that InvokeModel serves unless the operator says otherwise: the native body carries all that
they can do, or Converse does not serve them. Everything else goes to Converse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a foundation model: one line of models.json.

    `family` is whose native body the model speaks (`converse`: none), None for a model that does not
    complete chats. `takes` and `gives` are modalities: text, image, audio, video, embedding, score.
    `context` and `max_output_tokens` are in tokens, None where no figure is known. `output_burndown` is what
    a token of output takes from a quota: AWS documents 5 for Claude Opus 4, Sonnet 4 and Sonnet 3.7 ("How
    tokens are counted in Amazon Bedrock"), and the Claude models after them are taken to be alike. Unless
    the line says otherwise a model streams, takes `sampling` parameters (temperature, top_p, top_k) and
    `system` text.
    `one_sampling`: of temperature and top_p it takes only one. `tools`, `reasoning` and `caching` (a prompt
    cache) are false unless the line says so. `profiles` are the geo prefixes of its inference profiles.
    `on_demand` says whether the base id can be called, None where that is not known for certain.
    `features` are what else is known (see `features`).
    `end_of_life` is the ISO date after which AWS no longer serves it, where one has been announced.
    """

    id: str
    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    family: Family | None = None
    context: int | None = None
    max_output_tokens: int | None = None
    output_burndown: int = 1
    streaming: bool = True
    sampling: bool = True
    one_sampling: bool = False
    system: bool = True
    tools: bool = False
    reasoning: bool = False
    caching: bool = False
    features: Features = UNKNOWN
    profiles: tuple[str, ...] = ()
    on_demand: bool | None = None
    end_of_life: str | None = None

    @property
    def native_family(self) -> Family | None:
        """The family that can serve the model by InvokeModel, None where there is no codec for it."""
        return self.family if self.family in NATIVE_FAMILIES else None


def load_cards() -> Mapping[str, Card]:
    """Read the packaged catalogue: cards by id, in the order of the file (sorted by id)."""
    rows = orjson.loads(files("gateway.catalog").joinpath("models.json").read_bytes())["models"]
    return {row["id"]: _card(row) for row in rows}


def _card(row: Mapping[str, Any]) -> Card:
    lists = {name: tuple(row.get(name, ())) for name in ("takes", "gives", "profiles")}
    return Card(**{**row, **lists, "features": features(row.get("features"))})
