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
ISSUER = '[[auth.issuers]]\nissuer = "https://issuer.example"\naudience = "gateway"\n'


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


def test_issuers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file or the environment; one audience needs no list, and loopback no TLS."""
    (tmp_path / "gateway.toml").write_text(ISSUER + '[callers.a]\nsubjects = ["x"]\ngroups = ["y"]\n')
    [one] = load().auth.issuers
    assert (one.audience, one.algorithms, one.caller_claim) == (("gateway",), ("RS256", "ES256"), "sub")
    monkeypatch.setenv(
        "GATEWAY_AUTH__ISSUERS", '[{"issuer": "http://127.0.0.1:8080", "audience": ["a", "b"]}]'
    )
    [one] = load().auth.issuers
    assert (one.issuer, one.audience) == ("http://127.0.0.1:8080", ("a", "b"))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("[callers.a]\n", "needs key_sha256, subjects, groups, access_key_ids, or keys in a keys_file"),
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
        (
            '[callers.a]\nsubjects = ["x"]',
            "callers.a.subjects: nothing proves them: there are no auth.issuers",
        ),
        ('[callers.a]\ngroups = ["x"]', "callers.a.groups: nothing proves them"),
        (
            ISSUER + '[callers.a]\nsubjects = ["x"]\n[callers.b]\nsubjects = ["x"]',
            "callers: a, b: one of subjects is there twice",
        ),
        (ISSUER.replace("https", "http"), r"^auth.issuers.0.issuer \(\S+\): needs to be an https URL"),
        (ISSUER.replace("issuer.example", "[x"), r"^auth.issuers.0.issuer \(\S+\): is not a URL"),
        (ISSUER + "audience2 = 1", "unknown setting"),
        (ISSUER.replace('"gateway"', "5"), r"audience .*: Input should be a list"),
        ('[callers."a/b"]', "callers: 'a/b' is no name for a caller"),
        ('[callers.""]', "callers: '' is no name for a caller"),
        ('[callers."a\\u0007"]', "is no name for a caller"),
        (f"[callers.{'x' * 65}]", "is no name for a caller"),
        ("[callers.a]\nrequests_per_minute = true", "requests_per_minute .*: Input should be a whole number"),
        (
            "[callers.a]\ndefault_max_tokens = 10\nmax_tokens = 9",
            r"^callers.a \(\S+\): default_max_tokens is 10, more than max_tokens, which is 9$",
        ),
        (
            "[callers.a]\nbudget_usd_per_day = 2.5\nbudget_usd_per_month = 2",
            "budget_usd_per_day is 2.5, more than budget_usd_per_month, which is 2",
        ),
        ("[tls]", "tls: an empty table makes no TLS: it needs cert_file and key_file"),
        (ISSUER.replace("https://issuer.example", "issuer"), "needs to be an https URL"),
        (ISSUER.replace("https://issuer.example", "https://"), "needs to be an https URL"),
        (ISSUER + 'jwks_url = "http://elsewhere/keys"', "needs to be an https URL"),
        (ISSUER.replace("audience", "# audience"), "auth.issuers.0.audience .*: Field required"),
        (ISSUER.replace('"gateway"', "[]"), "audience .*: List should have at least 1 item$"),
        (ISSUER + 'algorithms = ["HS256"]', "algorithms.0 .*: Input should be 'RS256'"),
        (ISSUER + 'algorithms = ["none"]', "algorithms.0 .*: Input should be 'RS256'"),
        (ISSUER + "algorithms = []", "algorithms .*: List should have at least 1 item$"),
        (ISSUER + ISSUER, "issuer 'https://issuer.example' is there twice: list all audiences"),
        (ISSUER + ISSUER.replace("issuer.", "other."), "subject_prefix '' is there twice: give each its own"),
    ],
)
def test_what_cannot_work(file: str, words: str, tmp_path: Path) -> None:
    """Start-up is refused, without a word of what may be a key."""
    (tmp_path / "gateway.toml").write_text(file)
    with pytest.raises(SettingsError, match=words) as refused:
        load()
    assert "CANARY" not in str(refused.value)


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    """It is told of once, and what else is wrong stays."""
    (tmp_path / "gateway.toml").write_text(
        '[redis]\nurl = "${NO_SUCH_VARIABLE}"\nreplicas = 0\n'
        '[callers.a]\nkey_sha256 = ["${NO_SUCH_VARIABLE}"]\n'
    )
    with pytest.raises(SettingsError) as refused:
        load()
    kinds = [problem.partition("redis.")[2].partition(" ")[0] for problem in refused.value.problems]
    assert kinds == ["url:", "", "replicas"], refused.value.problems


def test_numbers_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is a number there."""
    monkeypatch.setenv("GATEWAY_CALLERS__A__KEY_SHA256", f'["{HASH}"]')
    monkeypatch.setenv("GATEWAY_CALLERS__A__REQUESTS_PER_MINUTE", "5")
    assert load().callers["a"].requests_per_minute == 5
