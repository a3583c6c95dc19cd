"""Where the settings say to listen: sockets, or the words why there are none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from gateway.server import listening

if TYPE_CHECKING:
    import socket

    from gateway.settings import MetricsSettings, Settings


LAST_PORT: Final = 65_535


class ListenError(Exception):
    """The address cannot be listened on."""


def listen(settings: Settings) -> list[socket.socket]:
    """Return the sockets to serve from, which several processes may share.

    Raises:
        ListenError: the address cannot be listened on.
    """
    return _listen(settings.host, settings.port, "cannot listen on {}")


def listen_privately(metrics: MetricsSettings) -> list[socket.socket]:
    """Return the sockets to serve metrics from; none where there is no port.

    Raises:
        ListenError: the address cannot be listened on.
    """
    if metrics.port is None:
        return []
    words = (
        "cannot serve metrics on {} (GATEWAY_METRICS__HOST, GATEWAY_METRICS__PORT; each worker has its own)"
    )
    if metrics.port > LAST_PORT:  # a late worker's; the C library would take the rest by 65536
        raise ListenError(f"{words.format(f'{metrics.host}:{metrics.port}')}: there is no such port")
    return _listen(metrics.host, metrics.port, words)


def _listen(host: str, port: int, failing: str) -> list[socket.socket]:
    try:
        return listening.listen(host, port)
    except OSError as error:
        words = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise ListenError(f"{failing.format(f'{host}:{port}')}: {words}") from error
