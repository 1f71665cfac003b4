"""The pace against simulated rate limits of many kinds, in simulated time: throughput, and the share of refusals."""

import heapq
import math
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Literal

import pytest

from reve_cli.api.http import Http, Request
from reve_cli.api.obstacles import Obstacles
from reve_cli.api.pace import Pace
from reve_cli.api.rate import START, Rate
from reve_cli.api.sending import Sender
from reve_cli.core.clock import MINUTE, Clock, Deadline, Limits, Stop
from tests.conftest import KEY, Reve
from tests.support.servers import Asked, Reply, answered, json_reply

BEGUN = 1000.0
LATENCY = 0.1
WORKERS = 6
BURST = int(0.1 * START)


class World(Clock):
    """A clock that jumps to the next event. Only one thread of `run` works at a time, so every run is the same."""

    def __init__(self) -> None:
        self.time = BEGUN
        self.sleeps = 0
        self._queue: list[tuple[float, int, threading.Semaphore]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: Stop) -> None:
        self.sleeps += 1
        turn = threading.Semaphore(0)
        self._push(seconds, turn)
        self._next()
        turn.acquire()

    def run(self, works: list[Callable[[], None]]) -> None:
        """Run all works at the same time and wait for them."""
        done = threading.Semaphore(0)

        def begin(work: Callable[[], None], turn: threading.Semaphore) -> None:
            turn.acquire()
            work()
            done.release()
            self._next()

        for work in works:
            turn = threading.Semaphore(0)
            self._push(0, turn)
            threading.Thread(target=begin, args=(work, turn), daemon=True).start()
        self._next()
        for _ in works:
            done.acquire()

    def _push(self, seconds: float, turn: threading.Semaphore) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.time + max(0.0, seconds), self._count, turn))

    def _next(self) -> None:
        if self._queue:
            self.time, _, turn = heapq.heappop(self._queue)
            turn.release()


# takes a time; returns the seconds of Retry-After, None to accept the request
Limiter = Callable[[float], float | None]


def sliding(limit: int) -> Limiter:
    recent: deque[float] = deque()

    def ask(now: float) -> float | None:
        while recent and recent[0] <= now - MINUTE:
            recent.popleft()
        if len(recent) >= limit:
            return max(1, math.ceil(recent[0] + MINUTE - now))
        recent.append(now)
        return None

    return ask


def fixed(limit: int) -> Limiter:
    window, used = 0.0, 0

    def ask(now: float) -> float | None:
        nonlocal window, used
        if now // MINUTE != window:
            window, used = now // MINUTE, 0
        used += 1
        return None if used <= limit else max(1, math.ceil(MINUTE - now % MINUTE))

    return ask


def bucket(limit: int, burst: int) -> Limiter:
    level, then = float(burst), 0.0

    def ask(now: float) -> float | None:
        nonlocal level, then
        level, then = min(burst, level + (now - then) * limit / MINUTE), now
        if level < 1:
            return math.ceil((1 - level) * MINUTE / limit)
        level -= 1
        return None

    return ask


@dataclass
class Tally:
    """When requests were accepted, and when they were refused."""

    passed: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def rate(self, since: float) -> float:
        """Requests per minute that were accepted after `since` seconds."""
        last = max(self.passed) - BEGUN
        return sum(at - BEGUN >= since for at in self.passed) * MINUTE / (last - since)

    @property
    def share(self) -> float:
        return len(self.refused) / (len(self.passed) + len(self.refused))


def drive(
    limiter: Limiter,
    minutes: float,
    *,
    processes: int = 1,
    most: float | None = None,
    told: bool = True,
    known: float | None = None,
    work: int = 0,
    share: float = 1.0,
) -> Tally:
    """Send requests as fast as the pace allows for some minutes.

    told: whether refusals have a Retry-After. known: what an earlier run learned. work: how many requests the pace
    expects.
    """
    world, tally = World(), Tally()
    end = world.time + minutes * MINUTE

    def worker(pace: Pace) -> None:
        stop, deadline = Stop(), Deadline(world, minutes * MINUTE)
        while True:
            pace.wait(stop, deadline)
            if world.time >= end:
                return
            world.sleep(LATENCY / 2, stop)
            seconds = limiter(world.time)
            (tally.passed if seconds is None else tally.refused).append(world.time)
            world.sleep(LATENCY / 2, stop)
            if seconds is None:
                pace.passed()
            else:
                pace.refused(seconds if told else 0.0)

    paces = [Pace(world, most, known, work, share) for _ in range(processes)]
    world.run([lambda pace=pace: worker(pace) for pace in paces for _ in range(WORKERS)])  # type: ignore[misc]
    return tally


def changing(first: int, second: int, after: float) -> Limiter:
    """A limit that changes after so many seconds."""
    one, other = sliding(first), sliding(second)
    return lambda now: (one if now < BEGUN + after else other)(now)


def moody(limiter: Limiter, every: int) -> Limiter:
    """A limiter that also refuses every so-many-th request at random, with a Retry-After of 1 s."""
    chance = random.Random(1)  # noqa: S311 - repeatable, not a secret
    return lambda now: 1 if chance.random() < 1 / every else limiter(now)


LIMITERS: dict[str, tuple[Callable[[], Limiter], int]] = {
    "sliding window of 500": (lambda: sliding(500), 500),
    "fixed window of 500": (lambda: fixed(500), 500),
    "bucket of 500, burst of 60": (lambda: bucket(500, 60), 500),
    "bucket of 500, burst of 5": (lambda: bucket(500, 5), 500),
    "sliding window of 60": (lambda: sliding(60), 60),
    "fixed window of 60": (lambda: fixed(60), 60),
    "bucket of 60": (lambda: bucket(60, 10), 60),
    "sliding window of 3000": (lambda: sliding(3000), 3000),
    "bucket of 3000": (lambda: bucket(3000, 300), 3000),
    "a limit that falls": (lambda: changing(600, 300, 240), 300),
    "a limit that rises": (lambda: changing(300, 600, 240), 600),
}


@pytest.mark.parametrize("name", LIMITERS)
def test_the_rate_settles_just_below_the_limit_within_minutes(name: str) -> None:
    limiter, limit = LIMITERS[name]
    tally = drive(limiter(), 20)
    assert tally.share < (0.02 if limit > 60 else 0.03)
    assert tally.rate(since=14 * MINUTE) >= 0.9 * limit


def test_the_documented_limit_is_used_and_rarely_exceeded_from_the_first_minute() -> None:
    tally = drive(sliding(500), 3)
    assert tally.share < 0.01
    assert tally.rate(since=0) > 0.95 * 500


@pytest.mark.parametrize("limiter", [sliding(500), fixed(500), bucket(500, 60)], ids=["sliding", "fixed", "bucket"])
def test_four_processes_share_a_limit_without_communicating(limiter: Limiter) -> None:
    tally = drive(limiter, 20, processes=4)
    assert tally.share < 0.02
    assert tally.rate(since=10 * MINUTE) >= 0.9 * 500


@pytest.mark.parametrize(("every", "least"), [(1000, 0.9), (200, 0.8)])
def test_random_refusals_cost_little_throughput(every: int, least: float) -> None:
    tally = drive(moody(sliding(500), every), 30)
    assert tally.share < 0.02
    assert tally.rate(since=15 * MINUTE) >= least * 500


@pytest.mark.parametrize("limit", [60, 500])
def test_without_retry_after_the_pauses_double_until_a_request_is_accepted(limit: int) -> None:
    tally = drive(sliding(limit), 30, told=False)
    assert tally.share < (0.02 if limit > 60 else 0.03)
    assert tally.rate(since=15 * MINUTE) >= 0.9 * limit


def test_an_outage_of_five_minutes_does_not_lower_the_rate_for_long() -> None:
    normal = sliding(500)
    tally = drive(lambda now: 30 if 180 < now - BEGUN < 480 else normal(now), 20)
    assert len(tally.refused) < 2 * WORKERS * 10
    assert tally.rate(since=12 * MINUTE) >= 0.9 * 500


@pytest.mark.parametrize("most", [30.0, 300.0])
def test_the_users_own_rate_is_never_exceeded(most: float) -> None:
    tally = drive(sliding(500), 5, most=most)
    assert not tally.refused
    for at in tally.passed:
        assert sum(at <= other < at + MINUTE for other in tally.passed) <= most + 1


def test_all_threads_respect_a_long_retry_after() -> None:
    asked: list[float] = []

    def limiter(now: float) -> float | None:
        asked.append(now)
        return 1800 if len(asked) == 100 else None

    drive(limiter, 33)
    end = asked[99] + 1800
    assert sum(asked[99] + LATENCY < at < end for at in asked) == 0
    assert any(at < end + 120 for at in asked[100:])


def test_a_wait_ends_at_the_deadline_or_stop() -> None:
    world, stop = World(), Stop()
    pace = Pace(world)
    pace.refused(86400)
    waited: list[float] = []

    def wait(deadline: Deadline) -> None:
        pace.wait(stop, deadline)
        waited.append(world.time)

    world.run([partial(wait, Deadline(world, 5)), partial(wait, Deadline(world, 7))])
    assert waited == [BEGUN + 5, BEGUN + 7]
    stop.now()
    world.run([partial(wait, Deadline(world, 86400 * 9))])
    assert stop


def test_waiting_for_a_turn_is_one_sleep() -> None:
    world, stop = World(), Stop()
    pace = Pace(world)

    def ask() -> None:
        for _ in range(100):
            pace.wait(stop, Deadline(world, 3600))
            pace.passed()

    world.run([ask] * 4)
    assert world.sleeps == 400
    assert world.time - BEGUN == pytest.approx((399 - BURST) * 60 / START / 0.9, abs=0.2)


def test_an_urgent_request_goes_first_and_later_requests_make_up_for_it() -> None:
    world, stop, order = World(), Stop(), list[str]()
    pace = Pace(world)
    pace.refused(1)  # so that there are no bursts
    world.time += 2
    deadline = Deadline(world, 3600)

    def ask(name: str, urgent: bool) -> None:
        pace.wait(stop, deadline, urgent=urgent)
        order.append(name)

    def late() -> None:
        world.sleep(0.01, stop)
        ask("urgent", urgent=True)
        ask("last", urgent=False)

    world.run([*(partial(ask, f"{number}", urgent=False) for number in range(10)), late])
    assert order == ["0", "urgent", *map(str, range(1, 10)), "last"]
    assert world.time - BEGUN - 2 == pytest.approx(11 / pace.per_second)


def test_a_tenth_of_a_minutes_requests_go_at_once_at_its_start_and_the_limit_holds() -> None:
    world, stop, went = World(), Stop(), list[float]()
    pace = Pace(world, most=START)

    def ask() -> None:
        for _ in range(100):
            pace.wait(stop, Deadline(world, math.inf))
            went.append(world.time - BEGUN)
            pace.passed()

    world.run([ask] * 10)
    first, second = (sum(start <= at < start + 1 for at in went) for start in (0, MINUTE))
    assert BURST <= first <= BURST + 8
    assert BURST <= second <= BURST + 8
    assert max(sum(at <= other < at + MINUTE for other in went) for at in went) <= 500


def test_after_a_refusal_no_requests_go_at_once() -> None:
    world, stop, went = World(), Stop(), list[float]()
    pace = Pace(world)
    pace.refused(1)

    def ask() -> None:
        for _ in range(100):
            pace.wait(stop, Deadline(world, math.inf))
            went.append(world.time)

    world.run([ask] * 10)
    gaps = [after - before for before, after in pairwise(sorted(went))]
    assert min(gaps) == pytest.approx(1 / pace.per_second)


def test_a_forgotten_limit_is_exceeded_by_little_before_more_requests_have_succeeded() -> None:
    world = World()
    rate = Rate(math.inf)
    for number in range(500):
        rate.passed(world.time + number * 0.12, may_grow=True)
    rate.refused(world.time + 60, 1)
    for number in range(400):  # few, as after a pause
        rate.passed(world.time + 150 + number * 0.12, may_grow=True)
    assert 500 < rate.per_minute < 1.25 * 500


@pytest.mark.parametrize("seconds", [5, 60, 60_000, 999_999_999])
def test_a_refusal_delays_urgent_requests_by_a_minute_and_others_by_an_hour_at_most(seconds: float) -> None:
    world, stop, went = World(), Stop(), dict[bool, float]()
    pace = Pace(world)
    pace.refused(seconds)

    def ask(urgent: bool) -> None:
        pace.wait(stop, Deadline(world, math.inf), urgent=urgent)
        went[urgent] = world.time - BEGUN

    world.run([partial(ask, False), partial(ask, True)])
    assert went[True] == min(seconds, MINUTE)
    assert went[True] <= went[False]
    assert min(seconds, 3600) <= went[False] <= min(seconds, 3600) * 1.05


def test_urgent_requests_during_a_refusal_change_neither_the_rate_nor_later_turns() -> None:
    world, stop, deadline = World(), Stop(), Deadline(Clock(), math.inf)
    pace = Pace(world)
    pace.refused(60_000)
    rate, went = pace.per_second, list[float]()

    def poll() -> None:
        while world.time < BEGUN + 3500:
            pace.wait(stop, deadline, urgent=True)
            pace.passed()
            world.sleep(1, stop)

    def order() -> None:
        world.sleep(3550, stop)
        pace.wait(stop, deadline)
        went.append(world.time - BEGUN)

    world.run([poll, order])
    assert pace.per_second == rate
    assert went[0] <= 3600 * 1.05


def test_the_pauses_between_refused_urgent_requests_grow_to_32_seconds() -> None:
    world, stop, asked = World(), Stop(), list[float]()
    pace = Pace(world)
    pace.refused(60_000)

    def poll() -> None:
        while world.time < BEGUN + 3500:
            pace.wait(stop, Deadline(world, math.inf), urgent=True)
            asked.append(world.time)
            pace.refused(0)

    world.run([poll])
    apart = [second - first for first, second in pairwise(asked)]
    assert sorted(apart) == apart
    assert apart[-1] == 32


def waited(reve: Reve, refusal: Reply, method: Literal["GET", "POST"], seconds: float) -> float:
    """Seconds until a refused request is sent again, with a time limit of `seconds`."""
    replies = iter([refusal])
    times: list[float] = []

    def reply(_: Asked) -> Reply:
        times.append(reve.clock.monotonic())
        return next(replies, json_reply({}))

    with answered(reve.environ, reply):
        url, stop = reve.environ["APIFRAME_BASE_URL"], Stop()
        http = Http(url, KEY, clock=reve.clock, stop=stop, limits=Limits(), debug=None)
        sender = Sender(http, lambda _: None)
        sender.pace = Pace(reve.clock)
        sender.send(Request(method, "/v2/jobs"), lambda answer: answer.data, Deadline(reve.clock, seconds), tries=3)
        http.close()
    return times[1] - times[0]


@pytest.mark.parametrize(("method", "longest"), [("GET", 60), ("POST", 3600)])
@pytest.mark.parametrize("status", [429, 503])
def test_an_absurd_retry_after_is_shortened(
    reve: Reve, method: Literal["GET", "POST"], longest: float, status: int
) -> None:
    refusal = json_reply({"error": "slow down"}, status, Retry_After="60000")
    assert longest <= waited(reve, refusal, method, math.inf) <= longest * 1.06


def test_an_obstacle_is_told_until_a_newer_request_succeeds(reve: Reve) -> None:
    obstacles, clock = Obstacles(reve.clock), reve.clock
    obstacles.met("POST", 3600, "rate limit reached")
    assert obstacles.tell() == ""
    clock.advance(6)
    assert obstacles.tell() == "rate limit reached: waiting 60 min"
    obstacles.passed("GET", clock.monotonic())
    obstacles.passed("POST", clock.monotonic() - 7)
    assert obstacles.tell()
    clock.advance(3590)
    assert obstacles.tell() == "rate limit reached: waiting"
    obstacles.passed("POST", clock.monotonic())
    assert obstacles.tell() == ""


def test_an_obstacle_is_dropped_after_nobody_tried_for_a_while(reve: Reve) -> None:
    obstacles = Obstacles(reve.clock)
    obstacles.met("POST", 30, "API error 503")
    reve.clock.advance(60)
    assert obstacles.tell()
    reve.clock.advance(60)
    assert obstacles.tell() == ""


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry_After": "0"}, 0),
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "Fri, 15 Jan 2027 08:00:42 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, 42),
        ({}, 0),
    ],
    ids=["0", "7", "a date", "none"],
)
def test_the_next_try_respects_retry_after(reve: Reve, headers: dict[str, str], least: float) -> None:
    refusal = json_reply({"error": "slow down"}, 429, **headers)
    assert max(least, 0.5) <= waited(reve, refusal, "GET", 600) <= max(least, 1) * 1.3 + 1


def test_work_for_minutes_finds_a_high_limit_within_the_first_minute() -> None:
    tally = drive(sliding(2000), 2, work=2000)
    assert tally.passed[1999] - BEGUN < 70
    assert tally.share < 0.02


@pytest.mark.parametrize("limit", [60, 500])
def test_work_for_minutes_loses_little_to_the_documented_limit_or_a_low_one(limit: int) -> None:
    tally = drive(sliding(limit), 5, work=2000)
    assert tally.share < 0.02
    assert tally.rate(since=0) > 0.93 * limit


@pytest.mark.parametrize(("limit", "work"), [(60, 500), (500, 1500), (2000, 2000)])
def test_the_next_run_begins_just_below_the_limit(limit: int, work: int) -> None:
    world = World()
    pace, stop, ask = Pace(world, work=work), Stop(), sliding(limit)

    def send() -> None:
        for _ in range(work):
            pace.wait(stop, Deadline(world, math.inf))
            seconds = ask(world.time)
            if seconds is None:
                pace.passed()
            else:
                pace.refused(seconds)

    world.run([send])
    assert pace.learned is not None
    assert 0.9 * limit <= pace.learned <= 1.1 * limit  # above it only if nothing was refused
    assert Pace(world, known=pace.learned).per_second == pace.learned / 60


def test_a_limit_that_has_risen_since_the_last_run_is_found_within_minutes() -> None:
    tally = drive(sliding(500), 10, known=6)
    assert tally.share < 0.02
    assert tally.rate(since=6 * MINUTE) >= 0.9 * 500


def test_a_learned_rate_stays_below_the_users_own() -> None:
    assert Pace(World(), 100, known=2000).per_second == 100 / 60


def test_processes_with_unequal_parts_of_the_work_end_at_the_same_time_without_refusals() -> None:
    world, limiter, refused = World(), sliding(500), list[float]()
    ends = [0.0] * 4

    def work(pace: Pace, part: int, left: list[int]) -> None:
        stop = Stop()
        world.sleep(part / 3, stop)  # they do not start at exactly the same time
        while left:
            left.pop()
            pace.wait(stop, Deadline(world, math.inf))
            world.sleep(LATENCY / 2, stop)
            if limiter(world.time) is not None:
                refused.append(world.time)
            world.sleep(LATENCY / 2, stop)
            pace.passed()
        ends[part] = world.time - BEGUN

    works: list[Callable[[], None]] = []
    for part, size in enumerate((180, 220, 260, 300)):
        pace, left = Pace(world, share=size / 960), [1] * size
        works += [partial(work, pace, part, left) for _ in range(WORKERS)]
    world.run(works)
    assert not refused
    assert max(ends) < 1.05 * min(ends) < 130


def test_a_part_that_works_alone_gets_the_rate_of_all_within_minutes() -> None:
    tally = drive(sliding(500), 10, share=0.25)
    assert tally.share < 0.01
    assert tally.rate(since=7 * MINUTE) >= 0.9 * 500


def test_a_process_that_shares_the_rate_hands_on_none_because_others_may_use_more_or_less() -> None:
    rate = Rate(math.inf, share=0.25)
    for number in range(125):
        rate.passed(BEGUN + number * 0.48, may_grow=True)
    rate.refused(BEGUN + 60, 1)
    assert rate.learned is None


def test_a_rate_above_its_share_grows_no_faster_than_one_at_its_share() -> None:
    rate, rates = Rate(math.inf, share=0.25), list[float]()
    for number in range(900):
        rate.passed(BEGUN + number * 0.5, may_grow=True)
        rates.append(rate.per_minute)
    steps = [after - before for before, after in pairwise(rates)]
    assert steps[0] == 0
    assert rates[-1] > 3 * rates[0]
    assert steps[-1] == pytest.approx(next(filter(None, steps)))


def test_without_refusals_the_rate_grows_to_no_more_than_twice_what_is_used() -> None:
    rate = Rate(math.inf, work=5000)
    for number in range(3000):
        rate.passed(BEGUN + number * 0.06, may_grow=True)
    assert 1.9 * 1000 < rate.per_minute < 2.1 * 1000


@pytest.mark.parametrize(("retry_after", "limit"), [(10, 2000), (1, 1500 * 60 / 11)])
def test_only_an_api_that_counts_over_less_than_a_minute_allows_more_than_was_counted(
    retry_after: float, limit: float
) -> None:
    rate = Rate(math.inf, work=5000)
    for number in range(500):
        rate.passed(BEGUN + number * 0.08, may_grow=True)
    for number in range(1500):
        rate.passed(BEGUN + 40 + number / 150, may_grow=True)
    rate.refused(BEGUN + 50, retry_after)
    assert rate.learned == pytest.approx(0.98 * limit, rel=0.01)
