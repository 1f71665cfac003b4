"""When to ask about a job again: soon where it is likely to end, seldom elsewhere.

A function of its own because it is a trade, made with numbers: every poll that is not made is a result seen later. The
best interval goes with 1/sqrt(hazard), the hazard being how likely a job that still runs is to end in the next moment.
How long jobs took tells the hazard; before there are enough of them, a table stands in. `tests/bench/lateness.py`
measures both. Pure: no clock and no state. Imports the standard library only.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import exp, isfinite, log, sqrt

_INTERVALS = (
    (0.0, 0.3),  # some jobs are done at once
    (0.25, 2.7),  # the second poll is past 2 s, the sandbox's usual duration, even where progress calls for haste
    (2.0, 4.0),  # real jobs do not end here
    (5.0, 1.2),
    (12.0, 0.46),  # most end between this
    (20.0, 0.46),  # and this
    (60.0, 1.5),
    (180.0, 5.0),
)
"""Seconds since acceptance, seconds between polls; linear in between, constant after.

The shape is that of 1/sqrt(hazard) for log-normal durations (sigma 0.3) with medians of 8, 15 and 30 s, of which 15 s
weighs most. The values are the rounded result of a search over simulated jobs: mean lateness and polls at 8 and 30 s as
low as they go while 15 s has at most 0.3 s and 20 polls, with a margin of 5 % or more for both. Jobs of 2 s or more, 4
at once, one after another, make at most 380 requests a minute.
"""
_SHORTEST = 0.25
_LONGEST = 5.0
_JITTER = 0.1
_TRUST = 4 / 3
"""How much the server's progress may stretch or shrink an interval: it may jump, or stick at any value."""

_ENOUGH = 5
"""Fewer past jobs than this say too little."""
_SPREAD = 9.0
"""The next job takes as long as one of the past, more or less: log-logistic around it with this exponent, a standard
deviation of 0.2 in the logarithm. It resembles the log-normal, but no tail of it underflows. For 5 to 40 past jobs
anything from 0.15 to 0.3 does as well."""
_STRANGER = 5.0, 15.0, 1.3
"""Or it is unlike them all, which counts as so many past jobs, with this median in seconds and this exponent. So a job
that outlives the past is asked about ever more seldom, and one that ends long before it is not seen much later."""
_COST = 0.12
"""Of a poll, to be divided by the elapsed seconds: short jobs end more often, so each may have fewer polls."""
_COST_FALLS = 15.0
"""Only so many seconds count."""
_DENSEST = 0.46
"""No shorter interval is learned, to bound what a wrong past may cost, and no shorter duration, which would fall
between two polls.

Together these are the result of a search over simulated jobs, log-normal (sigma 0.3), after 40 past ones: medians of 8,
15 and 30 s are seen 0.26, 0.26 and 0.28 s late for 9, 17 and 33 polls. For 30 s even one who knew that distribution
would need 31 polls for 0.25 s, and be 0.4 s late with 20. Jobs of 2 s or more, 4 at once, one after another, make at
most 360 requests a minute where they are like the past, and hardly more than 400 where they take up to twice as long.
"""
_STEP = 0.1
"""Seconds between the points at which the density of polls is evaluated."""


def next_delay(elapsed: float, progress: float | None, past: Sequence[float], random: Callable[[], float]) -> float:
    """Seconds until the next poll, from 0.25 to 5.5.

    elapsed: seconds since the job was accepted, 0 before the first poll. progress: the last one reported, in percent.
    past: how many seconds jobs of this kind took, from acceptance to their end; what cannot be a duration is ignored.
    Some dozens are enough. random: the jitter's source, from 0 up to 1; it keeps jobs that
    began together from being asked about together.
    """
    known = tuple(max(seconds, _DENSEST) for seconds in past if seconds >= 0 and isfinite(seconds))
    delay = _interval(elapsed) if len(known) < _ENOUGH else _learned_interval(round(min(elapsed, 1e30), 1), known)
    if progress is not None and 0 < progress < 100:
        remaining = elapsed * (100 - progress) / progress
        delay = min(max(remaining / 4, delay / _TRUST), delay * _TRUST)
    return max(_SHORTEST, min(delay, _LONGEST) * (1 - _JITTER + 2 * _JITTER * random()))


def _interval(elapsed: float) -> float:
    for (start, first), (end, last) in pairwise(_INTERVALS):
        if elapsed < end:
            return first + (last - first) * (elapsed - start) / (end - start)
    return _LONGEST


@lru_cache(1024)
def _learned_interval(elapsed: float, past: tuple[float, ...]) -> float:
    """Until the best density of polls, integrated from now on, makes one whole poll.

    Its value now would not do: where no job ends yet it is near 0, and the interval would leap over where they do.
    """
    weight, median, exponent = _STRANGER
    kinds = [(1.0, log(seconds), _SPREAD) for seconds in past] + [(weight, log(median), exponent)]
    polls = 0.0
    for step in range(round(_LONGEST / _STEP)):
        density = _density(elapsed + (step + 0.5) * _STEP, kinds)
        polls += density * _STEP
        if polls >= 1:
            return (step + 1) * _STEP - (polls - 1) / density
    return _LONGEST


def _density(time: float, kinds: Sequence[tuple[float, float, float]]) -> float:
    """Polls a second, at `time` since acceptance. kinds: weight, logarithm of the median and exponent of each."""
    moment = log(min(time, 1e30))  # exp overflows at 710, 9 * log(1e30 / 0.46) is 629
    running = ending = 0.0
    for weight, median, exponent in kinds:
        still = weight / (1 + exp(exponent * (moment - median)))
        running += still
        ending += still * (1 - still / weight) * exponent
    hazard = ending / running / time
    return min(sqrt(hazard * min(time, _COST_FALLS) / (2 * _COST)), 1 / _DENSEST)
