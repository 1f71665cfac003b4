"""The program on a real pseudo-terminal.

`Screen` fails for every byte that the program must not send. So every test with a screen also checks that no control
character of the user or the server reaches the terminal.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.outcomes import OUTCOMES, UGLY
from reve_cli.terminal.taskbar import knows_progress
from tests.conftest import Reve, an_hour_passes
from tests.support.terminal import PATIENCE, Screen, Terminal, eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")

JOB = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LETTERS = "[/red] [bold]fox[/] [link=http://example.com]x"
BIDI = "שועל \u202eder\u202c \u2066خط\u2069"
EMOJI = "🦊👩‍🚀 e\u0301"


def shown(reve: Reve, *arguments: str, columns: int = 80, env: dict[str, str] | None = None) -> tuple[int, Screen]:
    """Run a command on a terminal. Returns its exit code and the final screen."""
    with Terminal(reve.command(*arguments), env={**reve.environ, **(env or {})}, columns=columns) as terminal:
        code = terminal.wait()
        return code, terminal.screen


def watched(reve: Reve, sandbox: Sandbox, until: str, *arguments: str, columns: int = 80) -> tuple[int, Screen]:
    """As `shown`, with jobs that run until the terminal was sent what matches `until`."""
    sandbox._job_seconds = 3600
    with Terminal(reve.command(*arguments), env=reve.environ, columns=columns) as terminal:
        eventually(lambda: re.search(until.encode(), terminal.seen), until)
        sandbox._job_seconds = 0  # of those that begin only now
        an_hour_passes(sandbox)
        code = terminal.wait()
        return code, terminal.screen


def without_ids(text: str) -> str:
    text = JOB.sub("JOB", text)
    return re.sub(r"\([\d,]+ bytes, 4 simulated credits\) after [\d.]+ s", "(…)", text)


# The spinner


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_spinner_shows_status_and_time_and_is_removed_at_the_end(reve: Reve, live: Sandbox, columns: int) -> None:
    code, screen = watched(
        reve, live, "(QUEUED|PROCESSING).* · ", "generate", "fox", "--out", "fox.png", columns=columns
    )
    assert code == 0
    assert without_ids(screen.text) == "job JOB accepted\nsaved (…)\nfox.png"
    assert any(re.search(r"^. submitting · \d+ s$", frame) for frame in screen.erased)
    assert any(re.search(r"^. (QUEUED|PROCESSING)( \d+ %)? · \d+ s", frame + " s") for frame in screen.erased)
    assert screen.cursor_is_visible


def test_the_spinner_shows_progress(reve: Reve, live: Sandbox) -> None:
    live._job_seconds = 7000
    with Terminal(reve.command("generate", "fox"), env=reve.environ) as terminal:
        terminal.expect("QUEUED")
        an_hour_passes(live)
        eventually(lambda: re.search(r"PROCESSING \d+ % · \d+ s".encode(), terminal.seen), "progress")
        an_hour_passes(live)
        assert terminal.wait() == 0


@pytest.mark.parametrize("columns", [20, 80])
def test_the_spinner_counts_several_jobs(reve: Reve, live: Sandbox, columns: int) -> None:
    command = ("generate", "fox", "--count", "3", "--out", "fox.png")
    code, screen = watched(reve, live, r"3 \w+ · ", *command, columns=columns)
    assert code == 0
    lines = sorted(screen.text.splitlines())
    assert lines[:4] == ["charged: 12 simulated credits", "fox-1.png", "fox-2.png", "fox-3.png"]
    assert [line.partition(" (")[0] for line in lines[-3:]] == ["saved 1 of 3", "saved 2 of 3", "saved 3 of 3"]
    assert len(lines) == 10
    assert any(re.match(r". 3 \w+ · \d+ s$", frame) for frame in screen.erased)


@pytest.mark.parametrize("columns", [20, 80])
def test_an_odd_status_from_the_server_does_not_break_the_spinner(
    reve: Reve, live: Sandbox, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setitem(OUTCOMES, "odd-status", replace(OUTCOMES["odd-status"], running=f"🦊 {UGLY}" * 3))
    live.faults[:] = parse_faults("outcome:odd-status")
    code, screen = watched(reve, live, "🦊", "generate", "fox", "--out", "fox.png", columns=columns)
    assert code == 0
    assert without_ids(screen.text) == "job JOB accepted\nsaved (…)\nfox.png"
    assert any("🦊" in frame for frame in screen.erased)


def test_the_spinner_shows_the_usual_time_once_it_is_known(reve: Reve, live: Sandbox) -> None:
    watched(reve, live, "5 running", "generate", "fox", "--count", "5")
    _, screen = watched(reve, live, "of about", "generate", "fox")
    assert any(re.search(r"^. (QUEUED|PROCESSING)( \d+ %)? · \d+ s of about \d+ s$", row) for row in screen.erased)
    _, screen = watched(reve, live, "2 running", "generate", "fox", "--count", "2")
    assert any(re.search(r"^. 2 running · \d+ s · usually \d+ s a job$", row) for row in screen.erased)


def test_the_spinner_stays_on_the_terminal_if_stdout_is_a_pipe(reve: Reve, slow: Sandbox) -> None:
    command = reve.command("generate", "fox", "--out", "fox.png")
    with Terminal(command, env=reve.environ, stdout=subprocess.PIPE) as terminal:
        assert terminal.wait() == 0
        assert terminal.process.stdout is not None
        with terminal.process.stdout as stdout:
            assert stdout.read() == b"fox.png\n"
        assert terminal.screen.erased
        assert without_ids(terminal.screen.text) == "job JOB accepted\nsaved fox.png (…)"


def test_there_is_no_spinner_if_stderr_is_not_a_terminal(reve: Reve, slow: Sandbox, tmp_path: Path) -> None:
    command = reve.command("generate", "fox", "--out", "fox.png")
    with (tmp_path / "err").open("wb") as err, Terminal(command, env=reve.environ, stderr=err) as terminal:
        assert terminal.wait() == 0
        assert terminal.seen == b"fox.png\r\n"
    assert without_ids((tmp_path / "err").read_text()) == "job JOB accepted\nsaved fox.png (…)\n"


def test_quiet_prints_only_the_results(reve: Reve, slow: Sandbox) -> None:
    with Terminal(reve.command("generate", "fox", "--out", "fox.png", "--quiet"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        assert terminal.seen == b"fox.png\r\n"


@pytest.mark.parametrize(
    "env", [{"TERM": "dumb"}, {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}], ids=["dumb", "ascii"]
)
def test_a_terminal_that_cannot_show_a_spinner_gets_lines(reve: Reve, slow: Sandbox, env: dict[str, str]) -> None:
    code, screen = shown(reve, "generate", "fox", "--out", "fox.png", env=env)
    assert (code, screen.erased) == (0, [])
    assert without_ids(screen.text) == "job JOB accepted\nsaved (…)\nfox.png"


def test_the_cursor_stays_visible_after_a_kill(reve: Reve, live: Sandbox) -> None:
    live.faults[:] = parse_faults("outcome:forever")
    with Terminal(reve.command("generate", "fox"), env=reve.environ) as terminal:
        terminal.expect("PROCESSING")
        terminal.process.kill()
        assert terminal.wait() == -SIGKILL
        assert terminal.screen.cursor_is_visible


def test_the_terminal_keeps_its_settings(reve: Reve, slow: Sandbox) -> None:
    script = f"stty -g; {' '.join(reve.command('generate', 'fox', '--quiet', '--out', 'fox.png'))}; stty -g"
    with Terminal(["sh", "-c", script], env=reve.environ) as terminal:
        assert terminal.wait() == 0
        before, _, after = terminal.screen.text.splitlines()
        assert before == after


@pytest.mark.parametrize("reader", ["cat", "tee all.txt", "head -3"])
def test_the_spinner_never_mixes_with_what_a_pipe_prints_on_the_same_terminal(
    reve: Reve, live: Sandbox, reader: str
) -> None:
    script = f"{' '.join(reve.command('doctor'))} | {reader}"
    with Terminal(["sh", "-c", script], env=reve.environ, columns=300) as terminal:
        terminal.wait()
        screen = terminal.screen
    assert all(re.match(r"(ok|hint|problem) |ok: |   ", row) for row in screen.rows if row), screen.text
    assert all(re.match(r". checking: \w+$", row) for row in screen.erased if row), screen.erased


def test_a_write_to_a_pipe_removes_the_spinner_for_a_while(reve: Reve) -> None:
    script = """
import os, sys, time
from reve_cli.terminal.output import Output
output = Output(os.environ)
output.spin("one")
written = time.monotonic()
output.line("data")
while not output._spinner.is_drawn:
    output.redraw()
assert time.monotonic() - written >= 0.2
output.rest()
"""
    command = [sys.executable, "-c", script]
    with Terminal(
        command, env={**reve.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, stdout=subprocess.PIPE
    ) as terminal:
        assert terminal.wait() == 0, terminal.seen
        assert terminal.process.stdout is not None
        with terminal.process.stdout as stdout:
            assert stdout.read() == b"data\n"


# The terminal's own progress


KNOWS_PROGRESS = {"TERM_PROGRAM": "ghostty"}


def told(reve: Reve, *arguments: str, env: dict[str, str]) -> list[bytes]:
    """What a command tells the terminal of its progress."""
    with Terminal(reve.command(*arguments), env={**reve.environ, **env}) as terminal:
        assert terminal.wait() == 0
        return re.findall(rb"\x1b\]9;4;([\d;]+)\x1b\\", terminal.seen)


def test_a_terminal_that_shows_progress_gets_it_and_is_cleared(reve: Reve, slow: Sandbox) -> None:
    states = told(reve, "generate", "fox", "--count", "3", env=KNOWS_PROGRESS)
    assert states[0] == b"1;0"
    assert states[-1] == b"0"
    Path("p.txt").write_text("fox 1\nfox 2\n")
    assert told(reve, "batch", "p.txt", "--out", "pics", env={"WT_SESSION": "x"})[-1] == b"0"


@pytest.mark.parametrize(
    "env",
    [{}, {**KNOWS_PROGRESS, "CI": "true"}, {**KNOWS_PROGRESS, "TMUX": "x"}, {"TERM_PROGRAM": "Apple_Terminal"}],
    ids=str,
)
def test_other_terminals_and_ci_get_no_progress(reve: Reve, slow: Sandbox, env: dict[str, str]) -> None:
    assert told(reve, "generate", "fox", env=env) == []


@pytest.mark.parametrize(
    ("environ", "knows"),
    [
        ({"WT_SESSION": "x"}, True),
        ({"ConEmuANSI": "ON"}, True),
        ({"ConEmuANSI": "OFF"}, False),
        ({"TERM_PROGRAM": "WezTerm"}, True),
        ({"TERM_PROGRAM": "iTerm.app", "TERM_FEATURES": "T3LrMSc7UUw9Ts3BFGsSyHNoSxFP"}, True),
        ({"TERM_PROGRAM": "iTerm.app", "TERM_FEATURES": "T3LrMSc7UUw9Ts3BFGsSyHNoSxF"}, False),
        ({"TERM_PROGRAM": "vscode"}, False),
        ({"WT_SESSION": "x", "TERM": "tmux-256color"}, False),
    ],
)
def test_terminals_that_show_progress_are_known_by_their_variables(environ: dict[str, str], knows: bool) -> None:
    assert knows_progress(environ) == knows


# Colors


def test_verdicts_have_a_color_and_their_word(reve: Reve, live: Sandbox) -> None:
    with Terminal(reve.command("generate", "fox"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        assert b"\x1b[32msaved\x1b[0m (" in terminal.seen
    with Terminal(reve.command("history", "-q"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        assert b"\x1b[32msaved\x1b[0m" in terminal.seen
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not shown(reve, "history", "-q", env=env)[1].styles


def test_errors_are_red_on_a_terminal_unless_NO_COLOR_is_set(reve: Reve) -> None:
    code, screen = shown(reve, "generate", "fox")
    assert (code, screen.styles) == (3, ["31", "0"])
    code, screen = shown(reve, "generate", "fox", env={"NO_COLOR": "1"})
    assert (code, screen.styles) == (3, [])


def test_NO_COLOR_turns_off_all_colors(reve: Reve, slow: Sandbox) -> None:
    code, screen = shown(reve, "generate", "fox", "--debug", env={"NO_COLOR": "1"})
    assert code == 0
    assert not [style for style in screen.styles if re.search(r"[34]\d", style)]


def test_there_are_no_escape_sequences_if_stderr_is_not_a_terminal(reve: Reve) -> None:
    result = reve.child("generate", "fox", env={"TERM": "xterm-256color", "CLICOLOR_FORCE": "1", "FORCE_COLOR": "1"})
    assert result.code == 3
    assert "\x1b" not in result.stderr


# Tables


def job(reve: Reve, prompt: str = "fox", **environ: str) -> str:
    result = reve.child("generate", "--no-wait", "--quiet", "--", prompt, env=environ)
    assert result.code == 0, result.stderr
    return result.out.strip()


def test_status_is_a_line_for_each_job_on_a_terminal_and_tab_separated_in_a_pipe(reve: Reve, live: Sandbox) -> None:
    live._job_seconds = 0
    identity = job(reve, "a red fox")
    code, screen = shown(reve, "status", identity, columns=100)
    header, row = screen.text.splitlines()
    assert code == 0
    assert header.split() == ["JOB", "AGE", "STATE", "CREDITS", "PROMPT"]
    assert re.fullmatch(rf"{identity[:8]}  \d+ s +COMPLETED  4        a red fox", row)
    piped = reve.child("status", identity).out
    assert re.fullmatch(rf"{identity}\tCOMPLETED\t100 %\t4\t\S+Z\ta red fox\n", piped)


def test_nothing_is_cut_in_a_pipe(reve: Reve, live: Sandbox) -> None:
    prompt = "long " * 399 + "end"
    result = reve.child("status", job(reve, prompt), env={"COLUMNS": "20"})
    assert result.out.rstrip("\n").split("\t")[-1] == prompt


@pytest.mark.parametrize(("columns", "shown_too"), [(24, []), (44, ["AGE"]), (60, ["AGE", "CREDITS"])])
def test_a_narrow_terminal_leaves_out_columns_and_shortens_the_prompt(
    reve: Reve, live: Sandbox, columns: int, shown_too: list[str]
) -> None:
    live._job_seconds = 0
    identity = job(reve, "雪の中の赤い狐 " * 9)
    code, screen = shown(reve, "status", identity, columns=columns)
    assert code == 0
    header, row = screen.text.splitlines()
    prompt = [] if columns < 30 else ["PROMPT"]
    assert header.split() == ["JOB", *shown_too[:1], "STATE", *shown_too[1:], *prompt]
    assert row.startswith(identity[:8])
    assert not prompt or row.endswith("…")


# Text from the user


@pytest.mark.parametrize(
    "prompt",
    [LETTERS, "--weird", BIDI, EMOJI, "two\nlines\r\n\ttab", "\x1b[31mred\x1b[0m \x9b1m \x07", ":fox: %s {0}"],
)
def test_any_prompt_reaches_the_server_unchanged_and_the_terminal_escaped(
    reve: Reve, live: Sandbox, prompt: str
) -> None:
    code, screen = shown(reve, "generate", "--out", "fox.png", "--", prompt, columns=4000)
    assert code == 0
    (record,) = live.jobs()
    assert record.body["prompt"] == prompt.replace("\r\n", "\n")  # one prompt, however its lines end
    code, screen = shown(reve, "status", record.id, columns=4000)
    assert code == 0
    tame = prompt.isprintable() or prompt == EMOJI
    assert tame == (f"  {prompt}  fox.png" in screen.text)
    assert len(screen.text.splitlines()) == 2
    piped = reve.child("status", record.id).out
    assert len(piped.splitlines()) == 1
    assert len(piped.split("\t")) == 6


def test_a_prompt_may_have_2000_utf_16_units_and_no_more(reve: Reve, live: Sandbox) -> None:
    code, _ = shown(reve, "generate", "🦊" * 1000, "--no-wait")
    assert code == 0
    code, screen = shown(reve, "generate", "🦊" * 1000 + "x", "--no-wait")
    assert code == 2
    assert "the prompt has 2,001 characters" in screen.text
    assert len(live.jobs()) == 1


@pytest.mark.parametrize("name", ["a\x1b[31mb\x07.png", "a\nb.png", "a\u202egnp.exe.png", "\x9b2J.png", "[red].png"])
def test_any_file_name_reaches_the_disk_unchanged_and_the_terminal_escaped(
    reve: Reve, live: Sandbox, name: str
) -> None:
    code, screen = shown(reve, "generate", "fox", f"--out={name}")
    assert code == 0
    assert os.listdir() == [name]
    assert len(screen.text.splitlines()) == 3
    code, screen = shown(reve, "generate", "fox", f"--out={name}")
    assert code == 7
    assert "exists" in screen.text


@pytest.mark.parametrize("name", ["a\x1b[31mb\x07", "a\nb", "\u202egnp"])
def test_an_invalid_argument_reaches_the_terminal_escaped(reve: Reve, live: Sandbox, name: str) -> None:
    for arguments in (
        ["status", name],
        ["generate", "fox", "--seed", name],
        ["generate", "fox", "--ar", name],
        ["generate", "fox", "--count", name],
        ["generate", "fox", "--out", f"{name}/{name}/x.png"],
        ["generate", "fox", f"--{name}"],
        ["generate", "fox", "--api-key-file", name],
        ["generate", "fox", name],
        [name],
    ):
        code, screen = shown(reve, *arguments)
        assert code in (2, 3, 7), (arguments, screen.text)
        assert screen.text


def test_the_command_that_finishes_a_job_can_be_shown_and_pasted_safely(reve: Reve, live: Sandbox) -> None:
    name = "a\x1b[31m\u202e'b\n.png"
    live.faults[:] = parse_faults("job:401")
    reve.environ["REVE_JOURNAL"] = "off"
    code, screen = shown(reve, "generate", "fox", f"--out={name}", columns=400)
    assert code == 75
    words = screen.text.splitlines()[-1]
    echoed = subprocess.run(
        ["bash", "-c", words.replace("reve wait", "printf %s\\\\0", 1)],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    assert echoed.stdout.split(b"\0")[1].decode() == f"--out={name}"


# Text from the server


def is_tame(text: str) -> bool:
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("faults", ["outcome:control", "submit:control*1,submit:hang-before", "job:control"])
@pytest.mark.parametrize("flags", [[], ["--debug"], ["--quiet"], ["--json"]])
def test_control_characters_from_the_server_never_reach_the_terminal(
    reve: Reve, live: Sandbox, tmp_path: Path, faults: str, flags: list[str]
) -> None:
    live.faults[:] = parse_faults(faults)
    reve.fast, reve.leap = 20, tmp_path / "leap"
    command = ["status", job(reve)] if "job:" in faults else ["generate", "fox", "--timeout", "30m"]
    with Terminal(reve.command(*command, *flags), env=reve.environ) as terminal:
        if "hang" in faults:
            eventually(lambda: sum(request.method == "POST" for request in tuple(live.requests)) > 1, "another try")
            reve.leap.touch()
        assert terminal.wait() == {"outcome": 5, "submit": 75, "job": 6}[faults.partition(":")[0]]
        assert "[red]markup[/red]" in terminal.screen.text
        assert "\\u202e" in terminal.screen.text


@pytest.mark.parametrize("faults", ["outcome:control", "submit:control"])
def test_control_characters_from_the_server_never_reach_a_pipe_or_a_file(
    reve: Reve, live: Sandbox, faults: str
) -> None:
    live.faults[:] = parse_faults(faults)
    result = reve.child("generate", "fox", "--timeout", "3", "--json")
    assert is_tame(result.out)
    assert is_tame(result.stderr)
    assert result.document["error"]["exitCode"] == result.code


def test_json_contains_the_whole_error_of_a_failed_job(reve: Reve, live: Sandbox) -> None:
    live.faults[:] = parse_faults("outcome:control")
    result = reve.child("generate", "fox", "--json")
    assert result.code == 5
    assert UGLY in json.loads(result.out)["error"]["message"]


def test_control_characters_from_the_server_never_reach_a_table(
    reve: Reve, live: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OUTCOMES, "odd-status", replace(OUTCOMES["odd-status"], ending=None, running=UGLY))
    live.faults[:] = parse_faults("outcome:odd-status")
    identity = job(reve)
    code, screen = shown(reve, "status", identity, columns=600)
    assert code == 0
    assert "[red]markup[/red]" in screen.text
    piped = reve.child("status", identity).out
    assert is_tame(piped.replace("\t", " "))
    assert len(piped.splitlines()) == 1


# Another terminal


def test_tmux_shows_the_same_screen(reve: Reve, live: Sandbox, tmp_path: Path) -> None:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    live._job_seconds = 1
    tmux = ["tmux", "-f", os.devnull, "-S", str(tmp_path / "tmux")]
    run = " ".join(reve.command("generate", "fox", "--out", "fox.png"))
    script = f"{run}; echo the end; exec sleep {PATIENCE:.0f}"
    environ = {**reve.environ, "TERM": "xterm-256color"}

    def tell(*words: str) -> str:
        done = subprocess.run([*tmux, *words], env=environ, capture_output=True, timeout=PATIENCE, check=True)
        return done.stdout.decode()

    tell("new-session", "-d", "-x", "60", "-y", "24", script)
    try:
        eventually(lambda: "the end" in tell("capture-pane", "-pJ"), "the end")
        screen = tell("capture-pane", "-pJ").rstrip()
        assert without_ids(re.sub(" +\n", "\n", screen)) == ("job JOB accepted\nsaved (…)\nfox.png\nthe end")
        assert tell("display-message", "-p", "#{cursor_flag}").strip() == "1"
    finally:
        tell("kill-server")


def test_text_that_looks_like_an_emoji_code_is_printed_unchanged(reve: Reve, live: Sandbox) -> None:
    live.faults[:] = parse_faults("submit:502*1,submit:401")
    reve.environ["REVE_JOURNAL"] = "off"
    _, screen = shown(reve, "generate", "a :fox_face: at :1234:", "--out", "a:ok:b.png", columns=200)
    assert "a :fox_face: at :1234:" in screen.text
    assert "a:ok:b.png" in screen.text
