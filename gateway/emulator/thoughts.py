"""Signed and redacted thoughts: what the emulator gave it knows again, what somebody changed it refuses.

A signature depends on the thoughts alone, so that it can be checked without remembering anything. Thoughts
that the real service signed cannot be checked here; they are taken if they look like its own (recorded).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

_OURS: Final = "emulated/"
_REDACTED: Final = b"emulated/redacted/"
_DIGEST_BYTES: Final = 32
_REAL_START: Final = b"\x12"
_REAL_BYTES: Final = 64
"""Real ones are a protocol buffer, field 2 first, of some hundred bytes."""


def sign(thoughts: str) -> str:
    """Return the signature of thoughts."""
    return _OURS + sha256(f"thoughts/{thoughts}".encode()).hexdigest()


def is_signature(signature: str, thoughts: str) -> bool:
    """Whether the model could have signed these thoughts so."""
    return signature == sign(thoughts) if signature.startswith(_OURS) else _looks_real(signature)


def redact(key: str) -> str:
    """Return thoughts that nobody can read, as base64; another key, other thoughts."""
    half = sha256(key.encode()).digest()
    return b64encode(_REDACTED + half + sha256(half).digest()).decode()


def is_redacted(data: str) -> bool:
    """Whether the model could have given these redacted thoughts."""
    try:
        raw = b64decode(data, validate=True)
    except binascii.Error:
        return False
    if not raw.startswith(_REDACTED):
        return _looks_real(data)
    half, digest = raw[len(_REDACTED) : -_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    return digest == sha256(half).digest()


def _looks_real(data: str) -> bool:
    try:
        raw = b64decode(data, validate=True)
    except binascii.Error:
        return False
    return raw.startswith(_REAL_START) and len(raw) >= _REAL_BYTES
