"""Sans-IO: domain values to and from one model family's Bedrock JSON; one file per family.

A family's file is imported when a model of it is asked for first, in a few milliseconds: all of them take
1 MB, and most processes serve two or three.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.catalog.model import Family, Model
    from gateway.codecs.protocol import Codec

CLASSES: Final[dict[Family, str]] = {
    "claude": "ClaudeCodec",
    "claude_text": "ClaudeTextCodec",
    "nova": "NovaCodec",
    "titan": "TitanCodec",
    "llama": "LlamaCodec",
    "mistral": "MistralCodec",
    "deepseek_r1": "DeepSeekR1Codec",
    "imported": "ImportedCodec",
    "cohere_command": "CohereCommandCodec",
    "cohere_command_r": "CohereCommandRCodec",
    "jurassic": "JurassicCodec",
    "jamba": "JambaCodec",
    "mistral_chat": "MistralChatCodec",
    "openai_chat": "OpenAIChatCodec",
    "gpt_oss": "GptOssCodec",
    "converse": "ConverseCodec",
}
"""The class of each family's codec, in the module that bears the family's name."""


class Codecs(Mapping["Family", "Codec"]):
    """Every codec by its family, made at its first use; codecs have no state."""

    def __init__(self) -> None:
        self._made: dict[Family, Codec] = {}

    def __getitem__(self, family: Family) -> Codec:
        """Return the codec of a family; raises KeyError if there is none."""
        codec = self._made.get(family)
        if codec is None:
            name = CLASSES[family]
            codec = self._made[family] = getattr(import_module(f"{__name__}.{family}"), name)()
        return codec

    def __iter__(self) -> Iterator[Family]:
        return iter(CLASSES)

    def __len__(self) -> int:
        return len(CLASSES)


CODECS: Final = Codecs()


def codec_for(model: Model) -> Codec:
    """Return the codec that speaks for `model` under the operation chosen for it."""
    return CODECS[model.family]
