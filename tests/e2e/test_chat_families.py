"""Cohere, AI21 and the OpenAI-shaped families by InvokeModel, end to end: the emulator checks every body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Caller, StartGateway, ask, lines, text_of

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

    from gateway.emulator import Emulator

SAYS = "This answer comes from the embedded Bedrock emulator, not from a model."

COMMAND = "cohere.command-text-v14"
COMMAND_R = "cohere.command-r-plus-v1:0"
JURASSIC = "ai21.j2-ultra-v1"
JAMBA = "ai21.jamba-1-5-large-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"
KIMI = "moonshot.kimi-k2-thinking"
PALMYRA = "us.writer.palmyra-x5-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
GEMMA = "google.gemma-3-27b-it"
OTHERS = (GEMMA, "minimax.minimax-m2", "zai.glm-4.7", "deepseek.v3-v1:0", "mistral.ministral-3-8b-instruct")
"""Each ends its streams in a way of its own: usage and metrics together, apart, or merged into the finish."""
FAMILIES = {
    COMMAND: "cohere_command",
    COMMAND_R: "cohere_command_r",
    JURASSIC: "jurassic",
    JAMBA: "jamba",
    MISTRAL: "mistral_chat",
    QWEN: "openai_chat",
    KIMI: "openai_chat",
    PALMYRA: "openai_chat",
    GPT_OSS: "gpt_oss",
    **dict.fromkeys(OTHERS, "openai_chat"),
}
TALKERS = (COMMAND_R, JAMBA, MISTRAL, QWEN, KIMI, PALMYRA, GPT_OSS, *OTHERS)
PIXEL = "data:image/png;base64,iVBORw0KGgo="
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(name="native")
async def _native(emulator: Emulator, start: StartGateway) -> AsyncIterator[Caller]:
    """A caller of a gateway that serves every model by InvokeModel."""
    async with start(emulator, bedrock={"operation": "invoke"}) as caller:
        yield caller


@pytest.mark.parametrize("model", FAMILIES)
async def test_a_conversation_streams_and_folds(model: str, native: Caller, log: io.StringIO) -> None:
    """System text, turns and parameters reach each family; the unary answer says what the stream says."""
    body = ask(model=model, max_tokens=200, temperature=0.5, top_p=0.5, stop=["§§"])
    turns = [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go on"}]
    body["messages"] = [{"role": "system", "content": "Be brief"}, *body["messages"], *turns]

    status, records, _ = await native.stream(body)
    whole_status, answer = await native.complete(body)

    done = records[-1]
    assert (status, whole_status, done["type"], done["finish_reason"]) == (200, 200, "done", "stop")
    assert text_of(records).startswith(SAYS)
    assert answer["message"]["content"] == text_of(records)
    assert (answer["finish_reason"], answer["usage"]) == (done["finish_reason"], done["usage"])
    assert done["usage"]["input_tokens"] > 0
    assert done["usage"]["output_tokens"] > 0
    assert {(line["family"], line["operation"]) for line in lines(log)} == {(FAMILIES[model], "invoke")}


@pytest.mark.parametrize("model", TALKERS)
async def test_a_tool_loop(model: str, native: Caller) -> None:
    """The call streams, folds, and comes back with its result under the id that the gateway gave."""
    body = ask("[[emulator tool=2 deltas=0 reasoning=0]] weather?", model=model, tools=[WEATHER])

    _, records, _ = await native.stream(body)
    _, answer = await native.complete(body)

    begun = [(record["id"], record["name"]) for record in records if record["type"] == "tool_call"]
    calls = answer["message"]["tool_calls"]
    assert records[-1]["finish_reason"] == "tool_calls"
    assert begun == [(call["id"], call["function"]["name"]) for call in calls]
    assert len({call_id for call_id, _ in begun}) == 2
    assert all(set(json.loads(call["function"]["arguments"])) == {"city"} for call in calls)

    results = [{"role": "tool", "tool_call_id": call_id, "content": "rain"} for call_id, _ in begun]
    said = {"role": "assistant", "content": None, "tool_calls": calls}
    question = {"role": "user", "content": "weather?"}
    status, answer = await native.complete({**body, "messages": [question, said, *results]})
    assert (status, answer.get("finish_reason")) == (200, "stop"), answer


async def test_reasoning_between_tags_is_reasoning(native: Caller) -> None:
    """gpt-oss writes it into its text; no tag is left of it, in the stream or the whole."""
    body = ask("[[emulator reasoning=3 deltas=2]] hello", model=GPT_OSS)
    _, records, _ = await native.stream(body)
    _, answer = await native.complete(body)
    reasoned = "".join(record["text"] for record in records if record["type"] == "reasoning_delta")
    assert reasoned
    assert "reasoning>" not in reasoned + text_of(records)
    assert answer["message"]["content"] == text_of(records)
    assert [block["text"] for block in answer["message"]["reasoning"]] == [reasoned]


async def test_kimi_stops_where_it_was_asked_to(native: Caller) -> None:
    """It refuses `stop`, so the gateway cuts the answer itself."""
    body = ask("[[emulator reasoning=0]] hello", model=KIMI, stop=["Bedrock emulator"])
    _, records, _ = await native.stream(body)
    assert text_of(records) == "This answer comes from the embedded "
    assert records[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize(("model", "answer"), [(GEMMA, (200, None)), (QWEN, (400, "messages[0].content[1]"))])
async def test_images_go_to_models_that_see(
    model: str, answer: tuple[int, str | None], native: Caller
) -> None:
    """The catalogue knows who sees; the others' callers are told which part it was."""
    body = ask(model=model)
    body["messages"][0]["content"] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    status, records, _ = await native.stream(body)
    assert (status, records[-1].get("error", {}).get("param")) == answer


@pytest.mark.parametrize("model", [COMMAND, JURASSIC])
async def test_a_completion_model_takes_no_tools(model: str, native: Caller) -> None:
    """It is refused by name before it costs a call."""
    status, records, _ = await native.stream(ask(model=model, tools=[WEATHER]))
    assert (status, records[0]["error"]["param"]) == (400, "tools")
