"""What an answer is measured by: reserved of the quota before it goes out, billed when it has ended."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from gateway.emulator.delivery import Sent, error_reply
from gateway.emulator.errors import BedrockError
from gateway.emulator.ledger import Ledger, Tokens
from gateway.emulator.models import read_model_id
from gateway.emulator.quotas import Quotas, Reservation, pool_of
from gateway.emulator.replay import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.emulator.activity import Outcome
    from gateway.emulator.cache import Prefix, PromptCache
    from gateway.emulator.delivery import Reply
    from gateway.emulator.ledger import Entry
    from gateway.emulator.models import ModelId
    from gateway.emulator.settings import Billed, EmulatorSettings

METADATA: Final = "x-amzn-bedrock-request-metadata"
GENERATING: Final = OPERATIONS - {"count-tokens"}
_THROTTLED: Final = "ThrottlingException"


class Metered(NamedTuple):
    """What a request reserves, and what its whole answer uses.

    `input` is all of the prompt, cached or not. `max_tokens` is None where the request names none.
    `prefixes` are the beginnings of the prompt that go into the cache if it is admitted.
    """

    model: ModelId
    input: int
    max_tokens: int | None
    tokens: Tokens
    prefixes: tuple[Prefix, ...] = ()


class Bill:
    """One request that was admitted, until it has ended."""

    def __init__(self, reply: Reply, entry: Entry, reservation: Reservation, abandoned: Billed) -> None:
        self.sent = Sent()
        self._reply = reply
        self._entry = entry
        self._reservation = reservation
        self._abandoned = abandoned

    def close(self, outcome: Outcome) -> Tokens:
        """Settle and bill what was used, and return it."""
        metered = self._reply.metered
        whole = Tokens() if metered is None else metered.tokens
        sent = self._sent(whole.output)
        self._entry.left += outcome == "client_gone"
        self._entry.broken += outcome == "error" or (outcome == "complete" and self._reply.ending is not None)
        used = whole
        if outcome != "client_gone" or self._abandoned == "generated":
            used = whole._replace(output=sent)
        self._reservation.settle(used)
        self._entry.bill(used, sent)
        return used

    def _sent(self, output: int) -> int:
        """Return the output tokens of the deltas that were sent; an answer in one piece counts whole."""
        if not self._reply.deltas:
            return output
        deltas = min(self.sent.deltas, self._reply.deltas)  # one may be sent twice
        return -(-output * deltas // self._reply.deltas)


class Metering:
    """The quotas and the ledger of one account, and what goes into its prompt cache."""

    def __init__(self, settings: EmulatorSettings, clock: Callable[[], float], cache: PromptCache) -> None:
        self.quotas = Quotas(settings.quotas, clock)
        self.ledger = Ledger()
        self._settings = settings
        self._cache = cache

    def admit(
        self, what: tuple[str, str], headers: Mapping[str, str], body: Any, reply: Reply, *, room: bool
    ) -> tuple[Reply, Bill | None]:
        """Return the answer that a request gets, and its bill if that is the one that was meant.

        `what` is operation and model; one that generates nothing has no quota and no bill. `room` false: it
        is throttled, whatever the quota has.
        """
        operation, model_id = what
        if operation not in GENERATING:
            refused = reply.status == HTTPStatus.OK and not room
            return (error_reply(BedrockError(_THROTTLED)) if refused else reply), None
        entry = self.ledger.entry(_name(model_id), self._team(headers, body))
        entry.requests += 1
        if reply.status != HTTPStatus.OK:
            entry.throttled += reply.code == _THROTTLED
            entry.refused += reply.code != _THROTTLED
            return reply, None
        try:
            reservation = self._reserve(reply.metered, room=room)
        except BedrockError as error:
            entry.throttled += 1
            return error_reply(error), None
        entry.admitted += 1
        return reply, Bill(reply, entry, reservation, self._settings.abandoned)

    def _reserve(self, metered: Metered | None, *, room: bool) -> Reservation:
        if not room:
            raise BedrockError(_THROTTLED)
        if metered is None:
            return Reservation()
        reservation = self.quotas.reserve(metered)
        self._cache.keep(metered.model.given, metered.prefixes)
        return reservation

    def _team(self, headers: Mapping[str, str], body: Any) -> str:
        given = headers.get(METADATA)
        try:
            metadata = orjson.loads(given) if given else body.get("requestMetadata")
        except (ValueError, AttributeError):  # no JSON, or a body that is no object
            return ""
        team = metadata.get(self._settings.team_key) if isinstance(metadata, dict) else None
        return team if isinstance(team, str) else ""


def _name(model_id: str) -> str:
    """Return what a model is known by in quotas and ledger; an id that is none stands for itself."""
    try:
        return pool_of(read_model_id(model_id))
    except BedrockError:
        return model_id
