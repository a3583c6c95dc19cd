"""The rules of a caller about models, regions and tokens, over sockets, in every dialect."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from gateway.settings import CallerSettings, TargetSettings
from tests.emulator.asking import CLAUDE, converse
from tests.harness import ask

if TYPE_CHECKING:
    from gateway.emulator import Emulator
    from tests.harness import Caller, StartGateway

KEY = "a-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
EMBED_PROFILE = "us.cohere.embed-v4:0"
TITAN = "amazon.titan-embed-text-v2:0"
MESSAGES = [{"role": "user", "content": "Hello"}]
INVOKED: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "messages": MESSAGES}


def bodies(model: str, **limits: int) -> dict[str, dict[str, Any]]:
    """Return a request for every route that asks a model for an answer, with a limit under its own name."""
    limit = limits.get("limit")
    named = {} if limit is None else {"max_tokens": limit}
    native = {name: value for name, value in ask(model=model).items() if name != "max_tokens"} | named
    chat = {"model": model, "messages": MESSAGES}
    inference = {} if limit is None else {"inferenceConfig": {"maxTokens": limit}}
    plain = {name: value for name, value in converse().items() if name != "inferenceConfig"} | inference
    return {
        "/chat/completions": native,
        "/chat/completions/stream": native,
        "/v1/chat/completions": {**chat, **named},
        "/v1/responses": {"model": model, "input": "Hello"}
        | ({} if limit is None else {"max_output_tokens": limit}),
        f"/model/{model}/converse": plain,
        f"/model/{model}/converse-stream": plain,
        f"/model/{model}/invoke": {**INVOKED, **named},
        f"/model/{model}/invoke-with-response-stream": {**INVOKED, **named},
    } | ({} if limit is None else {"/v1/messages": {**chat, **named}})


def rules(**values: Any) -> dict[str, CallerSettings]:
    """Return one caller with these rules."""
    return {"team-a": CallerSettings(key_sha256=(sha256(KEY.encode()).hexdigest(),), **values)}


async def post(caller: Caller, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """Return status and body of the answer."""
    async with caller.session.post(caller.url + path, json=body, headers=HEADERS) as response:
        return response.status, await response.read()


def limits(emulator: Emulator) -> list[int]:
    """Return the output limits that Bedrock was given."""
    return [
        (call.body.get("inferenceConfig") or {"maxTokens": call.body.get("max_tokens")})["maxTokens"]
        for call in emulator.calls
    ]


@pytest.mark.parametrize("path", bodies(CLAUDE, limit=10))
async def test_models(path: str, emulator: Emulator, start: StartGateway) -> None:
    """Only what the caller's patterns name is asked; the refusal says whose rule it is."""
    body = bodies(CLAUDE, limit=10)[path]
    async with start(emulator, callers=rules(allowed_models=["us.anthropic.*", "anthropic.*"])) as caller:
        assert (await post(caller, path, body))[0] == 200
    async with start(emulator, callers=rules(allowed_models=["meta.*"])) as caller:
        status, text = await post(caller, path, body)
    assert status == 403
    assert b"callers.team-a.allowed_models" in text
    assert len(emulator.calls) == 1


async def test_aliases_and_fallbacks(emulator: Emulator, start: StartGateway) -> None:
    """An alias may be allowed by its own name; a fallback model only by its own too."""
    models: dict[str, Any] = {CLAUDE: {"fallback_models": [LLAMA]}}
    aliases = {"fast": CLAUDE}
    async with start(
        emulator, callers=rules(allowed_models=["fast"]), aliases=aliases, models=models
    ) as caller:
        assert (await post(caller, "/chat/completions", ask(model="fast")))[0] == 200
        assert (await post(caller, "/chat/completions", ask(model=CLAUDE)))[0] == 403
        failing = ask("[[emulator:error=ModelErrorException]] x", model="fast")
        assert (await post(caller, "/chat/completions", failing))[0] >= 400
    assert {call.model_id for call in emulator.calls} == {CLAUDE}
    async with start(emulator, callers=rules(allowed_models=["meta.*"]), models=models) as caller:
        status, _ = await post(caller, "/chat/completions", ask(model=CLAUDE))
    assert status == 403  # not another model in the place of the one that was asked for


async def test_lists(emulator: Emulator, start: StartGateway) -> None:
    """A caller is shown what it may ask."""
    async with start(emulator, callers=rules(allowed_models=["us.anthropic.*", TITAN])) as caller:
        async with caller.session.get(f"{caller.url}/v1/models", headers=HEADERS) as response:
            names = [model["id"] for model in (await response.json())["data"]]
        found = []
        for name in (CLAUDE, TITAN, LLAMA):
            async with caller.session.get(f"{caller.url}/v1/models/{name}", headers=HEADERS) as response:
                found.append(response.status)
    assert names
    assert all(name.startswith("us.anthropic.") or name == TITAN for name in names)
    assert TITAN in names
    assert found == [200, 200, 404]


async def test_lists_of_vectors(emulator: Emulator, start: StartGateway) -> None:
    """What embeds is shown by the same patterns that let it be asked: by its alias, profile and base id."""
    aliases = {"vectors": TITAN}
    listed, found = {"vectors", TITAN}, {EMBED_PROFILE}
    for pattern, shown in (("amazon.titan-embed-*", listed), ("cohere.embed-v4*", found)):
        async with start(emulator, callers=rules(allowed_models=[pattern]), aliases=aliases) as caller:
            async with caller.session.get(f"{caller.url}/v1/models", headers=HEADERS) as response:
                names = {model["id"] for model in (await response.json())["data"]}
            assert shown & listed <= names
            for name in shown:
                assert (await post(caller, "/embeddings", {"model": name, "input": "x"}))[0] == 200
                async with caller.session.get(f"{caller.url}/v1/models/{name}", headers=HEADERS) as response:
                    assert response.status == 200


async def test_embeddings(emulator: Emulator, start: StartGateway) -> None:
    """The rules hold for vectors too."""
    body = {"model": TITAN, "input": "x"}
    async with start(emulator, callers=rules(allowed_models=["amazon.titan-embed-*"])) as caller:
        assert (await post(caller, "/embeddings", body))[0] == 200
    async with start(emulator, callers=rules(allowed_models=["anthropic.*"])) as caller:
        assert (await post(caller, "/v1/embeddings", body))[0] == 403


@pytest.mark.parametrize("path", bodies(CLAUDE))
async def test_the_default_limit(path: str, emulator: Emulator, start: StartGateway) -> None:
    """Where a request names no limit Bedrock is given the caller's own, and never the model's maximum."""
    body = bodies(CLAUDE)[path]
    for values, limit in (
        ({"default_max_tokens": 77}, 77),
        ({"default_max_tokens": 40, "max_tokens": 50}, 40),
        ({"max_tokens": 60}, 60),
        ({"max_tokens": 100_000}, 4096),
    ):
        async with start(emulator, callers=rules(**values)) as caller:
            status, text = await post(caller, path, body)
        assert status == 200, text
        assert limits(emulator)[-1] == limit


@pytest.mark.parametrize("path", bodies(CLAUDE, limit=10))
async def test_the_highest_limit(path: str, emulator: Emulator, start: StartGateway) -> None:
    """Less than the highest goes as it is, more is refused by the name that the dialect has for it."""
    async with start(emulator, callers=rules(max_tokens=100, default_max_tokens=5)) as caller:
        assert (await post(caller, path, bodies(CLAUDE, limit=100)[path]))[0] == 200
        status, text = await post(caller, path, bodies(CLAUDE, limit=101)[path])
    assert status == 400
    assert b"callers.team-a.max_tokens" in text
    assert limits(emulator) == [100]


async def test_regions(emulator: Emulator, start: StartGateway) -> None:
    """Targets of other regions are left out, and so are profiles that lead out of the caller's regions."""
    targets = {
        "america": TargetSettings(region="us-east-1", endpoint_url=emulator.url),
        "europe": TargetSettings(region="eu-west-1", endpoint_url=emulator.url),
    }
    model = "anthropic.claude-3-haiku-20240307-v1:0"
    for regions, name, expected in (
        (["*"], model, 200),
        (["us-*"], model, 200),
        (["us-*"], CLAUDE, 200),
        (["us-east-1"], CLAUDE, 403),  # its profile leads to us-west-2 too
        (["ap-*"], model, 403),
        (["us-*"], "global.anthropic.claude-sonnet-4-5-20250929-v1:0", 403),
    ):
        async with start(emulator, callers=rules(allowed_regions=regions), targets=targets) as caller:
            status, text = await post(caller, "/chat/completions", ask(model=name))
        assert status == expected, (regions, name, text)
        if expected == 403:
            assert b"callers.team-a.allowed_regions" in text


async def test_guardrails_by_region(emulator: Emulator, start: StartGateway) -> None:
    """A guardrail is applied in the caller's regions only."""
    path = "/guardrail/emulated/version/1/apply"
    body = {"source": "INPUT", "content": [{"text": {"text": "x"}}]}
    for regions, expected in ((["us-*"], 200), (["eu-*"], 403)):
        async with start(emulator, callers=rules(allowed_regions=regions)) as caller:
            assert (await post(caller, path, body))[0] == expected


async def test_counting_and_reranking(emulator: Emulator, start: StartGateway) -> None:
    """Tokens are counted for models that may be asked; a limit means nothing there."""
    path = f"/model/{CLAUDE.removeprefix('us.')}/count-tokens"
    body = {"input": {"converse": {"messages": converse()["messages"]}}}
    async with start(emulator, callers=rules(max_tokens=10, allowed_models=["*claude*"])) as caller:
        assert (await post(caller, path, body))[0] == 200
    async with start(emulator, callers=rules(allowed_models=["meta.*"])) as caller:
        assert (await post(caller, path, body))[0] == 403


async def test_words_that_are_not_known(emulator: Emulator, start: StartGateway) -> None:
    """Where a body's limit cannot be told, it is not let pass by."""
    model = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/0123456789ab"
    async with start(emulator, callers=rules(max_tokens=10)) as caller:
        status, text = await post(caller, f"/model/{model}/invoke", {"messages": MESSAGES})
    assert (status, b"Converse" in text) == (403, True), text


async def test_vectors_and_ranks_have_no_limit(emulator: Emulator, start: StartGateway) -> None:
    """They are asked in Bedrock's own words as they are."""
    rerank = {
        "queries": [{"type": "TEXT", "textQuery": {"text": "x"}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "y"}}}
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {
                "modelConfiguration": {
                    "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0"
                }
            },
        },
    }
    async with start(emulator, callers=rules(max_tokens=10)) as caller:
        assert (await post(caller, f"/model/{TITAN}/invoke", {"inputText": "x"}))[0] == 200
        status, text = await post(caller, "/rerank", rerank)
    assert status == 200, text


NOVA = "us.amazon.nova-lite-v1:0"
DEEPSEEK = "us.deepseek.r1-v1:0"
ADDED = "additionalModelRequestFields"


@pytest.mark.parametrize(
    ("path", "said", "param"),
    [
        (f"{CLAUDE}/invoke", '"max_tokens":1e6', "max_tokens"),
        (f"{CLAUDE}/invoke", '"max_tokens":"1000"', "max_tokens"),
        (f"{CLAUDE}/invoke", '"max_tokens":true', "max_tokens"),
        (f"{CLAUDE}/invoke", '"max_tokens":-1', "max_tokens"),
        (f"{CLAUDE}/invoke", '"max_t\\u006fkens":1000', "max_tokens"),
        (f"{CLAUDE}/invoke", '"max_tokens":5,"max_t\\u006fkens":1000', "body"),
        (f"{NOVA}/invoke", '"inferenceConfig":{"max_new_tokens":1000.0}', "inferenceConfig.max_new_tokens"),
        (f"{NOVA}/converse", f'"{ADDED}":{{"max_tokens":1000}}', f"{ADDED}.max_tokens"),
        (
            f"{NOVA}/converse-stream",
            f'"inferenceConfig":{{"maxTokens":5}},"{ADDED}":{{"inferenceConfig":{{"max_new_tokens":1000}}}}',
            f"{ADDED}.inferenceConfig.max_new_tokens",
        ),
        # an escape in `messages` hides which of its two languages this model is asked in
        (f"{DEEPSEEK}/invoke", '"m\\u0065ssages":[],"max_completion_tokens":1000', "max_completion_tokens"),
    ],
)
async def test_no_way_around_the_highest_limit(
    path: str, said: str, param: str, emulator: Emulator, start: StartGateway
) -> None:
    """A limit that is no number, written in escapes, or in other words than the body's, is found."""
    headers = {**HEADERS, "Content-Type": "application/json"}
    async with start(emulator, callers=rules(max_tokens=100)) as caller:
        url = f"{caller.url}/model/{path}"
        async with caller.session.post(url, data=f"{{{said}}}", headers=headers) as response:
            status, text = response.status, await response.text()
    assert (status, len(emulator.calls)) == (400, 0), text
    assert param == "body" or param in text


async def test_a_default_in_the_models_words(emulator: Emulator, start: StartGateway) -> None:
    """A default leaves alone what a body says, in whatever words; a highest limit stands beside them."""
    body = {**converse(), "inferenceConfig": {}, ADDED: {"max_tokens": 50}}
    for values, sent in (({"default_max_tokens": 7}, {}), ({"max_tokens": 60}, {"maxTokens": 60})):
        async with start(emulator, callers=rules(**values)) as caller:
            await post(caller, f"/model/{CLAUDE}/converse", body)
        assert emulator.calls[-1].body["inferenceConfig"] == sent
