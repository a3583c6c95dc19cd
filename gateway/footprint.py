"""What a process that does nothing but serve does without: 2.3 MB that libraries take when they are imported.

The private attributes this file touches are guarded by `tests/test_footprint.py`.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any, Final

WITHOUT: Final = "frozenlist._frozenlist"
"""aiohttp's lists of signals, in C: no request of ours comes by them, and the C++ library that they bring
takes 1 MB. The package has the same in Python."""
CONTEXTS: Final = ("_SSL_CONTEXT_VERIFIED", "_SSL_CONTEXT_UNVERIFIED")
"""aiohttp loads the host's certificates into both. aiobotocore gives each connector a context of its own."""


def slim() -> None:
    """Leave it out, or let go of it: before anything else is imported, so that what follows takes its room.

    Whoever uses one of aiohttp's own contexts for TLS gets one that trusts nobody from then on.
    """
    if WITHOUT not in sys.modules:
        sys.modules[WITHOUT] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    import aiohttp.connector  # noqa: PLC0415 - here, not before

    connector: Any = aiohttp.connector
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in CONTEXTS:
        setattr(connector, name, nobody)
