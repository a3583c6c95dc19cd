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
DOCUMENTERS: Final = {
    "botocore.docs.docstring": ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring"),
    "botocore.docs.service": ("ServiceDocumenter",),
}
"""What the SDK writes manuals with, of which no process has a reader: 0.7 MB with all that it imports."""
CONTEXTS: Final = ("_SSL_CONTEXT_VERIFIED", "_SSL_CONTEXT_UNVERIFIED")
"""aiohttp loads the host's certificates into both. aiobotocore gives each connector a context of its own."""


class Undocumented(str):
    """The documentation of a method of the SDK's: nothing."""

    __slots__ = ()

    def __new__(cls, **_: object) -> Self:
        """Take what it would be written from, and write nothing."""
        return super().__new__(cls)


def leave_out() -> None:
    """Import none of it in this process: before anything else is imported.

    aiohttp reads the host's tables of files' types for files that it serves; we have none but our own.
    """
    for name in WITHOUT:
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    for name, classes in DOCUMENTERS.items():
        if name not in sys.modules:
            sys.modules[name] = module = ModuleType(name)
            vars(module).update(dict.fromkeys(classes, Undocumented))
    mimetypes.knownfiles.clear()


def let_go() -> None:
    """Let go of it before anything else is imported, so that what follows takes its room.

    Whoever uses one of aiohttp's own contexts for TLS gets one that trusts nobody from then on.
    """
    import aiohttp.connector  # noqa: PLC0415 - here, not before

    connector: Any = aiohttp.connector
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in CONTEXTS:
        setattr(connector, name, nobody)
