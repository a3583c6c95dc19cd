"""Callers in the settings: by hashes and access key ids, each of which is one caller's."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from gateway.authentication import build_callers
from gateway.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from pathlib import Path

HASH = "ab" * 32


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable for each list, under the caller's name."""
    monkeypatch.setenv("GATEWAY_CALLERS__TEAM_A__KEY_SHA256", f'["{HASH}"]')
    monkeypatch.setenv("GATEWAY_CALLERS__TEAM_A__ACCESS_KEY_IDS", '["AKIATEAMA", "AKIATEAMA2"]')
    [(name, caller)] = load().callers.items()
    assert (name, caller.key_sha256, caller.access_key_ids) == (
        "team_a",
        (HASH,),
        ("AKIATEAMA", "AKIATEAMA2"),
    )


def test_nobody_is_named() -> None:
    """Then everybody may ask."""
    assert build_callers(Settings(), "127.0.0.1") is None


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("[callers.a]\n", "needs key_sha256, access_key_ids, or keys in a keys_file"),
        ('[callers.a]\nkey_sha256 = ["CANARY-a-key-itself"]', "String should match pattern"),
        (f'[callers.a]\nkey_sha256 = ["{sha256().hexdigest()}"]', "hash of an empty key"),
        ('[callers.a]\naccess_key_ids = ["a b"]', "String should match pattern"),
        (
            f'[callers.a]\nkey_sha256 = ["{HASH}"]\n[callers.b]\nkey_sha256 = ["{HASH}"]',
            "callers: a, b: one of key_sha256 is there twice",
        ),
        (
            '[callers.a]\naccess_key_ids = ["AKIA"]\n[callers.b]\naccess_key_ids = ["AKIA"]',
            "callers: a, b: one of access_key_ids is there twice",
        ),
    ],
)
def test_what_cannot_work(file: str, words: str, tmp_path: Path) -> None:
    """Start-up is refused, without a word of what may be a key."""
    (tmp_path / "gateway.toml").write_text(file)
    with pytest.raises(SettingsError, match=words) as refused:
        load()
    assert "CANARY" not in str(refused.value)
