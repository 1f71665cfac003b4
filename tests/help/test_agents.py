"""The topic for coding agents, and the file SKILL.md that reve makes of it. Its blocks are run by test_readme."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reve_cli.core.errors import EXIT_CODES
from reve_cli.help.skill import MARKER
from reve_cli.help.topics import text
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve

PLACE = Path(".agents/skills/reve/SKILL.md")


def test_the_topic_has_at_most_120_lines(reve: Reve) -> None:
    assert len(text("agents").splitlines()) <= 120
    assert len(reve("help", "agents").out.splitlines()) <= 120


@pytest.mark.parametrize(
    "words", ["--sandbox", "--dry-run", "--max-credits", "--once", "--json", "`6`", "`75`", "reve resume"]
)
def test_it_names_what_keeps_an_agent_from_spending(words: str) -> None:
    assert words in text("agents")


def test_the_sandbox_comes_before_any_command_that_could_pay() -> None:
    first = _blocks()[0]
    commands = [line for line in first.splitlines() if line.startswith("reve ")]
    assert commands
    assert all("--sandbox" in line or "--dry-run" in line for line in commands)


def _blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text("agents"), re.MULTILINE | re.DOTALL)


def test_every_command_that_could_pay_has_a_limit() -> None:
    for line in "".join(_blocks()).splitlines():
        if re.search(r"\breve (generate|batch) ", line):
            assert re.search(r"--sandbox|--dry-run|--max-credits", line), line


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(reve [^`]+)`", text("agents")))))
def test_commands_inside_sentences_work(reve: Reve, live: Sandbox, command: str) -> None:
    stands_for = {"reve auth login": "reve auth login --help", "reve batch": "reve batch --help"}
    environ = reve.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{reve.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", stands_for.get(command, command)], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "rror" in done.stderr) == (0, False), done.stderr


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ("submit:503", "nothing was accepted: run the same command again later"),
        ("submit:402", "Insufficient credits"),
        ("image:500*9", "a.png"),
    ],
)
def test_the_script_for_exit_codes_does_what_each_code_asks_for(
    reve: Reve, live: Sandbox, fault: str, shown: str
) -> None:
    """A failed download ends with 75; `resume` then saves the image where it belongs."""
    (script,) = [block for block in _blocks() if "case " in block]
    place, _, rest = fault.partition("*")
    script = script.replace("reve generate", f"REVE_SANDBOX_FAULTS={place} reve generate", 1)
    script = script.replace("--json >", "--json --timeout 20 --sandbox >", 1).replace(
        "reve resume", "reve resume --sandbox"
    )
    environ = reve.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{reve.environ['PATH']}"}
    environ["REVE_SANDBOX_SECONDS"] = "0"
    done = subprocess.run(["bash", "-eu"], input=script, env=environ, capture_output=True, text=True, check=False)
    assert shown in done.stdout, done.stderr
    assert rest == "" or Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_every_exit_code_in_it_exists() -> None:
    for code in re.findall(r"^\| `(\d+)` \|", text("agents"), re.MULTILINE):
        assert int(code) in {0, *EXIT_CODES.values()}


# SKILL.md


def test_skill_is_the_topic_after_a_front_matter_that_says_when_to_use_it(reve: Reve) -> None:
    result = reve("help", "agents", "--skill")
    assert (result.code, result.stderr) == (0, "")
    _, front, body = re.split(r"^---\n", result.out, maxsplit=2, flags=re.MULTILINE)
    name, description = re.fullmatch(r"name: (.*)\ndescription: (.*)\n", front).groups()  # type: ignore[union-attr]
    assert name == "reve"
    assert "Use it when" in description
    assert ": " not in description  # else it is no plain text in YAML
    assert len(description) <= 1024
    assert body == f"\n{MARKER}\n\n{text('agents')}"


def test_install_writes_the_skill_and_replaces_its_own_file(reve: Reve) -> None:
    result = reve("help", "agents", "--install")
    assert (result.code, result.out, result.stderr) == (0, f"{PLACE}\n", "")
    assert PLACE.read_bytes() == reve("help", "agents", "--skill").stdout
    PLACE.write_text(f"an older version\n{MARKER}\n")
    assert reve("help", "agents", "--install").code == 0
    assert PLACE.read_bytes() == reve("help", "agents", "--skill").stdout
    assert [path.name for path in PLACE.parent.iterdir()] == ["SKILL.md"]


def test_install_takes_a_folder(reve: Reve) -> None:
    assert reve("help", "agents", "--install", "my skills").out == "my skills/reve/SKILL.md\n"
    assert Path("my skills/reve/SKILL.md").is_file()
    assert not PLACE.exists()


@pytest.mark.parametrize("kind", ["a file", "a file that quotes the line", "a link to its own file", "a folder"])
def test_install_leaves_the_file_of_another_unchanged(reve: Reve, kind: str) -> None:
    PLACE.parent.mkdir(parents=True)
    if kind.startswith("a file"):
        PLACE.write_text("mine\n" if kind == "a file" else f"not {MARKER}\n")
    elif kind == "a folder":
        PLACE.mkdir()
    else:
        Path("own.md").write_text(f"{MARKER}\n")
        PLACE.symlink_to(Path("own.md").absolute())
    before = None if PLACE.is_dir() else PLACE.read_text()
    result = reve("help", "agents", "--install")
    assert (result.code, result.stdout) == (7, b"")
    assert result.stderr == f"error: {PLACE} was not written by reve\nhint: remove it, or name another folder\n"
    assert PLACE.is_dir() if before is None else PLACE.read_text() == before
    assert [path.name for path in PLACE.parent.iterdir()] == ["SKILL.md"]


def test_install_into_a_folder_that_cannot_be_made_says_so(reve: Reve) -> None:
    Path("file").touch()
    result = reve("help", "agents", "--install", "file")
    assert (result.code, result.stdout) == (7, b"")
    assert result.stderr == "error: cannot write file/reve/SKILL.md: Not a directory\n"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--schema"], "--schema belongs to the topic json", "reve help json --schema"),
        (["agents", "--schema"], "--schema belongs to the topic json", "reve help json --schema"),
        (["json", "--skill"], "--skill belongs to the topic agents", "reve help agents --skill"),
        (["agents", "x", "--skill"], "--skill belongs to the topic agents", "reve help agents --skill"),
        (["--install"], "--install belongs to the topic agents", "reve help agents --install [DIR]"),
        (
            ["agents", "x", "y", "--install"],
            "--install belongs to the topic agents",
            "reve help agents --install [DIR]",
        ),
    ],
    ids=str,
)
def test_an_option_without_its_topic_names_it(reve: Reve, words: list[str], message: str, hint: str) -> None:
    result = reve("help", *words)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr == f"error: {message}\nhint: {hint}\n"


def test_two_options_cannot_be_combined(reve: Reve) -> None:
    result = reve("help", "agents", "--skill", "--install")
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr == "error: --skill and --install cannot be combined\n"
    assert not PLACE.exists()
