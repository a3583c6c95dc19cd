"""A real issuer of tokens on loopback: a discovery document, a set of keys, and keys to sign with."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AUDIENCE = "https://gateway.example"
SUBJECT = "system:serviceaccount:team-a:worker"
RSA = rsa.generate_private_key(65_537, 2_048)
OTHER_RSA = rsa.generate_private_key(65_537, 2_048)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str | None = "1", **fields: Any) -> dict[str, Any]:
    """Return the public half of a key as it stands in a set."""
    kinds: dict[type, Any] = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    [algorithm] = [algorithm for kind, algorithm in kinds.items() if isinstance(key, kind)]
    public: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    public.pop("key_ops", None)
    return public | ({} if kid is None else {"kid": kid}) | fields


def claims(issuer: str, **changes: Any) -> dict[str, Any]:
    """Return what a good token says; None takes a claim out."""
    said = {"iss": issuer, "aud": AUDIENCE, "sub": SUBJECT, "exp": int(time.time()) + 600, **changes}
    return {name: value for name, value in said.items() if value is not None}


def signed(
    payload: dict[str, Any], key: Any = RSA, algorithm: str = "RS256", kid: str | None = "1", **header: Any
) -> str:
    """Return a token."""
    named = {} if kid is None else {"kid": kid}
    token: str = jwt.encode(payload, key, algorithm, {**named, **header})
    return token


class LocalIssuer:
    """What it answers may be changed while it runs; `asked` are the paths with their tokens."""

    url: str

    def __init__(self) -> None:
        self.keys: Any = [jwk(RSA)]
        self.status = 200
        self.discovery: dict[str, Any] = {}
        self.raw: bytes | None = None
        self.asked: list[tuple[str, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer whatever is asked."""
        self.asked.append((request.path, request.headers.get("Authorization")))
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": f"{self.url}/elsewhere"})
        if request.path.endswith("/.well-known/openid-configuration"):
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery})
        if self.raw is not None:
            return web.Response(body=self.raw)
        return web.json_response({"keys": self.keys})


@asynccontextmanager
async def issuing() -> AsyncIterator[LocalIssuer]:
    """Run an issuer."""
    issuer = LocalIssuer()
    server = web.Server(issuer.answer, access_log=None)  # type: ignore[arg-type]  # a plain server's requests
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()
