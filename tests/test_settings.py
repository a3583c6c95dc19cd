"""Settings: which source wins, what is refused, and that every refusal says what to change and no secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import AwsSettings, BedrockSettings, Settings, SettingsError, load

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "CANARY-7c1e"
MODEL = "us.amazon.nova-micro-v1:0"


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder with nothing of the developer's own environment."""
    for name in os.environ:
        if name.upper().startswith(("GATEWAY_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(monkeypatch: pytest.MonkeyPatch, here: Path, environment: dict[str, str], file: str | None) -> None:
    """Set the variables and write `gateway.toml`."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if file is not None:
        (here / "gateway.toml").write_text(file)


def problems() -> list[str]:
    """Return why `load` refuses."""
    with pytest.raises(SettingsError) as caught:
        load()
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


# ── what wins ─────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_set() -> None:
    """Without any configuration the gateway listens on this machine only and asks the SDK for credentials."""
    settings = load()

    assert (settings.host, settings.port, settings.bedrock) == ("127.0.0.1", 8080, BedrockSettings())
    assert settings.aws == AwsSettings()


FILE = f"""
port = 1
max_queue = 2
[bedrock]
operation = "invoke"
streaming = false
[aliases]
fast = "{MODEL}"
[models."{MODEL}"]
operation = "converse"
"""


@pytest.mark.parametrize(
    ("environment", "file", "expected"),
    [
        pytest.param({}, FILE, {"port": 1, "max_queue": 2}, id="the file"),
        pytest.param({"GATEWAY_PORT": "9"}, FILE, {"port": 9, "max_queue": 2}, id="the environment wins"),
        pytest.param({"GATEWAY_PORT": ""}, FILE, {"port": 1}, id="empty is absent"),
        pytest.param({"GATEWAY_NO_SUCH_THING": ""}, None, {"port": 8080}, id="empty and unknown is absent"),
        pytest.param({"gateway_port": "9"}, FILE, {"port": 9}, id="names in any case"),
        pytest.param({}, FILE, {"bedrock.operation": "invoke", "bedrock.streaming": False}, id="a table"),
        pytest.param(
            {"GATEWAY_BEDROCK__OPERATION": "converse"},
            FILE,
            {"bedrock.operation": "converse", "bedrock.streaming": False},
            id="a nested name overrides one key of a table",
        ),
        pytest.param(
            {"GATEWAY_BEDROCK": '{"operation": "converse"}', "GATEWAY_BEDROCK__GAP_TIMEOUT_MS": "7"},
            None,
            {"bedrock.operation": "converse", "bedrock.gap_timeout_ms": 7},
            id="JSON and nested names together",
        ),
        pytest.param({"GATEWAY_BEDROCK__OPERATION": ""}, FILE, {"bedrock.operation": "invoke"}, id="nested"),
        pytest.param({}, FILE, {"aliases": {"fast": MODEL}}, id="an alias in the file"),
        pytest.param({"GATEWAY_ALIASES__FAST": "x"}, FILE, {"aliases": {"fast": "x"}}, id="an alias outside"),
    ],
)
def test_which_source_wins(
    monkeypatch: pytest.MonkeyPatch,
    here: Path,
    environment: dict[str, str],
    file: str | None,
    expected: dict[str, Any],
) -> None:
    """Environment before file before default, key by key; an empty variable is like an absent one."""
    given(monkeypatch, here, environment, file)

    everything = load().model_dump()
    flat = everything | {
        f"{name}.{key}": inner
        for name, value in everything.items()
        if isinstance(value, dict)
        for key, inner in value.items()
    }

    assert {name: flat[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        pytest.param({}, f'[models."{MODEL}"]\noperation = "converse"', id="file"),
        # a shell cannot export this name; `env`, Docker and Kubernetes can set it
        pytest.param({f"GATEWAY_MODELS__{MODEL}__OPERATION": "converse"}, None, id="name"),
        pytest.param({f"GATEWAY_MODELS__{MODEL.upper()}__OPERATION": "converse"}, None, id="upper case"),
        pytest.param({"GATEWAY_MODELS": f'{{"{MODEL}": {{"operation": "converse"}}}}'}, None, id="JSON"),
        pytest.param(
            {f"GATEWAY_MODELS__{MODEL}__OPERATION": "converse"},
            f'[models."{MODEL}"]\noperation = "invoke"',
            id="environment over file",
        ),
    ],
)
def test_one_model(
    monkeypatch: pytest.MonkeyPatch, here: Path, environment: dict[str, str], file: str | None
) -> None:
    """What the operator says about one model can be said in the file, as JSON and by one variable."""
    given(monkeypatch, here, environment, file)

    assert {name: model.operation for name, model in load().models.items()} == {MODEL: "converse"}


def test_named_file(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """GATEWAY_CONFIG names the file that counts, instead of ./gateway.toml; empty means not set."""
    (here / "gateway.toml").write_text("port = 1")
    (here / "other.toml").write_text("port = 2")
    assert load().port == 1

    monkeypatch.setenv("GATEWAY_CONFIG", str(here / "other.toml"))
    assert load().port == 2

    monkeypatch.setenv("GATEWAY_CONFIG", "")
    assert load().port == 1


@pytest.mark.parametrize(
    ("environment", "field", "value"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "region", "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "region", "us-east-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-1"}, "region", "us-east-1"),
        ({"AWS_REGION": ""}, "region", None),
        ({"AWS_REGION": "us-gov-west-1"}, "region", "us-gov-west-1"),
        (
            {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://a:1", "AWS_ENDPOINT_URL": "http://b:2"},
            "endpoint_url",
            "http://a:1",
        ),
        ({"AWS_ENDPOINT_URL": "http://[::1]:2/"}, "endpoint_url", "http://[::1]:2/"),
        ({"AWS_ENDPOINT_URL": "https://vpce-1.bedrock"}, "endpoint_url", "https://vpce-1.bedrock"),
        ({"AWS_PROFILE": "work"}, "profile", "work"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "use_fips_endpoint", True),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "True"}, "use_dualstack_endpoint", True),
        ({"AWS_BEARER_TOKEN_BEDROCK": "t"}, "bearer_token", SecretStr("t")),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, "access_key_id", SecretStr("a")),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, "secret_access_key", SecretStr("s")),
        ({"AWS_SESSION_TOKEN": "t"}, "session_token", SecretStr("t")),
        ({"REGION": "eu-west-1", "PROFILE": "x"}, "region", None),
        ({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "s"}, "access_key_id", None),
        ({"ENDPOINT_URL": "http://a"}, "endpoint_url", None),
    ],
)
def test_aws_variables(
    monkeypatch: pytest.MonkeyPatch, here: Path, environment: dict[str, str], field: str, value: object
) -> None:
    """AWS's variables have AWS's names only, AWS_REGION and the service's own endpoint before the general."""
    given(monkeypatch, here, environment, None)

    assert getattr(load().aws, field) == value


def test_ca_bundle(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """AWS_CA_BUNDLE is the path of a file."""
    (here / "ca.pem").touch()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(here / "ca.pem"))

    assert load().aws.ca_bundle == here / "ca.pem"


def test_the_bearer_token_must_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable alone changes nothing; with `bedrock.auth = bearer` it is used."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", SECRET)
    assert load().bedrock.auth == "sigv4"

    monkeypatch.setenv("GATEWAY_BEDROCK__AUTH", "bearer")
    settings = load()
    assert settings.aws.bearer_token is not None
    assert (settings.bedrock.auth, settings.aws.bearer_token.get_secret_value()) == ("bearer", SECRET)


def test_settings_made_in_code_take_nothing_of_the_operators_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo gives the emulator's keys and endpoint, and must not meet the operator's profile."""
    monkeypatch.setenv("AWS_PROFILE", "work")

    assert AwsSettings(region="us-east-1").profile is None
    assert Settings().aws.profile == "work"


def test_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the start nothing can be set, at any level, and the environment is not read again."""
    settings = load()
    monkeypatch.setenv("GATEWAY_PORT", "9")

    for part, name in ((settings, "port"), (settings.bedrock, "operation"), (settings.aws, "region")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, "x")
    assert settings.port == 8080


def test_no_secret_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing the settings prints no secret."""
    for name in (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        "AWS_BEARER_TOKEN_BEDROCK",
    ):
        monkeypatch.setenv(name, SECRET)

    assert SECRET not in f"{load()!r} {load()} {load().model_dump()} {load().model_dump_json()}"


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────

TABLE = "Input should be a table (in the environment: JSON, or one variable for each key)"
REGION = "String should match pattern '^[a-z0-9]+(-[a-z0-9]+)+$'"
ORIGIN = r"String should match pattern '^https?://(\[[0-9A-Fa-f:.]+\]|[^/\s?#@:]+)(:[1-9][0-9]{0,4})?/?$'"
TRUTH = "Input should be a valid boolean, unable to interpret input"
AWS_TABLE = "gateway.toml: [aws]: AWS's settings come from AWS's own variables (AWS_REGION, …), not from here"
PAIR = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together"
BEARER = "bedrock.auth (GATEWAY_BEDROCK__AUTH) is bearer, but AWS_BEARER_TOKEN_BEDROCK is not set"
NUMBER = "Input should be a valid integer, unable to parse string as an integer"

NO_ROOM = (
    "max_bodies_bytes (GATEWAY_MAX_BODIES_BYTES): 2048 has no room for one body of max_body_bytes, "
    "which is 4194304"
)
BACKOFF = (
    "retries.max_backoff_ms (GATEWAY_RETRIES__MAX_BACKOFF_MS): 2000 is less than backoff_ms, which is 5000"
)
OPEN = "breaker.max_open_ms (GATEWAY_BREAKER__MAX_OPEN_MS): 60000 is less than open_ms, which is 90000"
FLOOR = (
    "adaptive.floor (GATEWAY_ADAPTIVE__FLOOR): 11 is more than max_concurrency, which is 10: "
    "nothing would ever be limited"
)
ABANDONED = (
    "abandoned_max_answers (GATEWAY_ABANDONED_MAX_ANSWERS): 20 is not less than max_concurrency, "
    "which is 10: they could hold every slot"
)

BROKEN: list[tuple[dict[str, str], str | None, list[str]]] = [
    # the environment
    ({"GATEWAY_PORT": SECRET}, None, [f"port (GATEWAY_PORT): {NUMBER}"]),
    ({"GATEWAY_PORT": "-1"}, None, ["port (GATEWAY_PORT): Input should be greater than or equal to 0"]),
    ({"GATEWAY_PORT": "65536"}, None, ["port (GATEWAY_PORT): Input should be less than or equal to 65535"]),
    (
        {"GATEWAY_MAX_CONCURRENCY": "0"},
        None,
        ["max_concurrency (GATEWAY_MAX_CONCURRENCY): Input should be greater than or equal to 1"],
    ),
    ({"GATEWAY_HOST": " "}, None, [r"host (GATEWAY_HOST): String should match pattern '^\S+$'"]),
    (
        {"GATEWAY_QUEUE_TIMEOUT_MS": "0"},
        None,
        ["queue_timeout_ms (GATEWAY_QUEUE_TIMEOUT_MS): Input should be greater than 0"],
    ),
    (
        {"GATEWAY_BEDROCK__OPERATION": SECRET},
        None,
        ["bedrock.operation (GATEWAY_BEDROCK__OPERATION): Input should be 'auto', 'invoke' or 'converse'"],
    ),
    (
        {"GATEWAY_BEDROCK__STREAMING": SECRET},
        None,
        [
            f"bedrock.streaming (GATEWAY_BEDROCK__STREAMING): {TRUTH}",
        ],
    ),
    (
        {"GATEWAY_LOG__LEVEL": "loud"},
        None,
        ["log.level (GATEWAY_LOG__LEVEL): Input should be 'debug', 'info', 'warning' or 'error'"],
    ),
    ({"GATEWAY_MAX_QEUE": SECRET}, None, ["GATEWAY_MAX_QEUE: unknown setting"]),
    ({"GATEWAY_BEDROCK__OPERATON": SECRET}, None, ["GATEWAY_BEDROCK__OPERATON: unknown setting"]),
    ({"GATEWAY_PORT__X": SECRET}, None, ["GATEWAY_PORT__X: unknown setting"]),
    ({"GATEWAY_AWS": f'{{"region": "{SECRET}"}}'}, None, ["GATEWAY_AWS: unknown setting"]),
    ({"GATEWAY_AWS__REGION": SECRET}, None, ["GATEWAY_AWS__REGION: unknown setting"]),
    ({"GATEWAY_BEDROCK": SECRET}, None, [f"bedrock (GATEWAY_BEDROCK): {TABLE}"]),
    ({"GATEWAY_BEDROCK": "5"}, None, [f"bedrock (GATEWAY_BEDROCK): {TABLE}"]),
    (
        {"GATEWAY_BEDROCK": f'{{"operaton": "{SECRET}"}}'},
        None,
        ["bedrock.operaton (GATEWAY_BEDROCK__OPERATON): unknown setting"],
    ),
    ({"GATEWAY_ALIASES": f'{{"a": "{SECRET}'}, None, [f"aliases (GATEWAY_ALIASES): {TABLE}"]),
    ({"GATEWAY_ALIASES": "[]"}, None, [f"aliases (GATEWAY_ALIASES): {TABLE}"]),
    ({"GATEWAY_MODELS__X": SECRET}, None, [f"models.x (GATEWAY_MODELS__X): {TABLE}"]),
    ({"GATEWAY_MODELS__X__OPERATON": SECRET}, None, ["GATEWAY_MODELS__X__OPERATON: unknown setting"]),
    # AWS's own
    ({"AWS_ACCESS_KEY_ID": SECRET}, None, [PAIR]),
    ({"AWS_SECRET_ACCESS_KEY": SECRET}, None, [PAIR]),
    ({"AWS_REGION": f"x-{SECRET}"}, None, [f"AWS_REGION: {REGION}"]),
    ({"AWS_DEFAULT_REGION": f"x-{SECRET}"}, None, [f"AWS_DEFAULT_REGION: {REGION}"]),
    ({"AWS_REGION": "us-east-1\n"}, None, [f"AWS_REGION: {REGION}"]),
    ({"AWS_ENDPOINT_URL": f"http://u:{SECRET}@h"}, None, [f"AWS_ENDPOINT_URL: {ORIGIN}"]),
    ({"AWS_ENDPOINT_URL": "http://h/path"}, None, [f"AWS_ENDPOINT_URL: {ORIGIN}"]),
    ({"AWS_ENDPOINT_URL": "http://h:0"}, None, [f"AWS_ENDPOINT_URL: {ORIGIN}"]),
    (
        {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "ftp://h", "AWS_ENDPOINT_URL": "http://h"},
        None,
        [f"AWS_ENDPOINT_URL_BEDROCK_RUNTIME: {ORIGIN}"],
    ),
    ({"AWS_CA_BUNDLE": f"/{SECRET}"}, None, ["AWS_CA_BUNDLE: Path does not point to a file"]),
    ({"AWS_CA_BUNDLE": "/"}, None, ["AWS_CA_BUNDLE: Path does not point to a file"]),
    (
        {"AWS_USE_FIPS_ENDPOINT": SECRET},
        None,
        [f"AWS_USE_FIPS_ENDPOINT: {TRUTH}"],
    ),
    ({"GATEWAY_BEDROCK__AUTH": "bearer"}, None, [BEARER]),
    ({"GATEWAY_BEDROCK__AUTH": "bearer", "AWS_BEARER_TOKEN_BEDROCK": ""}, None, [BEARER]),
    # what is wrong together
    ({"GATEWAY_MAX_BODIES_BYTES": "2048"}, None, [NO_ROOM]),
    ({"GATEWAY_RETRIES__BACKOFF_MS": "5000"}, "[breaker]\nopen_ms = 90000", [BACKOFF, OPEN]),
    (
        {"GATEWAY_MAX_CONCURRENCY": "10", "GATEWAY_ON_DISCONNECT": "drain"},
        "[adaptive]\nfloor = 11",
        [FLOOR, ABANDONED],
    ),
    # the file
    ({}, f'prot = "{SECRET}"', ["prot (GATEWAY_PROT): unknown setting"]),
    (
        {},
        f'[bedrock]\nx = "{SECRET}"\n[bedrock.y]\nz = 1',
        [
            "bedrock.x (GATEWAY_BEDROCK__X): unknown setting",
            "bedrock.y (GATEWAY_BEDROCK__Y): unknown setting",
        ],
    ),
    (
        {},
        f'[models."{MODEL}"]\noperaton = "{SECRET}"',
        [f'models."{MODEL}".operaton (GATEWAY_MODELS__{MODEL.upper()}__OPERATON): unknown setting'],
    ),
    ({}, 'host = ""', [r"host (GATEWAY_HOST): String should match pattern '^\S+$'"]),
    ({}, f'bedrock = "{SECRET}"', [f"bedrock (GATEWAY_BEDROCK): {TABLE}"]),
    ({}, "[[bedrock]]", [f"bedrock (GATEWAY_BEDROCK): {TABLE}"]),
    ({}, '[aliases]\na = ["x"]', ["aliases.a (GATEWAY_ALIASES__A): Input should be a valid string"]),
    (
        {},
        f'[aws]\nregion = "{SECRET}"',
        [AWS_TABLE],
    ),
    (
        {"GATEWAY_CONFIG": "nowhere.toml"},
        None,
        ["nowhere.toml: cannot be read (No such file or directory); GATEWAY_CONFIG names another file"],
    ),
    (
        {"GATEWAY_CONFIG": "/"},
        None,
        ["/: cannot be read (Is a directory); GATEWAY_CONFIG names another file"],
    ),
    # several at once
    (
        {
            "GATEWAY_MAX_QEUE": "1",
            "GATEWAY_PORT": "x",
            "GATEWAY_BEDROCK__AUTH": "bearer",
            "AWS_REGION": "X",
            "AWS_ACCESS_KEY_ID": SECRET,
        },
        f'foo = 1\n[aws]\nx = "{SECRET}"',
        [
            AWS_TABLE,
            "GATEWAY_MAX_QEUE: unknown setting",
            PAIR,
            f"AWS_REGION: {REGION}",
            f"port (GATEWAY_PORT): {NUMBER}",
            "foo (GATEWAY_FOO): unknown setting",
        ],
    ),
    (
        {"GATEWAY_PORT": "x", "GATEWAY_BEDROCK__AUTH": "bearer"},
        None,
        [f"port (GATEWAY_PORT): {NUMBER}", BEARER],
    ),
    (
        {"GATEWAY_BEDROCK__AUTH": SECRET},
        None,
        ["bedrock.auth (GATEWAY_BEDROCK__AUTH): Input should be 'sigv4' or 'bearer'"],
    ),
    (
        {
            "GATEWAY_CONFIG": "nowhere.toml",
            "GATEWAY_X": "1",
            "AWS_ACCESS_KEY_ID": SECRET,
            "GATEWAY_PORT": "x",
        },
        None,
        [
            "nowhere.toml: cannot be read (No such file or directory); GATEWAY_CONFIG names another file",
            "GATEWAY_X: unknown setting",
            PAIR,
            f"port (GATEWAY_PORT): {NUMBER}",
        ],
    ),
    (
        {"GATEWAY_X": "1", "AWS_ACCESS_KEY_ID": SECRET},
        "port = ",
        [
            "gateway.toml: not valid TOML: Invalid value (at end of document)",
            "GATEWAY_X: unknown setting",
            PAIR,
        ],
    ),
]


@pytest.mark.parametrize(("environment", "file", "expected"), BROKEN)
def test_a_broken_configuration(
    monkeypatch: pytest.MonkeyPatch,
    here: Path,
    environment: dict[str, str],
    file: str | None,
    expected: list[str],
) -> None:
    """Start-up is refused with every problem, each naming variable and key, none with a value (R50)."""
    given(monkeypatch, here, environment, file)

    found = problems()

    assert found == expected
    assert SECRET not in "".join(found)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        *(
            f"{before}{SECRET}{after}".encode()
            for before, after in [('port = "', ""), ("port = ", ""), ("", ""), ("[", ""), ("", " = 1 2")]
        ),
    ],
)
def test_a_file_that_is_not_toml(here: Path, content: bytes) -> None:
    """The refusal tells what and where, with neither a traceback nor the text."""
    (here / "gateway.toml").write_bytes(content)

    (problem,) = problems()

    assert problem.startswith("gateway.toml: not valid TOML: ")
    assert SECRET not in problem


def test_the_cause_holds_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback of a refusal has no chain, so that no library's own error can show a value."""
    monkeypatch.setenv("GATEWAY_PORT", SECRET)

    with pytest.raises(SettingsError) as caught:
        load()

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
