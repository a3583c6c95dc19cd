"""docker-compose.yml and what it mounts, by their own tools and against the settings that they set."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from gateway import authentication
from gateway.settings import load
from tests.deploy.exported import exported, unknown_names
from tests.deploy.tools import judged
from tests.deploy.topology import COMPOSE, KEY, LIMITED_KEY, PROMETHEUS, services
from tests.faults.reverse_proxies import NAMES
from tests.harness import ROOT
from tests.programs import debian

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import StartGateway

GRAFANA: Final = ROOT / "deploy" / "grafana"
DASHBOARD: Final = GRAFANA / "dashboards" / "gateway.json"
each = pytest.mark.parametrize("name", sorted(services()))


def test_docker_compose_finds_no_fault() -> None:
    """`docker-compose config`: Debian has version 1; nothing here is of version 2 only."""
    code, said = judged(debian("docker-compose"), "-f", str(COMPOSE), "config", "-q")

    assert (code, said) == (0, "")


@each
def test_a_service_has_no_more_than_it_needs(name: str) -> None:
    """No capability, no root to write to, no new rights, and nothing that others than this machine reach."""
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")] == []
    # pinned by tag, but for the one that is built here; without the name of a registry's host
    assert re.fullmatch(r"bedrock-gateway|[a-z]+(/[a-z]+)?:v?[0-9][0-9.]+", service["image"])


@each
def test_what_is_mounted_is_there_and_is_not_written(name: str) -> None:
    """A path that is not there would be made, as a folder of root's."""
    for mount in services()[name].get("volumes", ()):
        path, _, mode = mount.split(":")
        assert (ROOT / path).exists(), path
        assert mode == "ro"


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway starts with this environment on an address that others reach, and knows the demo's key."""
    service = services()[name]
    for key, value in service["environment"].items():
        monkeypatch.setenv(key, str(value))
    settings = load()

    assert authentication.exposure(settings, settings.host) == []
    known = {caller: of.key_sha256 for caller, of in settings.callers.items()}
    keys = {"demo": KEY, "limited": LIMITED_KEY}
    assert known == {caller: (sha256(key.encode()).hexdigest(),) for caller, key in keys.items()}
    assert int(service["stop_grace_period"].removesuffix("s")) * 1000 >= settings.drain.grace_ms
    assert service == services()[NAMES[0]]


# ── Prometheus and Grafana ────────────────────────────────────────────────────────────────────────────


def test_promtool_finds_no_fault() -> None:
    """`promtool check config`."""
    code, said = judged(
        debian("promtool", "prometheus"),
        "check",
        "config",
        "--lint=all",
        "--lint-fatal",
        str(PROMETHEUS),
    )

    assert code == 0, said


def _expressions() -> list[str]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_expressions_are_promql(tmp_path: Path) -> None:
    """Grafana has no tool that checks a dashboard; Prometheus' own parser reads what it would be asked."""
    rules = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(_expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    code, said = judged(debian("promtool", "prometheus"), "check", "rules", str(file))

    assert code == 0, said


async def test_the_metrics_exist(emulator: Emulator, start: StartGateway) -> None:
    """Each metric of the dashboard is one that a gateway exports."""
    names = await exported(emulator, start)

    assert len(_expressions()) >= 8
    assert unknown_names(" ".join(_expressions()), names) == set()
    assert unknown_names("rate(gateway_no_such_total[1m])", names) == {"gateway_no_such_total"}


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    """The three files agree: the source's uid, and where the dashboards are mounted."""
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][
        0
    ]
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/gateway.yml").read_text())["providers"][0]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    mounts = dict(mount.split(":")[:2] for mount in services()["grafana"]["volumes"])

    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
