"""What a real client is to the tests: something that can be asked, and what it cannot be asked."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tests.clients.exchange import Answer, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.clients.exchange import Ask

ACCESS_KEY: Final = "AKIAEMULATOR00000000"
SECRET_KEY: Final = "emulator-secret-access-key"
REGION: Final = "us-east-1"
API_KEY: Final = "sk-caller"

NO_COUNT: Final = "its API has no count of tokens"
NO_EMBEDDINGS: Final = "its API has no embeddings"
NO_MODELS: Final = "its API has no list of models"


class Client(abc.ABC):
    """One client in one of its ways to ask.

    `packages` are those whose versions the table tells, npm's where `npm` says so, `api` is where it asks,
    `lacks` the features that it does not have, with the reasons, and `errors` the names of the classes that
    it raises, by the status of the answer; by `stream` for a failure in the middle of one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    npm: ClassVar[bool] = False
    api: ClassVar[str]
    lacks: ClassVar[Mapping[str, str]] = {}
    errors: ClassVar[Mapping[str, str]]
    signs: ClassVar[bool] = True
    """Whether it gives the signature of a reasoning, without which that cannot be sent back."""
    obeys_retry_after: ClassVar[bool] = True
    """Whether it waits for as long as it was told; the others choose a time by themselves."""

    def __repr__(self) -> str:
        return self.name

    def ask(self, url: str, ask: Ask) -> Answer:
        """Do what is asked of a gateway at `url`; an error of the client is in the answer."""
        answer = Answer()
        try:
            self.talk(url, ask, answer)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what the tests look at
            answer.error = self.failure(error)
        return answer

    @abc.abstractmethod
    def talk(self, url: str, ask: Ask, answer: Answer) -> None:
        """Do what is asked, and put into `answer` what comes, as it comes."""

    def embed(self, url: str, text: str) -> list[float]:
        """Return the embedding of a text."""
        raise NotImplementedError(f"{self.name} lacks embeddings: {url} {text}")

    def count(self, url: str, text: str) -> int:
        """Return how many tokens a text is to the model."""
        raise NotImplementedError(f"{self.name} lacks a count of tokens: {url} {text}")

    def models(self, url: str) -> list[str]:
        """Return the ids of the models that there are."""
        raise NotImplementedError(f"{self.name} lacks a list of models: {url}")

    def failure(self, error: Exception) -> Failure:
        """Return what the client tells of an error."""
        status: Any = getattr(error, "status_code", None)
        return Failure(kind=type(error).__name__, status=status, message=str(error))


class Conversation(Client):
    """A client whose API is stateless: a request goes out, and a second one with what its tools gave."""

    def talk(self, url: str, ask: Ask, answer: Answer) -> None:
        """Send the request, and with the results of the tools once more if it calls one."""
        asked = self.request(ask)
        message = self.send(url, ask, asked, answer)
        if answer.calls:
            self.send(url, ask, self.with_results(asked, message), answer)

    @abc.abstractmethod
    def request(self, ask: Ask) -> dict[str, Any]:
        """Return the first request."""

    @abc.abstractmethod
    def send(self, url: str, ask: Ask, asked: dict[str, Any], answer: Answer) -> Any:
        """Send a request, put what comes into `answer`, and return what goes back with results of tools."""

    @abc.abstractmethod
    def with_results(self, asked: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the request that answers the tool calls of a message."""
