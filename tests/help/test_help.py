"""Help: every command's --help, the manual page, and suggestions for misspelled words."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperOption

from reve_cli.commands.root import tree
from reve_cli.core.suggest import did_you_mean
from reve_cli.help.manual import explained, parameters, summary
from reve_cli.help.topics import TOPICS, about, read
from reve_cli.help.tree import COMMON, walk
from reve_cli.sandbox import Sandbox
from reve_cli.serving.signatures import sign
from tests.conftest import Reve
from tests.support.hooks import free_port
from tests.support.terminal import PATIENCE, Terminal, with_reve_on_path

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "completions" / "reve.1"
TREE = dict(walk(tree()))
EXAMPLES = {path: explained(command)[1] for path, command in TREE.items()}


# Commands


@pytest.mark.parametrize("path", TREE)
def test_help_command_equals_command_help(reve: Reve, path: str) -> None:
    words = path.split()[1:]
    text = reve(*words, "--help").out
    if words == ["batch"] or words == ["sandbox"]:  # topics too
        assert reve("help", *words).out.startswith(f"{text}\n{words[0].title()}\n  {about(words[0])}\n")
    elif words:
        assert reve("help", *words).out == text


def test_help_is_the_same_if_python_drops_docstrings(reve: Reve) -> None:
    for words in ("--help",), ("help", "--man"), ("config", "set", "--help"):
        plain, optimized = (reve.child(*words, env=env) for env in ({}, {"PYTHONOPTIMIZE": "2"}))
        assert optimized.out == plain.out
        assert (optimized.code, optimized.stderr) == (0, "")


@pytest.mark.parametrize("path", TREE)
def test_every_command_has_a_summary_of_one_sentence(path: str) -> None:
    text = summary(TREE[path])
    assert re.fullmatch(r"[A-Z].{10,110}\.", text)


@pytest.mark.parametrize("path", TREE)
def test_every_argument_and_option_is_explained(path: str) -> None:
    for parameter in TREE[path].params:
        assert isinstance(parameter, TyperArgument | TyperOption)
        assert parameter.help, parameter.name
        assert parameter.help[0].isupper() or parameter.help[0].isdigit(), parameter.name
        assert parameter.help.endswith((".", ")")), parameter.name
    for rows in parameters(TREE[path]).values():
        assert not any(re.search(r"[<>\[\]]", term) for term, _ in rows)


@pytest.mark.parametrize("path", TREE)
def test_options_of_every_command_come_last(path: str) -> None:
    titles = list(parameters(TREE[path]))
    assert COMMON not in titles[:-1]


def test_the_help_of_reve_fits_a_screen_and_has_each_command_on_one_line(reve: Reve) -> None:
    lines = reve("--help", env={"COLUMNS": "80"}).out.splitlines()
    assert len(lines) <= 40
    for path in TREE:
        if path.count(" ") == 1:
            (line,) = [line for line in lines if line.startswith(f"  {path.split()[1]} ")]
            assert line.endswith(".")
    assert "reve help TOPIC" in " ".join(lines)


@pytest.mark.parametrize("path", TREE)
@pytest.mark.parametrize("columns", [40, 200])
def test_help_fits_the_width_of_the_terminal(
    reve: Reve, path: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = reve(*path.split()[1:], "--help")
    prose = result.out.partition("\nExamples\n")[0]
    names = [*(word for word in prose.split() if len(word) > 34), "TOPIC|COMMAND..."]
    assert all(len(line) <= min(columns, 80) or any(name in line for name in names) for line in prose.splitlines())
    assert max(map(len, prose.splitlines())) > 30


def test_help_is_ascii_in_the_c_locale(reve: Reve) -> None:
    environ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["--help"], ["generate", "--help"], ["help", "json"], ["help", "--man"]):
        result = reve.child(*words, env=environ)
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout.isascii()
        assert b"\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("env", "is_bold"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_a_terminal_shows_headings_in_bold_without_color(reve: Reve, env: dict[str, str], is_bold: bool) -> None:
    with Terminal(reve.command("generate", "--help"), env={**reve.environ, **env}) as terminal:
        assert terminal.wait() == 0
    shown = terminal.seen.decode()
    assert ("\x1b[1mMoney\x1b[0m" in shown) == is_bold
    assert set(re.findall(r"\x1b\[[\d;]*m", shown)) <= {"\x1b[1m", "\x1b[0m"}


# Examples


def help_options(path: str) -> str:
    return " ".join(name for each in TREE[path].params for name in each.opts)


@pytest.mark.parametrize("path", TREE)
def test_every_command_has_an_example_of_itself(path: str) -> None:
    assert re.search(rf"\b{path}\b", EXAMPLES[path])
    assert max(map(len, EXAMPLES[path].splitlines())) <= 80


@pytest.mark.parametrize("path", [path for path in TREE if " --timeout" in f" {help_options(path)}"])
def test_every_command_that_calls_the_api_has_an_example_with_a_key_and_one_for_the_sandbox(path: str) -> None:
    if path not in ("reve auth login", "reve webhook verify"):  # the sandbox needs no key
        lines = EXAMPLES[path].splitlines()
        simulated = [line for line in lines if "--sandbox" in line]
        assert simulated
        assert path == "reve doctor" or simulated != lines


SET_UP = """
job=$(reve generate "a red fox" --no-wait --quiet)
file=$(reve generate "an owl" --quiet)
"""
"""Runs before an example about earlier jobs: `$job` is a job, `$file` an image."""
ABOUT_EARLIER_JOBS = re.compile(r"\$(job|file)|reve (gallery|history|jobs)\b")


@pytest.mark.parametrize("path", TREE)
def test_examples_work(reve: Reve, live: Sandbox, tmp_path: Path, path: str) -> None:
    for tool in ("bash", "jq"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    environ = reve.environ | {"PATH": f"{Path(sys.executable).parent}:{reve.environ['PATH']}"}
    if path == "reve doctor":  # which would else give up after 6 s of a slow machine
        environ = with_reve_on_path(replace(reve, fast=0.1).command(), environ, tmp_path)
    environ["REVE_SANDBOX_SECONDS"] = "0"
    ports: dict[str, str] = {}  # free ones instead of those in the examples
    text = SET_UP if ABOUT_EARLIER_JOBS.search(EXAMPLES[path]) else ""
    Path("body.json").write_text("{}")
    Path("headers.txt").write_text(f"X-Webhook-Signature: {sign(b'{}', live.key)}\n")
    examples = EXAMPLES[path].replace("webhook listen --out", "webhook listen --port 8787 --out")
    examples = re.sub(r"\b(878\d)\b", lambda found: ports.setdefault(found[1], str(free_port())), examples)
    text += f"signature={sign(b'{}', live.key)}\n{examples}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=text, text=True, env=environ, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr, done.stderr


# The manual page


def test_the_manual_page_equals_the_installed_file(reve: Reve, request: pytest.FixtureRequest) -> None:
    result = reve("help", "--man")
    assert (result.code, result.stderr) == (0, "")
    if request.config.getoption("--golden"):
        MANUAL.write_bytes(result.stdout)
    assert result.stdout == MANUAL.read_bytes()


def test_the_manual_page_has_every_command_option_and_topic() -> None:
    page = MANUAL.read_text().replace(r"\-", "-")
    for path, command in TREE.items():
        assert f"\n.SS {path}\n" in page or path == "reve"
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option.startswith("-"))
    for topic in map(read, TOPICS):
        assert f"\n.SH {topic.title.upper()}\n" in page
    assert {"EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"} <= set(re.findall(r"^\.SH (.*)$", page, re.MULTILINE))


@pytest.mark.parametrize(
    "checker", [["groff", "-man", "-ww", "-z"], ["mandoc", "-T", "lint", "-W", "warning"]], ids="-".join
)
def test_the_manual_page_is_well_formed(checker: list[str]) -> None:
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is not installed")
    done = subprocess.run([*checker, str(MANUAL)], capture_output=True, text=True, check=False)
    complaints = (done.stdout + done.stderr).splitlines()
    # A date would change with each build.
    assert [line for line in complaints if not line.endswith('WARNING: missing date, using "": TH')] == []


# Suggestions


def _words(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else "-"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["gnerate"], "no such command 'gnerate'. Did you mean 'generate'?", "reve --help"),
        (["history", "shwo"], "no such command 'shwo'. Did you mean 'show'?", "reve history --help"),
        (["generate", "x", "--sed", "1"], "no such option: --sed. Did you mean '--seed'?", "reve generate --help"),
        (
            ["generate", "x", "--zzz"],
            "no such option: --zzz",
            "reve generate -- --zzz (if it is no option)",
        ),
        (
            ["--force", "generate", "x"],
            "no such option: --force before a command; put options after it: reve COMMAND --force",
            "reve --help",
        ),
        (["sandbox", "reset", "x"], "reve sandbox reset takes no arguments", "reve sandbox reset --help"),
        (["generate", "x", "--seed"], "--seed needs a value", "reve generate --help"),
        (["history", "show", "--quit"], "no such option: --quit. Did you mean '--quiet'?", "reve history show --help"),
        (["help", "exitcodes"], "unknown topic or command 'exitcodes'. Did you mean 'exit-codes'?", "reve help"),
        (["help", "history", "shwo"], "unknown command 'history shwo'. Did you mean 'show'?", "reve help history"),
        (["help", "json", "money"], "json is a topic: it takes no other word", "reve help json"),
        (["help", "json", "--man"], "--man prints help for all commands: it takes no topic", "reve help --man"),
    ],
    ids=_words,
)  # fmt: skip
def test_a_misspelled_word_gets_a_suggestion(reve: Reve, words: list[str], message: str, hint: str) -> None:
    result = reve(*words)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr == f"error: {message}\nhint: {hint}\n"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["generate", "x", "--ar", "16:10", "--dry-run"], "16:9"),
        (
            ["generate", "x", "--webhook-url", "https://a.example", "--webhook-event", "complete", "--dry-run"],
            "completed",
        ),
        (["history", "--state", "savd"], "saved"),
    ],
    ids=_words,
)
def test_a_misspelled_value_gets_a_suggestion(reve: Reve, words: list[str], meant: str) -> None:
    result = reve(*words)
    assert (result.code, result.stdout) == (2, b"")
    assert f"Did you mean {meant!r}?" in result.stderr


def test_a_word_unlike_all_others_gets_no_suggestion() -> None:
    assert did_you_mean("zebra", ["generate", "wait"]) == ""


def test_with_json_an_unknown_topic_is_a_document(reve: Reve) -> None:
    result = reve("help", "exit-codes", "--json")
    assert result.code == 2
    assert result.document["error"]["code"] == "usage"
