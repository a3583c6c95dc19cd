"""Bedrock's own API with AWS's own SDKs in front and the emulator behind."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
from aiobotocore.session import get_session
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from botocore.exceptions import ClientError, EventStreamError
from yarl import URL

from gateway import app
from gateway.emulator import Emulator
from gateway.settings import ModelSettings, RetrySettings
from tests.e2e.sdk import boto3_client
from tests.emulator.asking import (
    CLAUDE,
    NATIVE,
    NOVA,
    TALKING,
    TOOL_CONFIG,
    claude,
    converse,
    converse_stream,
    invoke,
    invoke_stream,
    native,
)
from tests.harness import Caller, lines, settings_for

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Callable

    from tests.harness import StartGateway

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-5-sonnet-20240620-v1:0"


async def ask(caller: Caller, call: Callable[..., Any], *arguments: Any, attempts: int = 1) -> Any:
    """Return what boto3 gives for a call to the gateway, in a thread."""

    def run() -> Any:
        with boto3_client(caller.url, attempts=attempts) as client:
            return call(client, *arguments)

    return await asyncio.to_thread(run)


async def ask_directly(emulator: Emulator, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what it gives for the same call to the emulator."""
    key = emulator.settings.access_key_id, emulator.settings.secret_access_key

    def run() -> Any:
        with boto3_client(emulator.url, key=key) as client:
            return call(client, *arguments)

    return await asyncio.to_thread(run)


def told(value: Any) -> Any:
    """Return an answer without what is another one in each: ids, and how long it took."""
    if isinstance(value, dict):
        own = {"id", "toolUseId", "metrics", "ResponseMetadata", "amazon-bedrock-invocationMetrics"}
        return {key: told(inner) for key, inner in value.items() if key not in own}
    return [told(inner) for inner in value] if isinstance(value, list) else value


def plain_converse(client: Any, model: str, body: Any) -> Any:
    """Return the answer of Converse."""
    return client.converse(modelId=model, **body)


@pytest.mark.parametrize("model", TALKING)
async def test_converse(model: str, emulator: Emulator, caller: Caller, log: io.StringIO) -> None:
    """What boto3 reads through the gateway is what it reads without it, whole and streamed."""
    for call in (plain_converse, converse_stream):
        body = converse("[[emulator deltas=5]] Hello")
        assert told(await ask(caller, call, model, body)) == told(
            await ask_directly(emulator, call, model, body)
        )
    whole, streamed = lines(log)
    assert (whole["route"], streamed["route"]) == (
        "/model/{modelId}/converse",
        "/model/{modelId}/converse-stream",
    )
    for line in (whole, streamed):
        assert (line["outcome"], line["status"], line["model"]) == ("ok", 200, model)
        assert line["usage_accuracy"] == "final"
        assert (line["finish_reason"], line["stop_reason"]) == ("stop", "end_turn")
    assert whole["output_tokens"] == streamed["output_tokens"] > 0
    assert whole.get("cost_usd") == streamed.get("cost_usd")


@pytest.mark.parametrize("model", NATIVE)
async def test_invoke(model: str, emulator: Emulator, caller: Caller, log: io.StringIO) -> None:
    """The same by InvokeModel."""
    for call in (invoke, invoke_stream):
        body = native(model, "[[emulator deltas=5]] Hello")
        assert told(await ask(caller, call, model, body)) == told(
            await ask_directly(emulator, call, model, body)
        )
    for line in lines(log):
        assert (line["outcome"], line["usage_accuracy"], line["finish_reason"]) == ("ok", "final", "stop")
        assert line["input_tokens"] > 0 < line["output_tokens"]


async def test_tools(emulator: Emulator, caller: Caller) -> None:
    """A call of a tool comes back as the model made it."""
    body = converse("[[emulator tool=1]] Hello", toolConfig=TOOL_CONFIG)
    for call in (plain_converse, converse_stream):
        answer = await ask(caller, call, CLAUDE, body)
        assert "toolUse" in json.dumps(answer, default=str)
        assert told(answer) == told(await ask_directly(emulator, call, CLAUDE, body))


async def test_headers(caller: Caller) -> None:
    """Bedrock's counters and its request id arrive; so does which model has answered."""

    def call(client: Any) -> Any:
        answer = client.invoke_model(modelId=CLAUDE, body=json.dumps(claude()))
        answer["body"].close()
        return answer

    answer = await ask(caller, call)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert int(headers["x-amzn-bedrock-input-token-count"]) > 0
    assert int(headers["x-amzn-bedrock-output-token-count"]) > 0
    assert answer["contentType"] == "application/json"
    assert answer["ResponseMetadata"]["RequestId"] == headers["x-upstream-request-id"]
    assert headers["x-gateway-model"] == CLAUDE

    def stream(client: Any) -> Any:
        answer = client.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(claude()))
        with closing(answer["body"]) as events:
            assert list(events)
        return answer

    answer = await ask(caller, stream)
    assert answer["contentType"] == "application/json"
    assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("model", [CLAUDE, ARN, ARN.replace("/", "%2F"), CLAUDE.replace(":", "%3A")])
async def test_ids_raw_and_encoded(model: str, emulator: Emulator, caller: Caller) -> None:
    """An id is one part of the path, whether or not its colons and slashes are encoded."""
    url = f"{caller.url}/model/{model}/converse"
    async with caller.session.post(URL(url, encoded=True), json=converse()) as response:
        assert (response.status, response.headers["X-Gateway-Model"]) == (200, unquote(model))
    assert emulator.calls[-1].model_id == unquote(model)


ERRORS = {
    "ValidationException": 400,
    "ServiceQuotaExceededException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


@pytest.mark.parametrize("code", ERRORS)
async def test_errors_by_their_class(code: str, emulator: Emulator, start: StartGateway) -> None:
    """An error of Bedrock's is the same error to a caller's `except`."""
    async with start(emulator, retries=RetrySettings(max_attempts=1)) as caller:
        for call in (plain_converse, converse_stream):
            with pytest.raises(ClientError) as caught:
                await ask(caller, call, CLAUDE, converse(f"[[emulator error={code}]]"))
            answer = caught.value.response
            assert type(caught.value).__name__ == code
            assert answer["Error"]["Code"] == code
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == ERRORS[code]
            assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    "member", ["throttlingException", "modelStreamErrorException", "validationException"]
)
async def test_an_error_in_the_middle(member: str, caller: Caller, log: io.StringIO) -> None:
    """It is raised behind the deltas that came before, by the name that it has in a stream."""
    text = f"[[emulator deltas=4 exception={member} after=4]]"

    def call(client: Any) -> list[Any]:
        seen: list[Any] = []
        answer = client.converse_stream(modelId=CLAUDE, **converse(text))
        with closing(answer["stream"]) as events, pytest.raises(EventStreamError) as caught:
            seen.extend(events)
        return [*seen, caught.value.response["Error"]["Code"]]

    seen = await ask(caller, call)
    assert (len(seen), seen[-1]) == (5, member)
    [line] = lines(log)
    assert (line["status"], line["outcome"]) == (200, "error")


@pytest.mark.parametrize("fault", ["cut=3", "cut=3+20", "flip=3", "reset=3"])
async def test_an_answer_that_is_not_whole(
    fault: str, emulator: Emulator, caller: Caller, log: io.StringIO
) -> None:
    """Without the gateway a truncated answer ends like a good one; with it, it raises."""
    body = claude(f"[[emulator deltas=4 {fault}]]")
    if fault.startswith("cut"):
        assert await ask_directly(emulator, invoke_stream, CLAUDE, body)
    with pytest.raises(EventStreamError) as caught:
        await ask(caller, invoke_stream, CLAUDE, body)
    assert caught.value.response["Error"]["Code"] == "modelStreamErrorException"
    [line] = lines(log)
    assert (line["outcome"], line["code"]) == ("error", "upstream_protocol")
    assert line["usage_accuracy"] in {"estimated", "partial"}


async def test_what_fails_first_is_sent_again(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """By the gateway, to the next target and to a fallback model that understands the body."""
    models = {CLAUDE: ModelSettings(fallback_models=(NOVA,))}
    async with start(emulator, models=models, retries=RetrySettings(max_attempts=2)) as caller:
        body = converse("[[emulator error=ModelErrorException]]")
        with pytest.raises(ClientError):
            await ask(caller, converse_stream, CLAUDE, body)
    assert [call.model_id for call in emulator.calls] == [CLAUDE, NOVA]
    [line] = lines(log)
    assert line["attempts"] == 2


async def test_the_sdk_tries_again(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """Where the gateway does not, it obeys the status and the code."""
    async with start(emulator, retries=RetrySettings(max_attempts=1)) as caller:
        with pytest.raises(ClientError):
            await ask(
                caller, plain_converse, CLAUDE, converse("[[emulator error=ThrottlingException]]"), attempts=2
            )
        with pytest.raises(ClientError):
            await ask(
                caller, plain_converse, CLAUDE, converse("[[emulator error=ModelErrorException]]"), attempts=2
            )
    assert [line["status"] for line in lines(log)] == [429, 429, 424]


async def test_counting_tokens(caller: Caller) -> None:
    """Both of its inputs."""

    def call(client: Any) -> Any:
        base = CLAUDE.removeprefix("us.")
        messages = converse()["messages"]
        told = client.count_tokens(modelId=base, input={"converse": {"messages": messages}})
        return told["inputTokens"]

    assert await ask(caller, call) > 0


TRACED = {"guardrail": {"modelOutput": ["the secret is 42"], "outputAssessments": {}}}
FAR_END: dict[str, dict[str, Any]] = {
    "/guardrail/abc/version/DRAFT/apply": {
        "action": "GUARDRAIL_INTERVENED",
        "outputs": [{"text": "***"}],
        "assessments": [],
        "usage": {},
    },
    "/model/amazon.rerank-v1%3A0/invoke": {"results": [{"index": 1, "relevance_score": 0.5}]},
    f"/model/{quote(NOVA, safe='')}/converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "***"}]}},
        "stopReason": "guardrail_intervened",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
        "trace": TRACED,
    },
}
"""What the emulator does not have, by its path."""


@asynccontextmanager
async def far_end(**changes: Any) -> AsyncIterator[tuple[Caller, list[web.BaseRequest]]]:
    """Run a gateway in front of a server that answers from the table."""
    asked: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request)
        await request.read()
        headers = {"x-amzn-RequestId": "aws-1", "X-Amzn-Bedrock-Input-Token-Count": "7"}
        return web.json_response(FAR_END[request.raw_path], headers=headers)

    server = RawTestServer(answer)
    async with server, Emulator() as emulator:
        settings = settings_for(emulator, **changes)
        aws = settings.aws.model_copy(update={"endpoint_url": str(server.make_url("/")).rstrip("/")})
        async with (
            app.running(settings.model_copy(update={"aws": aws})) as gateway,
            aiohttp.ClientSession() as session,
        ):
            yield Caller(gateway, session), asked


async def test_what_is_no_chat(log: io.StringIO) -> None:
    """Guardrails and rerank are passed on, with the headers that AWS has for them, and counted."""

    def guardrail(client: Any) -> Any:
        content = [{"text": {"text": "Hello"}}]
        return client.apply_guardrail(
            guardrailIdentifier="abc", guardrailVersion="DRAFT", source="INPUT", content=content
        )

    def rerank(client: Any) -> Any:
        body = json.dumps({"query": "a", "documents": ["b", "c"]})
        answer = client.invoke_model(
            modelId="amazon.rerank-v1:0",
            body=body,
            accept="application/json",
            trace="ENABLED",
            requestMetadata='{"team":"a"}',
        )
        with answer["body"] as whole:
            return json.loads(whole.read())

    async with far_end() as (caller, asked):
        applied = await ask(caller, guardrail)
        ranked = await ask(caller, rerank)

    assert (applied["action"], applied["outputs"]) == ("GUARDRAIL_INTERVENED", [{"text": "***"}])
    assert ranked == FAR_END["/model/amazon.rerank-v1%3A0/invoke"]
    headers = asked[1].headers
    assert (headers["X-Amzn-Bedrock-Trace"], headers["Accept"]) == ("ENABLED", "application/json")
    assert headers["X-Amzn-Bedrock-Request-Metadata"] == '{"team":"a"}'
    assert "AKIAOFACALLER" not in headers["Authorization"]
    first, second = lines(log)
    assert first["route"] == "/guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply"
    assert (second["input_tokens"], second["output_tokens"]) == (7, 0)


async def test_the_unmasked_text_does_not_leave() -> None:
    """A trace comes without what the guardrail has masked."""
    async with far_end() as (caller, _):
        answer = await ask(caller, plain_converse, NOVA, converse())
    assert answer["trace"]["guardrail"] == {"outputAssessments": {}}
    assert answer["stopReason"] == "guardrail_intervened"


async def test_aiobotocore(caller: Caller) -> None:
    """It sends no content type by itself; streams and whole answers come all the same."""
    session = get_session()
    async with session.create_client(
        "bedrock-runtime",
        endpoint_url=caller.url,
        region_name="us-east-1",
        aws_access_key_id="AKIA",
        aws_secret_access_key="none",
    ) as client:
        whole = await client.invoke_model(modelId=CLAUDE, body=json.dumps(claude()))
        async with whole["body"] as body:
            text = json.loads(await body.read())["content"][0]["text"]
        answer = await client.converse_stream(modelId=CLAUDE, **converse())
        events = [event async for event in answer["stream"]]
        assert text
        assert list(events[-1]) == ["metadata"]
        broken = await client.converse_stream(modelId=CLAUDE, **converse("[[emulator cut=3]]"))
        with pytest.raises(EventStreamError), closing(broken["stream"]) as events:
            [event async for event in events]


BAD: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "not JSON": (b"{", {}, 400, "body"),
    "no object": (b"[]", {}, 400, "JSON object"),
    "twice": (b'{"a":1,"a":2}', {}, 400, "a"),
    "S3": (
        b'{"messages":[{"content":[{"image":{"source":{"s3Location":{"uri":"s3://x/y"}}}}]}]}',
        {},
        400,
        "messages[0].content[0].image.source.s3Location",
    ),
    "S3, escaped": (b'{"source":{"s3\\u004cocation":{"uri":"s3://x/y"}}}', {}, 400, "source.s3Location"),
    "S3, under a name that is none": (
        b'{"CANARY of a prompt":[{"s3Location":{"uri":"s3://x/y"}}]}',
        {},
        400,
        "?[0].s3Location",
    ),
    "form": (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
    "a page's": (b"{}", {"Origin": "https://example.com", "Content-Type": ""}, 415, "Content-Type"),
    "InvokeModel's": (b"{}", {"X-Amzn-Bedrock-Trace": "ENABLED"}, 400, "Converse takes it in the body"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input(name: str, emulator: Emulator, caller: Caller, log: io.StringIO) -> None:
    """It is refused in AWS's shape, before it reaches Bedrock."""
    body, headers, status, words = BAD[name]
    calls = len(emulator.calls)
    headers = {"Content-Type": "application/json"} | headers
    skipped = ["Content-Type"] if not headers["Content-Type"] else []
    headers = {name: value for name, value in headers.items() if value}
    url = f"{caller.url}/model/{CLAUDE}/converse"
    async with caller.session.post(url, data=body, headers=headers, skip_auto_headers=skipped) as response:
        answer = await response.json()
    assert (response.status, list(answer)) == (status, ["message"])
    assert words in answer["message"]
    assert response.headers["x-amzn-ErrorType"]
    assert response.headers["x-amzn-RequestId"]
    assert len(emulator.calls) == calls
    assert "CANARY" not in answer["message"] + log.getvalue()


UNTAKEN = [
    *(
        (f"/model/{CLAUDE}/{operation}", "X-Amzn-Bedrock-Guardrail-Identifier", "unknown header")
        for operation in ("invoke", "invoke-with-response-stream", "converse", "converse-stream")
    ),
    (f"/model/{CLAUDE}/invoke", "X-Amzn-Bedrock-" + 50 * "CANARY", "X-Amzn-Bedrock-?: unknown header"),
    ("/rerank", "X-Amzn-Bedrock-Traces", "unknown header"),
    (
        f"/model/{CLAUDE}/count-tokens",
        "X-Amzn-Bedrock-Trace",
        "X-Amzn-Bedrock-Trace: this operation takes no",
    ),
    ("/guardrail/emulated/version/1/apply", "X-Amzn-Bedrock-GuardrailVersion", "this operation takes no"),
]


@pytest.mark.parametrize(("path", "header", "words"), UNTAKEN)
async def test_headers_that_an_operation_does_not_take(
    path: str, header: str, words: str, emulator: Emulator, caller: Caller, log: io.StringIO
) -> None:
    """They are refused by name: a misspelt guardrail would guard nothing."""
    calls = len(emulator.calls)
    async with caller.session.post(caller.url + path, json={}, headers={header: "1"}) as response:
        answer = await response.json()
    assert (response.status, response.headers["x-amzn-ErrorType"]) == (400, "ValidationException")
    assert words in answer["message"]
    assert "CANARY" not in answer["message"] + log.getvalue()
    assert len(emulator.calls) == calls


NOWHERE = ["/rerank/x", "/async-invoke", "/async-invoke/x", "/guardrail/x", "/model/x"]


@pytest.mark.parametrize("path", NOWHERE)
async def test_where_there_is_nothing(path: str, caller: Caller) -> None:
    """The SDK finds its error's name."""
    async with caller.session.post(caller.url + path, json={}) as response:
        answer = await response.json()
    assert (response.status, response.headers["x-amzn-ErrorType"]) == (404, "UnknownOperationException")
    assert list(answer) == ["message"]


def _counted(body: bytes) -> bytes:
    return json.dumps({"input": {"invokeModel": {"body": base64.b64encode(body).decode()}}}).encode()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (_counted(b'{"source":{"s3Location":{"uri":"s3://x/y"}}}'), "invokeModel.body.source.s3Location"),
        (_counted(b'{"source":{"s3Locatio\\u006e":{"uri":"s3://x"}}}'), "invokeModel.body.source.s3Location"),
        (_counted(b"{"), "not JSON"),
        (b'{"input":{"invokeModel":{"body":"e30*"}}}', "base64"),
        ('{"input":{"invokeModel":{"body":"é"}}}'.encode(), "base64"),
    ],
)
async def test_s3_in_what_is_counted(body: bytes, place: str, emulator: Emulator, caller: Caller) -> None:
    """CountTokens takes InvokeModel's body in base64, which hides nothing."""
    calls = len(emulator.calls)
    url = f"{caller.url}/model/{CLAUDE.removeprefix('us.')}/count-tokens"
    headers = {"Content-Type": "application/json"}
    async with caller.session.post(url, data=body, headers=headers) as response:
        assert (response.status, place in (await response.json())["message"]) == (400, True)
    assert len(emulator.calls) == calls


@pytest.mark.parametrize(
    ("identifier", "version"),
    [
        ("..", "1"),
        ("abc", ".."),
        ("abc%2F..%2F..%2Fmodel", "1"),
        ("abc%0A", "1"),
        ("abc", "1%0A"),
        ("A", "0"),
    ],
)
async def test_a_guardrail_is_no_path(identifier: str, version: str) -> None:
    """What is no name of a guardrail does not become a part of what the gateway signs."""
    async with far_end() as (caller, asked):
        url = URL(f"{caller.url}/guardrail/{identifier}/version/{version}/apply", encoded=True)
        async with caller.session.post(url, json={"source": "INPUT", "content": []}) as response:
            assert response.status == 400
            assert "guardrail" in (await response.json())["message"]
    assert asked == []


async def test_s3_by_the_operators_leave(emulator: Emulator, start: StartGateway) -> None:
    """Who allows it lends its role to every caller."""
    image = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://x/y"}}}}
    body = {"messages": [{"role": "user", "content": [image, {"text": "Hello"}]}]}
    for allowed in (False, True):
        async with start(emulator, bedrock={"s3_locations": allowed}) as caller:
            url = f"{caller.url}/model/{CLAUDE}/converse"
            async with caller.session.post(url, json=body) as response:
                assert ("bedrock.s3_locations" in await response.text()) is not allowed
    assert len(emulator.calls) == 1


async def test_a_tool_may_speak_of_s3(caller: Caller) -> None:
    """What a key is called in a schema or a text points nobody anywhere."""
    properties = {"s3Location": {"type": "string"}}
    tool = {"name": "fetch", "inputSchema": {"json": {"type": "object", "properties": properties}}}
    body = converse('what is "s3Location"? é', toolConfig={"tools": [{"toolSpec": tool}]})
    assert await ask(caller, plain_converse, CLAUDE, body)


@pytest.mark.parametrize("header", ["x\ty", "é"])
async def test_headers_that_no_header_may_be(header: str, caller: Caller) -> None:
    """They go no further."""
    url = f"{caller.url}/model/{CLAUDE}/invoke"
    headers = {"X-Amzn-Bedrock-Request-Metadata": header}
    async with caller.session.post(url, json=claude(), headers=headers) as response:
        assert (response.status, "printable" in (await response.json())["message"]) == (400, True)


async def test_what_is_not_served(caller: Caller) -> None:
    """Other operations of Bedrock's are unknown ones, in its own words."""
    for method, path in (("POST", "/async-invoke"), ("GET", "/model/x/converse"), ("POST", "/model/x/other")):
        async with caller.session.request(method, caller.url + path, json={}) as response:
            assert response.status in {404, 405}
            assert response.headers["x-amzn-ErrorType"] == "UnknownOperationException"
            assert list(await response.json()) == ["message"]


async def test_a_caller_who_leaves(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """What was under way is read on, where the operator wants that, and its tokens are told."""
    async with start(emulator, on_disconnect="drain") as caller:
        url = f"{caller.url}/model/{CLAUDE}/converse-stream"
        body = converse("[[emulator deltas=12 pace_ms=20 frames_per_write=1]]")
        response = await caller.session.post(url, json=body)
        await response.content.readany()
        response.close()
        async with asyncio.timeout(30):
            while not lines(log):  # noqa: ASYNC110 - a log tells nobody
                await asyncio.sleep(0.01)
    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "final")
    assert line["output_tokens"] > 0
