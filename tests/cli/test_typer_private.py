"""Private names of Typer are used in one module only, so that a later Typer means changing one file."""

import ast
from pathlib import Path

import pytest

import reve_cli

PACKAGE = Path(reve_cli.__file__).parent
HOME = PACKAGE / "core" / "typer_private.py"
OTHERS = [path for path in sorted(PACKAGE.rglob("*.py")) if path != HOME]
NAMES = {
    "typer._click.Command",
    "typer._click.Context",
    "typer._click.Parameter",
    "typer._click.exceptions.BadOptionUsage",
    "typer._click.exceptions.BadParameter",
    "typer._click.exceptions.NoSuchOption",
    "typer._click.parser._Option",
    "typer._click.parser._OptionParser",
    "typer._click.parser._ParsingState",
    "typer._click.shell_completion.CompletionItem",
    "typer._click.shell_completion._is_incomplete_argument",
    "typer._click.shell_completion._resolve_context",
    "typer._click.shell_completion.split_arg_string",
    "Context._protected_args",
    "Option._long_opts",
    "Option._short_opts",
    "Super._get_value_from_state",
    "Super._match_long_opt",
    "Super._match_short_opt",
    "Super._process_args_for_options",
}


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def private_imports(tree: ast.Module) -> set[str]:
    """The private names that a module imports from Typer, or from click."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] in ("typer", "click") and is_private(name)}


def private_attributes(tree: ast.Module) -> set[str]:
    """The private attributes that a module reads from objects other than `self` and `cls`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr != "_replace":  # of a named tuple
            value = node.value.func if isinstance(node.value, ast.Call) else node.value
            owner = value.id if isinstance(value, ast.Name) else "?"
            if owner not in ("self", "cls"):
                found.add(f"{owner.capitalize()}.{node.attr}")
    return found


def test_the_private_names_of_typer_are_these() -> None:
    tree = ast.parse(HOME.read_text())
    assert private_imports(tree) | private_attributes(tree) == NAMES


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_module_uses_a_private_name_of_typer(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not private_imports(tree)
    if any(package in path.parts for package in ("cli", "commands", "help")):
        assert not private_attributes(tree)
