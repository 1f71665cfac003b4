"""The layers: imports point downward only, and the fast paths load nothing slow."""

import ast
from pathlib import Path

import pytest

import reve_cli
from tests.conftest import loaded

PACKAGE = Path(reve_cli.__file__).parent
LAYERS = (
    {"__main__"},
    {"app"},
    {"completion", "commands", "usage"},
    {"wiring"},
    {"batch_options", "options"},
    {"batch"},
    {"batch_supply", "configuring", "doctor", "listing", "login", "manual", "overview", "recent", "runs"},
    {"probes", "runtime"},
    {"earlier", "finished"},
    {"target"},
    {"manifest", "progress", "worklist"},
    {"items"},
    {"checks", "history", "inputs", "report", "takeup"},
    {"jobs", "recovery"},
    {"fetching", "supply"},
    {"saving", "polling", "ledger"},
    {"api", "download", "schedule", "journal", "spending"},
    {"http", "naming", "credentials", "configfile", "endings", "simulation"},
    {"config", "output", "database", "keychain", "network", "topics"},
    {"process", "sandbox", "owners"},
    {"signals"},
    {"accounts", "origins", "settings"},
    {"tasks"},
    {"pace"},
    {"models", "formats", "clock", "templates", "pages"},
    {"errors", "states", "suggest"},
    {"contract", "schema"},
    {"__init__"},
)
"""From the top down. A module may import those of lower layers, and of its own package."""
SLOW = {"httpx", "rich", "sqlite3", "truststore", "tomlkit", "keyring"}
HOMES = {
    "http": {"httpx"},
    "network": {"httpx", "truststore"},
    "download": {"httpx"},
    "probes": {"httpx"},
    "output": {"rich"},
    "database": {"sqlite3"},
    "sandbox": {"sqlite3"},
    "worklist": {"sqlite3"},
    "configfile": {"tomlkit"},
    "keychain": {"keyring"},
}
"""Who may import what is slow; `output` only inside its functions."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    """The layer's name for a file: its module, or its package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def level(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all modules that a syntax tree imports, but for annotations only."""
    found: set[str] = set()
    guarded = (n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    for_annotations = {inner for node in guarded for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in for_annotations:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for name in imports(tree):
        parts = name.split(".")
        if parts[0] == "reve_cli":
            target = parts[1] if (PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists() else "__init__"
            assert target == unit(path) or level(target) > level(unit(path)), f"{path.name} imports {name}"
        elif parts[0] in SLOW:
            assert parts[0] in HOMES.get(unit(path), set()), f"{path.name} imports {name}"


def test_the_sandbox_knows_the_contract_and_the_models_only() -> None:
    for path in (PACKAGE / "sandbox").glob("*.py"):
        ours = {name for name in imports(ast.parse(path.read_text())) if name.startswith("reve_cli")}
        assert all(
            name.startswith(("reve_cli.core.contract", "reve_cli.core.models", "reve_cli.sandbox")) for name in ours
        )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_small_and_say_what_they_are_for(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert len(source.splitlines()) < 400


@pytest.mark.parametrize("path", sorted((PACKAGE / "commands").glob("*.py")), ids=lambda path: path.stem)
def test_commands_are_short(path: Path) -> None:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            of_help = len((ast.get_docstring(function) or "").splitlines())
            assert (function.end_lineno or 0) - function.lineno - of_help < 60


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["generate", "--help"],
        ["help", "json"],
        ["generate", "--sed", "1"],
        ["generate", "--ar", "nope", "fox"],
        ["generate", "fox", "--dry-run"],
    ],
    ids=" ".join,
)
def test_what_needs_no_network_loads_nothing_slow(arguments: list[str]) -> None:
    assert not SLOW & loaded(arguments)[1]


def test_nothing_but_the_printer_prints() -> None:
    for path in modules():
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Name) and node.id == "print"), path
            is_stream = isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr")
            assert not (is_stream and path.name != "app.py"), path
