"""Anthropic's headers: two versions, and flags that are passed on, without meaning, or refused by name."""

from __future__ import annotations

import pytest

from gateway.dialects.anthropic_headers import PASSED_ON, RENAMED, WITHOUT_MEANING, betas, check_version
from gateway.errors import InvalidRequest


@pytest.mark.parametrize("version", [None, "2023-06-01", " 2026-10-21 "])
def test_the_version(version: str | None) -> None:
    """The versions that clients send, or none."""
    check_version(version)


@pytest.mark.parametrize("version", ["", "2023-01-01", "2023-06-01, 2023-06-01"])
def test_another_version(version: str) -> None:
    """Every other is refused by the header's name."""
    with pytest.raises(InvalidRequest) as caught:
        check_version(version)

    assert caught.value.param == "anthropic-version"


def test_flags() -> None:
    """Lines are one list; what Bedrock need not know stays here, what it calls otherwise is renamed."""
    lines = [
        "interleaved-thinking-2025-05-14, pdfs-2024-09-25,,interleaved-thinking-2025-05-14",
        "advanced-tool-use-2025-11-20",
    ]

    assert betas(lines) == ("interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19")
    assert betas([]) == ()


def test_the_lists_have_nothing_in_common() -> None:
    """Each flag has one fate."""
    assert not PASSED_ON & WITHOUT_MEANING
    assert not set(RENAMED) & (PASSED_ON | WITHOUT_MEANING)
    assert set(RENAMED.values()) <= PASSED_ON


@pytest.mark.parametrize(("flag", "named"), [("files-api-2025-04-14", True), ("x" * 65, False), ("é", False)])
def test_an_unknown_flag(flag: str, *, named: bool) -> None:
    """It is refused, and named where it can be a flag."""
    with pytest.raises(InvalidRequest) as caught:
        betas([flag])

    assert caught.value.param == "anthropic-beta"
    assert (flag in caught.value.message) is named
