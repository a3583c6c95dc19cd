"""Other gateways under the same load: installed and started as for `tests.comparison`, asked by Converse."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from tests.benchmarks.apis import ChatApi
from tests.benchmarks.cpu import pinned
from tests.benchmarks.load import HOST
from tests.benchmarks.subjects import Subject
from tests.comparison import packages
from tests.comparison.scenarios import Scenario
from tests.comparison.subjects import LITELLM_WAYS, PORTKEY_WAYS, LiteLlm, Portkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.subjects import Cores, Starter
    from tests.comparison.subjects import Way

LITELLM, PORTKEY = "litellm", "portkey"
VERSIONS = {LITELLM: f"LiteLLM {packages.LITELLM}", PORTKEY: f"Portkey {packages.PORTKEY}"}
_PLAIN = Scenario(name="benchmark", title="nothing is wrong")
_SLOWNESS = {LITELLM: 8, PORTKEY: 2}
_WARM_UP = {LITELLM: 64, PORTKEY: 3000}
"""Node's compiler makes Portkey a third cheaper between the 400th and the 3,000th request."""


def installed(folder: Path) -> dict[str, Starter]:
    """Return what starts those that are installed in this folder."""
    found: dict[str, Starter] = {}
    if packages.is_installed(packages.litellm_home(folder)):
        found[LITELLM] = partial(_running, LITELLM, LiteLlm(packages.litellm(folder)), LITELLM_WAYS[0])
    if packages.is_installed(packages.portkey_home(folder)):
        found[PORTKEY] = partial(_running, PORTKEY, Portkey(packages.portkey(folder)), PORTKEY_WAYS[0])
    return found


def install(folder: Path) -> None:
    """Install both, pinned, by pip and npm as they are set up here.

    Raises:
        PackageError: one cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packages.litellm(folder)
    packages.portkey(folder)


@asynccontextmanager
async def _running(
    name: str, peer: LiteLlm | Portkey, way: Way, upstream: int, cores: Cores, scratch: Path
) -> AsyncIterator[Subject]:
    """Run one with the configuration it is compared with, on the subject's core."""
    url = f"http://{HOST}:{upstream}"
    folder = Path(mkdtemp(prefix=name, dir=scratch))
    async with AsyncExitStack() as stack:
        with pinned({cores.subject}):
            started = await stack.enter_async_context(peer.running(url, folder, [_PLAIN]))
        api = ChatApi(lambda prompt: peer.request(way, _PLAIN, prompt, url))
        yield Subject(name, started.pid, started.port, api, _SLOWNESS[name], _WARM_UP[name])
