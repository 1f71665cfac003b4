"""Counts requests about jobs whose webhooks come before the API says that they have ended.

    python tests/bench/early.py [--rate 0.2 0.5 1 2 5 10] [--early 0 0.3 1 3] [--runs 20]

Simulated: reve's `Waiting` decides when to look, a request takes 0.03 s, and a page shows all jobs. Events come at
random moments, `--rate` a second on average, each `--early` seconds before the API agrees. Each row is the mean of
`--runs` draws of 50 jobs: requests by image, and the seconds from when the API agrees until a look finds the end, mean
and p95. "alone" is a listener for each job, which looks after 0, 0.25, 0.5, 1, 2 and 4 s. No listener that looks at
once can do with less than two requests for an early event that it shares with no other.
"""

import argparse
import random
import statistics
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

from reve_cli.core.clock import Clock
from reve_cli.core.models import Job
from reve_cli.core.tasks import Task
from reve_cli.engine.waiting import Waiting

JOBS = 50
REQUEST_SECONDS = 0.03
GAPS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


class Simulated(Clock):
    """A clock that stands still until it is set."""

    at = 0.0

    def monotonic(self) -> float:
        return self.at


def alone(early: float) -> tuple[int, float]:
    """Requests for a job that has a listener of its own, and how late they find its end."""
    looks = list(accumulate(GAPS))
    number = next(number for number, at in enumerate(looks, 1) if at >= early)
    return number, looks[number - 1] - early


def together(arrivals: list[float], early: float) -> tuple[int, list[float]]:
    """Requests for all jobs, and how late they find the end of each."""
    clock = Simulated()
    api: Any = SimpleNamespace(http=SimpleNamespace(clock=clock), sender=SimpleNamespace(pace=None))
    poller: Any = SimpleNamespace(gives_way=False, past=())
    waiting = Waiting(api, poller, ())
    waiting.listens = True
    to_come, tasks = sorted(arrivals), list[Task]()
    # When a look began and when it ends, and its tasks.
    looks: list[tuple[float, float, list[Task]]] = []
    ends: dict[int, float] = {}
    requests, late = 0, list[float]()
    waiting.tasks = tasks
    while to_come or tasks:
        due = min((task.due for task in tasks if task.due > clock.at), default=float("inf"))
        clock.at = min([due, *to_come[:1], *(end for _, end, _ in looks)])
        while to_come and to_come[0] <= clock.at:
            number = JOBS - len(to_come)
            task = Task(number, "accepted", job_id=str(number), job=Job(str(number), "PROCESSING"))
            ends[number] = to_come.pop(0) + early
            waiting.hear(str(number), task)
            tasks.append(task)
        for look in [look for look in looks if look[1] <= clock.at]:
            looks.remove(look)
            began, _, asked = look
            found = {
                str(task.index): Job(str(task.index), "COMPLETED" if ends[task.index] <= began else "PROCESSING")
                for task in asked
            }
            waiting.looked(asked, found)
            for task in asked:
                if found[str(task.index)].ended:
                    late.append(began - ends[task.index])
                    task.phase = "done"
                    waiting.forget(task)
                else:
                    waiting.schedule(task)
            tasks[:] = [task for task in tasks if task.phase != "done"]
        for group in waiting.looks():
            waiting.begin_look(group)
            looks.append((clock.at, clock.at + REQUEST_SECONDS, list(group)))
            requests += 1
    return requests, late


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests about jobs whose webhooks come too early.")
    parser.add_argument("--rate", type=float, nargs="*", default=[0.2, 0.5, 1, 2, 5, 10])
    parser.add_argument("--early", type=float, nargs="*", default=[0.0, 0.3, 1.0, 3.0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=100)
    options = parser.parse_args()
    print(f"{'early':>6} {'a second':>9} {'asked/':>7} {'late':>6} {'p95':>6}   alone: asked/, late")
    for early in options.early:
        for rate in options.rate:
            asked, late = 0, list[float]()
            for seed in range(options.seed, options.seed + options.runs):
                chance = random.Random(seed)  # noqa: S311 (moments, not secrets)
                requests, found = together(list(accumulate(chance.expovariate(rate) for _ in range(JOBS))), early)
                asked, late = asked + requests, late + found
            single, waits = alone(early)
            row = f"{asked / JOBS / options.runs:7.2f} {statistics.fmean(late):6.2f}"
            p95 = sorted(late)[int(0.95 * len(late))]
            print(f"{early:6g} {rate:9g} {row} {p95:6.2f}   {single:14} {waits:6.2f}", flush=True)


if __name__ == "__main__":
    main()
