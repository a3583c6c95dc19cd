"""deploy/kubernetes: built by kustomize, held to Kubernetes' own schemas, and agreeing with the gateway."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from gateway import authentication
from gateway.settings import Settings, load
from tests.deploy.exported import exported
from tests.deploy.test_image import instructions
from tests.deploy.tools import judged, told
from tests.harness import ROOT
from tests.programs import debian, program

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import StartGateway

FOLDER: Final = ROOT / "deploy" / "kubernetes"
OVERLAYS: Final = ("irsa", "pod-identity")
BASE: Final = "resources:\n  - ../../base\n"
Object = dict[str, Any]


@pytest.fixture(name="built", scope="module", params=OVERLAYS)
def _built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give the name of each overlay, and what kustomize makes of it.

    Debian's kubectl has kustomize 2.0, which calls folders among the resources `bases`; 5 knows both words.
    """
    copied = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(FOLDER, copied)
    overlay = copied / "overlays" / request.param
    file = overlay / "kustomization.yaml"
    text = file.read_text()
    assert BASE in text
    file.write_text(text.replace(BASE, "bases:\n  - ../../base\nresources:\n"))
    kubectl = debian("kubectl", "kubernetes-client")
    return request.param, told(kubectl, "kustomize", str(overlay))


@pytest.fixture(name="objects")
def _objects(built: tuple[str, str]) -> dict[tuple[str, str], Object]:
    """Give the objects by kind and name; that of the generated ConfigMap is without its hash."""
    found = {}
    for one in yaml.safe_load_all(built[1]):
        name = re.sub(r"-[a-z0-9]{10}$", "", one["metadata"]["name"])
        found[one["kind"], name] = one
    return found


NAME: Final = "bedrock-gateway"


def test_each_object_obeys_its_schema(built: tuple[str, str], tmp_path: Path) -> None:
    """By the schemas of Kubernetes; no package has those of the Prometheus operator."""
    overlay, text = built
    file = tmp_path / f"{overlay}.yaml"
    file.write_text(text)
    code, said = judged(
        program("kubernetes-validate", "requirements-dev.lock"), "--strict", "--quiet", str(file)
    )

    assert code == 0, said
    assert [line.split("kind ")[1].split()[0] for line in said.splitlines()] == ["ServiceMonitor"]


def test_what_is_there(built: tuple[str, str], objects: dict[tuple[str, str], Object]) -> None:
    """All that the issue asks for, in one namespace, and what belongs to the overlay."""
    kinds = {kind for kind, _ in objects}

    assert kinds >= {
        *("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
        *("ServiceMonitor", "ServiceAccount", "ConfigMap", "Namespace"),
    }
    places = {one["metadata"].get("namespace") for (kind, _), one in objects.items() if kind != "Namespace"}
    assert places == {objects["Namespace", NAME]["metadata"]["name"]}
    role = (
        objects["ServiceAccount", NAME]["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn")
    )
    assert (role is not None) == (built[0] == "irsa")
    assert (("NetworkPolicy", "bedrock-gateway-pod-identity") in objects) == (built[0] == "pod-identity")


def test_everybody_means_the_same_pods(objects: dict[tuple[str, str], Object]) -> None:
    """Selectors fit the labels, and names of ports are the container's."""
    deployment = objects["Deployment", NAME]["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    [container] = deployment["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    services = [one["spec"] for (kind, _), one in objects.items() if kind == "Service"]
    monitor = objects["ServiceMonitor", NAME]["spec"]
    policy = objects["NetworkPolicy", NAME]["spec"]

    selectors = [
        deployment["selector"]["matchLabels"],
        objects["PodDisruptionBudget", NAME]["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
        *(service["selector"] for service in services),
        *(
            one["labelSelector"]["matchLabels"]
            for one in deployment["template"]["spec"]["topologySpreadConstraints"]
        ),
    ]
    assert [one for one in selectors if not one.items() <= labels] == []
    assert {port["targetPort"] for service in services for port in service["ports"]} == set(ports)
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == set(ports)
    metrics = objects["Service", f"{NAME}-metrics"]["metadata"]["labels"].items()
    assert monitor["selector"]["matchLabels"].items() <= metrics
    assert {one["port"] for one in monitor["endpoints"]} <= set(ports)
    assert objects["HorizontalPodAutoscaler", NAME]["spec"]["scaleTargetRef"]["name"] == NAME
    config = objects["ConfigMap", NAME]["metadata"]["name"]
    volumes = {one["name"]: one for one in deployment["template"]["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == config


def settings_of(
    objects: dict[tuple[str, str], Object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Return the settings that a pod has."""
    file = folder / "gateway.toml"
    file.write_text(objects["ConfigMap", NAME]["data"]["gateway.toml"])
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    [container] = objects["Deployment", NAME]["spec"]["template"]["spec"]["containers"]
    for one in container["env"]:
        monkeypatch.setenv(one["name"], "redis://redis.example:6379")
    return load()


def test_the_gateway_takes_it(
    objects: dict[tuple[str, str], Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is one that the gateway starts with on an address that others reach, at the pod's ports."""
    settings = settings_of(objects, tmp_path, monkeypatch)
    pod = objects["Deployment", NAME]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    mounts = {one["mountPath"] for one in container["volumeMounts"]}

    assert authentication.exposure(settings, settings.host) == []
    assert settings.redis.url is not None
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": settings.port,
        "metrics": settings.metrics.port,
    }
    assert str(settings.keys_file.parent) in mounts if settings.keys_file else False
    assert dict(instructions())["WORKDIR"] in mounts  # where gateway.toml is looked for


def test_the_clocks_fit(
    objects: dict[tuple[str, str], Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod has as long as the gateway thinks, and the drain is heard of while it still serves (R47)."""
    drain = settings_of(objects, tmp_path, monkeypatch).drain
    pod = objects["Deployment", NAME]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    ready = container["readinessProbe"]

    assert pod["terminationGracePeriodSeconds"] * 1000 == drain.grace_ms
    assert ready["periodSeconds"] * ready["failureThreshold"] * 1000 < drain.propagation_ms
    assert {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe")} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
    }
    assert ready["httpGet"]["path"] == "/readyz"
    assert "lifecycle" not in container


def test_the_pod_is_restricted(objects: dict[tuple[str, str], Object]) -> None:
    """What Pod Security calls restricted, the image's own user, and a root that nobody writes to."""
    pod = objects["Deployment", NAME]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    user, _, group = dict(instructions())["USER"].partition(":")

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(group),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    labels = objects["Namespace", NAME]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_memory_suffices(
    objects: dict[tuple[str, str], Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle process, all bodies three times, and the slow readers of all streams fit into the limit."""
    settings = settings_of(objects, tmp_path, monkeypatch)
    [container] = objects["Deployment", NAME]["spec"]["template"]["spec"]["containers"]
    mebibytes = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
    streams = settings.max_concurrency * (245 + 180) / 1024  # KiB of each, deploy/README.md

    assert 80 + 3 * settings.max_bodies_bytes / 2**20 + streams < mebibytes


async def test_the_autoscaler_asks_for_a_metric_that_exists(
    objects: dict[tuple[str, str], Object], emulator: Emulator, start: StartGateway
) -> None:
    """Streams under way, below as many as one gateway takes."""
    [metric] = objects["HorizontalPodAutoscaler", NAME]["spec"]["metrics"]
    names = await exported(emulator, start)

    assert metric["pods"]["metric"]["name"] in names
    assert int(metric["pods"]["target"]["averageValue"]) < Settings().max_concurrency
