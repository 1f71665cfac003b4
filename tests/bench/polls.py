"""How few polls could tell a batch that its jobs end: `python tests/bench/polls.py [--prompts 500] [--runs 5]`.

A batch as `batch.py` runs it: 500 requests a minute, log-normal durations (median 15 s, sigma 0.3). It is submitted
without pauses for polls. Polls come when jobs that have probably ended have waited for `patience` seconds in total, as
reve's do, but are given more than reve has:

- They know the true distribution of the durations from the start, so no poll finds out how long jobs take.
- A poll takes no time, and the last job is seen the moment it ends. No job is asked for by its id.
- They are told how many pages to read (of 100 completed jobs each, the newest first, as the API lists them) to see all
  jobs that have ended. They read more than one if older jobs have waited for `worth` seconds in total.

Each page is a request. Rows: the two constants; requests by image, with the POST; mean lateness in seconds. Each is the
mean of `--runs` orders.
"""

import argparse
import math
import statistics
import sys
from bisect import bisect_right
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import batch as bench  # type: ignore[import-not-found, unused-ignore]

PAGE, STEP = 100, 0.05
DURATIONS = statistics.NormalDist(math.log(bench.JOB), bench.SIGMA)
# the share of jobs that have ended, by age in steps
ENDED = [0.0, *(DURATIONS.cdf(math.log(step * STEP)) for step in range(1, 2000))]


def run(durations: list[float], patience: float, worth: float) -> tuple[float, float]:
    """Returns requests by image, with the POST, and mean lateness."""
    made = [number * 60 / bench.PER_MINUTE for number in range(len(durations))]
    ends = [start + seconds for start, seconds in zip(made, durations, strict=True)]
    unseen, late, requests = set(range(len(durations))), 0.0, 0
    now = last = older = 0.0
    while unseen:
        now += STEP
        is_over = max(ends) <= now
        # the share that had ended at the last poll, and the share that has ended now, of jobs as old as each unseen one
        shares = (
            (ENDED[int(max(0.0, last - made[job]) / STEP)], ENDED[int((now - made[job]) / STEP)])
            for job in unseen
            if made[job] < now
        )
        if (
            not is_over
            and sum((after - before) / (1 - before) for before, after in shares) * (now - last) / 2 < patience
        ):
            continue
        completed = [job for job, end in enumerate(ends) if end <= now]
        page_of = {job: (len(completed) - bisect_right(completed, job)) // PAGE + 1 for job in unseen & {*completed}}
        older += sum(min(now - ends[job], now - last) for job, page in page_of.items() if page > 1)
        pages = max(page_of.values(), default=1) if older >= worth or is_over else 1
        older = 0.0 if pages > 1 else older
        seen = {job for job, page in page_of.items() if page <= pages}
        requests, late, last = requests + pages, late + sum(now - ends[job] for job in seen), now
        unseen -= seen
    return 1 + requests / len(durations), late / len(durations)


def main() -> None:
    parser = argparse.ArgumentParser(description="How few polls could tell a batch that its jobs end.")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    drawn = [bench.draw(options.prompts, seed) for seed in range(options.seed, options.seed + options.runs)]
    print("patience worth  asked/  late")
    for patience in (12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0):
        for worth in (0.0, 5.0, 10.0, 20.0):
            rows = [run(durations, patience, worth) for durations in drawn]
            asked, late = map(statistics.fmean, zip(*rows, strict=True))
            print(f"{patience:8.0f} {worth:5.0f} {asked:7.3f} {late:5.2f}", flush=True)


if __name__ == "__main__":
    main()
