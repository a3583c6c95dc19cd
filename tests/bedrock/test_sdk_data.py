"""The SDK's data as we read it is the SDK's own, for every service that is ever called."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from botocore.exceptions import EndpointVariantError, UnknownServiceError
from botocore.loaders import Loader, create_loader
from botocore.regions import EndpointResolver

from gateway.bedrock.credentials.opening import sdk_session
from gateway.bedrock.sdk_data import OTHERS, SERVICES, SIGNED_ONLY, endpoints, sdk_data
from gateway.settings import AwsSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="theirs", scope="module")
def _theirs() -> Loader:
    return create_loader()


@pytest.mark.parametrize("flags", [{}, {"use_fips_endpoint": True}, {"use_dualstack_endpoint": True}])
def test_endpoints_are_the_same(theirs: Loader, flags: dict[str, bool]) -> None:
    """Every service has the same endpoint, signing name and region in every region of every partition."""
    regions = [region for one in theirs.load_data("endpoints")["partitions"] for region in one["regions"]]

    def resolved(loader: Loader) -> dict[tuple[str, str], Any]:
        resolver = EndpointResolver(loader.load_data("endpoints"))

        def endpoint(service: str, region: str) -> Any:
            try:
                return resolver.construct_endpoint(service, region, **flags)
            except EndpointVariantError as error:
                return str(error)

        return {
            (service, region): endpoint(service, region)
            for service in SERVICES.values()
            for region in [*regions, "aws-global", "xx-nowhere-9"]
        }

    expected = resolved(theirs)

    assert len(expected) > 100
    assert resolved(sdk_data(None)) == expected


def test_the_layout_does_not_matter() -> None:
    """Other services are cut out of the text of the SDK's own file; laid out otherwise it is parsed whole."""
    data = (resources.files("botocore") / "data" / "endpoints.json").read_bytes()
    compact = orjson.dumps(orjson.loads(data))

    assert len(OTHERS.sub(b"", data)) < len(data) / 10
    assert OTHERS.sub(b"", compact) == compact
    assert endpoints(compact) == endpoints(data)


@pytest.mark.parametrize("service", SERVICES)
def test_models_are_the_same(theirs: Loader, service: str) -> None:
    """Model and endpoint rules of each service are those that the SDK reads; its prefix is as we believe.

    Of Bedrock's model no operation is there: its requests are signed and sent without the SDK.
    """
    ours = sdk_data(None)
    model, known = (loader.load_service_model(service, "service-2") for loader in (ours, theirs))
    if service == SIGNED_ONLY:
        known = {**known, "operations": {}, "shapes": {}}

    assert model == known
    assert model["metadata"]["endpointPrefix"] == SERVICES[service]
    rules = "endpoint-rule-set-1"
    assert ours.load_service_model(service, rules) == theirs.load_service_model(service, rules)


@pytest.mark.parametrize("name", ["partitions", "_retry", "sdk-default-configuration"])
def test_the_rest_is_the_same(theirs: Loader, name: str) -> None:
    """What all services share is read whole."""
    assert sdk_data(None).load_data(name) == theirs.load_data(name)


@pytest.mark.parametrize("package", ["aiobotocore", "botocore"])
@pytest.mark.parametrize("module", ["credentials.py", "tokens.py", "utils.py"])
def test_nothing_else_is_called(package: str, module: str) -> None:
    """The SDK's sources of credentials make clients of no service that we leave out."""
    source = (resources.files(package) / module).read_text()
    made = re.findall(r"""(?:create_client|client_creator)\(\s*['"]([\w-]+)['"]""", source)

    assert set(made) <= set(SERVICES)
    assert made or module != "credentials.py"


def test_sessions_share_what_was_read() -> None:
    """A second target, and each source of credentials, reads nothing again."""
    one, other = (sdk_session(AwsSettings()).get_component("data_loader") for _ in range(2))

    assert one is other
    with pytest.raises(UnknownServiceError):
        one.load_service_model("ec2", "service-2")


def test_models_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_DATA_PATH is looked through first, as the SDK does; what is not there comes from the SDK."""
    folder = tmp_path / "sts" / "2099-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {"mine": true}}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))

    loader = sdk_session(AwsSettings()).get_component("data_loader")

    assert loader.load_service_model("sts", "service-2") == {"metadata": {"mine": True}}
    assert loader.load_service_model("bedrock-runtime", "service-2")["metadata"]["serviceId"]
