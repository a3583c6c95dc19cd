"""Where the settings say to listen: sockets, or the words why there are none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.server import listening

if TYPE_CHECKING:
    import socket

    from gateway.settings import Settings


class ListenError(Exception):
    """The address cannot be listened on."""


def listen(settings: Settings) -> list[socket.socket]:
    """Return the sockets to serve from, which several processes may share.

    Raises:
        ListenError: the address cannot be listened on.
    """
    try:
        return listening.listen(settings.host, settings.port)
    except OSError as error:
        words = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise ListenError(f"cannot listen on {settings.host}:{settings.port}: {words}") from error
