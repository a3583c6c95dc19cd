"""`bedrock-gateway iam`: settings in, a policy out, and what is told besides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway import cli

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
NOVA = "amazon.nova-micro-v1:0"
OWN = "arn:aws:bedrock:us-east-1:*:"
FIRST, LAST = "arn:aws:iam::111122223333:role/first", "arn:aws:iam::444455556666:role/last"
BOTH = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
UNARY = ["bedrock:InvokeModel"]
NO_GUARDRAIL = "NOTE: no guardrail is let through"


def model(region: str, name: str) -> str:
    """Return the ARN of a foundation model."""
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"


def allow(sid: str, actions: list[str], *resources: str, **more: Any) -> dict[str, Any]:
    """Return a statement."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": sorted(resources), **more}


def by(*profiles: str) -> dict[str, Any]:
    """Return the condition that these profiles are asked."""
    return {"StringLike": {"bedrock:InferenceProfileArn": list(profiles)}}


def counting(*resources: str) -> dict[str, Any]:
    """Return the statement for CountTokens."""
    return allow("CountTokens", ["bedrock:CountTokens"], *resources)


US = f"{OWN}inference-profile/us.{CLAUDE}"
US_CLAUDE = [
    allow("Ask", BOTH, US),
    allow("AskByProfile", BOTH, model("us-*", CLAUDE), Condition=by(US)),
    counting(model("us-east-1", CLAUDE)),
]
CASES: dict[str, tuple[dict[str, str], list[str], list[dict[str, Any]]]] = {
    "an alias, and nothing else allowed": (
        {"ALIASES": json.dumps({"fast": f"us.{CLAUDE}"}), "ALLOWED_MODELS": '["fast"]'},
        [],
        US_CLAUDE,
    ),
    "the default model, by another name than the allowed one": (
        {
            "ALIASES": json.dumps({"fast": f"us.{CLAUDE}"}),
            "DEFAULT_MODEL": "fast",
            "ALLOWED_MODELS": f'["us.{CLAUDE}"]',
        },
        [],
        US_CLAUDE,
    ),
    "a model that only profiles serve is not asked by its base id": (
        {"ALLOWED_MODELS": f'["{CLAUDE}", "us.{CLAUDE}"]'},
        [],
        US_CLAUDE,
    ),
    "embeddings are unary, and a model that is none is nothing": (
        {"ALLOWED_MODELS": f'["{TITAN}", "no model at all"]'},
        [],
        [allow("AskUnary", UNARY, model("us-east-1", TITAN))],
    ),
    "a chat without streaming": (
        {"ALLOWED_MODELS": f'["{NOVA}"]', "BEDROCK__STREAMING": "false"},
        [],
        [allow("AskUnary", UNARY, model("us-east-1", NOVA))],
    ),
    "pictures and rankings": (
        {"ALLOWED_MODELS": '["amazon.rerank-v1:0", "amazon.nova-canvas-v1:0"]'},
        [],
        [
            allow(
                "AskUnary",
                UNARY,
                model("us-east-1", "amazon.rerank-v1:0"),
                model("us-east-1", "amazon.nova-canvas-v1:0"),
            ),
            allow("Rerank", ["bedrock:Rerank"], "*"),
        ],
    ),
    "a fallback model": (
        {
            "ALLOWED_MODELS": f'["us.{CLAUDE}", "{NOVA}"]',
            "MODELS": json.dumps({f"us.{CLAUDE}": {"fallback_models": [NOVA]}}),
        },
        [],
        [allow("Ask", BOTH, US, model("us-east-1", NOVA)), *US_CLAUDE[1:]],
    ),
    "patterns of a catalogue are what the catalogue has": (
        {"ALLOWED_MODELS": '["amazon.nova-micro*"]', "CUSTOM_MODEL_IDS": "false"},
        [],
        [allow("Ask", BOTH, model("us-east-1", NOVA))],
    ),
    "guardrails, and an account": (
        {"ALLOWED_MODELS": f'["{NOVA}"]'},
        [
            "--account=123456789012",
            "--guardrail=gr1",
            "--guardrail=arn:aws:bedrock:us-east-1:111122223333:guardrail/gr2",
        ],
        [
            allow("Ask", BOTH, model("us-east-1", NOVA)),
            allow(
                "Guardrails",
                ["bedrock:ApplyGuardrail"],
                "arn:aws:bedrock:us-east-1:123456789012:guardrail/gr1",
                "arn:aws:bedrock:us-east-1:111122223333:guardrail/gr2",
            ),
        ],
    ),
    "the gateway's own identity assumes the first role only": (
        {
            "ALLOWED_MODELS": f'["{NOVA}"]',
            "CREDENTIALS__ROLES": json.dumps([{"role_arn": FIRST, "tags": {"a": "b"}}, {"role_arn": LAST}]),
        },
        [],
        [allow("AssumeRoles", ["sts:AssumeRole", "sts:TagSession"], FIRST)],
    ),
    "the first role assumes the last, for each caller by a tag": (
        {
            "ALLOWED_MODELS": f'["{NOVA}"]',
            "CREDENTIALS__ROLES": json.dumps([{"role_arn": FIRST}, {"role_arn": LAST}]),
            "CREDENTIALS__CALLER_SESSIONS": "true",
            "CREDENTIALS__CALLER_TAG": "team",
        },
        [f"--role={FIRST}"],
        [allow("AssumeRoles", ["sts:AssumeRole", "sts:TagSession"], LAST)],
    ),
    "the last role asks Bedrock": (
        {
            "ALLOWED_MODELS": f'["{NOVA}"]',
            "CREDENTIALS__ROLES": json.dumps([{"role_arn": FIRST}, {"role_arn": LAST}]),
        },
        [f"--role={LAST}"],
        [allow("Ask", BOTH, model("us-east-1", NOVA))],
    ),
    "targets: here by our own identity, there by a role": (
        {
            "ALLOWED_MODELS": f'["{NOVA}"]',
            "TARGETS": json.dumps(
                {
                    "east": {"region": "us-east-1"},
                    "west": {"region": "us-west-2", "roles": [{"role_arn": LAST}]},
                }
            ),
        },
        [],
        [allow("Ask", BOTH, model("us-east-1", NOVA)), allow("AssumeRoles", ["sts:AssumeRole"], LAST)],
    ),
    "targets: the role's own": (
        {
            "ALLOWED_MODELS": f'["{NOVA}"]',
            "TARGETS": json.dumps(
                {
                    "east": {"region": "us-east-1"},
                    "west": {"region": "us-west-2", "roles": [{"role_arn": LAST}]},
                }
            ),
        },
        [f"--role={LAST}"],
        [allow("Ask", BOTH, model("us-west-2", NOVA))],
    ),
}


def printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    *options: str,
) -> tuple[int, Any, str]:
    """Run the command, and return its exit code, the policy, and what it says besides."""
    monkeypatch.setenv("AWS_REGION", settings.pop("AWS_REGION", "us-east-1"))
    for name, value in settings.items():
        monkeypatch.setenv(name if name.startswith("AWS_") else f"GATEWAY_{name}", value)
    code = cli.main(["iam", *options])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


@pytest.mark.parametrize("case", CASES)
def test_the_policy(case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings and the policy for them."""
    settings, options, statements = CASES[case]
    code, policy, _ = printed(monkeypatch, capsys, dict(settings), *options)

    assert code == 0
    assert policy["Statement"] == statements
    assert policy["Version"] == "2012-10-17"


def test_everything_is_said_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where any id may be asked for the policy has patterns, and says why, and what to do about it."""
    _, policy, said = printed(monkeypatch, capsys, {})
    by_sid = {one["Sid"]: one for one in policy["Statement"]}

    assert said.startswith("WARNING: every model, profile and own model of the account may be asked")
    assert model("us-east-1", "*") in by_sid["Ask"]["Resource"]
    assert by_sid["AskByProfile"]["Resource"] == [model("*", "*")]
    assert by_sid["CountTokens"]["Resource"] == [model("us-east-1", "anthropic.*")]
    assert "Rerank" in by_sid


def test_a_pattern_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern of what is allowed is one of the policy, where ids beyond the catalogue may be asked."""
    _, policy, said = printed(monkeypatch, capsys, {"ALLOWED_MODELS": '["us.amazon.nova-*"]'})

    assert said.startswith("WARNING: 'us.amazon.nova-*' of allowed_models is a pattern in the policy, too")
    assert [one["Sid"] for one in policy["Statement"]] == ["Ask", "AskByProfile"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "NOTE: no guardrail is let through"),
        ({"BEDROCK__S3_LOCATIONS": "true"}, "s3:GetObject"),
        ({"CREDENTIALS__ROLES": json.dumps([{"role_arn": FIRST}])}, f"bedrock-gateway iam --role {FIRST}\n"),
        ({"AWS_REGION": ""}, "NOTE: no region is set"),
        (
            {"MODELS": json.dumps({f"{OWN.replace('*', '123456789012')}prompt/ABCDEFGHIJ": {}})},
            "needs bedrock:RenderPrompt, too",
        ),
        (
            {"MODELS": json.dumps({"arn:aws:sagemaker:us-east-1:123456789012:endpoint/x": {}})},
            "needs sagemaker:InvokeEndpoint, too",
        ),
        ({"CUSTOM_MODEL_IDS": "false"}, "bytes; a managed policy may have 6144"),
    ],
)
def test_what_is_told(
    settings: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is left to the operator."""
    code, _, said = printed(monkeypatch, capsys, dict(settings))

    assert code == 0
    assert words in said


def test_api_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose key is used must be let use it."""
    settings = {
        "ALLOWED_MODELS": f'["{NOVA}"]',
        "BEDROCK__AUTH": "bearer",
        "AWS_BEARER_TOKEN_BEDROCK": "CANARY",
    }
    _, policy, _ = printed(monkeypatch, capsys, settings)

    assert policy["Statement"][-1] == allow("UseApiKeys", ["bedrock:CallWithBearerToken"], "*")


@pytest.mark.parametrize(
    ("settings", "options", "code", "words"),
    [
        ({}, [f"--role={FIRST}"], 1, "the settings assume no such role; they assume none"),
        ({"CREDENTIALS__ROLES": json.dumps([{"role_arn": LAST}])}, [f"--role={FIRST}"], 1, f"assume {LAST}"),
        ({"MAX_QUEUE": "x"}, [], 78, "max_queue"),
        ({"ALIASES": '{"a": "../x"}'}, [], 78, "alias 'a'"),
    ],
)
def test_what_cannot_be_done(
    settings: dict[str, str],
    options: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No policy, and a reason."""
    ended, policy, said = printed(monkeypatch, capsys, dict(settings), *options)

    assert (ended, policy) == (code, None)
    assert words in said


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--account", "abc", "give its 12 digits"), ("--guardrail", "x!y", "neither a guardrail's id")],
)
def test_no_such_name(option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What AWS cannot know is refused before a policy is printed with it."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["iam", option, value])
    assert (ended.value.code, words in capsys.readouterr().err) == (2, True)
