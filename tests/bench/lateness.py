"""Measures how late `reve generate` sees the end of a job of 15 s, after how many polls, and how early it could.

    python tests/bench/lateness.py [--live] [--others] [--seed N]

Jobs take log-normal times with a median of 15 s and a sigma of 0.02 or 0.3, and report no progress. Polls include the
look at acceptance. Lateness is the time from a job's end to the first request that sees it, by the server's clock.

The column "floor" is the least mean lateness with as many polls, for a schedule that knows the distribution and looks
once at acceptance. The rows "best" are schedules computed for the distribution itself, and for the log-normal
distribution that fits earlier jobs: no schedule can know more than the first, and reve, which assumes no particular
distribution, knows less than the others.

The first part is simulated. `--live` adds processes of `reve generate` at true speed, 40 for each row, started in turn
against a sandbox: about 4 minutes. `--others` adds jobs of 8 s and 30 s, wrong expectations, and two common loops.
"""

import argparse
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from reve_cli.engine.schedule import next_delay
from reve_cli.sandbox import Sandbox, parse_faults

MEDIAN = 15.0
# Jobs that take nearly the same time (not exactly: when polls fall before the end would be chance), and others.
NARROW, SIGMA = 0.02, 0.3
KINDS = {"15 s, 2 %": NARROW, "15 s, 30 %": SIGMA}
REQUEST_SECONDS = 0.03
# Every schedule that learns is measured after so many different pasts, with so many jobs each.
PASTS, JOBS = 50, 200
# The numbers of earlier jobs: the second is the most from which reve learns.
SIZES = (20, 50)
LIVE_JOBS, LIVE_PAST = 40, 20
# Seconds between the starts of live processes, so that none is late because others start.
LIVE_GAP = 0.7
# The best schedules are computed in steps of this many seconds, for jobs up to HORIZON, with intervals up to GAP.
STEP, HORIZON, GAP = 0.05, 75.0, 12.0
# What a poll costs in seconds of lateness; this cost leads to about 19 polls.
COST = 0.0122

Policy = Callable[[int, float], float]
"""Seconds until the next poll, from the number of polls so far and the seconds since acceptance."""


def fixed(polls: int, elapsed: float) -> float:
    return 2.0


def vendor(polls: int, elapsed: float) -> float:
    """The vendor's SDK: 2 s, then 1.5 times as long after each poll, up to 5 s."""
    return min(2.0 * 1.5 ** min(polls, 9), 5.0)


def reve(past: list[float], jitter: random.Random) -> Policy:
    """reve's schedule, cached in steps of 0.05 s, because the jobs ask 100,000 times."""

    @cache
    def bounds(step: int) -> tuple[float, float]:
        return next_delay(step / 20, None, past, lambda: 0.0), next_delay(step / 20, None, past, lambda: 1.0)

    return lambda polls, elapsed: jitter.uniform(*bounds(round(elapsed * 20))) if polls else 0.0


class Seen(NamedTuple):
    """The lateness of one job in seconds, and its number of polls."""

    lateness: float
    polls: int


def draw(medians: tuple[float, ...], jobs: int, sigma: float = SIGMA) -> list[float]:
    """Log-normal durations in seconds, with alternating medians, spread evenly over the quantiles.

    Those drawn freely say more about the draw than about a policy.
    """
    spread = statistics.NormalDist(0, sigma)
    return [medians[n % len(medians)] * math.exp(spread.inv_cdf((n + 0.5) / jobs)) for n in range(jobs)]


def draw_past(medians: tuple[float, ...], jobs: int, chance: random.Random, sigma: float = SIGMA) -> list[float]:
    """Random durations of earlier jobs: a real past is never evenly spread."""
    return [chance.choice(medians) * math.exp(chance.gauss(0, sigma)) for _ in range(jobs)]


def simulate(policy: Policy, durations: Iterable[float]) -> list[Seen]:
    seen = []
    for duration in durations:
        # When the server got the last request; the client heard of the acceptance half a request later.
        now, polls = 0.0, 0
        while not polls or now < duration:
            now += policy(polls, now) + REQUEST_SECONDS
            polls += 1
        seen.append(Seen(now - duration, polls))
    return seen


def ended_by(fitted: list[float] | None) -> list[float]:
    """The probability that a job has ended, at each step.

    fitted: earlier jobs, of which it is known only that they are log-normal: the logarithm has a Student distribution.
    None: the median and sigma are known.
    """
    times = [STEP * step for step in range(1, round(HORIZON / STEP) + 1)]
    if fitted is None:
        return [0.0, *(statistics.NormalDist(0, SIGMA).cdf(math.log(time / MEDIAN)) for time in times)]
    logs, freedom = [math.log(one) for one in fitted], len(fitted) - 1
    mean, scale = statistics.fmean(logs), statistics.stdev(logs) * math.sqrt(1 + 1 / len(logs))

    def density(time: float) -> float:
        return math.pow(1 + ((math.log(time) - mean) / scale) ** 2 / freedom, -(freedom + 1) / 2) / time

    sums = list(accumulate((density(time) for time in times), initial=0.0))
    return [one / sums[-1] for one in sums]


def best(ended: list[float], cost: float) -> tuple[float, list[float]]:
    """The schedule with the least sum of lateness and polls times `cost`, by dynamic programming.

    Returns this sum, without the look at acceptance, and the times of the polls.
    """
    steps, longest = len(ended), round(GAP / STEP)
    # The integral of `ended`, which gives the lateness of the jobs that end between two polls.
    areas = [0.0, *accumulate((one + other) / 2 * STEP for one, other in pairwise(ended))]
    ended, areas = ended + [1.0] * longest, areas + [areas[-1] + STEP * n for n in range(1, longest + 1)]
    sums, then = [0.0] * (steps + longest), [0] * steps
    for now in reversed(range(steps)):
        running, start = 1 - ended[now], areas[now] - ended[now] * STEP * now
        lowest = min((areas[at] - ended[now] * STEP * at + sums[at], at) for at in range(now + 1, now + longest + 1))
        sums[now], then[now] = lowest[0] - start + cost * running, lowest[1]
    times, now = [], 0
    while now < steps:
        now = then[now]
        times.append(STEP * now)
    return sums[0], times


def follow(times: list[float], durations: Iterable[float]) -> list[Seen]:
    """Look at acceptance, and then at `times`."""
    found = [(duration, bisect_left(times, duration)) for duration in durations]
    return [Seen(times[number] - duration, number + 2) for duration, number in found]


class Floor:
    """The least mean lateness with a number of polls, from the best schedules for several costs of a poll."""

    def __init__(self) -> None:
        ended = ended_by(None)
        self._sums = {cost: best(ended, cost)[0] for cost in (COST * 1.15**n for n in range(-6, 7))}

    def of(self, polls: float) -> float:
        """A schedule with so many polls, one of them at acceptance, cannot cost less than the best one."""
        return max(total - cost * (polls - 1) for cost, total in self._sums.items())


def run_live(sigma: float, learned: bool) -> list[Seen]:
    """Run the real program at true speed, and read the server's records."""
    durations = draw((MEDIAN,), LIVE_JOBS, sigma)
    random.Random(1).shuffle(durations)  # noqa: S311 (an order, not a secret)
    past = draw((MEDIAN,), LIVE_PAST, sigma) if learned else []
    upcoming = iter([*past, *durations])
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("APIFRAME_", "REVE_"))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def start(number: int, state: str) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "reve_cli", "generate", "--quiet", f"A fox, number {number}"]
            environment = variables | {"REVE_STATE_DIR": str(folder / state), "NO_PROXY": "127.0.0.1"}
            environment |= {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key}
            time.sleep(LIVE_GAP)
            command += ["--out", str(folder / f"{number}.png")]
            return subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)

        with Sandbox(
            folder / "sandbox",
            faults=parse_faults("outcome:no-progress"),
            job_seconds=lambda: next(upcoming),
            requests_per_minute=100_000,
        ) as sandbox:
            before = [start(number, "learned") for number in range(len(past))]
            assert not any(process.wait() for process in before)
            known = {job.id for job in sandbox.jobs()}
            for number in range(LIVE_JOBS):
                if learned:
                    shutil.copytree(folder / "learned", folder / f"state-{number}")
            measured = [start(len(past) + number, f"state-{number}") for number in range(LIVE_JOBS)]
            assert not any(process.wait() for process in measured)
            jobs = [job for job in sandbox.jobs() if job.id not in known]
    seen = [Seen(job.seen_at - job.ends_at, job.polls) for job in jobs if job.seen_at is not None]
    assert len(seen) == LIVE_JOBS, "a job was never seen to end"
    return seen


def show(durations: str, schedule: str, seen: list[Seen], floor: Floor | None = None) -> None:
    late = sorted(one.lateness for one in seen)
    polls = statistics.fmean(one.polls for one in seen)
    p95 = late[math.ceil(0.95 * len(late)) - 1]
    least = f"{floor.of(polls):7.3f}" if floor else ""
    row = f"{statistics.fmean(late):7.3f} {p95:7.2f} {late[-1]:7.2f} {polls:7.1f} {least}"
    print(f"{durations:12} {schedule:24} {len(late):5} {row}", flush=True)


def show_simulated(floor: Floor, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (draws and jitter, no secret)
    for name, sigma in KINDS.items():
        durations = draw((MEDIAN,), JOBS, sigma)
        least = floor if sigma == SIGMA else None
        for size in (0, *SIZES):
            seen = []
            for _ in range(PASTS):
                seen += simulate(reve(draw_past((MEDIAN,), size, chance, sigma), chance), durations)
            show(name, f"reve, {size} earlier jobs", seen, least)
    seen = follow(best(ended_by(None), COST)[1], draw((MEDIAN,), JOBS * PASTS))
    show(name, "best, distribution known", seen, floor)
    for size in SIZES:
        pasts = [draw_past((MEDIAN,), size, chance) for _ in range(PASTS)]
        seen = [one for past in pasts for one in follow(best(ended_by(past), COST)[1], durations)]
        show(name, f"best, fitted to {size} jobs", seen, floor)


def show_others(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (draws and jitter, no secret)
    wrong = {"8 s": (30.0,), "30 s": (15.0,)}
    for name, medians in {"8 s": (8.0,), "15 s": (15.0,), "30 s": (30.0,), "8 and 30 s": (8.0, 30.0)}.items():
        durations = draw(medians, JOBS)
        pasts: dict[str, tuple[float, ...]] = {"20 earlier jobs": medians}
        if name in wrong:
            pasts[f"20 jobs of {wrong[name][0]:.0f} s"] = wrong[name]
        show(name, "reve, 0 earlier jobs", simulate(reve([], chance), durations * PASTS))
        for label, earlier in pasts.items():
            policies = [reve(draw_past(earlier, 20, chance), chance) for _ in range(PASTS)]
            show(name, f"reve, {label}", [one for policy in policies for one in simulate(policy, durations)])
        show(name, "fixed 2 s", simulate(fixed, durations))
        show(name, "vendor's SDK", simulate(vendor, durations))


def main() -> None:
    parser = argparse.ArgumentParser(description="Lateness and polls of reve's schedule, and the least possible.")
    parser.add_argument("--live", action="store_true", help="also run processes at true speed")
    parser.add_argument("--others", action="store_true", help="also other durations and other schedules")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    floor = Floor()
    print(f"{'durations':12} {'schedule':24} {'jobs':>5} {'mean':>7} {'p95':>7} {'max':>7} {'polls':>7} {'floor':>7}")
    show_simulated(floor, options.seed)
    if options.others:
        show_others(options.seed)
    if options.live:
        for name, sigma in KINDS.items():
            for learned in (False, True):
                schedule = f"live, {LIVE_PAST if learned else 0} earlier jobs"
                show(name, schedule, run_live(sigma, learned), floor if sigma == SIGMA else None)


if __name__ == "__main__":
    main()
