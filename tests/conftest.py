"""What every test gets: a home of its own, a clean environment, a made-up clock, and no network but loopback."""

import io
import itertools
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
from hypothesis import HealthCheck, settings

from reve_cli import app
from reve_cli.core.clock import Clock, Limits, Stop
from reve_cli.core.process import Process
from reve_cli.core.signals import Signals
from reve_cli.sandbox import Sandbox
from reve_cli.settings.config import config_file
from tests.support.terminal import PATIENCE, eventually, running

T = TypeVar("T")
KEY = "afk_test_0123456789abcdef0123456789abcdef"
_KILLABLE = Path(__file__).parent / "support" / "killable.py"
_NUMBERS = itertools.count()
_SILENT = re.compile(r"\b(hang|drip)\b|does_not_answer|is_silent")
_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
_KEPT = ("PATH", "COVERAGE", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP")


def _refuse_the_world(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    """Let `connect` reach loopback only. No audit hook: that would run as coverage starts to trace a thread."""

    def checked(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise PermissionError(f"a test tried to connect to {address}")
        return connect(self, address)

    return checked


socket.socket.connect = _refuse_the_world(socket.socket.connect)  # type: ignore[assignment,method-assign]
socket.socket.connect_ex = _refuse_the_world(socket.socket.connect_ex)  # type: ignore[assignment,method-assign]

# A worker that compiles a test file saves the result for the others, who would each take seconds for all files.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Whoever starts the tests may ignore signals (nohup does), and children inherit that: reve would ignore them as well.
for _name in {"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"} & {each.name for each in signal.Signals}:
    if signal.getsignal(signal.Signals[_name]) is signal.SIG_IGN:
        signal.signal(signal.Signals[_name], signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)


class MadeUpClock(Clock):
    """A clock that stands still while workers work and jumps where the program would wait."""

    def __init__(self) -> None:
        self._now = 1_800_000_000.0
        self.wall_error = 0.0
        """Seconds by which somebody has set the wall clock wrong."""
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    def monotonic(self) -> float:
        return self._now

    def now(self) -> float:
        return self._now + self.wall_error

    def uptime(self) -> float:
        return self._now

    def sleep(self, seconds: float, stop: Stop) -> None:
        self.advance(seconds)

    def receive(self, inbox: "queue.SimpleQueue[T]", seconds: float, idle: bool) -> T | None:
        try:
            return inbox.get(block=not idle, timeout=30)
        except queue.Empty:
            self.advance(max(seconds, 0.001))
            return None


@dataclass
class Result:
    """What one command line came to."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> dict[str, Any]:
        (document,) = self.documents
        return document


@dataclass
class Reve:
    """Runs command lines: in this process with the made-up clock, or for real in a child process."""

    environ: dict[str, str]
    folder: Path
    clock: MadeUpClock = field(default_factory=MadeUpClock)
    limits: Limits = field(default_factory=lambda: Limits(connect=5, silence=10, tries=3, grace=1, image_bytes=1 << 14))
    fast: float = 1
    """How many times as fast a child's clocks run: above 1 it waits less, but for a silent server as long."""
    leap: Path | None = None
    """A file. Once it exists, a child's clocks are an hour ahead, so that a time limit passes when a test says so."""

    def __call__(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Result:
        process = Process(Signals(), {**self.environ, **(env or {})}, self.clock, self.limits)
        out, err = io.BytesIO(), io.BytesIO()
        streams = sys.stdin, sys.stdout, sys.stderr
        stdout, stderr = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8", "backslashreplace")
        sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(stdin)), stdout, stderr
        try:
            code = app.run(arguments, process)
            stdout.flush()
            stderr.flush()
        finally:
            sys.stdin, sys.stdout, sys.stderr = streams
        return Result(code, out.getvalue(), err.getvalue().decode())

    def command(self, *arguments: str) -> list[str]:
        """The command line of a child process."""
        if self.fast == 1 and not self.leap:
            return [sys.executable, "-m", "reve_cli", *arguments]
        leap = ["--leap", str(self.leap)] if self.leap else []
        return [sys.executable, str(_KILLABLE), "--fast", str(self.fast), *leap, "--", *arguments]

    def child(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, **more: Any) -> Result:
        """Run in a child process, with real time and a real environment."""
        environ = {**self.environ, **(env or {})}
        done = subprocess.run(
            self.command(*arguments),
            input=stdin, env=environ, capture_output=True, timeout=PATIENCE, check=False, **more,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def limited(
        self,
        *arguments: str,
        until: Callable[[], object],
        env: Mapping[str, str] | None = None,
        there: Callable[[list[str]], list[str]] = list,
    ) -> Result:
        """Run in a child process with a time limit, which passes as soon as `until` is true, however long that takes.

        there: makes the command one that runs in another place.
        """
        leap = self.folder.parent / f"leap-{next(_NUMBERS)}"
        command = there(replace(self, leap=leap).command(*arguments, "--timeout", "30m"))
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with running(command, env={**self.environ, **(env or {})}, **pipes) as process:
            eventually(lambda: until() or process.poll() is not None, "the end of the time limit")
            leap.touch()
            out, err = process.communicate(timeout=PATIENCE)
        return Result(process.returncode, out, err.decode())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a working folder and an environment that hold nothing of the machine's user."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in list(os.environ):
        if not name.startswith(_KEPT):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PYTHONUTF8", "1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


def loaded(arguments: list[str], environ: Mapping[str, str] | None = None) -> tuple[list[str], set[str]]:
    """What `reve ARGUMENTS` prints in a child process, line by line, and the modules that it had loaded at its end."""
    code = (
        "import atexit, sys; from reve_cli.__main__ import main;"
        "atexit.register(lambda: print('\\n' + ' '.join(sys.modules))); main()"
    )
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**unmeasured, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, modules = done.stdout.splitlines()
    return [line for line in lines if line], set(modules.split())


@pytest.fixture
def file(home: Path) -> Path:
    """The user's config file, which does not exist yet. Its folder does."""
    path = config_file()
    assert path is not None
    assert home in path.parents
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that signs the tests' certificates, unknown to every system, as a company's own is."""
    return trustme.CA()


@pytest.fixture
def reve(home: Path, request: pytest.FixtureRequest) -> Reve:
    """reve without an API: no key, no sandbox. Tests of a server that falls silent wait for it less long."""
    reve = Reve(dict(os.environ), Path.cwd())
    if _SILENT.search(request.node.name):
        reve.limits = replace(reve.limits, silence=1)
    return reve


@pytest.fixture(params=["journal", "no-journal"])
def journal(request: pytest.FixtureRequest, reve: Reve) -> bool:
    """Whether `reve` keeps a journal: the test is run both with one and without."""
    reve.environ["REVE_JOURNAL"] = "on" if request.param == "journal" else "off"
    return reve.environ["REVE_JOURNAL"] == "on"


@pytest.fixture
def ask(reve: Reve) -> Callable[..., list[str]]:
    """The values that the last word can become, after the words before it."""

    def values(*words: str) -> list[str]:
        result = reve(*words[:-1], env={"_REVE_COMPLETE": "words", "_REVE_COMPLETE_WORD": words[-1]})
        assert (result.code, result.stderr) == (0, "")
        return [line.split("\t")[0] for line in result.out.splitlines()]

    return values


@pytest.fixture
def simulate(tmp_path: Path, reve: Reve) -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox on `reve`'s clock and point `reve` at it. Keywords are the sandbox's."""
    started: list[Sandbox] = []

    def start(**keywords: Any) -> Sandbox:
        settings: dict[str, Any] = {"key": KEY, "clock": reve.clock.now, "requests_per_minute": 0, **keywords}
        sandbox = Sandbox(tmp_path / f"sandbox-{len(started)}", **settings).start()
        started.append(sandbox)
        reve.environ |= {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key}
        return sandbox

    yield start
    for sandbox in started:
        sandbox.stop()


@pytest.fixture
def sandbox(simulate: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox without faults, on the made-up clock."""
    return simulate()


@pytest.fixture
def live(simulate: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox on the real clock, for child processes. Its jobs end at once: reve sees that in its first poll."""
    import time

    return simulate(clock=time.time, job_seconds=0)


@pytest.fixture
def slow(live: Sandbox) -> Sandbox:
    """The same with jobs of 1 s, so that reve waits until its second poll, more than 2 s after the first."""
    live._job_seconds = 1
    return live


def an_hour_passes(sandbox: Sandbox) -> None:
    """Put the sandbox's clock forward. So jobs of an hour surely run until then, however slow the machine is."""
    before = sandbox._clock
    sandbox._clock = lambda: before() + 4000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run long series in full, not a fixed sample of them")
    parser.addoption("--golden", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    """Properties have no time limit, since machines differ. `--full` tries more examples, in CI always the same."""
    full = config.getoption("--full")
    settings.register_profile(
        "reve",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        max_examples=100 if full else 30,
        derandomize="CI" in os.environ or not full,
    )
    settings.load_profile("reve")


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("--full"):
        return "long series: in full"
    return "long series: a fixed sample (--full, as in .ci/run, runs them in full)"


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether a long series is to be run in full (`--full`), with other choices each time, or as a fixed sample."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a golden file, or write it with `--golden`."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
