"""Callers who are named in the settings, over sockets, in every dialect."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.settings import CallerSettings
from tests.e2e.sdk import boto3_client
from tests.emulator.asking import CLAUDE, converse
from tests.harness import ask, lines
from tests.raw import exchanged

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator
    from tests.harness import StartGateway

KEY = "CANARY-key-of-team-a"
CALLERS = {
    "team-a": CallerSettings(
        key_sha256=(sha256(KEY.encode()).hexdigest(),), access_key_ids=("AKIAOFACALLER",)
    )
}
MESSAGES = [{"role": "user", "content": "Hello"}]
ROUTES: dict[str, dict[str, Any]] = {
    "/chat/completions": ask(model=CLAUDE),
    "/chat/completions/stream": ask(model=CLAUDE),
    "/v1/chat/completions": {"model": CLAUDE, "messages": MESSAGES},
    "/v1/responses": {"model": CLAUDE, "input": "Hello"},
    "/v1/messages": {"model": CLAUDE, "max_tokens": 100, "messages": MESSAGES},
    f"/model/{CLAUDE}/converse": converse(),
    f"/model/{CLAUDE}/converse-stream": converse(),
}


@pytest.mark.parametrize("path", ROUTES)
async def test_every_dialect(path: str, emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """A known caller is served and named in the log, an unknown one is refused in the dialect's shape."""
    async with start(emulator, callers=CALLERS) as caller:
        statuses = []
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {KEY}"}):
            url = caller.url + path
            async with caller.session.post(url, json=ROUTES[path], headers=headers) as response:
                statuses.append(response.status)
                text = await response.read()
                if response.status != 200:
                    assert b"known" in text or b"does not know" in text
        assert statuses == ([403, 403, 200] if path.startswith("/model") else [401, 401, 200])
    assert [line.get("caller") for line in lines(log)] == [None, None, "team-a"]
    assert [line.get("code") for line in lines(log)] == ["unauthenticated", "unauthenticated", None]
    assert len(emulator.calls) == 1


WRONG: dict[str, bytes] = {
    "nothing": b"",
    "empty": b"Authorization:\r\n",
    "blanks": b"Authorization:   \t \r\n",
    "scheme alone": b"Authorization: Bearer\r\n",
    "scheme and a blank": b"Authorization: Bearer \r\n",
    "no blank": b"Authorization: Bearer%b\r\n" % KEY.encode(),
    "key alone": b"Authorization: %b\r\n" % KEY.encode(),
    "tab": b"Authorization: Bearer\t%b\r\n" % KEY.encode(),
    "Basic": b"Authorization: Basic dGVhbS1hOkNBTkFSWQ==\r\n",
    "Basic with the key": b"Authorization: Basic %b\r\n" % KEY.encode(),
    "Digest": b'Authorization: Digest username="team-a"\r\n',
    "Negotiate": b"Authorization: Negotiate YII=\r\n",
    "two keys": b"Authorization: Bearer %b %b\r\n" % (KEY.encode(), KEY.encode()),
    "quoted": b'Authorization: Bearer "%b"\r\n' % KEY.encode(),
    "upper case": b"Authorization: Bearer %b\r\n" % KEY.upper().encode(),
    "lower case": b"Authorization: Bearer %b\r\n" % KEY.lower().encode(),
    "bytes above 127": b"Authorization: Bearer \xff\xfe\x80\r\n",
    "UTF-8": "Authorization: Bearer schlüssel\r\n".encode(),
    "a scheme above 127": b"Authorization: B\xe9arer x\r\n",
    "long": b"Authorization: Bearer %b\r\n" % (b"x" * 7_000),
    "key id of nobody": b"Authorization: Bearer bgw_000000000000.x\r\n",
    "key id alone": b"Authorization: Bearer bgw_000000000000\r\n",
    "a token": b"Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n",
    "two headers": b"Authorization: Bearer %b\r\nAuthorization: Bearer x\r\n" % KEY.encode(),
    "one header twice": b"Authorization: Bearer %b\r\n" % KEY.encode() * 2,
    "two of the other": b"x-api-key: %b\r\n" % KEY.encode() * 2,
    "the other, empty": b"x-api-key:\r\n",
    "the other with a scheme": b"x-api-key: Bearer %b\r\n" % KEY.encode(),
    "wrong before right": b"Authorization: Bearer x\r\nx-api-key: %b\r\n" % KEY.encode(),
    "a cookie": b"Cookie: Authorization=Bearer %b\r\n" % KEY.encode(),
    "a header like it": b"X-Authorization: Bearer %b\r\nApi-Key: %b\r\n" % (KEY.encode(), KEY.encode()),
    "a signature of nobody": b"Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/20260101/r/s/x\r\n",
    "a signature without a name": b"Authorization: AWS4-HMAC-SHA256 Signature=00\r\n",
    "a scheme in lower case": b"Authorization: aws4-hmac-sha256 Credential=AKIAOFACALLER/x\r\n",
}
"""Header lines of which none makes a caller of anybody."""
NOT_HTTP: dict[str, bytes] = {
    "NUL": b"Authorization: Bearer %b\x00\r\n" % KEY.encode(),
    "a control character": b"Authorization: Bearer \x01\r\n",
    "folded": b"Authorization: Bearer\r\n %b\r\n" % KEY.encode(),
    "longer than a head": b"Authorization: Bearer %b\r\n" % (b"x" * 70_000),
}
SHAPED = {
    "/chat/completions?key={}&api_key={}&access_token={}": b'{"error":{"code":"unauthenticated"',
    "/v1/chat/completions?key={}": b'{"error":{"message":',
    "/v1/messages?x-api-key={}": b'{"type":"error","error":{"type":"authentication_error"',
}


async def test_headers_that_are_wrong(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """Each is a 401 in the shape of the dialect, with a challenge, or a 400 where it is no HTTP; never a 500.

    A key in the query is none: queries are logged by whoever stands between.
    """
    async with start(emulator, callers=CALLERS) as caller:
        for name, header in (WRONG | NOT_HTTP).items():
            for path, shape in SHAPED.items():
                target = path.replace("{}", KEY).encode()
                head = b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%bContent-Length: 0\r\n\r\n"
                answer = await exchanged(caller.url, head % (target, header))
                status = b"401 Unauthorized" if name in WRONG else b"400 Bad Request"
                assert answer[9:].startswith(status), (name, path, answer)
                challenged = b'\r\nWWW-Authenticate: Bearer realm="bedrock-gateway"\r\n' in answer
                assert challenged is (name in WRONG)
                assert name in NOT_HTTP or answer.partition(b"\r\n\r\n")[2].startswith(shape)
        async with caller.session.post(caller.url + "/chat/completions", headers={"x-api-key": KEY}) as fine:
            assert fine.status == 415
    assert not emulator.calls
    assert not lines(log, "defect")


async def test_a_signature_names_its_caller(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """By boto3's access key id; another one is refused as AWS would."""

    def call(url: str, access_key: str) -> Any:
        with boto3_client(url, key=(access_key, "any")) as client:
            return client.converse(modelId=CLAUDE, **converse())

    async with start(emulator, callers=CALLERS) as caller:
        assert await asyncio.to_thread(call, caller.url, "AKIAOFACALLER")
        with pytest.raises(ClientError) as refused:
            await asyncio.to_thread(call, caller.url, "AKIAOFNOBODY")
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert [line.get("caller") for line in lines(log)] == ["team-a", None]


async def test_probes_are_open(emulator: Emulator, start: StartGateway) -> None:
    """A load balancer has no key; nobody else's routes are open, not even those that are not there."""
    async with start(emulator, callers=CALLERS) as caller:
        for path, status in {"/livez": 200, "/readyz": 200, "/models/config": 401, "/no": 401}.items():
            async with caller.session.get(caller.url + path) as response:
                assert response.status == status
