"""Sans-IO: embedding requests to and from one family's Bedrock JSON; one file per family."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.codecs.embeddings.cohere import CohereV3, CohereV4
from gateway.codecs.embeddings.nova import NovaEmbeddings
from gateway.codecs.embeddings.titan import TitanMultimodal, TitanV1, TitanV2
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.codecs.embeddings.protocol import EmbeddingCodec

EMBEDDERS: Mapping[str, EmbeddingCodec] = MappingProxyType(
    {
        "amazon.titan-embed-text-v1": TitanV1(),
        "amazon.titan-embed-g1-text-02": TitanV1(),
        "amazon.titan-embed-text-v2": TitanV2(),
        "amazon.titan-embed-image-v1": TitanMultimodal(),
        "amazon.nova-2-multimodal-embeddings-v1": NovaEmbeddings(),
        "cohere.embed-english-v3": CohereV3(),
        "cohere.embed-multilingual-v3": CohereV3(),
        "cohere.embed-v4": CohereV4(),
    }
)
"""Every codec by the base id of its model, without the `:0` behind it."""


def embedder_for(base_id: str | None) -> EmbeddingCodec:
    """Return the codec for a model.

    Raises:
        InvalidRequest: it is not an embedding model, or an opaque ARN that could be any.
    """
    codec = EMBEDDERS.get((base_id or "").partition(":")[0])
    if codec is None:
        listed = ", ".join(EMBEDDERS)
        raise InvalidRequest(
            f"This is no embedding model that the gateway knows. It knows {listed}; for an ARN, the operator "
            "can name its base_model.",
            param="model",
        )
    return codec
