"""The architecture as a table, and the rules that hold every module to it.

`ast` reads the modules; nothing is imported. Each rule maps the source tree to complaints. It runs on the
real tree, where it must find nothing, and on trees with one flaw each, where it must find just that flaw.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

ROOT = Path(__file__).parent.parent

# ── the table ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Area:
    """What a package, or a module of the top level, may import besides itself (words in a string).

    `types`: only under `if TYPE_CHECKING:`, so that no code runs against the arrow. `third_party` binds the
    sans-IO areas, which touch no loop, socket, clock, log or environment; None: the area does IO.
    """

    imports: str
    types: str = ""
    third_party: str | None = None


# `gateway` itself (the version) is free for all: whoever imports a module of ours has imported it already.
ARCHITECTURE = {
    "__main__": Area("cli"),
    "cli": Area("commands app footprint"),
    "commands": Area(
        "addresses app authentication composition diagnosis event_loop footprint identity settings emulator "
        "observability wire catalog",
    ),
    "app": Area(
        "addresses authentication composition event_loop generations identity lasting monitoring permissions "
        "readiness server bedrock settings catalog",
    ),
    "addresses": Area("server", types="settings"),
    "generations": Area("composition", types="bedrock settings"),
    "lasting": Area("monitoring server admission ledger retries abandoned observability", types="settings"),
    "monitoring": Area("server bedrock ledger observability errors", types="admission retries"),
    "readiness": Area("errors", types="server bedrock admission"),
    "authentication": Area("composition identity admission server settings"),
    "composition": Area("admission bedrock catalog errors", types="settings"),
    "diagnosis": Area("bedrock upstream catalog domain errors", types="settings"),
    # the two shells, which never meet
    "server": Area(
        "pipeline timing embedding retries deadline ids tcp dialects wire admission observability completion "
        "upstream domain errors",
        types="abandoned catalog identity permissions",
    ),
    "bedrock": Area("upstream deadline tcp codecs wire catalog domain errors", types="settings"),
    # what they are built from
    "deadline": Area(""),
    "event_loop": Area(""),
    "footprint": Area(""),
    "ids": Area(""),
    "timing": Area(""),
    "tcp": Area(""),
    "abandoned": Area("errors", types="pipeline"),
    "embedding": Area("admission retries domain errors", types="upstream catalog timing"),
    "pipeline": Area("admission retries ids domain errors", types="upstream codecs timing"),
    "permissions": Area("attribution catalog codecs wire domain errors", types="admission upstream"),
    "attribution": Area("wire domain errors", types="upstream"),
    "retries": Area("domain errors", types="admission catalog"),
    "admission": Area("ledger domain errors"),
    "ledger": Area("observability errors"),
    "identity": Area("admission ledger errors"),
    "observability": Area("domain errors", types="timing retries"),
    "emulator": Area("wire errors"),
    "openapi": Area("dialects"),
    "settings": Area(""),
    # sans-IO: values in, values out
    "dialects": Area("wire completion domain errors", third_party="orjson pydantic pydantic_core"),
    "codecs": Area("domain errors", types="catalog", third_party="orjson"),
    "wire": Area("domain errors", third_party="orjson"),
    "catalog": Area("domain errors", third_party="orjson"),
    "completion": Area("domain errors", third_party=""),
    "upstream": Area("domain errors", types="catalog", third_party=""),
    # the ground: standard library only
    "domain": Area("", third_party=""),
    "errors": Area("", third_party=""),
}
IO_MODULES = {
    *("asyncio", "concurrent", "logging", "multiprocessing", "os", "select", "selectors", "signal"),
    *("socket", "ssl", "subprocess", "threading", "time"),
}
VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "types", "util", "utils"}
ENVIRONMENT_READERS = {"environ", "environb", "getenv", "getenvb"}
MAX_LINES = 300

# ── reading the tree ──────────────────────────────────────────────────────────────────────────────────


class Import(NamedTuple):
    """One imported module, by its full dotted name."""

    target: str
    line: int
    for_types: bool


@dataclass(frozen=True)
class Module:
    """One source file; `path` is relative to the root of the repository."""

    path: str
    source: str
    syntax: ast.Module

    @property
    def name(self) -> str:
        """The dotted name, of a package too."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


Tree: TypeAlias = dict[str, Module]
Rule: TypeAlias = Callable[[Tree], Iterator[str]]


def area_of(name: str) -> str:
    """Return the row of the table for a module of ours; empty for `gateway` itself."""
    return name.split(".")[1] if "." in name else ""


def parse(sources: dict[str, str]) -> Tree:
    """Return the modules of `sources` (path → text), by name."""
    modules = (Module(path, source, ast.parse(source, path)) for path, source in sources.items())
    return {module.name: module for module in modules}


def ours(tree: Tree) -> Iterator[Module]:
    """Yield the modules of the gateway, without the tests."""
    return (module for module in tree.values() if module.path.startswith("gateway/"))


def statements(node: ast.AST, *, for_types: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node under `node`, and whether it stands under `if TYPE_CHECKING:`."""
    yield node, for_types
    typed = isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from statements(child, for_types=for_types or (typed and name == "body"))


def imports(module: Module, tree: Tree) -> Iterator[Import]:
    """Yield what `module` imports, in functions too; `from a import b` is `a.b` where that is a module."""
    for node, for_types in statements(module.syntax):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(alias.name, node.lineno, for_types)
            case ast.ImportFrom(names=names, level=level):
                package = module.path.removesuffix(".py").split("/")
                origin = ".".join([*package[: -level or -len(package)], *filter(None, [node.module])])
                modules = [f"{origin}.{alias.name}" for alias in names]
                for target in dict.fromkeys(name if name in tree else origin for name in modules):
                    yield Import(target, node.lineno, for_types)


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────────


def arrows_point_one_way(tree: Tree) -> Iterator[str]:
    """Modules import only the areas that their row names, and each area has a row."""
    for module in ours(tree):
        area = area_of(module.name)
        if area and area not in ARCHITECTURE:
            yield f"{module.path}: {area} has no row in ARCHITECTURE"
        row = ARCHITECTURE.get(area, Area(""))
        for target, line, for_types in imports(module, tree):
            allowed = {"", area, *row.imports.split(), *(row.types.split() if for_types else ())}
            if target.split(".")[0] == "gateway" and area_of(target) not in allowed:
                yield f"{module.path}:{line}: may not import {target}"


def the_core_does_no_io(tree: Tree) -> Iterator[str]:
    """Sans-IO areas import neither what does IO nor third parties that their row does not name."""
    for module in ours(tree):
        pure = ARCHITECTURE.get(area_of(module.name), Area("")).third_party
        for target, line, _ in imports(module, tree) if pure is not None else ():
            top = target.split(".")[0]
            allowed = top not in IO_MODULES if top in sys.stdlib_module_names else top in (pure or "").split()
            if top != "gateway" and not allowed:
                yield f"{module.path}:{line}: does no IO and may not import {target}"


def modules_fit_in_the_head(tree: Tree) -> Iterator[str]:
    """A module past the limit is two modules."""
    for module in ours(tree):
        lines = len(module.source.splitlines())
        if lines > MAX_LINES:
            yield f"{module.path}: {lines} lines, more than {MAX_LINES}"


def names_say_what_is_inside(tree: Tree) -> Iterator[str]:
    """No module or package has a name that could hold anything."""
    for module in tree.values():
        for vague in sorted(VAGUE_NAMES & {part.strip("_") for part in module.name.split(".")}):
            yield f"{module.path}: `{vague}` does not say what is inside"


def every_module_says_what_it_is(tree: Tree) -> Iterator[str]:
    """Every module opens with its contract."""
    for module in ours(tree):
        if not ast.get_docstring(module.syntax):
            yield f"{module.path}: no docstring"


def only_settings_reads_the_environment(tree: Tree) -> Iterator[str]:
    """The environment is read at one place."""
    for module in ours(tree):
        for node in ast.walk(module.syntax) if area_of(module.name) != "settings" else ():
            match node:
                case ast.Attribute(attr=name) if name in ENVIRONMENT_READERS:
                    yield f"{module.path}:{node.lineno}: reads the environment"
                case ast.ImportFrom(module="os", names=names) if ENVIRONMENT_READERS & {
                    n.name for n in names
                }:
                    yield f"{module.path}:{node.lineno}: reads the environment"


def has_logic(module: Module) -> bool:
    """Say whether some function of `module` does more than a protocol's, which is a docstring or dots."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
    )


def every_module_is_tested(tree: Tree) -> Iterator[str]:
    """Running the tests' imports reaches each module that has logic; `__main__` is run, not imported.

    Pieces of a package may be tested through the module that callers use. Coverage bounds how well.
    """
    reached: set[str] = set()
    waiting = [name for name, module in tree.items() if module.path.startswith("tests/")]
    while waiting:
        name = waiting.pop()
        if name in tree and name not in reached:
            reached.add(name)
            waiting += [target for target, _, for_types in imports(tree[name], tree) if not for_types]
            waiting.append(name.rpartition(".")[0])  # importing a module runs its package's `__init__` first
    for module in ours(tree):
        if has_logic(module) and module.name not in reached and not module.path.endswith("/__main__.py"):
            yield f"{module.path}: no test reaches it"


# ── the tests ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(name="tree", scope="module")
def _tree() -> Tree:
    paths = sorted([*(ROOT / "gateway").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
    return parse({path.relative_to(ROOT).as_posix(): path.read_text() for path in paths})


def test_the_table_has_no_circle() -> None:
    """Arrows point one way: the areas can be put in an order in which each imports only earlier ones."""
    order = list(
        TopologicalSorter({name: row.imports.split() for name, row in ARCHITECTURE.items()}).static_order()
    )

    assert sorted(order) == sorted(ARCHITECTURE)


def test_the_two_shells_never_meet() -> None:
    """`server` and `bedrock` do not reach each other in the table, not even by way of a third area."""

    def reach(name: str) -> set[str]:
        return {name}.union(*(reach(area) for area in ARCHITECTURE[name].imports.split()))

    assert "bedrock" not in reach("server") | set(ARCHITECTURE["server"].types.split())
    assert "server" not in reach("bedrock") | set(ARCHITECTURE["bedrock"].types.split())


TYPED = "if TYPE_CHECKING:\n    {}\nelse:\n    {}"
LOGIC = "def double(x):\n    return 2 * x"
PROTOCOL = "class Codec(Protocol):\n    def close(self) -> None:\n        'Say that the answer is over.'"
CONTEXT = dict.fromkeys(("gateway/__init__.py", "gateway/app.py", "gateway/server/routes.py"), "'Doc.'")

# per rule: a path, its source, and what the rule complains about after the path (empty: nothing)
CASES: dict[Rule, list[tuple[str, str, str]]] = {
    arrows_point_one_way: [
        ("gateway/new/x.py", "", ": new has no row in ARCHITECTURE"),
        ("gateway/__init__.py", "import gateway.app", ":1: may not import gateway.app"),
        ("gateway/bedrock/x.py", "import gateway.server", ":1: may not import gateway.server"),
        ("gateway/wire/x.py", "from gateway import app", ":1: may not import gateway.app"),
        ("gateway/wire/x.py", "from ..server import routes", ":1: may not import gateway.server.routes"),
        ("gateway/wire/x.py", "def f():\n    import gateway.app", ":2: may not import gateway.app"),
        ("gateway/server/x.py", "from . import routes", ""),
        ("gateway/errors.py", "from gateway import __version__", ""),
        ("gateway/codecs/x.py", TYPED.format("import gateway.catalog", "pass"), ""),
        ("gateway/codecs/x.py", TYPED.format("import gateway.app", "0"), ":2: may not import gateway.app"),
        ("gateway/codecs/x.py", TYPED.format("0", "import gateway.wire"), ":4: may not import gateway.wire"),
    ],
    the_core_does_no_io: [
        ("gateway/codecs/x.py", "import asyncio", ":1: does no IO and may not import asyncio"),
        ("gateway/codecs/x.py", "import pydantic", ":1: does no IO and may not import pydantic"),
        ("gateway/wire/x.py", "from time import sleep", ":1: does no IO and may not import time"),
        ("gateway/catalog/x.py", "import os.path", ":1: does no IO and may not import os.path"),
        ("gateway/completion.py", "import structlog", ":1: does no IO and may not import structlog"),
        ("gateway/errors.py", "import orjson", ":1: does no IO and may not import orjson"),
        ("gateway/domain.py", TYPED.format("import ssl", "0"), ":2: does no IO and may not import ssl"),
        ("gateway/dialects/x.py", "import aiohttp.web", ":1: does no IO and may not import aiohttp.web"),
        ("gateway/dialects/x.py", "import json, pydantic", ""),
        ("gateway/bedrock/x.py", "import asyncio, aiobotocore", ""),
    ],
    modules_fit_in_the_head: [
        ("gateway/app.py", "x = 1\n" * 301, ": 301 lines, more than 300"),
        ("gateway/app.py", "x = 1\n" * 300, ""),
    ],
    names_say_what_is_inside: [
        ("gateway/codecs/utils.py", "", ": `utils` does not say what is inside"),
        ("gateway/_common.py", "", ": `common` does not say what is inside"),
        ("tests/helpers/x.py", "", ": `helpers` does not say what is inside"),
    ],
    every_module_says_what_it_is: [("gateway/app.py", "x = 1", ": no docstring")],
    only_settings_reads_the_environment: [
        ("gateway/app.py", "import os\nos.environ['A']", ":2: reads the environment"),
        ("gateway/app.py", "from os import path, getenv", ":1: reads the environment"),
        ("gateway/settings/aws.py", "from os import environ", ""),
    ],
    every_module_is_tested: [
        ("gateway/app.py", LOGIC, ": no test reaches it"),
        ("gateway/__main__.py", LOGIC, ""),
        ("gateway/codecs/protocol.py", PROTOCOL, ""),
    ],
}


@pytest.mark.parametrize("rule", CASES)
def test_the_rule_holds(rule: Rule, tree: Tree) -> None:
    """The gateway obeys every rule."""
    assert "\n".join(rule(tree)) == ""


@pytest.mark.parametrize(
    ("rule", "path", "source", "complaint"),
    [(rule, *case) for rule, cases in CASES.items() for case in cases],
)
def test_a_rule_finds_its_flaw(rule: Rule, path: str, source: str, complaint: str) -> None:
    """Each rule complains about its flaw, at its place, and about nothing else."""
    tree = parse({**CONTEXT, path: source})

    assert list(rule(tree)) == ([path + complaint] if complaint else [])


@pytest.mark.parametrize(
    ("test", "reached"),
    [
        ("import gateway.wire.sse", True),
        ("from gateway.wire.sse import double", True),
        ("from gateway import wire", True),
        ("import gateway.wire.ndjson", True),
        ("import gateway", False),
        (TYPED.format("import gateway.wire.sse", "0"), False),
    ],
)
def test_a_tested_module_is_recognised(test: str, *, reached: bool) -> None:
    """A test reaches what it imports, what that imports, and the packages around both; types do not count."""
    wire = {"__init__": "from gateway.wire.sse import double", "sse": LOGIC, "ndjson": ""}
    tree = parse({**CONTEXT, **{f"gateway/wire/{name}.py": wire[name] for name in wire}, "tests/x.py": test})

    assert list(every_module_is_tested(tree)) == (
        [] if reached else ["gateway/wire/sse.py: no test reaches it"]
    )
