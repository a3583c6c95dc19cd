"""The promises of the files around the code: the locks, the README's commands and errors, and `.ci/run`."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# ── the locks ─────────────────────────────────────────────────────────────────────────────────────────

BUILD: list[str] = PYPROJECT["build-system"]["requires"]
RUNTIME: list[str] = PYPROJECT["project"]["dependencies"]
GROUPS: dict[str, list[Any]] = PYPROJECT["dependency-groups"]
DEV: list[str] = [
    *GROUPS["clients"],
    *GROUPS["deploy"],
    *(one for one in GROUPS["dev"] if isinstance(one, str)),
]
# Installs run without build isolation, so both locks hold the build backend.
LOCKS = {"requirements.lock": [*RUNTIME, *BUILD], "requirements-dev.lock": [*RUNTIME, *BUILD, *DEV]}
ENTRY = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?P<marker> ; [^\n\\]+)? \\\n"
    r"(?:    --hash=sha256:[0-9a-f]{64} \\\n)*"
    r"    --hash=sha256:[0-9a-f]{64}\n"
    r"(?:    # via [^\n]+\n)?"
)


def pins(lock: str) -> dict[str, str]:
    """Return name → version; what does not look like a pinned entry with hashes fails."""
    text = (ROOT / lock).read_text()
    assert ENTRY.sub("", text) == ""

    return {entry["name"]: entry["version"] for entry in ENTRY.finditer(text)}


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_satisfies_pyproject(lock: str) -> None:
    """Every direct dependency is pinned with hashes, at a version that pyproject.toml allows."""
    locked = pins(lock)
    wanted = [Requirement(text) for text in LOCKS[lock]]

    assert [str(one) for one in wanted if canonicalize_name(one.name) not in locked] == []
    assert [
        str(one) for one in wanted if not one.specifier.contains(locked[canonicalize_name(one.name)])
    ] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_place(lock: str) -> None:
    """No index, no address and no path of somebody's machine: the installer's own settings decide."""
    text = (ROOT / lock).read_text()

    assert re.findall(r".*(?:http:|https:|file:|--\w*index|--find-links|[\s=](?:/|~|\.\./)).*", text) == []


def test_the_locks_agree() -> None:
    """What the tests ran with is what production installs."""
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


# ── the README ────────────────────────────────────────────────────────────────────────────────────────


def failures(parent: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """Yield the classes below `parent` that state a code, that is, all that can be raised."""
    for child in parent.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from failures(child)


def undocumented(readme: str) -> list[str]:
    """Return the codes without a table row in `readme` that names the code and the status."""
    rows = [row for row in readme.splitlines() if row.startswith("|")]
    return [
        error.code
        for error in failures()
        if not any(f"`{error.code}`" in row and re.search(rf"\b{error.status}\b", row) for row in rows)
    ]


def test_codes_are_unique() -> None:
    """A code names one failure."""
    codes = [error.code for error in failures()]

    assert sorted(set(codes)) == sorted(codes)


def test_every_error_is_in_the_readme() -> None:
    """Callers find every code with its status in the README's table."""
    assert undocumented(README.read_text()) == []


def test_a_missing_or_wrong_row_is_noticed() -> None:
    """A code without its row, with a wrong status or outside a table counts as undocumented."""
    right = "\n".join(f"| `{error.code}` | {error.status} |" for error in failures())

    assert undocumented(right) == []
    assert undocumented(right.replace("| `overloaded` | 503 |", "")) == ["overloaded"]
    assert undocumented(right.replace("| `overloaded` | 503 |", "| `overloaded` | 500 |")) == ["overloaded"]
    assert undocumented(right.replace("| `overloaded` | 503 |", "`overloaded` is 503")) == ["overloaded"]


@pytest.mark.parametrize(
    ("marker", "lock"), [("demo", "requirements.lock"), ("tests", "requirements-dev.lock")]
)
def test_the_readme_has_the_command(marker: str, lock: str) -> None:
    """The two commands stand behind their markers, once each, and install from the lock with hashes."""
    blocks = re.findall(
        rf"^<!-- command: {marker} -->\n```\w*\n(.+?)\n```$", README.read_text(), re.MULTILINE | re.DOTALL
    )

    assert [f"--require-hashes -r {lock} " in block for block in blocks] == [True]


# ── .ci/run ───────────────────────────────────────────────────────────────────────────────────────────

README_WITH = """\
# Title

<!-- command: demo -->
```sh
echo the wrong command
```

<!-- command: tests -->

```sh
{}
```

```sh
echo the wrong command
```
"""


class Checkout:
    """A repository with `.ci/run` and a README of its own, and a folder `shared` beside it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "main"
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        (folder / "shared").mkdir()
        (folder / "shared" / "fact").write_text("a fact")
        shutil.copytree(ROOT / ".ci", self.path / ".ci")
        monkeypatch.setenv("TMPDIR", str(self.scratch))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
            monkeypatch.setenv(f"GIT_{name}", "ci")

    def commit(self, readme: str | None) -> None:
        """Commit all there is, with this README."""
        if readme is not None:
            (self.path / "README.md").write_text(readme)
        for arguments in (["init"], ["add", "."], ["commit", "--message", "All"]):
            self.start("git", *arguments).communicate()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the checkout; both its outputs come as one text."""
        return subprocess.Popen(  # noqa: S603 - the commands are this module's own
            command, cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def ci(self) -> subprocess.Popen[str]:
        """Start `.ci/run`."""
        return self.start(str(self.path / ".ci" / "run"))


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    return Checkout(tmp_path, monkeypatch)


NO_BLOCK = ".ci/run: README.md has no fenced block after the line <!-- command: tests -->\n"


@pytest.mark.parametrize(
    ("readme", "status", "output"),
    [
        pytest.param(README_WITH.format("echo 9 passed"), 0, "9 passed\n", id="green"),
        pytest.param(README_WITH.format("echo 1 failed; exit 3"), 3, "1 failed\n", id="red"),
        pytest.param(
            README_WITH.format("echo one\nfalse\necho two"), 1, "one\n", id="ends at the first failure"
        ),
        pytest.param(README_WITH.format("cat ../shared/fact"), 0, "a fact", id="finds shared"),
        pytest.param(
            README_WITH.format("ls; git status --short"), 0, "README.md\n", id="only what is committed"
        ),
        pytest.param(README_WITH.format(""), 1, NO_BLOCK, id="empty block"),
        pytest.param("# Title\n\n```sh\ntrue\n```\n", 1, NO_BLOCK, id="no marker"),
        pytest.param(None, 1, ".ci/run: HEAD has no README.md\n", id="no README"),
    ],
)
def test_ci_runs_the_readme(checkout: Checkout, readme: str | None, status: int, output: str) -> None:
    """`.ci/run` runs the tests command in a clone, says nothing of its own, and leaves nothing behind."""
    checkout.commit(readme)
    (checkout.path / "uncommitted").touch()

    run = checkout.ci()

    assert run.communicate()[0] == output
    assert run.returncode == status
    assert list(checkout.scratch.iterdir()) == []


def test_ci_ends_with_its_command(checkout: Checkout) -> None:
    """A `.ci/run` that is told to stop ends the command too, cleans up and says so by its status."""
    checkout.commit(
        README_WITH.format(
            "trap 'trap : TERM; echo ended; exit' TERM\necho ready\ntail --follow /dev/null & wait"
        )
    )

    run = checkout.ci()
    assert run.stdout is not None
    ready = run.stdout.readline()
    run.terminate()

    # generous, and only so that a command which was not ended fails this test instead of hanging it
    assert (ready, run.communicate(timeout=120)[0], run.returncode) == ("ready\n", "ended\n", 143)
    assert list(checkout.scratch.iterdir()) == []
