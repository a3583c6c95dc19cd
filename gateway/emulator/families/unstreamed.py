"""What the families have in common that InvokeModel has in one piece only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from gateway.emulator.errors import BedrockError, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, Question
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId


class Unstreamed(ABC):
    """A family that does not stream: half of the seam, which refuses."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what `body` asks, refusing a stream before the body is looked at."""
        if streamed:
            raise _unsupported()
        return self.ask(body, model)

    @abstractmethod
    def ask(self, body: Any, model: ModelId) -> Question:
        """Return what `body` asks."""

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Refuse, as `question` has before."""
        del answer, model, body
        raise _unsupported()


def _unsupported() -> BedrockError:
    return invalid("The model is unsupported for streaming.")
