"""The emulator over sockets, asked by boto3, aiobotocore and plain HTTP: whatever they need, it has."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiobotocore.session
import aiohttp
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError, EventStreamError
from yarl import URL

from gateway.emulator import Call, Emulator, EmulatorSettings
from tests.emulator.asking import (
    CLAUDE,
    FOLDS,
    LLAMA,
    NATIVE,
    NOVA,
    TALKING,
    TITAN,
    TOOL_CONFIG,
    claude,
    claude_with_tool,
    converse,
    converse_stream,
    fold_blocks,
    invoke,
    invoke_stream,
    native,
    sdk,
    titan,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

INVALID_ID = "The provided model identifier is invalid."
OPEN = EmulatorSettings(verify_signatures=False)


@pytest.fixture(name="open_emulator")
async def _open_emulator() -> AsyncIterator[Emulator]:
    async with Emulator(OPEN) as running:
        yield running


@pytest.fixture(name="http")
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def usage_of(answer: dict[str, Any]) -> dict[str, int]:
    """Return what all shapes of usage have in common."""
    return {key: answer["usage"][key] for key in ("inputTokens", "outputTokens")}


# ── boto3: the five operations ────────────────────────────────────────────────────────────────────────

ASKED = {
    "text": "Hello",
    "one word": "Hello [[emulator deltas=1]]",
    "no text": "Hello [[emulator deltas=0]]",
    "short pieces": "Hello [[emulator deltas=50 delta_chars=3]]",
}


@pytest.mark.parametrize("text", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("model", NATIVE)
async def test_invoke_model_says_what_its_stream_says(client: Any, model: str, text: str) -> None:
    """Putting the chunks together gives the unary answer, for each family in its own shapes."""
    whole = await asyncio.to_thread(invoke, client, model, native(model, text))
    chunks = await asyncio.to_thread(invoke_stream, client, model, native(model, text))

    folded = FOLDS[model](chunks)

    if model == NOVA:  # the stream has no total, and cuts the content into blocks of its own
        assert folded["content"] == whole["output"]["message"]["content"]
        assert folded["stopReason"] == whole["stopReason"]
        assert usage_of(folded) == usage_of(whole)
    else:
        assert folded == whole


@pytest.mark.parametrize(
    "body",
    [
        claude_with_tool("Hello [[emulator deltas=3 tool=2 reasoning=4]]"),
        claude_with_tool("Hello", tool_choice={"type": "any"}),
        claude("Hello", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024}),
        claude("Hello", stop_sequences=["Bedrock"]),
        claude("Hello", max_tokens=5),
    ],
    ids=["tools", "forced", "thinking", "stop", "length"],
)
async def test_claude_says_everything_both_ways(client: Any, body: dict[str, Any]) -> None:
    """Reasoning, tool calls and every way to stop are the same in the stream and the whole."""
    whole = await asyncio.to_thread(invoke, client, CLAUDE, body)
    chunks = await asyncio.to_thread(invoke_stream, client, CLAUDE, body)

    assert FOLDS[CLAUDE](chunks) == whole


@pytest.mark.parametrize("text", ["Hello", "Hello [[emulator deltas=2 tool=2 reasoning=3]]"])
@pytest.mark.parametrize("model", TALKING)
async def test_converse_says_what_its_stream_says(client: Any, model: str, text: str) -> None:
    """Putting the events together gives the unary answer, whoever the model is."""
    body = converse(text, toolConfig=TOOL_CONFIG)

    whole = await asyncio.to_thread(lambda: client.converse(modelId=model, **body))
    events = await asyncio.to_thread(converse_stream, client, model, body)

    folded = fold_blocks(events)
    assert folded["content"] == whole["output"]["message"]["content"]
    assert folded["stopReason"] == whole["stopReason"]
    assert folded["usage"] == whole["usage"]


async def test_nova_calls_tools(client: Any) -> None:
    """A tool call of Nova is the same in the stream, where it is one delta, and in the whole."""
    body = converse("Hello [[emulator deltas=2 tool=1]]", toolConfig=TOOL_CONFIG)

    whole = await asyncio.to_thread(invoke, client, NOVA, body)
    chunks = await asyncio.to_thread(invoke_stream, client, NOVA, body)

    assert fold_blocks(chunks)["content"] == whole["output"]["message"]["content"]
    assert whole["output"]["message"]["content"][1]["toolUse"]["input"] == {"city": "example city"}
    assert whole["stopReason"] == "tool_use"


async def test_counted_tokens_are_those_that_are_charged(client: Any) -> None:
    """CountTokens gives the input tokens that the usage of the same body gives."""
    model = CLAUDE.removeprefix("us.")
    body, talk = claude_with_tool("How many tokens is this?"), converse("How many tokens is this?")
    invoked = {"invokeModel": {"body": json.dumps(body).encode()}}

    counted = await asyncio.to_thread(lambda: client.count_tokens(modelId=model, input=invoked))
    talked = await asyncio.to_thread(lambda: client.count_tokens(modelId=model, input={"converse": talk}))

    charged = await asyncio.to_thread(invoke, client, model, body)
    assert counted["inputTokens"] == charged["usage"]["input_tokens"]
    charged = await asyncio.to_thread(lambda: client.converse(modelId=model, **talk))
    assert talked["inputTokens"] == charged["usage"]["inputTokens"]


async def test_an_answer_says_where_it_comes_from(client: Any) -> None:
    """Nobody can take the answer for a model's, and it repeats what was said without the directive."""
    body = converse("Is it  late? [[emulator deltas=40]]")

    answer = await asyncio.to_thread(lambda: client.converse(modelId=LLAMA, **body))

    text = answer["output"]["message"]["content"][0]["text"]
    assert text.startswith(
        "This answer comes from the embedded Bedrock emulator, not from a model. You said: Is it late? The"
    )


async def test_the_same_question_has_the_same_answer(client: Any) -> None:
    """Ids and words depend on the body alone; the request id is new each time."""
    body = converse("Hello")

    first, second = [await asyncio.to_thread(lambda: client.converse(modelId=NOVA, **body)) for _ in range(2)]

    assert first["output"] == second["output"]
    assert first["ResponseMetadata"]["RequestId"] != second["ResponseMetadata"]["RequestId"]


async def test_invoke_model_has_its_counters_in_headers(client: Any) -> None:
    """The token counts of the headers are those of the body; options that were asked for come back."""
    answer = await asyncio.to_thread(
        lambda: client.invoke_model(
            modelId=NOVA,
            body=json.dumps(native(NOVA)),
            performanceConfigLatency="optimized",
            serviceTier="flex",
        )
    )
    with answer["body"] as body:
        usage = json.loads(body.read())["usage"]

    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(usage["inputTokens"])
    assert headers["x-amzn-bedrock-output-token-count"] == str(usage["outputTokens"])
    assert headers["x-amzn-bedrock-invocation-latency"] == "1"
    assert headers["x-amzn-bedrock-cache-read-input-token-count"] == "0"
    assert (answer["performanceConfigLatency"], answer["serviceTier"]) == ("optimized", "flex")


async def test_converse_repeats_its_options(client: Any) -> None:
    """The performance and the tier that were asked for are in the answer, streamed or not."""
    body = converse(performanceConfig={"latency": "optimized"}, serviceTier={"type": "flex"})

    whole = await asyncio.to_thread(lambda: client.converse(modelId=NOVA, **body))
    events = await asyncio.to_thread(converse_stream, client, NOVA, body)

    for answer in (whole, events[-1]["metadata"]):
        assert answer["performanceConfig"] == {"latency": "optimized"}
        assert answer["serviceTier"] == {"type": "flex"}


# ── aiobotocore ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", NATIVE)
async def test_aiobotocore_is_served(emulator: Emulator, model: str) -> None:
    """The client that the gateway is built on reads all four answers of a model."""
    settings = emulator.settings
    async with aiobotocore.session.get_session().create_client(
        "bedrock-runtime",
        region_name=settings.region,
        endpoint_url=emulator.url,
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        config=AioConfig(signature_version="v4", retries={"total_max_attempts": 1}),
    ) as client:
        body, talk = json.dumps(native(model)), converse()
        invoked = await client.invoke_model(modelId=model, body=body)
        async with invoked["body"] as stream:
            whole = json.loads(await stream.read())
        streamed = await client.invoke_model_with_response_stream(modelId=model, body=body)
        chunks = [json.loads(event["chunk"]["bytes"]) async for event in streamed["body"]]
        talked = await client.converse(modelId=model, **talk)
        streamed = await client.converse_stream(modelId=model, **talk)
        events = [event async for event in streamed["stream"]]
    await emulator.wait_active(0)

    assert "amazon-bedrock-invocationMetrics" in chunks[-1]
    assert model == NOVA or FOLDS[model](chunks) == whole
    assert fold_blocks(events)["content"] == talked["output"]["message"]["content"]
    assert [call.outcome for call in emulator.calls] == ["complete"] * 4


# ── saying no ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_access_key_id": "AKIASOMEBODYELSE0000"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "not the secret"}, "InvalidSignatureException"),
        ({"aws_session_token": "a token"}, "UnrecognizedClientException"),
        ({"region_name": "eu-central-1"}, "InvalidSignatureException"),
    ],
)
async def test_strangers_are_refused(emulator: Emulator, keys: dict[str, str], code: str) -> None:
    """A wrong key, secret, token or region is a 403 with AWS's code, on streams too."""
    with sdk(emulator, **keys) as client, pytest.raises(ClientError) as caught:
        await asyncio.to_thread(converse_stream, client, CLAUDE, converse())

    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert [(call.status, call.outcome) for call in emulator.calls] == [(403, "error")]


async def test_a_model_can_be_refused() -> None:
    """Every operation of a refused model is answered with what the settings say; others are served."""
    refusals = {CLAUDE: ("FTUFormNotFilled", "Send the form.")}
    async with Emulator(EmulatorSettings(refusals=refusals)) as emulator:
        with sdk(emulator) as client:
            for operation in (invoke, invoke_stream):
                with pytest.raises(ClientError) as caught:
                    await asyncio.to_thread(operation, client, CLAUDE, claude())
                error = caught.value.response
                assert (error["Error"]["Code"], error["Error"]["Message"]) == refusals[CLAUDE]
                assert error["ResponseMetadata"]["HTTPStatusCode"] == 404
            await asyncio.to_thread(invoke, client, NOVA, converse())

    assert [call.status for call in emulator.calls] == [404, 404, 200]


@pytest.mark.parametrize(
    ("offset", "words"), [(900, "Signature expired"), (-900, "Signature not yet current")]
)
async def test_its_clock_can_be_off(offset: float, words: str, http: aiohttp.ClientSession) -> None:
    """The `Date` of every answer is of that clock, and signatures are judged by it."""
    async with Emulator(EmulatorSettings(date_offset_s=offset)) as emulator:
        async with http.get(emulator.url) as response:
            dated = parsedate_to_datetime(response.headers["Date"])
        with sdk(emulator) as client, pytest.raises(ClientError) as caught:
            await asyncio.to_thread(invoke, client, NOVA, converse())

    assert abs((dated - datetime.now(UTC)).total_seconds() - offset) < 60
    assert words in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("model", "ask", "message"),
    [
        (CLAUDE, invoke, "anthropic_version: Field required"),
        (NOVA, invoke_stream, "Malformed input request: #: required key [messages] not found, {please}"),
        (TITAN, invoke, "Malformed input request: #: required key [inputText] not found, {please}"),
    ],
)
async def test_a_malformed_body_is_a_validation_exception(
    client: Any, model: str, ask: Callable[[Any, str, Any], Any], message: str
) -> None:
    """The client's own exception class is raised, with the message as the client reads it."""
    with pytest.raises(client.exceptions.ValidationException) as caught:
        await asyncio.to_thread(ask, client, model, {"prompt": "Hello"})

    said = caught.value.response["Error"]["Message"]
    assert said == message.format(please="please reformat your input and try again.")


@pytest.mark.parametrize("model", ["does-not-exist", "us.does-not-exist-model-v1:0", "anthropic"])
async def test_unknown_models_are_refused_in_the_recorded_words(client: Any, model: str) -> None:
    """An id that is none is refused before the body is looked at."""
    with pytest.raises(client.exceptions.ValidationException) as caught:
        await asyncio.to_thread(invoke, client, model, {})

    assert caught.value.response["Error"]["Message"] == INVALID_ID


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("ModelTimeoutException", 408),
        ("ModelErrorException", 424),
        ("ServiceUnavailableException", 503),
        ("AccessDeniedException", 403),
    ],
)
async def test_an_error_can_be_asked_for(client: Any, code: str, status: int) -> None:
    """The directive `error` answers with that error, which the client raises as its own class."""
    with pytest.raises(getattr(client.exceptions, code)) as caught:
        await asyncio.to_thread(converse_stream, client, LLAMA, converse(f"[[emulator error={code}]]"))

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


async def test_a_fault_can_be_over_after_some_times(emulator: Emulator, client: Any) -> None:
    """A retry that says the same succeeds, whichever model it goes to; other words begin anew."""

    async def status(model: str, text: str) -> int:
        with suppress(ClientError):
            await asyncio.to_thread(lambda: client.converse(modelId=model, **converse(text)))
        await emulator.wait_active(0)
        return emulator.calls[-1].status

    text = "Hello [[emulator error=ThrottlingException times=2]]"
    seen = [await status(model, text) for model in (NOVA, NOVA, LLAMA, NOVA)]
    cut = "Hello [[emulator cut=2 times=1]]"
    lengths = [len(await asyncio.to_thread(converse_stream, client, NOVA, converse(cut))) for _ in range(2)]

    assert seen == [429, 429, 200, 200]
    assert await status(NOVA, f"{text} again") == 429
    assert lengths[0] == 2 < lengths[1]


async def test_an_exception_in_the_middle_of_a_stream(emulator: Emulator, client: Any) -> None:
    """The frames before it arrive, then the client raises the modelled exception."""
    body = json.dumps(claude("[[emulator exception=throttlingException after=5]]"))
    seen: list[Any] = []

    def read() -> None:
        response = client.invoke_model_with_response_stream(modelId=CLAUDE, body=body)
        with closing(response["body"]) as events:
            seen.extend(events)

    with pytest.raises(EventStreamError) as caught:
        await asyncio.to_thread(read)

    assert caught.value.response["Error"] == {
        "Code": "throttlingException",
        "Message": "Too many requests, please wait before trying again.",
    }
    await emulator.wait_active(0)
    assert (len(seen), emulator.calls[-1].outcome) == (5, "error")


async def test_a_stream_can_be_cut(client: Any) -> None:
    """A cut stream ends properly after so many frames, without its terminal event."""
    events = await asyncio.to_thread(converse_stream, client, NOVA, converse("[[emulator cut=3]]"))

    assert [list(event) for event in events] == [
        ["messageStart"],
        ["contentBlockDelta"],
        ["contentBlockDelta"],
    ]


# ── plain HTTP ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("segment", ["us.amazon.nova-micro-v1%3A0", "us.amazon.nova-micro-v1:0"])
async def test_the_path_is_read_raw_and_decoded_once(
    open_emulator: Emulator, http: aiohttp.ClientSession, segment: str
) -> None:
    """A colon may be encoded or not, as the SDKs differ."""
    url = URL(f"{open_emulator.url}/model/{segment}/converse", encoded=True)

    async with http.post(url, json=converse()) as response:
        assert response.status == 200

    assert open_emulator.calls[-1].model_id == NOVA


async def test_an_arn_is_one_segment(open_emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """The encoded slash of an ARN does not end the model id; an opaque one is known by its body."""
    arn = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc"
    url = URL(f"{open_emulator.url}/model/{arn}/invoke", encoded=True)
    tokens = []

    for body in (claude(), converse(), titan()):
        async with http.post(url, json=body) as response:
            tokens.append(sorted(await response.json()))

    assert tokens[0][:2] == ["content", "id"]
    assert tokens[1:] == [["output", "stopReason", "usage"], ["inputTextTokenCount", "results"]]


@pytest.mark.parametrize(
    ("operation", "model", "body", "own"),
    [
        (
            "invoke-with-response-stream",
            NOVA,
            converse(),
            {"X-Amzn-Bedrock-Content-Type": "application/json"},
        ),
        ("converse-stream", NOVA, converse(), {}),
    ],
)
async def test_streams_have_the_headers_of_streams(
    open_emulator: Emulator,
    http: aiohttp.ClientSession,
    operation: str,
    model: str,
    body: Any,
    own: dict[str, str],
) -> None:
    """Chunked, an event stream, with a request id, and no counters."""
    async with http.post(f"{open_emulator.url}/model/{model}/{operation}", json=body) as response:
        headers = response.headers
        await response.read()

    assert headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert headers["Transfer-Encoding"] == "chunked"
    assert headers["x-amzn-RequestId"] == open_emulator.calls[-1].request_id
    assert {name: headers[name] for name in headers if name.startswith("X-Amzn-Bedrock-")} == own


async def test_errors_have_the_headers_of_errors(
    open_emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    """The code is in a header, the message in the body, and nothing else is."""
    url = f"{open_emulator.url}/model/{NOVA}/converse"

    async with http.post(url, data=b"{") as response:
        body = await response.json()

    assert response.headers["x-amzn-ErrorType"] == (
        "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
    )
    assert body == {"message": "Malformed input request, please reformat your input and try again."}
    assert open_emulator.calls[-1].request_id == response.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/model/x/invoke-with-bidirectional-stream"),
        ("POST", "/openai/v1/chat/completions"),
        ("GET", f"/model/{NOVA}/converse"),
    ],
)
async def test_unknown_paths_are_unknown_operations(
    emulator: Emulator, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    """Even without a signature, as AWS routes first."""
    async with http.request(method, f"{emulator.url}{path}") as response:
        code = response.headers["x-amzn-ErrorType"].partition(":")[0]

    assert (response.status, code) == (404, "UnknownOperationException")
    assert (emulator.calls[-1].operation, emulator.calls[-1].model_id) == (path, "")


async def test_an_api_key_is_taken_if_it_is_the_one(http: aiohttp.ClientSession) -> None:
    """A bearer token stands in for a signature."""
    async with Emulator(EmulatorSettings(bearer_token="the key")) as emulator:
        statuses = []
        for headers in ({"Authorization": "Bearer the key"}, {"Authorization": "Bearer another"}, {}):
            url = f"{emulator.url}/model/{NOVA}/converse"
            async with http.post(url, json=converse(), headers=headers) as response:
                statuses.append((response.status, response.headers.get("x-amzn-ErrorType", "").split(":")[0]))

    assert statuses == [
        (200, ""),
        (403, "AccessDeniedException"),
        (403, "MissingAuthenticationTokenException"),
    ]


async def test_a_body_over_the_limit_is_refused(open_emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Bedrock takes 25,000,000 bytes, and so does this."""
    url = f"{open_emulator.url}/model/{TITAN}/invoke"
    body = json.dumps(titan("x" * 24_000_000)).encode()

    statuses = []
    for data in (body, body + b" " * 1_100_000):
        async with http.post(url, data=io.BytesIO(data)) as response:
            statuses.append(response.status)

    assert statuses == [200, 413]


async def test_more_answers_than_are_kept(open_emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """The emulator forgets old answers, not how to give them."""
    url = f"{open_emulator.url}/model/{TITAN}/invoke"
    answers = []
    for number in [0, *range(300), 0]:
        async with http.post(url, json=titan(f"[[emulator deltas=1]]{number}")) as response:
            answers.append(await response.json())

    assert answers[0] == answers[1] == answers[-1]


# ── who is being answered ─────────────────────────────────────────────────────────────────────────────


async def test_a_client_that_leaves_is_noticed(open_emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """In the middle of a paced stream and before the first byte: the work ends, the record says why."""
    statuses = {"[[emulator pace_ms=60000]]": 200, "[[emulator first_byte_ms=60000]]": 0}
    for number, text in enumerate(statuses):
        url = f"{open_emulator.url}/model/{NOVA}/converse-stream"
        asking = asyncio.ensure_future(http.post(url, json=converse(text)))
        await open_emulator.wait_active(1)
        if number == 0:
            response = await asking
            response.close()
        else:
            asking.cancel()
        await open_emulator.wait_active(0)

    assert [(call.status, call.outcome) for call in open_emulator.calls] == [
        (200, "client_gone"),
        (200, "client_gone"),
    ]


async def test_a_client_that_leaves_while_it_is_written_to_is_noticed(
    open_emulator: Emulator, http: aiohttp.ClientSession
) -> None:
    """A burst that no longer fits any buffer is broken off, too."""
    text = "[[emulator deltas=9999 delta_chars=999 frames_per_write=1]]"
    async with http.post(
        f"{open_emulator.url}/model/{NOVA}/converse-stream", json=converse(text)
    ) as response:
        await response.content.readany()
        response.close()
    await open_emulator.wait_active(0)

    assert open_emulator.calls[-1].outcome == "client_gone"


async def test_a_client_that_leaves_just_before_it_is_written_to_is_noticed(open_emulator: Emulator) -> None:
    """The reset meets the writes: the loop has not seen it yet when the answer is due."""
    body = json.dumps(converse("[[emulator first_byte_ms=0.001 frames_per_write=1]]")).encode()
    head = f"POST /model/{NOVA}/converse-stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    host, port = open_emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(head.encode() + body)
        await open_emulator.wait_active(1)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await open_emulator.wait_active(0)

    assert [(call.status, call.outcome) for call in open_emulator.calls] == [(200, "client_gone")]


async def test_what_is_active_is_counted(open_emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Three open streams are three, until they are read to their end."""
    url = f"{open_emulator.url}/model/{NOVA}/converse-stream"
    body = converse("[[emulator first_byte_ms=100]]")

    asking = [asyncio.ensure_future(http.post(url, json=body)) for _ in range(3)]
    await open_emulator.wait_active(3)
    described = repr(open_emulator)
    for response in await asyncio.gather(*asking):
        await response.read()
    await open_emulator.wait_active(0)

    assert described == f"<Emulator {open_emulator.url}, 3 active, 0 calls>"
    assert (open_emulator.active, open_emulator.peak_active, len(open_emulator.calls)) == (0, 3, 3)


async def test_a_call_says_what_was_asked(open_emulator: Emulator, http: aiohttp.ClientSession) -> None:
    """Everything about a request is kept for the test to compare with."""
    async with http.post(f"{open_emulator.url}/model/{TITAN}/invoke", json=titan("Hi")) as response:
        await response.read()
    await open_emulator.wait_active(0)

    assert list(open_emulator.calls) == [
        Call(
            operation="invoke",
            model_id=TITAN,
            status=200,
            request_id=response.headers["x-amzn-RequestId"],
            body=titan("Hi"),
            outcome="complete",
        )
    ]


async def test_connections_are_counted(http: aiohttp.ClientSession) -> None:
    """None before the start; one for two calls that reuse it."""
    emulator = Emulator(OPEN)
    before = emulator.connections
    async with emulator:
        for _ in range(2):
            async with http.post(f"{emulator.url}/model/{NOVA}/converse", json=converse()) as response:
                await response.read()

    assert (before, emulator.connections, len(emulator.calls)) == (0, 1, 2)


async def test_it_can_be_closed_at_any_time(http: aiohttp.ClientSession) -> None:
    """Before it was started, twice, and while it answers."""
    emulator = Emulator(OPEN)
    assert repr(emulator) == "<Emulator not started, 0 active, 0 calls>"
    await emulator.close()
    await emulator.start()
    url = f"{emulator.url}/model/{NOVA}/converse"
    asking = asyncio.ensure_future(http.post(url, json=converse("[[emulator first_byte_ms=60000]]")))
    await emulator.wait_active(1)

    await emulator.close()
    await emulator.close()

    with pytest.raises(aiohttp.ClientError):
        await asking
    assert emulator.active == 0


async def test_a_caller_may_stop_waiting(emulator: Emulator) -> None:
    """Waiting for what does not come can be cancelled without a trace."""
    waiting = asyncio.ensure_future(emulator.wait_active(7))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await emulator.wait_active(0)
