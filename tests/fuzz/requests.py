"""What callers send: parsed, made into the body for each family, and addressed, or refused with a 4xx.

An input is the body of a request. It is read as a chat and as an embedding request; by OpenAI's dialect, too.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zlib import crc32

import orjson
from yarl import URL

from gateway.bedrock.client import path_of
from gateway.catalog.catalog import Catalog
from gateway.catalog.model_id import MAX_LENGTH
from gateway.codecs import CODECS
from gateway.codecs.embeddings import EMBEDDERS
from gateway.codecs.stop_sequences import emulated
from gateway.dialects import embeddings, native, openai_chat, openai_embeddings
from gateway.domain import CompletionRequest, Message, TextPart
from gateway.errors import GatewayError, InvalidRequest, UnknownModel
from gateway.wire.json import MAX_DEPTH, MAX_KEYS, MAX_NODES, loads
from tests.fuzz import request_inputs
from tests.fuzz.mutation import CANARY
from tests.fuzz.target import Target, demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.catalog.model import Model

PATH = re.compile(r"/model/[A-Za-z0-9._~%-]+/converse-stream")
PARAM = re.compile(r"[A-Za-z0-9_.?-]+(\[[0-9]+\]|\.[A-Za-z0-9_.?-]+)*|body")
REFUSED = object()
MARK = "zq9Q"
OURS = {"…"}
"""What our own words have beyond ASCII."""


# ── JSON, by another parser ───────────────────────────────────────────────────────────────────────────


def strict(data: bytes) -> Any:
    """Return the JSON document by the standard library's parser under our rules, or `REFUSED`."""
    nodes = 0

    def paired(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs) or len(pairs) > MAX_KEYS:
            raise ValueError("a duplicate key, or too many keys")
        return dict(pairs)

    def integer(digits: str) -> int | float:
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
            raise ValueError("beyond 64 bits")
        return int(digits)

    def constant(name: str) -> Any:
        raise ValueError(name)

    def depth(value: Any) -> int:
        nonlocal nodes
        nodes += 1
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    try:
        value = json.loads(
            data.decode(), object_pairs_hook=paired, parse_int=integer, parse_constant=constant
        )
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # half surrogates, infinities
        too_deep = depth(value) > MAX_DEPTH
    except (ValueError, RecursionError):
        return REFUSED
    return REFUSED if too_deep or nodes > MAX_NODES else value


def _parse(data: bytes) -> Any:
    """Return what the door makes of the body, after comparing it with the other parser's result."""
    reference = strict(data)
    try:
        value = loads(data)
    except InvalidRequest as fault:
        _check_fault(fault, default_param="body")
        demand(reference is REFUSED, "good JSON is refused", fault, reference)
        return REFUSED
    demand(reference is not REFUSED, "bad JSON is taken", value)
    demand(
        json.dumps(value, sort_keys=True) == json.dumps(reference, sort_keys=True), "read otherwise", value
    )
    return value


def _check_fault(fault: GatewayError, *, default_param: str | None = None) -> None:
    demand(isinstance(fault, InvalidRequest | UnknownModel), "not the caller's fault", fault)
    demand(400 <= fault.status < 500, "not a 4xx", fault)
    param = fault.param or default_param
    demand(param is not None and PARAM.fullmatch(param), "no field is named", param, fault)
    demand(fault.message and fault.message.isprintable(), "the message is empty or has controls", fault)
    demand(CANARY not in fault.message, "what was sent is reflected", fault)
    foreign = {letter for letter in fault.message if not letter.isascii()} - OURS
    demand(not foreign, "letters that are not ours", foreign, fault)
    demand(len(fault.message) < 4000, "the message is long", fault)


# ── the models ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Check:
    """Holds one body to every law."""

    catalog: Catalog
    models: tuple[Model, ...]
    """One for each family, and for each way that models of a family differ in what they take."""

    def __call__(self, data: bytes) -> None:
        """Hold one body to every law."""
        rng = Random(crc32(data))  # noqa: S311 - what is left out is a function of the input
        value = _parse(data)
        if value is REFUSED:
            return
        self._check_chat(value, rng)
        self._check_embeddings(value)
        for parse in (openai_chat.parse, openai_embeddings.parse):
            try:
                parse(value)
            except InvalidRequest as fault:
                _check_fault(fault)

    def _check_chat(self, value: Any, rng: Random) -> None:
        try:
            request = native.parse(value, default_model="amazon.titan-text-express-v1")
        except InvalidRequest as fault:
            _check_fault(fault)
            return
        self._check_address(request.model)
        for model in self.models:
            made = _formatted(request, model)
            if made is not None:
                _check_nothing_is_dropped(request, model, made, rng)

    def _check_address(self, asked: str) -> None:
        for resolve in (self.catalog.resolve, self.catalog.resolve_embedding):
            try:
                model = resolve(asked)
            except (InvalidRequest, UnknownModel) as fault:
                _check_fault(fault)
                continue
            path = path_of(model.id, "converse-stream")
            demand(
                PATH.fullmatch(path) and len(model.id) <= MAX_LENGTH, "the path is not three segments", path
            )
            segment = path.split("/")[2]
            demand(
                segment not in {".", ".."} and unquote(segment) == asked, "another model is addressed", path
            )
            url = URL("http://bedrock.test" + path, encoded=True)
            demand(
                (url.raw_path, url.host) == (path, "bedrock.test"), "the client rewrites the path", str(url)
            )

    def _check_embeddings(self, value: Any) -> None:
        try:
            request, _ = embeddings.parse(value)
        except InvalidRequest as fault:
            _check_fault(fault)
            return
        self._check_address(request.model)
        for codec in EMBEDDERS.values():
            for first in range(0, len(request.inputs), codec.batch_size):
                batch = request.inputs[first : first + codec.batch_size]
                try:
                    demand(orjson.loads(codec.format(request, batch, first)), "an empty body")
                except InvalidRequest as fault:
                    _check_fault(fault)


def _formatted(
    request: CompletionRequest, model: Model
) -> tuple[bytes, dict[str, str], tuple[str, ...]] | None:
    """Return body, headers and emulated stop sequences as the upstream makes them; None where it refuses."""
    codec = CODECS[model.family]
    try:
        stop = () if codec.stop_is_native(model) else emulated(request)
        body, headers = codec.format(request, model), codec.headers(request)
    except (InvalidRequest, UnknownModel) as fault:
        _check_fault(fault)
        return None
    demand(isinstance(orjson.loads(body), dict), "the body is no JSON object", body)
    for name, text in headers.items():
        demand(name.isascii() and text.isascii() and text.isprintable(), "a header that cannot be sent", text)
    return body, headers, stop


# ── nothing is dropped ────────────────────────────────────────────────────────────────────────────────

UNSAID: dict[str, Any] = {
    field.name: getattr(CompletionRequest(model="m", messages=()), field.name)
    for field in fields(CompletionRequest)
    if field.name not in {"model", "messages", "provider"}
}


def _check_nothing_is_dropped(request: CompletionRequest, model: Model, made: Any, rng: Random) -> None:
    """What is left out or changed in the request makes another call, or is refused."""
    said = [name for name, unsaid in UNSAID.items() if getattr(request, name) != unsaid]
    for name in said:
        less = _formatted(replace(request, **{name: UNSAID[name]}), model)
        demand(
            less != made or _is_default(request, name, model),
            "a parameter is dropped",
            name,
            model.family,
            made,
        )
    places = [
        (number, place)
        for number, message in enumerate(request.messages)
        for place, part in enumerate(message.content)
        if isinstance(part, TextPart)
    ]
    if places:
        number, place = rng.choice(places)
        other = _formatted(_marked(request, number, place), model)
        demand(other != made, "a text is dropped", number, place, model.family, made)


def _is_default(request: CompletionRequest, name: str, model: Model) -> bool:
    """Say whether the caller asks for what is done anyway."""
    if name == "tool_choice":
        return request.tool_choice is not None and request.tool_choice.mode in {"auto", "none"}
    if name == "max_tokens":
        less = _formatted(replace(request, max_tokens=None), model)
        return less is not None and str(request.max_tokens).encode() in less[0]
    return name == "system" and not (request.system_text or "").strip()


def _marked(request: CompletionRequest, number: int, place: int) -> CompletionRequest:
    messages = list(request.messages)
    parts = list(messages[number].content)
    parts[place] = TextPart(parts[place].text + MARK)  # type: ignore[union-attr]  # the place of a text
    messages[number] = Message(messages[number].role, tuple(parts))
    return replace(request, messages=tuple(messages))


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    catalog = Catalog(region="us-east-1")
    kinds: dict[Any, Model] = {}
    for model in catalog.models().values():
        facts = (model.sampling, model.one_sampling, "image" in (model.takes or ()))
        if model.native_family is not None:
            kinds.setdefault((model.native_family, *facts), replace(model, api="invoke"))
        kinds.setdefault(("converse", model.native_family, *facts), replace(model, api="converse"))
    opaque = catalog.resolve("arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl")
    kinds["imported"] = replace(opaque, api="invoke")
    kinds["opaque"] = replace(opaque, api="converse")
    demand({model.family for model in kinds.values()} == set(CODECS), "a family has no model", set(CODECS))
    yield Check(catalog, tuple(kinds.values()))


TARGET = Target(
    name="requests",
    opened=_opened,
    seeds=request_inputs.seeds,
    recorded=request_inputs.recorded,
    mutate=request_inputs.mutate,
    max_length=request_inputs.MAX_LENGTH,
)
