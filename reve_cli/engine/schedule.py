"""The interval between two polls of a job: short when the job is likely to end, long otherwise.

Every poll that is saved makes some result appear later. The best interval is proportional to 1/sqrt(hazard), where the
hazard is the chance that a running job ends in the next moment. The durations of past jobs give the hazard; while there
are too few, a table is used. `tests/bench/lateness.py` measures both.
Pure functions, without clock or state. May import: nothing of ours.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import exp, isfinite, log, pi, sqrt

# Seconds since acceptance, seconds between polls; linear in between, constant after.
#
# The curve is that of 1/sqrt(hazard) for log-normal durations (sigma 0.3) with medians of 8, 15 and 30 s. The values
# come from a search over simulated jobs. It allowed 19 polls for jobs of 15 s, including the one at acceptance, and
# minimized lateness and polls for jobs of 8 and 30 s. reve sees jobs of 15 s end 0.27 s late; a schedule that knows
# their distribution could see them 0.22 s late with 19 polls. Four workers that run jobs of 2 s or more without a break
# make at most 380 requests a minute.
_INTERVALS = (
    (0.0, 2.4),  # the poll at acceptance saw jobs that end at once; the next comes after the sandbox's usual 2 s
    (2.0, 4.1),  # real jobs do not end here
    (5.0, 1.26),
    (13.0, 0.385),  # most end between this
    (18.5, 0.41),  # and this
    (60.0, 1.5),
    (180.0, 5.0),
)
_SHORTEST = 0.25
_LONGEST = 5.0
_JITTER = 0.1
# The server's progress may stretch or shrink an interval by this factor: it may jump, or stick at any value.
_TRUST = 4 / 3

# The values below come from a search over simulated jobs after 40 past ones. For log-normal durations (sigma 0.3) with
# medians of 8, 15 and 30 s, reve sees the end 0.24, 0.24 and 0.29 s late, with 10, 19 and 32 polls. For 15 s and 19
# polls, 0.22 s is the least possible. It needs the exact distribution; the log-normal one that fits 20 past jobs leads
# to 0.23 s. For equal durations, reve sees the end 0.2 s late, with 6, 10 and 19 polls. Four workers that run jobs of
# 2 s or more without a break make at most 400 requests a minute.

# Fewer past jobs than this are ignored.
_ENOUGH = 5
# The next job probably takes about as long as one of the past jobs: a log-logistic distribution around each. It
# resembles the log-normal, but its tails do not underflow. Its standard deviation in the logarithm is that of the past,
# times this factor, divided by the fifth root of their number (Scott's rule), within these bounds.
_BANDWIDTH, _NARROWEST, _WIDEST = 1.06, 0.06, 0.2
# Or it is unlike all past jobs. This case counts as this many past jobs, with this median in seconds and this exponent.
# For a job that takes longer than all past jobs, polls become ever rarer; a job that ends much earlier is noticed.
_STRANGER = 6.0, 15.0, 1.3
# The cost of a poll, divided by the elapsed seconds: short jobs end more often, so each may have fewer polls.
_COST = 0.155
# The cost falls for this many seconds, then stays the same.
_COST_FALLS = 17.0
# No learned interval is shorter, which limits the harm of misleading durations. Shorter durations count as this long,
# as they would fall between two polls.
_DENSEST = 0.33
# Seconds between the points at which the density of polls is evaluated.
_STEP = 0.1
# A poll of many jobs is timed to a 64th of the longest interval.
_HALVINGS = 6
# This many jobs stand for all.
_SAMPLE = 64
# The chance that a job unlike the past ones outlives an age falls with this power of it.
_TAIL = 4


def usual(past: Sequence[float]) -> float | None:
    """Seconds that a job usually takes: the median of `past`; None if there are too few to tell."""
    known = sorted(seconds for seconds in past if seconds >= 0 and isfinite(seconds))
    return known[len(known) // 2] if len(known) >= _ENOUGH else None


def next_delay(elapsed: float, progress: float | None, past: Sequence[float], random: Callable[[], float]) -> float:
    """Seconds until the next poll, from 0.25 to 5.5.

    elapsed: seconds since the job was accepted. progress: the last one reported, in percent.
    past: seconds that jobs of this kind took, from acceptance to their end; a few dozen are enough, and values that are
    not durations are ignored. random: returns the jitter, from 0 up to 1, which spreads the polls of jobs that began
    together.
    """
    known = tuple(max(seconds, _DENSEST) for seconds in past if seconds >= 0 and isfinite(seconds))
    delay = _interval(elapsed) if len(known) < _ENOUGH else _learned_interval(round(min(elapsed, 1e30), 1), known)
    if progress is not None and 0 < progress < 100:
        remaining = elapsed * (100 - progress) / progress
        delay = min(max(remaining / 4, delay / _TRUST), delay * _TRUST)
    return max(_SHORTEST, min(delay, _LONGEST) * (1 - _JITTER + 2 * _JITTER * random()))


def worth_a_poll(ages: Sequence[float], past: Sequence[float], cost: float, longest: float) -> float:
    """Seconds until a poll of many jobs together is worth its cost, at most `longest`.

    By then, the jobs that end meanwhile have probably waited for `cost` seconds in total.
    ages: seconds since each job was accepted. past: seconds that jobs of this kind took, in order, not empty.
    """
    median = max(past[len(past) // 2], _DENSEST)
    every = len(ages) // _SAMPLE + 1
    ages = ages[::every]

    def outlive(age: float) -> float:
        """How many jobs of the past, and one unlike them, outlive this age."""
        return len(past) - bisect_right(past, age) + 1 / (1 + max(age, 0.0) / median) ** _TAIL

    now = [outlive(age) for age in ages]
    seconds, step = 0.0, longest
    for _ in range(_HALVINGS):
        step /= 2
        later = seconds + step
        ended = sum(1 - outlive(age + later) / alive for age, alive in zip(ages, now, strict=True))
        if every * ended * later / 2 < cost:
            seconds = later
    return seconds


def _interval(elapsed: float) -> float:
    for (start, first), (end, last) in pairwise(_INTERVALS):
        if elapsed < end:
            return first + (last - first) * (elapsed - start) / (end - start)
    return _LONGEST


@lru_cache(1024)
def _learned_interval(elapsed: float, past: tuple[float, ...]) -> float:
    """Seconds until the best density of polls, integrated from now on, reaches one poll.

    The density of this moment is not enough: before the first job ends it is near 0, and the interval would skip the
    time when jobs end.
    """
    kinds = _kinds(past)
    polls = 0.0
    for step in range(round(_LONGEST / _STEP)):
        density = _density(elapsed + (step + 0.5) * _STEP, kinds)
        polls += density * _STEP
        if polls >= 1:
            return (step + 1) * _STEP - (polls - 1) / density
    return _LONGEST


@lru_cache(16)
def _kinds(past: tuple[float, ...]) -> list[tuple[float, float, float]]:
    """The distribution of the next duration as a sum: weight, logarithm of the median, exponent of each part."""
    logs = [log(seconds) for seconds in past]
    mean = sum(logs) / len(logs)
    deviation = sqrt(sum((one - mean) ** 2 for one in logs) / (len(logs) - 1))
    spread = _BANDWIDTH * deviation * len(logs) ** -0.2
    exponent = pi / sqrt(3) / max(_NARROWEST, min(spread, _WIDEST))
    weight, median, strange = _STRANGER
    return [(1.0, middle, exponent) for middle in logs] + [(weight, log(median), strange)]


def _density(time: float, kinds: Sequence[tuple[float, float, float]]) -> float:
    """Polls a second at `time` since acceptance."""
    moment = log(min(time, 1e30))
    running = ending = 0.0
    for weight, median, exponent in kinds:
        still = weight / (1 + exp(min(exponent * (moment - median), 700.0)))
        running += still
        ending += still * (1 - still / weight) * exponent
    hazard = ending / running / time
    return min(sqrt(hazard * min(time, _COST_FALLS) / (2 * _COST)), 1 / _DENSEST)
