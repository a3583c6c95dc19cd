"""What the operator says about models, over a real socket: `/models/config`, defaults, limits, and cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway import cli, composition
from gateway.settings import Settings, SettingsError, load
from tests.harness import CLAUDE, LLAMA, ask, lines

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator
    from tests.harness import Caller, StartGateway

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
OLD: dict[str, Any] = {
    "defaultProvider": "anthropic",
    "providers": [
        {
            "id": "meta",
            "name": "Meta (Llama)",
            "supportsCustomModel": False,
            "models": [{"id": LLAMA, "name": "Llama 3.3 70B"}],
        },
        {
            "id": "anthropic",
            "name": "Anthropic",
            "supportsCustomModel": True,
            "models": [
                {"id": CLAUDE, "name": "Claude Sonnet 4.5"},
                {"id": HAIKU, "name": "Claude 3 Haiku"},
                {"id": "anthropic.claude-v9:retired", "name": "Claude 9"},
            ],
            "defaultParams": {"temperature": 0.7, "top_p": 0.8},
        },
    ],
}


def configure(text: str) -> None:
    """Write the file that the next gateway reads; every test stands in a folder of its own."""
    Path("gateway.toml").write_text(text)


async def document(caller: Caller) -> dict[str, Any]:
    """Return the document that `/models/config` shows."""
    async with caller.session.get(f"{caller.url}/models/config") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        shown = await response.json()
        assert isinstance(shown, dict)
        return shown


def as_its_consumers_know_it(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the document that the earlier system had."""
    return {
        "defaultProvider": shown["defaultProvider"],
        "providers": [
            {
                **{key: provider[key] for key in ("id", "name", "supportsCustomModel")},
                "models": [{key: model[key] for key in ("id", "name")} for model in provider["models"]],
            }
            for provider in shown["providers"]
        ],
    }


async def test_the_earlier_systems_file_gives_the_same_answer(
    emulator: Emulator, start: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Converted by the README's recipe: same providers, ids, names, order, flags and default."""
    old = tmp_path / "old.json"
    old.write_text(json.dumps(OLD))
    assert cli.main(["models", "convert", str(old)]) == 0
    configure(capsys.readouterr().out)

    async with start(emulator) as caller:
        shown = await document(caller)

    without_parameters = [
        {key: value for key, value in provider.items() if key != "defaultParams"}
        for provider in OLD["providers"]
    ]
    assert as_its_consumers_know_it(shown) == {**OLD, "providers": without_parameters}


async def test_the_catalogue_is_shown_where_the_operator_lists_nothing(caller: Caller) -> None:
    """Every model that may be asked for is there, with its facts."""
    shown = await document(caller)
    models = {model["id"]: model for provider in shown["providers"] for model in provider["models"]}
    assert (models[HAIKU]["name"], models[HAIKU]["family"], models[HAIKU]["prices"]["input"]) == (
        "Claude 3 Haiku",
        "claude",
        0.25,
    )


async def test_default_model_and_parameters_reach_bedrock(emulator: Emulator, start: StartGateway) -> None:
    """A request that says next to nothing is asked as the operator wants it."""
    configure(
        f"""
        default_model = "fast"
        [defaults]
        temperature = 0.7
        top_p = 0.8
        system = "Be terse."
        [aliases]
        fast = "{HAIKU}"
        """,
    )
    body = ask()
    del body["model"]
    async with start(emulator) as caller:
        status, records, _ = await caller.stream(body)

    sent = emulator.calls[-1].body
    assert (status, records[-1]["type"]) == (200, "done")
    assert {key: sent[key] for key in ("temperature", "top_p", "system")} == {
        "temperature": 0.7,
        "top_p": 0.8,
        "system": "Be terse.",
    }


async def test_no_model_and_no_default(caller: Caller) -> None:
    """Without a default, a request must name its model."""
    body = ask()
    del body["model"]
    status, answer = await caller.complete(body)
    assert (status, answer["error"]["param"]) == (400, "model")


async def test_what_is_not_allowed_is_not_served(emulator: Emulator, start: StartGateway) -> None:
    """The operator's list of allowed models closes the rest."""
    async with start(emulator, allowed_models=("us.anthropic.*",)) as caller:
        allowed, _ = await caller.complete(ask(model=CLAUDE))
        status, answer = await caller.complete(ask(model=HAIKU))
        shown = await document(caller)

    assert allowed == 200
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (404, "unknown_model", "model")
    ids = [model["id"] for provider in shown["providers"] for model in provider["models"]]
    assert [model for model in ids if not model.startswith("us.anthropic.")] == []


async def test_a_base_id_that_needs_a_profile_is_answered_with_the_profile(caller: Caller) -> None:
    """The most repeated Bedrock error does not happen: the exact id to use is in the answer."""
    status, answer = await caller.complete(ask(model=CLAUDE.removeprefix("us.")))
    assert (status, answer["error"]["param"]) == (400, "model")
    assert answer["error"]["message"].endswith(f": use {CLAUDE}.")


async def test_the_cost_is_on_every_answer_and_line(caller: Caller, log: io.StringIO) -> None:
    """The unary answer, the stream's `done` and the log line carry the same cost; unknown is null."""
    _, whole = await caller.complete(ask())
    _, records, _ = await caller.stream(ask())
    _, unknown = await caller.complete(ask(model=OPAQUE))

    usage = whole["usage"]
    cost = round(usage["input_tokens"] * 3.3e-6 + usage["output_tokens"] * 16.5e-6, 9)
    assert (whole["cost_usd"], records[-1]["cost_usd"], unknown["cost_usd"]) == (cost, cost, None)
    assert [line.get("cost_usd") for line in lines(log)] == [cost, cost, None]


def test_placeholders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`${NAME}` in a string is the variable's value, and `$${` is a literal."""
    monkeypatch.setenv("FAST_MODEL", HAIKU)
    configure('[aliases]\nfast = "${FAST_MODEL}"\n[providers.a]\nname = "$${FAST_MODEL}"\nmodels = []\n')

    settings = load()

    assert (settings.aliases, settings.providers["a"].name) == ({"fast": HAIKU}, "${FAST_MODEL}")


def test_every_placeholder_without_a_variable_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named with the key that holds it; what other variables hold is not shown."""
    monkeypatch.setenv("SET", "CANARY")
    configure('allowed_models = ["${A_1}"]\n[aliases]\nx = "${SET}-${B}"\n')

    with pytest.raises(SettingsError) as caught:
        load()

    assert caught.value.problems == [
        "gateway.toml: allowed_models[0]: ${A_1}: this environment variable is not set",
        "gateway.toml: aliases.x: ${B}: this environment variable is not set",
    ]


def test_choices_that_cannot_work_are_all_told() -> None:
    """A start is refused with a line for each."""
    with pytest.raises(composition.StartError) as caught:
        composition.build_router(Settings(aliases={"a": "no such", "b": "no such"}))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["alias 'a'", "alias 'b'"]
