"""The catalogue's rows: one card per foundation model, read from models.json beside this file.

Facts come from AWS's documentation and public price lists. What is not in the list is not forbidden, only
not known (see `catalog`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.catalog.model import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a foundation model: one line of models.json.

    `family` is the codec made for it (`converse`: none of its own), None for a model that does not complete
    chats. `takes` and `gives` are modalities: text, image, audio, video, embedding, score.
    `max_output_tokens` is the most it can be asked for, None where no figure is known. `streaming` and
    `sampling` (temperature, top_p, top_k) are true unless the line says that the model refuses them.
    """

    id: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    family: Family | None = None
    max_output_tokens: int | None = None
    streaming: bool = True
    sampling: bool = True

    @property
    def native_family(self) -> Family | None:
        """The family that can serve the model by InvokeModel."""
        return None if self.family == "converse" else self.family


def load_cards() -> Mapping[str, Card]:
    """Read the packaged catalogue: cards by id, in the order of the file (sorted by id)."""
    rows = orjson.loads(files("gateway.catalog").joinpath("models.json").read_bytes())["models"]
    return {row["id"]: _card(row) for row in rows}


def _card(row: Mapping[str, Any]) -> Card:
    return Card(**{**row, "takes": tuple(row["takes"]), "gives": tuple(row["gives"])})
