"""The tables in the completion scripts: bash, zsh and fish answer from them as reve answers, without starting it."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperOption

from reve_cli.cli.scripts import script
from reve_cli.commands.root import tree
from reve_cli.core.contract import ASPECT_RATIOS
from reve_cli.help.tree import walk
from tests.conftest import Reve

ASKED = ":reve"
"""In an answer, stands for a start of reve."""
END = "::"
SOME = [
    ["--json", "--sandbox", "sta"], ["--json", "status", "--"], ["--json", ""], ["nosuch", ""], ["nosuch", "auth", ""],
    ["generate", "--ar", "1:1", "--json", "--webhook-event", "failed", "--"], ["sandbox", "nosuch", ""],
    ["generate", "a fox", ""], ["generate", "a fox", "-"], ["generate", "--", "-"], ["batch", "x", ""],
    ["generate", "--out=x.png", "-n4", "--"], ["jobs", "--status", "f"], ["history", "--state", "show", ""],
    ["generate", "--json=", ""], ["generate", "--nosuch", "x", "--"],
    ["generate", "--nosuch="], ["help", "history", "show", ""], ["help", "json", "--s"], ["help", "nosuch", ""],
    ["config", "set", "x", "y", ""], ["config", "set", "x", "y", "-"], ["model", "r"], ["model", "x", ""],
]  # fmt: skip
"""Words before the cursor, and the one at it."""


def all_words() -> Iterator[list[str]]:
    """What may be typed after each command and after each option."""
    for path, command in walk(tree()):
        words = path.split()[1:]
        for more in ([""], ["-"], ["--"], ["--s"], ["s"], ["x", ""], ["x", "--"], ["--", ""]):
            yield [*words, *more]
        for option in command.params:
            for name in option.opts if isinstance(option, TyperOption) else []:
                for more in ([name, ""], [name, "-"], [name, "r"], [f"{name}="], [name, "x", "--"], [name, "--"]):
                    yield [*words, *more]


def answers(shell: str, folder: Path, asked: list[list[str]]) -> list[str]:
    """What the script of `shell` answers."""
    ask = {
        "bash": 'ask() { lines=(); _reve_fixed "$@" || lines=(:reve); printf "%s\\n" "${lines[@]}"; echo ::; }',
        "zsh": 'ask() { lines=(); _reve_fixed "$@" || lines=(:reve); print -rl -- "${lines[@]}"; echo ::; }',
        "fish": "function ask; __reve_fixed $argv; or echo :reve; echo ::; end",
    }[shell]
    before = ["compdef() { }"] if shell == "zsh" else []
    asks = [shlex.join(["ask", words[-1], *words[:-1]]) for words in asked]
    path = folder / "asks"
    path.write_text("\n".join([*before, script(shell, tree()), ask, *asks]))
    done = subprocess.run([shell, path], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [answer.strip("\n") for answer in done.stdout.split(f"{END}\n")[:-1]]


@pytest.fixture(
    params=[
        pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed"))
        for shell in ("bash", "zsh", "fish")
    ]
)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_table_has_the_answers_of_reve(reve: Reve, tmp_path: Path, shell: str, full: bool) -> None:
    asked = [*SOME, *list(all_words())[:: 1 if full else 53]]
    found = answers(shell, tmp_path, asked)
    assert len(found) == len(asked)
    wrong = {}
    for words, answer in zip(asked, found, strict=True):
        expected = reve(*words[:-1], env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": words[-1]}).out.strip("\n")
        if answer not in (ASKED, expected):
            wrong[" ".join(words)] = (answer, expected)
    assert wrong == {}


def test_reve_is_asked_for_jobs_and_settings_only(tmp_path: Path, shell: str) -> None:
    commands = [path.split()[1:] for path, _ in walk(tree())]
    found = answers(shell, tmp_path, [[*words, ""] for words in commands])
    of_settings = ["config get", "config set", "config unset"]
    assert {" ".join(words) for words, answer in zip(commands, found, strict=True) if answer == ASKED} == {
        "status", "wait", "download", "resume", "history show", "show", "rerun", *of_settings,
    }  # fmt: skip
    values = [["config", "set", "x", ""], ["generate", "--ar", ""], ["generate", "--out", ""]]
    assert answers(shell, tmp_path, values) == [ASKED, "\n".join(ASPECT_RATIOS), ":files"]
