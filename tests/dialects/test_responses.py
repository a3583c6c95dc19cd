"""OpenAI's Responses: what bodies mean, what is refused, and that the stream folds to the unary answer."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.completion import fold
from gateway.dialects import responses, responses_objects, responses_plain
from gateway.dialects.protocol import Begun, Ended
from gateway.dialects.responses_places import name_field
from gateway.dialects.responses_stream import ResponsesStream
from gateway.domain import (
    Citation,
    DocumentPart,
    Event,
    FinishReason,
    ImagePart,
    Message,
    Reasoning,
    ReasoningDelta,
    ReasoningPart,
    ResponseFormat,
    Stop,
    TextDelta,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResultPart,
    ToolUsePart,
    Usage,
)
from gateway.errors import InvalidRequest, UpstreamThrottled

DATA = b64encode(b"bytes").decode()
PNG = f"data:image/png;base64,{DATA}"
HI = (Message("user", (TextPart("hi"),)),)
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
TOOL = Tool("weather", None, {"type": "object"}, True)  # noqa: FBT003 - as the domain has it
BEGUN = Begun("cmpl_1", "m", "p", "aws-1")
AT = 1_700_000_000


def body(**fields: Any) -> dict[str, Any]:
    """Return a body that asks the least."""
    return {"model": "m", "input": "hi", **fields}


ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "least": (body(), {"messages": HI}),
    "nulls": (
        body(**dict.fromkeys([*responses.REFUSED, "tools", "tool_choice", "text", "reasoning", "include"])),
        {"messages": HI},
    ),
    "what asks for nothing": (
        body(background=False, store=False, truncation="disabled", top_logprobs=0, tool_choice="auto"),
        {"messages": HI},
    ),
    "parameters": (
        body(
            instructions="be brief",
            max_output_tokens=5,
            temperature=0.5,
            top_p=1,
            top_k=3,
            metadata={"a": "b"},
            user="u",
            safety_identifier="s",
            service_tier="flex",
            parallel_tool_calls=False,
            reasoning={"effort": "high", "summary": "auto"},
            include=["reasoning.encrypted_content"],
        ),
        {
            "messages": HI,
            "system": (TextPart("be brief"),),
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 1.0,
            "top_k": 3,
            "metadata": {"a": "b", "user": "u", "safety_identifier": "s"},
            "service_tier": "flex",
            "parallel_tool_calls": False,
            "reasoning": Reasoning(effort="high"),
        },
    ),
    "tools": (
        body(tools=[WEATHER], tool_choice={"type": "function", "name": "weather"}),
        {"messages": HI, "tools": (TOOL,), "tool_choice": ToolChoice("tool", "weather")},
    ),
    "any tool": (
        body(tools=[WEATHER], tool_choice="required"),
        {"messages": HI, "tools": (TOOL,), "tool_choice": ToolChoice("any")},
    ),
    "json": (
        body(text={"format": {"type": "json_object"}}),
        {"messages": HI, "response_format": ResponseFormat()},
    ),
    "schema": (
        body(text={"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}}),
        {"messages": HI, "response_format": ResponseFormat({"a": 1}, "n", None, True)},  # noqa: FBT003
    ),
    "text": (body(text={"format": {"type": "text"}, "verbosity": "medium"}), {"messages": HI}),
    "a conversation": (
        body(
            instructions="one",
            input=[
                {"role": "developer", "content": "two"},
                {"role": "system", "content": [{"type": "input_text", "text": "three"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "what?"},
                        {
                            "type": "input_image",
                            "image_url": PNG,
                            "detail": "auto",
                        },
                        {
                            "type": "input_file",
                            "filename": "a.pdf",
                            "file_data": f"data:application/pdf;base64,{DATA}",
                        },
                    ],
                },
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "signature:s",
                },
                {"type": "reasoning", "summary": [], "encrypted_content": "redacted:r"},
                {
                    "type": "message",
                    "id": "msg_1",
                    "status": "completed",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "I look", "annotations": [], "logprobs": []},
                        {"type": "refusal", "refusal": "no"},
                    ],
                },
                {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"a":1}'},
                {"type": "function_call", "call_id": "d", "name": "weather", "arguments": ""},
                {"type": "function_call_output", "call_id": "c", "output": "sun"},
                {
                    "type": "function_call_output",
                    "call_id": "d",
                    "output": [{"type": "input_text", "text": "rain"}],
                },
                {"role": "user", "content": "so?"},
                {"role": "assistant", "content": "wet"},
            ],
        ),
        {
            "system": (TextPart("one"), TextPart("two"), TextPart("three")),
            "messages": (
                Message(
                    "user",
                    (TextPart("what?"), ImagePart("png", b"bytes"), DocumentPart("pdf", b"bytes", "a.pdf")),
                ),
                Message(
                    "assistant",
                    (
                        ReasoningPart("hm", "s"),
                        ReasoningPart(redacted="r"),
                        TextPart("I look"),
                        TextPart("no"),
                        ToolUsePart("c", "weather", {"a": 1}),
                        ToolUsePart("d", "weather", {}),
                    ),
                ),
                Message(
                    "user",
                    (
                        ToolResultPart("c", (TextPart("sun"),)),
                        ToolResultPart("d", (TextPart("rain"),)),
                        TextPart("so?"),
                    ),
                ),
                Message("assistant", (TextPart("wet"),)),
            ),
        },
    ),
    "what nobody said": (  # Bedrock does not take a text of ""
        body(
            input=[
                {"role": "system", "content": [{"type": "input_text", "text": ""}]},
                {"role": "developer", "content": ""},
                {"role": "assistant", "content": ""},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": ""},
                        {"type": "input_image", "image_url": PNG},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": ""},
                        {"type": "refusal", "refusal": ""},
                    ],
                },
                {"type": "function_call", "call_id": "c", "name": "weather", "arguments": ""},
                {"type": "function_call_output", "call_id": "c", "output": ""},
                {
                    "type": "function_call_output",
                    "call_id": "d",
                    "output": [{"type": "input_text", "text": ""}],
                },
                {"role": "assistant", "content": "x"},
                {"role": "user", "content": ""},
            ]
        ),
        {
            "messages": (
                Message("user", (ImagePart("png", b"bytes"),)),
                Message("assistant", (ToolUsePart("c", "weather", {}),)),
                Message("user", (ToolResultPart("c", ()), ToolResultPart("d", ()))),
                Message("assistant", (TextPart("x"),)),
                Message("user", (TextPart(""),)),  # it is all that there is to answer
            )
        },
    ),
    "reasoning without a signature": (
        body(
            input=[{"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}]
        ),
        {"messages": (Message("assistant", (ReasoningPart("a"),)),)},
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    """Each field has its meaning."""
    value, fields = ACCEPTED[name]
    asked = responses.parse(value)
    given = {field: getattr(asked.request, field) for field in asked.request.__slots__}

    expected = {field: fields[field] for field in fields}
    assert {field: given[field] for field in fields} == expected
    left = {field: value for field, value in given.items() if field not in fields and field != "model"}
    assert not any(value for value in left.values() if value is not None)


def item(**fields: Any) -> dict[str, Any]:
    """Return a body of one item."""
    return body(input=[fields])


REFUSED: list[tuple[Any, str]] = [
    *((body(**{name: "x"}), name) for name in responses.REFUSED),
    (body(store=True), "store"),
    (body(background=True), "background"),
    (body(include=["reasoning.encrypted_content", "x"]), "include[1]"),
    (body(tools=[{"type": "web_search"}]), "tools[0].type"),
    (body(tools=[WEATHER, {"type": "function"}]), "tools[1].name"),
    (body(tool_choice="required"), "tool_choice"),
    (body(tools=[WEATHER], tool_choice={"type": "function", "name": "x"}), "tool_choice"),
    (body(metadata={"user": "a"}, user="b"), "metadata.user"),
    (body(user="\x00"), "user"),
    (body(seed=1), "seed"),
    (body(text={"verbosity": "low"}), "text.verbosity"),
    (body(stream_options={"include_obfuscation": True}), "stream_options.include_obfuscation"),
    (body(input=[]), "input"),
    (body(input=5), "input"),
    ({"input": "hi"}, "model"),
    ([], "body"),
    (item(role="system", content="s"), "input"),
    (body(input=[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]), "input[1].role"),
    (item(role="system", content=[{"type": "output_text", "text": "b"}]), "input[0].content[0]"),
    (item(role="user", content=[{"type": "output_text", "text": "b"}]), "input[0].content[0]"),
    (item(role="user", content=[{"type": "input_image", "image_url": "https://x/y.png"}]),
     "input[0].content[0].image_url"),
    (item(role="user", content=[{"type": "input_image", "file_id": "f"}]), "input[0].content[0].file_id"),
    (item(role="user", content=[{"type": "input_image"}]), "input[0].content[0].image_url"),
    (item(role="user", content=[{"type": "input_file", "filename": "f"}]), "input[0].content[0].file_data"),
    (item(role="user", content=[{"type": "input_file", "file_data": "x", "file_url": "https://x"}]),
     "input[0].content[0].file_url"),
    (item(role="user", content=[{"type": "input_file", "file_data": "data:x/y;base64,AA=="}]),
     "input[0].content[0].file_data"),
    (item(role="assistant", content=[{"type": "input_file", "file_data": "x"}]), "input[0].content[0]"),
    (item(role="user", content=[]), "input[0].content"),
    (item(role="user", content={}), "input[0].content"),
    (item(role="user", content=[{"type": "input_text"}]), "input[0].content[0].text"),
    (item(type="function_call_output", call_id="c", output={"a": 1}), "input[0].output"),
    (item(type="item_reference", id="x"), "input[0].type"),
    (item(type="function_call", call_id="c", name="n", arguments="["), "input[0].arguments"),
    (item(type="reasoning", summary=[]), "input[0]"),
    (item(type="reasoning", summary=[{"type": "summary_text", "text": "a"}], encrypted_content="redacted:r"),
     "input[0]"),
    (item(type="reasoning", summary=[], encrypted_content="gAAAA"), "input[0].encrypted_content"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "param"), REFUSED)
def test_refused(value: Any, param: str) -> None:
    """What cannot be done is refused by its place."""
    with pytest.raises(InvalidRequest) as caught:
        responses.parse(value)

    assert caught.value.param == param


# ── what others find wrong ────────────────────────────────────────────────────────────────────────────

TALK = [
    {"role": "developer", "content": [{"type": "input_text", "text": "a"}]},
    {"role": "system", "content": "b"},
    {"role": "user", "content": [{"type": "input_text", "text": ""}, {"type": "input_text", "text": "c"}]},
    {"role": "user", "content": "d"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "e"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "f"}]},
    {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": PNG}]},
]
PLACES = {
    "system": "instructions",
    "system[0]": "instructions",
    "system[1]": "input[0].content[0]",
    "system[2]": "input[1].content",
    "system[3]": "system[3]",
    "messages": "input",
    "messages[0].role": "input[2].role",
    "messages[0].content": "input[2].content",
    "messages[0].content[0]": "input[2].content[1]",
    "messages[0].content[1]": "input[3].content",
    "messages[1].content[0]": "input[4]",
    "messages[1].content[1]": "input[5].content[0]",
    "messages[1].content[2]": "input[6]",
    "messages[2].content[0]": "input[7]",
    "max_tokens": "max_output_tokens",
    "reasoning": "reasoning.effort",
    "response_format": "text.format",
    "tools[0].strict": "tools[0].strict",
    "latency": "X-Amzn-Bedrock-PerformanceConfig-Latency",
    "service_tier": "X-Amzn-Bedrock-Service-Tier",
}


@pytest.mark.parametrize("param", PLACES)
def test_places(param: str) -> None:
    """What is found wrong behind the dialect is told where the caller wrote it, in the message too."""
    fault = InvalidRequest(f"{param}: is not taken.", param=param)

    name_field(fault, {"instructions": "s", "input": TALK})

    assert (fault.param, fault.message) == (PLACES[param], f"{PLACES[param]}: is not taken.")


@pytest.mark.parametrize(
    ("param", "value", "name"),
    [
        ("messages[0].role", {"input": "hi"}, "input"),
        ("messages[0].content[0]", {"input": "hi"}, "input"),
        ("service_tier", {"input": "hi", "service_tier": "flex"}, "service_tier"),
        (None, {}, None),
    ],
)
def test_names(param: str | None, value: dict[str, Any], name: str | None) -> None:
    """The short form of a message has no places in it; words that do not begin with the field stay."""
    fault = InvalidRequest("Not so.", param=param)
    name_field(fault, value)

    assert (fault.param, fault.message) == (name, "Not so.")


PLAIN_FIELDS = {
    "model": st.sampled_from(["m", "", 5]),
    "input": st.sampled_from(
        [
            *("hi", "", [], 5, None),
            [{"role": "user", "content": "a"}],
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}],
            [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
            [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}],
            [{"role": "user", "content": [{"type": "input_text", "text": "b"}]}],
            [{"role": "user"}],
        ]
    ),
    "instructions": st.sampled_from([None, "", "be brief", 5]),
    "max_output_tokens": st.sampled_from([None, 0, 1, 10**8, 1.5, True]),
    "temperature": st.sampled_from([None, 0.5, -1.0, 1, "x"]),
    "top_p": st.sampled_from([None, 0.5, 1.5, 1]),
    "stream": st.sampled_from([None, True, False, 1, "x"]),
    "store": st.sampled_from([None, True, False, 0]),
}


@given(st.fixed_dictionaries({}, optional=PLAIN_FIELDS))
def test_what_is_read_without_a_schema_is_what_the_schema_reads(value: dict[str, Any]) -> None:
    """The short way is only taken where both agree."""
    plain = responses_plain.read(value)
    if plain is not None:
        assert plain.request == responses.of_schema(value)


def test_the_usual_body_is_read_without_a_schema() -> None:
    """The short way is taken at all."""
    assert responses_plain.read(body(stream=True, instructions="s", temperature=0.5)) is not None


def test_texts_of_nothing_are_left_out() -> None:
    """Beside other things, as a tool's result, as an assistant's turn; a user who says nothing says so."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,eA=="}
    nothing = {"type": "input_text", "text": ""}
    items = [
        {"role": "user", "content": [nothing, image]},
        {"role": "assistant", "content": ""},
        {"type": "function_call_output", "call_id": "c", "output": ""},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": ""},
    ]

    first, second, third = responses.parse({"model": "m", "input": items}).request.messages

    assert first.content == (ImagePart("png", b"x"), ToolResultPart("c", ()))
    assert (second.content, third.content) == ((TextPart("x"),), (TextPart(""),))


def test_the_default_model() -> None:
    """A body without a model means the default one."""
    assert responses.parse({"input": "hi"}, default_model="d").request.model == "d"


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────

ECHO = responses.parse(body(instructions="be brief", temperature=0.5)).echo
TEXT = st.text(min_size=1, max_size=4)
SPOKEN = st.one_of(
    st.builds(TextDelta, TEXT),
    st.builds(lambda text: ReasoningDelta(text=text), TEXT),
    st.builds(lambda text: ReasoningDelta(signature=text), TEXT),
    st.builds(lambda text: ReasoningDelta(redacted=text), TEXT),
    st.builds(Citation, st.dictionaries(st.just("title"), TEXT, min_size=1)),
    st.just(None),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Draw what a model may say: a call's arguments come behind its beginning, some at the very end."""
    events: list[Event] = []
    late: list[Event] = []
    calls = 0
    for said in draw(st.lists(SPOKEN, max_size=12)):
        if said is not None:
            events.append(said)
            continue
        events.append(ToolCall(calls, f"t{calls}", "weather"))
        arguments = ToolCallDelta(calls, '{"a":1}')
        (events if draw(st.booleans()) else late).append(arguments)
        calls += 1
    return events + late


def ended(reason: FinishReason = FinishReason.STOP, usage: Usage = Usage(9, 4, 2, 1)) -> Ended:  # noqa: B008
    """Return the end of an answer."""
    return Ended(Stop(reason, "its own word"), usage, dict, None)


def sent(data: bytes) -> list[dict[str, Any]]:
    """Return the records of a stream of server-sent events, each named by its type."""
    records = []
    for block in data.decode().split("\n\n")[:-1]:
        event, line = block.split("\n")
        record = json.loads(line.removeprefix("data: "))
        assert event == f"event: {record['type']}"
        records.append(record)
    return records


@given(answers(), st.sampled_from(FinishReason), st.data())
def test_the_stream_folds_to_the_answer(
    events: list[Event], reason: FinishReason, data: st.DataObject
) -> None:
    """Its events are numbered and in a legal order, and make the response that does not stream."""
    encoder = ResponsesStream(AT, ECHO)
    cut = data.draw(st.integers(0, len(events)))
    records = sent(
        encoder.start(BEGUN)
        + encoder.events(events[:cut])
        + encoder.events(events[cut:])
        + encoder.done(ended(reason))
    )

    assert [record["sequence_number"] for record in records] == list(range(len(records)))
    assert [record["type"] for record in records[:2]] == ["response.created", "response.in_progress"]
    last = records[-1]["response"]
    assert records[-1]["type"] == f"response.{last['status']}"
    assert last == responses_objects.whole(BEGUN, fold(events), ended(reason), AT, ECHO)
    if last["output"] and last["output"][-1]["type"] == "message":
        assert last["output"][-1]["status"] == last["status"]
    check_items(records[2:-1], last["output"])


def check_items(records: list[dict[str, Any]], output: list[dict[str, Any]]) -> None:
    """Hold the events of every item to what the item is at its end."""
    added = [record for record in records if record["type"] == "response.output_item.added"]
    done = {
        record["output_index"]: record["item"]
        for record in records
        if record["type"] == "response.output_item.done"
    }
    assert [record["output_index"] for record in added] == list(range(len(output)))
    assert [done[place] for place in range(len(output))] == output
    pieces: dict[str, str] = {}
    for record in records:
        if record["type"].endswith(".delta"):
            pieces[record["item_id"]] = pieces.get(record["item_id"], "") + record["delta"]
    for item in output:
        said = pieces.get(item["id"], "")
        match item["type"]:
            case "message":
                assert item["content"][0]["text"] == said
            case "reasoning":
                assert "".join(part["text"] for part in item["summary"]) == said
            case _:
                assert item["arguments"] == said


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        (FinishReason.STOP, "completed", None),
        (FinishReason.TOOL_CALLS, "completed", None),
        (FinishReason.LENGTH, "incomplete", {"reason": "max_output_tokens"}),
        (FinishReason.CONTENT_FILTER, "incomplete", {"reason": "content_filter"}),
        (FinishReason.REFUSAL, "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_it_ended(reason: FinishReason, status: str, details: Any) -> None:
    """What is not complete says so, and its last event too."""
    encoder = ResponsesStream(AT, ECHO)
    encoder.start(BEGUN)
    record = sent(encoder.done(ended(reason)))[-1]

    assert record["type"] == f"response.{status}"
    assert (record["response"]["status"], record["response"]["incomplete_details"]) == (status, details)


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (Usage(9, 4, 2, 1), (12, 2, 1, 4, 16)),
        (Usage(9, 4), (9, None, None, 4, 13)),
        (Usage(9), None),
        (Usage(), None),
    ],
)
def test_usage(tokens: Usage, told: tuple[Any, ...] | None) -> None:
    """Cached tokens are input, and told apart; what Bedrock has not told is not made up."""
    found = responses_objects.usage(tokens)
    flat = found and (
        found["input_tokens"],
        found["input_tokens_details"]["cached_tokens"],
        found["input_tokens_details"]["cache_write_tokens"],
        found["output_tokens"],
        found["total_tokens"],
    )

    assert flat == told


def test_calls_by_turns() -> None:
    """A call ends when its arguments are whole: nothing of it comes behind its end."""
    stream = ResponsesStream(AT, responses_objects.Echo({}))
    stream.start(BEGUN)
    turns: list[Event] = [
        ToolCall(0, "a", "f"),
        ToolCallDelta(0, "{"),
        ToolCall(1, "b", "g"),
        ToolCallDelta(1, "{}"),
    ]
    early = stream.events([*turns, ToolCallDelta(0, "}")])
    end = stream.done(Ended(Stop(FinishReason.TOOL_CALLS, "tool_use"), Usage(), dict, None))

    assert b"arguments.done" not in early
    assert end.count(b"event: response.function_call_arguments.done") == 2
    assert end.count(b'"arguments":"{}"') == 2 * 3  # its end, the item, the response


def test_a_failure_is_the_last_event_and_nothing_looks_whole() -> None:
    """The SDKs raise where an event has an `error`."""
    encoder = ResponsesStream(AT, ECHO)
    data = encoder.start(BEGUN) + encoder.events([TextDelta("Hel")])
    data += encoder.error(UpstreamThrottled("Too fast."), Usage(), request_id="req_1")
    records = sent(data)

    assert records[-1]["type"] == "error"
    assert records[-1]["error"]["code"] == "rate_limit_exceeded"
    assert (records[-1]["message"], records[-1]["error"]["request_id"]) == ("Too fast.", "req_1")
    assert not any(record["type"] in {"response.completed", "response.incomplete"} for record in records)


@given(answers())
def test_what_an_answer_says_can_be_said_again(events: list[Event]) -> None:
    """Answer → input → domain: reasoning with its signature, calls and text are what they were."""
    folded = fold(events)
    output = responses_objects.whole(BEGUN, folded, ended(), AT, ECHO)["output"]
    request = responses.parse({"model": "m", "input": [{"role": "user", "content": "hi"}, *output]}).request

    parts = request.messages[1].content if len(request.messages) > 1 else ()
    assert [part for part in parts if isinstance(part, ReasoningPart)] == folded.reasoning
    assert "".join(part.text for part in parts if isinstance(part, TextPart)) == folded.text
    calls = [(part.id, part.arguments) for part in parts if isinstance(part, ToolUsePart)]
    assert calls == [(call.id, json.loads(call.arguments)) for call in folded.tool_calls]
