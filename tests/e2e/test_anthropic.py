"""Anthropic's API over sockets: Claude in its own words, others through the domain, one truth for both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator import Emulator, EmulatorSettings
from tests.dialects.anthropic_reading import events_of, folded
from tests.harness import CLAUDE, LLAMA, NOVA, TITAN, Caller, StartGateway, lines

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Mapping

SAYS = "This answer comes from the embedded Bedrock emulator, not from a model."
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINKING: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
LATENCY = "X-Amzn-Bedrock-PerformanceConfig-Latency"
TRIES = 30
"""A machine that stands still lets many beats pass for one: then it is asked again."""
MODELS = (CLAUDE, NOVA, TITAN, LLAMA)


def ask(text: Any = "Hello", model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    """Return a body."""
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **fields}


async def post(
    caller: Caller, body: Any, path: str = "/v1/messages", **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    """POST and return status, body and headers."""
    async with caller.session.post(caller.url + path, json=body, headers=headers) as response:
        return response.status, await response.read(), response.headers


async def whole(caller: Caller, body: Any, **headers: str) -> dict[str, Any]:
    """Return the whole message."""
    status, data, _ = await post(caller, body, **headers)
    assert status == 200, data
    message: dict[str, Any] = json.loads(data)
    return message


async def streamed(caller: Caller, body: Any, **headers: str) -> list[dict[str, Any]]:
    """Return the events of the stream."""
    status, data, _ = await post(caller, {**body, "stream": True}, **headers)
    assert status == 200, data
    return events_of(data)


@pytest.fixture(name="wordy")
async def _wordy() -> AsyncIterator[Emulator]:
    """An emulator that writes every frame by itself."""
    async with Emulator(EmulatorSettings(frames_per_write=1)) as running:
        yield running


def _said(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without what each has for itself."""
    content = [{**block, "id": ""} if block["type"] == "tool_use" else block for block in message["content"]]
    return {**message, "id": "", "content": content}


@pytest.mark.parametrize("model", MODELS)
async def test_the_stream_folds_into_the_whole(model: str, caller: Caller) -> None:
    """A stream is legal, ends once, and says what the whole answer says."""
    message = await whole(caller, ask(model=model))

    assert _said(folded(await streamed(caller, ask(model=model)))) == _said(message)
    assert message["content"][0]["text"].startswith(SAYS)
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0
    assert (message["type"], message["role"], message["stop_reason"]) == ("message", "assistant", "end_turn")


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_however_the_answer_is_cut(
    model: str, caller: Caller, wordy: Emulator, start: StartGateway
) -> None:
    """Whole, frame by frame and in pieces of seven bytes are one stream."""
    said = 'Zwölf Boxkämpfer "jagen" \\ quer'
    at_once = folded(await streamed(caller, ask(said, model=model)))
    pieces = folded(await streamed(caller, ask(f"[[emulator slice=7]] {said}", model=model)))
    async with start(wordy) as other:
        frames = folded(await streamed(other, ask(said, model=model)))

    assert _said(at_once) == _said(frames)
    assert (pieces["content"], pieces["stop_reason"]) == (at_once["content"], at_once["stop_reason"])
    assert said in at_once["content"][0]["text"]


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
async def test_a_tool_round_trip(model: str, caller: Caller) -> None:
    """A call comes with its arguments, and its result is taken with the answer that made it."""
    question = ask("[[emulator tool=1]] weather?", model=model, tools=[WEATHER])
    message = folded(await streamed(caller, question))
    call = next(block for block in message["content"] if block["type"] == "tool_use")
    outcome = {"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}

    answer = await whole(
        caller,
        {
            **question,
            "messages": [
                *question["messages"],
                {"role": "assistant", "content": message["content"]},
                {"role": "user", "content": [outcome]},
            ],
        },
    )

    assert (message["stop_reason"], call["name"], set(call["input"])) == ("tool_use", "get_weather", {"city"})
    assert "sunny" in answer["content"][0]["text"]


async def test_thinking(caller: Caller) -> None:
    """Thoughts come signed, streamed and whole, and may be handed back."""
    message = await whole(caller, ask(**THINKING))

    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    assert message["content"][0]["signature"]
    assert _said(folded(await streamed(caller, ask(**THINKING)))) == _said(message)
    again = ask(**THINKING)
    again["messages"] += [
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": "And?"},
    ]
    assert (await whole(caller, again))["stop_reason"] == "end_turn"


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_heartbeats(model: str, emulator: Emulator, start: StartGateway) -> None:
    """The silence before the first event and between events is broken by `ping`, which changes nothing."""
    limits = {"heartbeat_grace_ms": 20, "heartbeat_interval_ms": 20}
    async with start(emulator) as calm, start(emulator, **limits) as beating:
        expected = folded(await streamed(calm, ask("[[emulator deltas=3]]", model=model)))
        for _ in range(TRIES):
            asked = ask("[[emulator deltas=3 first_byte_ms=100 pace_ms=50]]", model=model)
            events = await streamed(beating, asked)
            assert folded(events)["content"] == expected["content"]
            beats = [number for number, event in enumerate(events) if event["type"] == "ping"]
            begun = [event["type"] for event in events].index("message_start")
            if beats and beats[0] < begun < beats[-1]:
                return

    raise AssertionError("no heart has beaten")


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_an_answer_that_fits_a_schema(model: str, caller: Caller) -> None:
    """The answer's text is JSON of the schema, whatever the model has for it."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    wanted = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}

    message = await whole(caller, ask("Where?", model=model, **wanted))
    stream = folded(await streamed(caller, ask("Where?", model=model, **wanted)))

    for answer in (message, stream):
        [block] = answer["content"]
        assert set(json.loads(block["text"])) == {"city"}
        assert answer["stop_reason"] == "end_turn"


# ── what Bedrock is asked ─────────────────────────────────────────────────────────────────────────────


async def test_claude_is_asked_in_its_own_words(caller: Caller, emulator: Emulator) -> None:
    """The body goes on as it came; flags come in, what says nothing stays out."""
    body = ask(
        [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["x"],
        metadata={"user_id": "u"},
        service_tier="auto",
        container=None,
    )
    flags = {
        "anthropic-beta": "interleaved-thinking-2025-05-14,pdfs-2024-09-25",
        "anthropic-version": "2026-10-21",
    }

    await whole(caller, body, **flags)
    await streamed(caller, body, **flags)

    expected = {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["interleaved-thinking-2025-05-14"],
        **{name: body[name] for name in ("max_tokens", "messages", "stop_sequences", "metadata")},
    }
    assert [(call.operation, call.body) for call in emulator.calls] == [
        ("invoke", expected),
        ("invoke-with-response-stream", expected),
    ]


@pytest.mark.parametrize(
    ("bedrock", "operation"),
    [({"operation": "converse"}, "converse-stream"), ({"streaming": False}, "invoke")],
)
async def test_claude_through_the_domain(
    bedrock: dict[str, Any], operation: str, emulator: Emulator, start: StartGateway
) -> None:
    """Where the operator has Claude asked otherwise, its answer is translated into the same stream."""
    async with start(emulator, bedrock=bedrock) as caller:
        message = folded(await streamed(caller, ask()))

    assert message["content"][0]["text"].startswith(SAYS)
    assert emulator.calls[-1].operation == operation


async def test_the_operators_defaults(emulator: Emulator, start: StartGateway) -> None:
    """They are put in where the caller said nothing, and not where Claude is to think."""
    async with start(
        emulator, default_model=CLAUDE, defaults={"temperature": 0.7, "system": "Be terse."}
    ) as caller:
        plain = ask()
        del plain["model"]
        await whole(caller, plain)
        await whole(caller, ask(temperature=0.1, system="Rhyme."))
        await whole(caller, ask(**THINKING))

    told = [(call.body.get("temperature"), call.body.get("system")) for call in emulator.calls]
    assert told == [(0.7, "Be terse."), (0.1, "Rhyme."), (None, "Be terse.")]


async def test_counting(caller: Caller, emulator: Emulator) -> None:
    """Claude's prompt is counted, under the id of the model itself: Bedrock counts for no profile."""
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": "Hello"}]}

    status, data, headers = await post(caller, body, "/v1/messages/count_tokens")

    assert (status, set(json.loads(data))) == (200, {"input_tokens"})
    assert json.loads(data)["input_tokens"] > 0
    assert headers["request-id"] == headers["X-Request-Id"]
    assert emulator.calls[-1].model_id == CLAUDE.removeprefix("us.")


async def test_counting_what_bedrock_does_not_count(caller: Caller, emulator: Emulator) -> None:
    """Other models are asked by way of Converse, and refused by Bedrock where it cannot."""
    body = {"model": NOVA, "messages": [{"role": "user", "content": "Hello"}], "system": "Be brief."}

    status, data, _ = await post(caller, body, "/v1/messages/count_tokens")

    assert (status, json.loads(data)["error"]["type"]) == (400, "invalid_request_error")
    assert set(emulator.calls[-1].body["input"]["converse"]) == {"messages", "system"}


# ── how it fails ──────────────────────────────────────────────────────────────────────────────────────

REFUSED: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "no object": ([], {}, 400, "invalid_request_error"),
    "no model": ({"max_tokens": 1}, {}, 400, "invalid_request_error"),
    "unknown model": (ask(model="nobody.knows"), {}, 404, "not_found_error"),
    "version": (ask(), {"anthropic-version": "2020-01-01"}, 400, "invalid_request_error"),
    "flag": (ask(), {"anthropic-beta": "files-api-2025-04-14"}, 400, "invalid_request_error"),
    "a field of nobody's": (ask(n=2), {}, 400, "invalid_request_error"),
    "a field of nobody's, of another model": (ask(model=NOVA, n=2), {}, 400, "invalid_request_error"),
    "Bedrock's own header": (ask(), {"X-Amzn-Bedrock-Trace": "maybe"}, 400, "invalid_request_error"),
    "Bedrock refuses": (ask(temperature=3), {}, 400, "invalid_request_error"),
    "throttled": (ask("[[emulator error=ThrottlingException]]"), {}, 429, "rate_limit_error"),
    "no capacity": (ask("[[emulator error=ServiceUnavailableException]]"), {}, 529, "overloaded_error"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_errors(name: str, caller: Caller) -> None:
    """Each has Anthropic's shape and type, a status that its clients know, and the request's id."""
    body, headers, status, kind = REFUSED[name]

    got, data, answered = await post(caller, body, **headers)

    answer = json.loads(data)
    assert (got, answer["type"], answer["error"]["type"]) == (status, "error", kind)
    assert answer["request_id"] == answered["request-id"] == answered["X-Request-Id"]
    assert answered["x-should-retry"] == ("true" if status in {429, 529} else "false")


@pytest.mark.parametrize(
    ("fields", "headers", "param"),
    [
        ({"thinking": {"type": "adaptive"}}, {}, "thinking"),
        ({}, {"anthropic-beta": "interleaved-thinking-2025-05-14"}, "anthropic-beta"),
        (
            {"tools": [{**WEATHER, "cache_control": {"type": "ephemeral"}}]},
            {},
            "tools[0].cache_control",
        ),
        ({}, {LATENCY: "optimized"}, LATENCY),
    ],
)
async def test_what_a_model_lacks(
    fields: dict[str, Any], headers: dict[str, str], param: str, caller: Caller
) -> None:
    """It is named as the caller wrote it."""
    status, data, _ = await post(caller, ask(model=NOVA, **fields), **headers)

    error = json.loads(data)["error"]
    assert (status, error["param"]) == (400, param)
    assert error["message"].startswith(param)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/x", 404, "not_found_error"),
    ],
)
async def test_what_is_not_there(method: str, path: str, status: int, kind: str, caller: Caller) -> None:
    """Below this path errors have this API's shape."""
    async with caller.session.request(method, caller.url + path) as response:
        answer = await response.json()

    assert (response.status, answer["error"]["type"]) == (status, kind)


FAULTS = {
    "cut": ("cut=6", "api_error"),
    "throttled": ("exception=throttlingException after=6", "rate_limit_error"),
    "a bit": ("flip=6", "api_error"),
    "the connection": ("reset=6", "api_error"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_an_answer_that_breaks_off(
    model: str, name: str, wordy: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """What was said before the fault is the caller's; the last event is the error, never `message_stop`."""
    directive, kind = FAULTS[name]
    async with start(wordy) as caller:
        events = await streamed(caller, ask(f"[[emulator {directive}]] Hello there", model=model))

    assert folded(events)["error"]["type"] == kind
    assert "content_block_delta" in {event["type"] for event in events}
    [line] = lines(log)
    assert (line["outcome"], line["request_id"]) == ("error", events[-1]["request_id"])


async def test_a_fault_behind_the_terminal_event(wordy: Emulator, start: StartGateway) -> None:
    """Claude has said `message_stop`, and still the answer breaks: the caller is told that, and not both."""
    async with start(wordy) as caller:
        frames = len(await streamed(caller, ask()))
        events = await streamed(
            caller, ask(f"[[emulator exception=internalServerException after={frames}]] Hello")
        )

    ends = [event["type"] for event in events if event["type"] in {"error", "message_stop"}]
    assert ends == ["error"]


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("place", ["0", "0+40"])
async def test_a_whole_answer_that_breaks_off(
    model: str, place: str, emulator: Emulator, start: StartGateway
) -> None:
    """There is no half of a message: it is an error with its status."""
    async with start(emulator, bedrock={"streaming": False}) as unary:
        status, data, _ = await post(unary, ask(f"[[emulator cut={place}]] Hello", model=model))

    assert (status, json.loads(data)["error"]["type"]) == (502, "api_error")


# ── what is written down ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_log_line(caller: Caller, log: io.StringIO, *, streaming: bool) -> None:
    """An answer that is passed on is accounted for as every other one."""
    status, _, headers = await post(caller, ask(stream=streaming))

    [line] = lines(log)
    assert (status, line["route"], line["outcome"]) == (200, "/v1/messages", "ok")
    assert headers["request-id"] == line["request_id"]
    assert (line["model"], line["finish_reason"], line["stop_reason"]) == (CLAUDE, "stop", "end_turn")
    assert line["input_tokens"] > 0
    assert line["output_tokens"] > 0
    assert line["cost_usd"] > 0
    assert line["usage_accuracy"] == "final"


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("value", ['{"a":\t"b"}', '{"team":"Jäger"}'])
async def test_metadata_that_no_header_may_hold(
    value: str, model: str, caller: Caller, emulator: Emulator
) -> None:
    """It is the caller's mistake, and no reason for AWS to doubt the gateway's signature."""
    calls = len(emulator.calls)
    headers = {"X-Amzn-Bedrock-Request-Metadata": value}
    async with caller.session.post(
        f"{caller.url}/v1/messages", json=ask(model=model), headers=headers
    ) as response:
        assert (response.status, (await response.json())["error"]["type"]) == (400, "invalid_request_error")
    assert len(emulator.calls) == calls


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(("name", "value"), [("service_tier", []), ("speed", {}), ("speed", [1])])
async def test_a_word_of_another_type(path: str, name: str, value: Any, caller: Caller) -> None:
    """Claude's body has no schema; it is refused by its name all the same."""
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": "Hi"}], name: value}
    if path == "/v1/messages":
        body["max_tokens"] = 5

    status, data, _ = await post(caller, body, path)

    assert (status, json.loads(data)["error"]["param"]) == (400, name)


GUARDED = {"X-Amzn-Bedrock-GuardrailIdentifier": "emulated", "X-Amzn-Bedrock-GuardrailVersion": "1"}


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize(
    "text", ["Hi [[emulator guardrail=output]]", "Hi [[emulator guardrail=mask]]", "forbidden"]
)
async def test_a_guardrail_that_intervenes(model: str, text: str, caller: Caller) -> None:
    """The answer does not look like one that the model has ended: of Claude's own it would."""
    message = await whole(caller, ask(text, model), **GUARDED)
    events = await streamed(caller, ask(text, model), **GUARDED)

    assert message["stop_reason"] == folded(events)["stop_reason"] == "refusal"
    assert (await whole(caller, ask("Hi", model), **GUARDED))["stop_reason"] == "end_turn"
