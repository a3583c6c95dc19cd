"""Quotas in the settings: patterns, the first that fits, and what cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.admission.quotas import Quota
from gateway.composition import build_quotas
from gateway.settings import SettingsError, load
from tests.harness import CLAUDE, NOVA

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.settings import Settings

FILE = f"""
[quotas."{CLAUDE}"]
tokens_per_minute = 200_000
requests_per_minute = 50
targets = ["east"]

[quotas."*.anthropic.claude-*"]
tokens_per_day = 1_000_000
output_burndown = 3
"""


def quotas_of(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of this file."""
    file = folder / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    return load()


def test_the_first_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the id as it is called, and by the target; none where nothing is said."""
    quotas = build_quotas(quotas_of(FILE, tmp_path, monkeypatch))
    assert quotas
    assert quotas.of(f"east/{CLAUDE}") == Quota(200_000, 50)
    assert quotas.of(f"west/{CLAUDE}") == Quota(tokens_per_day=1_000_000, output_burndown=3)
    assert quotas.of(f"east/{CLAUDE.removeprefix('us.')}") is None
    assert quotas.of(f"east/{NOVA}") is None
    assert not build_quotas(quotas_of("", tmp_path, monkeypatch))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"^quotas\.\"\*\" \(\S+\): needs tokens_per_minute, requests_per_minute or tokens_per_day"),
        ("output_burndown = 5", "needs tokens_per_minute, requests_per_minute or tokens_per_day"),
        ("tokens_per_minute = 0", "greater than or equal to 1"),
        ("tokens_per_minute = 1\ntargets = []", "at least 1 item"),
        ("tokens_per_minute = 1\nminute = 1", "unknown setting"),
    ],
)
def test_what_cannot_be_meant(text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at the start."""
    with pytest.raises(SettingsError, match=words):
        quotas_of(f'[quotas."*"]\n{text}\n', tmp_path, monkeypatch)
