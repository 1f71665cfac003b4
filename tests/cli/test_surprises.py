"""What a new user stumbles over: silence, unfinished jobs that nobody mentions, times, closed outputs and FIFOs."""

import os
import subprocess
from collections.abc import Callable

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
Simulate = Callable[..., Sandbox]


@pytest.fixture
def unfinished(reve: Reve, simulate: Simulate) -> Sandbox:
    """A sandbox in which one paid image was never fetched."""
    sandbox = simulate(faults=parse_faults("image:cut"))
    assert reve("generate", "a fox", "--out", "fox.png").code == 75
    sandbox.faults.clear()
    reve.clock.advance(60)
    return sandbox


@pytest.mark.parametrize("command", [["account"], ["jobs"], ["generate", "a cat", "--no-wait"], ["model"]])
def test_a_later_command_says_that_a_paid_job_is_unfinished(
    reve: Reve, unfinished: Sandbox, command: list[str]
) -> None:
    result = reve(*command)
    assert result.code == 0
    assert result.stderr.count("1 paid job is unfinished: reve resume\n") == 1
    assert "unfinished" not in reve(*command, "--quiet").stderr
    assert "unfinished" not in reve(*command, "--json").stderr
    assert reve("resume").code == 0
    assert "unfinished" not in reve(*command).stderr


def test_jobs_of_another_base_url_and_of_the_sandbox_are_not_mentioned(
    reve: Reve, unfinished: Sandbox, simulate: Simulate
) -> None:
    assert "unfinished" not in reve("account", "--sandbox").stderr
    simulate()
    assert "unfinished" not in reve("account").stderr


def test_jobs_submitted_with_no_wait_are_not_unfinished(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "a fox", "--no-wait")
    assert "unfinished" not in reve("account").stderr


@pytest.mark.parametrize(("text", "code"), [("90", 0), ("90s", 0), ("10m", 0), ("2h", 0), ("1.5h", 0), ("1d", 0)])
def test_a_time_limit_can_have_a_unit(reve: Reve, sandbox: Sandbox, text: str, code: int) -> None:
    assert reve("account", "--timeout", text).code == code
    assert reve("config", "set", "timeout", text).code == code


@pytest.mark.parametrize("text", ["0m", "2d", "25h", "10 minutes", "m", "10m5s", ""])
def test_a_time_limit_that_is_none_is_refused(reve: Reve, sandbox: Sandbox, text: str) -> None:
    result = reve("account", "--timeout", text)
    assert (result.code, result.out) == (2, "")
    assert "10m" in result.stderr
    assert not sandbox.requests


@needs_fifo
@pytest.mark.parametrize(
    "command", [["generate", "--prompt-file", "pipe"], ["batch", "pipe", "--out", "pics/"]], ids=lambda words: words[0]
)
def test_the_time_limit_ends_the_wait_for_the_writer_of_a_fifo(reve: Reve, live: Sandbox, command: list[str]) -> None:
    os.mkfifo("pipe")
    result = reve.child(*command, "--timeout", "0.5")
    assert (result.code, result.out) == (6, "")
    assert "nobody wrote to pipe within the time limit" in result.stderr
    assert not live.requests


@needs_fifo
def test_a_prompt_can_come_from_a_fifo(reve: Reve, live: Sandbox) -> None:
    os.mkfifo("pipe")
    with subprocess.Popen(["sh", "-c", "echo a piped fox > pipe"]):
        assert reve.child("generate", "--prompt-file", "pipe", "--no-wait").code == 0
    assert [job.body["prompt"] for job in live.jobs()] == ["a piped fox"]


@pytest.mark.skipif(os.name == "nt", reason="no sh")
@pytest.mark.parametrize("command", ["--help", "generate --help", "", "auth", "help", "--version", "help json"])
def test_a_text_for_a_closed_output_is_an_error(reve: Reve, command: str) -> None:
    line = " ".join([*reve.command(), *command.split(), ">&-"])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=reve.environ, check=False)
    assert done.returncode == 1
    assert "standard output" in done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [("submit:401", "https://console.apiframe.ai lists"), ("submit:402", "buy more at https://console.apiframe.ai")],
)
def test_a_refusal_says_where_keys_and_credits_come_from(reve: Reve, simulate: Simulate, fault: str, said: str) -> None:
    simulate(faults=parse_faults(fault))
    assert said in reve("generate", "a fox").stderr


def test_without_a_key_the_console_is_named(reve: Reve) -> None:
    result = reve("generate", "a fox")
    assert result.code == 3
    assert "get one at https://console.apiframe.ai, then run reve auth login or set APIFRAME_API_KEY" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminal")
@pytest.mark.parametrize(
    ("command", "said"),
    [(["generate", "-"], "type the prompt here; Ctrl-D"), (["wait", "-"], "type job ids here; Ctrl-D")],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_reads_from_the_terminal_says_so(
    reve: Reve, live: Sandbox, command: list[str], said: str
) -> None:
    from tests.support.terminal import Terminal

    with Terminal(reve.command(*command), env=reve.environ) as terminal:
        terminal.expect(said)
    assert "type " not in reve.child(*command, stdin=b"x").stderr
