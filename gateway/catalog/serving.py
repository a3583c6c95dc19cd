"""Which family speaks for a model, and which pair of Bedrock's operations serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.catalog.cards import INVOKED_FAMILIES, NATIVE_FAMILIES
from gateway.catalog.model_id import shown
from gateway.errors import UnknownModel

if TYPE_CHECKING:
    from gateway.catalog.cards import Card
    from gateway.catalog.choices import Operation
    from gateway.catalog.model import Api, Family
    from gateway.catalog.model_id import ModelId

_FAMILY_PREFIXES: tuple[tuple[str, Family], ...] = (
    ("anthropic.claude-", "claude"),
    ("amazon.nova-", "nova"),
    ("amazon.titan-text-", "titan"),
    ("meta.llama", "llama"),
    ("ai21.jamba-", "jamba"),
    ("openai.gpt-oss-", "gpt_oss"),
    ("qwen.", "openai_chat"),
    ("writer.", "openai_chat"),
)
"""For ids newer than the catalogue: Converse serves them, but the operator may say `invoke`."""


def native_family(model_id: ModelId, card: Card | None) -> Family | None:
    """Return the family that could serve the model by InvokeModel, None where there is no codec for it."""
    if card is not None:
        return card.native_family
    base = model_id.base_id or ""
    family = next((family for prefix, family in _FAMILY_PREFIXES if base.startswith(prefix)), None)
    if model_id.kind == "imported-model":
        family = "imported"
    return family if family in NATIVE_FAMILIES else None


def api_for(operation: Operation, native: Family | None, card: Card | None, target: str) -> Api:
    """Return the pair of operations that serves the model under the operator's choice.

    Raises:
        UnknownModel: the operator forces InvokeModel, and there is no codec for it.
    """
    if operation == "converse":
        return "converse"
    if operation == "auto":
        return "converse" if card is None or native not in INVOKED_FAMILIES else "invoke"
    if native is None:
        raise UnknownModel(
            f"'{shown(target)}' can only be served by Converse, and this gateway is set to 'invoke'. "
            "The operator can set operation 'converse' or 'auto' for it.",
            param="model",
        )
    return "invoke"
