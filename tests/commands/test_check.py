"""`bedrock-gateway check` as a person or a pipeline uses it: processes, against emulated services."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from gateway.commands.check import table
from gateway.diagnosis.results import Result
from gateway.emulator import EmulatedSts, Emulator, EmulatorSettings, KeyRing, Role
from tests.harness import CLAUDE, NOVA, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROLE = "arn:aws:iam::111122223333:role/gateway"
EXTERNAL_ID = "canary-external-id"
SECRET = "canary-secret-access-key"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
CLOSED = "127.0.0.1:9"
NO_COUNTING = ("AccessDeniedException", "User: x is not authorized to perform: bedrock:CountTokens")


@dataclass(frozen=True)
class Services:
    """The emulated services that one process of the command meets."""

    bedrock: Emulator
    sts: EmulatedSts
    keys: KeyRing

    def environment(self) -> dict[str, str]:
        """Return a healthy set-up."""
        known = self.bedrock.settings
        return {
            "AWS_ACCESS_KEY_ID": known.access_key_id,
            "AWS_SECRET_ACCESS_KEY": known.secret_access_key,
            "AWS_REGION": known.region,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.bedrock.url,
            "AWS_ENDPOINT_URL_STS": self.sts.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "GATEWAY_DEFAULT_MODEL": NOVA,
        }


def unchanged(services: Services) -> dict[str, str]:
    """Change nothing: what is broken is at AWS."""
    del services
    return {}


def changing(**variables: str) -> Callable[[Services], Mapping[str, str]]:
    """Return a breakage that sets these variables; an empty one is taken out."""

    def broken(services: Services) -> Mapping[str, str]:
        del services
        return variables

    return broken


@dataclass(frozen=True)
class Run:
    """What one process said."""

    code: int | None
    out: str
    err: str

    @property
    def checks(self) -> list[dict[str, str]]:
        """The results of `--json`."""
        checks: list[dict[str, str]] = json.loads(self.out)["checks"]
        return checks

    def named(self, name: str) -> dict[str, str]:
        """Return the one result of this name."""
        [check] = [check for check in self.checks if check["name"] == name]
        return check

    def with_status(self, status: str) -> list[str]:
        """Return the names of the checks that ended so."""
        return [check["name"] for check in self.checks if check["status"] == status]


async def check(
    *arguments: str,
    broken: Callable[[Services], Mapping[str, str]] = unchanged,
    **bedrock: Any,
) -> Run:
    """Run the command in front of emulated services; no secret may come out of it."""
    keys = KeyRing()
    settings = EmulatorSettings(secret_access_key=SECRET, **bedrock)
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(settings, keys))
        roles = (Role(arn=ROLE, external_id=EXTERNAL_ID),)
        sts = await stack.enter_async_context(EmulatedSts(keys, roles, settings))
        services = Services(emulator, sts, keys)
        changed = {**services.environment(), **broken(services)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "check", *arguments,
            env={**os.environ, "PYTHONPATH": str(ROOT), **{k: v for k, v in changed.items() if v}},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
    run = Run(process.returncode, out.decode(), err.decode())
    assert "canary" not in run.out + run.err
    assert "Traceback" not in run.err
    return run


# ── healthy ───────────────────────────────────────────────────────────────────────────────────────────


async def test_healthy_for_people() -> None:
    """A line for each check in columns, no colours where it is no terminal, exit code 0."""
    run = await check()

    lines = run.out.splitlines()
    assert (run.code, run.err) == (0, "")
    assert [line.split()[:2] for line in lines[:8]] == [
        ["ok", "settings"],
        ["ok", "credentials"],
        ["ok", "endpoint"],
        ["ok", "connection"],
        ["ok", "clock"],
        ["ok", "identity"],
        ["ok", "model"],
        ["skipped", "quotas"],
    ]
    assert "the keys of AWS_ACCESS_KEY_ID" in lines[1]
    assert "region us-east-1" in lines[2]
    assert "arn:aws:iam::000000000000:user/emulator, account 000000000000" in lines[5]
    assert f"model {NOVA}  answers by InvokeModel, streaming (this cost " in lines[6]
    assert "Cross-Region InvokeModel tokens per minute for Amazon Nova Micro" in lines[8]
    assert lines[-1] == "8 checks: 0 failed, 0 with a warning"
    assert "\x1b" not in run.out


async def test_healthy_for_machines() -> None:
    """One JSON object: whether it is well, and every check with its status, message and advice."""
    run = await check("--json")

    whole = json.loads(run.out)
    assert (run.code, whole["ok"], whole["exit_code"]) == (0, True, 0)
    assert [item["status"] for item in whole["checks"]] == ["ok"] * 7 + ["skipped"]
    assert {tuple(item) for item in whole["checks"]} == {("name", "status", "message", "advice", "said")}


def in_a_role(services: Services) -> dict[str, str]:
    """Assume a role by the keys."""
    del services
    role = {"role_arn": ROLE, "external_id": EXTERNAL_ID}
    return {"GATEWAY_CREDENTIALS__ROLES": json.dumps([role])}


async def test_healthy_in_a_role() -> None:
    """The chain of sources is named, how long its keys last, and who that makes us."""
    run = await check("--json", broken=in_a_role)

    assert run.code == 0
    assert run.named("credentials")["message"].startswith(
        f"the role {ROLE}, assumed with the keys of AWS_ACCESS_KEY_ID; they last "
    )
    assert run.named("identity")["message"] == f"{ROLE}, account 111122223333"


def with_an_api_key(services: Services) -> dict[str, str]:
    """Use an API key."""
    token = services.bedrock.settings.bearer_token or ""
    return {"GATEWAY_BEDROCK__AUTH": "bearer", "AWS_BEARER_TOKEN_BEDROCK": token}


async def test_healthy_with_an_api_key() -> None:
    """An API key has no identity that STS knows; the models are asked all the same."""
    run = await check("--json", broken=with_an_api_key, bearer_token="canary-token")

    assert run.code == 0
    assert run.named("identity")["status"] == "skipped"
    assert run.named(f"model {NOVA}")["status"] == "ok"


async def test_cheapest_calls() -> None:
    """Claude's base ids are counted for, embedding models embed a word, others answer one token."""
    names = (HAIKU, "cohere.embed-english-v3", "meta.llama3-8b-instruct-v1:0", NOVA, NOVA)
    run = await check("--json", *(part for name in names for part in ("--model", name)))

    assert run.code == 0
    assert [
        item["message"].partition(" (")[0] for item in run.checks if item["name"].startswith("model ")
    ] == [
        "answers CountTokens, which is free",
        "embeds: 1024 dimensions",
        "answers by Converse, streaming",
        "answers by InvokeModel, streaming",
    ]


@pytest.mark.parametrize(
    ("model", "variables", "refusal", "status", "words"),
    [
        (HAIKU, {}, ("ValidationException", "No."), "fail", "refused the check's one-token request"),
        (HAIKU, {"GATEWAY_BEDROCK__OPERATION": "converse"}, None, "ok", "answers CountTokens, which is free"),
        (HAIKU, {"GATEWAY_BEDROCK__STREAMING": "0"}, NO_COUNTING, "fail", "allows bedrock:InvokeModel for"),
        (HAIKU, {}, ("AccessDeniedException", "No."), "fail", "the account has no access to"),
        ("cohere.embed-english-v3", {}, ("AccessDeniedException", "No."), "fail", "no access to"),
    ],
)
async def test_counting(
    model: str, variables: dict[str, str], refusal: tuple[str, str] | None, status: str, words: str
) -> None:
    """Where Bedrock does not count for a model, or not for us, a completion decides."""
    refusals = {} if refusal is None else {model: refusal}
    run = await check("--json", "--model", model, broken=changing(**variables), refusals=refusals)

    assert run.named(f"model {model}")["status"] == status
    assert words in run.named(f"model {model}")["message"]


async def test_no_calls() -> None:
    """With `--no-calls` no model is called, and a wrong id is found all the same."""
    run = await check(
        *("--json", "--no-calls", "--model", HAIKU, "--model", SONNET, "--model", "cohere.embed-english-v3")
    )

    assert run.code == 1
    assert run.named(f"model {HAIKU}") | {"said": ""} == {
        "name": f"model {HAIKU}",
        "status": "skipped",
        "message": "can be asked for; not called",
        "advice": "",
        "said": "",
    }
    assert run.named("model cohere.embed-english-v3")["status"] == "skipped"
    assert run.with_status("fail") == [f"model {SONNET}"]


def without_models(services: Services) -> dict[str, str]:
    """Configure none."""
    del services
    return {"GATEWAY_DEFAULT_MODEL": ""}


async def test_no_model_is_configured() -> None:
    """Where none is configured, the cheapest of the catalogue that suits the region is asked."""
    run = await check("--json", broken=without_models)

    assert run.code == 0
    assert run.named("models")["message"] == f"none is configured: looking at {NOVA}"
    assert run.named(f"model {NOVA}")["status"] == "ok"


def with_nothing_allowed(services: Services) -> dict[str, str]:
    """Allow what does not exist."""
    return {**without_models(services), "GATEWAY_ALLOWED_MODELS": '["nobody.*"]'}


async def test_no_model_is_allowed() -> None:
    """Where none is configured and none is allowed, that is a warning."""
    run = await check("--json", broken=with_nothing_allowed)

    assert (run.code, run.with_status("warn")) == (0, ["models"])


def with_many_models(services: Services) -> dict[str, str]:
    """Name the same models in several places."""
    del services
    return {
        "GATEWAY_ALIASES": json.dumps({"fast": NOVA, "clever": CLAUDE}),
        "GATEWAY_MODELS": json.dumps({HAIKU: {"on_demand": True}}),
        "GATEWAY_PROVIDERS": json.dumps({"x": {"name": "X", "models": [{"id": CLAUDE, "name": "C"}]}}),
    }


async def test_every_configured_model_once() -> None:
    """Default model, aliases, `models` and providers are looked at, each model once."""
    run = await check("--json", broken=with_many_models)

    assert run.code == 0
    assert [item["name"] for item in run.checks[6:-1]] == [f"model {NOVA}", "model clever", f"model {HAIKU}"]
    assert run.named("model clever")["message"].startswith(f"{CLAUDE} answers by InvokeModel")


# ── broken ────────────────────────────────────────────────────────────────────────────────────────────


def expired(services: Services) -> dict[str, str]:
    """Use temporary keys whose time is over."""
    key = services.keys.issue(ROLE, 3600)
    services.keys.revoke()
    return {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_SESSION_TOKEN": key.session_token,
    }


def no_tls(services: Services) -> dict[str, str]:
    """Speak TLS to a port that does not."""
    return {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": services.bedrock.url.replace("http:", "https:")}


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
ROLES = json.dumps([{"role_arn": ROLE, "external_id": "another"}])
POLICY = f"User: {ROLE} is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: x "


@dataclass(frozen=True)
class Case:
    """A broken set-up, the check that fails, and the words of its line and of its advice."""

    name: str
    fails: str
    message: str
    advice: str
    broken: Callable[[Services], Mapping[str, str]] = unchanged
    bedrock: dict[str, Any] = field(default_factory=dict)


def refused(name: str, code: str, words: str, message: str, advice: str) -> Case:
    """Return the set-up in which Bedrock refuses the model so."""
    return Case(name, f"model {NOVA}", message, advice, bedrock={"refusals": {NOVA: (code, words)}})


CASES = [
    Case("no credentials", "credentials", "no AWS credentials", "AWS_PROFILE", changing(**NO_KEYS)),
    Case(
        "no such profile",
        "credentials",
        "profile that is named does not exist",
        "correct AWS_PROFILE",
        changing(AWS_PROFILE="nobody", **NO_KEYS),
    ),
    Case(
        "no token file",
        "credentials",
        "a file with a token cannot be read",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        changing(AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere/token", AWS_ROLE_ARN=ROLE, **NO_KEYS),
    ),
    Case(
        "role not assumable",
        "credentials",
        f"cannot be assumed: the role {ROLE}, assumed with the keys",
        "trust policy",
        changing(GATEWAY_CREDENTIALS__ROLES=ROLES),
    ),
    Case(
        "unknown key",
        "identity",
        "does not know this access key",
        "AWS_ACCESS_KEY_ID",
        changing(AWS_ACCESS_KEY_ID="AKIANOBODY0000000000"),
    ),
    Case(
        "wrong secret",
        "identity",
        "the secret does not belong to the access key",
        "AWS_SECRET_ACCESS_KEY",
        changing(AWS_SECRET_ACCESS_KEY="canary-of-another-key"),
    ),
    Case("expired", "identity", "have expired", "AWS_SESSION_TOKEN", expired),
    Case(
        "wrong region",
        "identity",
        "belongs to another region or service than eu-west-1",
        "AWS_REGION",
        changing(AWS_REGION="eu-west-1", GATEWAY_DEFAULT_MODEL="eu.amazon.nova-micro-v1:0"),
    ),
    Case("clock behind", "clock", "behind AWS's", "NTP", bedrock={"date_offset_s": 900}),
    Case("clock ahead", "clock", "ahead of AWS's", "NTP", bedrock={"date_offset_s": -900}),
    Case(
        "nothing listens",
        "connection",
        f"nothing answers at the endpoint: http://{CLOSED}",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        changing(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"http://{CLOSED}"),
    ),
    Case(
        "no such host",
        "connection",
        "cannot be resolved: http://bedrock.invalid",
        "DNS",
        changing(AWS_ENDPOINT_URL_BEDROCK_RUNTIME="http://bedrock.invalid"),
    ),
    Case("no TLS", "connection", "no TLS connection", "AWS_CA_BUNDLE", no_tls),
    refused(
        "model access",
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID.",
        f"the account has no access to {NOVA}",
        "model access",
    ),
    refused(
        "IAM policy",
        "AccessDeniedException",
        f"{POLICY}because no identity-based policy allows the bedrock:InvokeModelWithResponseStream action",
        f"no IAM policy of ours allows bedrock:InvokeModelWithResponseStream for {NOVA}",
        f"arn:aws:bedrock:us-east-1:*:inference-profile/{NOVA} and "
        "arn:aws:bedrock:*::foundation-model/amazon.nova-micro-v1:0",
    ),
    refused(
        "SCP",
        "AccessDeniedException",
        f"{POLICY}with an explicit deny in a service control policy",
        "service control policy (SCP)",
        "AWS organisation",
    ),
    refused(
        "marketplace",
        "AccessDeniedException",
        "Model access is denied due to IAM user or service role is not authorized to perform the required "
        "AWS Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe)",
        "AWS Marketplace",
        "aws-marketplace:Subscribe",
    ),
    refused("use-case form", "FTUFormNotFilled", "No form.", "use-case form", "submit use case details"),
    refused(
        "profile needed",
        "ValidationException",
        f"Invocation of model ID {NOVA} with on-demand throughput isn’t supported.",
        "served through an inference profile only",
        f"use {NOVA}",
    ),
    refused(
        "unknown model",
        "ValidationException",
        "The provided model identifier is invalid.",
        f"Bedrock does not know {NOVA} in us-east-1",
        "AWS_REGION",
    ),
    refused(
        "retired",
        "ResourceNotFoundException",
        "This model version has reached the end of its life.",
        "retired",
        "newer model",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_broken(case: Case) -> None:
    """Exactly the check that is at fault fails, in one line with what it is and advice on what to do."""
    run = await check("--json", broken=case.broken, **case.bedrock)

    assert (run.code, run.with_status("fail")) == (1, [case.fails]), run.out
    found = run.named(case.fails)
    assert case.message in found["message"]
    assert case.advice in found["advice"]
    assert "\n" not in found["message"] + found["advice"] + found["said"]


async def test_broken_for_people() -> None:
    """The text has the failure, what to do, and what AWS said; the exit code is 1."""
    refusals = {NOVA: ("AccessDeniedException", "No\naccess.")}
    run = await check(refusals=refusals)

    lines = run.out.splitlines()
    [number] = [number for number, line in enumerate(lines) if line.startswith("fail")]
    assert run.code == 1
    assert lines[number].split(maxsplit=3)[3] == f"the account has no access to {NOVA}"
    assert lines[number + 1].startswith("         → enable the model in the Bedrock console of us-east-1")
    assert lines[number + 2] == "           it was said: AccessDeniedException: No access."
    assert lines[-1] == "7 checks: 1 failed, 0 with a warning"


@pytest.mark.parametrize(
    ("warned", "message", "broken", "bedrock"),
    [
        ("identity", "STS could not be asked", changing(AWS_ENDPOINT_URL_STS=f"http://{CLOSED}"), {}),
        ("clock", "s behind AWS's", unchanged, {"date_offset_s": 120}),
        ("endpoint", "AWS_REGION is not set", changing(AWS_REGION=""), {}),
        (
            f"model {NOVA}",
            "access is granted, but Bedrock throttles",
            unchanged,
            {"refusals": {NOVA: ("ThrottlingException", "Too many requests")}},
        ),
    ],
)
async def test_warnings(
    warned: str,
    message: str,
    broken: Callable[[Services], Mapping[str, str]],
    bedrock: dict[str, Any],
) -> None:
    """What does not stop requests warns, with advice, and the exit code stays 0."""
    run = await check("--json", broken=broken, **bedrock)

    assert (run.code, run.with_status("fail"), run.with_status("warn")) == (0, [], [warned])
    assert message in run.named(warned)["message"]
    assert run.named(warned)["advice"]


async def test_what_rests_on_a_failure_is_skipped() -> None:
    """Models are not asked with keys that STS does not know: there is one failure, not many."""
    run = await check("--json", broken=changing(AWS_ACCESS_KEY_ID="AKIANOBODY0000000000"))

    assert run.with_status("skipped") == ["models"]
    assert run.named("models")["message"] == "not looked at, because of `identity`"


@pytest.mark.parametrize(
    "variables",
    [
        {"GATEWAY_PORT": "x", "GATEWAY_MAX_QUEUE": "-1"},
        {"GATEWAY_ALIASES": '{"fast": "no such model", "slow": "../x"}'},
    ],
)
async def test_broken_settings(variables: dict[str, str]) -> None:
    """Settings that `serve` would refuse: every problem is a failed check, exit code 78, and no more."""
    run = await check("--json", broken=changing(**variables))

    assert run.code == 78
    assert [(item["name"], item["status"]) for item in run.checks] == [("settings", "fail")] * 2


async def test_models_that_are_none() -> None:
    """A name that is no model id, and a model that neither chats nor embeds, are called that."""
    image = "amazon.titan-image-generator-v2:0"
    run = await check("--json", "--model", "x \x1b[31m", "--model", image)

    assert (run.code, "\x1b" in run.out) == (1, False)
    assert run.with_status("fail") == ["model x???31m", f"model {image}"]
    assert "neither a model for chats nor for embeddings" in run.named(f"model {image}")["message"]


async def test_something_else_than_bedrock() -> None:
    """An endpoint that answers everything with a page is a failure, not a crash."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        broken = changing(AWS_ENDPOINT_URL_BEDROCK_RUNTIME=url)
        run = await check("--json", "--model", HAIKU, broken=broken)

    assert (run.code, run.with_status("fail"), run.with_status("warn")) == (1, [f"model {HAIKU}"], ["clock"])


def test_colours() -> None:
    """On a terminal the status has a colour; the columns stay where they are."""
    results = [Result("a", "ok", "good"), Result("long", "fail", "bad", "mend it", "no")]

    assert table(results, colours=True).splitlines() == [
        "\x1b[32mok     \x1b[0m  a     good",
        "\x1b[31mfail   \x1b[0m  long  bad",
        "         → mend it",
        "           it was said: no",
        "",
        "2 checks: 1 failed, 0 with a warning",
    ]
