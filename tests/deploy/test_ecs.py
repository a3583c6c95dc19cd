"""deploy/ecs: held to CloudFormation's own schemas by cfn-lint, and agreeing with the gateway."""

from __future__ import annotations

from typing import Any, Final

import pytest
import yaml

from gateway import authentication
from gateway.settings import Settings, load
from tests.deploy.test_image import instructions
from tests.deploy.tools import judged
from tests.harness import ROOT
from tests.programs import program

TEMPLATE: Final = ROOT / "deploy" / "ecs" / "template.yaml"
SHA256: Final = "a" * 64
VALUES: Final = {
    "AllowedModels": '["us.amazon.nova-micro-v1:0"]',
    "MinTasks": "3",
    "CallersSecretArn": f'{{"search": {{"key_sha256": ["{SHA256}"], "requests_per_minute": 600}}}}',
    "CacheUrl": "rediss://:password@cache.example:6379/0",
}
"""What the names of the template stand for in a task."""
CALLS: Final = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


class Tagged(yaml.SafeLoader):  # type: ignore[misc] # yaml ships no types
    """Reads `!Ref x` as the word that it names, and the other short forms as what they hold."""


def _tagged(loader: Tagged, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


Tagged.add_multi_constructor("!", _tagged)


def resources() -> dict[str, Any]:
    """Return the properties of each resource."""
    found: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Tagged)["Resources"]  # noqa: S506 - a safe one
    return {name: one["Properties"] for name, one in found.items()}


def container() -> dict[str, Any]:
    """Return the gateway's container."""
    [found] = resources()["Task"]["ContainerDefinitions"]
    return dict(found)


@pytest.fixture(name="settings")
def _settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give the settings of a task."""
    named = [(one["Name"], one["Value"]) for one in container()["Environment"]]
    named += [(one["Name"], one["ValueFrom"]) for one in container()["Secrets"]]
    for name, value in named:
        monkeypatch.setenv(name, VALUES.get(value, value))
    return load()


def test_cfn_lint_finds_no_fault() -> None:
    """Types, properties, values, references, and where they may stand; its warnings count, too."""
    code, said = judged(
        program("cfn-lint", "requirements-dev.lock"), "--non-zero-exit-code", "informational", str(TEMPLATE)
    )

    assert (code, said) == (0, "")


def test_the_gateway_takes_it(settings: Settings) -> None:
    """A task starts on an address that others reach, knows its callers, and counts in Valkey by TLS."""
    assert authentication.exposure(settings, settings.host) == []
    assert settings.callers["search"].key_sha256 == (SHA256,)
    assert settings.redis.url is not None
    assert settings.port == container()["PortMappings"][0]["ContainerPort"] == resources()["Targets"]["Port"]


def test_the_clocks_fit(settings: Settings) -> None:
    """Nobody gives up before the gateway does, and a drain is over before the task is killed."""
    balancer = {one["Key"]: one["Value"] for one in resources()["Balancer"]["LoadBalancerAttributes"]}
    targets = resources()["Targets"]
    idle_ms = int(balancer["idle_timeout.timeout_seconds"]) * 1000
    [delay] = [
        int(one["Value"]) * 1000
        for one in targets["TargetGroupAttributes"]
        if one["Key"] == "deregistration_delay.timeout_seconds"
    ]

    assert (
        settings.bedrock.total_timeout_ms + settings.queue_timeout_ms
        < idle_ms
        < settings.keepalive_timeout_ms
    )
    assert max(settings.heartbeat_interval_ms, settings.heartbeat_grace_ms) < idle_ms
    assert container()["StopTimeout"] * 1000 == settings.drain.grace_ms <= 120_000
    assert delay >= settings.drain.propagation_ms + settings.drain.deadline_ms
    noticed = targets["HealthCheckIntervalSeconds"] * targets["UnhealthyThresholdCount"] * 1000
    assert noticed < settings.drain.propagation_ms
    assert targets["HealthCheckPath"] == "/readyz"


def test_the_container_is_the_image() -> None:
    """Its user, its health check, and a root that nobody writes to."""
    image, task = dict(instructions()), container()

    assert task["User"] == image["USER"]
    assert all(word in image["HEALTHCHECK"] for word in task["HealthCheck"]["Command"])
    assert task["ReadonlyRootFilesystem"] is True
    assert task["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}


def test_the_role_may_ask_and_nothing_else() -> None:
    """No wildcard stands in the role's policy: what may be asked are the parameters."""
    [policy] = resources()["TaskRole"]["Policies"]
    ask, (condition, by_profile, _) = (
        policy["PolicyDocument"]["Statement"][0],
        policy["PolicyDocument"]["Statement"][1]["Fn::If"],
    )

    assert (ask["Action"], ask["Resource"]) == (CALLS, "AskedArns")
    assert (by_profile["Action"], by_profile["Resource"]) == (CALLS, "BehindProfileArns")
    assert by_profile["Condition"] == {"StringLike": {"bedrock:InferenceProfileArn": "AskedArns"}}
    assert condition == "AsksProfiles"
    assert "ManagedPolicyArns" not in resources()["TaskRole"]
    assert len(policy["PolicyDocument"]["Statement"]) == 2


def test_valkey_is_reached_by_tls_and_a_password() -> None:
    """On the way and at rest, and by nobody but the gateways."""
    cache = resources()["Cache"]

    assert (cache["TransitEncryptionEnabled"], cache["AtRestEncryptionEnabled"]) == (True, True)
    assert cache["AuthToken"].startswith("{{resolve:secretsmanager:")
    assert resources()["CacheUrl"]["SecretString"].startswith("rediss://:{{resolve:secretsmanager:")
    assert {
        (one["SourceSecurityGroupId"], one["FromPort"])
        for one in resources()["CacheGroup"]["SecurityGroupIngress"]
    } == {("TaskGroup.GroupId", 6379)}


def test_bedrock_is_reached_inside_the_network() -> None:
    """By endpoints of the VPC, that of Bedrock for the gateways' role only."""
    services = {
        one["ServiceName"].rpartition(".")[2]: one for one in resources().values() if "ServiceName" in one
    }
    [statement] = services["bedrock-runtime"]["PolicyDocument"]["Statement"]

    assert set(services) == {"bedrock-runtime", "sts"}
    assert all(one["PrivateDnsEnabled"] for one in services.values())
    assert (statement["Principal"], statement["Action"]) == ({"AWS": "TaskRole.Arn"}, CALLS)
