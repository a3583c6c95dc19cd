"""The table of families: each codec is what a codec must be, for mypy too, and made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.codecs import CLASSES, CODECS
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
    from gateway.catalog.model import Family
    from gateway.codecs.protocol import Codec

KINDS: dict[Family, type[Codec]] = {
    "claude": ClaudeCodec,
    "claude_text": ClaudeTextCodec,
    "nova": NovaCodec,
    "titan": TitanCodec,
    "llama": LlamaCodec,
    "mistral": MistralCodec,
    "deepseek_r1": DeepSeekR1Codec,
    "imported": ImportedCodec,
    "cohere_command": CohereCommandCodec,
    "cohere_command_r": CohereCommandRCodec,
    "jurassic": JurassicCodec,
    "jamba": JambaCodec,
    "mistral_chat": MistralChatCodec,
    "openai_chat": OpenAIChatCodec,
    "gpt_oss": GptOssCodec,
    "converse": ConverseCodec,
}


def test_the_table() -> None:
    """Each family has its codec, one for all its requests; there are no others."""
    assert {family: type(codec) for family, codec in CODECS.items()} == KINDS
    assert list(CODECS) == list(CLASSES)
    assert len(CODECS) == len(CLASSES)
    assert all(CODECS[family] is CODECS[family] for family in CODECS)
    with pytest.raises(KeyError):
        CODECS["gpt"]  # type: ignore[index]  # no family
