"""CONTRIBUTING.md: short, and true about names."""

import ast
import re
from pathlib import Path

import pytest

import reve_cli

PACKAGE = Path(reve_cli.__file__).parent
ROOT = PACKAGE.parent
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
PLACES = sorted(set(re.findall(r"`((?:[a-z]+/)?\w+\.py)(?::([\w.]+))?`", TEXT)))


def test_it_fits_one_page() -> None:
    assert len(TEXT.splitlines()) <= 130


def test_every_package_is_listed_in_order() -> None:
    layers = re.search(r"^layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert layers
    named = [name for name in re.findall(r'"(\w+)"', layers[1]) if name != "__main__"]
    table = TEXT.partition("## Packages")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == named


@pytest.mark.parametrize(("path", "name"), PLACES, ids=lambda part: part)
def test_every_place_exists(path: str, name: str) -> None:
    if "teams" in path or (ROOT / "tests" / "bench" / path).is_file():
        return
    tree: ast.AST = ast.parse((PACKAGE / path).read_text())
    for part in filter(None, name.split(".")):
        tree = next(node for node in ast.iter_child_nodes(tree) if part in _names(node))


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_every_command_names_files_that_exist() -> None:
    for path in re.findall(r"tests/[\w/.]+", TEXT):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m (tests[\w.]+)", TEXT):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module
