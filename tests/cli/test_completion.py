"""Completion: the program's answers, and completed command lines in real shells.

In bash and zsh, keys are typed into a terminal; Enter then shows the arguments that the command would get. For
PowerShell, only the output of the script is tested.
"""

import os
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

import reve_cli
from reve_cli.cli.scripts import FILES, script
from reve_cli.commands.root import Shell, tree
from reve_cli.core.contract import ASPECT_RATIOS, WEBHOOK_EVENTS
from reve_cli.help.topics import TOPICS
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.terminal.text import safe
from tests.conftest import Reve, loaded
from tests.support.terminal import PATIENCE, with_reve_on_path

FILE = {shell: Path(__file__).parents[2] / "completions" / name for shell, name in FILES.items()}
LIMIT = PATIENCE
"""Seconds to wait for a shell's output."""

needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
needs_zsh = pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
needs_fish = pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")


# The answers


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gen"], ["generate"]),
        (["--v"], ["--version"]),
        (["--show-completion", ""], ["bash", "zsh", "fish", "powershell"]),
        (["sandbox", ""], ["serve", "reset"]),
        (["sandbox", "serve", "--p"], ["--port"]),
        (["generate", "--ar", ""], list(ASPECT_RATIOS)),
        (["generate", "--ar", "16:"], ["16:9"]),
        (["generate", "--aspect-ratio", "1"], ["16:9", "1:1"]),
        (["generate", "--ar=16:"], ["--ar=16:9"]),
        (["generate", "--webhook-event", ""], list(WEBHOOK_EVENTS)),
        (["generate", "--seed", ""], ["random", "none"]),
        (["generate", "--seed=r"], ["--seed=random"]),
        (["generate", "--seed", "7"], []),
        (["generate", "--out", ""], [":files"]),
        (["generate", "-o", ""], [":files"]),
        (["generate", "--out=a"], [":files"]),
        (["generate", "--out", "-"], [":files"]),
        (["generate", "--prompt-file", "a"], [":files"]),
        (["status", "--api-key-file", ""], [":files"]),
        (["status", "--timeout", ""], []),
        (["generate", "--model", ""], []),
        (["generate", ""], []),
        (["generate", "--json", ""], []),
        (["generate", "--json="], []),
        (["generate", "--nosuch="], []),
        (["generate", "--", "--"], []),
        (["status", "some-job", ""], []),
        (["sandbox", "serve", "--port", "1", "--h"], ["--help"]),
        (["help", "--"], ["--man", "--schema", "--skill", "--install", "--help"]),
    ],
    ids=" ".join,
)
def test_each_word_gets_its_candidates(ask: Callable[..., list[str]], words: list[str], expected: list[str]) -> None:
    assert ask(*words) == expected


def test_the_first_word_is_a_command_not_an_option(ask: Callable[..., list[str]]) -> None:
    assert {"generate", "status", "wait", "download", "sandbox"} <= set(ask(""))
    assert not any(value.startswith("-") for value in ask(""))


@pytest.mark.parametrize("words", [["nosuch", ""], ["sandbox", "nosuch", ""]], ids=" ".join)
def test_nothing_follows_an_unknown_command(ask: Callable[..., list[str]], words: list[str]) -> None:
    assert ask(*words) == []


def test_options_are_offered_once_unless_they_repeat(ask: Callable[..., list[str]]) -> None:
    before = set(ask("generate", "--"))
    after = set(ask("generate", "--ar", "1:1", "--json", "--webhook-event", "failed", "--"))
    assert before - after == {"--ar", "--aspect-ratio", "--json"}


def test_options_follow_when_no_argument_is_missing(ask: Callable[..., list[str]]) -> None:
    assert {"--out", "-o", "--seed"} <= set(ask("generate", "a fox", ""))


def test_completion_runs_no_callback(ask: Callable[..., list[str]]) -> None:
    assert ask("--version", "gen") == ["generate"]
    assert ask("--show-completion", "bash", "gen") == ["generate"]


def test_the_help_of_a_candidate_is_one_plain_line(reve: Reve) -> None:
    result = reve("generate", env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": "-"})
    for line in result.out.splitlines():
        value, _, help_text = line.partition("\t")
        assert value.startswith("-")
        assert help_text
        assert safe(help_text) == help_text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reve gen", ["generate"]),
        ("reve generate x --ar 16:", ["16:9"]),
        ("reve generate x --ar '16:", ["16:9"]),
        ('reve generate x --ar="16:', ["--ar=16:9"]),
        ('reve generate "a fox" --see', ["--seed"]),
        ("reve generate it\\'s\\ a\\ fox --see", ["--seed"]),
        ('reve generate "a fox ', []),
        ("'/my venv/bin/reve' gen", ["generate"]),
    ],
)
def test_a_typed_line_is_split_as_a_shell_splits_it(reve: Reve, line: str, expected: list[str]) -> None:
    result = reve(line, env={"_REVE_COMPLETE": "line"})
    assert [each.split("\t")[0] for each in result.out.splitlines()] == expected


def test_an_incomplete_request_gets_an_empty_answer(reve: Reve) -> None:
    result = reve(env={"_REVE_COMPLETE": "line"})
    assert (result.code, result.stdout, result.stderr) == (0, b"", "")


@pytest.mark.parametrize("words", [[""], ["generate", "--"], ["generate", "--ar", ""]], ids=" ".join)
def test_an_answer_loads_nothing_slow(words: list[str]) -> None:
    candidates, modules = loaded(words[:-1], {"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": words[-1]})
    assert candidates
    assert not {"httpx", "rich", "sqlite3", "reve_cli.api.http", "reve_cli.engine.engine"} & modules


# Jobs


def journal_of(home: Path) -> Path:
    return home / ".local" / "state" / "reve" / "journal.db"


@pytest.fixture
def jobs(reve: Reve, sandbox: Sandbox) -> list[str]:
    """Three jobs, newest first: two submitted with --no-wait, and one whose image was saved."""
    made = [reve("generate", "a saved fox", "--seed", "1", "--out", "fox.png", "--json").document["jobId"]]
    made += [reve("generate", f"a {word} fox", "--no-wait").out.strip() for word in ("first", "last")]
    return made[::-1]


def short(jobs: list[str]) -> list[str]:
    """What completion offers for these jobs."""
    return ["last", *(job[:8] for job in jobs)]


def offers(reve: Reve, *words: str) -> list[tuple[str, ...]]:
    """The candidates for the last word, each with its description."""
    result = reve(*words[:-1], env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": words[-1]})
    assert (result.code, result.stderr) == (0, "")
    return [tuple(line.split("\t")) for line in result.out.splitlines()]


@pytest.mark.parametrize("command", [["status"], ["wait"], ["download"], ["history", "show"]], ids=" ".join)
def test_jobs_are_offered_newest_first_with_state_and_prompt(reve: Reve, jobs: list[str], command: list[str]) -> None:
    states = ("the newest, accepted: a last fox", "accepted: a last fox", "accepted: a first fox", "saved: a saved fox")
    assert offers(reve, *command, "") == list(zip(short(jobs), states, strict=True))


def test_only_jobs_with_the_typed_prefix_are_offered_each_once(ask: Callable[..., list[str]], jobs: list[str]) -> None:
    assert ask("status", jobs[1][:12]) == [jobs[1]]
    assert ask("status", jobs[1][:5]) == [jobs[1][:8]]
    assert ask("status", jobs[0], "") == ["last", *short(jobs)[2:]]
    assert ask("status", "la") == ["last"]
    assert ask("status", "%") == []


def test_resume_offers_the_key_of_an_unfinished_job_without_an_id(
    reve: Reve, simulate: Callable[..., Sandbox], ask: Callable[..., list[str]]
) -> None:
    simulate(faults=parse_faults("submit:drop-after"))
    reve("generate", "a saved fox", "--out", "one.png", env={"REVE_SANDBOX_FAULTS": ""})
    key = reve("resume", "--dry-run", "--json").document["idempotencyKey"]
    assert offers(reve, "resume", "") == [(key, "sending: a saved fox")]
    newest, named = offers(reve, "history", "show", "")
    assert (newest, named) == (("last", "the newest, sending: a saved fox"), (key, "sending: a saved fox"))
    assert ask("status", "") == []


@pytest.mark.usefixtures("jobs")
def test_resume_does_not_offer_saved_or_no_wait_jobs(ask: Callable[..., list[str]]) -> None:
    assert all(value.startswith("-") for value in ask("resume", ""))


def test_the_sandbox_offers_only_its_own_jobs(reve: Reve, jobs: list[str], ask: Callable[..., list[str]]) -> None:
    simulated = reve("generate", "fox", "--no-wait", "--sandbox", env={"REVE_SANDBOX_SECONDS": "0"}).out.strip()
    assert ask("status", "--sandbox", "") == ask("--sandbox", "status", "") == short([simulated])
    assert ask("status", "") == short(jobs)
    reve.environ["REVE_SANDBOX"] = "1"
    assert ask("status", "") == short([simulated])


def test_the_newest_ten_jobs_are_offered(reve: Reve, sandbox: Sandbox, ask: Callable[..., list[str]]) -> None:
    made = reve("generate", "fox", "--count", "15", "--no-wait").out.split()
    assert ask("status", "") == short(made[:4:-1])


def test_prompts_are_shown_without_control_characters_on_one_line(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", f"a\tred\x1b[31m\nfox {'x' * 100}", "--no-wait")
    _, (_, about) = offers(reve, "status", "")
    assert about.startswith("accepted: a red\\x1b[31m fox x")
    assert len(about) < 80


def test_a_locked_journal_offers_nothing_without_waiting(
    home: Path, jobs: list[str], ask: Callable[..., list[str]], reve: Reve
) -> None:
    database = sqlite3.connect(journal_of(home))
    database.execute("BEGIN EXCLUSIVE")
    done = reve.child("status", env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": jobs[0][:8]})
    assert (done.code, done.out, done.stderr) == (0, "", "")
    database.close()
    assert ask("status", "") == short(jobs)


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut", "FIFO", "folder"])
@pytest.mark.usefixtures("jobs")
def test_a_damaged_journal_offers_nothing_and_stays_unchanged(reve: Reve, home: Path, damage: str) -> None:
    path = journal_of(home)
    whole = path.read_bytes()
    path.unlink()
    if damage == "FIFO":
        os.mkfifo(path)
    elif damage == "folder":
        path.mkdir()
    else:
        path.write_bytes({"garbage": b"x" * 5000, "empty": b"", "cut": whole[:5000]}[damage])
    before = sorted((each.name, each.stat().st_mtime_ns) for each in path.parent.iterdir())
    assert offers(reve, "history", "show", "") == []
    assert sorted((each.name, each.stat().st_mtime_ns) for each in path.parent.iterdir()) == before


def test_without_a_journal_nothing_is_offered_and_none_is_created(
    reve: Reve, home: Path, ask: Callable[..., list[str]]
) -> None:
    assert ask("history", "show", "") == []
    assert not journal_of(home).parent.exists()


def test_nothing_is_offered_if_the_journal_is_off(reve: Reve, jobs: list[str]) -> None:
    reve.environ["REVE_JOURNAL"] = "off"
    assert offers(reve, "history", "show", "") == []


@pytest.mark.usefixtures("jobs")
def test_offering_jobs_loads_no_slow_library_and_only_reads_the_file_of_the_journal() -> None:
    candidates, modules = loaded(["status"], {"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": ""})
    assert len(candidates) == 4
    assert not {"httpx", "rich", "truststore", "tomllib", "reve_cli.api.http", "reve_cli.core.models"} & modules
    assert {name for name in modules if name.startswith("reve_cli.journal.")} == {
        "reve_cli.journal.peek",
        "reve_cli.journal.states",
    }


# Help


def test_help_offers_topics_and_commands(ask: Callable[..., list[str]]) -> None:
    assert ask("help", "") == list(dict.fromkeys([*TOPICS, *ask("")]))
    assert ask("help", "ex") == ["exit-codes"]
    assert ask("help", "history", "") == ["show"]
    assert ask("help", "generate", "") == []
    assert ask("help", "nosuch", "") == []


# The scripts


@pytest.mark.parametrize("shell", get_args(Shell))
def test_a_terminal_shows_the_scripts_unchanged(shell: Shell) -> None:
    text = script(shell, tree())
    assert text.isascii()
    assert all(safe(line) == line for line in text.splitlines())


def test_an_unknown_shell_is_a_usage_error_that_names_the_four(reve: Reve) -> None:
    result = reve("--show-completion", "nope")
    assert (result.code, result.stdout) == (2, b"")
    assert all(shell in result.stderr for shell in get_args(Shell))


def test_compinit_reads_the_first_line() -> None:
    assert FILE["zsh"].read_text().splitlines()[0] == "#compdef reve"


def test_powershell_script_registers_itself() -> None:
    assert "Register-ArgumentCompleter -Native -CommandName reve" in FILE["powershell"].read_text()


# Real shells

_LAUNCHER = """#!/bin/sh
if [ "$_REVE_COMPLETE" ]; then
    {completes}
fi
printf '<%s>' "$@"
echo .
"""


def install(folder: Path, completes: str) -> None:
    folder.mkdir(exist_ok=True)
    launcher = folder / "reve"
    launcher.write_text(_LAUNCHER.format(completes=completes))
    launcher.chmod(0o755)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose `reve` completes as the real one and otherwise prints its arguments."""
    install(
        tmp_path / "bin", f'PYTHONPATH="{Path(reve_cli.__file__).parents[1]}" exec "{sys.executable}" -m reve_cli "$@"'
    )
    Path("my picture.png").touch()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TERM": "xterm", "LC_ALL": "C.UTF-8"}


class Terminal:
    """A shell on a terminal."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._seen = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, text: str) -> str:
        """Return the output before `text`, without escape sequences. The rest is kept for the next call."""
        end = time.monotonic() + LIMIT
        while text not in self._seen:
            ready, _, _ = select.select([self._master], [], [], max(0, end - time.monotonic()))
            assert ready, f"expected {text!r}, got {self._seen!r}"
            self._seen = _ESCAPES.sub("", self._seen + os.read(self._master, 4096).decode(errors="replace"))
        shown, _, self._seen = self._seen.partition(text)
        return shown


_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])")


@contextmanager
def terminal(command: list[str], environ: dict[str, str]) -> Iterator[Terminal]:
    master, slave = os.openpty()
    try:
        shell = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True, close_fds=True
        )
    finally:
        os.close(slave)
    try:
        yield Terminal(master)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


@contextmanager
def bash(environ: dict[str, str], *more: str) -> Iterator[Terminal]:
    rc = Path("bashrc")
    rc.write_text("\n".join(["PS1='ready> '", f"source '{FILE['bash']}'", *more]))
    with terminal(["bash", "--rcfile", str(rc), "-i"], environ) as shell:
        shell.wait_for("ready> ")
        yield shell


@contextmanager
def zsh(environ: dict[str, str], load: str) -> Iterator[Terminal]:
    rc = Path("zdotdir", ".zshrc")
    rc.parent.mkdir()
    shutil.copy(FILE["zsh"], rc.parent)
    rc.write_text(f"PS1='ready> '\nautoload -U compinit\n{load}\nprint -r -- \"by $_comps[reve].\"\n")
    with terminal(["zsh", "-d", "-i"], {**environ, "ZDOTDIR": str(rc.parent.absolute())}) as shell:
        shell.wait_for("by _reve.")
        shell.wait_for("ready> ")
        yield shell


AUTOLOAD = "fpath=($ZDOTDIR $fpath); compinit -u -D"
EVAL = 'compinit -u -D; eval "$(<$ZDOTDIR/_reve)"'

LINES = [
    ("reve gen", "<generate>"),
    ("reve sandbox ser", "<sandbox><serve>"),
    ("reve generate x --see", "<generate><x><--seed>"),
    ("reve generate 'a fox' --see", "<generate><a fox><--seed>"),
    ("reve generate x --ar 16:", "<generate><x><--ar><16:9>"),
    ("reve generate x --ar=16:", "<generate><x><--ar=16:9>"),
    ("reve generate x --ar '16:", "<generate><x><--ar><16:9>"),
    ("reve generate x --ar 9", "<generate><x><--ar><9:16>"),
    ("reve generate x --out my", "<generate><x><--out><my picture.png>"),
    ("reve generate x --out=my", "<generate><x><--out=my picture.png>"),
    ("reve generate my", "<generate><my>"),
    ("../bin/reve gen", "<generate>"),
    ("~/../bin/reve gen", "<generate>"),
    ("true; reve généré; reve sandbox ser", "<sandbox><serve>"),
]
"""The line typed before Tab, and the arguments that the command gets."""


@needs_bash
@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_bash_completes_a_typed_line(environ: dict[str, str], line: str, expected: str) -> None:
    with bash(environ) as shell:
        shell.type(f"{line}\t\r")
        shell.wait_for(f"{expected}.")


@needs_bash
@pytest.mark.parametrize("setting", ["COMP_WORDBREAKS=${COMP_WORDBREAKS//[:=]}", "set -u", "shopt -s failglob"])
@pytest.mark.parametrize("line", ["reve generate x --ar 16:", "reve generate x --ar=16:"])
def test_bash_completes_under_other_readline_settings(environ: dict[str, str], setting: str, line: str) -> None:
    with bash(environ, setting) as shell:
        shell.type(f"{line}\t\r")
        shell.wait_for("16:9>.")


@needs_bash
def test_bash_lists_the_candidates(environ: dict[str, str]) -> None:
    with bash(environ) as shell:
        shell.type("reve s\t\t")
        shell.wait_for("status")
        shell.wait_for("sandbox")


@needs_bash
def test_bash_completes_a_job_and_lists_the_newest_first(environ: dict[str, str], jobs: list[str]) -> None:
    with bash(environ) as shell:
        shell.type(f"reve status {jobs[1][:8]}\t\r")
        shell.wait_for(f"<status><{jobs[1]}>.")
        shell.type("reve wait \t\t")
        before = shell.wait_for("last")
        assert not any(job[:8] in before for job in jobs)
        shown = shell.wait_for("reve wait ")
        assert all(job in shown for job in short(jobs)[1:])
        assert "accepted: a first fox" in shown


@needs_bash
def test_bash_lists_commands_with_their_help_and_inserts_none_of_it(environ: dict[str, str]) -> None:
    with bash(environ, "bind 'set show-all-if-ambiguous on'") as shell:
        shell.type("reve sta")
        shell.type("\t\r")
        shell.wait_for("<status>.")
        shell.type("reve s\t")
        shell.wait_for("status  Show the current state of jobs.")
        shell.wait_for("reve s")
        shell.type("x\r")
        shell.wait_for("<sx>.")


def in_bash(environ: dict[str, str], setup: str, line: str, words: list[str], word: str) -> list[str]:
    """Call the function as bash does when Tab is pressed at the end of `line`."""
    script = f"""{setup}
        source "$1"; COMP_LINE=$2 COMP_POINT=${{#2}} word=$3; shift 3
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _reve reve "$word" "${{COMP_WORDS[COMP_CWORD-1]}}"
        for each in "${{COMPREPLY[@]}}"; do echo "$each"; done
        complete -p reve >&2"""
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", FILE["bash"], line, word, *words],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


@needs_bash
@pytest.mark.parametrize(
    ("line", "words", "word", "expected"),
    [
        ("reve sa", ["reve", "sa"], "sa", ["sandbox"]),
        ("reve generate --a", ["reve", "generate", "--a"], "--a", ["--aspect-ratio", "--ar", "--api-key-file"]),
        ("reve generate --ar 16:", ["reve", "generate", "--ar", "16", ":"], "", ["9"]),
        ("reve generate --ar=1", ["reve", "generate", "--ar", "=", "1"], "1", ["16:9", "1:1"]),
        ("reve generate --ar=16:", ["reve", "generate", "--ar", "=", "16", ":"], "", ["9"]),
        ("reve generate --ar=16:", ["reve", "generate", "--ar=16:"], "--ar=16:", ["--ar=16:9"]),
        ('reve generate --ar="16:', ["reve", "generate", "--ar", "=", '"16:'], "16:", ["16:9"]),
        ("reve generate --out my", ["reve", "generate", "--out", "my"], "my", []),
    ],
    ids=str,
)
def test_the_bash_function_fills_compreply(
    environ: dict[str, str], line: str, words: list[str], word: str, expected: list[str]
) -> None:
    assert in_bash(environ, "", line, words, word) == [*expected, "complete -F _reve reve"]


@needs_bash
def test_bash_3_completes_file_names_too(environ: dict[str, str]) -> None:
    found = in_bash(environ, "enable -n compopt", "reve generate --out my", ["reve", "generate", "--out", "my"], "my")
    assert found == ["complete -o default -F _reve reve"]


@needs_zsh
@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_zsh_completes_a_typed_line(environ: dict[str, str], line: str, expected: str) -> None:
    with zsh(environ, AUTOLOAD) as shell:
        shell.type(f"{line}\t\r")
        shell.wait_for(f"{expected}.")


@needs_zsh
def test_zsh_completes_after_eval_of_the_script(environ: dict[str, str]) -> None:
    with zsh(environ, EVAL) as shell:
        for line, expected in LINES[:5]:
            shell.type(f"{line}\t\r")
            shell.wait_for(f"{expected}.")
            shell.wait_for("ready> ")


@needs_zsh
def test_zsh_shows_descriptions(environ: dict[str, str]) -> None:
    with zsh(environ, AUTOLOAD) as shell:
        shell.type("reve generate --a\t")
        shell.wait_for("Read the API key from a file.")
        shell.wait_for("--aspect-ratio")


@needs_zsh
def test_zsh_shows_the_state_of_jobs_newest_first(environ: dict[str, str], jobs: list[str]) -> None:
    with zsh(environ, AUTOLOAD) as shell:
        shell.type("reve wait \t")
        for job, about in zip(
            short(jobs)[1:], ("accepted: a last fox", "accepted: a first fox", "saved: a saved fox"), strict=True
        ):
            shell.wait_for(job)
            shell.wait_for(about)


@needs_zsh
def test_zsh_completes_a_topic(environ: dict[str, str]) -> None:
    with zsh(environ, AUTOLOAD) as shell:
        shell.type("reve help exi\t\r")
        shell.wait_for("<help><exit-codes>.")


@pytest.fixture
def fish(environ: dict[str, str], home: Path) -> Callable[[str], list[str]]:
    """Return the candidates that fish offers, with the file in its completions folder."""
    folder = home / ".config" / "fish" / "completions"
    folder.mkdir(parents=True)
    shutil.copy(FILE["fish"], folder)

    def offers(line: str) -> list[str]:
        done = subprocess.run(
            ["fish", "-c", "complete -C $argv[1]", line], env=environ, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return offers


@needs_fish
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reve gen", ["generate"]),
        ("reve sandbox ", ["serve", "reset"]),
        ("reve generate --a", ["--aspect-ratio", "--ar", "--api-key-file"]),
        ("reve generate x --ar ", list(ASPECT_RATIOS)),
        ("reve generate x --ar 16:", ["16:9"]),
        ("reve generate x --ar=16:", ["--ar=16:9"]),
        ("reve generate 'a fox' --ar '16:", ["16:9"]),
        ('reve generate x --ar="16:', ["--ar=16:9"]),
        ("reve generate x --out my", ["my picture.png"]),
        ("reve generate x --out=my", ["--out=my picture.png"]),
        ("reve generate my", []),
        ("../bin/reve gen", ["generate"]),
        ("~/../bin/reve gen", ["generate"]),
    ],
)
def test_fish_completes_a_typed_line(fish: Callable[[str], list[str]], line: str, expected: list[str]) -> None:
    assert [offer.split("\t")[0] for offer in fish(line)] == expected


@needs_fish
def test_fish_shows_descriptions(fish: Callable[[str], list[str]]) -> None:
    options = dict(offer.split("\t") for offer in fish("reve generate --"))
    assert options["--api-key-file"] == "Read the API key from a file."


@needs_fish
def test_fish_shows_the_state_of_jobs_newest_first(fish: Callable[[str], list[str]], jobs: list[str]) -> None:
    found = [tuple(offer.split("\t")) for offer in fish("reve history show ")]
    states = ("the newest, accepted: a last fox", "accepted: a last fox", "accepted: a first fox", "saved: a saved fox")
    assert found == list(zip(short(jobs), states, strict=True))


@needs_fish
@pytest.mark.skipif(not shutil.which("man"), reason="fish finds no manual pages without man")
def test_fish_set_up_as_the_topic_says_takes_no_options_from_the_manual_page(
    reve: Reve, home: Path, ask: Callable[..., list[str]]
) -> None:
    """With the installed manual page, fish makes completions of all options in it, those of other commands too."""
    page = home / "man" / "man1" / "reve.1"
    page.parent.mkdir(parents=True)
    shutil.copy(FILE["fish"].with_name("reve.1"), page)
    topic = (Path(reve_cli.__file__).parent / "help" / "topics" / "completion.md").read_text()
    (set_up,) = re.findall(r"^```fish\n(.*?)^```$", topic, re.MULTILINE | re.DOTALL)

    environ = with_reve_on_path(reve.command(), reve.environ, home) | {"MANPATH": str(home / "man")}

    def fish(script: str) -> list[str]:
        done = subprocess.run(["fish", "-c", script], env=environ, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    fish("fish_update_completions")
    (made,) = home.rglob("generated_completions/reve.fish")
    assert "-l abandon" in made.read_text()
    fish(set_up)
    offered = {offer.split("\t")[0] for offer in fish("complete -C 'reve generate --'")}
    assert offered == {option for option in ask("generate", "--") if option.startswith("--")}


# A reve that fails


@pytest.fixture
def broken(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    install(tmp_path / "bin", "echo noise >&2; exit 1")
    return environ


@needs_bash
def test_bash_completes_a_command_without_reve_and_is_quiet_when_reve_fails(broken: dict[str, str]) -> None:
    assert in_bash(broken, "", "reve gen", ["reve", "gen"], "gen") == ["generate", "complete -F _reve reve"]
    assert in_bash(broken, "", "reve status a", ["reve", "status", "a"], "a") == ["complete -F _reve reve"]


@needs_zsh
def test_zsh_completes_a_command_without_reve_and_is_quiet_when_reve_fails(broken: dict[str, str]) -> None:
    with zsh(broken, AUTOLOAD) as shell:
        shell.type("reve gen\t\r")
        shell.wait_for("<generate>.")
        shell.type("reve status a\t\r")
        assert "noise" not in shell.wait_for("<status><a>.")


@needs_fish
@pytest.mark.usefixtures("broken")
def test_fish_completes_a_command_without_reve_and_is_quiet_when_reve_fails(fish: Callable[[str], list[str]]) -> None:
    assert [offer.split("\t")[0] for offer in fish("reve gen")] == ["generate"]
    assert fish("reve status a") == []
