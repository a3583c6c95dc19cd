"""What a process that does nothing but serve does without: what libraries take when imported.

The private attributes this file touches are guarded by `tests/test_footprint.py`.
"""

from __future__ import annotations

import mimetypes
import ssl
import sys
from types import ModuleType
from typing import Any, Final, Self

WITHOUT: Final = ("frozenlist._frozenlist", "rich", "better_exceptions", "httpx2", "httpx")
"""aiohttp's lists of signals, in C: no request of ours comes by them, and the C++ library that they bring
takes 1 MB. The package has the same in Python. And what structlog imports wherever it finds it, 3 MB, to draw
exceptions, which our log never lets it: it has made text of them before, without the values of variables.
And the client that aiobotocore could use instead of aiohttp, and imports wherever it finds it: 1.5 MB."""
UNUSED: Final = (
    "botocore.docs.docstring",
    "botocore.docs.service",
    "pydantic_settings.sources.providers.cli",
    "pydantic_settings.sources.providers.aws",
    "pydantic_settings.sources.providers.azure",
    "pydantic_settings.sources.providers.gcp",
)
"""What libraries import for names that they then do not use here: what the SDK writes manuals with, which
takes 0.7 MB with all that it imports, and settings from the command line and from clouds' vaults, 0.3 MB."""
CONTEXTS: Final = ("_SSL_CONTEXT_VERIFIED", "_SSL_CONTEXT_UNVERIFIED")
"""aiohttp loads the host's certificates into both. aiobotocore gives each connector a context of its own."""


class Absent(str):
    """What stands for each name of `UNUSED`, a class as they are; as the SDK's documentation it is empty."""

    __slots__ = ()

    def __new__(cls, **_: object) -> Self:
        """Take what a documentation would be written from, and write nothing."""
        return super().__new__(cls)


def leave_out() -> None:
    """Import none of it in this process: before anything else is imported.

    aiohttp reads the host's tables of files' types for files that it serves; we have none but our own.
    """
    for name in WITHOUT:
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    for name in UNUSED:
        if name not in sys.modules:
            sys.modules[name] = module = ModuleType(name)
            vars(module)["__getattr__"] = _absent
    mimetypes.knownfiles.clear()


def _absent(name: str) -> type[Absent]:
    """Give the attributes of a module that is not there, but not those that Python asks modules for."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Absent


def let_go() -> None:
    """Let go of it before anything else is imported, so that what follows takes its room.

    Whoever uses one of aiohttp's own contexts for TLS gets one that trusts nobody from then on.
    """
    import aiohttp.connector  # noqa: PLC0415 - here, not before

    connector: Any = aiohttp.connector
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in CONTEXTS:
        setattr(connector, name, nobody)
