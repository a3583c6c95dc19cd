"""The real nginx and HAProxy from Debian, as unprivileged child processes in front of gateways.

They run the configurations of `deploy/`, with other addresses. One nginx has what somebody gets who sets
nothing: HTTP/1.0 to the gateway, and buffering (reliability.md S17). All inherit a socket that listens
already, so nobody waits for them to start and nobody takes their port.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.harness import ROOT
from tests.programs import debian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HAPROXY: Final = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
NGINX: Final = ROOT / "deploy" / "nginx" / "nginx.conf"
NAMES: Final = ("gateway-1", "gateway-2", "gateway-3")
"""The gateways of both files."""
PATIENT: Final = {"CONNECT_TIMEOUT": "30s", "PROBE_TIMEOUT": "30s", "PROBE_INTERVAL": "100ms"}
"""The probes of a busy machine may be late, which is no reason to call a gateway dead: its 503 is."""
NGINX_UNSET: Final = """\
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://{gateway}; }}
  }}
}}
"""
STOP_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Balancer:
    """A proxy that runs: where callers ask, and where HAProxy tells how it is."""

    url: str
    operators_url: str


@contextmanager
def nginx_unset(gateway_url: str, folder: Path) -> Iterator[str]:
    """Run an nginx in front of a gateway for which nobody has set anything, and give its URL."""
    with listening() as listener:
        port = listener.getsockname()[1]
        text = NGINX_UNSET.format(folder=folder, port=port, gateway=urlsplit(gateway_url).netloc)
        with _nginx(text, listener, folder):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def nginx(gateway_urls: Sequence[str], folder: Path) -> Iterator[str]:
    """Run the nginx of `deploy/nginx` in front of one gateway or three, and give its URL."""
    with listening() as listener:
        port = listener.getsockname()[1]
        text = NGINX.read_text()
        for name, address in zip(NAMES, _addresses(gateway_urls), strict=True):
            text = _replaced(text, f" {name}:8080 ", f" {address} ")
        text = _replaced(text, "listen 8080;", f"listen 127.0.0.1:{port};")
        text = _replaced(text, " /tmp/", f" {folder}/")
        with _nginx(text, listener, folder):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def haproxy(gateway_urls: Sequence[str], **environment: str) -> Iterator[Balancer]:
    """Run the HAProxy of `deploy/haproxy` in front of one gateway or three.

    `environment` replaces values that the file takes from there.
    """
    with listening() as callers, listening() as operators:
        given = {
            "LISTEN": f"fd@{callers.fileno()}",
            "LISTEN_STATS": f"fd@{operators.fileno()}",
            **dict(zip(("GATEWAY_1", "GATEWAY_2", "GATEWAY_3"), _addresses(gateway_urls), strict=True)),
            **PATIENT,
            **environment,
        }
        command = [debian("haproxy"), "-db", "-q", "-f", str(HAPROXY)]
        with running(command, (callers, operators), given):
            urls = (f"http://127.0.0.1:{one.getsockname()[1]}" for one in (callers, operators))
            yield Balancer(*urls)


def _addresses(urls: Sequence[str]) -> list[str]:
    """Return three addresses; a gateway that is alone has all three names."""
    given = [urlsplit(url).netloc for url in urls]
    return given * len(NAMES) if len(given) == 1 else given


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"the configuration has no {old!r} any more"
    return text.replace(old, new)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """Give a socket that a child process can accept from."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


@contextmanager
def _nginx(text: str, listener: socket.socket, folder: Path) -> Iterator[None]:
    config = folder / "nginx.conf"
    config.write_text(text)
    log = str(folder / "nginx.error.log")
    # its default user could not write into `folder`
    directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    command = [debian("nginx"), "-p", str(folder), "-c", str(config), "-e", log, "-g", directives]
    # so nginx takes a socket over from the process before it; here there is none
    with running(command, (listener,), {"NGINX": f"{listener.fileno()};"}):
        yield


@contextmanager
def running(
    command: Sequence[str], listeners: Sequence[socket.socket], environment: Mapping[str, str]
) -> Iterator[None]:
    """Run a program of the system's for as long as the block does; it inherits the sockets."""
    process = subprocess.Popen(  # noqa: S603 - a program of the system's, with a file of ours
        command,
        env={"PATH": os.defpath, **environment},
        pass_fds=[one.fileno() for one in listeners],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
        assert process.poll() is None, f"{command[0]} ended by itself, with status {process.returncode}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
