"""Every command that the README shows is run, in the shell that it is written for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Reve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SET_UP = [text for shell, text in BLOCKS if "-m venv" in text]
SHELLS = {
    "sh": ["bash", "-euo", "pipefail"],
    "bash": ["bash", "--norc", "-eu"],
    "zsh": ["zsh", "-f"],
    "fish": ["fish", "--no-config"],
}
RECIPES = [(shell, text) for shell, text in BLOCKS if shell in SHELLS and "-m venv" not in text]
TOOLS = ("convert", "file", "jq", "parallel")
"""What the recipes use that may be missing."""


def test_the_readme_has_its_two_commands() -> None:
    assert len(SET_UP) == 2
    assert SET_UP[1].strip().endswith(".venv/bin/pytest")


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
@pytest.mark.parametrize(("shell", "text"), RECIPES, ids=[text.split("\n")[0][:50] for _, text in RECIPES])
def test_recipes(reve: Reve, live: Sandbox, shell: str, text: str, tmp_path: Path) -> None:
    for tool in {SHELLS[shell][0], *(tool for tool in TOOLS if re.search(rf"(^|\| ){tool} ", text, re.MULTILINE))}:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    if shell == "zsh":
        text = "autoload -Uz compinit && compinit -u\n" + text
    environ = reve.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        SHELLS[shell], input=text, text=True, env=environ, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr, done.stderr


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert "test_command=$(grep -m1 'bin/pytest$' README.md)" in ci
    assert 'bash -euo pipefail -c "$test_command"' in ci


@pytest.mark.registry
@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
def test_the_first_command_makes_a_picture_on_a_fresh_machine(tmp_path: Path) -> None:
    """A copy of what is committed, a new virtual environment, and an install as a user would do it."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", ".coverage*", ".hypothesis")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), "platformdirs"],
        capture_output=True, env=environ, check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("no package registry can be reached")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", SET_UP[0]],
        cwd=checkout, env=environ, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "fox.png"
    assert (checkout / "fox.png").read_bytes().startswith(b"\x89PNG")
    share = checkout / ".venv" / "share"
    assert (share / "zsh" / "site-functions" / "_reve").read_text().startswith("#compdef reve\n")
    assert (share / "bash-completion" / "completions" / "reve").is_file()
