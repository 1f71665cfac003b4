"""`reve batch` in a real process: the live view, and how it ends early."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.outcomes import UGLY
from tests.conftest import Reve, an_hour_passes
from tests.support.mounts import mounted
from tests.support.terminal import PATIENCE, Terminal, eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and pseudo-terminals")

COMMAND = ("batch", "p.txt", "--out", "pics")


def write(count: int) -> None:
    Path("p.txt").write_text("".join(f"fox {number}\n" for number in range(count)))


def pictures() -> int:
    return len(list(Path("pics").glob("*.png")))


@pytest.fixture
def start(reve: Reve) -> Callable[..., "subprocess.Popen[str]"]:
    def started(*more: str, **keywords: int) -> "subprocess.Popen[str]":
        command = reve.command(*COMMAND, *more)
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **keywords}
        return subprocess.Popen(command, env=reve.environ, text=True, **streams)  # type: ignore[call-overload,no-any-return]

    return started


Start = Callable[..., "subprocess.Popen[str]"]


# The terminal


@pytest.mark.parametrize("columns", [40, 80])
def test_the_live_view_shows_counts_rate_time_credits_and_failures_and_disappears_at_the_end(
    reve: Reve, live: Sandbox, columns: int
) -> None:
    seconds = iter([0.2] * 8)
    live._job_seconds, live.faults[:] = lambda: next(seconds, 3600), parse_faults("outcome:fail*2")
    write(12)
    reve.fast = 10
    with Terminal(reve.command(*COMMAND), env=reve.environ, columns=columns) as terminal:
        terminal.expect("2 failed")
        terminal.expect("left")
        eventually(lambda: len(live.jobs()) == 12, "all jobs")
        an_hour_passes(live)
        assert terminal.wait() == 5
        screen, seen = terminal.screen, terminal.seen
    frames = "\n".join(screen.erased)
    for pattern in (
        r"\d+ of 12 saved",
        r"\d+ running",
        "2 failed",
        r"\d+/min",
        r"\d+ simulated credits",
        r"\d+ (min|s)( \d+ s)? left",
        r"\d+ s so far$",
        "━━━",
    ):
        assert re.search(pattern, frames, re.MULTILINE), pattern
    assert re.search(r"^  line \d+: FAILED: Generation", frames, re.MULTILINE)
    assert all(len(line) <= columns for line in screen.erased)
    rows = screen.text.splitlines()
    assert len(rows) == 10 + 2 + 1
    assert re.match(r"10 of 12 saved; 2 failed; charged: 40 simulated credits; (\d+ min )?\d+ s$", rows[-1])
    assert screen.cursor_is_visible
    assert b"\x1b[?25" not in seen


def test_control_characters_in_prompts_and_answers_never_reach_the_terminal(reve: Reve, slow: Sandbox) -> None:
    slow.faults += parse_faults("outcome:control*1")
    Path("p.jsonl").write_text(json.dumps({"prompt": UGLY}) + "\n" + json.dumps({"prompt": "x", "out": UGLY}) + "\n")
    with Terminal(reve.command("batch", "p.jsonl", "--out", "pics"), env=reve.environ) as terminal:
        assert terminal.wait() == 2
        assert "line 2: out" in terminal.screen.text
    Path("p.jsonl").write_text(json.dumps({"prompt": UGLY}) + "\n")
    with Terminal(reve.command("batch", "p.jsonl", "--out", "pics"), env=reve.environ) as terminal:
        assert terminal.wait() == 5
        assert "FAILED" in terminal.screen.text


@pytest.mark.parametrize(("status", "cause"), [("429", "rate limit reached"), ("503", "API error 503")])
def test_an_api_that_refuses_is_shown_in_progress_lines_and_not_for_each_request(
    reve: Reve, simulate: Callable[..., Sandbox], status: str, cause: str
) -> None:
    sandbox = simulate(clock=time.time, job_seconds=0.2, faults=parse_faults(f"submit:{status}/60*6"))
    write(6)
    reve.fast = 40
    done = reve.child(*COMMAND)
    assert done.code == 0, done.stderr
    assert len(sandbox.requests) > 12
    *lines, total = done.stderr.splitlines()
    assert any(f"submitting · {cause}: waiting · " in line for line in lines)
    assert all(re.match(r"\d+ of 6 saved · ", line) for line in lines)
    assert total.startswith("6 of 6 saved; ")


def test_quiet_prints_only_results(reve: Reve, slow: Sandbox) -> None:
    write(2)
    with Terminal(reve.command(*COMMAND, "--quiet"), env=reve.environ) as terminal:
        assert terminal.wait() == 0
        assert re.fullmatch(rb"(pics/fox-\d-[0-9a-f-]{36}\.png\r\n){2}", terminal.seen)


def test_without_a_terminal_a_progress_line_is_printed_from_time_to_time(reve: Reve, sandbox: Sandbox) -> None:
    seconds = iter([2.0, 45.0])
    sandbox._job_seconds = lambda: next(seconds)
    write(2)
    result = reve(*COMMAND)
    assert result.code == 0
    lines = result.stderr.splitlines()
    assert 2 <= len(lines) <= 6
    assert all(re.match(r"[01] of 2 saved · .*\d+/min · \d simulated credits", line) for line in lines[:-1])
    assert reve(*COMMAND, "--quiet").stderr == ""


# Ending early


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_after_a_signal_the_message_says_how_to_finish_and_the_same_command_does(
    reve: Reve, live: Sandbox, start: Start, signum: int
) -> None:
    seconds = iter([0] * 5)
    live._job_seconds = lambda: next(seconds, 3600)
    write(40)
    process = start("--concurrency", "10")
    eventually(lambda: pictures() >= 5 and len(live.jobs()) >= 10, "pictures")
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signum
    (said,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert re.search(
        r"\d+ not submitted; charged: \d+ simulated credits, \d+ pending; .* unfinished: run the same command again",
        said,
    )
    assert re.search(r"^reve resume [0-9a-f]{32}$", stderr, re.MULTILINE)
    an_hour_passes(live)
    live._job_seconds, reve.fast = 0, 20
    again = reve.child(*COMMAND)
    assert again.code == 0, again.stderr
    assert (len(live.jobs()), pictures()) == (40, 40)
    assert "40 of 40 saved" in again.stderr


def test_a_second_signal_exits_at_once_and_nothing_is_lost(reve: Reve, live: Sandbox, start: Start) -> None:
    live._job_seconds = 3600
    write(20)
    process = start()
    eventually(lambda: len(live.jobs()) >= 5, "jobs")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode in (-signal.SIGINT, -signal.SIGTERM)
    an_hour_passes(live)
    live._job_seconds, reve.fast = 0, 20
    assert reve.child(*COMMAND).code == 0
    assert (len(live.jobs()), pictures()) == (20, 20)


def test_the_same_command_continues_after_the_time_limit(reve: Reve, sandbox: Sandbox) -> None:
    sandbox._job_seconds = 1500.0
    write(3)
    result = reve(*COMMAND, "--timeout", "60", "--json")
    assert result.code == 75
    assert {document["error"]["code"] for document in result.documents} == {"unfinished"}
    assert "3 unfinished: run the same command again, or:\nreve resume" in result.stderr
    assert reve(*COMMAND).code == 0
    assert len(sandbox.jobs()) == 3


def test_only_the_timeout_option_limits_the_time(reve: Reve, sandbox: Sandbox) -> None:
    sandbox._job_seconds = 1500.0
    write(1)
    assert reve(*COMMAND, env={"REVE_TIMEOUT": "60"}).code == 0


def test_a_batch_may_run_for_days(reve: Reve, sandbox: Sandbox) -> None:
    sandbox._job_seconds = 100_000.0
    leaps = iter([2 * 86400.0])

    class Requests(list[Any]):
        def append(self, request: Any) -> None:
            if request.method == "GET" and request.path.startswith("/v2/jobs"):
                reve.clock.advance(next(leaps, 0.0))
            super().append(request)

    sandbox.requests = Requests()
    write(1)
    result = reve(*COMMAND)
    assert result.code == 0, result.stderr


def test_standard_input_may_be_a_pipe(reve: Reve, live: Sandbox) -> None:
    assert reve.child("batch", "-", "--out", "pics", stdin=b"fox\n").code == 0
    assert pictures() == 1


def test_a_closed_pipe_loses_no_image(reve: Reve, live: Sandbox) -> None:
    write(8)
    reve.fast = 10
    done = subprocess.run(
        ["bash", "-c", '"$@" --concurrency 1 | head -1; exit "${PIPESTATUS[0]}"', "-", *reve.command(*COMMAND)],
        env=reve.environ, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 128 + signal.SIGPIPE
    assert len(done.stdout.splitlines()) == 1
    assert "8 of 8 saved" in done.stderr
    assert (len(live.jobs()), pictures()) == (8, 8)


# The disk


def test_an_unwritable_manifest_stops_submitting_and_running_jobs_are_saved(reve: Reve, slow: Sandbox) -> None:
    write(40)
    Path("pics").mkdir()
    Path("pics/manifest.jsonl").write_bytes(b"#" * 203_999 + b"\n")
    command = ["bash", "-c", 'ulimit -f 200; exec "$@"', "-", *reve.command(*COMMAND, "--concurrency", "4")]
    done = subprocess.run(command, env=reve.environ, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 7
    assert done.stderr.count("error: cannot write pics/manifest.jsonl: File too large") == 1
    assert pictures() == len(slow.jobs()) < 40
    reve.fast = 20
    again = reve.child(*COMMAND)
    assert again.code == 0, again.stderr
    assert (len(slow.jobs()), pictures()) == (40, 40)
    lines = Path("pics/manifest.jsonl").read_bytes().splitlines()
    assert sum(line.startswith(b'{"run"') and line.endswith(b'"error":null}') for line in lines) == 40


def test_a_read_only_folder_is_refused(reve: Reve, live: Sandbox) -> None:
    write(1)
    Path("pics").mkdir()
    with mounted(Path("pics")) as freeze:
        freeze()
        result = reve.child(*COMMAND)
    assert result.code == 7
    assert "pics/.manifest.jsonl.lock: Read-only file system" in result.stderr
    assert live.requests == []
