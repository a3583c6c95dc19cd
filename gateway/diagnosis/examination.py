"""The checks, in the order in which one rests on another.

The clock is looked at before anything is judged that is signed: with a wrong clock every signature is wrong.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from gateway.bedrock.credentials import BearerToken
from gateway.bedrock.credentials.opening import sts_client
from gateway.bedrock.credentials.refresher import described
from gateway.bedrock.exceptions import FOREIGN, from_exception
from gateway.bedrock.targets import BrokenTargets, Target, open_clients
from gateway.bedrock.upstream import BedrockUpstream
from gateway.catalog.model_id import shown
from gateway.catalog.profiles import profile_ids
from gateway.diagnosis.credential_rules import SET_CLOCK
from gateway.diagnosis.explanations import Scene, explain
from gateway.diagnosis.origins import named, time_left
from gateway.diagnosis.probes import Prober, resource
from gateway.diagnosis.quotas import quota_name
from gateway.diagnosis.results import Result, skipped
from gateway.errors import GatewayError, UnknownModel, UpstreamDenied

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.bedrock.routing import Router
    from gateway.settings import AwsSettings, Settings

CREDENTIALS_MS = 25_000
"""The instance's metadata service is tried three times: on a host that is none that takes 12 s."""
ANSWER_MS = 30_000
REACH_S, IDENTITY_S = 10.0, 15.0
WRONG_CLOCK_S, BAD_CLOCK_S = 300, 60
"""AWS refuses signatures that are more than 5 minutes off."""
CHEAPEST = "amazon.nova-micro-v1:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the operator asked to be checked. Without `models`, those of the settings; see `Prober`."""

    models: tuple[str, ...] = ()
    calls: bool = True


async def examine(settings: Settings, router_for: Callable[[str | None], Router], plan: Plan) -> list[Result]:
    """Run every check at each target, all targets at once. What `router_for` raises ends them all.

    It is given the region of the target that AWS's variables describe.
    """
    places = settings.places()
    found = await asyncio.gather(*(_at(name, settings, router_for, plan) for name in places))
    if not settings.targets:
        return found[0]
    return [
        replace(result, name=f"{name}: {result.name}")
        for name, results in zip(places, found, strict=True)
        for result in results
    ]


async def _at(
    name: str, settings: Settings, router_for: Callable[[str | None], Router], plan: Plan
) -> list[Result]:
    """Run every check at one target."""
    aws, credentials = settings.places()[name]
    place = (aws, credentials.model_copy(update={"startup_timeout_ms": CREDENTIALS_MS}))
    try:
        async with open_clients(settings.bedrock, {name: place}, max_concurrency=1) as clients:
            router = router_for(clients[name].region)
            target = Target(name, clients[name], router.catalogs[name])
            return await _Examination(settings, aws, target, router, plan).run()
    except BrokenTargets as error:  # a profile that is not there, a config file that cannot be read
        denied = UpstreamDenied("", detail=described(error.problems[name]))
        scene = Scene(region=aws.region or "", endpoint=aws.endpoint_url or "")
        names = ("endpoint", "connection", "clock", "identity", "models")
        return [explain("credentials", denied, scene), *(skipped(name, "credentials") for name in names)]


class _Examination:
    """The checks of one opened client; `results` are those that have ended."""

    def __init__(
        self, settings: Settings, aws: AwsSettings, target: Target, router: Router, plan: Plan
    ) -> None:
        bedrock = settings.bedrock.model_copy(
            update={
                name: min(getattr(settings.bedrock, name), ANSWER_MS)
                for name in ("first_byte_timeout_ms", "gap_timeout_ms", "total_timeout_ms")
            }
        )
        self.results: list[Result] = []
        self._settings = settings
        self._aws = aws
        self._client = target.client
        self._catalog = target.catalog
        self._plan = plan
        upstream = BedrockUpstream({target.name: target}, router, bedrock, Random(0))  # noqa: S311 - no secret
        self._prober = Prober(target, upstream, bedrock, calls=plan.calls)

    @property
    def _scene(self) -> Scene:
        return Scene(
            region=self._client.region,
            endpoint=self._client.endpoint_url,
            skew=f"{self._client.clock_skew_s:g} s",
            source=named(self._client.credentials, self._aws.profile or self._settings.aws.profile),
        )

    async def run(self) -> list[Result]:
        self.results.append(await self._credentials())
        self.results.append(self._endpoint())
        self.results += await self._connection()
        blocked = self._blocked("credentials", "clock")
        self.results.append(skipped("identity", blocked) if blocked else await self._identity())
        blocked = self._blocked("credentials", "connection", "clock", "identity")
        if blocked and self._plan.calls:
            self.results.append(skipped("models", blocked))
        else:
            await self._models()
        return self.results

    def _blocked(self, *names: str) -> str | None:
        failed = {result.name for result in self.results if result.status == "fail"}
        return next((name for name in names if name in failed), None)

    # ── who and where ─────────────────────────────────────────────────────────────────────────────────

    async def _credentials(self) -> Result:
        source = self._client.credentials
        try:
            await source.current()
        except GatewayError as error:
            return explain("credentials", error, self._scene)
        return Result("credentials", "ok", f"{self._scene.source}{time_left(source)}")

    def _endpoint(self) -> Result:
        where = f"{self._client.endpoint_url}, region {self._client.region}"
        if self._aws.region is None:
            advice = "set AWS_REGION, so that no file and no default decides where prompts go"
            return Result("endpoint", "warn", f"{where}, though AWS_REGION is not set", advice)
        return Result("endpoint", "ok", where)

    async def _connection(self) -> list[Result]:
        """Return what the way to the endpoint is like, and, where there is one, the clock."""
        try:
            async with asyncio.timeout(REACH_S):
                dated = await self._client.reach()
        except FOREIGN as error:
            return [
                explain("connection", from_exception(error), self._scene),
                skipped("clock", "connection"),
            ]
        tls = ", with TLS" if self._client.endpoint_url.startswith("https:") else ", without TLS"
        clock = self._clock() if dated else Result("clock", "warn", "the endpoint does not tell the time")
        return [Result("connection", "ok", f"the endpoint answers{tls}"), clock]

    def _clock(self) -> Result:
        skew = self._client.clock_skew_s
        way = f"{abs(skew):g} s {'ahead of' if skew >= 0 else 'behind'}" if skew else "the same as"
        message = f"this host's clock is {way} AWS's"
        if abs(skew) <= BAD_CLOCK_S:
            return Result("clock", "ok", message)
        if abs(skew) <= WRONG_CLOCK_S:
            return Result("clock", "warn", message, SET_CLOCK)
        return Result("clock", "fail", f"{message}: AWS refuses every signature", SET_CLOCK)

    async def _identity(self) -> Result:
        source = self._client.credentials
        if isinstance(source, BearerToken):
            return Result("identity", "skipped", "not asked: STS knows nothing of API keys")
        try:
            async with asyncio.timeout(IDENTITY_S), self._sts() as sts:
                answer = await sts.get_caller_identity()
        except FOREIGN as error:
            fault = from_exception(error)
            if isinstance(fault, UpstreamDenied):
                return explain("identity", fault, self._scene)
            return Result(
                "identity",
                "warn",
                "STS could not be asked who we are; Bedrock does not need it",
                "where there should be a way to STS: AWS_ENDPOINT_URL_STS, a VPC endpoint for sts",
                fault.detail or fault.message,
            )
        return Result("identity", "ok", f"{answer['Arn']}, account {answer['Account']}")

    def _sts(self) -> Any:
        return sts_client(self._client.credentials, self._aws, self._client.region)

    # ── the models ────────────────────────────────────────────────────────────────────────────────────

    async def _models(self) -> None:
        names = self._plan.models or self._configured()
        if not names:
            names = self._cheapest()
            note = f"none is configured: looking at {names[0]}" if names else "none is configured or allowed"
            self.results.append(
                Result("models", "ok" if names else "warn", note, "name others with --model ID")
            )
        quotas: dict[str, None] = {}
        for name in names:
            result = await self._model(name)
            if result is None:
                continue
            self.results.append(result)
            if result.status != "fail":
                quotas |= dict.fromkeys(self._quota(name))
        if quotas:
            advice = "look up in the Service Quotas console, Amazon Bedrock: " + "; ".join(quotas)
            message = "not read: Service Quotas is another service, which the gateway does not call"
            self.results.append(Result("quotas", "skipped", message, advice))

    async def _model(self, name: str) -> Result | None:
        """Return what the model says here; None where it is asked at other targets only."""
        try:
            said = await self._prober.ask(name)
        except GatewayError as error:
            return explain(f"model {shown(name)}", error, self._model_scene(name))
        if said is None:
            return None
        return Result(f"model {shown(name)}", "ok" if self._plan.calls else "skipped", said)

    def _model_scene(self, name: str) -> Scene:
        """Return what explanations may say of a model; for what is no model's name, no more than the name."""
        target = self._target(name)
        both = shown(name) if target == name else f"{shown(name)} ({target})"
        scene = replace(self._scene, model=both)
        try:
            return replace(
                scene,
                action=self._prober.action(name),
                resource=resource(target, self._client.region),
                profile=self._prober.profile(name),
            )
        except UnknownModel:
            return scene

    def _target(self, name: str) -> str:
        return self._catalog.choices.aliases.get(name, name)

    def _configured(self) -> tuple[str, ...]:
        """Return what the settings name, each model once."""
        settings = self._settings
        listed = [model.id for provider in settings.providers.values() for model in provider.models]
        default = [] if settings.default_model is None else [settings.default_model]
        by_target: dict[str, str] = {}
        fallbacks = [name for model in settings.models.values() for name in model.fallback_models]
        for name in (*default, *settings.aliases, *settings.models, *fallbacks, *listed):
            by_target.setdefault(self._target(name), name)
        return tuple(by_target.values())

    def _cheapest(self) -> tuple[str, ...]:
        """Return the name of a model that hardly costs anything, as far as the operator allows it."""
        card = self._catalog.card(CHEAPEST)
        names = () if card is None else (*profile_ids(card, self._client.region), CHEAPEST)
        return next(((name,) for name in (*names, *self._catalog.models()) if self._served(name)), ())

    def _served(self, name: str) -> bool:
        try:
            self._catalog.resolve(name)
        except GatewayError:
            return False
        return True

    def _quota(self, name: str) -> list[str]:
        quota = quota_name(self._target(name), self._catalog.card(name))
        return [] if quota is None else [quota]
