"""The seam between the server and one family of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, Question
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId


class Family(Protocol):
    """One family's dialect. It has no state: everything that an answer needs is in its arguments.

    Law: `whole` says the same as the events of `stream` put together.
    """

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what `body`, a JSON value, asks of `model`.

        Raises:
            BedrockError: Bedrock or the model would refuse the body.
        """

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events of `answer`. `body` is the request, for what an answer repeats of it."""

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON of `answer` in one piece."""

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the headers that go with `whole`."""
