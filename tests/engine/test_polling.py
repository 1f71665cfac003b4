"""Polling hundreds of jobs: how many requests it takes, how soon an end is noticed, and that no job is missed."""

import http.client
import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reve_cli.api.endpoints import Api
from reve_cli.api.http import Http
from reve_cli.api.sending import Sender
from reve_cli.core.clock import Deadline, Limits, Stop
from reve_cli.core.errors import ReveError
from reve_cli.core.models import Job, iso, moment
from reve_cli.engine.polling import Found, PagePoller, Poller
from reve_cli.sandbox import Fault, Sandbox, parse_faults
from tests.conftest import KEY, Reve
from tests.support.servers import Asked, Reply, answered, json_reply

Connect = Callable[[], PagePoller]
POLL = 1.0  # seconds between two polls


@pytest.fixture
def connect(reve: Reve) -> Iterator[Connect]:
    """A poller of the API in `reve`'s environment."""
    with ExitStack() as stack:

        def new() -> PagePoller:
            url = reve.environ["APIFRAME_BASE_URL"]
            clock, limits = reve.clock, Limits(connect=5, silence=5)
            link = Http(url, reve.environ["APIFRAME_API_KEY"], clock=clock, stop=Stop(), limits=limits, debug=None)
            stack.callback(link.close)
            return PagePoller(Api(Sender(link, print)))

        yield new


class Account:
    """Jobs of any duration and outcome on a sandbox, and a poller that watches them."""

    def __init__(self, reve: Reve, simulate: Callable[..., Sandbox], connect: Connect) -> None:
        self.clock, self.seconds = reve.clock, 15.0
        self.sandbox = simulate(job_seconds=lambda: self.seconds)
        self.poller = connect()
        self.running: dict[str, float] = {}
        self.late: list[float] = []
        self.requests = self.polls = 0
        self.connection = http.client.HTTPConnection(self.sandbox.url.removeprefix("http://"))

    def make(self, seconds: float = 15.0, outcome: str | None = None, *, foreign: bool = False) -> str:
        """Create a job. foreign: it is not watched."""
        self.seconds = seconds
        if outcome:
            self.sandbox.faults.append(Fault("outcome", outcome, times=1))
        headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
        self.connection.request("POST", "/v2/images/generate", b'{"prompt": "fox", "model": "reve-create"}', headers)
        job = str(json.loads(self.connection.getresponse().read())["jobId"])
        if not foreign:
            self.running[job] = self.clock.now() - 0.5
        return job

    def poll(self) -> Found | None:
        """Poll once, a second after the last poll, and stop watching jobs that have ended."""
        self.clock.advance(POLL)
        found, requests = self.poller.ask(self.running, Deadline(self.clock, 600))
        self.requests, self.polls = self.requests + requests, self.polls + 1
        for name, job in (found or {}).items():
            if isinstance(job, Job) and job.ended and name in self.running:
                del self.running[name]
                self.late.append(self.clock.now() - (moment(job.completed_at) or 0.0))
        return found

    def poll_until_none_is_left(self, most: int = 200) -> None:
        for _ in range(most):
            if not self.running:
                return
            self.poll()
        raise AssertionError(f"{len(self.running)} jobs were never found")


@pytest.fixture
def account(reve: Reve, simulate: Callable[..., Sandbox], connect: Connect) -> Iterator[Account]:
    simulated = Account(reve, simulate, connect)
    yield simulated
    simulated.connection.close()


def test_one_request_covers_a_hundred_jobs(account: Account) -> None:
    for _ in range(100):
        account.make()
    account.clock.advance(15)
    account.poll()
    assert (account.requests, account.running) == (1, {})


def test_one_request_covers_the_jobs_that_have_just_ended_and_one_more_each_that_failed(account: Account) -> None:
    ended = [account.make(5) for _ in range(4)] + [account.make(5, "fail")]
    for _ in range(120):
        account.make(60)
    account.clock.advance(6)
    jobs = {job: account.running[job] for job in ended}
    found, requests = account.poller.ask_ended(jobs, Deadline(account.clock, 600))
    assert requests == 2
    states = [job.status for name in ended if isinstance(job := (found or {}).get(name), Job)]
    assert states == ["COMPLETED"] * 4 + ["FAILED"]


def test_pages_of_all_jobs_and_of_completed_ones_tell_about_jobs_that_have_just_ended(account: Account) -> None:
    ended = {account.make(2): account.clock.now() for _ in range(3)}

    def ask_ended() -> tuple[Found | None, int]:
        return Poller.ask_ended(account.poller, ended, Deadline(account.clock, 600))  # as commands other than batch

    account.clock.advance(3)
    found, requests = ask_ended()
    assert (found or {}).keys() >= ended.keys()
    assert requests == 1
    for _ in range(100):
        account.make(60, foreign=True)
    found, requests = ask_ended()
    assert (found or {}).keys() >= ended.keys()
    assert requests == 2


def test_jobs_that_have_ended_are_found_on_older_pages_which_polls_still_read_when_they_would(account: Account) -> None:
    ended = [account.make(5) for _ in range(6)]
    account.clock.advance(1)
    for _ in range(100):
        account.make(5, foreign=True)
    account.clock.advance(1)
    for _ in range(30):
        account.make(60)
    account.clock.advance(6)
    jobs = {job: account.running[job] for job in ended}
    for _ in range(3):
        account.poll()
    assert account.requests == 3
    found, requests = account.poller.ask_ended(jobs, Deadline(account.clock, 600))
    assert requests == 2
    assert set(jobs) <= set(found or {})
    account.poll()  # six jobs have waited for four polls by then
    assert account.requests == 5
    assert len(account.running) == 30


def test_failed_and_cancelled_jobs_are_noticed_soon(account: Account) -> None:
    for number in range(60):
        account.make(20 + number % 5, {0: "fail", 10: "cancel", 20: "capacity"}.get(number % 30))
    account.poll_until_none_is_left()
    assert max(account.late) <= 20
    assert account.requests < 1.6 * account.polls


def test_a_few_jobs_are_polled_by_the_newest_page(account: Account) -> None:
    jobs = [account.make(15), account.make(15, "fail"), account.make(100)]
    account.clock.advance(20)
    found = account.poll()
    assert found is not None
    assert [job.status for job in map(found.get, jobs) if isinstance(job, Job)] == ["COMPLETED", "FAILED", "PROCESSING"]
    assert account.requests == 1


def test_old_jobs_of_an_earlier_run_are_asked_for_by_id(account: Account) -> None:
    """Their creation time is unknown, and hundreds of jobs were created since."""
    old = [account.make() for _ in range(7)]
    account.running = dict.fromkeys(old, 0.0)
    account.clock.advance(3600)
    for _ in range(350):
        account.make(foreign=True)
    for _ in range(30):
        account.make()
    account.clock.advance(20)
    account.poll_until_none_is_left()
    assert account.polls <= 10


def test_further_pages_are_read_if_other_jobs_fill_the_first(account: Account) -> None:
    for _ in range(40):
        account.make()
    account.clock.advance(5)
    for _ in range(230):
        account.make(5, foreign=True)
    account.clock.advance(10)
    account.poll()
    assert (account.running, account.requests) == ({}, 3)


def test_a_failed_page_is_requested_again_by_the_next_poll(account: Account) -> None:
    for _ in range(20):
        account.make()
    account.clock.advance(20)
    account.sandbox.faults = parse_faults("jobs:503*4,job:503*9")
    assert account.poll() is None
    account.sandbox.faults = []
    assert account.poll() is not None
    assert not account.running


def test_if_pages_always_fail_every_job_is_asked_for_by_id(account: Account) -> None:
    for number in range(30):
        account.make(outcome="fail" if number % 10 == 0 else None)
    account.clock.advance(20)
    account.sandbox.faults = parse_faults("jobs:403")
    account.poll_until_none_is_left()
    assert account.requests <= 30 + 2 * account.polls


@pytest.mark.parametrize(("median", "failing"), [(15, 0.0), (30, 0.0), (15, 0.05)])
def test_the_end_of_hundreds_of_jobs_is_noticed_within_about_a_second(
    account: Account, median: float, failing: float
) -> None:
    """Jobs begin at 8 a second, as the rate limit allows; polls are a second apart, mostly of one request."""
    chance = random.Random(1)  # noqa: S311 (draws, not secrets)
    for _ in range(40):
        for _ in range(8):
            seconds = median * chance.lognormvariate(0, 0.3)
            account.make(seconds, "capacity" if chance.random() < failing else None)
        account.poll()
    account.poll_until_none_is_left()
    assert sum(account.late) / len(account.late) < (1.0 if not failing else 1.5)
    assert account.requests < 2 * account.polls


class Server:
    """An unusual API: all jobs have ended, and `listed` decides what its pages contain."""

    def __init__(self, count: int) -> None:
        self.ids = [str(uuid.UUID(int=number)) for number in range(count)]
        self.by_id: list[str] = []
        self.listed: Callable[[dict[str, list[str]]], list[dict[str, Any]]] = lambda query: []

    def document(self, name: str, **more: object) -> dict[str, Any]:
        made, ended = iso(1_800_000_000.0), iso(1_800_000_010.0)
        job = {"id": name, "status": "COMPLETED", "createdAt": made, "completedAt": ended}
        return {**job, "result": {"images": ["https://example.com/x.png"]}, **more}

    def answer(self, asked: Asked) -> Reply:
        url = urlsplit(asked.target)
        if url.path == "/v2/jobs":
            return json_reply({"jobs": self.listed(parse_qs(url.query)), "hasMore": False, "nextCursor": None})
        self.by_id.append(url.path.rpartition("/")[2])
        return json_reply(self.document(self.by_id[-1]))


def watch(reve: Reve, connect: Connect, server: Server, most: int) -> tuple[int, int]:
    """Poll until every job is found. Returns the number of polls and of requests."""
    polls = requests = 0
    with answered(reve.environ, server.answer):
        poller, running = connect(), dict.fromkeys(server.ids, 1_799_999_999.0)
        while running:
            found, asked = poller.ask(running, Deadline(reve.clock, 600))
            polls, requests = polls + 1, requests + asked
            assert polls < most, f"{len(running)} jobs were never told of"
            for name, job in (found or {}).items():
                assert not isinstance(job, ReveError)
                if job.ended:
                    running.pop(name, None)
    return polls, requests


@pytest.mark.parametrize("others", [0, 50])
def test_jobs_missing_from_every_page_are_found_by_id(reve: Reve, connect: Connect, others: int) -> None:
    server = Server(60)
    foreign = [server.document(str(uuid.uuid4()), completedAt=iso(1_800_000_020.0)) for _ in range(others)]
    server.listed = lambda query: foreign if query.get("status") == ["COMPLETED"] else []
    polls, requests = watch(reve, connect, server, 40)
    assert sorted(server.by_id) == server.ids
    assert requests <= 60 + 1.5 * polls


def test_images_that_a_page_omits_are_found_by_id(reve: Reve, connect: Connect) -> None:
    server = Server(12)
    server.listed = lambda _: [server.document(name, result=None) for name in server.ids]
    watch(reve, connect, server, 10)
    assert sorted(server.by_id) == server.ids


def test_a_server_may_ignore_the_status_filter(reve: Reve, connect: Connect) -> None:
    server = Server(100)
    for_now = {"status": "PROCESSING", "completedAt": None, "result": None}
    pages = iter([[server.document(name, **for_now) for name in server.ids]])
    server.listed = lambda _: next(pages, [server.document(name) for name in server.ids])
    assert watch(reve, connect, server, 5) == (2, 2)
