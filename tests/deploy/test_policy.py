"""What `bedrock-gateway iam` prints, held to what cfn-lint knows of IAM: the grammar, and AWS's actions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gateway import cli
from tests.deploy.tools import judged
from tests.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FIRST, LAST = "arn:aws:iam::111122223333:role/first", "arn:aws:iam::444455556666:role/last"
SETTINGS = {
    "AWS_REGION": "us-east-1",
    "GATEWAY_CREDENTIALS__ROLES": json.dumps([{"role_arn": FIRST}, {"role_arn": LAST, "tags": {"a": "b"}}]),
}
ALL_KINDS = {
    *("Ask", "AskByProfile", "AskByRouter", "CountTokens", "Rerank", "Guardrails", "AssumeRoles"),
    "UseApiKeys",
}


def _template(folder: Path, policies: list[Any]) -> Path:
    file = folder / "template.json"
    resources = {
        f"Policy{number}": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": policy}}
        for number, policy in enumerate(policies)
    }
    file.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    return file


def _printed(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert cli.main(["iam", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_cfn_lint_finds_the_one_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of policies with every kind of statement it names the one whose action AWS does not have."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    policies = [
        _printed(capsys),
        _printed(capsys, f"--role={FIRST}"),
        _printed(capsys, f"--role={LAST}", "--guardrail=abc", "--account=123456789012"),
    ]
    monkeypatch.delenv("GATEWAY_CREDENTIALS__ROLES")
    monkeypatch.setenv("GATEWAY_BEDROCK__AUTH", "bearer")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "CANARY")
    policies.append(_printed(capsys))
    wrong = json.loads(json.dumps(policies[-1]).replace("bedrock:Rerank", "bedrock:Rank"))
    lint = (program("cfn-lint", "requirements-dev.lock"), "--non-zero-exit-code", "informational")

    assert {one["Sid"] for policy in policies for one in policy["Statement"]} == ALL_KINDS
    _, said = judged(*lint, str(_template(tmp_path, [*policies, wrong])))
    [complaint] = re.findall(r"^[EWI][0-9]{4} .*", said, re.MULTILINE)
    assert "'rank' is not one of" in complaint
