"""Which family answers InvokeModel: by the model's id, and by the body where the id does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.errors import invalid
from gateway.emulator.families.chat import CHAT_MODELS, Chat
from gateway.emulator.families.claude import Claude
from gateway.emulator.families.claude_text import ClaudeText
from gateway.emulator.families.cohere_embeddings import CohereEmbedding3, CohereEmbedding4
from gateway.emulator.families.command import Command
from gateway.emulator.families.command_r import CommandR
from gateway.emulator.families.deepseek import DeepSeek
from gateway.emulator.families.jamba import Jamba
from gateway.emulator.families.jurassic import Jurassic
from gateway.emulator.families.llama import Llama
from gateway.emulator.families.mistral import Mistral
from gateway.emulator.families.mistral_chat import MistralChat
from gateway.emulator.families.nova import Nova
from gateway.emulator.families.nova_embeddings import NovaEmbedding
from gateway.emulator.families.rerank import Rerank
from gateway.emulator.families.titan import Titan
from gateway.emulator.families.titan_embeddings import TitanEmbedding, TitanImageEmbedding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.emulator.families.protocol import Family
    from gateway.emulator.models import ModelId

CLAUDE: Final = Claude()
_CLAUDE_TEXT: Final = ClaudeText()
_NOVA: Final = Nova()
_TITAN: Final = Titan()
_LLAMA: Final = Llama()
_MISTRAL: Final = Mistral()
_COMMAND: Final = Command()
_COMMAND_R: Final = CommandR()
_DEEPSEEK: Final = DeepSeek()
_MISTRAL_CHAT: Final = MistralChat()
_JAMBA: Final = Jamba()
_JURASSIC: Final = Jurassic()
_CHAT: Final = Chat()
_RERANK: Final = Rerank()
_TITAN_EMBEDDING: Final = TitanEmbedding()
_TITAN_IMAGE_EMBEDDING: Final = TitanImageEmbedding()
_NOVA_EMBEDDING: Final = NovaEmbedding()
_COHERE_EMBEDDING_4: Final = CohereEmbedding4()

_SILENT: Final[tuple[tuple[str, Family], ...]] = (
    ("amazon.titan-embed-text-", _TITAN_EMBEDDING),
    ("amazon.titan-embed-g1-", _TITAN_EMBEDDING),
    ("amazon.titan-embed-image-", _TITAN_IMAGE_EMBEDDING),
    ("amazon.nova-2-multimodal-embeddings-", _NOVA_EMBEDDING),
    ("cohere.embed-english-v3", CohereEmbedding3()),
    ("cohere.embed-multilingual-v3", CohereEmbedding3()),
    ("cohere.embed-v4", _COHERE_EMBEDDING_4),
    ("cohere.rerank-", _RERANK),
    ("amazon.rerank-", _RERANK),
)

# The first row that fits decides. A body's key in the middle: the model takes two bodies, and that key is
# in this one.
_NATIVE: Final[tuple[tuple[str, str, Family], ...]] = (
    ("anthropic.claude-v1", "prompt", _CLAUDE_TEXT),
    ("anthropic.claude-v2", "prompt", _CLAUDE_TEXT),
    ("anthropic.claude-instant", "prompt", _CLAUDE_TEXT),
    ("anthropic.claude", "", CLAUDE),
    ("amazon.nova-", "", _NOVA),
    ("amazon.titan-text-", "", _TITAN),
    ("meta.llama", "", _LLAMA),
    ("mistral.mistral-7b-", "", _MISTRAL),
    ("mistral.mixtral-8x7b-", "", _MISTRAL),
    ("mistral.mistral-small-2402", "", _MISTRAL),
    ("mistral.mistral-large-2402", "prompt", _MISTRAL),
    ("mistral.mistral-large-24", "", _MISTRAL_CHAT),
    ("cohere.command-r-", "", _COMMAND_R),
    ("cohere.command-", "", _COMMAND),
    ("deepseek.r1", "", _DEEPSEEK),
    ("ai21.jamba-", "", _JAMBA),
    ("ai21.j2-", "", _JURASSIC),
    *((traits.prefix, "", _CHAT) for traits in CHAT_MODELS),
)
# An opaque id, such as an application inference profile's, does not tell its family; the body does. The keys
# that only one family has stand first.
_TELLING_KEYS: Final[tuple[tuple[str, Family], ...]] = (
    ("anthropic_version", CLAUDE),
    ("max_tokens_to_sample", _CLAUDE_TEXT),
    ("max_gen_len", _LLAMA),
    ("maxTokens", _JURASSIC),
    ("message", _COMMAND_R),
    ("textGenerationConfig", _TITAN),
    ("inputImage", _TITAN_IMAGE_EMBEDDING),
    ("embeddingConfig", _TITAN_IMAGE_EMBEDDING),
    ("inputText", _TITAN_EMBEDDING),  # recorded; of Titan Text it would have the key above
    ("taskType", _NOVA_EMBEDDING),
    ("input_type", _COHERE_EMBEDDING_4),
)
_NOVA_KEYS: Final = frozenset({"inferenceConfig", "schemaVersion", "toolConfig"})


def native_family(model: ModelId, body: Any) -> Family:
    """Return the family whose native body InvokeModel takes for `model`.

    Raises:
        BedrockError: the emulator does not speak that family's body.
    """
    fields = body if isinstance(body, dict) else {}
    found = _by_id(model, fields) if model.base else _by_body(model, fields)
    if found is None:
        raise invalid(
            f"The embedded emulator does not speak the native body of [{model.given}] yet; use Converse "
            "instead."
        )
    return found


def _by_id(model: ModelId, body: Mapping[str, Any]) -> Family | None:
    if not model.talks:
        return next((family for prefix, family in _SILENT if model.base.startswith(prefix)), None)
    return next(
        (
            family
            for prefix, key, family in _NATIVE
            if model.base.startswith(prefix) and (not key or key in body)
        ),
        None,
    )


def _by_body(model: ModelId, body: Mapping[str, Any]) -> Family | None:
    told = next((family for key, family in _TELLING_KEYS if key in body), None)
    if told is None and "messages" in body:
        return _CHAT if _is_openai(body) else _NOVA
    if told is None and ":imported-model/" in model.given and "prompt" in body:
        return _LLAMA
    return told


def _is_openai(body: Mapping[str, Any]) -> bool:
    """Tell OpenAI's conversations from Nova's: the content is a string, or its parts say their type."""
    if _NOVA_KEYS & body.keys():
        return False
    messages = body["messages"]
    first = messages[0] if isinstance(messages, list) and messages else None
    content = first.get("content") if isinstance(first, dict) else None
    parts = content if isinstance(content, list) else [content]
    return any(isinstance(part, str) or (isinstance(part, dict) and "type" in part) for part in parts)
