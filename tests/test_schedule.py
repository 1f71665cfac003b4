"""When to poll next: the bounds hold for whatever a server may report, and the trade it was tuned for is met."""

import random
from collections.abc import Callable
from math import exp, inf, nan
from statistics import NormalDist, fmean

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reve_cli.schedule import next_delay

ELAPSED = st.floats(min_value=0, allow_nan=False)
PROGRESS = st.none() | st.floats() | st.integers(-200, 300)
JITTER = st.floats(0, 1, exclude_max=True)


def always(value: float) -> Callable[[], float]:
    return lambda: value


def without_jitter(elapsed: float, progress: float | None = None) -> float:
    return next_delay(elapsed, progress, always(0.5))


@given(ELAPSED, PROGRESS, JITTER)
@example(0.0, 5e-324, 0.0)
@example(inf, 5e-324, 0.99)
@example(1e308, 99.9, 0.99)
def test_a_poll_never_comes_sooner_than_a_quarter_of_a_second_nor_later_than_five_and_a_half(
    elapsed: float, progress: float | None, jitter: float
) -> None:
    assert 0.25 <= next_delay(elapsed, progress, always(jitter)) <= 5.5


@given(ELAPSED, PROGRESS, JITTER)
def test_the_same_arguments_give_the_same_delay(elapsed: float, progress: float | None, jitter: float) -> None:
    assert next_delay(elapsed, progress, always(jitter)) == next_delay(elapsed, progress, always(jitter))


@given(ELAPSED, JITTER)
def test_jitter_is_at_most_ten_percent(elapsed: float, jitter: float) -> None:
    assert 0.899 <= next_delay(elapsed, None, always(jitter)) / without_jitter(elapsed) <= 1.101


@given(st.floats(20, 1e6), st.floats(20, 1e6))
def test_polls_become_rarer_the_longer_a_job_takes(one: float, other: float) -> None:
    assert without_jitter(min(one, other)) <= without_jitter(max(one, other))


@given(st.floats(180, 1e6))
def test_a_job_of_minutes_is_polled_every_5_s(elapsed: float) -> None:
    assert abs(without_jitter(elapsed) - 5) < 1e-9


@given(JITTER)
def test_the_first_poll_comes_early(jitter: float) -> None:
    assert 0.25 <= next_delay(0, None, always(jitter)) < 0.5


@given(ELAPSED, st.floats(0, 100, exclude_min=True, exclude_max=True))
def test_progress_changes_a_delay_by_a_third_at_most(elapsed: float, progress: float) -> None:
    assert 0.749 <= without_jitter(elapsed, progress) / without_jitter(elapsed) <= 1.334


@given(ELAPSED, st.sampled_from([0, 100, -1, 101, -0.0, nan, inf, -inf]))
def test_progress_that_says_nothing_changes_nothing(elapsed: float, progress: float) -> None:
    assert without_jitter(elapsed, progress) == without_jitter(elapsed)


@given(st.floats(10, 60))
def test_a_job_that_reports_little_progress_is_polled_less_than_one_that_is_nearly_done(elapsed: float) -> None:
    assert without_jitter(elapsed, 10) > without_jitter(elapsed) > without_jitter(elapsed, 99)


def mean_lateness_and_polls(median: float, reports: Callable[[float], float | None]) -> tuple[float, float]:
    """Of 2,000 log-normal jobs in virtual time, 30 ms a request.

    reports: the progress that the server tells, from the part of a job's duration that has passed.
    """
    jitter = random.Random(1)  # noqa: S311 (jitter, not a secret)
    spread = NormalDist(0, 0.3)
    lateness, counts = [], []
    for number in range(2000):
        duration = median * exp(spread.inv_cdf((number + 0.5) / 2000))
        now, polls, progress = 0.0, 0, None
        while now < duration:
            now += next_delay(now, progress, jitter.random) + 0.03
            progress = reports(now / duration)
            polls += 1
        lateness.append(now - duration)
        counts.append(polls)
    return fmean(lateness), fmean(counts)


def silent(part: float) -> None:
    return None


def test_jobs_of_15_s_are_seen_within_0_3_s_for_20_polls() -> None:
    lateness, polls = mean_lateness_and_polls(15, silent)
    assert lateness <= 0.3
    assert polls <= 20


def test_jobs_far_from_15_s_are_seen_within_0_6_s_at_a_bearable_rate() -> None:
    short, long = mean_lateness_and_polls(8, silent), mean_lateness_and_polls(30, silent)
    assert max(short[0], long[0]) <= 0.6
    assert short[1] <= 10
    assert long[1] <= 45


def test_steady_progress_makes_polling_better_in_both_respects() -> None:
    blind, guided = mean_lateness_and_polls(15, silent), mean_lateness_and_polls(15, lambda part: 100 * part)
    assert guided[0] < blind[0]
    assert guided[1] < blind[1]


@pytest.mark.parametrize(
    "reports",
    [
        pytest.param(lambda part: 50 if part > 0.5 else 0, id="jumps"),
        pytest.param(lambda part: 1, id="sticks-at-1"),
        pytest.param(lambda part: 99, id="sticks-at-99"),
        pytest.param(lambda part: 100 * part**0.2, id="hurries-at-first"),
        pytest.param(lambda part: 100 * part**5, id="hurries-at-last"),
    ],
)
def test_misleading_progress_costs_little(reports: Callable[[float], float]) -> None:
    blind, misled = mean_lateness_and_polls(15, silent), mean_lateness_and_polls(15, reports)
    assert misled[0] < 1.4 * blind[0]
    assert misled[1] < 1.4 * blind[1]
