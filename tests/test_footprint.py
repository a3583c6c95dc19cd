"""What a serving process does without: libraries are as `gateway/footprint.py` believes."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import aiohttp
from pydantic import SecretStr
from yarl import URL

from gateway import footprint
from gateway.bedrock.client import open_client
from gateway.commands import serve
from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings

if TYPE_CHECKING:
    import pytest

IN_PYTHON = """
import sys
from gateway import footprint
footprint.leave_out()
import frozenlist
from gateway import app
print(frozenlist.FrozenList is frozenlist.PyFrozenList, 'frozenlist._frozenlist' in sys.modules)
"""

SERVING = """
import os
from gateway import cli
os.environ['GATEWAY_PORT'] = 'no number'
code = cli.main(['serve'])
import structlog.dev
import aiobotocore.httpxsession
print(code, structlog.dev.rich, structlog.dev.better_exceptions, aiobotocore.httpxsession.httpx)
"""
WITHOUT_UNUSED = """
import asyncio, sys
from gateway import footprint
footprint.leave_out()
import botocore.client, botocore.waiter, botocore.handlers, gateway.settings
from aiobotocore.session import get_session

async def methods():
    async with get_session().create_client('sts', region_name='eu-west-1') as client:
        return bool(client.assume_role.__doc__), hasattr(client, 'get_caller_identity')

print(*asyncio.run(methods()))
print([name for name in footprint.UNUSED if hasattr(sys.modules[name], '__file__')])
print([name for name in sys.modules if name.startswith('botocore.docs.bcdoc')])
print(gateway.settings.load() is not None)
import aiohttp.web
print(aiohttp.web_fileresponse.CONTENT_TYPES.guess_type('a.html')[0])
"""
LATE_CODECS = """
import sys
from gateway import footprint
footprint.leave_out()
from gateway import app
from gateway.bedrock import targets, upstream
from gateway.codecs import CLASSES, CODECS

def there():
    return sorted(name for name in CLASSES if f'gateway.codecs.{name}' in sys.modules)

print(there())
CODECS['claude']
print(there())
"""
"""It ends at its settings, with all that its command imports."""
LATE = """
import asyncio, sys
from gateway import cli, footprint
footprint.leave_out()
footprint.let_go()
from gateway import app
from gateway.bedrock import targets, upstream
from gateway.server import anthropic_api, native_api, openai_api, responses_api

def schemas():
    return sorted(name for name in sys.modules if name.startswith('gateway.') and name.endswith('_schema'))

CALL = {'type': 'function', 'function': {'name': 'f', 'parameters': {'type': 'object'}}}
TURN = {'role': 'user', 'content': 'Hello'}
USUAL = [
    (native_api, {'messages': [TURN]}),
    (openai_api, {'messages': [TURN]}),
    (responses_api, {'input': 'Hello'}),
    (anthropic_api, {'messages': [TURN], 'max_tokens': 5}),
]
OTHER = [
    (native_api, {'messages': [TURN], 'tools': [CALL]}),
    (openai_api, {'messages': [TURN], 'tools': [CALL]}),
    (responses_api, {'input': 'Hello', 'tools': [{'type': 'function', 'name': 'f', 'parameters': {}}]}),
    (anthropic_api, {'messages': [TURN], 'max_tokens': 5, 'tools': [{'name': 'f', 'input_schema': {}}]}),
]

async def ask(requests):
    found = []
    for api, body in requests:
        await api.READER.parse(body, default_model='m')
        found.append(schemas())
    return found

print([name for name in sys.modules if name.startswith(('gateway.emulator', 'gateway.openapi'))])
print(schemas())
print(asyncio.run(ask(USUAL))[-1])
for found in asyncio.run(ask(OTHER)):
    print(*(name.rpartition('.')[2] for name in found))
"""
"""Each API's usual request, then one that takes its schema: which schemas are there behind each."""


async def test_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connector without a context takes aiohttp's, which then trusts nobody; a client has its own."""
    module: Any = aiohttp.connector
    for name in footprint.CONTEXTS:
        monkeypatch.setattr(module, name, getattr(module, name))  # for the tests behind this one
    theirs = [getattr(module, name) for name in footprint.CONTEXTS]
    request: Any = aiohttp.ClientRequest(
        "GET", URL("https://bedrock.example/"), loop=asyncio.get_running_loop()
    )
    async with aiohttp.TCPConnector() as made:
        plain: Any = made
        assert plain._get_ssl_context(request) is theirs[0]
        footprint.let_go()
        nobody = plain._get_ssl_context(request)
    settings = AwsSettings(access_key_id=SecretStr("AKIAXXXXXXXXXXXXXXXX"), secret_access_key=SecretStr("s"))
    async with open_client(BedrockSettings(), settings, CredentialSettings(), max_concurrency=1) as client:
        connector: Any = (await client.pool.session()).connector
        ours = connector._get_ssl_context(request)

    assert isinstance(nobody, ssl.SSLContext)
    assert (nobody.verify_mode, nobody.get_ca_certs()) == (ssl.CERT_REQUIRED, [])
    assert ours is not nobody
    assert ours.get_ca_certs()


def test_lists_of_signals() -> None:
    """The package has them in Python, too."""
    assert _lines_of(IN_PYTHON) == ["True True"]


def test_what_is_installed_beside_us() -> None:
    """Structlog and the SDK find none of what they would import when we serve."""
    assert _lines_of(SERVING) == [f"{serve.EXIT_CONFIG} None None None"]


def test_unused() -> None:
    """Libraries have these modules, and do their work without them; files' types are those Python knows."""
    assert all(find_spec(name) is not None for name in footprint.UNUSED)
    assert _lines_of(WITHOUT_UNUSED) == ["False True", "[]", "[]", "True", "text/html"]


def test_codecs() -> None:
    """A family's is imported at its first use."""
    assert _lines_of(LATE_CODECS) == ["[]", "['claude']"]


def test_schemas() -> None:
    """None is there before a request needs it, and then only its own, and what that stands on."""
    assert _lines_of(LATE) == [
        "[]",
        "[]",
        "[]",
        "native_schema",
        "native_schema openai_message_schema openai_schema",
        "native_schema openai_message_schema openai_schema responses_schema",
        "anthropic_schema native_schema openai_message_schema openai_schema responses_schema",
    ]


def _lines_of(program: str) -> list[str]:
    ended = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return ended.stdout.splitlines()
