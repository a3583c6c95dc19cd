"""OpenAI's embeddings: JSON in, one `EmbeddingRequest` out.

`user` is taken and changes nothing: Bedrock keeps no metadata with embeddings. `normalize`, `input_type` and
`truncate` are the native API's, for models that have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from gateway.dialects.embeddings import MAX_INPUTS, EmbeddingOptions, Text, as_list
from gateway.dialects.problems import invalid
from gateway.domain import EmbeddingInput, EmbeddingRequest
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.dialects.vectors import Encoding

_TOKENS: Final = (
    "Send text: token ids are of OpenAI's own tokenizer, which no Bedrock model has. (LangChain's "
    "OpenAIEmbeddings sends text with check_embedding_ctx_length=False.)"
)


class EmbeddingBody(EmbeddingOptions):
    """The body of `POST /v1/embeddings`."""

    input: Annotated[
        list[Text],
        Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True),
        BeforeValidator(as_list),
    ]
    user: Annotated[str, StringConstraints(max_length=1024)] | None = None


def parse(value: Any) -> tuple[EmbeddingRequest, Encoding]:
    """Return the request that this parsed JSON body means, and the form the vectors are wanted in.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong.
    """
    asked = value.get("input") if isinstance(value, dict) else None
    if isinstance(asked, list) and asked and isinstance(asked[0], int | list):
        raise InvalidRequest(_TOKENS, param="input")
    try:
        body = EmbeddingBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    return body.request([EmbeddingInput(text=text) for text in body.input]), body.encoding_format or "float"
