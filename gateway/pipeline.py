"""The straight line of a request: format → invoke-stream → extract → chunk.

The slot and the upstream connection live exactly as long as the `async with` of `OpenCompletion`; whatever
ends it (the last event, a fault, the caller's leaving) gives both back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.admission.caller import ANONYMOUS
from gateway.admission.demand import Ticket, Used
from gateway.domain import UNTOLD, PassedOn, ReasoningDelta, Stop, TextDelta, ToolCallDelta, Usage
from gateway.errors import GatewayError
from gateway.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from gateway.admission.caller import Caller
    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.admission.slots import Slot
    from gateway.domain import Event
    from gateway.retries.attempts import Retries
    from gateway.retries.trail import Trail
    from gateway.timing import Timing
    from gateway.upstream import Upstream, UpstreamAnswer, UpstreamCall


Accuracy: TypeAlias = Literal["final", "partial", "estimated"]
"""Of token counts: of the whole answer · Bedrock's word before the end · reckoned from the text that came."""
CHARACTERS_PER_TOKEN = 4
"""What English text has on average; other languages have fewer."""


class CompletionStream:
    """One answer being streamed: batches of events, then nothing, or a `GatewayError`.

    A batch is what one network read brought; it is never held back to wait for more. Invariant:
    `next_batch` returns None only after the model's own terminal event and the end of the body.
    """

    __slots__ = (
        "_answer", "_characters", "_cost", "_fault", "_peeked", "_timing", "ended", "id", "model", "stop",
        "upstream_headers", "upstream_request_id", "usage",
    )  # fmt: skip

    def __init__(self, call: UpstreamCall, answer: UpstreamAnswer, timing: Timing) -> None:
        self.id = new_id("cmpl")
        self.model = call.model
        self.upstream_request_id = answer.request_id
        self.upstream_headers: Mapping[str, str] = answer.headers
        """Of Bedrock's answer; their names are lower-case."""
        self.usage = UNTOLD
        """What Bedrock has told so far."""
        self.stop: Stop | None = None
        self._characters = 0
        self._cost: tuple[Usage, float | None] | None = None
        self._answer = answer
        self._timing = timing
        self._fault: GatewayError | None = None
        self._peeked: list[Event] | None = None
        self.ended = False
        """Whether all of the answer has been read: behind a batch that is kept, `next_batch` returns None."""

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of things upstream sent that this gateway does not know."""
        return self._answer.reader.unknown

    def accounted(self) -> tuple[Usage, Accuracy]:
        """Return the tokens to account for, and how exact they are.

        Bedrock tells the output of an answer at its end only. Of one that did not come to its end what was
        said is counted instead; where nothing was, what Bedrock has told stands.
        """
        if self.ended:
            return self.usage, "final"
        estimate = -(-self._characters // CHARACTERS_PER_TOKEN)
        if estimate <= (self.usage.output_tokens or 0):
            return self.usage, "partial"
        return self.usage._replace(output_tokens=estimate), "estimated"

    def cost_usd(self, usage: Usage) -> float | None:
        """Return what this usage costs with the model; the caller and the log are told the same one."""
        if self._cost is None or self._cost[0] is not usage:
            self._cost = usage, self.model.cost_usd(usage)
        return self._cost[1]

    async def peek(self) -> None:
        """Wait for the first batch and keep it for `next_batch`.

        Raises:
            GatewayError: the answer failed before its first event, so that nobody has seen anything of it.
        """
        self._peeked = await self.next_batch()

    async def next_batch(self) -> list[Event] | None:
        """Return the next events, or None when the answer is whole.

        Raises:
            GatewayError: the answer failed. Events that came before the fault have been returned before.
        """
        if self._peeked is not None:
            batch, self._peeked = self._peeked, None
            return batch
        while True:
            if self._fault is not None:
                raise self._fault
            if self.ended:
                return None
            events: list[Event] = []
            try:
                self._extract(await self._answer.read(), events)
            except GatewayError as fault:
                self._fail(fault)
            if events:
                self._account(events)
                return events

    async def forward(self, deliver: Callable[[list[Event]], bool]) -> None:
        """Give `deliver` the batches as they come, without a turn of this task, until it returns False.

        Returns then, and at any other time: `next_batch` knows what comes next, the last events too.

        Raises:
            GatewayError: a clock struck.
            Exception: what `deliver` raised.
        """
        if self._fault is not None:  # it came behind the batch that was given last
            return
        failed: list[Exception] = []

        def take(data: bytes) -> bool:
            try:
                return self._deliver(data, deliver)
            except Exception as error:  # noqa: BLE001 - it is for the task, not for the loop that calls here
                failed.append(error)
                return False

        try:
            await self._answer.forward(take)
        except GatewayError as fault:
            self._fail(fault)
        if failed:
            raise failed[0]

    def _deliver(self, data: bytes, deliver: Callable[[list[Event]], bool]) -> bool:
        events: list[Event] = []
        try:
            self._answer.reader.feed(data, events)
        except GatewayError as fault:
            self._fail(fault)
        if events:
            self._account(events)
        if self._fault is not None:
            self._peeked = events or None
            return False
        return deliver(events) if events else True

    def _fail(self, fault: GatewayError) -> None:
        fault.upstream_request_id = fault.upstream_request_id or self.upstream_request_id
        self._fault = fault

    def _extract(self, data: bytes, events: list[Event]) -> None:
        if not data:
            self._close(events)
        else:
            if self._timing.first_byte is None:
                self._timing.mark_first_byte()
            self._answer.reader.feed(data, events)
            if self._answer.at_end:  # known already: the last events and the end make one write
                self._close(events)

    def _close(self, events: list[Event]) -> None:
        self._answer.reader.close(events)
        self._timing.mark_ended()
        self.ended = True

    def _account(self, events: list[Event]) -> None:
        characters = 0
        for event in events:
            if type(event) is TextDelta:
                characters += len(event.text)
            elif type(event) is PassedOn:
                characters += event.characters
            elif type(event) is ToolCallDelta:
                characters += len(event.arguments)
            elif type(event) is ReasoningDelta:
                characters += len(event.text or "")
            elif type(event) is Usage:
                self.usage = self.usage.merge(event)
            elif type(event) is Stop:
                self.stop = event
        self._characters += characters


class OpenCompletion:
    """Sends the best of some calls once it has a slot: a context manager that gives the stream of the answer.

    Formatting came before (`Upstream.format`): it fails without costing a slot. The first events have come
    when the block begins; what fails before that may be sent again, here or elsewhere, as `retries` decides,
    and nothing is after it. `expires` is when the caller's patience ends, by the loop's clock: who sets it
    sees to it that the task is ended then; here it keeps work from being begun that cannot be finished.
    Without `allow_fallback` only the first call is sent. `trail` is told what was tried.
    Not a generator, and no stack of exits: those cost as much as all that is done here.
    """

    __slots__ = (
        "_attempts", "_expires", "_invoked", "_limiter", "_slot", "_stream", "_timing", "_upstream", "ticket",
    )  # fmt: skip

    def __init__(
        self,
        calls: Sequence[UpstreamCall],
        *,
        upstream: Upstream,
        limiter: ConcurrencyLimiter,
        retries: Retries,
        timing: Timing,
        expires: float | None = None,
        allow_fallback: bool = True,
        trail: Trail | None = None,
        caller: Caller = ANONYMOUS,
    ) -> None:
        self.ticket = Ticket(caller, calls)
        self._attempts = retries.attempts(calls, expires=expires, allow_fallback=allow_fallback, trail=trail)
        self._upstream = upstream
        self._limiter = limiter
        self._timing = timing
        self._expires = expires
        self._slot: Slot | None = None
        self._stream: CompletionStream | None = None
        self._invoked: AbstractAsyncContextManager[UpstreamAnswer]

    async def __aenter__(self) -> CompletionStream:
        """Return the stream, of which the first events have come.

        Raises:
            GatewayError: the call could not be admitted or sent, or failed before its first event.
        """
        attempts = self._attempts.__enter__()
        self._timing.mark_queued()
        try:
            self._slot = slot = await self._limiter.acquire(
                attempts.lanes(), deadline=self._expires, ticket=self.ticket
            )
            self._timing.mark_admitted()
            attempts.begin(slot)
            while True:
                try:
                    return await self._invoke(attempts.call)
                except GatewayError as fault:
                    await attempts.failed(fault)
                    self._timing.mark_sent_again()
        except BaseException:
            self._give_back()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._invoked.__aexit__(kind, error, traceback)
        finally:
            self._give_back()

    async def aclose(self) -> None:
        """Give everything back: the end of a block that is not left by whoever began it."""
        await self.__aexit__(None, None, None)

    async def _invoke(self, call: UpstreamCall) -> CompletionStream:
        invoked = self._upstream.invoke_stream(call)
        answer = await invoked.__aenter__()
        try:
            self._attempts.answered()
            self._timing.mark_answered()
            stream = CompletionStream(call, answer, self._timing)
            await stream.peek()
        except BaseException as error:
            await invoked.__aexit__(type(error), error, error.__traceback__)
            raise
        self._attempts.succeeded()
        self._invoked, self._stream = invoked, stream
        return stream

    def _give_back(self) -> None:
        self._attempts.__exit__(None, None, None)
        if (slot := self._slot) is not None:
            if slot.counted and (stream := self._stream) is not None:
                slot.used(Used(*(usage := stream.accounted()[0]), stream.cost_usd(usage)))
            elif slot.counted and self._attempts.trail.in_flight:  # who left: the prompt has been read
                slot.used(Used())
            slot.release()
