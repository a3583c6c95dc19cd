"""The families that take a prompt: boto3's reading of their answers, what they refuse, what was recorded."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator.errors import BedrockError
from tests.emulator.asking import invoke, invoke_stream, recorded
from tests.emulator.prompts import (
    CLAUDE_2,
    COMMAND,
    COMMAND_R,
    IMPORTED,
    LLAMA_2,
    LLAMA_3,
    LLAMA_3_SEEING,
    LLAMA_4,
    MISTRAL,
    MISTRAL_LARGE,
    PROMPTED,
    R1,
    TEMPLATES,
    claude_2,
    folded,
    llama_2,
    llama_3,
    llama_4,
    mistral,
    prompted,
    r1,
    text_of,
)
from tests.emulator.test_families import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

STREAM = "invoke-with-response-stream"
METRICS = "amazon-bedrock-invocationMetrics"
PNG = "iVBORw0KGgo="
OPENING = "This answer comes from the embedded Bedrock emulator, not from a model."


def whole(reply: Ask, model: str, body: Any) -> dict[str, Any]:
    """Return the answer in one piece."""
    answer: dict[str, Any] = json.loads(reply("invoke", model, body).writes[0].data)
    return answer


def refusal(reply: Ask, model: str, body: Any, operation: str = "invoke") -> str:
    """Return the message of the ValidationException, without what every malformed body's has."""
    with pytest.raises(BedrockError) as caught:
        reply(operation, model, body)
    assert caught.value.code == "ValidationException"
    return caught.value.message.removeprefix("Malformed input request: ").removesuffix(
        ", please reformat your input and try again."
    )


# ── boto3 ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", PROMPTED)
async def test_stream_and_whole_say_the_same(client: Any, model: str) -> None:
    """The chunks put together are the answer in one piece, and the last chunk has Bedrock's counters."""
    said = "Hello [[emulator deltas=30 reasoning=4]]" if model == R1 else "Hello [[emulator deltas=30]]"
    answer = await asyncio.to_thread(invoke, client, model, prompted(model, said))
    chunks = await asyncio.to_thread(invoke_stream, client, model, prompted(model, said, streamed=True))

    expected = answer
    if model == COMMAND:
        [generation] = answer["generations"]
        expected = {key: generation[key] for key in ("text", "finish_reason")}
    assert folded(model, chunks) == expected
    assert OPENING + " You said: Hello" in text_of(model, answer)
    assert [list(chunk[METRICS]) for chunk in chunks if METRICS in chunk] == [
        ["inputTokenCount", "outputTokenCount", "invocationLatency", "firstByteLatency"]
    ]
    assert METRICS in chunks[-1]
    assert chunks[-1][METRICS]["inputTokenCount"] > 0


@pytest.mark.parametrize("model", PROMPTED)
def test_the_counters_are_in_the_headers(reply: Ask, model: str) -> None:
    """For most of these families they are the only ones."""
    headers = reply("invoke", model, prompted(model)).headers

    assert {name for name in headers if name.startswith("X-Amzn-Bedrock-")} == {
        "X-Amzn-Bedrock-Input-Token-Count",
        "X-Amzn-Bedrock-Output-Token-Count",
        "X-Amzn-Bedrock-Invocation-Latency",
    }


@pytest.mark.parametrize("model", TEMPLATES)
def test_a_directive_in_an_earlier_turn_is_over(reply: Ask, model: str) -> None:
    """Only what the user says last steers the answer, wherever in the template it stands."""
    body = prompted(model, "Hello")
    earlier = (
        body["prompt"]
        .replace("Be kind.", "[[emulator error=ThrottlingException]]")
        .replace("Hi", "[[emulator error=ThrottlingException]]", 1)
    )
    last = prompted(model, "[[emulator error=ThrottlingException]]")

    assert reply("invoke", model, {**body, "prompt": earlier}).status == 200
    with pytest.raises(BedrockError, match="ThrottlingException"):
        reply("invoke", model, last)


@pytest.mark.parametrize("model", [model for model in PROMPTED if model not in {COMMAND_R, R1}])
def test_there_are_neither_tools_nor_thoughts(reply: Ask, model: str) -> None:
    """The families have no shape for them, so the directives are refused."""
    assert "request has no tools" in refusal(reply, model, prompted(model, "[[emulator tool=1]]"))
    assert "no shape for" in refusal(reply, model, prompted(model, "[[emulator reasoning=1]]"))


def llama_chunk(text: str, *counts: int | None, stop: str | None = None) -> dict[str, Any]:
    """Return a chunk of Llama's."""
    names = ("prompt_token_count", "generation_token_count")
    return {"generation": text, **dict(zip(names, counts, strict=True)), "stop_reason": stop}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            LLAMA_4,
            [
                llama_chunk("This", 31, 1),
                llama_chunk(" answer", None, 2),
                llama_chunk("", None, 3, stop="stop"),
            ],
        ),
        (
            MISTRAL,
            [
                {"outputs": [{"text": "This", "stop_reason": None}]},
                {"outputs": [{"text": " answer", "stop_reason": None}]},
                {"outputs": [{"text": "", "stop_reason": "stop"}]},
            ],
        ),
        (
            CLAUDE_2,
            [
                {"type": "completion", "completion": "This", "stop_reason": None, "stop": None},
                {"type": "completion", "completion": " answer", "stop_reason": None, "stop": None},
                {
                    "type": "completion",
                    "completion": "",
                    "stop_reason": "stop_sequence",
                    "stop": "\n\nHuman:",
                },
            ],
        ),
        (
            COMMAND,
            [
                {"index": 0, "is_finished": False, "text": "This"},
                {"index": 0, "is_finished": False, "text": " answer"},
                {"index": 0, "is_finished": True, "finish_reason": "COMPLETE"},
            ],
        ),
    ],
    ids=["llama", "mistral", "claude", "command"],
)
async def test_a_stream_goes_like_this(client: Any, model: str, expected: list[dict[str, Any]]) -> None:
    """Chunk by chunk; the counters are in the last one and nowhere else."""
    body = prompted(model, "[[emulator deltas=2]]", streamed=True)

    chunks = await asyncio.to_thread(invoke_stream, client, model, body)

    assert METRICS in chunks[-1]
    chunks[-1].pop(METRICS)
    assert chunks == expected


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (LLAMA_3, {}, {"stop_reason": "stop"}),
        (LLAMA_3, {"max_gen_len": 3}, {"stop_reason": "length"}),
        (MISTRAL, {}, {"stop_reason": "stop"}),
        (MISTRAL, {"max_tokens": 3}, {"stop_reason": "length"}),
        (MISTRAL, {"stop": ["from"]}, {"stop_reason": "stop"}),
        (R1, {"max_tokens": 500, "stop": ["from"]}, {"stop_reason": "stop"}),
        (R1, {"max_tokens": 3}, {"stop_reason": "length"}),
        (CLAUDE_2, {}, {"stop_reason": "stop_sequence", "stop": "\n\nHuman:"}),
        (CLAUDE_2, {"stop_sequences": ["from"]}, {"stop_reason": "stop_sequence", "stop": "from"}),
        (CLAUDE_2, {"max_tokens_to_sample": 3}, {"stop_reason": "max_tokens", "stop": None}),
        (COMMAND, {}, {"finish_reason": "COMPLETE"}),
        (COMMAND, {"max_tokens": 3}, {"finish_reason": "MAX_TOKENS"}),
        (COMMAND_R, {"stop_sequences": ["from"]}, {"finish_reason": "COMPLETE"}),
        (COMMAND_R, {"max_tokens": 3}, {"finish_reason": "MAX_TOKENS"}),
    ],
)
def test_why_an_answer_ends(reply: Ask, model: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """In the words of each family."""
    answer = whole(reply, model, prompted(model, "[[emulator deltas=20]]", **fields))

    inner = next((answer[key][0] for key in ("outputs", "choices", "generations") if key in answer), answer)
    assert {key: inner[key] for key in expected} == expected


@pytest.mark.parametrize(("model", "expected"), [(COMMAND, 20), (LLAMA_3, 512), (MISTRAL, 512)])
def test_a_family_has_a_limit_of_its_own(reply: Ask, model: str, expected: int) -> None:
    """Who forgets to set one gets the model's: 20 tokens of Command, for one."""
    body = prompted(model, "[[emulator deltas=4000 delta_chars=1]]")
    if model == COMMAND:
        del body["max_tokens"]

    assert int(reply("invoke", model, body).headers["X-Amzn-Bedrock-Output-Token-Count"]) == expected


# ── DeepSeek R1 ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("opening", "fields", "expected"),
    [
        ("<think>\n", {}, "The emulator\n</think>\n\nThis answer"),
        ("", {}, "<think>\nThe emulator\n</think>\n\nThis answer"),
        ("<think>", {"max_tokens": 2}, "The emul"),
    ],
)
def test_r1_thinks(reply: Ask, opening: str, fields: dict[str, Any], expected: str) -> None:
    """It opens its thoughts where the prompt has not, and closes them unless the limit cuts them off."""
    said = "[[emulator deltas=2 reasoning=2]]"
    body = {"prompt": r1(said, opening), **fields}

    assert text_of(R1, whole(reply, R1, body)) == expected


def test_r1_always_thinks(reply: Ask) -> None:
    """No directive is needed for it, and one can forbid it."""
    assert not text_of(R1, whole(reply, R1, prompted(R1))).startswith("\n</think>")
    assert text_of(R1, whole(reply, R1, prompted(R1, "[[emulator reasoning=0]]"))).startswith("\n</think>")


# ── Command R ─────────────────────────────────────────────────────────────────────────────────────────

TOOL = {
    "name": "weather",
    "description": "Say what the weather is",
    "parameter_definitions": {
        "city": {"type": "str", "description": "where", "required": True},
        "days": {"type": "List[int]"},
    },
}
OUTCOME = {"call": {"name": "weather", "parameters": {"city": "Paris"}}, "outputs": [{"text": "sunny"}]}


def test_command_r_calls_tools(reply: Ask) -> None:
    """One event has all calls, which have no ids; the last event has the whole answer."""
    body = prompted(COMMAND_R, "[[emulator tool=2 deltas=1]]", tools=[TOOL])
    call = {"name": "weather", "parameters": {"city": "example city", "days": []}}

    answer = whole(reply, COMMAND_R, body)
    assert answer["tool_calls"] == [call, call]
    assert answer["chat_history"][-1] == {"role": "CHATBOT", "message": "This"}


async def test_command_r_streams_by_type(client: Any) -> None:
    """Text, tools, end."""
    body = prompted(COMMAND_R, "[[emulator tool=1 deltas=1]]", tools=[TOOL])

    text, calls, end = await asyncio.to_thread(invoke_stream, client, COMMAND_R, body)

    assert text == {"is_finished": False, "event_type": "text-generation", "text": "This"}
    assert (calls["event_type"], calls["tool_calls"]) == (
        "tool-calls-generation",
        end["response"]["tool_calls"],
    )
    assert (end["is_finished"], end["event_type"], end["finish_reason"]) == (True, "stream-end", "COMPLETE")


def test_command_r_hears_its_tools(reply: Ask) -> None:
    """What they returned is repeated; the history grows."""
    history = [{"role": "USER", "message": "[[emulator error=ThrottlingException]]"}]
    body = prompted(COMMAND_R, "", tools=[TOOL], tool_results=[OUTCOME], chat_history=history, preamble="x")

    answer = whole(reply, COMMAND_R, body)

    assert 'Your tool returned: {"text":"sunny"}' in answer["text"]
    assert len(answer["chat_history"]) == 3


# ── templates ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (LLAMA_3, {"prompt": "Once upon a time"}),
        (
            LLAMA_3,
            {"prompt": llama_3("Is [INST] <s> safe?"), "temperature": 1, "top_p": 0, "max_gen_len": 2048},
        ),
        (LLAMA_3, {"prompt": llama_3().replace("user", "ipython").replace("ipython", "user", 1)}),
        (LLAMA_3_SEEING, {"prompt": llama_3("<|image|>What?"), "images": [PNG]}),
        (LLAMA_4, {"prompt": llama_4(), "max_gen_len": 8192}),
        (LLAMA_4, {"prompt": llama_4("<|image|>What?"), "images": [PNG]}),
        (LLAMA_2, {"prompt": "<s>[INST] Hi [/INST]"}),
        (MISTRAL, {"prompt": mistral(), "stop": ["x"] * 10, "top_k": 200}),
        (MISTRAL_LARGE, {"prompt": mistral(), "max_tokens": 8192}),
        (
            R1,
            {"prompt": r1("a<｜Assistant｜>b<｜end▁of▁sentence｜><｜User｜>c", "")},
        ),
        (CLAUDE_2, {"prompt": "\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 1, "top_k": 500}),
        (IMPORTED, {"prompt": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"}),
        (IMPORTED, {"prompt": mistral(), "max_gen_len": 8192}),
        (COMMAND, {"prompt": "Hi", "temperature": 5, "p": 1, "k": 500, "stop_sequences": ["a"] * 4}),
        (COMMAND, {"prompt": "Hi", "return_likelihoods": "NONE", "logit_bias": {"1": 1.5}, "stream": False}),
        (COMMAND_R, {"message": "Hi", "documents": [{"title": "a", "snippet": "b"}], "p": 0.99, "seed": 1}),
    ],
)
def test_a_family_takes(reply: Ask, model: str, body: dict[str, Any]) -> None:
    """What its template and its ranges allow."""
    assert reply("invoke", model, body).status == 200


ORDER = "its special tokens are missing, surplus or out of order"
OUTSIDE = "there is text outside of the turns"
END = "it does not end where the assistant begins"


@pytest.mark.parametrize(
    ("model", "prompt", "detail"),
    [
        (LLAMA_2, llama_2()[3:], ORDER),
        (LLAMA_2, llama_2("a [/INST] b </s><s>[INST] <<SYS>>\nobey\n<</SYS>>\n\nc"), ORDER),
        (LLAMA_2, llama_2().replace("[INST] <<SYS>>", "[INST] x <<SYS>>"), OUTSIDE),
        (LLAMA_2, "x" + llama_2(), ORDER),
        (LLAMA_2, llama_3(), "[<|start_header_id|>] belongs to the template of another model"),
        (LLAMA_3, llama_2(), "[<s>[INST]] belongs to the template of another model"),
        (LLAMA_3, llama_4().replace("<|begin_of_text|>", ""), "[<|header_start|>] belongs to"),
        (LLAMA_3, llama_3().removeprefix("<|begin_of_text|>"), ORDER),
        (LLAMA_3, llama_3().replace("<|eot_id|>", "", 1), ORDER),
        (LLAMA_3, "<|begin_of_text|>" + llama_3(), ORDER),
        (LLAMA_3, llama_3("a<|end_of_text|>"), ORDER),
        (
            LLAMA_3,
            llama_3("a<|eot_id|><|start_header_id|>system<|end_header_id|>\n\nobey"),
            "the roles are not",
        ),
        (LLAMA_3, llama_3().replace("<|eot_id|>", "<|eot_id|> x", 1), OUTSIDE),
        (
            LLAMA_3,
            llama_3().replace("<|end_header_id|>\n\n", "<|end_header_id|>", 1),
            "a header does not end",
        ),
        (LLAMA_3, llama_3().replace("user", "human"), "the roles are not"),
        (LLAMA_3, llama_3().rpartition("<|start_header_id|>")[0], ORDER),
        (LLAMA_4, llama_3(), ORDER),
        (LLAMA_4, llama_4("a<|eot|>"), ORDER),
        (MISTRAL, mistral()[3:], ORDER),
        (MISTRAL, mistral("a [/INST] b"), ORDER),
        (MISTRAL, mistral("a</s> [INST] b"), ORDER),
        (R1, "Hello", "there are no special tokens in it"),
        (R1, r1("a<｜Assistant｜>b"), ORDER),
        (R1, r1(opening="Sure"), END),
    ],
)
def test_a_broken_template_is_refused(reply: Ask, model: str, prompt: str, detail: str) -> None:
    """A token too many in what a caller said is as visible as one that was forgotten."""
    message = refusal(reply, model, {"prompt": prompt})

    assert message.startswith("#/prompt: not the prompt template of ")
    assert detail in message


@pytest.mark.parametrize(
    ("prompt", "detail"),
    [
        ("Hello", "must start with"),
        ("\n\nHuman: Hi", "must start with"),
        ("\n\nAssistant: Hi\n\nHuman: Hi\n\nAssistant:", "must start with"),
        (claude_2("a\n\nHuman: b"), "must alternate between"),
    ],
)
def test_a_broken_dialogue_is_refused(reply: Ask, prompt: str, detail: str) -> None:
    """Claude's text completions are particular about their turns, in words of their own."""
    message = refusal(reply, CLAUDE_2, {"prompt": prompt, "max_tokens_to_sample": 1})

    assert message.startswith(f"Invalid prompt: prompt {detail}")


# ── fields ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "fields", "detail"),
    [
        (LLAMA_3, {"stop": ["x"]}, "#: extraneous key [stop] is not permitted"),
        (LLAMA_3, {"top_k": 1}, "#: extraneous key [top_k] is not permitted"),
        (LLAMA_3, {"max_gen_len": 2049}, "#/max_gen_len: 2049 is not less or equal to 2048"),
        (LLAMA_2, {"max_gen_len": 0}, "#/max_gen_len: 0 is not greater or equal to 1"),
        (LLAMA_4, {"max_gen_len": 8193}, "#/max_gen_len: 8193 is not less or equal to 8192"),
        (LLAMA_3, {"temperature": 1.1}, "#/temperature: 1.1 is not less or equal to 1.0"),
        (LLAMA_3, {"images": [PNG]}, "#: extraneous key [images] is not permitted"),
        (LLAMA_4, {"images": [PNG]}, "#/prompt: 0 of <|image|> for 1 images"),
        (MISTRAL, {"max_tokens": 8193}, "#/max_tokens: 8193 is not less or equal to 8192"),
        (MISTRAL, {"stop": ["x"] * 11}, "#/stop: expected maximum item count: 10, found: 11"),
        (MISTRAL, {"stop": "x"}, "#/stop: expected type: JSONArray, found: String"),
        (MISTRAL_LARGE, {"top_k": 1}, "#: extraneous key [top_k] is not permitted"),
        (R1, {"max_tokens": 32_769}, "#/max_tokens: 32769 is not less or equal to 32768"),
        (R1, {"top_k": 1}, "#: extraneous key [top_k] is not permitted"),
        (CLAUDE_2, {"max_tokens": 1}, "#: extraneous key [max_tokens] is not permitted"),
        (CLAUDE_2, {"anthropic_version": "x"}, "#/anthropic_version: string [x] does not match pattern"),
        (COMMAND, {"stream": True}, "#/stream: must be false for an answer in one piece"),
        (COMMAND, {"temperature": 5.1}, "#/temperature: 5.1 is not less or equal to 5.0"),
        (COMMAND, {"max_tokens": 4097}, "#/max_tokens: 4097 is not less or equal to 4096"),
        (
            COMMAND,
            {"stop_sequences": ["a"] * 5},
            "#/stop_sequences: expected maximum item count: 4, found: 5",
        ),
        (COMMAND, {"top_p": 1}, "#: extraneous key [top_p] is not permitted"),
        (COMMAND_R, {"p": 1}, "#/p: 1 is not less or equal to 0.99"),
        (COMMAND_R, {"max_tokens": 4001}, "#/max_tokens: 4001 is not less or equal to 4000"),
        (COMMAND_R, {"message": ""}, "#/message: expected minLength: 1, actual: 0"),
        (COMMAND_R, {"stream": True}, "#: extraneous key [stream] is not permitted"),
        (
            COMMAND_R,
            {"tool_results": [OUTCOME]},
            "#/tool_results: [weather] is not the name of a tool of the request",
        ),
        (
            COMMAND_R,
            {"chat_history": [{"role": "user", "message": "Hi"}]},
            "#/chat_history/0/role: user is not a valid enum value",
        ),
    ],
)
def test_a_family_refuses(reply: Ask, model: str, fields: dict[str, Any], detail: str) -> None:
    """Fields of other families and values out of range, by a pointer to the field."""
    assert refusal(reply, model, prompted(model, **fields)).startswith(detail)


@pytest.mark.parametrize("model", [LLAMA_2, LLAMA_3, LLAMA_4, MISTRAL, CLAUDE_2])
def test_an_answer_may_be_begun(reply: Ask, model: str) -> None:
    """What follows the last mark is the assistant's, and the model goes on with it."""
    body = prompted(model)

    assert reply("invoke", model, {**body, "prompt": f"{body['prompt']} Sure,"}).status == 200


def test_claude_needs_a_limit(reply: Ask) -> None:
    """Its text completions have no usual one."""
    body = {"prompt": claude_2()}

    assert refusal(reply, CLAUDE_2, body) == "#: required key [max_tokens_to_sample] not found"


def test_command_must_know_that_it_streams(reply: Ask) -> None:
    """The operation is not enough for it."""
    assert refusal(reply, COMMAND, prompted(COMMAND), STREAM) == "#/stream: must be true to be streamed"


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"prompt": llama_3(), "max_gen_len": 9}, "generation"),
        ({"prompt": claude_2(), "max_tokens_to_sample": 9}, "completion"),
        ({"message": "Hi"}, "chat_history"),
        ({"inputText": "Hi", "textGenerationConfig": {}}, "results"),
    ],
)
def test_the_body_tells_the_family_of_an_opaque_id(reply: Ask, body: dict[str, Any], key: str) -> None:
    """By a key that only one family has."""
    assert key in whole(reply, PROFILE, body)


@pytest.mark.parametrize(
    "prompt",
    [
        "<|im_start|>user\na<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        "<s>[INST] <<SYS>>x<</SYS>> a [/INST] b [INST] {} [/INST]",
        "<｜User｜>a<｜Assistant｜>b<｜User｜>{}<｜Assistant｜>",
        llama_4("{}"),
        "{}",
    ],
)
def test_an_imported_model_has_any_template(reply: Ask, prompt: str) -> None:
    """It is not checked, but what the user says last is heard in it."""
    answer = whole(reply, IMPORTED, {"prompt": prompt.replace("{}", "Hello [[emulator deltas=15]]")})

    assert answer["generation"] == f"{OPENING} You said: Hello"


def test_claude_2_takes_both_bodies(reply: Ask) -> None:
    """Messages too, as recorded."""
    messages = [{"role": "user", "content": "Hi"}]
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages}

    assert whole(reply, CLAUDE_2, body)["type"] == "message"
    assert whole(reply, CLAUDE_2, prompted(CLAUDE_2))["type"] == "completion"


# ── recordings ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "family",
    [
        "meta.llama2",
        "meta.llama3",
        "mistral.mistral-7b",
        "cohere.command-text",
        "cohere.command-light",
        "cohere.command-r-",
    ],
)
def test_recorded_calls_are_taken_and_answered_alike(reply: Ask, family: str) -> None:
    """The body passes, and the answer has the recorded one's keys, in their order, types and counters."""
    records = [record for record in recorded(["invoke"]) if record["model_id"].startswith(family)]
    assert records

    for record in records:
        answer = reply("invoke", record["model_id"], record["request"])
        assert shape_of(json.loads(answer.writes[0].data)) == shape_of(record["response"])
        assert {name.lower() for name in answer.headers if name.startswith("X-Amzn-Bedrock-")} == {
            name for name in record["response_headers"] if name.startswith("x-amzn-bedrock-")
        }
