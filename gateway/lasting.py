"""What lives as long as the process, whatever generation of settings is in force."""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gateway.abandoned import AbandonedAnswers
from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.ledger.local import LocalLedger
from gateway.monitoring import Monitoring
from gateway.observability.events import Events
from gateway.retries.attempts import Retries
from gateway.retries.backoff import Backoff
from gateway.retries.breaker import BreakerRules
from gateway.retries.budget import BudgetRules
from gateway.server.body_budget import BodyBudget
from gateway.server.drain import Drain, DrainTimes

if TYPE_CHECKING:
    from gateway.ledger.charges import Ledger
    from gateway.retries.breaker import State
    from gateway.server.dispatch import Dispatcher
    from gateway.settings import AdaptiveSettings, Settings


@dataclass(frozen=True, slots=True)
class Lasting:
    """What all generations share; `monitoring` is None where nothing is measured."""

    limiter: ConcurrencyLimiter
    ledger: Ledger
    abandoned: AbandonedAnswers
    retries: Retries
    bodies: BodyBudget
    drain: Drain
    events: Events
    monitoring: Monitoring | None


def build_lasting(settings: Settings, dispatcher: Dispatcher) -> Lasting:
    """Return it, as these settings say; to be called in the event loop."""
    ledger = build_ledger(settings)
    limiter = ConcurrencyLimiter(
        max_running=settings.max_concurrency,
        max_waiting=settings.max_queue,
        queue_timeout=settings.queue_timeout_ms / 1000,
        order=settings.queue_order,
        adaptive=_adaptive(settings.adaptive),
        ledger=ledger,
    )
    retries = build_retries(settings)
    abandoned = AbandonedAnswers(
        max_running=settings.abandoned_max_answers if settings.on_disconnect == "drain" else 0,
        seconds=settings.abandoned_timeout_ms / 1000,
    )
    times = DrainTimes(
        propagation=settings.drain.propagation_ms / 1000, deadline=settings.drain.deadline_ms / 1000
    )
    drain = Drain(times)
    return Lasting(
        limiter=limiter,
        ledger=ledger,
        abandoned=abandoned,
        retries=retries,
        bodies=BodyBudget(settings.max_bodies_bytes),
        drain=drain,
        events=Events(),
        monitoring=None if settings.metrics.port is None else Monitoring(dispatcher, drain, ledger),
    )


def _adaptive(section: AdaptiveSettings) -> Adaptive | None:
    return Adaptive(floor=section.floor, decrease=section.decrease) if section.enabled else None


def build_ledger(settings: Settings) -> Ledger:
    """Return where charges are counted: in Redis where there is one, else here, each worker for itself."""
    clock, redis = asyncio.get_running_loop().time, settings.redis
    if redis.url is None:
        if settings.workers > 1:
            structlog.get_logger().info("ledger", state="local", share=f"1/{settings.workers} of each limit")
        return LocalLedger(clock, share=settings.workers)
    # redis-py costs memory, and who runs one replica needs none of it
    from gateway.ledger.link import Link  # noqa: PLC0415 - said above
    from gateway.ledger.remote import Remote, Rules  # noqa: PLC0415 - said above
    from gateway.ledger.shared import SharedLedger  # noqa: PLC0415 - said above

    rules = Rules(
        prefix=redis.prefix,
        timeout_s=redis.timeout_ms / 1000,
        replicas=max(redis.replicas, settings.workers),
        refuse=redis.fallback == "refuse",
    )
    return SharedLedger(Remote(Link(redis.url.get_secret_value()), rules), rules, clock)


def build_retries(settings: Settings) -> Retries:
    """Return the second chances of this process; to be called in its event loop."""
    rules, breaker = settings.retries, settings.breaker
    return Retries(
        clock=asyncio.get_running_loop().time,
        random=random.random,
        max_attempts=rules.max_attempts,
        backoff=Backoff(base=rules.backoff_ms / 1000, cap=rules.max_backoff_ms / 1000),
        budget=BudgetRules(share=rules.budget_percent / 100, least=rules.budget_min),
        breaker=BreakerRules(
            ratio=breaker.failure_percent / 100,
            least=breaker.min_calls if breaker.enabled else sys.maxsize,
            unsent=breaker.failed_connections if breaker.enabled else sys.maxsize,
            window=breaker.window_ms / 1000,
            first=breaker.open_ms / 1000,
            longest=breaker.max_open_ms / 1000,
        ),
        tell=_tell_of_breaker,
    )


def _tell_of_breaker(lane: str, state: State) -> None:
    log = structlog.get_logger()
    (log.info if state == "closed" else log.warning)("breaker", lane=lane, state=state)
