"""The image's health check: exit code 0 where the gateway in this container answers, 1 where it does not.

It imports little, for it runs every ten seconds: reading the settings alone would cost six times as much CPU.
`HEALTHCHECK_URL` says what is asked; by default `/livez` on the port of `GATEWAY_PORT`.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

TIMEOUT_S = 2.5


def healthy(url: str) -> bool:
    """Return whether a GET of this URL is answered with 200. No proxy is asked, and no redirect followed."""
    asked = urlsplit(url)
    connection = (_tls if asked.scheme == "https" else HTTPConnection)(asked.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", asked.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def _tls(address: str, *, timeout: float) -> HTTPConnection:
    import ssl  # noqa: PLC0415 - a third of the cost of a check, which few need
    from http.client import HTTPSConnection  # noqa: PLC0415 - the same

    # who answers on loopback is in this container, whatever name its certificate has
    context = ssl._create_unverified_context()  # noqa: S323, SLF001
    return HTTPSConnection(address, timeout=timeout, context=context)


if __name__ == "__main__":
    port = os.environ.get("GATEWAY_PORT") or "8080"
    sys.exit(0 if healthy(os.environ.get("HEALTHCHECK_URL") or f"http://127.0.0.1:{port}/livez") else 1)
