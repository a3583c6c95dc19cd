"""The native API's embeddings: JSON in, one `EmbeddingRequest` out; vectors out as JSON or base64."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from gateway.dialects.inline_content import image_part
from gateway.dialects.native_schema import ImagePart, Shape, TextPart
from gateway.dialects.problems import invalid
from gateway.domain import EmbeddingInput, EmbeddingRequest
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_INPUTS = 2048


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
Parts = Annotated[
    list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Field(min_length=1, max_length=2)
]


class EmbeddingBody(Shape):
    """The body of `POST /embeddings`.

    An item of `input` is a text, or a list of at most one text part and one image part, which the model
    joins into one vector.
    """

    model: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    input: Annotated[
        list[Text | Parts],
        Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True),
        BeforeValidator(_as_list),
    ]
    dimensions: Annotated[int, Field(ge=1, le=100_000)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    normalize: bool | None = None
    input_type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]{1,64}$")] | None = None
    truncate: Literal["none", "start", "end"] | None = None


def parse(value: Any) -> tuple[EmbeddingRequest, Literal["float", "base64"]]:
    """Return the request that this parsed JSON body means, and the form the vectors are wanted in.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong.
    """
    try:
        body = EmbeddingBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    request = EmbeddingRequest(
        model=body.model,
        inputs=tuple(_input(item, f"input[{number}]") for number, item in enumerate(body.input)),
        dimensions=body.dimensions,
        normalize=body.normalize,
        input_type=body.input_type,
        truncate=body.truncate,
    )
    return request, body.encoding_format


def _input(item: str | Sequence[TextPart | ImagePart], path: str) -> EmbeddingInput:
    if isinstance(item, str):
        return EmbeddingInput(text=item)
    text: str | None = None
    image = None
    for number, part in enumerate(item):
        if isinstance(part, TextPart) and text is None and part.text:
            text = part.text
        elif isinstance(part, ImagePart) and image is None:
            image = image_part(part.image_url.url, f"{path}[{number}].image_url.url")
        else:
            raise InvalidRequest(
                "One text, one image, or one of each makes a vector.", param=f"{path}[{number}]"
            )
    return EmbeddingInput(text, image)


def vectors(found: Sequence[Sequence[float]], encoding: Literal["float", "base64"]) -> list[dict[str, Any]]:
    """Return the vectors as records; base64 packs little-endian 32-bit floats, as OpenAI clients read it."""
    return [
        {"index": number, "embedding": _packed(vector) if encoding == "base64" else vector}
        for number, vector in enumerate(found)
    ]


def _packed(vector: Sequence[float]) -> str:
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()
