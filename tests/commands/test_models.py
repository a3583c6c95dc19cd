"""`bedrock-gateway models`: the data's check, and the earlier system's configuration converted."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from gateway import cli
from gateway.commands.conversion import ConversionError, converted

if TYPE_CHECKING:
    from pathlib import Path

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
FACT = {
    "id": "amazon.nova-9",
    "endpoint": "bedrock-runtime",
    "mode": "chat",
    "input_usd_per_1m": 1,
}


def test_check_without_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own data has no holes: exit code 0."""
    assert cli.main(["models", "check"]) == 0
    assert capsys.readouterr().out.endswith(" 0 holes, 0 explained\n")


def test_check_with_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Differences from the facts are a table; one without an explanation is exit code 1."""
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps({"models": [FACT]}))

    assert cli.main(["models", "check", "--facts", str(facts)]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines if line.startswith("amazon.nova-9")] == [
        ["amazon.nova-9", "only in the facts  HOLE"]
    ]
    assert "anthropic.claude-v2  " in "\n".join(lines)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_facts_that_are_none(tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there or says something else is a usage error, in one line."""
    facts = tmp_path / "facts.json"
    if text is not None:
        facts.write_text(text)
    assert cli.main(["models", "check", "--facts", str(facts)]) == 2
    assert capsys.readouterr().err.startswith(f"{facts}: not a file of facts (")


def test_convert_writes_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Providers, names, order and parameters survive; the earlier system's own defaults are written out."""
    old = tmp_path / "old.json"
    old.write_text(
        json.dumps(
            {
                "defaultProvider": "b",
                "providers": [
                    {
                        "id": "b",
                        "name": 'B "quoted" \\ ${HOME} é\x7f',
                        "supportsCustomModel": True,
                        "models": [
                            {"id": "b.two", "name": "Two"},
                            {"id": "b.one", "name": "One", "defaultParams": {"top_p": 0.5}},
                        ],
                        "defaultParams": {"temperature": 0.2},
                    },
                    {"id": "a", "name": "A"},
                ],
            }
        )
    )
    assert cli.main(["models", "convert", str(old)]) == 0
    assert tomllib.loads(capsys.readouterr().out) == {
        "default_provider": "b",
        "custom_model_ids": True,
        "defaults": {"temperature": 0.7, "top_p": 0.8},
        "providers": {
            "b": {
                "name": 'B "quoted" \\ $${HOME} é\x7f',
                "supports_custom_model": True,
                "models": [{"id": "b.two", "name": "Two"}, {"id": "b.one", "name": "One"}],
                "defaults": {"temperature": 0.2},
            },
            "a": {"name": "A", "supports_custom_model": False, "models": []},
        },
        "models": {"b.one": {"defaults": {"top_p": 0.5}}},
    }


def test_general_parameters_replace_the_earlier_systems_own() -> None:
    """What the old file says for all models is what the new one says."""
    old = {"providers": [{"id": "a", "name": "A"}], "defaultParams": {"temperature": 0.1, "top_p": 0.2}}
    assert tomllib.loads(converted(old))["defaults"] == {"temperature": 0.1, "top_p": 0.2}


@pytest.mark.parametrize(
    ("old", "problems"),
    [
        ([], ["file: should be an object"]),
        (
            {"providers": [{"id": "a", "name": "A", "models": [{"id": "x"}]}], "theme": "dark"},
            ["providers.0.models.0.name: Field required", "theme: Extra inputs are not permitted"],
        ),
        (
            {
                "providers": [
                    {
                        "id": "a",
                        "name": "A",
                        "models": [{"id": HAIKU, "name": "1"}, {"id": HAIKU, "name": "2"}],
                    }
                ]
            },
            [f"model {HAIKU!r} is listed more than once"],
        ),
        ({"providers": [{"id": "a", "name": "A"}] * 2}, ["provider 'a' is listed more than once"]),
    ],
)
def test_what_has_no_counterpart_is_refused(old: Any, problems: list[str]) -> None:
    """Nothing is dropped in silence: each unknown or missing key is named."""
    with pytest.raises(ConversionError) as caught:
        converted(old)
    assert (caught.value.problems, str(caught.value)) == (problems, "; ".join(problems))


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read (No such file"), ("{", "not valid JSON"), ("{}", "providers: Field required")],
)
def test_a_file_that_cannot_be_converted(
    tmp_path: Path, text: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The problem goes to stderr, nothing to stdout: `> gateway.toml` stays empty, and the exit code is 2."""
    old = tmp_path / "old.json"
    if text is not None:
        old.write_text(text)
    assert cli.main(["models", "convert", str(old)]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.startswith(f"{old}: {words}")) == ("", True)
