"""Model ids as the far end reads them: what is valid, which family answers, what has no chat."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.emulator.errors import BedrockError, invalid

_PROVIDERS: Final = frozenset(
    {"ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral"}
    | {
        "moonshot",
        "moonshotai",
        "nvidia",
        "openai",
        "qwen",
        "stability",
        "twelvelabs",
        "writer",
        "xai",
        "zai",
    }
)
_MAX_LENGTH: Final = 2048
_BASE_ID: Final = re.compile(r"[a-z0-9-]{1,63}\.[A-Za-z0-9_:.-]{1,190}")
_ARN: Final = re.compile(
    r"arn:aws(?:-[a-z-]+)?:(?P<service>bedrock|sagemaker):(?P<region>[a-z0-9-]{1,20}):(?P<account>\d{12})?:"
    r"(?P<kind>[a-z-]+)/(?P<resource>[A-Za-z0-9_:./-]+)"
)
_TELLING_KINDS: Final = frozenset({"foundation-model", "inference-profile"})
_OPAQUE_KINDS: Final = frozenset(
    {
        "application-inference-profile",
        "custom-model",
        "custom-model-deployment",
        "endpoint",
        "imported-model",
        "provisioned-model",
    }
)
# Models that do not talk, by what follows the provider (bedrock-wire.md §3, §5).
_SILENT: Final = re.compile(
    r"(?:titan-(?:embed|image)|nova-(?:canvas|reel|.*sonic|.*embed)|embed|rerank|stable-|sd3|marengo|pegasus)"
)


@dataclass(frozen=True, slots=True)
class ModelId:
    """A valid model id. `base` is the foundation model behind it, empty where the id does not tell."""

    given: str
    base: str
    geo: str = ""

    @property
    def provider(self) -> str:
        """The label before the first dot of the base id."""
        return self.base.partition(".")[0]

    @property
    def name(self) -> str:
        """What follows the provider."""
        return self.base.partition(".")[2]

    @property
    def talks(self) -> bool:
        """Whether the model converses, as far as the id tells."""
        return not _SILENT.match(self.name)


def read_model_id(given: str) -> ModelId:
    """Return what `given`, decoded once from the path, names.

    Raises:
        BedrockError: it is malformed, or names a provider that Bedrock does not have.
    """
    found = _read_arn(given) if given.startswith("arn:") else _read_base(given, given)
    if len(given) > _MAX_LENGTH or found is None:
        raise invalid("The provided model identifier is invalid.")
    return found


def _read_arn(given: str) -> ModelId | None:
    match = _ARN.fullmatch(given)
    if match is None:
        return None
    if match["kind"] in _TELLING_KINDS:
        return _read_base(given, match["resource"])
    if match["kind"] == "prompt":
        raise BedrockError("ResourceNotFoundException", "The embedded emulator has no prompts.")
    return ModelId(given, "") if match["kind"] in _OPAQUE_KINDS else None


def _read_base(given: str, named: str) -> ModelId | None:
    if not _BASE_ID.fullmatch(named):
        return None
    first, _, rest = named.partition(".")
    if first in _PROVIDERS:
        return ModelId(given, named)
    if rest.partition(".")[0] in _PROVIDERS and "." in rest:
        return ModelId(given, rest, geo=first)
    return None
