"""Every command in the README and the topics is run, in the shell that its block is tagged with."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from reve_cli.help.topics import TOPICS
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve
from tests.support.terminal import PATIENCE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "reve_cli" / "help" / "topics"


def blocks_of(path: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a Markdown file: the tag and the text of each."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


PAGES = {"README": ROOT / "README.md", **{topic: FOLDER / f"{topic}.md" for topic in TOPICS}}
BLOCKS = [(page, shell, text) for page, path in PAGES.items() for shell, text in blocks_of(path)]
SHELLS = {
    "sh": ["bash", "-euo", "pipefail"],
    "bash": ["bash", "--norc", "-eu"],
    "zsh": ["zsh", "-f"],
    "fish": ["fish", "--no-config"],
}
NOT_COMMANDS = {"go", "js", "make", "python", "text", "yaml"}
"""Blocks that test_recipes, test_shards and those of webhooks run."""
SET_UP = [text for page, _, text in BLOCKS if page == "README" and "-m venv" in text]
(WHEEL,) = [text for _, _, text in BLOCKS if "pip wheel" in text]
RECIPES = [
    pytest.param(shell, text, id=f"{page}: {text.splitlines()[0][:50]}")
    for (shell, text), page in {(shell, text): page for page, shell, text in reversed(BLOCKS)}.items()
    if shell in SHELLS and text not in (*SET_UP, WHEEL)
]
"""Each block once, though several pages may have it."""
TOOLS = ("convert", "file", "jq", "openssl", "parallel")
"""Programs in recipes that may be missing."""


def test_the_readme_has_the_first_command_and_the_test_command() -> None:
    assert SET_UP == [
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/reve generate "
        '"a red fox in the snow" --seed 1 --out fox.png --sandbox\n',
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest\n",
    ]


def test_every_block_is_run_somewhere() -> None:
    assert {shell for _, shell, _ in BLOCKS} == {*SHELLS, *NOT_COMMANDS}
    fences = sum(path.read_text().count("\n```") for path in PAGES.values())
    assert fences == 2 * len(BLOCKS)


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
@pytest.mark.parametrize(("shell", "text"), RECIPES)
def test_recipes(reve: Reve, live: Sandbox, shell: str, text: str, tmp_path: Path) -> None:
    for tool in {SHELLS[shell][0], *(tool for tool in TOOLS if re.search(rf"(^ *|\| ){tool} ", text, re.MULTILINE))}:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    if shell == "zsh":
        text = "autoload -Uz compinit && compinit -u\n" + text
    environ = reve.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environ["REVE_SANDBOX_SECONDS"] = "0"
    done = subprocess.run(
        SHELLS[shell], input=text, text=True, env=environ, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr, done.stderr


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert "test_command=$(grep -m1 'bin/pytest$' README.md)" in ci
    assert 'bash -euo pipefail -c "$test_command"' in ci


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is committed. Skips the test if there is no package registry."""
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), "platformdirs"],
        capture_output=True, env=environment(), check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("cannot reach a package registry")
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", ".coverage*", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


@pytest.mark.registry
@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
def test_the_first_command_makes_a_picture_on_a_fresh_machine(checkout: Path) -> None:
    """A new virtual environment and an install, like a user's."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", SET_UP[0]],
        cwd=checkout, env=environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "fox.png"
    assert (checkout / "fox.png").read_bytes().startswith(b"\x89PNG")
    share = checkout / ".venv" / "share"
    assert (share / "zsh" / "site-functions" / "_reve").read_text().startswith("#compdef reve\n")
    assert (share / "bash-completion" / "completions" / "reve").is_file()


@pytest.mark.registry
@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
def test_the_wheel_of_the_ci_recipes_contains_every_topic(checkout: Path) -> None:
    environ = environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", WHEEL],
        cwd=checkout, env=environ, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = checkout.glob("wheels/reve_cli-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"reve_cli/help/topics/{topic}.md" for topic in TOPICS} <= set(names)


def test_ci_recipes_install_the_wheel() -> None:
    installs = [line for _, shell, text in BLOCKS if shell == "yaml" for line in text.splitlines() if "install" in line]
    assert len(installs) == 4
    assert all(line.endswith(" install wheels/reve_cli-*.whl") for line in installs)
