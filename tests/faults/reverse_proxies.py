"""The real nginx and HAProxy from Debian, as unprivileged child processes in front of a gateway.

Their configurations are what somebody gets who sets nothing: for nginx that is HTTP/1.0 to the gateway, and
buffering (reliability.md S17). They inherit a socket that listens already, so nobody waits for them to start
and nobody takes their port.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NGINX: Final = """\
daemon off;
{user}
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
HAPROXY: Final = """\
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend callers
  bind fd@{fd}
  default_backend gateways
backend gateways
  server gateway {gateway}
"""
STOP_S: Final = 20.0


@contextmanager
def nginx(gateway_url: str, folder: Path) -> Iterator[str]:
    """Run nginx in front of a gateway, and give its URL."""
    program = _program("nginx")
    user = "user root;" if os.geteuid() == 0 else ""  # its default user could not write into `folder`
    with _listening() as listener:
        port = listener.getsockname()[1]
        config = folder / "nginx.conf"
        gateway = urlsplit(gateway_url).netloc
        config.write_text(NGINX.format(folder=folder, port=port, gateway=gateway, user=user))
        command = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx.error.log")]
        # so nginx takes a socket over from the process before it; here there is none
        inherited = {"NGINX": f"{listener.fileno()};"}
        with _running(command, listener, inherited, signal.SIGTERM):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def haproxy(gateway_url: str, folder: Path) -> Iterator[str]:
    """Run HAProxy in front of a gateway, and give its URL."""
    with haproxy_as(HAPROXY.replace("{gateway}", urlsplit(gateway_url).netloc), folder) as url:
        yield url


@contextmanager
def haproxy_as(configuration: str, folder: Path) -> Iterator[str]:
    """Run HAProxy with this configuration, whose `{fd}` is the listening socket, and give its URL."""
    program = _program("haproxy")
    with _listening() as listener:
        config = folder / "haproxy.cfg"
        config.write_text(configuration.replace("{fd}", str(listener.fileno())))
        with _running([program, "-db", "-q", "-f", str(config)], listener, {}, signal.SIGTERM):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _program(name: str) -> str:
    """Return its path; Debian keeps it where a user's PATH does not lead."""
    found = shutil.which(name, path=os.defpath + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return found


@contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


@contextmanager
def _running(
    command: list[str], listener: socket.socket, environment: dict[str, str], stop: signal.Signals
) -> Iterator[None]:
    process = subprocess.Popen(  # noqa: S603 - a program of the system's, with a file of ours
        command,
        env={"PATH": os.defpath, **environment},
        pass_fds=[listener.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
        assert process.poll() is None, f"{command[0]} ended by itself, with status {process.returncode}"
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
