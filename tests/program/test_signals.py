"""Ctrl-C, `kill`, a closed terminal and a time limit: how reve ends, and that no image is lost.

Processes and signals are real. Jobs take a simulated hour, which passes when a test calls `an_hour_passes`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import IO

import pytest

from reve_cli.sandbox import Recorded, Sandbox, parse_faults
from tests.conftest import Reve, an_hour_passes
from tests.support.terminal import PATIENCE, Terminal, eventually, with_reve_on_path

if sys.platform != "win32":
    import fcntl
    import termios
    from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP

    FATAL = [SIGINT, SIGTERM, SIGHUP]
else:
    FATAL = []

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no POSIX signals, shells or pseudo-terminals")


@dataclass
class Run:
    """A running program. Its output goes to files, so it never waits for a reader."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def end(self) -> int:
        """Wait for the end. Returns the exit code, negative if a signal ended it."""
        return self.process.wait(PATIENCE)

    @property
    def stdout(self) -> str:
        return self.out.read_text()

    @property
    def stderr(self) -> str:
        return self.err.read_text()

    @property
    def commands(self) -> list[str]:
        """The lines on stderr that can be pasted into a shell."""
        return [line for line in self.stderr.splitlines() if line.startswith("reve ")]


@dataclass
class Scene:
    """A sandbox whose clock can be put forward, and `reve` on the PATH of real shells."""

    reve: Reve
    sandbox: Sandbox
    folder: Path
    fast_path: str
    """A PATH on which `reve` runs with fast clocks, for what only waits."""
    started: list[Run] = field(default_factory=list)

    def start(self, *command: str, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Run:
        number = len(self.started)
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=self.reve.environ)
        self.started.append(Run(process, out, err))
        return self.started[-1]

    def generate(self, *arguments: str) -> Run:
        return self.start(*self.reve.command("generate", "fox", *arguments))

    def paste(self, line: str) -> Run:
        """Run a line of stderr in bash and wait for the end."""
        run = self.paste_only(line)
        assert run.end() == 0, run.stderr
        return run

    def paste_only(self, line: str) -> Run:
        """Run a line of stderr in bash."""
        return self.start("env", f"PATH={self.fast_path}", "bash", "-c", line)

    def an_hour_passes(self) -> None:
        an_hour_passes(self.sandbox)

    def answered(self, path: str) -> int:
        """The number of requests so far whose path begins with `path`."""
        return sum(_is(request, path) for request in tuple(self.sandbox.requests))

    def asked(self, path: str, times: int = 1) -> None:
        """Wait until so many such requests have arrived."""
        eventually(lambda: self.answered(path) >= times, f"{times} requests for {path}")

    @property
    def keys(self) -> set[str]:
        """The idempotency keys of all submissions."""
        return {request.headers["idempotency-key"] for request in self.sandbox.requests if request.method == "POST"}

    def is_polled(self) -> None:
        """Wait until every job is accepted and polled."""
        eventually(lambda: (jobs := self.sandbox.jobs()) and all(job.polls for job in jobs), "a poll")


RUN = "reve resume [0-9a-f]{32}"  # finishes all jobs of a command
POST = "POST /v2/images/generate"
IMAGE = "GET /"


def _is(request: Recorded, path: str) -> bool:
    return (request.side == "cdn") == (path is IMAGE) and f"{request.method} {request.path}".startswith(path)


@pytest.fixture
def scene(live: Sandbox, reve: Reve, tmp_path: Path) -> Iterator[Scene]:
    live._job_seconds = 3600
    hurried = replace(reve, fast=20)
    fast = with_reve_on_path(hurried.command(), reve.environ, tmp_path / "hurried")["PATH"]
    reve.environ |= with_reve_on_path(reve.command(), reve.environ, tmp_path)
    scene = Scene(reve, live, tmp_path, fast)
    yield scene
    for run in scene.started:
        run.process.kill()
        run.process.wait()


def only_files(*names: str) -> None:
    """The working folder contains these images and nothing else, not even a temporary file."""
    assert sorted(os.listdir()) == sorted(names)
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in names)


# A signal at each stage


@pytest.mark.parametrize("signum", FATAL)
def test_a_signal_before_any_request_ends_reve_silently(scene: Scene, signum: int) -> None:
    reader, writer = os.pipe()
    run = scene.start(*scene.reve.command("generate", "-"), stdin=reader)
    os.write(writer, b"a fox")
    eventually(lambda: _is_empty(reader), "the program to read its standard input, which stays open")
    run.process.send_signal(signum)
    assert run.end() == -signum
    os.close(reader)
    os.close(writer)
    assert (run.stdout, run.stderr) == ("", "")
    assert scene.sandbox.requests == []


def _is_empty(pipe: int) -> bool:
    return fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0") == b"\0\0\0\0"


FATES = ["hang-before", "hang-after"]
UNANSWERED = [(signum, fate, "off") for signum in FATAL for fate in FATES]
UNANSWERED += [(signum, fate, "on") for signum, fate in zip(FATAL, FATES, strict=False)]  # these take 10 s each


@pytest.mark.parametrize(("signum", "fate", "journal"), UNANSWERED)
def test_the_printed_command_settles_an_unanswered_request(scene: Scene, signum: int, fate: str, journal: str) -> None:
    scene.reve.environ["REVE_JOURNAL"] = journal
    scene.sandbox.faults[:] = parse_faults(f"submit:{fate}*1")
    scene.reve.fast = 20
    run = scene.generate("--seed", "7", "--ar", "16:9", "--out", "fox.png")
    scene.asked(POST)
    run.process.send_signal(signum)
    assert run.end() == -signum
    assert len(scene.sandbox.jobs()) == (1 if fate == "hang-after" else 0)
    (command,) = run.commands
    assert run.stderr.endswith(f"{command}\n")
    (key,) = scene.keys
    assert command == f"reve resume {key}" if journal == "on" else f" --idempotency-key={key} " in command
    settled = scene.paste_only(command)
    scene.asked("GET /v2/jobs")
    scene.an_hour_passes()
    assert settled.end() == 0, settled.stderr
    (job,) = scene.sandbox.jobs()
    assert job.body["reveParams"] == {"seed": 7, "aspect_ratio": "16:9"}
    assert scene.keys == {key}
    only_files("fox.png")


def test_an_interrupted_no_wait_request_is_settled_without_waiting(scene: Scene, journal: bool) -> None:
    scene.sandbox.faults[:] = parse_faults("submit:hang-after*1")
    run = scene.generate("--no-wait")
    scene.asked(POST)
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    (command,) = run.commands
    assert command.startswith("reve resume ") if journal else " --no-wait " in command
    (job,) = scene.sandbox.jobs()
    assert scene.paste(command).stdout == f"{job.id}\n"
    assert len(scene.sandbox.jobs()) == 1


@pytest.mark.parametrize("signum", FATAL)
def test_the_last_line_finishes_an_accepted_job(scene: Scene, signum: int, journal: bool) -> None:
    run = scene.generate("--out", "fox.png")
    scene.is_polled()
    run.process.send_signal(signum)
    assert run.end() == -signum
    (job,) = scene.sandbox.jobs()
    command = f"reve resume {job.id}" if journal else f"reve wait {job.id} --out=fox.png"
    assert run.stderr.splitlines()[-1] == command
    assert run.stdout == ""
    scene.an_hour_passes()
    scene.paste(command)
    only_files("fox.png")
    assert len(scene.sandbox.jobs()) == 1


@pytest.mark.parametrize(
    "name", ["it's $HOME.png", "füchse 🦊.png", "-n.png", "{{1}}.png", "a;b&c.png", "new\nline.png"]
)
@pytest.mark.usefixtures("journal")
def test_the_last_line_quotes_any_file_name_for_a_shell(scene: Scene, name: str) -> None:
    run = scene.generate(f"--out={name}")
    scene.is_polled()
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    scene.an_hour_passes()
    scene.paste(run.stderr.splitlines()[-1])
    only_files(name.format())


def test_an_interrupted_wait_without_out_is_continued_without_out(scene: Scene) -> None:
    scene.paste("reve generate fox --no-wait --quiet")
    (job,) = scene.sandbox.jobs()
    run = scene.start(*scene.reve.command("wait", job.id))
    scene.is_polled()
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    assert run.stderr.splitlines()[-1] == f"reve wait {job.id}"


@pytest.mark.parametrize("signum", FATAL)
def test_an_interrupted_download_leaves_no_temporary_file(scene: Scene, signum: int) -> None:
    scene.sandbox.faults[:] = parse_faults("image:drip*1")
    run = scene.generate("--out", "fox.png")
    scene.is_polled()
    scene.an_hour_passes()
    scene.asked(IMAGE)
    eventually(os.listdir, "the temporary file")
    run.process.send_signal(signum)
    assert run.end() == -signum
    only_files()
    scene.paste(run.stderr.splitlines()[-1])
    only_files("fox.png")


@pytest.mark.parametrize("attempt", range(6))
def test_after_a_signal_during_publishing_the_printed_command_works(scene: Scene, attempt: int) -> None:
    scene.sandbox._job_seconds = 0
    run = scene.generate("--out", "fox.png")
    while not Path("fox.png").exists():
        assert run.process.poll() is None or Path("fox.png").exists()
    run.process.send_signal(SIGTERM)
    assert run.end() in (0, -SIGTERM)  # 0 if it ended before the signal
    only_files("fox.png")
    assert run.commands == []
    assert run.stdout == "fox.png\n"


def test_each_unsaved_job_of_several_has_a_command(scene: Scene, journal: bool) -> None:
    durations = iter([0, 0, 0])
    scene.sandbox._job_seconds = lambda: next(durations, 3600)
    run = scene.generate("--count", "8", "--seed", "1", "--out", "fox.png")
    eventually(lambda: run.stderr.count("saved ") == 3 and len(scene.sandbox.jobs()) == 8, "three saved images")
    scene.is_polled()
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    commands = run.commands
    unfinished = {job.id for job in scene.sandbox.jobs() if job.status != "COMPLETED"}
    assert len(commands) == 1
    assert run.stderr.endswith(f"{commands[0]}\n")
    if journal:
        assert re.fullmatch(RUN, commands[0])
    else:
        assert {command.split()[2] for command in commands[0].split(" && ")} == unfinished
    scene.an_hour_passes()
    for command in commands:
        scene.paste(command)
    only_files(*(f"fox-{number}.png" for number in range(1, 9)))
    assert sorted(job.body["reveParams"]["seed"] for job in scene.sandbox.jobs()) == list(range(1, 9))


def test_with_json_an_interrupted_run_prints_a_document_for_each_job(scene: Scene) -> None:
    run = scene.generate("--count", "3", "--json")
    eventually(lambda: len(scene.sandbox.jobs()) == 3, "three jobs")
    scene.is_polled()
    run.process.send_signal(SIGTERM)
    assert run.end() == -SIGTERM
    documents = [json.loads(line) for line in run.stdout.splitlines()]
    assert {document["jobId"] for document in documents} == {job.id for job in scene.sandbox.jobs()}
    assert [document["error"]["hint"] for document in documents] == [f"reve resume {d['jobId']}" for d in documents]
    (command,) = run.commands
    assert re.fullmatch(RUN, command)


# After the signal


def test_after_a_signal_nothing_new_is_submitted(scene: Scene) -> None:
    scene.sandbox.faults[:] = parse_faults("submit:hang-before")
    run = scene.generate("--count", "8")
    scene.asked(POST, times=4)
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    assert scene.answered(POST) == 4
    (command,) = run.commands
    assert re.fullmatch(RUN, command)
    assert "4 of 8 jobs unfinished" in run.stderr
    assert run.stderr.count("nothing was charged") == 4


def test_a_signal_ends_the_wait_before_a_retry(scene: Scene) -> None:
    scene.sandbox.faults[:] = parse_faults("submit:429/300")
    run = scene.generate()
    eventually(lambda: "trying again" in run.stderr, "the announcement of another try")
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    assert scene.answered(POST) == 1
    assert run.commands == []


@pytest.mark.parametrize("place", ["submit:hang-before", "job:hang-before", "image:drip"])
def test_a_second_signal_ends_reve_at_once_whatever_hangs(scene: Scene, place: str) -> None:
    """The second signal is the cause of death, not the first one after the wind-down."""
    scene.sandbox.faults[:] = parse_faults(place)
    run = scene.generate("--out", "fox.png")
    scene.asked(POST)
    if place.startswith("job"):
        scene.asked("GET /v2/jobs")
    if place.startswith("image"):
        scene.is_polled()
        scene.an_hour_passes()
        eventually(os.listdir, "the temporary file")
    for signum in (SIGSTOP, SIGINT, SIGTERM, SIGCONT):  # stopped, so that both signals arrive at the same moment
        run.process.send_signal(signum)
    assert run.end() == -SIGTERM
    only_files()


def test_no_signal_leaves_a_traceback(scene: Scene) -> None:
    run = scene.generate()
    scene.is_polled()
    run.process.send_signal(SIGINT)
    run.process.send_signal(SIGINT)
    run.end()
    assert "Traceback" not in run.stderr


# Signals that the caller ignores


def test_a_signal_ignored_by_the_caller_stays_ignored(scene: Scene) -> None:
    run = scene.start("bash", "-c", "trap '' INT; exec reve generate fox --out fox.png")
    scene.is_polled()
    run.process.send_signal(SIGINT)
    scene.an_hour_passes()
    assert run.end() == 0, run.stderr
    only_files("fox.png")


def test_under_nohup_hangup_is_ignored_and_term_ends_reve(scene: Scene) -> None:
    for signum, code in ((SIGHUP, 0), (SIGTERM, -SIGTERM)):
        run = scene.start("nohup", "reve", "generate", "fox", "--out", f"{signum}.png")
        scene.is_polled()
        run.process.send_signal(signum)
        if code == 0:
            scene.an_hour_passes()
        assert run.end() == code, run.stderr
    only_files(f"{SIGHUP}.png")


def test_a_background_job_of_a_script_ignores_ctrl_c(scene: Scene) -> None:
    run = scene.start("bash", "-c", "reve generate fox --out fox.png & echo $!; wait $!")
    scene.is_polled()
    os.kill(int(run.stdout), SIGINT)
    scene.an_hour_passes()
    assert run.end() == 0, run.stderr
    only_files("fox.png")


# Shells


LOOPS = {
    "bash": "for i in 1 2 3; do reve generate $i --out $i.png; done; echo reached the end",
    "dash": "for i in 1 2 3; do reve generate $i --out $i.png; done; echo reached the end",
    "zsh": "for i in 1 2 3; do reve generate $i --out $i.png; done; echo reached the end",
    "fish": "for i in 1 2 3; reve generate $i --out $i.png; end; echo reached the end",
}


def the_shell(name: str) -> str:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


@pytest.mark.parametrize("shell", LOOPS)
def test_ctrl_c_stops_a_loop_in_a_script(scene: Scene, shell: str) -> None:
    with Terminal([the_shell(shell), "-c", LOOPS[shell]], env=scene.reve.environ) as terminal:
        scene.is_polled()
        terminal.type(b"\x03")
        terminal.wait()
        (job,) = scene.sandbox.jobs()
        assert f"reve resume {job.id}" in terminal.screen.text.splitlines()
        assert b"reached the end" not in terminal.seen


def test_ctrl_c_stops_a_loop_at_an_interactive_prompt(scene: Scene) -> None:
    environ = {**scene.reve.environ, "PS1": "ready> ", "TERM": "dumb"}
    with Terminal([the_shell("bash"), "--norc", "--noprofile", "-i"], env=environ) as terminal:
        terminal.expect("ready> ")
        terminal.type(LOOPS["bash"].encode() + b"\n")
        scene.is_polled()
        terminal.type(b"\x03")
        eventually(lambda: terminal.seen.endswith(b"ready> "), "the prompt")
        terminal.type(b"echo code $?; exit 0\n")
        terminal.expect("code 130")
        assert terminal.wait() == 0
        assert len(scene.sandbox.jobs()) == 1


@pytest.mark.parametrize("shell", LOOPS)
def test_a_shell_loop_continues_after_a_failed_job(scene: Scene, shell: str) -> None:
    scene.sandbox._job_seconds = 0
    scene.sandbox.faults[:] = parse_faults("outcome:fail*1")
    with Terminal([the_shell(shell), "-c", LOOPS[shell]], env=scene.reve.environ) as terminal:
        assert terminal.wait() == 0
        assert b"reached the end" in terminal.seen
    assert len(scene.sandbox.jobs()) == 3
    only_files("2.png", "3.png")


def test_a_closed_terminal_ends_reve_by_hangup(scene: Scene) -> None:
    """stderr goes to a file here, so the job's id can be checked."""
    with (scene.folder / "err").open("wb") as err:
        terminal = Terminal(scene.reve.command("generate", "fox"), env=scene.reve.environ, stderr=err)
    with terminal:
        scene.is_polled()
        terminal.hang_up()
        assert terminal.process.wait(PATIENCE) == -SIGHUP
    (job,) = scene.sandbox.jobs()
    last = (scene.folder / "err").read_text().splitlines()[-1]
    assert last == f"reve resume {job.id}"


# Containers


def _new_namespace() -> list[str]:
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no new PID namespace is allowed here: {tried.stderr.decode().strip()}")
    return command


@pytest.mark.parametrize("signum", FATAL)
def test_as_process_1_of_a_container_reve_ends_on_a_signal(scene: Scene, signum: int) -> None:
    """The kernel delivers to process 1 only signals that it handles, even those it sends itself."""
    run = scene.start(*_new_namespace(), *scene.reve.command("generate", "fox", "--out", "fox.png"))
    scene.is_polled()
    inside = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    os.kill(int(inside[0]), signum)
    assert run.end() == 128 + signum
    (job,) = scene.sandbox.jobs()
    assert run.stderr.splitlines()[-1] == f"reve resume {job.id}"


# Time limits


@pytest.fixture
def limit(scene: Scene) -> Path:
    """A file whose making lets the time limit of commands pass."""
    scene.reve.leap = scene.folder / "leap"
    return scene.reve.leap


def test_a_time_limit_names_the_command_that_finishes_the_job(scene: Scene, limit: Path, journal: bool) -> None:
    run = scene.generate("--timeout", "30m", "--out", "fox.png")
    scene.is_polled()
    limit.touch()
    assert run.end() == 75
    (job,) = scene.sandbox.jobs()
    command = f"reve resume {job.id}" if journal else f"reve wait {job.id} --out=fox.png"
    assert run.stderr.splitlines()[-1] == command
    assert run.stdout == ""
    scene.an_hour_passes()
    scene.paste(run.stderr.splitlines()[-1])
    only_files("fox.png")


def test_a_job_that_never_ends_stops_at_the_time_limit(scene: Scene, limit: Path) -> None:
    scene.sandbox.faults[:] = parse_faults("outcome:forever")
    run = scene.generate("--timeout", "30m", "--json")
    scene.is_polled()
    limit.touch()
    assert run.end() == 75
    (document,) = map(json.loads, run.stdout.splitlines())
    assert document["error"]["exitCode"] == 75
    assert document["error"]["hint"] == run.commands[-1]


@pytest.mark.parametrize(("fate", "journal"), [("hang-before", "off"), ("hang-after", "off"), ("hang-after", "on")])
def test_a_time_limit_during_a_request_names_the_command_that_settles_it(
    scene: Scene, limit: Path, fate: str, journal: str
) -> None:
    scene.reve.environ["REVE_JOURNAL"] = journal
    scene.sandbox.faults[:] = parse_faults(f"submit:{fate}*1")
    scene.sandbox._job_seconds = 0
    run = scene.generate("--timeout", "30m", "--out", "fox.png")
    scene.asked(POST)
    limit.touch()
    assert run.end() == 75
    (command,) = run.commands
    assert run.stderr.endswith(f"{command}\n")
    (key,) = scene.keys
    assert command == f"reve resume {key}" if journal == "on" else f" --idempotency-key={key} " in command
    scene.paste(command)
    assert scene.keys == {key}
    assert len(scene.sandbox.jobs()) == 1
    only_files("fox.png")


def test_a_time_limit_during_a_download_leaves_no_temporary_file(scene: Scene, limit: Path) -> None:
    scene.sandbox.faults[:] = parse_faults("image:drip*1")
    scene.sandbox._job_seconds = 0
    run = scene.generate("--timeout", "30m", "--out", "fox.png")
    eventually(os.listdir, "the temporary file")
    limit.touch()
    assert run.end() == 75
    only_files()
    scene.paste(run.commands[-1])
    only_files("fox.png")


# The simulated server


def test_the_sandbox_server_dies_by_the_signal_that_ends_it(scene: Scene) -> None:
    run = scene.start(*scene.reve.command("sandbox", "serve"))
    eventually(lambda: "serving" in run.stderr, "the server")
    run.process.send_signal(SIGINT)
    assert run.end() == -SIGINT
    assert "Traceback" not in run.stderr


def test_kill_9_leaves_the_job_id_on_stderr(scene: Scene) -> None:
    run = scene.generate()
    scene.is_polled()
    run.process.kill()
    assert run.end() == -SIGKILL
    (job,) = scene.sandbox.jobs()
    assert f"job {job.id} accepted" in run.stderr
