"""When to ask about a job again: soon where it is likely to end, seldom elsewhere.

A function of its own because it is a trade, made with numbers: every poll that is not made is a result seen later. The
best interval goes with 1/sqrt(hazard), the hazard being how likely a job that still runs is to end in the next moment.
`tests/bench/lateness.py` measures it. Pure: no clock and no state. Imports the standard library only.
"""

from collections.abc import Callable
from itertools import pairwise

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


def next_delay(elapsed: float, progress: float | None, random: Callable[[], float]) -> float:
    """Seconds until the next poll, from 0.25 to 5.5.

    elapsed: seconds since the job was accepted, 0 before the first poll. progress: the last one reported, in percent.
    random: the jitter's source, from 0 up to 1; it keeps jobs that began together from being asked about together.
    """
    delay = _interval(elapsed)
    if progress is not None and 0 < progress < 100:
        remaining = elapsed * (100 - progress) / progress
        delay = min(max(remaining / 4, delay / _TRUST), delay * _TRUST)
    return max(_SHORTEST, min(delay, _LONGEST) * (1 - _JITTER + 2 * _JITTER * random()))


def _interval(elapsed: float) -> float:
    for (start, first), (end, last) in pairwise(_INTERVALS):
        if elapsed < end:
            return first + (last - first) * (elapsed - start) / (end - start)
    return _LONGEST
