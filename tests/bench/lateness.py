"""Measures how late a finished job is seen, and after how many polls: reve's schedule against two common ones.

    python tests/bench/lateness.py [--live] [--jobs 40] [--seed N]

The first part is simulated in virtual time: at most 4 jobs at once, a server that allows 500 requests per minute, the
same durations for every policy. Each row is followed by one for 4,000 jobs, which shows the average to expect.
"learned" knows the durations of 40 earlier jobs of the same kind, "wrong past" those of 40 jobs of another kind.
`--live` adds a run at real speed: `reve generate` processes and the other loops, side by side, each against its own
sandbox. It takes a quarter of the jobs' total time, about 150 s for 40 jobs. Progress is always null.

Lateness is the time from a job's end to the first answer that reports it, by the server's clock.
"""

import argparse
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

import httpx

from reve_cli.engine.schedule import next_delay
from reve_cli.sandbox import Sandbox, parse_faults

AT_ONCE = 4
PER_MINUTE = 500
REQUEST_SECONDS = 0.03
SIGMA = 0.3
MEDIANS = {"8 s": (8,), "15 s": (15,), "30 s": (30,), "8 and 30 s": (8, 30)}
MISTAKEN = {"8 s": (30,), "30 s": (15,)}
"""Medians of the "wrong past"."""
PAST = 40
MANY = 4000

Policy = Callable[[int, float], float]
"""Seconds until the next poll, from the number of polls so far and the seconds since acceptance."""


def fixed(polls: int, elapsed: float) -> float:
    return 2.0


def vendor(polls: int, elapsed: float) -> float:
    """The vendor's SDK: 2 s, then 1.5 times as long after each poll, up to 5 s."""
    return min(2.0 * 1.5 ** min(polls, 9), 5.0)


def reve(jitter: random.Random, polls: int, elapsed: float) -> float:
    return next_delay(elapsed, None, (), jitter.random)


def learned(past: list[float], jitter: random.Random) -> Policy:
    """The schedule in steps of 0.05 s, cached, because 4,000 jobs ask 100,000 times."""

    @cache
    def bounds(step: int) -> tuple[float, float]:
        return next_delay(step / 20, None, past, lambda: 0.0), next_delay(step / 20, None, past, lambda: 1.0)

    return lambda polls, elapsed: jitter.uniform(*bounds(round(elapsed * 20)))


class Seen(NamedTuple):
    """The lateness of one job in seconds, and its number of polls."""

    lateness: float
    polls: int


class Result(NamedTuple):
    jobs: list[Seen]
    refused: int
    """Requests answered with 429."""


def draw(medians: tuple[int, ...], jobs: int, seed: int) -> list[float]:
    """Log-normal durations in seconds, with alternating medians, in random order.

    Spread evenly over the quantiles: 40 drawn freely say more about the draw than about a policy.
    """
    spread = statistics.NormalDist(0, SIGMA)
    durations = [medians[n % len(medians)] * math.exp(spread.inv_cdf((n + 0.5) / jobs)) for n in range(jobs)]
    random.Random(seed).shuffle(durations)  # noqa: S311 (an order, not a secret)
    return durations


def draw_past(medians: tuple[int, ...], seed: int) -> list[float]:
    """Random durations of earlier jobs: a real past is never evenly spread."""
    chance = random.Random(f"past {seed}")  # noqa: S311 (a draw, not a secret)
    return [chance.choice(medians) * math.exp(chance.gauss(0, SIGMA)) for _ in range(PAST)]


class Limiter:
    """Allows PER_MINUTE requests in any 60 s. The caller passes the time."""

    def __init__(self) -> None:
        self.refused = 0
        self._recent: deque[float] = deque()

    def retry_after(self, now: float) -> int:
        """Seconds to wait; 0 if the request is allowed."""
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if len(self._recent) < PER_MINUTE:
            self._recent.append(now)
            return 0
        self.refused += 1
        return math.ceil(self._recent[0] + 60 - now)


def simulate(policy: Policy, durations: list[float]) -> Result:
    """Run all jobs in virtual time. A client is a generator of the seconds until its next request."""
    now = 0.0
    limiter = Limiter()
    seen: list[Seen] = []
    waiting = iter(durations)

    def request() -> Iterator[float]:
        yield REQUEST_SECONDS / 2
        while wait := limiter.retry_after(now):
            yield wait + REQUEST_SECONDS

    def client() -> Iterator[float]:
        for duration in waiting:
            yield from request()
            created, polls = now, 0
            while not polls or now < created + duration:
                yield REQUEST_SECONDS / 2 + policy(polls, now - created)
                yield from request()
                polls += 1
            seen.append(Seen(now - created - duration, polls))
            yield REQUEST_SECONDS / 2

    queue = [(0.0, number, client()) for number in range(AT_ONCE)]
    while queue:
        now, number, running = heappop(queue)
        delay = next(running, None)
        if delay is not None:
            heappush(queue, (now + delay, number, running))
    return Result(seen, limiter.refused)


def run_reve(sandbox: Sandbox, folder: Path, number: int) -> None:
    """Make one image with the real program, in its own process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("APIFRAME_", "REVE_"))}
    command = [sys.executable, "-m", "reve_cli", "generate", "--quiet", f"A fox, number {number}"]
    command += ["--idempotency-key", f"lateness-{number}", "--out", str(folder / f"{number}.png")]
    environment |= {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key}
    environment |= {"REVE_STATE_DIR": str(folder / "state"), "NO_PROXY": "127.0.0.1"}
    subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def run_loop(policy: Policy, sandbox: Sandbox, folder: Path, number: int) -> None:
    """Make one image with a plain loop."""
    with httpx.Client(base_url=sandbox.url, headers={"X-API-Key": sandbox.key}, trust_env=False) as client:

        def ask(method: str, path: str, body: dict[str, str] | None = None) -> dict[str, str]:
            while (answer := client.request(method, path, json=body)).status_code == 429:
                time.sleep(float(answer.headers["Retry-After"]))
            document: dict[str, str] = answer.raise_for_status().json()
            return document

        accepted = ask("POST", "/v2/images/generate", {"prompt": f"A fox, number {number}", "model": "reve-create"})
        start, polls, status = time.monotonic(), 0, ""
        while status not in ("COMPLETED", "FAILED", "CANCELLED"):
            time.sleep(policy(polls, time.monotonic() - start))
            status = ask("GET", f"/v2/jobs/{accepted['jobId']}")["status"]
            polls += 1


def measure(run: Callable[[Sandbox, Path, int], None], durations: list[float]) -> Result:
    """Run all jobs at real speed, and read the server's records."""
    upcoming = iter(durations)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Sandbox(
            folder / "sandbox",
            faults=parse_faults("outcome:no-progress"),
            job_seconds=lambda: next(upcoming),
            requests_per_minute=PER_MINUTE,
        ) as sandbox:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(partial(run, sandbox, folder), range(len(durations))))
            jobs = sandbox.jobs()
            asked = sum(one.path.startswith(("/v2/images/", "/v2/jobs/")) for one in sandbox.requests)
    polls = sum(job.polls for job in jobs)
    seen = [Seen(job.seen_at - job.ends_at, job.polls) for job in jobs if job.seen_at is not None]
    assert len(seen) == len(durations), "a job was never seen to end"
    return Result(seen, asked - polls - len(jobs))


def show(durations: str, policy: str, result: Result) -> None:
    late = sorted(seen.lateness for seen in result.jobs)
    polls = statistics.fmean(seen.polls for seen in result.jobs)
    p95 = late[math.ceil(0.95 * len(late)) - 1]
    row = f"{statistics.fmean(late):7.2f} {p95:7.2f} {late[-1]:7.2f} {polls:7.1f} {result.refused:6}"
    print(f"{durations:12} {policy:16} {len(late):5} {row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lateness and polls of reve's schedule and two others.")
    parser.add_argument("--live", action="store_true", help="also run 15 s jobs at real speed")
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    loops: dict[str, Policy] = {"fixed 2 s": fixed, "vendor's SDK": vendor}

    print("simulated; lateness in seconds")
    print(f"{'median':12} {'policy':16} {'jobs':>5} {'mean':>7} {'p95':>7} {'max':>7} {'polls':>7} {'429s':>6}")
    jitter = random.Random(options.seed)  # noqa: S311 (jitter, not a secret)
    for name, medians in MEDIANS.items():
        policies: dict[str, Policy] = {"reve": partial(reve, jitter)}
        policies["reve, learned"] = learned(draw_past(medians, options.seed), jitter)
        if name in MISTAKEN:
            policies["reve, wrong past"] = learned(draw_past(MISTAKEN[name], options.seed), jitter)
        for policy, delay in (policies | loops).items():
            for jobs in (options.jobs, MANY):
                show(name, policy, simulate(delay, draw(medians, jobs, options.seed)))

    if options.live:
        durations = draw(MEDIANS["15 s"], options.jobs, options.seed)
        runs = {"reve generate": run_reve} | {policy: partial(run_loop, delay) for policy, delay in loops.items()}
        print("live, side by side")
        with ThreadPoolExecutor(len(runs)) as pool:
            for policy, result in zip(
                runs, pool.map(partial(measure, durations=durations), runs.values()), strict=True
            ):
                show("15 s", policy, result)


if __name__ == "__main__":
    main()
