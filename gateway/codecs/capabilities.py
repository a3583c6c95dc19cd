"""What a request asks for beyond plain text, and whether the model has it: the one check before `format`.

A model lacks what its family's body has no word for (`WORDS`), and what the catalogue knows that it lacks
(`Features`). What nobody knows is sent, and Bedrock judges. So nothing that a caller asks for is dropped:
it is applied, or refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.codecs import reasoning, structured
from gateway.domain import CachePoint, DocumentPart, ImagePart, TextPart, ToolResultPart, ToolUsePart
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gateway.catalog.model import Family, Model
    from gateway.domain import CompletionRequest, Part, Reasoning, Tool

Has: TypeAlias = "Callable[[Model], bool | None]"
"""Whether a model has something; None: it is not known."""
Others: TypeAlias = "Callable[[], Iterable[tuple[str, Model]]]"
"""The models that may be asked here, by name."""

_CLAUDE: Final = frozenset(
    {
        *("images", "documents", "citations", "cache_points", "cached_tools"),
        *("tools", "strict", "single_calls", "betas"),
    }
)
_OPENAI: Final = frozenset({"images", "tools", "strict", "single_calls", "seed"})
WORDS: Final[Mapping[Family, frozenset[str]]] = {
    "claude": _CLAUDE,
    "nova": frozenset({"images", "documents", "cache_points", "tools"}),
    "converse": _CLAUDE | {"seed"},
    "openai_chat": _OPENAI,
    "gpt_oss": _OPENAI,
    "mistral_chat": frozenset({"images", "tools"}),
    "jamba": frozenset({"tools"}),
    "cohere_command_r": frozenset({"tools", "seed"}),
}
"""What the body of each family's operation has a word for; families that are not here have none."""
_NO_WORDS: Final[frozenset[str]] = frozenset()
LISTED: Final = 5
_WITH_SEED: Final = ("cohere.command-r", "writer.")
_WITHOUT_SEED: Final = ("anthropic.", "amazon.", "meta.", "ai21.", "cohere.command-t", "cohere.command-l")


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a request asks for: where, what, and which models have it. `more` is advice."""

    param: str
    what: str
    has: Has
    more: Callable[[Model], str] = lambda _: ""


def check(request: CompletionRequest, model: Model, others: Others = lambda: ()) -> bool:
    """Refuse what the model lacks; return whether there is nothing that a model could lack.

    Raises:
        InvalidRequest: the model lacks something; the message names it, and models of `others` that have it.
    """
    if _is_plain(request):
        return True
    for asked in (*_of_fields(request), *_of_tools(request), *_of_content(request)):
        if asked.has(model) is False:
            raise _refusal(asked, model, others)
    return False


def _is_plain(request: CompletionRequest) -> bool:
    """Tell whether there is nothing but text and what every family has."""
    if (
        request.tools
        or request.reasoning is not None
        or request.response_format is not None
        or request.seed is not None
        or request.betas
        or request.parallel_tool_calls is False
        or request.latency is not None
        or request.service_tier is not None
    ):
        return False
    for part in request.system:
        if type(part) is not TextPart:
            return False
    for message in request.messages:
        for piece in message.content:
            if type(piece) is not TextPart:
                return False
    return True


def _refusal(asked: Asked, model: Model, others: Others) -> InvalidRequest:
    names = [name for name, other in others() if asked.has(other) is True]
    listed = ", ".join(names[:LISTED])
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    here = f" Models here that do: {listed}{more}." if names else ""
    served = "" if model.api == "converse" else " by InvokeModel"
    return InvalidRequest(
        f"{asked.param}: {model.base_id or 'this model'} does not take {asked.what}{served}."
        f"{asked.more(model)}{here}",
        param=asked.param,
    )


def _spoken(word: str, model: Model) -> bool:
    return word in WORDS.get(model.family, _NO_WORDS)


# ── fields of the request ─────────────────────────────────────────────────────────────────────────────


def _of_fields(request: CompletionRequest) -> Iterator[Asked]:
    if (asked := request.reasoning) is not None:
        what = "such a request to reason" if asked.effort != "none" else "being told not to reason"
        yield Asked(
            "reasoning",
            what,
            lambda model: _reasons(asked, model),
            lambda model: reasoning.words(model) if model.family in _REASONS else "",
        )
    if request.response_format is not None:
        yield Asked("response_format", "such an answer's form", lambda model: _forms(request, model))
    if request.seed is not None:
        yield Asked("seed", "a seed", _seeds)
    if request.betas:
        yield Asked("betas", "Anthropic's beta flags", _betas)
    if request.latency == "optimized":
        yield Asked("latency", "latency-optimised inference", lambda model: model.features.latency)
    if request.service_tier not in {None, "default"}:
        tier = request.service_tier
        yield Asked("service_tier", f"the tier {tier}", lambda model: _in(tier, model.features.tiers))


_REASONS: Final = frozenset({"claude", "nova", "openai_chat", "gpt_oss", "converse"})


def _reasons(asked: Reasoning, model: Model) -> bool | None:
    if model.family not in _REASONS and asked.effort != "none":
        return False
    return reasoning.available(asked, model)


def _forms(request: CompletionRequest, model: Model) -> bool | None:
    way = structured.way(request, model)
    return None if way == "unsure" else way != "none"


def _seeds(model: Model) -> bool | None:
    base = model.base_id or ""
    if not _spoken("seed", model) or base.startswith(_WITHOUT_SEED):
        return False
    return True if base.startswith(_WITH_SEED) else None


def _betas(model: Model) -> bool | None:
    if not _spoken("betas", model):
        return False
    return None if model.base_id is None else model.native_family == "claude"


def _in(word: str | None, known: tuple[str, ...] | None) -> bool | None:
    """A tier that is not listed may be new; no tiers at all are a fact."""
    return None if known is None or (known and word not in known) else word in known


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────


def _of_tools(request: CompletionRequest) -> Iterator[Asked]:
    single = request.parallel_tool_calls is False
    if single and not request.tools:
        raise InvalidRequest("parallel_tool_calls needs tools.", param="parallel_tool_calls")
    for number, tool in enumerate(request.tools):
        yield from _of_tool(f"tools[{number}]", tool)
    choice = request.tool_choice
    if request.tools and choice is not None and choice.mode in {"any", "tool"}:
        what = "a tool choice that demands a call"
        yield Asked("tool_choice", what, lambda model: _demands(choice.mode, model))
    if single:
        yield Asked("parallel_tool_calls", "an end to parallel tool calls", _calls_singly)


def _of_tool(path: str, tool: Tool) -> Iterator[Asked]:
    yield Asked("tools", "tools", _has_tools)
    if tool.strict:
        yield Asked(f"{path}.strict", "strict tools", _has_strict_tools)
    if tool.cache is not None:
        yield Asked(f"{path}.cache", "cache points behind tools", _caches_tools)
        if tool.cache.ttl == "1h":
            yield Asked(f"{path}.cache.ttl", "a cache for an hour", _caches_for_an_hour)


def _has_tools(model: Model) -> bool | None:
    return model.features.tools if _spoken("tools", model) else False


def _has_strict_tools(model: Model) -> bool | None:
    return model.features.strict_tools if _spoken("strict", model) else False


def _demands(mode: str, model: Model) -> bool | None:
    if not _spoken("tools", model):
        return False
    known = model.features.tool_choice
    return None if known is None else mode in known


def _calls_singly(model: Model) -> bool | None:
    if not _spoken("single_calls", model):
        return False
    if model.family != "converse":
        return True
    return model.features.single_calls if model.native_family == "claude" else False


def _caches_tools(model: Model) -> bool | None:
    if not _spoken("cached_tools", model) or model.native_family == "nova":  # it caches system and messages
        return False
    return model.features.cache_points


# ── content ───────────────────────────────────────────────────────────────────────────────────────────


def _of_content(request: CompletionRequest) -> Iterator[Asked]:
    for number, part in enumerate(request.system):
        if isinstance(part, CachePoint):
            yield from _of_cache_point(f"system[{number}]", part)
    for number, message in enumerate(request.messages):
        for position, piece in enumerate(message.content):
            yield from _of_part(f"messages[{number}].content[{position}]", piece)


def _of_part(path: str, part: Part) -> Iterator[Asked]:
    if isinstance(part, ImagePart):
        yield Asked(path, "images", _sees)
    elif isinstance(part, DocumentPart):
        yield from _of_document(path, part)
    elif isinstance(part, CachePoint):
        yield from _of_cache_point(path, part)
    elif isinstance(part, ToolResultPart):
        for item in part.content:  # the caller's path is that of the result
            yield from _of_part(path, item)
    elif isinstance(part, ToolUsePart):
        yield Asked(path, "tool calls", _has_tools)


def _of_document(path: str, part: DocumentPart) -> Iterator[Asked]:
    yield Asked(path, "documents", _reads)
    if part.citations:
        yield Asked(f"{path}.citations", "citations of documents", _cites)
    if part.context is not None:
        yield Asked(f"{path}.context", "the context of documents", _cites)


def _of_cache_point(path: str, point: CachePoint) -> Iterator[Asked]:
    yield Asked(path, "cache points", _caches)
    if point.ttl == "1h":
        yield Asked(f"{path}.ttl", "a cache for an hour", _caches_for_an_hour)


def _sees(model: Model) -> bool | None:
    if not _spoken("images", model):
        return False
    return None if model.takes is None else "image" in model.takes


def _reads(model: Model) -> bool | None:
    return model.features.documents if _spoken("documents", model) else False


def _cites(model: Model) -> bool | None:
    if not _spoken("citations", model):
        return False
    return None if model.base_id is None else model.native_family == "claude"


def _caches(model: Model) -> bool | None:
    return model.features.cache_points if _spoken("cache_points", model) else False


def _caches_for_an_hour(model: Model) -> bool | None:
    if not _spoken("cache_points", model) or model.family == "nova":  # which has no word for it
        return False
    return model.features.cache_1h
