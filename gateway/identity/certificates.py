"""Who a caller's certificate says that it is: its SPIFFE id, its DNS names, its common name.

TLS has verified it: the chain up to an authority of the settings, the dates, and that the caller has its key.
Revocation lists are not read: certificates of callers are to be short-lived, or their authority replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from gateway.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Kind: TypeAlias = Literal["spiffe", "dns", "cn"]
_SPIFFE: Final = "spiffe://"
_EXPIRED: Final = "The certificate of this connection has expired: connect again with a new one."


class PeerCertificate(Protocol):
    """What a connection's TLS has verified."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """As `ssl.SSLSocket.getpeercert` gives them."""

    @property
    def expires(self) -> float:
        """In seconds since 1970."""


def subjects(certificate: PeerCertificate, kinds: Sequence[Kind], now: Callable[[], float]) -> list[str]:
    """Return the names that it proves, those of the first kind first: `spiffe://…`, `dns:…`, `cn:…`.

    Raises:
        Unauthenticated: it has expired since the connection was made.
    """
    if certificate.expires <= now():
        raise Unauthenticated(_EXPIRED, detail="certificate has expired")
    return [name for kind in kinds for name in _NAMES[kind](certificate.fields)]


def _spiffe(fields: Mapping[str, Any]) -> Iterator[str]:
    """A certificate with several URIs is none of SPIFFE's (X.509-SVID, section 2)."""
    uris = [value for kind, value in fields.get("subjectAltName", ()) if kind == "URI"]
    if len(uris) == 1 and uris[0].startswith(_SPIFFE):
        yield uris[0]


def _dns(fields: Mapping[str, Any]) -> Iterator[str]:
    for kind, value in fields.get("subjectAltName", ()):
        if kind == "DNS":
            yield f"dns:{value}"


def _cn(fields: Mapping[str, Any]) -> Iterator[str]:
    for part in fields.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                yield f"cn:{value}"


_NAMES: Final[Mapping[Kind, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "spiffe": _spiffe,
    "dns": _dns,
    "cn": _cn,
}
