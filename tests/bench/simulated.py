"""Runs `reve batch` against the sandbox in simulated time: `python tests/bench/simulated.py [--prompts 500]`.

Time stands still while anything computes, and jumps when all threads of reve wait. So the figures depend on the
decisions alone (when to submit, when to poll), not on the machine: use them to compare two schedules. Each API request
takes 0.03 s, downloads and disks no time. The columns are those of `batch.py`: wall time by the bound, API requests by
image, requests that were refused, and lateness in seconds; then the time of the slowest shard by that of the fastest.
Rows with log-normal durations (sigma 0.3) are the mean of `--runs` orders, from `--seed` on. `--remember`: the last run
knows what the others learned.

`--shards 4` runs four shards at once, with the key of one account. `--apart 30` starts each 30 s after the one before;
the bound is still that of a batch that starts at once. `--alone` runs only the first, `--stop 60` ends the last after
60 s; neither changes the bound, so compare their wall times with each other.
"""

import argparse
import heapq
import io
import itertools
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

sys.path.insert(0, str(Path(__file__).parent))
import batch as bench  # type: ignore[import-not-found, unused-ignore]

from reve_cli.api.pace import Pace
from reve_cli.app import run
from reve_cli.core.clock import Clock, Deadline, Limits, Stop
from reve_cli.core.errors import ReveError
from reve_cli.core.process import Process
from reve_cli.core.signals import Signals
from reve_cli.core.tasks import Task
from reve_cli.engine.outcomes import Outcomes
from reve_cli.engine.workers import Inbox, Then, Workers

T = TypeVar("T")
REQUEST_SECONDS = 0.03
# the shortest time that passes, so that rounding makes nobody wait for no time again and again
STEP = 1e-6


class Simulated(Clock):
    """A clock that jumps to the next event when every thread of reve waits."""

    def __init__(self, threads: int) -> None:
        """threads: how many are at work at first."""
        self._began, self._passed = time.time(), 0.0
        self._lock = threading.Lock()
        self._at_work = threads
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._numbers = itertools.count()
        # The main threads that wait, each with its inbox and what wakes it.
        self._mains: list[tuple[queue.SimpleQueue[T], tuple[float, int, threading.Event]]] = []  # type: ignore[valid-type]

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def now(self) -> float:
        return self._began + self._passed

    def uptime(self) -> float:
        return self.monotonic()

    def sleep(self, seconds: float, stop: Stop) -> None:
        if seconds > 0:
            with self._lock:
                sleeper = self._add(seconds)
                self._rest()
            sleeper[2].wait()

    def receive(self, inbox: "queue.SimpleQueue[T]", seconds: float, idle: bool) -> T | None:
        end = self._passed + max(seconds, STEP)
        while inbox.empty() and self._passed < end:
            with self._lock:
                sleeper = self._add(end - self._passed)
                self._mains.append((inbox, sleeper))
                self._rest()
            sleeper[2].wait()
        return None if inbox.empty() else inbox.get_nowait()

    def begin(self) -> None:
        """One more thread works."""
        with self._lock:
            self._at_work += 1

    def end(self) -> None:
        """One thread works no more."""
        with self._lock:
            self._rest()

    def _add(self, seconds: float) -> tuple[float, int, threading.Event]:
        sleeper = self._passed + seconds, next(self._numbers), threading.Event()
        heapq.heappush(self._sleepers, sleeper)
        return sleeper

    def _rest(self) -> None:
        """Note that a thread waits. Wake the next, if all do: first a main thread for which something has arrived."""
        self._at_work -= 1
        if self._at_work or not self._sleepers:
            return
        woken = next((sleeper for inbox, sleeper in self._mains if not inbox.empty()), None)
        if woken:
            self._sleepers.remove(woken)
            heapq.heapify(self._sleepers)
        else:
            woken = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, woken[0])
        self._mains = [main for main in self._mains if main[1] is not woken]
        self._at_work += 1
        woken[2].set()


@dataclass(frozen=True)
class Shard:
    """A part of the batch, such as "1/4". start, stop: when it starts, and how long it runs if it is cut short."""

    part: str
    start: float = 0.0
    stop: float = 0.0


class Result(NamedTuple):
    """wall: the end of the last shard / bound. late: seconds. spread: time of the slowest shard / of the fastest."""

    wall: float
    asked: float
    refused: float
    late: float
    p95: float
    latest: float
    spread: float
    images: float


class Scene:
    """Makes the engine use the clock of the present run, and notes when each image was saved."""

    def __init__(self) -> None:
        self.clock = Simulated(1)
        self.saved: dict[str, float] = {}
        self._port = bench.free_port()  # an account is remembered by the server's address
        wait, start, end = Pace.wait, Workers.start, Outcomes.end

        def slow_wait(pace: Pace, stop: Stop, deadline: Deadline, *, urgent: bool = False) -> None:
            wait(pace, stop, deadline, urgent=urgent)
            self.clock.sleep(REQUEST_SECONDS, stop)

        def counted_start(workers: Workers, kind: str, work: Callable[[], Then], fail: Callable[..., None]) -> None:
            self.clock.begin()
            start(workers, kind, work, fail)

        def counted_work(workers: Workers) -> None:
            while (work := workers._work.get()) is not None:
                work()
                self.clock.end()

        def noted_end(outcomes: Outcomes, task: Task, error: ReveError | None) -> None:
            if error is None:
                self.saved[str(task.job_id)] = self.clock.now()
            end(outcomes, task, error)

        def ask(inbox: Inbox, question: Callable[[], T], *rest: object, **more: object) -> T:
            return question()

        replacements: list[tuple[type, str, object]] = [
            (Pace, "wait", slow_wait),
            (Workers, "start", counted_start),
            (Workers, "_work_on", counted_work),
            (Outcomes, "end", noted_end),
            (Inbox, "ask", ask),
        ]
        for owner, name, replacement in replacements:
            setattr(owner, name, replacement)

    def measure(self, durations: list[float], limit: int, state: Path | None, shards: Sequence[Shard] = ()) -> Result:
        """Run a batch, or some of its shards at the same time."""
        runs = shards or [Shard("1/1")]
        self.clock, self.saved = Simulated(len(runs)), {}
        upcoming = iter(durations)
        with tempfile.TemporaryDirectory(dir=bench.memory()) as name:
            folder = Path(name)
            sandbox = bench.Counting(
                folder / "sandbox",
                key=f"afk_sandbox_{'0' * 32}",
                port=self._port,
                job_seconds=lambda: next(upcoming),
                requests_per_minute=limit,
                clock=self.clock.now,
            )
            with sandbox:
                environ = bench.Scene(sandbox, folder, 1, state or folder / "state", 1).environ
                file = bench.Scene(sandbox, folder, 1, folder, 1).file(len(durations))
                ends = dict.fromkeys(runs, 0.0)

                def work(shard: Shard) -> None:
                    self.clock.sleep(shard.start, Stop())
                    more = [f"--run=bench{self._port}", f"--shard={shard.part}"] if shards else []
                    more += [f"--timeout={shard.stop:g}"] if shard.stop else []
                    process = Process(Signals(), environ, self.clock, Limits(image_bytes=1 << 14))
                    code = run(["batch", str(file), "--quiet", "--out", str(folder / "pics"), *more], process)
                    ends[shard] = self.clock.monotonic() - 1000
                    assert code == (75 if shard.stop else 0), errors.getvalue()
                    self.clock.end()

                streams = sys.stdout, sys.stderr
                errors = io.BytesIO()
                sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(errors, write_through=True)
                try:
                    with ThreadPoolExecutor(len(runs)) as threads:
                        list(threads.map(work, runs))
                finally:
                    sys.stdout, sys.stderr = streams
                jobs = [job for job in sandbox.jobs() if job.status == "COMPLETED" and job.id in self.saved]
                asked = sum(one.side == "api" for one in sandbox.requests)
        late = sorted(self.saved[job.id] - job.ends_at for job in jobs)
        wall = max(ends.values()) / bench.bound(durations, limit)
        spread = statistics.fmean(late), late[int(0.95 * len(late))], late[-1]
        times = [end - shard.start for shard, end in ends.items() if not shard.stop]
        return Result(wall, asked / len(jobs), sandbox.refused / asked, *spread, max(times) / min(times), len(jobs))


def main() -> None:
    parser = argparse.ArgumentParser(description="A batch in simulated time.")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--limit", type=int, default=bench.PER_MINUTE, help="requests that the account allows a minute")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=int, default=0)
    parser.add_argument(
        "--apart", type=float, default=0.3, help="seconds from the start of a shard to that of the next"
    )
    parser.add_argument("--alone", action="store_true", help="run only the first shard")
    parser.add_argument("--stop", type=float, default=0.0, help="seconds after which the last shard ends early")
    parser.add_argument("--remember", action="store_true", help="the last run knows what the others learned")
    options = parser.parse_args()
    scene = Scene()
    parts = range(1 if options.alone else options.shards)
    stops = {options.shards - 1: options.stop}
    shards = [Shard(f"{n + 1}/{options.shards}", n * options.apart, stops.get(n, 0.0)) for n in parts]
    print(f"{'durations':20} {'/bound':>7} {'asked/':>7} {'429s':>7}  late, mean, p95, max  slowest")

    def show(name: str, rows: list[Result]) -> None:
        mean = Result(*map(statistics.fmean, zip(*rows, strict=True)))
        late = f"{mean.late:6.2f} {mean.p95:6.2f} {mean.latest:6.2f}"
        print(
            f"{name:20} {mean.wall:7.3f} {mean.asked:7.3f} {mean.refused:7.2%} {late}  {mean.spread:5.2f}", flush=True
        )

    if not shards:
        show("2 s", [scene.measure([2.0] * options.prompts, options.limit, None)])
    show("15 s", [scene.measure([15.0] * options.prompts, options.limit, None, shards)])
    drawn = [bench.draw(options.prompts, seed) for seed in range(options.seed, options.seed + options.runs)]
    if options.remember:
        with tempfile.TemporaryDirectory(dir=bench.memory()) as state:
            rows = [scene.measure(durations, options.limit, Path(state)) for durations in drawn]
        show("log-normal, first", rows[:1])
        show("log-normal, last", rows[-1:])
    else:
        show("log-normal", [scene.measure(durations, options.limit, None, shards) for durations in drawn])


if __name__ == "__main__":
    main()
