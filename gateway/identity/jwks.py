"""The keys of an issuer of tokens (RFC 7517): fetched in the background, never while a request waits.

The last good set stays while the issuer is away. A token that names an unknown key makes the set be fetched
before its time, at most once in `AGAIN_S`.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

AGAIN_S: Final = 10.0
"""Between two fetches at least, whatever makes them wanted."""
TIMEOUT_S: Final = 10.0
"""Of one fetch, both documents of it."""
MAX_BYTES: Final = 512 * 1024
MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
DISCOVERY: Final = "/.well-known/openid-configuration"
_CURVES: Final = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",)}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an issuer's keys are. Two sources that are equal have the same keys."""

    issuer: str
    jwks_url: str | None = None
    """None: where the issuer's discovery document says."""
    token_file: Path | None = None
    """What to show there as a Bearer token, read anew each time; no host gets it that is not configured."""
    ca_file: Path | None = None
    """Who vouches for the host, in place of the system's authorities."""
    refresh_s: float = 300.0


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, and the algorithms that it can be used with: no token can choose another kind."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: Any


class KeySetError(Exception):
    """The keys could not be had; the words say where and why."""


class KeySet:
    """The keys of one issuer: `look` fetches them when it is time."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.keys: tuple[VerifyingKey, ...] = ()
        self.version = 0
        """Changes with the keys: what was verified by old ones counts no more."""
        self._document = b""
        self._fetched: float | None = None
        self._due = 0.0
        self._failing = False

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key of this id; a token without one is meant for the only key that fits."""
        fitting = [
            key for key in self.keys if algorithm in key.algorithms and (kid is None or kid == key.kid)
        ]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None

    def want(self) -> float:
        """Let the keys be fetched as soon as they may be; return in how many seconds that is."""
        now = asyncio.get_running_loop().time()
        soonest = now if self._fetched is None else max(now, self._fetched + AGAIN_S)
        self._due = min(self._due, soonest)
        return self._due - now

    async def look(self) -> None:
        """Fetch the keys if it is time; what goes wrong is told once, until it goes well again."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._due:
            return
        self._fetched = loop.time()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                document = await self._fetch()
            self._take(document)
        except (KeySetError, TimeoutError) as error:
            self._due = loop.time() + AGAIN_S
            reason = str(error) or f"no answer within {TIMEOUT_S:g} s"
            if not self._failing:
                structlog.get_logger().error(
                    "issuer_keys_failed", issuer=self.source.issuer, reason=reason, keys=len(self.keys)
                )
            self._failing = True
        else:
            self._due = loop.time() + self.source.refresh_s
            self._failing = False

    def _take(self, document: bytes) -> None:
        if document == self._document and not self._failing:
            return
        keys, refused = read(document)
        if not keys:
            raise KeySetError(f"no key in the set can be used: {'; '.join(refused) or 'it is empty'}")
        if document != self._document:
            self.keys, self._document = keys, document
            self.version += 1
        problems = {"problems": refused} if refused else {}
        structlog.get_logger().info("issuer_keys", issuer=self.source.issuer, keys=len(keys), **problems)

    async def _fetch(self) -> bytes:
        try:
            tls = await asyncio.to_thread(_context, self.source.ca_file)
            token = await asyncio.to_thread(_token, self.source.token_file)
        except (OSError, ValueError) as error:
            raise KeySetError(f"a file of the issuer's settings: {error}") from error
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
            url = self.source.jwks_url
            if url is None:
                asked = self.source.issuer.rstrip("/") + DISCOVERY
                url = _discovered(await _get(session, asked, headers), self.source.issuer)
                if _origin(url) != _origin(asked):
                    headers = {}
            return await _get(session, url, headers)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _token(path: Path | None) -> str | None:
    return None if path is None else path.read_text("ascii").strip()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


async def _get(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> bytes:
    """Return a document of bounded size; redirects are not followed, for nobody has vouched for their end."""
    try:
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004 - it is OK or it is not
                raise KeySetError(f"{url} answers {response.status}")
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > MAX_BYTES:
                    raise KeySetError(f"{url}: more than {MAX_BYTES} bytes")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise KeySetError(f"{url}: {type(error).__name__}: {error}") from error
    return bytes(data)


def _discovered(document: bytes, issuer: str) -> str:
    """Return where the issuer's discovery document says that its keys are."""
    try:
        said = orjson.loads(document)
        url, name = said["jwks_uri"], said["issuer"]
        scheme = urlsplit(str(url or "")).scheme
    except (ValueError, TypeError, KeyError):
        raise KeySetError("the discovery document has no `issuer` or no `jwks_uri`") from None
    if name != issuer:
        raise KeySetError("the discovery document is of another issuer than the settings name")
    if scheme not in {"https", urlsplit(issuer).scheme}:
        raise KeySetError("the discovery document has a `jwks_uri` that is not https")
    return str(url)


def read(document: bytes) -> tuple[tuple[VerifyingKey, ...], list[str]]:
    """Return the keys of a set that can be used, and why others cannot.

    Raises:
        KeySetError: it is no set of keys.
    """
    try:
        entries = orjson.loads(document)["keys"]
    except (ValueError, TypeError, KeyError):
        entries = None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise KeySetError(f"not a JSON object with a list `keys` of at most {MAX_KEYS}")
    keys: list[VerifyingKey] = []
    refused: list[str] = []
    for place, entry in enumerate(entries):
        try:
            keys.append(_key(entry))
        except KeySetError as error:
            refused.append(f"keys[{place}]: {error}")
    return tuple(keys), refused


def _key(entry: Any) -> VerifyingKey:
    if not isinstance(entry, dict):
        raise KeySetError("not an object")
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise KeySetError("`kid` is not a string")
    if entry.get("use", "sig") != "sig" or "verify" not in _operations(entry):
        raise KeySetError("is not for signatures")
    algorithms = _algorithms(entry)
    public = {name: value for name, value in entry.items() if name not in {"d", "p", "q", "dp", "dq", "qi"}}
    try:
        key = PyJWK(public, algorithms[0]).key
    except (PyJWTError, ValueError, TypeError) as error:
        raise KeySetError(f"is malformed ({type(error).__name__})") from None
    if entry["kty"] == "RSA" and key.key_size < MIN_RSA_BITS:
        raise KeySetError(f"RSA with less than {MIN_RSA_BITS} bits")
    return VerifyingKey(kid, algorithms, key)


def _operations(entry: Mapping[str, Any]) -> Iterable[Any]:
    operations = entry.get("key_ops", ("verify",))
    return operations if isinstance(operations, (list, tuple)) else ()


def _algorithms(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a key of this type is for, or which of it the key itself says.

    Raises:
        KeySetError: nothing that we know.
    """
    match entry.get("kty"), entry.get("crv"):
        case "RSA", _:
            fitting: tuple[str, ...] = _RSA
        case "EC", str(curve):
            fitting = _CURVES.get(curve, ())
        case "OKP", "Ed25519":
            fitting = ("EdDSA",)
        case _:
            fitting = ()
    if not fitting:
        raise KeySetError("neither RSA nor EC with a known curve nor Ed25519")
    if "alg" in entry:
        fitting = tuple(name for name in fitting if name == entry["alg"])
        if not fitting:
            raise KeySetError("`alg` does not fit its type")
    return fitting
