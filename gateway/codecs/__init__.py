"""Sans-IO: domain values to and from one model family's Bedrock JSON; one file per family."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.codecs.claude import ClaudeCodec
from gateway.codecs.claude_text import ClaudeTextCodec
from gateway.codecs.cohere_command import CohereCommandCodec
from gateway.codecs.cohere_command_r import CohereCommandRCodec
from gateway.codecs.converse import ConverseCodec
from gateway.codecs.deepseek_r1 import DeepSeekR1Codec
from gateway.codecs.gpt_oss import GptOssCodec
from gateway.codecs.imported import ImportedCodec
from gateway.codecs.jamba import JambaCodec
from gateway.codecs.jurassic import JurassicCodec
from gateway.codecs.llama import LlamaCodec
from gateway.codecs.mistral import MistralCodec
from gateway.codecs.mistral_chat import MistralChatCodec
from gateway.codecs.nova import NovaCodec
from gateway.codecs.openai_chat import OpenAIChatCodec
from gateway.codecs.titan import TitanCodec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.catalog.model import Family, Model
    from gateway.codecs.protocol import Codec

CODECS: Mapping[Family, Codec] = MappingProxyType(
    {
        "claude": ClaudeCodec(),
        "claude_text": ClaudeTextCodec(),
        "nova": NovaCodec(),
        "titan": TitanCodec(),
        "llama": LlamaCodec(),
        "mistral": MistralCodec(),
        "deepseek_r1": DeepSeekR1Codec(),
        "imported": ImportedCodec(),
        "cohere_command": CohereCommandCodec(),
        "cohere_command_r": CohereCommandRCodec(),
        "jurassic": JurassicCodec(),
        "jamba": JambaCodec(),
        "mistral_chat": MistralChatCodec(),
        "openai_chat": OpenAIChatCodec(),
        "gpt_oss": GptOssCodec(),
        "converse": ConverseCodec(),
    }
)
"""Every codec by its family; codecs have no state."""


def codec_for(model: Model) -> Codec:
    """Return the codec that speaks for `model` under the operation chosen for it."""
    return CODECS[model.family]
