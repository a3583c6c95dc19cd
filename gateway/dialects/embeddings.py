"""The native API's embeddings: JSON in, one `EmbeddingRequest` out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from gateway.dialects.inline_content import image_part
from gateway.dialects.native_schema import ImagePart, Shape, TextPart
from gateway.dialects.problems import invalid
from gateway.dialects.vectors import Encoding  # noqa: TC001 - pydantic asks
from gateway.domain import EmbeddingInput, EmbeddingRequest
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_INPUTS = 2048


def as_list(value: Any) -> Any:
    """Return a text as a list of one."""
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
Parts = Annotated[
    list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Field(min_length=1, max_length=2)
]


class EmbeddingOptions(Shape):
    """What every body that asks for vectors has, whatever it says its inputs in."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    dimensions: Annotated[int, Field(ge=1, le=100_000)] | None = None
    encoding_format: Encoding | None = None
    normalize: bool | None = None
    input_type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]{1,64}$")] | None = None
    truncate: Literal["none", "start", "end"] | None = None

    def request(self, inputs: Iterable[EmbeddingInput]) -> EmbeddingRequest:
        """Return the request for the vectors of these."""
        return EmbeddingRequest(
            model=self.model,
            inputs=tuple(inputs),
            dimensions=self.dimensions,
            normalize=self.normalize,
            input_type=self.input_type,
            truncate=self.truncate,
        )


class EmbeddingBody(EmbeddingOptions):
    """The body of `POST /embeddings`.

    An item of `input` is a text, or a list of at most one text part and one image part, which the model
    joins into one vector.
    """

    input: Annotated[
        list[Text | Parts],
        Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True),
        BeforeValidator(as_list),
    ]


def parse(value: Any) -> tuple[EmbeddingRequest, Encoding]:
    """Return the request that this parsed JSON body means, and the form the vectors are wanted in.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong.
    """
    try:
        body = EmbeddingBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    inputs = (_input(item, f"input[{number}]") for number, item in enumerate(body.input))
    return body.request(inputs), body.encoding_format or "float"


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
