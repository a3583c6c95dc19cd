"""Guardrails: by themselves, in Converse and on InvokeModel, what they block and mask, and their traces."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator import EmulatorSettings
from gateway.emulator.directives import defaults
from gateway.emulator.errors import BedrockError
from gateway.emulator.operations import Account, Asked, reply_to
from tests.emulator.asking import CLAUDE, NOVA, TITAN, claude, converse, converse_stream, native

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

MAIL = "ann@example.com"
GUARD = {"guardrailIdentifier": "emulated", "guardrailVersion": "DRAFT", "trace": "enabled"}
GUARDED = {"guardrailIdentifier": "emulated", "guardrailVersion": "1", "trace": "ENABLED"}


def text_of(events: list[dict[str, Any]]) -> str:
    """Return the text of a stream of Converse."""
    deltas = (event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event)
    return "".join(delta.get("text", "") for delta in deltas)


# ── Converse ──────────────────────────────────────────────────────────────────────────────────────────


async def test_converse_masks_the_answer(client: Any) -> None:
    """The address is masked in the text, and only the trace has it, whole and streamed."""
    body = converse(f"Write to {MAIL}, 1234567890 [[emulator deltas=40]]", guardrailConfig=GUARD)
    whole = await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **body))
    events = await asyncio.to_thread(converse_stream, client, CLAUDE, body)

    text = whole["output"]["message"]["content"][0]["text"]
    stop = next(event["messageStop"]["stopReason"] for event in events if "messageStop" in event)
    trace, streamed = whole["trace"]["guardrail"], events[-1]["metadata"]["trace"]["guardrail"]
    found = trace["outputAssessments"]["emulated"][0]["sensitiveInformationPolicy"]
    assert "{EMAIL}, {Account Number}" in text
    assert MAIL not in text
    assert text_of(events) == text
    assert whole["stopReason"] == stop == "guardrail_intervened"
    assert MAIL in trace["modelOutput"][0]
    assert MAIL in streamed["modelOutput"][0]
    assert trace["actionReason"] == streamed["actionReason"] == "No action.\nGuardrail masked."
    assert [one["match"] for one in found["piiEntities"] + found["regexes"]] == [MAIL, "1234567890"]


async def test_converse_blocks_the_prompt(client: Any) -> None:
    """A blocked word ends it before the model: nothing is charged, and the message stands for the answer."""
    body = converse("Say something Forbidden", guardrailConfig={**GUARD, "trace": "enabled_full"})
    whole = await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **body))

    assert whole["output"]["message"]["content"] == [{"text": "Input blocked"}]
    assert (whole["stopReason"], whole["usage"]["totalTokens"]) == ("guardrail_intervened", 0)
    trace = whole["trace"]["guardrail"]
    assert trace["actionReason"] == "Guardrail blocked."
    assert trace["inputAssessment"]["emulated"]["wordPolicy"]["customWords"] == [
        {"match": "Forbidden", "action": "BLOCKED", "detected": True}
    ]
    assert "modelOutput" not in trace


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("sync", "Output blocked"), ("async", "This answer comesOutput blocked")],
)
async def test_converse_blocks_the_answer(client: Any, mode: str, expected: str) -> None:
    """At once, or in the middle of it where the caller would not wait."""
    config = {**GUARD, "streamProcessingMode": mode}
    body = converse("[[emulator deltas=6 guardrail=output]]", guardrailConfig=config)

    events = await asyncio.to_thread(converse_stream, client, CLAUDE, body)

    assert text_of(events) == expected
    trace = events[-1]["metadata"]["trace"]["guardrail"]
    assert trace["modelOutput"] == ["This answer comes from the embedded"]


async def test_an_asynchronous_guardrail_does_not_mask(client: Any) -> None:
    """What streams before it is looked at cannot be masked."""
    config = {**GUARD, "streamProcessingMode": "async"}
    events = await asyncio.to_thread(
        converse_stream, client, CLAUDE, converse("[[emulator guardrail=mask]]", guardrailConfig=config)
    )

    assert "emulator" in text_of(events)
    assert [event["messageStop"]["stopReason"] for event in events if "messageStop" in event] == ["end_turn"]


async def test_a_guardrail_without_a_finding_is_quiet(client: Any) -> None:
    """It looked, and says so; the answer is the model's own. Without a trace it says nothing."""
    body = converse("Hello", guardrailConfig={**GUARD, "trace": "enabled_full"})
    whole = await asyncio.to_thread(lambda: client.converse(modelId=CLAUDE, **body))
    silent = {**GUARD, "trace": "disabled"}
    untraced = await asyncio.to_thread(
        lambda: client.converse(
            modelId=CLAUDE, **converse("[[emulator guardrail=mask]]", guardrailConfig=silent)
        )
    )
    events = await asyncio.to_thread(converse_stream, client, CLAUDE, converse("Hi", guardrailConfig=silent))

    trace = whole["trace"]["guardrail"]
    assert whole["stopReason"] == "end_turn"
    assert set(trace) == {"inputAssessment", "outputAssessments"}
    assert trace["inputAssessment"]["emulated"]["wordPolicy"]["customWords"] == [
        {"match": "forbidden", "action": "NONE", "detected": False}
    ]
    assert untraced["stopReason"] == "guardrail_intervened"
    assert "{NAME}" in untraced["output"]["message"]["content"][0]["text"]
    assert "trace" not in untraced
    assert "trace" not in events[-1]["metadata"]


def test_only_what_is_marked_is_looked_at(reply: Ask) -> None:
    """A prompt with guarded content is judged by that alone."""
    guarded = {"guardContent": {"text": {"text": "Fine."}}}
    messages = [{"role": "user", "content": [{"text": "Something forbidden."}, guarded]}]
    body = {"messages": messages, "guardrailConfig": GUARD}

    answer = json.loads(reply("converse", NOVA, body).writes[0].data)

    assert "Output blocked" in answer["output"]["message"]["content"][0]["text"]
    assert "wordPolicy" not in answer["trace"]["guardrail"]["inputAssessment"]["emulated"]


# ── InvokeModel ───────────────────────────────────────────────────────────────────────────────────────


def ask_whole(client: Any, model: str, body: Any, **guard: str) -> dict[str, Any]:
    """Return the JSON of InvokeModel with a guardrail."""
    with client.invoke_model(modelId=model, body=json.dumps(body), **guard)["body"] as answer:
        parsed: dict[str, Any] = json.loads(answer.read())
    return parsed


def ask_stream(client: Any, model: str, body: Any, **guard: str) -> list[dict[str, Any]]:
    """Return the chunks of the stream of the same."""
    response = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body), **guard)
    with closing(response["body"]) as events:
        return [json.loads(event["chunk"]["bytes"]) for event in events]


@pytest.mark.parametrize("model", [CLAUDE, NOVA, TITAN])
async def test_invoke_model_masks(client: Any, model: str) -> None:
    """The action is in the answer and on every delta, the trace in the answer and the last chunk."""
    body = native(model, f"Write to {MAIL} [[emulator deltas=40]]")
    whole = await asyncio.to_thread(ask_whole, client, model, body, **GUARDED)
    chunks = await asyncio.to_thread(ask_stream, client, model, body, **GUARDED)

    last = chunks[-1]
    for said in (whole, last):
        trace = said.pop("amazon-bedrock-trace")["guardrail"]
        assert said["amazon-bedrock-guardrailAction"] == "INTERVENED"
        assert MAIL in trace["modelOutput"][0]
        assert trace["outputs"][0]["emulated"]["sensitiveInformationPolicy"]["piiEntities"]
    assert MAIL not in json.dumps([whole, chunks])
    assert "amazon-bedrock-invocationMetrics" in last
    assert sum("amazon-bedrock-guardrailAction" in chunk for chunk in chunks) > 10


async def test_invoke_model_blocks_the_prompt(client: Any) -> None:
    """There are no metrics then: no model was invoked."""
    body = claude("Something forbidden")
    chunks = await asyncio.to_thread(ask_stream, client, CLAUDE, body, **{**GUARDED, "trace": "DISABLED"})

    assert [chunk["delta"]["text"] for chunk in chunks if chunk["type"] == "content_block_delta"] == [
        "Input blocked"
    ]
    assert "amazon-bedrock-invocationMetrics" not in chunks[-1]
    assert "amazon-bedrock-trace" not in chunks[-1]
    assert chunks[-1]["amazon-bedrock-guardrailAction"] == "INTERVENED"


async def test_the_body_can_say_how(client: Any) -> None:
    """Its config chooses what is looked at, and when."""
    tag = "amazon-bedrock-guardrails-guardContent_x"
    config = {"tagSuffix": "x", "streamProcessingMode": "ASYNCHRONOUS"}
    said = f"forbidden <{tag}>fine</{tag}> [[emulator guardrail=output deltas=6]]"
    body = {**claude(said), "amazon-bedrock-guardrailConfig": config}

    chunks = await asyncio.to_thread(ask_stream, client, CLAUDE, body, **GUARDED)

    texts = [chunk["delta"]["text"] for chunk in chunks if chunk["type"] == "content_block_delta"]
    assert texts == ["This", " answer", " comes", "Output blocked"]


def test_a_string_among_the_chunks_stays_as_it_is() -> None:
    """Writer's end is no object to put an action into."""
    options = tuple(sorted((f"x-amzn-bedrock-{name.lower()}", value) for name, value in GUARDED.items()))
    account = Account(usual=defaults(EmulatorSettings()), guardrails=EmulatorSettings().guardrails)
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
    asked = Asked("invoke-with-response-stream", "us.writer.palmyra-x5-v1:0", b"{}", options)

    assert reply_to(asked, body, account).streamed


# ── by itself ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "text", "action", "outputs", "reason"),
    [
        ("INPUT", "Hello", "NONE", [], "No action."),
        ("INPUT", "forbidden", "GUARDRAIL_INTERVENED", ["Input blocked"], "Guardrail blocked."),
        ("OUTPUT", "FORBIDDEN", "GUARDRAIL_INTERVENED", ["Output blocked"], "Guardrail blocked."),
        ("OUTPUT", f"To {MAIL}", "GUARDRAIL_INTERVENED", ["To {EMAIL}"], "No action.\nGuardrail masked."),
        (
            "OUTPUT",
            "emulator [[emulator guardrail=mask]]",
            "GUARDRAIL_INTERVENED",
            ["{NAME}"],
            "No action.\nGuardrail masked.",
        ),
    ],
)
async def test_a_guardrail_is_applied(
    client: Any, source: str, text: str, action: str, outputs: list[str], reason: str
) -> None:
    """boto3 reads what it makes of a text."""
    answer = await asyncio.to_thread(
        lambda: client.apply_guardrail(
            guardrailIdentifier="arn:aws:bedrock:us-east-1:123456789012:guardrail/emulated",
            guardrailVersion="1",
            source=source,
            content=[{"text": {"text": text}}],
            outputScope="FULL",
        )
    )

    assert (answer["action"], answer["actionReason"]) == (action, reason)
    assert [output["text"] for output in answer["outputs"]] == outputs
    assert answer["usage"]["wordPolicyUnits"] == 1
    assert len(answer["assessments"]) == 1


@pytest.mark.parametrize(("identifier", "version"), [("nobody", "1"), ("emulated", "7")])
async def test_a_guardrail_must_exist(client: Any, identifier: str, version: str) -> None:
    """In the version that is asked for."""
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="does not exist"):
        await asyncio.to_thread(
            lambda: client.apply_guardrail(
                guardrailIdentifier=identifier,
                guardrailVersion=version,
                source="INPUT",
                content=[{"text": {"text": "Hi"}}],
            )
        )


async def test_apply_guardrail_can_fail(client: Any) -> None:
    """By a directive, as everything else."""
    with pytest.raises(client.exceptions.ThrottlingException):
        await asyncio.to_thread(
            lambda: client.apply_guardrail(
                guardrailIdentifier="emulated",
                guardrailVersion="1",
                source="INPUT",
                content=[{"text": {"text": "[[emulator error=ThrottlingException]]"}}],
            )
        )


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("invoke", {**claude(), "amazon-bedrock-guardrailConfig": {}}, "must both be provided"),
        ("converse", converse(guardrailConfig={**GUARD, "guardrailVersion": "9"}), "does not exist"),
        ("converse", converse("[[emulator guardrail=mask]]"), "needs a request with a guardrail"),
    ],
)
def test_what_has_no_guardrail_is_refused(reply: Ask, operation: str, body: Any, message: str) -> None:
    """A config without a guardrail, a guardrail that is none, an order to none."""
    with pytest.raises(BedrockError, match=message):
        reply(operation, CLAUDE, body)


@pytest.mark.parametrize(
    ("trace", "config"), [("SOMETIMES", {}), ("ENABLED", {"streamProcessingMode": "sync"})]
)
def test_options_of_a_guardrail_are_checked(trace: str, config: dict[str, str]) -> None:
    """Words that AWS does not know are no options."""
    guard = {**GUARDED, "trace": trace}
    options = tuple((f"x-amzn-bedrock-{name.lower()}", value) for name, value in guard.items())
    body = {**claude(), "amazon-bedrock-guardrailConfig": config}
    account = Account(usual=defaults(EmulatorSettings()), guardrails=EmulatorSettings().guardrails)

    with pytest.raises(BedrockError, match="has a value that is not valid"):
        reply_to(Asked("invoke", CLAUDE, b"{}", options), body, account)
