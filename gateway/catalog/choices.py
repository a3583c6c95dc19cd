"""What the operator decides about models, and the checks that a decision can work.

The values come from gateway.toml; `catalog` joins them with the facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.catalog.defaults import NONE, Defaults
from gateway.catalog.model_id import parse
from gateway.catalog.timeouts import GENERAL, Timeouts
from gateway.errors import UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Operation: TypeAlias = Literal["auto", "invoke", "converse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverride:
    """What the operator decided about one model; None leaves the matter to a weaker rule.

    `operation` "auto" brings the catalogue's choice back where a stronger or the general rule forces one.
    `base_model` is the foundation model behind an ARN that does not name one, or its inference profile where
    that decides the price. `on_demand` true says that the base id can be called here, whatever the catalogue
    knows. `defaults` and `timeouts` are stronger than the general ones. `residency` replaces the general
    rule. `features` are what the model has or lacks, whatever the catalogue knows. `renamed`: every target
    has a name of its own for the model: this one need not be callable.
    """

    operation: Operation | None = None
    streaming: bool | None = None
    base_model: str | None = None
    on_demand: bool | None = None
    defaults: Defaults = NONE
    timeouts: Timeouts = GENERAL
    residency: tuple[str, ...] | None = None
    renamed: bool = False
    features: Mapping[str, bool] = field(default_factory=dict)

    def over(self, weaker: ModelOverride) -> ModelOverride:
        """Return mine, and the weaker one's where I say nothing."""
        return ModelOverride(
            operation=self.operation or weaker.operation,
            streaming=weaker.streaming if self.streaming is None else self.streaming,
            base_model=self.base_model or weaker.base_model,
            on_demand=weaker.on_demand if self.on_demand is None else self.on_demand,
            defaults=self.defaults.over(weaker.defaults),
            timeouts=self.timeouts.over(weaker.timeouts),
            residency=weaker.residency if self.residency is None else self.residency,
            renamed=self.renamed or weaker.renamed,
            features={**weaker.features, **self.features},
        )


NOTHING = ModelOverride()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Everything the operator decided about models.

    `operation`: serve every model by this pair of operations; `auto` is the catalogue's choice. `streaming`
    false serves every model by its unary operation, unless an override says otherwise. `custom_ids`: serve
    well-formed ids that are not in the catalogue, through Converse. `overrides` go by name asked for, alias
    target or base id. `aliases` are name → model id or ARN. `allowed` are patterns (`*`, `?`, `[…]`) of which
    one must match the name asked for or the alias's target; None allows all. `default_model` is used where a
    caller names none. `defaults` hold for all models; `group_defaults` are stronger and go by name asked for,
    alias target, base id or provider. `residency` are patterns of the regions where prompts may be
    processed; None for any.
    """

    operation: Operation
    streaming: bool
    custom_ids: bool
    overrides: Mapping[str, ModelOverride]
    aliases: Mapping[str, str]
    allowed: tuple[str, ...] | None
    default_model: str | None
    defaults: Defaults
    group_defaults: Mapping[str, Defaults]
    residency: tuple[str, ...] | None = None
    renamed: bool = False
    features: Mapping[str, bool] = field(default_factory=dict)

    def override(self, *names: str | None) -> ModelOverride:
        """Return the overrides for these names, merged field by field; the first name is the strongest."""
        merged = NOTHING
        for name in names:
            if name is not None and name in self.overrides:
                merged = merged.over(self.overrides[name])
        return merged

    def general_defaults(self, *names: str | None) -> Defaults:
        """Return the defaults that hold for the groups of these names, else for all models."""
        merged = NONE
        for name in names:
            if name is not None and name in self.group_defaults:
                merged = merged.over(self.group_defaults[name])
        return merged.over(self.defaults)

    def allows(self, *names: str) -> bool:
        """Say whether one of these names may be asked for."""
        if self.allowed is None:
            return True
        return any(fnmatchcase(name, pattern) for pattern in self.allowed for name in names)

    def problems(self) -> Iterable[str]:
        """Name what cannot work whatever the catalogue knows: ids that are none, aliases of aliases."""
        for name, target in self.aliases.items():
            if target in self.aliases:
                yield f"alias {name!r}: its target {target!r} is itself an alias"
            else:
                yield from id_problems(f"alias {name!r}", target)
        for name, override in self.overrides.items():
            if name not in self.aliases:
                yield from id_problems(f"override {name!r}", name)
            if override.base_model is not None:
                yield from base_model_problems(name, override.base_model)


def id_problems(what: str, text: str) -> Iterable[str]:
    """Say what is wrong with a text that should be a model id."""
    try:
        parse(text)
    except UnknownModel as error:
        yield f"{what}: {error.message}"


def base_model_problems(name: str, base_model: str) -> Iterable[str]:
    """Say what is wrong with the base model of an override: it must name a foundation model."""
    problems = list(id_problems(f"override {name!r}: base_model", base_model))
    if not problems and parse(base_model).base_id is None:
        problems = [f"override {name!r}: base_model {base_model!r} does not name a foundation model"]
    yield from problems
