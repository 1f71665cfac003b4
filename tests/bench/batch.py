"""Times `reve batch` against the minimum that the rate limit allows, and against simpler ways.

    python tests/bench/batch.py [--prompts 500] [--factor 10] [--runs 1] [--few 48] [--unscaled 150]

500 prompts, jobs of 15 s, 500 requests in any 60 s. Clocks run `--factor` times as fast, in the sandbox and in the
measured program. Processor and disk do not, so with a large factor or on a busy machine they may be the limit. The
column "cpu" has the real seconds of processor time that the client used. An image takes about 20 flushes to the disk,
so runs on fast clocks keep their files in memory if the system allows it (with `--disk`: on the disk). All other times
are in scaled seconds.

bound           all POSTs at the full rate, then one job
reve batch      the program, in its own process
thread pool     16 Python threads, each: POST, GET every 2 s, download; obeys Retry-After
xargs -P 16     `reve generate` processes, unscaled, because their start-up time does not scale: `--few` prompts, in
                full rounds; wall time and processor time are then multiplied up to all prompts
batch, unscaled the program at real speed with `--unscaled` prompts and log-normal durations (median 15 s, sigma 0.3)

`--shards 4` runs four processes that share the key, and prints how much longer the slowest took than the fastest.
`--limit 2000` is an account that allows 2,000 requests in any 60 s. With `--runs 2 --remember`, the second run knows
what the first learned.

Lateness is the time from a job's end, by the server's clock, until its file has its final name.
"""

import argparse
import itertools
import math
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from reve_cli.sandbox import Sandbox
from reve_cli.sandbox.store import Plan
from tests.support.hooks import free_port

AT_ONCE = 16
PER_MINUTE = 500
JOB = 15.0
SIGMA = 0.3
FAST = Path(__file__).with_name("fast.py")


class Counting(Sandbox):
    """A sandbox that counts its refusals. failing: share of jobs that fail for lack of capacity, evenly spread."""

    refused = 0
    failing = 0.0
    _debt = 0.0

    def _plan(self) -> Plan:
        plan = super()._plan()
        self._debt += self.failing
        if self._debt < 1:
            return plan
        self._debt -= 1
        return replace(plan, outcome="capacity")

    def _wait(self, now: float) -> int:
        wait = super()._wait(now)
        self.refused += bool(wait)
        return wait


@dataclass(frozen=True)
class Scene:
    """A server whose clock runs `factor` times as fast, and a folder for files."""

    sandbox: Counting
    folder: Path
    factor: float
    state: Path
    shards: int

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("APIFRAME_", "REVE_"))}
        return inherited | {
            "APIFRAME_BASE_URL": self.sandbox.url,
            "APIFRAME_API_KEY": self.sandbox.key,
            "REVE_STATE_DIR": str(self.state),
            "NO_PROXY": "127.0.0.1",
        }

    def file(self, prompts: int) -> Path:
        path = self.folder / "prompts.txt"
        path.write_text("".join(f"A fox, number {number}\n" for number in range(prompts)))
        return path


@dataclass(frozen=True)
class Result:
    """Scaled seconds; `cpu` is in real seconds. late: for each image, from the job's end until it was on disk."""

    wall: float
    cpu: float
    asked: int
    refused: int
    late: list[float]


def batch(scene: Scene, prompts: int) -> None:
    arguments = ["batch", str(scene.file(prompts)), "--quiet", "--out", str(scene.folder / "pics")]
    command = [sys.executable, str(FAST), f"{scene.factor:g}", *arguments]

    def run(shard: int) -> float:
        more = ["--run=bench", f"--shard={shard}/{scene.shards}"] if scene.shards > 1 else []
        started = time.monotonic()
        subprocess.run(
            [*command, *more], env=scene.environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        return time.monotonic() - started

    with ThreadPoolExecutor(scene.shards) as threads:
        times = list(threads.map(run, range(1, scene.shards + 1)))
    if scene.shards > 1:
        print(f"slowest shard / fastest: {max(times) / min(times):.2f}")


def xargs(scene: Scene, prompts: int) -> None:
    out = f"{scene.folder}/pics/"
    command = ["xargs", "-d", "\\n", "-P", str(AT_ONCE), "-I", "{}"]
    command += [sys.executable, "-m", "reve_cli", "generate", "--quiet", "--out", out, "--", "{}"]
    (scene.folder / "pics").mkdir()
    with open(scene.file(prompts)) as file:
        subprocess.run(command, env=scene.environ, check=True, stdin=file, stdout=subprocess.DEVNULL)


def pool(scene: Scene, prompts: int) -> None:
    (scene.folder / "pics").mkdir()
    arguments = (scene.sandbox.url, scene.sandbox.key, scene.folder / "pics", scene.factor, prompts)
    process = multiprocessing.get_context("spawn").Process(target=run_pool, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def run_pool(url: str, key: str, folder: Path, factor: float, prompts: int) -> None:
    """A simple client that ignores the limit until it gets a 429."""
    with (
        httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False, timeout=60) as client,
        httpx.Client(trust_env=False, timeout=60) as images,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):

        def ask(method: str, path: str, body: dict[str, str] | None = None) -> httpx.Response:
            while (answer := client.request(method, path, json=body)).status_code == 429:
                time.sleep(float(answer.headers["Retry-After"]) / factor)
            return answer.raise_for_status()

        def make(number: int) -> None:
            body = {"prompt": f"A fox, number {number}", "model": "reve-create"}
            job = ask("POST", "/v2/images/generate", body).json()["jobId"]
            while True:
                time.sleep(2 / factor)
                document = ask("GET", f"/v2/jobs/{job}").json()
                if document["status"] == "COMPLETED":
                    break
            data = images.get(document["result"]["images"][0]).raise_for_status().content
            (folder / f"{job}.png").write_bytes(data)

        list(threads.map(make, range(prompts)))


def measure(
    run: Callable[[Scene, int], None],
    durations: list[float],
    factor: float,
    failing: float = 0.0,
    *,
    disk: bool = False,
    limit: int = PER_MINUTE,
    shards: int = 1,
    remembered: tuple[Path, int] | None = None,
) -> Result:
    """Run against a new server, then read the server's records and the files on disk.

    remembered: the state folder of all runs, and the server's port; each run has its own by default.
    """
    begun, upcoming, prompts = time.time(), itertools.cycle(durations), len(durations)

    def scaled(moment: float) -> float:
        return begun + (moment - begun) * factor

    with tempfile.TemporaryDirectory(dir=None if factor == 1 or disk else memory()) as name:
        folder = Path(name)
        sandbox = Counting(
            folder / "sandbox",
            key=f"afk_sandbox_{'0' * 32}",
            port=remembered[1] if remembered else 0,
            job_seconds=lambda: next(upcoming),
            requests_per_minute=limit,
            clock=lambda: scaled(time.time()),
        )
        sandbox.failing = failing
        with sandbox:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.monotonic()
            run(Scene(sandbox, folder, factor, remembered[0] if remembered else folder / "state", shards), prompts)
            wall = (time.monotonic() - started) * factor
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            jobs = [job for job in sandbox.jobs() if job.status == "COMPLETED"]
            asked = sum(one.side == "api" for one in sandbox.requests)
            files = {path.stem[-36:]: path.stat().st_ctime for path in (folder / "pics").glob("*.png")}
        assert len(jobs) == len(files) == prompts, f"{len(jobs)} jobs and {len(files)} files for {prompts} prompts"
        late = [scaled(files[job.id]) - job.ends_at for job in jobs]
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Result(wall, cpu, asked, sandbox.refused, late)


def show(name: str, result: Result, limit: float, times: float = 1) -> None:
    """Print a row. limit: the bound to compare with. times: factor for wall and processor time."""
    wall, late = result.wall * times, sorted(result.late)
    p95 = late[math.ceil(0.95 * len(late)) - 1]
    columns = f"{wall:7.1f} {wall / limit:6.2f} {result.asked / len(late):7.2f} {result.refused / result.asked:7.1%}"
    lateness = f"{statistics.fmean(late):7.2f} {p95:7.2f} {late[-1]:7.2f} {result.cpu * times:7.1f}"
    note = f"  (x {times:.1f})" if times != 1 else ""
    print(f"{name:16} {len(late):7} {columns} {lateness}{note}", flush=True)


def bound(durations: list[float], per_minute: int = PER_MINUTE) -> float:
    """The end of the last job, if jobs are submitted at the full rate and there are no other requests."""
    return max((number + 1) * 60 / per_minute + seconds for number, seconds in enumerate(durations))


def draw(jobs: int, seed: int) -> list[float]:
    """Log-normal durations, spread evenly over the quantiles, in random order."""
    spread = statistics.NormalDist(0, SIGMA)
    durations = [JOB * math.exp(spread.inv_cdf((n + 0.5) / jobs)) for n in range(jobs)]
    random.Random(seed).shuffle(durations)  # noqa: S311 (an order, not a secret)
    return durations


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a batch against its bound and two other ways.")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=1, help="runs of reve batch")
    parser.add_argument("--few", type=int, default=48, help="prompts of the xargs run (0: skip it)")
    parser.add_argument("--unscaled", type=int, default=150, help="prompts of the run at real speed (0: skip it)")
    parser.add_argument("--no-pool", action="store_true")
    parser.add_argument("--seconds", type=float, default=JOB, help="duration of a job")
    parser.add_argument("--failing", type=float, default=0.0, help="share of jobs that fail in reve batch")
    parser.add_argument("--disk", action="store_true", help="keep all files on the disk")
    parser.add_argument("--limit", type=int, default=PER_MINUTE, help="requests that the account allows in a minute")
    parser.add_argument("--shards", type=int, default=1, help="processes of reve batch")
    parser.add_argument("--remember", action="store_true", help="the runs of reve batch share a state folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    durations, varied = [options.seconds] * options.prompts, draw(options.unscaled, options.seed)
    limit, factor = bound(durations, options.limit), options.factor
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; {fsync():.1f} ms to flush a file; clocks x {factor:g}")
    print(f"{'':16}  images    wall /bound  asked/    429s  late, mean, p95, max     cpu")
    print(f"{'bound':16} {options.prompts:7} {limit:7.1f} {1:6.2f} {1:7.2f} {0:7.1%}", flush=True)
    with tempfile.TemporaryDirectory(dir=memory()) as state:
        wishes = {"disk": options.disk, "limit": options.limit, "shards": options.shards}
        remembered = (Path(state), free_port()) if options.remember else None
        for _ in range(options.runs):
            result = measure(batch, durations, factor, options.failing, **wishes, remembered=remembered)
            show("reve batch", result, limit)
    if not options.no_pool:
        show("thread pool", measure(pool, durations, factor, disk=options.disk), limit)
    if options.few:
        show("xargs -P 16", measure(xargs, durations[: options.few], 1), limit, options.prompts / options.few)
    if varied:
        show("batch, unscaled", measure(batch, varied, 1), bound(varied))


def memory() -> str | None:
    """A folder in memory, or None if the system has none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def fsync() -> float:
    """Median milliseconds to flush a small file to the disk, which does not scale."""
    with tempfile.NamedTemporaryFile() as file:
        times = []
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()
