"""The structure of the code: small modules, one printer, and slow libraries loaded only when needed.

Import rules between packages are in pyproject.toml, for import-linter.
"""

import ast
from pathlib import Path

import pytest

import reve_cli
from reve_cli.commands.root import COMMANDS
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve, loaded

PACKAGE = Path(reve_cli.__file__).parent
SLOW = {"httpcore", "httpx", "rich", "sqlite3", "truststore", "tomlkit", "keyring", "PIL"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_small_and_have_a_docstring(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert len(source.splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert (node.end_lineno or 0) - node.lineno < 250, node.name


def test_packages_are_small() -> None:
    """Except `commands`, which has a module for each command."""
    assert len(list(PACKAGE.glob("*.py"))) <= 4
    for package in PACKAGE.iterdir():
        if package.is_dir() and package.name != "commands":
            assert len([path for path in package.glob("*.py") if path.stem != "__init__"]) <= 13, package


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
def test_commands_without_network_load_no_slow_library_and_no_other_command(arguments: list[str]) -> None:
    modules = loaded(arguments)[1]
    assert not SLOW & modules
    commands = {name.rpartition(".")[2] for name in modules if name.startswith("reve_cli.commands.")}
    assert commands - {"root"} == {arguments[0]} - {"--version"}
    assert ("typer" in modules) == (arguments != ["--version"])


def test_a_batch_over_http_loads_no_certificates_and_nothing_that_reads_records(reve: Reve, live: Sandbox) -> None:
    Path("prompts.txt").write_text("fox\n")
    modules = loaded(["batch", "prompts.txt", "--out", "pics"], reve.environ)[1]
    assert len(list(Path("pics").glob("*.png"))) == 1
    assert not {"truststore", "xml.parsers.expat", "rich", "reve_cli.core.synonyms"} & modules


def test_each_module_of_commands_is_a_command() -> None:
    modules = {path.stem for path in (PACKAGE / "commands").glob("*.py")} - {"__init__", "root"}
    assert modules == {name for names in COMMANDS.values() for name in names}


def test_only_the_terminal_package_prints() -> None:
    for path in modules():
        if path.parent.name == "terminal":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Name) and node.id == "print"), path
            is_stream = isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr")
            assert not (is_stream and path.name != "app.py"), path
