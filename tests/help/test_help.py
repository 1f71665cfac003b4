"""What the program tells of itself: topics, every command's help, the manual page, and what a wrong word meant."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperOption
from typer.main import get_command

import reve_cli
from reve_cli.app import app
from reve_cli.core.errors import EXIT_CODES, ReveError
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.tasks import Task
from reve_cli.core.templates import FIELDS
from reve_cli.help import topics
from reve_cli.help.manual import COMMON, explained, parameters, summary, walk
from reve_cli.help.topics import TOPICS
from reve_cli.journal.states import CLOSED, OPEN
from reve_cli.sandbox import ALL_FAULTS, Sandbox
from reve_cli.sandbox.catalog import FAULTS, OUTCOMES
from reve_cli.settings.settings import SETTINGS
from tests.conftest import Reve
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "completions" / "reve.1"
README = (ROOT / "README.md").read_text()
TREE = dict(walk(get_command(app)))
EXAMPLES = {path: "".join(explained(command)[1]) for path, command in TREE.items()}


# Topics


def test_without_a_word_the_topics_are_listed_a_line_each(reve: Reve) -> None:
    result = reve("help")
    assert (result.code, result.stderr) == (0, "")
    for name, topic in TOPICS.items():
        assert re.search(rf"^  {name} +{re.escape(topic.about)}$", result.out, re.MULTILINE)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_plain_text_of_80_columns(reve: Reve, topic: str) -> None:
    result = reve("help", topic)
    assert (result.code, result.stderr) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.out.isascii()
    assert result.out.replace("\n", "").isprintable()


def told(reve: Reve, topic: str) -> str:
    """A topic without its line breaks."""
    return " ".join(reve("help", topic).out.split())


def test_every_exit_code_and_every_error_is_told(reve: Reve) -> None:
    text = told(reve, "exit-codes")
    assert topics.MEANINGS.keys() == {*EXIT_CODES.values(), 0, 129, 143}
    for code, meaning in topics.MEANINGS.items():
        assert f"{code} {meaning}" in text
    for name, code in EXIT_CODES.items():
        assert re.search(rf"\b{code} [^.]+\.(?: [^.]+\.)? error.code: [a-z_, ]*\b{name}\b", text), name


def test_every_variable_is_told(reve: Reve) -> None:
    text = told(reve, "environment")
    for name in [*topics.VARIABLES, *(setting.variable for setting in SETTINGS.values())]:
        assert f" {name} " in text


_OF_THE_SYSTEM = ("TERM", "SHELL", "ZDOTDIR", "XDG_DATA_HOME")


def test_every_variable_of_the_program_is_in_a_list() -> None:
    known = {*topics.VARIABLES, *(setting.variable for setting in SETTINGS.values()), *_OF_THE_SYSTEM}
    for path in Path(reve_cli.__file__).parent.rglob("*.py"):
        source = path.read_text()
        asked = set(re.findall(r"environ(?:\.get\(|\[)\s*\"([A-Z]\w+)\"", source))
        ours = set(re.findall(r"\"((?:REVE|APIFRAME)_[A-Z_]+)\"", source))
        assert asked | ours <= known, path


def test_every_field_and_every_state_of_json_is_told(reve: Reve) -> None:
    text = told(reve, "json")
    job, error = Task(0, "done").document(False), ReveError("internal", "").document()
    assert (list(job), list(error)) == (list(topics.FIELDS), list(topics.ERROR_FIELDS))
    assert list(topics.STATES) == [*OPEN, *CLOSED]
    for name, meaning in (topics.FIELDS | topics.ERROR_FIELDS | topics.STATES).items():
        assert f"{name} {meaning}" in text


def test_every_field_of_a_template_is_told_here_and_in_the_readme(reve: Reve) -> None:
    text = told(reve, "templates")
    assert list(topics.PLACES) == list(FIELDS)
    for name in FIELDS:
        assert f"{{{name}}} {topics.PLACES[name]}" in text
        assert f"`{{{name}}}`" in README


def test_every_fault_is_told(reve: Reve) -> None:
    text = told(reve, "faults")
    known = {what for place, _, what in (fault.partition(":") for fault in ALL_FAULTS) if place != "outcome"}
    others = {what for what in known if re.fullmatch(r"\d{3}|html-\d{3}", what)}
    assert known - others <= FAULTS.keys() <= known
    assert OUTCOMES.keys() == {fault.partition(":")[2] for fault in ALL_FAULTS if fault.startswith("outcome:")}
    for what, meaning in [*FAULTS.items(), *OUTCOMES.items()]:
        assert f"{what} {meaning}" in text


def test_the_readme_tells_every_exit_code_and_every_state() -> None:
    for code in topics.MEANINGS:
        assert re.search(rf"^\|[^|]*\b{code}\b", README, re.MULTILINE)
    for state in topics.STATES:
        assert re.search(rf"^\|[^|]*`{state}`", README, re.MULTILINE)


def test_a_reader_that_leaves_early_is_no_error(reve: Reve) -> None:
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -1', "-", *reve.command("help", "faults")],
        env=reve.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)


# Commands


@pytest.mark.parametrize("path", TREE)
def test_help_with_a_command_is_that_commands_help(reve: Reve, path: str) -> None:
    words = path.split()[1:]
    if words:
        assert reve("help", *words).out == reve(*words, "--help").out


@pytest.mark.parametrize("path", TREE)
def test_every_command_says_what_it_does_in_a_sentence(path: str) -> None:
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
def test_what_every_command_has_stands_last(path: str) -> None:
    titles = list(parameters(TREE[path]))
    assert COMMON not in titles[:-1]


def test_the_help_of_reve_names_every_command_and_every_topic(reve: Reve) -> None:
    result = reve("--help")
    for path in TREE:
        if path.count(" ") == 1:
            assert re.search(rf"^  {path.split()[1]}  ", result.out, re.MULTILINE)
    assert ", ".join(TOPICS) in " ".join(result.out.split())


@pytest.mark.parametrize("path", TREE)
@pytest.mark.parametrize("columns", [40, 200])
def test_help_fits_where_it_is_read(reve: Reve, path: str, columns: int) -> None:
    result = reve.child(*path.split()[1:], "--help", env={"COLUMNS": str(columns)})
    prose = result.out.partition("\nExamples\n")[0]
    names = [*(word for word in prose.split() if len(word) > 34), "TOPIC|COMMAND..."]
    assert all(len(line) <= min(columns, 80) or any(name in line for name in names) for line in prose.splitlines())
    assert max(map(len, prose.splitlines())) > 30


def test_help_is_plain_in_a_locale_without_any_letters_but_those_of_english(reve: Reve) -> None:
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
def test_a_terminal_shows_titles_in_bold_and_in_no_color(reve: Reve, env: dict[str, str], is_bold: bool) -> None:
    with Terminal(reve.command("generate", "--help"), env={**reve.environ, **env}) as terminal:
        assert terminal.wait() == 0
    shown = terminal.seen.decode()
    assert ("\x1b[1mMoney\x1b[0m" in shown) == is_bold
    assert set(re.findall(r"\x1b\[[\d;]*m", shown)) <= {"\x1b[1m", "\x1b[0m"}


# Examples


@pytest.mark.parametrize("path", TREE)
def test_every_command_has_an_example_that_calls_it(path: str) -> None:
    assert re.search(rf"\b{path}\b", EXAMPLES[path])
    assert max(map(len, EXAMPLES[path].splitlines())) <= 80


SET_UP = """
export REVE_SANDBOX_SECONDS=0
job=$(reve generate "a red fox" --no-wait --quiet)
"""
"""What goes before an example: `$job` is a job that has ended."""


@pytest.mark.parametrize("path", TREE)
def test_examples_work(reve: Reve, live: Sandbox, path: str) -> None:
    for tool in ("bash", "jq"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    environ = reve.environ | {"PATH": f"{Path(sys.executable).parent}:{reve.environ['PATH']}"}
    text = SET_UP + ('reve wait "$job" --quiet > urls.txt\n' if "urls.txt" in EXAMPLES[path] else "")
    text += "\n".join(line[4:] for line in EXAMPLES[path].splitlines())
    done = subprocess.run(
        ["bash", "-euo", "pipefail"], input=text, text=True, env=environ, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr, done.stderr


# The manual page


def test_the_manual_page_is_the_file_that_is_installed(reve: Reve, request: pytest.FixtureRequest) -> None:
    result = reve("help", "--man")
    assert (result.code, result.stderr) == (0, "")
    if request.config.getoption("--golden"):
        MANUAL.write_bytes(result.stdout)
    assert result.stdout == MANUAL.read_bytes()


def test_the_manual_page_tells_of_every_command_option_and_topic() -> None:
    page = MANUAL.read_text().replace(r"\-", "-")
    for path, command in TREE.items():
        assert f"\n.SS {path}\n" in page or path == "reve"
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option.startswith("-"))
    for topic in TOPICS.values():
        assert f"\n.SH {topic.section}\n" in page
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


# What was meant


def _words(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else "-"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["gnerate"], "no such command 'gnerate'. Did you mean 'generate'?", "reve --help"),
        (["history", "shwo"], "no such command 'shwo'. Did you mean 'show'?", "reve history --help"),
        (["generate", "x", "--sed", "1"], "no such option: --sed. Did you mean '--seed'?", "reve generate --help"),
        (["generate", "x", "--zzz"], "no such option: --zzz", "reve generate --help"),
        (
            ["--sandbox", "generate", "x"],
            "no such option: --sandbox",
            "reve --help (put options after the command)",
        ),
        (["sandbox", "reset", "x"], "reve sandbox reset takes no arguments", "reve sandbox reset --help"),
        (["generate", "x", "--seed"], "option '--seed' requires an argument", "reve generate --help"),
        (["history", "show", "--quit"], "no such option: --quit. Did you mean '--quiet'?", "reve history show --help"),
        (["help", "exitcodes"], "there is no topic or command 'exitcodes'. Did you mean 'exit-codes'?", "reve help"),
        (["help", "history", "shwo"], "there is no command 'history shwo'. Did you mean 'show'?", "reve help history"),
        (["help", "json", "money"], "json is a topic, and takes no other word", "reve help json"),
        (["help", "json", "--man"], "--man is about all commands: it takes no topic", "reve help --man"),
    ],
    ids=_words,
)  # fmt: skip
def test_a_wrong_word_gets_the_nearest_right_one(reve: Reve, words: list[str], message: str, hint: str) -> None:
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
def test_a_wrong_value_gets_the_nearest_right_one(reve: Reve, words: list[str], meant: str) -> None:
    result = reve(*words)
    assert (result.code, result.stdout) == (2, b"")
    assert f"Did you mean {meant!r}?" in result.stderr


def test_nothing_is_meant_by_a_word_that_is_near_to_none() -> None:
    assert did_you_mean("zebra", ["generate", "wait"]) == ""


def test_with_json_a_wrong_topic_is_a_document(reve: Reve) -> None:
    result = reve("help", "exit-codes", "--json")
    assert result.code == 2
    assert result.document["error"]["code"] == "usage"


def test_the_readme_tells_every_variable() -> None:
    for name in [*topics.VARIABLES, *(setting.variable for setting in SETTINGS.values())]:
        assert f"`{name}`" in README, name
