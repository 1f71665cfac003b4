"""Kill reve at hundreds of points of its life, let reve finish, and count images and charges.

    python -m tests.support.crash [--points 300] [--batch 0] [--workers 3] [--seed N] [--signal SIGKILL]
        [--metadata embed]

A point is a step of the process (see `killable`), or the arrival of a request at the server. Points are taken from the
whole life of a single `generate`, of one with `--count 8`, and of a `wait --out` for the jobs of `generate --no-wait`.
Each is tried twice: once followed by `reve resume`, once by the same command again. `resume` leaves the jobs of `wait`
alone, so there `wait --force` follows in both series. Whatever the point, afterwards:

- every charged job has its image, whole, under the name that was asked for, and no job was made twice
- each file's hash, and the hash of what the server sent, are in the journal
- each image says how it was made, in its file or (`--metadata sidecar`) beside it
- after the same command again there are exactly as many jobs as images were asked for
- there is no temporary file, and no unfinished row in the journal

With `--batch N` points are taken from the life of a `batch` of N instead. Each is tried in four ways: the same command
again; `resume` before it; and, with `--run NAME`, the state folder lost before it, and the output folder as well.
Afterwards the same holds for every item; no more requests were sent than what the crash left open needs, and the same
command once more sends none. Where the state folder was lost, temporary files may be left, which
are counted, and images whose names tell whose they are may not be in the manifest.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from reve_cli.core.clock import Clock
from reve_cli.journal.journal import open_journal
from reve_cli.journal.states import UNFINISHED
from reve_cli.pictures import metadata
from reve_cli.sandbox import Sandbox
from reve_cli.sandbox.picture import png
from tests.support.pictures import as_sent
from tests.support.terminal import PATIENCE

ROOT = Path(__file__).parents[2]
LATER = "11"
"""Seconds that pass before the next command: a request is not sent again within 10 s."""
FAST = 20
"""How much faster the clocks of a batch run, which would else be held to the rate of the real API."""
MUCH_LATER = "3600"
"""So that the next command's clock is not behind that of one that ran fast."""
_NOT_INHERITED = ("REVE_", "APIFRAME_", "COVERAGE_")
"""Variables of the caller. Hundreds of commands are not measured for coverage: that makes each take twice as long."""
WHERE = ["embed"]
"""The setting `metadata`."""
AGAIN = ("again", "resume")
LOST = ("state lost", "all lost")


@dataclass(frozen=True)
class Point:
    """Where a command for `count` images is killed: at its Nth step, or as the server receives its Nth request."""

    count: int
    kind: str
    number: int
    series: str
    command: str = "generate"

    def __str__(self) -> str:
        return f"{self.command} of {self.count}, {self.kind} {self.number}, then {self.series}"


class Scene:
    """A server, a state folder, an output folder, and the commands that are run there."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.work, self.state = folder / "work", folder / "state"
        self.work.mkdir(parents=True)
        self.sandbox = self.server()
        self.asks = ["generate", "a red fox", "--seed", "1", "--count", str(count)]
        self.generate = [*self.asks, "--out", str(self.work / "f.png")]

    def prepare(self) -> None:
        """Run what comes before the command that is killed."""

    def server(self, **more: Any) -> Sandbox:
        """The server, or another one that goes on with its jobs."""
        return Sandbox(self.folder / "server", job_seconds=0.3, requests_per_minute=0, **more)

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        return inherited | {
            "APIFRAME_BASE_URL": self.sandbox.url,
            "APIFRAME_API_KEY": self.sandbox.key,
            "REVE_STATE_DIR": str(self.state),
            "PYTHONPATH": str(ROOT),
            "REVE_METADATA": WHERE[0],
        }

    def start(self, arguments: Iterable[str], *options: str, **more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.support.killable", *options, "--", *arguments]
        pipe = subprocess.PIPE
        environ = {**self.environ, **more}
        return subprocess.Popen(command, env=environ, cwd=self.work, stdout=pipe, stderr=pipe, text=True)

    def run(self, arguments: Iterable[str], *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(arguments, *options, **more)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def problems(self, *, exactly: bool) -> list[str]:
        """See `problems`."""
        return list(problems(self.sandbox, self.work, self.state, self.count if exactly else None))


class WaitScene(Scene):
    """The same for a `wait --out` for `count` jobs."""

    def prepare(self) -> None:
        submitted = self.run([*self.asks, "--no-wait"])
        self.generate = ["wait", *submitted.stdout.split(), "--out", str(self.work / "f.png")]


class BatchScene(Scene):
    """The same for a batch of `count`, half of it with names of their own. `named`: with `--run`."""

    def __init__(self, folder: Path, count: int, *, named: bool = False) -> None:
        super().__init__(folder, count)
        self.out = self.work / "out"
        lines: list[dict[str, object]] = [{"prompt": f"fox {number}", "seed": number} for number in range(count)]
        for number in range(0, count, 2):
            lines[number]["out"] = f"{number % 7}/{number}.png"
        path = folder / "items.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.generate = ["batch", str(path), "--out", str(self.out), *(["--run", "nightly"] if named else [])]

    def start(self, arguments: Iterable[str], *options: str, **more: str) -> "subprocess.Popen[str]":
        return super().start(arguments, "--fast", str(FAST), *options, **more)

    @property
    def images(self) -> list[Path]:
        return sorted(self.out.rglob("*.png"))

    @property
    def submissions(self) -> int:
        return sum(request.method == "POST" for request in self.sandbox.requests)

    def lose(self, series: str) -> int:
        """Lose what does not survive in a series. Returns how many jobs nobody knows of but the API."""
        known = 0 if series == "all lost" else sum('"item":"' in line for line in self._manifest())
        if series in LOST:
            shutil.rmtree(self.state, ignore_errors=True)
        if series == "all lost":
            shutil.rmtree(self.out, ignore_errors=True)
        return len(self.sandbox.jobs()) - known if series in LOST else 0

    def _manifest(self) -> list[str]:
        path = self.out / "manifest.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def wrong(self, *, without_state: bool) -> Iterator[str]:
        """What is wrong now that everything has been finished.

        without_state: temporary files may be left, and images under names of their own not be in the manifest.
        """
        jobs = self.sandbox.jobs()
        made = Counter(job.body["prompt"] for job in jobs)
        yield from (f"{prompt}: {times} jobs" for prompt, times in made.items() if times > 1)
        if len(made) != self.count or len(self.images) != self.count:
            yield f"{len(made)} items made, {len(self.images)} images, of {self.count}"
        for job in jobs:
            prompt, seed = job.body["prompt"], int(job.body["reveParams"]["seed"])
            path = self.out / f"{seed % 7}/{seed}.png" if seed % 2 == 0 else self.out / f"fox-{seed}-{job.id}.png"
            if not path.is_file() or as_sent(path) != hash_of(png(prompt, seed, None, 1, job.id)):
                yield f"{path.name} is not the image of {job.id}"
        noted = Counter(line["seed"] for line in map(json.loads, self._manifest()) if line["item"])
        forgotten = {seed for seed in range(self.count) if not noted[seed] and (seed % 2 or not without_state)}
        if forgotten or max(noted.values(), default=0) > 1:
            yield f"not in the manifest: {forgotten}, or more than once: {noted.most_common(1)}"
        left = [*self.work.rglob(".reve-*"), *self.state.rglob(".reve-*"), *self.out.glob(".*.lock")]
        if not without_state:
            yield from (f"left behind: {path}" for path in left)
        yield from problems_of_journal(self.state)


def problems(
    sandbox: Sandbox, work: Path, state: Path, meant: int | None, elsewhere: Mapping[int, Path] | None = None
) -> Iterator[str]:
    """What is wrong now that everything has been finished. Images were meant to be `f.png`, or `f-1.png` and so on.

    meant: how many images were, where as many jobs must have been made. elsewhere: by seed, where an image is that
    could not go where it was meant to.
    """
    jobs = sandbox.jobs()
    seeds = Counter(int(job.body["reveParams"]["seed"]) for job in jobs)
    if max(seeds.values(), default=0) > 1:
        yield f"paid for twice: {seeds}"
    if meant is not None and len(jobs) != meant:
        yield f"{len(jobs)} jobs for {meant} images"
    for job in jobs:
        seed = int(job.body["reveParams"]["seed"])
        numbered = work / f"f-{seed}.png"
        path = (elsewhere or {}).get(seed, numbered if numbered.exists() else work / "f.png")
        if not path.is_file():
            yield f"charged, and not saved: {job.id} as {path.name}"
        elif as_sent(path) != hash_of(png(job.body["prompt"], seed, None, 1, job.id)):
            yield f"{path.name} is not the image of {job.id}"
        elif (record := metadata.read(str(path))) is None or record.job_id != job.id:
            yield f"{path.name} does not say how it was made"
    if len({path.name for path in work.rglob("*.png")}) < len(jobs) - len(elsewhere or {}):
        yield f"too few files: {sorted(path.name for path in work.iterdir())}"
    for folder in (work, state):
        yield from (f"left behind: {path}" for path in folder.rglob(".reve-*"))
    yield from problems_of_journal(state)


def problems_of_journal(state: Path) -> Iterator[str]:
    """Rows that are unfinished, and files that are not what the journal says."""
    journal = open_journal(state, Clock(), print, begin=False)
    if journal is not None:
        yield from (f"unfinished: {row.state} {row.job or row.key}" for row in journal.rows(UNFINISHED))
        for noted in (file for row in journal.rows("state = 'saved'") for file in row.files or []):
            path = Path(noted["path"])
            if path.is_file() and hash_of(path.read_bytes()) != noted["sha256"]:
                yield f"{path.name} has not the hash that is in the journal"
            if path.is_file() and as_sent(path) != noted["downloadedSha256"]:
                yield f"{path.name} is not the download that is in the journal"
        journal.close()


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def port_of(sandbox: Sandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])


def on_request(sandbox: Sandbox, number: int, action: Callable[[], object]) -> None:
    """Do something as the server receives its `number`th request."""

    count, lock = itertools.count(1), threading.Lock()

    class Requests(list):  # type: ignore[type-arg]
        def append(self, request: object) -> None:
            super().append(request)
            with lock:
                here = next(count)
            if here == number:
                action()

    sandbox.requests = Requests()


def kill(scene: Scene, point: Point, signum: signal.Signals) -> int:
    """Run the command up to `point`. Returns how it ended."""
    if point.kind == "step":
        return scene.run(scene.generate, "--step", str(point.number), "--signal", signum.name).returncode
    running: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    on_request(scene.sandbox, point.number, lambda: running.get().send_signal(signum))
    process = scene.start(scene.generate)
    running.put(process)
    process.communicate(timeout=PATIENCE)
    return process.returncode


def attempt(point: Point, signum: signal.Signals = signal.SIGKILL) -> list[str]:
    """Kill at `point`, finish, and tell what is wrong then."""
    if point.command == "batch":
        return attempt_batch(point, signum)
    waits = point.command == "wait"
    with tempfile.TemporaryDirectory() as name:
        scene = (WaitScene if waits else Scene)(Path(name), point.count)
        with scene.sandbox:
            scene.prepare()
            ended = kill(scene, point, signum)
            again = [*scene.generate, *(["--force"] if waits else [])]
            commands = [again] if point.series == "again" else [["resume"], *([again] if waits else [])]
            done = [scene.run(command, "--later", LATER) for command in commands]
            found = scene.problems(exactly=waits or point.series == "again")
            for command, one in zip(commands, done, strict=True):
                in_the_way = command == scene.generate and one.returncode == 7  # it had said all that it had to say
                if one.returncode and not in_the_way:
                    found.append(f"{command[0]}: exit {one.returncode}: {one.stderr.strip()}")
            if ended not in (0, -signum):
                found.append(f"ended with {ended} by itself")
            return found


LEFT: Counter[int] = Counter()
"""How many temporary files were left in how many runs that had lost their state."""


def attempt_batch(point: Point, signum: signal.Signals) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        scene = BatchScene(Path(name), point.count, named=point.series in LOST)
        with scene.sandbox:
            ended = kill(scene, point, signum)
            unknown = scene.lose(point.series)
            found = [] if ended in (0, -signum) else [f"ended with {ended} by itself"]
            for command in ([["resume"]] if point.series == "resume" else []) + [scene.generate]:
                done = scene.run(command, "--later", MUCH_LATER)
                if done.returncode:
                    found.append(f"{command[0]}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
            found += scene.wrong(without_state=point.series in LOST)
            if scene.submissions > point.count + 16 + unknown:
                found.append(f"{scene.submissions} POSTs, though only {unknown} jobs were unknown")
            if point.series in LOST:
                LEFT[len(list(scene.work.rglob(".reve-*")))] += 1
            asked = len(scene.sandbox.requests)
            done = scene.run(scene.generate, "--later", MUCH_LATER)
            if done.returncode or len(scene.sandbox.requests) > asked:
                found.append(f"once more: {len(scene.sandbox.requests) - asked} requests, exit {done.returncode}")
            return found


@cache
def length(count: int, scene_of: Callable[[Path, int], Scene] = Scene) -> tuple[int, int]:
    """How many steps, and how many requests, there are in the life of a command for `count` images."""
    with tempfile.TemporaryDirectory() as name:
        scene, log = scene_of(Path(name), count), Path(name) / "steps"
        with scene.sandbox:
            scene.prepare()
            before = len(scene.sandbox.requests)
            done = scene.run(scene.generate, "--steps", str(log))
            assert done.returncode == 0, done.stderr
            return len(log.read_text().splitlines()), len(scene.sandbox.requests) - before


def choose(points: int, seed: int) -> list[Point]:
    """About `points` points, a third of them in the life of each command, spread evenly."""
    generator = random.Random(seed)  # noqa: S311 (a choice, not a secret)
    chosen: list[Point] = []
    for command, count, scene_of in (("generate", 1, Scene), ("generate", 8, Scene), ("wait", 3, WaitScene)):
        places = spread(*length(count, scene_of), points // 3, generator)
        chosen += (Point(count, kind, at, series, command) for kind, at in places for series in AGAIN)
    return chosen


def choose_batch(points: int, seed: int, count: int) -> list[Point]:
    """About `points` points of a batch of `count`."""
    generator = random.Random(seed)  # noqa: S311 (a choice, not a secret)
    places = spread(*length(count, BatchScene), points, generator)
    return [Point(count, kind, at, series, "batch") for kind, at in places for series in (*AGAIN, *LOST)]


def spread(steps: int, requests: int, points: int, generator: random.Random) -> Iterator[tuple[str, int]]:
    """About `points` places in a life of so many steps and requests, a sixth of them requests."""
    wanted = min(requests, max(points // 6, 1))
    for kind, last, number in (("request", requests, wanted), ("step", steps, max(points - wanted, 1))):
        width = last / number
        numbers = {min(last, int(width * (part + generator.random())) + 1) for part in range(number)}
        yield from ((kind, at) for at in sorted(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill reve at hundreds of points and count images and charges.")
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--batch", type=int, default=0, metavar="N", help="of a batch of N")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signal", default="SIGKILL")
    parser.add_argument("--metadata", default=WHERE[0])
    options = parser.parse_args()
    WHERE[:] = [options.metadata]
    try_one = partial(attempt, signum=signal.Signals[options.signal])
    of_batch = partial(choose_batch, count=options.batch)
    points = (of_batch if options.batch else choose)(options.points, options.seed)
    bad = 0
    with ThreadPoolExecutor(options.workers) as pool:
        for point, problems in zip(points, pool.map(try_one, points), strict=True):
            bad += bool(problems)
            for problem in problems:
                print(f"{point}: {problem}", flush=True)
    tried = len({(point.command, point.count, point.kind, point.number) for point in points})
    print(f"{tried} points, {len(points)} runs, {bad} with something wrong")
    for files, times in sorted(LEFT.items()):
        print(f"{times} runs without their state left {files} temporary files")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
