"""When a batch asks about its jobs: while requests wait for the rate limit, polls take as little of it as they can."""

from collections.abc import Iterator, Sequence

import pytest

from reve_cli.api.endpoints import Api
from reve_cli.api.http import Http
from reve_cli.api.pace import Pace
from reve_cli.api.rate import START
from reve_cli.api.sending import Sender
from reve_cli.core.clock import Limits, Stop
from reve_cli.core.models import Job
from reve_cli.core.tasks import Task
from reve_cli.engine.polling import Found, PagePoller, Poller
from reve_cli.engine.waiting import Waiting
from tests.conftest import KEY, Reve


@pytest.fixture
def api(reve: Reve) -> Iterator[Api]:
    http = Http("http://127.0.0.1:9", KEY, clock=reve.clock, stop=Stop(), limits=Limits(), debug=None)
    api = Api(Sender(http, print))
    api.sender.pace = Pace(reve.clock)
    yield api
    http.close()


def running(reve: Reve, ages: range) -> list[Task]:
    """Jobs that were accepted so many seconds ago."""
    now = reve.clock.monotonic()
    return [Task(age, "accepted", job=Job(f"{age}", "QUEUED"), accepted_at=now - age, due=now) for age in ages]


def until_poll(reve: Reve, waiting: Waiting, tasks: list[Task], *, sending: bool) -> float:
    return waiting.next_poll(tasks, sending=sending) - reve.clock.monotonic()


def test_while_requests_wait_a_batch_polls_when_ended_jobs_have_probably_waited_long(reve: Reve, api: Api) -> None:
    waiting = Waiting(api, PagePoller(api, [15.0] * 40), ())
    waiting.polled(1, answered=True)
    one_a_second, young = running(reve, range(15)), running(reve, range(4))
    assert api.sender.pace is not None
    cost = 230 / api.sender.pace.per_second
    expected = 0.5 + (2 * cost) ** 0.5  # they end one after the other, so the time until then counts by half
    assert until_poll(reve, waiting, one_a_second, sending=True) == pytest.approx(expected, abs=0.7)
    assert until_poll(reve, waiting, young, sending=True) > 7


def test_jobs_of_unknown_duration_are_asked_about_after_1_s_then_ever_less_often(reve: Reve, api: Api) -> None:
    waiting, gaps = Waiting(api, PagePoller(api), ()), []
    jobs = running(reve, range(1)) * 4
    for _ in range(5):
        gaps.append(until_poll(reve, waiting, jobs, sending=True))
        reve.clock.advance(gaps[-1])
        waiting.polled(1, answered=True)
    assert gaps == pytest.approx([1, 1.2, 2.2, 4, 4], abs=0.05)


def test_polls_are_more_frequent_after_the_last_request(reve: Reve, api: Api) -> None:
    waiting, tasks = Waiting(api, PagePoller(api, [15.0] * 40), ()), running(reve, range(15)) * 8
    waiting.polled(1, answered=True)
    beside, after = (until_poll(reve, waiting, tasks, sending=sending) for sending in (True, False))
    assert 1.2 * after < beside
    assert after < 2


def test_polls_with_many_requests_keep_within_their_share_of_the_rate(reve: Reve, api: Api) -> None:
    waiting, tasks = Waiting(api, PagePoller(api, [15.0] * 40), ()), running(reve, range(15)) * 8
    waiting.polled(9, answered=True)
    beside, after = (until_poll(reve, waiting, tasks, sending=sending) for sending in (True, False))
    assert 9 * 60 / START / beside <= 0.1
    assert 9 * 60 / START / after <= 0.21


def test_the_last_few_jobs_are_polled_by_their_own_schedule(reve: Reve, api: Api) -> None:
    waiting = Waiting(api, PagePoller(api, [15.0] * 40), ())
    assert until_poll(reve, waiting, running(reve, range(14, 16)), sending=False) == 0


def test_a_batch_that_listens_polls_as_usual_until_the_first_event(reve: Reve, api: Api) -> None:
    waiting, tasks = Waiting(api, PagePoller(api, [15.0] * 40), ()), running(reve, range(14))
    usual = until_poll(reve, waiting, tasks, sending=True)
    waiting.listens = True
    waiting.schedule(tasks[0])
    assert tasks[0].due - reve.clock.monotonic() < 5
    assert until_poll(reve, waiting, tasks, sending=True) == usual > 0
    waiting.hear("another job")
    waiting.schedule(tasks[0])
    assert tasks[0].due - reve.clock.monotonic() > 50


def test_a_single_command_that_listens_polls_once_a_minute_from_the_start(reve: Reve, api: Api) -> None:
    waiting, (task,) = Waiting(api, Poller(api), ()), running(reve, range(1))
    waiting.listens = True
    waiting.schedule(task)
    assert task.due - reve.clock.monotonic() > 50


def test_a_batch_listens_no_more_if_no_event_comes_for_30_s_after_a_job_ended(reve: Reve, api: Api) -> None:
    said: list[str] = []
    waiting, tasks = Waiting(api, PagePoller(api), (), said.append), running(reve, range(40, 50))
    waiting.listens = True
    for task in tasks[:4]:  # their events may be on their way
        waiting.ended(task)
    assert waiting.listens
    reve.clock.advance(31)
    for task in tasks[4:]:
        waiting.ended(task)
    assert not waiting.listens
    assert len(said) == 1


def listening(reve: Reve, api: Api) -> tuple[Waiting, list[Task]]:
    """A batch that listens, and its four running jobs."""
    waiting, tasks = Waiting(api, PagePoller(api), ()), running(reve, range(10, 14))
    for task in tasks:
        task.job_id = str(task.index)
    waiting.listens, waiting.tasks = True, tasks
    return waiting, tasks


@pytest.mark.parametrize("limit", [None, 60.0], ids=["usual limit", "60 a minute"])
def test_a_job_is_looked_at_when_its_event_comes_and_those_of_the_next_quarter_second_or_two_turns_together(
    reve: Reve, api: Api, limit: float | None
) -> None:
    waiting, (first, second, third, _) = listening(reve, api)
    api.sender.pace = Pace(reve.clock, limit)
    waiting.hear("10")
    assert waiting.looks() == [[first]]
    waiting.begin_look([first])
    waiting.hear("11")
    waiting.hear("12")
    assert waiting.looks() == []
    seconds = second.due - reve.clock.monotonic()
    assert seconds == pytest.approx(max(0.25, 2 / api.sender.pace.per_second))
    reve.clock.advance(seconds + 0.001)
    assert waiting.looks() == [[second, third]]


def look(waiting: Waiting, tasks: Sequence[Task], *ended: Task) -> None:
    """Look at `tasks`, which all still run except those in `ended`."""
    waiting.begin_look(tasks)
    status = {task.index: "COMPLETED" if task in ended else "PROCESSING" for task in tasks}
    waiting.looked(tasks, {str(task.job_id): Job(str(task.job_id), status[task.index]) for task in tasks})
    for task in tasks:
        if task in ended:
            task.phase = "done"
            waiting.forget(task)
        else:
            waiting.schedule(task)


def test_a_job_whose_event_came_too_early_is_looked_at_again_after_ever_longer_gaps(reve: Reve, api: Api) -> None:
    waiting, (task, *_) = listening(reve, api)
    gaps = []
    waiting.hear("10")
    for _ in range(6):
        (tasks,) = waiting.looks()
        look(waiting, tasks)
        gaps.append(task.due - reve.clock.monotonic())
        reve.clock.advance(gaps[-1])
    assert gaps[:5] == pytest.approx([0.25, 0.5, 1, 2, 4])
    assert gaps[5] > 0.25  # polled as usual from here on


def test_jobs_whose_events_came_too_early_share_every_look(reve: Reve, api: Api) -> None:
    waiting, (first, second, third, _) = listening(reve, api)
    waiting.hear("10")
    look(waiting, [first])
    reve.clock.advance(0.1)
    waiting.hear("11")
    reve.clock.advance(0.15)
    assert waiting.looks() == [[first, second]]
    look(waiting, [first, second])
    waiting.hear("12")
    reve.clock.advance(0.5)
    assert waiting.looks() == [[first, second, third]]


def test_after_an_early_event_looks_are_apart_and_less_so_after_each_that_comes_in_time(reve: Reve, api: Api) -> None:
    waiting, (first, second, third, fourth) = listening(reve, api)
    waiting.hear("10")
    for _ in range(4):
        look(waiting, [first])
        reve.clock.advance(first.due - reve.clock.monotonic())
    look(waiting, [first], first)
    for task, seconds in ((second, 2), (third, 1), (fourth, 0.5)):
        waiting.hear(str(task.job_id))
        assert task.due - reve.clock.monotonic() == pytest.approx(seconds)
        reve.clock.advance(seconds)
        look(waiting, [task], task)


def test_jobs_that_a_page_leaves_out_are_looked_at_one_by_one(reve: Reve, api: Api) -> None:
    waiting, tasks = listening(reve, api)
    for task in tasks:
        waiting.hear(str(task.job_id))
    waiting.begin_look(tasks)
    found: Found = {"10": Job("10", "COMPLETED")}
    waiting.looked(tasks, found)
    for task in tasks[1:]:
        waiting.schedule(task)
    assert waiting.looks() == [[task] for task in tasks[1:]]


def test_a_page_that_nobody_answered_leaves_no_job_out(reve: Reve, api: Api) -> None:
    waiting, tasks = listening(reve, api)
    for task in tasks:
        waiting.hear(str(task.job_id))
    waiting.begin_look(tasks)
    waiting.looked(tasks, None)
    for task in tasks:
        waiting.schedule(task)
    reve.clock.advance(0.25)
    assert waiting.looks() == [tasks]


def test_polls_do_not_ask_about_jobs_of_which_an_event_came(reve: Reve, api: Api) -> None:
    waiting, tasks = listening(reve, api)
    waiting.hear("10")
    assert [task for task in tasks if waiting.is_polled(task)] == tasks[1:]


def test_single_commands_poll_by_the_schedule_even_while_they_send(reve: Reve, api: Api) -> None:
    waiting = Waiting(api, Poller(api), ())
    assert until_poll(reve, waiting, running(reve, range(3)), sending=True) == 0


def test_nothing_is_polled_if_nothing_runs(reve: Reve, api: Api) -> None:
    assert Waiting(api, PagePoller(api), ()).next_poll([], sending=False) == float("inf")
