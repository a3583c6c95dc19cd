"""The request id: the caller's where it is harmless, else a fresh one (R59)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.server.request_id import HEADER, new_request_id, request_id_of

FRESH = re.compile(r"req_[0-9a-f]{32}", re.ASCII)


def asked(value: str) -> str:
    """Return the id of a request with this header."""
    return request_id_of(CIMultiDict({HEADER: value}))


@pytest.mark.parametrize(
    "value", ["a", "A-Z_0.9", "x" * 64, "3f6f8a52-7f0e-4b0e-9b1c-2f3e4d5c6b7a", "..", "-"]
)
def test_kept(value: str) -> None:
    """A well-formed id is the caller's own."""
    assert asked(value) == value


@pytest.mark.parametrize(
    "value",
    ["", " ", "a b", "x" * 65, "a\n", "\na", "a\r\nSet-Cookie: x", "é", "１", "a/b", "a:b", "\udcff", "a\0"],
)
def test_replaced(value: str) -> None:
    """Anything else gets a fresh one, so that nothing foreign gets into a header or a log line."""
    assert FRESH.fullmatch(asked(value))


@pytest.mark.parametrize("byte", range(256))
def test_every_byte(byte: int) -> None:
    """Of all bytes that a header can hold, 65 are taken."""
    value = bytes([byte]).decode("utf-8", "surrogateescape")

    taken = value.isascii() and (value.isalnum() or value in "._-")
    assert (asked(value) == value) == taken


@given(st.text())
def test_anything(value: str) -> None:
    """The id is always well formed."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", asked(value), re.ASCII)


def test_absent() -> None:
    """A request without an id gets one of its own."""
    first, second = request_id_of({}), new_request_id()

    assert FRESH.fullmatch(first)
    assert FRESH.fullmatch(second)
    assert first != second


def test_any_case() -> None:
    """The header's name has no case."""
    assert request_id_of(CIMultiDict({"x-request-id": "abc"})) == "abc"
