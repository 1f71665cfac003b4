"""An option's value that is itself an option is a missing value: it is refused before anything is sent."""

from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperOption

from reve_cli.commands.root import tree
from reve_cli.core.typer_private import Command
from reve_cli.help.tree import walk
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve

TREE = dict(walk(tree()))
JOB = "01234567-89ab-cdef-0123-456789abcdef"


def options(command: Command, *, with_value: bool) -> list[TyperOption]:
    return [
        each
        for each in command.params
        if isinstance(each, TyperOption) and (not with_value or not (each.is_flag or each.count))
    ]


@pytest.mark.parametrize("path", [path for path, command in TREE.items() if options(command, with_value=True)])
def test_no_option_of_a_command_is_the_value_of_another(reve: Reve, sandbox: Sandbox, path: str) -> None:
    command = TREE[path]
    words = path.split()[1:]
    arguments = [JOB for each in command.params if isinstance(each, TyperArgument)]
    others = [name for each in options(command, with_value=False) for name in (*each.opts, *each.secondary_opts)]
    for option in options(command, with_value=True):
        for name in option.opts:
            for other in [*others, "--help", "-h", "--"]:
                for line in ([name, other, *arguments], [*arguments, name, other]):
                    result = reve(*words, *line)
                    assert (result.code, result.stderr.partition("\n")[0].find("needs a value") > 0) == (2, True), line
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            ["-o", "--dry-run"],
            "--out needs a value; '--dry-run' is an option (for a file of that name: ./--dry-run)",
        ),
        (["-o", "--sandbox"], "--out needs a value; '--sandbox' is an option"),
        (["-n2", "--out", "-q"], "--out needs a value; '-q' is an option"),
        (["--out", "-n2"], "--out needs a value; '-n2' is an option"),
        (["--out", "--seed=1"], "--out needs a value; '--seed=1' is an option"),
        (["--out", "--sandbx"], "--out needs a value; '--sandbx' looks like an option"),
        (["--out", "\u2013-sandbox"], "looks like an option"),
        (
            ["--once", "--sandbox"],
            "--once needs a value; '--sandbox' is an option (to use it as the value: --once=--san",
        ),
        (["--idempotency-key", "--dry-run"], "--idempotency-key needs a value"),
        (["--ar", "--seed", "1"], "--ar needs a value"),
        (["--out"], "--out needs a value"),
        (["--out", "--"], "--out needs a value before '--'"),
        (["-o=x.png"], "'-o=x.png' is unclear; use -o x.png or --out=x.png"),
        (["-qo=x.png"], "'-qo=x.png' is unclear; use -o x.png or --out=x.png"),
        (["-o="], "'-o=' is unclear; use -o VALUE"),
        (["-o--sandbox"], "'-o--sandbox' is unclear; use --out=--sandbox, or -o VALUE --sandbox"),
    ],
    ids=" ".join,
)
def test_a_missing_value_is_named(reve: Reve, sandbox: Sandbox, line: list[str], said: str) -> None:
    for words in (["generate", "a fox", *line], ["generate", *line, "a fox"] if line[-1] not in ("--out",) else []):
        if words:
            result = reve(*words)
            assert (result.code, result.out) == (2, "")
            assert result.stderr.startswith("error: ")
            assert said in result.stderr.splitlines()[0]
    assert not sandbox.requests


def test_after_an_equals_sign_any_value_is_meant(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "a fox", "--out=--sandbox").code == 0
    assert Path("--sandbox").is_file()
    assert len(sandbox.jobs()) == 1


def test_after_two_hyphens_any_prompt_is_meant(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "--no-wait", "--", "--weird").code == 0
    assert [job.body["prompt"] for job in sandbox.jobs()] == ["--weird"]


@pytest.mark.parametrize(("value", "seed"), [("-7", -7), ("+7", 7), ("-0", 0)])
def test_a_negative_number_is_a_value(reve: Reve, sandbox: Sandbox, value: str, seed: int) -> None:
    assert reve("generate", "a fox", "--no-wait", "--seed", value).code == 0
    assert [job.body["reveParams"]["seed"] for job in sandbox.jobs()] == [seed]


@pytest.mark.parametrize("prompt", ["--weird", "-weird", "-z a fox", "--a red fox--"])
def test_a_prompt_that_begins_with_a_hyphen_is_told_how_to_be_given(reve: Reve, sandbox: Sandbox, prompt: str) -> None:
    result = reve("generate", prompt)
    assert result.code == 2
    shown = prompt if " " not in prompt else f"'{prompt}'"
    assert f"reve generate -- {shown}" in result.stderr
    assert not sandbox.requests


def test_a_tilde_in_a_path_is_the_home_folder(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    assert reve("generate", "a fox", "--out=~/fox.png").code == 0
    assert reve("generate", "another", "-o~/other.png").code == 0
    assert sorted(path.name for path in home.glob("*.png")) == ["fox.png", "other.png"]
    assert list(Path().iterdir()) == []
