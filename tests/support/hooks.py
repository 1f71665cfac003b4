"""Submit jobs that a listener saves, with the sandbox's faults or while the listener is killed again and again.

    python -m tests.support.hooks [--jobs 50] [--kills 60] [--fault FAULT]… [--workers 4]

Each job is a `generate --no-wait --out --webhook-url` of its own. Without `--fault`, no fault is tried, then every one
of the sandbox's webhooks, then none with `--kills` kills; with it, each given fault without kills, then with.
Afterwards each job has its image at its path, the journal has it as saved, no job was made twice, and nothing is left
behind. What the listener cannot know (events that were dropped, or sent while it was dead) `resume` saves. Prints how
many requests about jobs an image took after its POST.
"""

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.faults import WEBHOOK_FAULTS
from tests.support.crash import Scene, problems
from tests.support.terminal import PATIENCE

_PORTS = itertools.cycle(range(20_000 + os.getpid() * 97 % 10_000, 32_000))

SILENT = ("drop", "badsign", "unsigned")
"""Faults after which no event is accepted."""


@dataclass(frozen=True)
class Found:
    """What is wrong; requests about jobs by image, and those of the listener alone; images that `resume` saved."""

    wrong: list[str]
    requests: float
    by_listener: float
    by_resume: int


class HookScene(Scene):
    """A sandbox whose jobs take a second, and a listener on a free port."""

    def __init__(self, folder: Path, jobs: int, fault: str) -> None:
        self.fault = fault
        super().__init__(folder, jobs)
        self.port = free_port()

    def server(self, **more: object) -> Sandbox:
        faults = parse_faults(f"webhook:{self.fault}") if self.fault else ()
        return Sandbox(self.folder / "server", job_seconds=1, requests_per_minute=0, faults=faults)

    def submit(self, number: int) -> None:
        """Submit one job."""
        url = ["--webhook-url", f"http://127.0.0.1:{self.port}/"]
        out = str(self.work / f"f-{number}.png")
        done = self.reve("generate", f"fox {number}", "--seed", str(number), "--no-wait", "--out", out, *url).wait(120)
        assert done == 0

    def reve(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "reve_cli", *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=self.environ, cwd=self.work, stdout=quiet, stderr=quiet)

    def listen(self, *more: str) -> "subprocess.Popen[bytes]":
        return self.reve("webhook", "listen", "--port", str(self.port), *more)

    @property
    def saved(self) -> int:
        return len(list(self.work.glob("*.png")))

    @property
    def asked(self) -> int:
        """Requests about jobs."""
        return sum(one.method == "GET" and one.path.startswith("/v2/jobs") for one in self.sandbox.requests)


def free_port() -> int:
    """A port for a server that starts later: outside the range from which systems give ports to connections."""
    import socket

    while True:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


def attempt(jobs: int, fault: str, kills: int = 0, seed: int = 1, workers: int = 4) -> Found:
    """Submit `jobs`, with a listener that is killed `kills` times, then finish. Tells what is wrong then."""
    chance = random.Random(seed)  # noqa: S311 (moments, not secrets)
    with tempfile.TemporaryDirectory() as name:
        scene = HookScene(Path(name), jobs, fault)
        with scene.sandbox, ThreadPoolExecutor(workers) as pool:
            listener = scene.listen()
            submitted = [pool.submit(scene.submit, number) for number in range(1, jobs + 1)]
            for _ in range(kills):
                time.sleep(chance.uniform(0.2, 1.2))
                listener.send_signal(signal.SIGKILL)
                listener.wait()
                listener = scene.listen()
            for each in submitted:
                each.result()
            patience = time.monotonic() + (4 if fault in SILENT else 60)
            while scene.saved < jobs and time.monotonic() < patience:
                time.sleep(0.05)
            time.sleep(0.5 if fault else 0.0)  # for events that come twice
            listener.send_signal(signal.SIGTERM)
            listener.wait(PATIENCE)
            by_listener, saved = scene.asked, scene.saved
            wrong = [] if scene.reve("resume").wait(PATIENCE) == 0 else ["resume failed"]
            wrong += problems(scene.sandbox, scene.work, scene.state, jobs)
            return Found(wrong, scene.asked / jobs, by_listener / jobs, jobs - saved)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Save jobs by webhooks, with faults and kills.")
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--fault", action="append")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    runs = [(fault, 0) for fault in options.fault or ("", *WEBHOOK_FAULTS)]
    runs += [(fault, options.kills) for fault in options.fault or [""] if options.kills]
    bad = 0
    for fault, kills in runs:
        found = attempt(options.jobs, fault, kills, options.seed, options.workers)
        title = ", ".join([*([fault] if fault else []), *([f"{kills} kills"] if kills else [])]) or "no fault"
        more = f", {found.by_listener:.2f} of the listener; resume saved {found.by_resume}"
        print(f"{title:23} {found.requests:5.2f} requests an image{more}", flush=True)
        for problem in found.wrong:
            print(f"  {problem}", flush=True)
        bad += bool(found.wrong)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
