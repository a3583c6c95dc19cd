"""The records of text deltas as bytes, many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Callable


class TextRecords:
    """The framed records of text deltas: the text is all that differs between them.

    `empty` is the record of no text, in which `""` comes last of all such; `frame` makes it a record of the
    stream.
    """

    __slots__ = ("_before", "_behind", "_between")

    def __init__(self, empty: bytes, frame: Callable[[bytes], bytes]) -> None:
        before, _, behind = frame(empty).decode().rpartition('""')
        self._before: Final = f'{before}"'
        self._between: Final = f'"{behind}{before}"'
        self._behind: Final = f'"{behind}'

    def encode(self, texts: list[str]) -> bytes:
        """Return the record of each text, one behind the other; there is one at least."""
        said = "".join(texts)
        if not (said.isprintable() and '"' not in said and "\\" not in said):
            texts = [literal(text) for text in texts]
        return (self._before + self._between.join(texts) + self._behind).encode()


def literal(text: str) -> str:
    """Return what stands between the quotation marks of a JSON string.

    What Python calls printable JSON writes as it is, except for two characters: neither control characters
    nor what breaks a line (R10) nor half surrogate pairs are printable.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return json.dumps(text)[1:-1].decode()
