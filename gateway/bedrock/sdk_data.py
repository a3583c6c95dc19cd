"""The SDK's data files, read once a process, as far as we need them.

By itself each botocore session looks through its 400 services (2,600 calls of `stat`), and keeps the
endpoints of all of them for good: 35 ms on the event loop and 8 MB for each target and each source of
credentials. Endpoints come out the same; `tests/bedrock/test_sdk_data.py` compares them for every region.
"""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from botocore.loaders import JSONFileLoader, Loader, create_loader

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES: Final = {
    "bedrock-runtime": "bedrock-runtime",
    "sts": "sts",
    "sso": "portal.sso",
    "sso-oidc": "oidc",
    "signin": "signin",
}
"""What is ever called, Bedrock and what the sources of credentials ask, with its name in `endpoints.json`."""
SIGNED_ONLY: Final = "bedrock-runtime"
"""Where our own requests go: of its model nothing is needed but who signs for what. The rest takes 0.6 MB."""
_NAMES: Final = b"|".join(re.escape(name.encode()) for name in SERVICES.values())
OTHERS: Final = re.compile(
    rb'^( {6}"(?!(?:' + _NAMES + rb')")[^"]+" : )'
    rb'\{\n {8}"(?:defaults|endpoints|isRegionalized|partitionEndpoint)"(?:.*\n {7,})*.*\n {6}\}',
    re.MULTILINE,
)
"""The text of all other services, in the layout of botocore's file: what is never parsed leaves no holes of
3.5 MB in the heap. In any other layout it finds nothing, and all is parsed."""
_READERS: Final[dict[str, Callable[[Path], bytes]]] = {
    ".json": Path.read_bytes,
    ".json.gz": lambda path: gzip.decompress(path.read_bytes()),
}


class SdkFiles(JSONFileLoader):  # type: ignore[misc]  # botocore ships no types
    """Reads a file; of `endpoints.json` and of Bedrock's model only what is ever needed."""

    def load_file(self, file_path: str) -> Any:
        """Return what the file holds, None where there is none; the path has no extension."""
        for extension, read in _READERS.items():
            try:
                data = read(Path(file_path + extension))
            except FileNotFoundError:
                continue
            return self._needed(Path(file_path), data)
        return None

    def _needed(self, path: Path, data: bytes) -> Any:
        if path.name == "endpoints":
            return endpoints(data)
        found = orjson.loads(data)
        if path.name == "service-2" and path.parent.parent.name == SIGNED_ONLY:
            found["operations"] = found["shapes"] = {}
        return found


def endpoints(data: bytes) -> Any:
    """Return the content of `endpoints.json`, with only the services that are ever called."""
    found = orjson.loads(OTHERS.sub(rb"\g<1>0", data))
    for partition in found["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in SERVICES.values() if name in services}
    return found


class SdkData(Loader):  # type: ignore[misc]  # botocore ships no types
    """A session's component `data_loader`."""

    FILE_LOADER_CLASS = SdkFiles

    def list_available_services(self, type_name: str) -> list[str]:
        """Return what is ever called, whether or not it has a file of this type."""
        del type_name
        return list(SERVICES)


@cache
def sdk_data(data_path: str | None) -> SdkData:
    """Return the data of this process; `data_path` is the SDK's setting (AWS_DATA_PATH)."""
    return SdkData(create_loader(data_path).search_paths, include_default_search_paths=False)
