"""TLS on the callers' port, and the certificates that callers prove themselves with."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.settings.sections import Section


class TlsSettings(Section):
    """All files are PEM, and read again when they change."""

    cert_file: Path | None = None
    """The server's certificate, and those between it and its authority. Without one there is no TLS."""
    key_file: Path | None = None
    client_ca_file: Path | None = None
    """The authorities that vouch for callers. Revocation lists are not read."""
    client_certificates: Literal["required", "optional", "none"] = "none"
    """`required`: nobody connects without, not even a probe; `optional`: who shows none needs a key or a
    token for all but the probes."""
    client_names: Annotated[tuple[Literal["spiffe", "dns", "cn"], ...], Field(min_length=1)] = (
        "spiffe", "dns", "cn",
    )  # fmt: skip
    """What of a certificate is a subject, in the order in which callers are looked for: its SPIFFE id as it
    is, a DNS name as `dns:NAME`, the common name as `cn:NAME`."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        asked = self.client_certificates != "none"
        problems = []
        if (self.cert_file is None) != (self.key_file is None):
            problems.append("tls: cert_file and key_file go together (GATEWAY_TLS__CERT_FILE, …KEY_FILE)")
        if asked and self.client_ca_file is None:
            problems.append(
                f"tls.client_certificates is {self.client_certificates}, and there is no tls.client_ca_file "
                "(GATEWAY_TLS__CLIENT_CA_FILE) to check them by"
            )
        if asked and self.cert_file is None:
            problems.append("tls.client_certificates needs TLS: there is no tls.cert_file")
        if self.client_ca_file is not None and not asked:
            problems.append(
                "tls.client_ca_file has no effect: tls.client_certificates is none; say required or optional"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self
