"""The seam for embedding models: one codec a family, pure, a batch of inputs at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain import Embedded, EmbeddingInput, EmbeddingRequest

TOKENS_HEADER = "x-amzn-bedrock-input-token-count"


class EmbeddingCodec(Protocol):
    """One family's bodies. Every parameter is applied or refused by name."""

    @property
    def batch_size(self) -> int:
        """How many inputs one call takes."""

    def format(self, request: EmbeddingRequest, batch: Sequence[EmbeddingInput], first: int) -> bytes:
        """Return the body for `batch`, whose first input is the caller's number `first`.

        Raises:
            InvalidRequest: the family cannot do what is asked; `param` names the field.
        """

    def read(self, body: bytes, headers: Mapping[str, str], count: int) -> Embedded:
        """Return the vectors of an answer to `count` inputs; `headers` has lower-case names.

        Raises:
            UpstreamProtocolError: the body is not what the family speaks, or has another number of vectors.
        """


def refuse(request: EmbeddingRequest, family: str, *fields: str) -> None:
    """Refuse the fields that the family does not have, where the caller set one."""
    for field in fields:
        if getattr(request, field) is not None:
            raise InvalidRequest(f"{family} does not take `{field}`.", param=field)


def dimensions(request: EmbeddingRequest, family: str, allowed: Sequence[int]) -> int | None:
    """Return the dimensions asked for, if they are among those the family has."""
    if request.dimensions is not None and request.dimensions not in allowed:
        listed = ", ".join(map(str, allowed))
        raise InvalidRequest(f"{family} gives vectors of {listed} dimensions.", param="dimensions")
    return request.dimensions


def text_of(given: EmbeddingInput, family: str, number: int) -> str:
    """Return the text of an input to a family that takes nothing else."""
    if given.image is not None or given.text is None:
        raise InvalidRequest(f"{family} embeds text only.", param=f"input[{number}]")
    return given.text


def tokens(headers: Mapping[str, str]) -> int | None:
    """Return the tokens that Bedrock's header counts; None where there is no such header."""
    value = headers.get(TOKENS_HEADER, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None  # noqa: PLR2004
