"""The polling interval: its bounds hold for any progress and any past durations, and lateness and polls stay low."""

import random
from collections.abc import Callable, Sequence
from math import exp, inf, isfinite, nan
from statistics import NormalDist, fmean

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reve_cli.engine.schedule import next_delay, worth_a_poll

ELAPSED = st.floats(min_value=0, allow_nan=False)
PROGRESS = st.none() | st.floats() | st.integers(-200, 300)
JITTER = st.floats(0, 1, exclude_max=True)
PAST = st.lists(st.floats() | st.sampled_from([0.0, 0.05, 2.0, 15.0, 1e9]), max_size=50)


def always(value: float) -> Callable[[], float]:
    return lambda: value


def without_jitter(elapsed: float, progress: float | None = None, past: Sequence[float] = ()) -> float:
    return next_delay(elapsed, progress, past, always(0.5))


def drawn(median: float, count: int = 40) -> list[float]:
    """Random log-normal durations."""
    chance = random.Random(1)  # noqa: S311 (a draw, not a secret)
    return [median * exp(chance.gauss(0, 0.3)) for _ in range(count)]


@given(ELAPSED, PROGRESS, PAST, JITTER)
@example(0.0, 5e-324, [], 0.0)
@example(inf, 5e-324, [], 0.99)
@example(1e308, 99.9, [], 0.99)
@example(0.0, None, [0.0] * 50, 0.0)
@example(5e-324, None, [5e-324] * 50, 0.0)
@example(inf, None, [0.0] * 50, 0.99)
@example(1e308, None, [15.0] * 50, 0.99)
@example(0.0, None, [1e308] * 50, 0.99)
@example(30.0, None, [0.05] + [15.0] * 49, 0.0)
@example(15.0, None, [15.0] * 49 + [1e9], 0.0)
def test_polls_are_a_quarter_of_a_second_to_five_and_a_half_seconds_apart(
    elapsed: float, progress: float | None, past: list[float], jitter: float
) -> None:
    assert 0.25 <= next_delay(elapsed, progress, past, always(jitter)) <= 5.5


@given(ELAPSED, PROGRESS, PAST, JITTER)
def test_the_same_arguments_give_the_same_delay(
    elapsed: float, progress: float | None, past: list[float], jitter: float
) -> None:
    assert next_delay(elapsed, progress, past, always(jitter)) == next_delay(elapsed, progress, past, always(jitter))


@given(ELAPSED, PAST, JITTER)
def test_jitter_is_at_most_ten_percent(elapsed: float, past: list[float], jitter: float) -> None:
    delay = next_delay(elapsed, None, past, always(jitter))
    assert 0.899 <= delay / without_jitter(elapsed, None, past) <= 1.101


@given(st.floats(20, 1e6), st.floats(20, 1e6))
def test_polls_become_rarer_the_longer_a_job_takes(one: float, other: float) -> None:
    assert without_jitter(min(one, other)) <= without_jitter(max(one, other))


@given(st.floats(180, 1e6))
def test_a_job_that_takes_minutes_is_polled_every_5_s(elapsed: float) -> None:
    assert abs(without_jitter(elapsed) - 5) < 1e-9


@given(ELAPSED, st.floats(0, 100, exclude_min=True, exclude_max=True), PAST)
def test_progress_changes_a_delay_by_a_third_at_most(elapsed: float, progress: float, past: list[float]) -> None:
    assert 0.749 <= without_jitter(elapsed, progress, past) / without_jitter(elapsed, None, past) <= 1.334


@given(ELAPSED, st.sampled_from([0, 100, -1, 101, -0.0, nan, inf, -inf]))
def test_meaningless_progress_changes_nothing(elapsed: float, progress: float) -> None:
    assert without_jitter(elapsed, progress) == without_jitter(elapsed)


@given(st.floats(10, 60))
def test_a_job_with_little_progress_is_polled_less_often_than_one_nearly_done(elapsed: float) -> None:
    assert without_jitter(elapsed, 10) > without_jitter(elapsed) > without_jitter(elapsed, 99)


def mean_lateness_and_polls(
    median: float,
    reports: Callable[[float], float | None],
    past: Sequence[float] = (),
    jobs: int = 2000,
    sigma: float = 0.3,
) -> tuple[float, float]:
    """Simulate log-normal jobs with requests of 30 ms.

    reports: the progress that the server reports, given the part of the job's duration that has passed.
    """
    jitter = random.Random(1)  # noqa: S311 (jitter, not a secret)
    spread = NormalDist(0, sigma)
    lateness, counts = [], []
    for number in range(jobs):
        duration = median * exp(spread.inv_cdf((number + 0.5) / jobs))
        now, polls, progress = 0.0, 0, None
        while now < duration:
            now += next_delay(now, progress, past, jitter.random) + 0.03
            progress = reports(now / duration)
            polls += 1
        lateness.append(now - duration)
        counts.append(polls)
    return fmean(lateness), fmean(counts)


def silent(part: float) -> None:
    return None


def test_jobs_of_15_s_are_noticed_within_0_3_s_with_20_polls() -> None:
    lateness, polls = mean_lateness_and_polls(15, silent)
    assert lateness <= 0.3
    assert polls <= 20


@pytest.mark.parametrize("past", [0, 20, 50])
def test_jobs_that_take_nearly_15_s_are_noticed_within_0_22_s_with_19_polls(past: int) -> None:
    chance = random.Random(2)  # noqa: S311 (a draw, not a secret)
    durations = [15 * exp(chance.gauss(0, 0.02)) for _ in range(past)]
    lateness, polls = mean_lateness_and_polls(15, silent, durations, 500, 0.02)
    assert lateness <= 0.22
    assert polls + 1 <= 19  # with the look at acceptance


def test_jobs_of_other_durations_are_noticed_within_0_6_s() -> None:
    short, long = mean_lateness_and_polls(8, silent), mean_lateness_and_polls(30, silent)
    assert max(short[0], long[0]) <= 0.6
    assert short[1] <= 10
    assert long[1] <= 45


def test_steady_progress_makes_polls_fewer_and_results_earlier() -> None:
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


@given(ELAPSED, PROGRESS, st.lists(st.floats(0, allow_infinity=False), max_size=4), JITTER)
@example(0.0, None, [30.0] * 4, 0.5)
def test_fewer_than_five_past_jobs_are_ignored(
    elapsed: float, progress: float | None, past: list[float], jitter: float
) -> None:
    assert next_delay(elapsed, progress, past, always(jitter)) == next_delay(elapsed, progress, (), always(jitter))
    assert without_jitter(0, None, [30.0] * 5) != without_jitter(0)


@given(ELAPSED, PAST)
@example(0.0, [-30.0, nan, inf, -inf, -1.0, -0.5])
@example(0.0, [-30.0, nan, inf, -inf, 30.0, 30.0, 30.0, 30.0, 30.0])
def test_invalid_durations_are_ignored(elapsed: float, past: list[float]) -> None:
    durations = [seconds for seconds in past if isfinite(seconds) and seconds >= 0]
    assert without_jitter(elapsed, None, past) == without_jitter(elapsed, None, durations)


def learned(median: float, past: float) -> tuple[float, float]:
    """Mean lateness and polls of jobs without progress, after past jobs with the median `past`."""
    return mean_lateness_and_polls(median, silent, drawn(past), 200)


@pytest.mark.parametrize("median", [8, 15])
def test_jobs_like_past_ones_are_noticed_within_0_3_s_with_20_polls(median: float) -> None:
    lateness, polls = learned(median, median)
    assert lateness <= 0.3
    assert polls <= 20


@pytest.mark.parametrize("median", [8, 15, 30])
def test_jobs_that_all_take_equally_long_are_noticed_within_0_25_s_with_few_polls(median: float) -> None:
    lateness = polls = 0.0
    for steps in range(10):  # where polls fall before the end is chance
        jitter, now = random.Random(steps), 0.0  # noqa: S311 (jitter, not a secret)
        while now < median:
            now += next_delay(now, None, [median] * 40, jitter.random) + 0.03
            polls += 0.1
        lateness += (now - median) / 10
    assert lateness <= 0.25
    assert polls <= 0.7 * learned(median, median)[1]


def test_past_durations_of_30_s_make_polls_fewer_and_results_earlier() -> None:
    lateness, polls = learned(30, 30)
    ignorant = mean_lateness_and_polls(30, silent, (), 200)
    assert lateness < 0.85 * ignorant[0]
    assert polls < 0.85 * ignorant[1]


def test_if_jobs_take_30_s_the_first_10_s_need_two_polls() -> None:
    past, now, polls = drawn(30), 0.0, 0
    while (now := now + without_jitter(now, None, past) + 0.03) < 10:
        polls += 1
    assert polls <= 2


@given(st.floats(1, 60))
def test_the_first_poll_comes_before_most_jobs_end(duration: float) -> None:
    assert without_jitter(0, None, [duration] * 40) < 1.1 * duration + 0.1


def test_polls_become_rarer_for_a_job_that_outlives_past_ones() -> None:
    delays = [without_jitter(elapsed, None, drawn(15)) for elapsed in (30, 60, 120, 300, 900)]
    assert delays == sorted(set(delays))
    assert without_jitter(3600, None, drawn(15)) == 5


def test_misleading_past_durations_cost_little() -> None:
    """Results come earlier than with the vendor's SDK for as many polls, and polls hardly increase."""
    short, long = learned(8, 30), learned(30, 15)
    assert short[0] < 1.5
    assert short[1] < 5
    assert long[0] < 0.5
    assert long[1] < 1.2 * mean_lateness_and_polls(30, silent, (), 200)[1]


@pytest.mark.parametrize("past", [1, 0.8, 0.5])
@pytest.mark.parametrize("duration", [2, 2.5, 3, 4, 6, 8, 15, 30])
def test_4_jobs_at_once_make_fewer_than_400_requests_a_minute(duration: float, past: float) -> None:
    """Past jobs took as long or less. All have the same duration: the worst case for the number of polls."""
    jitter = random.Random(1)  # noqa: S311 (jitter, not a secret)
    durations = [max(2.0, past * duration)] * 40
    seconds, requests, jobs = 0.0, 0, 50
    for _ in range(jobs):
        now, requests = 0.03, requests + 1
        while now < duration:
            now += next_delay(now, None, durations, jitter.random) + 0.03
            requests += 1
        seconds += now
    assert 4 * 60 * requests / seconds < 400


@pytest.mark.parametrize("cost", [1.0, 20.0, 100.0])
@pytest.mark.parametrize("a_second", [1, 8, 33])
def test_a_poll_of_many_jobs_is_due_when_ended_ones_have_waited_for_its_cost(a_second: int, cost: float) -> None:
    ages = [number / a_second for number in range(15 * a_second)]
    interval = worth_a_poll(ages, [15.0] * 40, cost, 20)
    assert a_second * interval**2 / 2 == pytest.approx(cost, rel=0.4, abs=a_second)


def test_a_poll_of_many_jobs_comes_after_the_longest_interval_if_none_will_end() -> None:
    assert worth_a_poll([1.0] * 20, [15.0] * 40, 5, 10) == pytest.approx(10, abs=0.2)


def test_jobs_that_outlive_all_past_ones_are_still_polled() -> None:
    assert worth_a_poll([30.0] * 10, [15.0] * 40, 5, 20) < 4


@given(st.lists(st.floats(-10, 1e6), max_size=300), st.lists(st.floats(0, 1e6), min_size=5, max_size=50))
def test_a_poll_of_many_jobs_is_due_within_the_longest_interval(ages: list[float], past: list[float]) -> None:
    assert 0 <= worth_a_poll(ages, sorted(past), 5, 10) <= 10
