"""AWS's SDK as a caller of the gateway: `endpoint_url` is all that it is told."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator


KEY = ("AKIAOFACALLER", "of-no-account")


@cache
def _session() -> boto3.session.Session:
    """Return one for all: each reads the service's model again, half a second of CPU."""
    return boto3.session.Session()


@contextmanager
def boto3_client(
    url: str, *, attempts: int = 1, key: tuple[str, str] = KEY, service: str = "bedrock-runtime"
) -> Iterator[Any]:
    """Give boto3's client of a gateway. It signs with keys of its own, which no gateway knows."""
    client = _session().client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=Config(
            retries={"total_max_attempts": attempts, "mode": "standard"},
            signature_version="v4",
            read_timeout=60,
        ),
    )
    try:
        yield client
    finally:
        client.close()
