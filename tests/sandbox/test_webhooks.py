"""The sandbox delivers webhooks: what it sends, when, how often, and how faults spoil that."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from reve_cli.sandbox import ALL_FAULTS, Sandbox, parse_faults
from reve_cli.sandbox.outbox import GAPS
from reve_cli.serving.answers import Answer
from reve_cli.serving.requests import Request
from reve_cli.serving.server import Server
from reve_cli.serving.signatures import BadSignature, verify
from tests.conftest import KEY, MadeUpClock, Reve
from tests.support.terminal import PATIENCE

EVENTS = ("progress", "completed", "failed")
WAIT = PATIENCE


@dataclass
class Receiver:
    """Somebody's webhook. `statuses`: of its next answers; then 204."""

    server: Server
    arrived: "queue.SimpleQueue[Request]"
    statuses: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/hook?a=b"

    def next(self) -> Request:
        return self.arrived.get(timeout=WAIT)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    arrived: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def answer(request: Request) -> Answer:
        arrived.put(request)
        status = it.statuses.pop(0) if it.statuses else 204
        return Answer(status, headers={"Location": it.url} if status == 307 else {})

    it = Receiver(Server("receiver", "127.0.0.1", 0, answer), arrived)
    it.server.start()
    yield it
    it.server.stop()


@dataclass
class Bench:
    sandbox: Sandbox
    clock: MadeUpClock
    client: httpx.Client

    def submit(self, url: str, events: tuple[str, ...] | None = None) -> str:
        more = {} if events is None else {"webhookEvents": list(events)}
        body = {"prompt": "fox", "model": "reve-create", "webhookUrl": url, **more}
        answer = self.client.post(
            f"{self.sandbox.url}/v2/images/generate", json=body, headers={"X-API-Key": self.sandbox.key}
        )
        return str(answer.json()["jobId"])

    def get(self, job: str) -> Any:
        """The job, as the API has it. Like every request, it makes the sandbox look at the made-up clock."""
        return self.client.get(f"{self.sandbox.url}/v2/jobs/{job}", headers={"X-API-Key": self.sandbox.key}).json()

    def advance(self, seconds: float, job: str) -> None:
        self.clock.advance(seconds)
        self.get(job)

    def status(self, job: str, *expected: str) -> str:
        """The webhook's status, once it is one of these: a delivery is noted after it was answered."""
        end = time.monotonic() + WAIT
        while (status := self.get(job)["webhookStatus"]) not in expected and time.monotonic() < end:
            threading.Event().wait(0.01)
        return str(status)


Start = Callable[..., Bench]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts sandboxes on one folder and one made-up clock. Jobs take 10 s of it."""
    started: list[Bench] = []
    clock, client = MadeUpClock(), httpx.Client(trust_env=False, verify=False)  # noqa: S501

    def bench(faults: str = "", **options: Any) -> Bench:
        keywords: dict[str, Any] = {"job_seconds": 10, "requests_per_minute": 0, "key": KEY, **options}
        sandbox = Sandbox(tmp_path / "sandbox", faults=parse_faults(faults), clock=clock.now, **keywords)
        started.append(Bench(sandbox.start(), clock, client))
        return started[-1]

    yield bench
    for each in started:
        each.sandbox.stop()
    client.close()


def event(request: Request) -> str:
    return request.values("x-webhook-event")[0]


def signed(request: Request) -> str:
    return verify(request.body, request.values("x-webhook-signature"), [KEY])


def test_a_completed_job_is_reported_with_its_result_and_a_signature(start: Start, receiver: Receiver) -> None:
    bench = start()
    job = bench.submit(receiver.url, ("completed", "failed"))
    assert bench.get(job)["webhookStatus"] == "pending"
    bench.advance(10, job)
    request = receiver.next()
    assert (request.method, request.target, event(request)) == ("POST", "/hook?a=b", "completed")
    assert (signed(request), request.values("content-type")) == ("bytes", ["application/json"])
    document = bench.get(job)
    assert json.loads(request.body) == {
        "event": "completed",
        "jobId": job,
        "status": "COMPLETED",
        "progress": 100,
        "result": document["result"],
        "model": "reve-create",
        "creditCost": 4,
        "completedAt": document["completedAt"],
    }
    assert bench.status(job, "delivered") == "delivered"
    assert receiver.arrived.empty()


def test_a_failed_job_is_reported_with_its_error(start: Start, receiver: Receiver) -> None:
    bench = start("outcome:capacity")
    job = bench.submit(receiver.url, ("completed", "failed"))
    bench.advance(10, job)
    request = receiver.next()
    assert event(request) == "failed"
    assert json.loads(request.body) == {
        "event": "failed",
        "jobId": job,
        "status": "FAILED",
        "error": bench.get(job)["error"],
        "model": "reve-create",
    }


def test_progress_is_reported_as_the_job_goes_on(start: Start, receiver: Receiver) -> None:
    bench = start()
    job = bench.submit(receiver.url)
    seen = []
    for _ in range(4):
        bench.advance(2.6, job)
        document = json.loads(receiver.next().body)
        seen.append((document["event"], document["status"], document["progress"]))
    assert [name for name, _, _ in seen] == ["progress"] * 3 + ["completed"]
    assert [status for _, status, _ in seen] == ["PROCESSING"] * 3 + ["COMPLETED"]
    assert sorted(progress for _, _, progress in seen) == [progress for _, _, progress in seen]
    assert len({progress for _, _, progress in seen}) == 4


@pytest.mark.parametrize(
    ("faults", "events"), [("", ("failed",)), ("outcome:fail", ("completed",)), ("outcome:cancel", EVENTS[1:])]
)
def test_an_event_that_was_not_asked_for_or_does_not_happen_is_not_sent(
    start: Start, receiver: Receiver, faults: str, events: tuple[str, ...]
) -> None:
    bench = start(faults)
    job = bench.submit(receiver.url, events)
    bench.advance(10, job)
    assert bench.get(job)["webhookStatus"] is None
    bench.advance(10, bench.submit(receiver.url, EVENTS))
    assert json.loads(receiver.next().body)["jobId"] != job


@pytest.mark.parametrize("status", [404, 500, 307])
def test_a_refused_event_is_tried_again_after_1_and_4_seconds(start: Start, receiver: Receiver, status: int) -> None:
    bench = start()
    receiver.statuses = [status, status]
    job = bench.submit(receiver.url, ("completed",))
    bodies = set()
    for seconds in (10, *GAPS):
        bench.advance(seconds, job)
        bodies.add(receiver.next().body)
        while bench.sandbox._outbox and bench.sandbox._outbox._running:  # its time is that of the made-up clock
            threading.Event().wait(0.005)
    assert len(bodies) == 1
    assert bench.status(job, "delivered") == "delivered"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://example.com/hook", "https://127.0.0.1/", "http://10.0.0.1/"],
)
def test_an_event_that_nobody_receives_fails(start: Start, url: str) -> None:
    bench = start()
    job = bench.submit(url, ("completed",))
    assert bench.get(job)["webhookStatus"] == "pending"
    for _ in range(8):
        bench.advance(10, job)
        if bench.get(job)["webhookStatus"] == "failed":
            break
        threading.Event().wait(0.05)
    assert bench.status(job, "failed") == "failed"


def test_several_sandboxes_deliver_each_event_once(start: Start, receiver: Receiver) -> None:
    benches = [start() for _ in range(3)]
    for bench in benches:
        bench.sandbox.deliver()
    jobs = {benches[number % 3].submit(receiver.url, ("completed",)) for number in range(30)}
    benches[0].clock.advance(10)
    for bench in benches:
        bench.get(next(iter(jobs)))
    assert sorted(json.loads(receiver.next().body)["jobId"] for _ in jobs) == sorted(jobs)
    for job in jobs:
        assert benches[0].status(job, "delivered") == "delivered"
    assert receiver.arrived.empty()


def test_what_a_killed_process_began_to_send_is_sent_by_another(start: Start, receiver: Receiver) -> None:
    """The claim of a process ends some time after it was killed; here it is removed."""
    bench = start()
    job = bench.submit(receiver.url, ("completed",))
    with bench.sandbox._store.use() as database:
        database.execute("UPDATE deliveries SET claimed_until = ?", (time.time() + 1000,))
    bench.advance(10, job)
    with bench.sandbox._store.use() as database:
        database.execute("UPDATE deliveries SET claimed_until = ?", (time.time() - 1,))
    bench.advance(0, job)
    assert event(receiver.next()) == "completed"
    assert bench.status(job, "delivered") == "delivered"


def test_a_later_sandbox_sends_what_an_earlier_one_left_with_its_key(start: Start, receiver: Receiver) -> None:
    first = start()
    job = first.submit(receiver.url, ("completed",))
    first.sandbox.stop()
    second = start(key="afk_another")
    second.advance(10, job)
    assert signed(receiver.next()) == "bytes"


def test_stop_does_not_wait_for_a_receiver_that_does_not_answer(start: Start) -> None:
    asked, go = threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        asked.set()
        go.wait()
        return Answer(204)

    server = Server("receiver", "127.0.0.1", 0, answer)
    server.start()
    bench = start()
    job = bench.submit(f"http://127.0.0.1:{server.port}/", ("completed",))
    bench.advance(10, job)
    assert asked.wait(WAIT)
    bench.sandbox.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sandbox-")]
    go.set()
    server.stop()


def test_a_single_command_delivers_before_it_ends_what_is_due_soon(reve: Reve, receiver: Receiver) -> None:
    environ = {"REVE_SANDBOX_SECONDS": "0.2"}
    result = reve.child(
        "generate", "fox", "--sandbox", "--no-wait", "--webhook-url", receiver.url, "--webhook-event", "completed",
        env=environ,
    )  # fmt: skip
    assert result.code == 0, result.stderr
    assert json.loads(receiver.next().body)["jobId"] == result.out.strip()


def test_sandbox_serve_delivers_what_another_process_left(reve: Reve, receiver: Receiver, tmp_path: Path) -> None:
    reve.environ["REVE_STATE_DIR"] = str(tmp_path)
    with Sandbox(tmp_path / "sandbox", job_seconds=0.1, requests_per_minute=0) as sandbox, httpx.Client() as client:
        Bench(sandbox, MadeUpClock(), client).submit(receiver.url, ("completed",))
    server = subprocess.Popen(reve.command("sandbox", "serve"), env=reve.environ, stdout=subprocess.DEVNULL)
    try:
        assert event(receiver.next()) == "completed"
    finally:
        server.kill()
        server.wait()


# Faults

TESTED: set[str] = set()


def each(*faults: str) -> pytest.MarkDecorator:
    """Parametrize over these faults and mark them as tested."""
    TESTED.update(fault.partition("/")[0] for fault in faults)
    return pytest.mark.parametrize("fault", faults)


def ended(start: Start, receiver: Receiver, fault: str, events: tuple[str, ...] = ("completed",)) -> tuple[Bench, str]:
    bench = start(f"webhook:{fault}")
    job = bench.submit(receiver.url, events)
    bench.advance(10, job)
    return bench, job


@each("drop")
def test_drop_loses_every_try(start: Start, receiver: Receiver, fault: str) -> None:
    bench, job = ended(start, receiver, fault)
    for _ in range(8):
        bench.advance(5, job)
        if bench.get(job)["webhookStatus"] == "failed":
            break
        threading.Event().wait(0.05)
    assert bench.status(job, "failed") == "failed"
    assert receiver.arrived.empty()


@each("twice")
def test_twice_sends_the_same_bytes_again(start: Start, receiver: Receiver, fault: str) -> None:
    ended(start, receiver, fault)
    assert receiver.next().body == receiver.next().body


@each("late")
def test_late_sends_after_some_seconds(start: Start, receiver: Receiver, fault: str) -> None:
    bench, job = ended(start, receiver, fault)
    assert bench.get(job)["webhookStatus"] == "pending"
    assert receiver.arrived.empty()
    bench.advance(5, job)
    assert event(receiver.next()) == "completed"


@each("reorder")
def test_reorder_sends_progress_after_the_end(start: Start, receiver: Receiver, fault: str) -> None:
    bench, job = ended(start, receiver, fault, EVENTS)
    first = receiver.next()
    bench.advance(1, job)
    assert [event(first), *(event(receiver.next()) for _ in range(3))] == ["completed", *["progress"] * 3]


@each("early")
def test_early_sends_the_end_before_the_job_agrees(start: Start, receiver: Receiver, fault: str) -> None:
    bench = start(f"webhook:{fault}")
    job = bench.submit(receiver.url, ("completed",))
    bench.advance(9, job)
    assert json.loads(receiver.next().body)["status"] == "COMPLETED"
    assert bench.get(job)["status"] == "PROCESSING"


@each("badsign", "unsigned")
def test_badsign_and_unsigned_do_not_verify(start: Start, receiver: Receiver, fault: str) -> None:
    ended(start, receiver, fault)
    request = receiver.next()
    assert len(request.values("x-webhook-signature")) == (fault == "badsign")
    with pytest.raises(BadSignature):
        signed(request)


@each("hexsign")
def test_hexsign_signs_with_the_hash_as_text(start: Start, receiver: Receiver, fault: str) -> None:
    ended(start, receiver, fault)
    assert signed(receiver.next()) == "hex"


@each("chunked", "slow/0.05")
def test_chunked_and_slow_bodies_arrive_whole(start: Start, receiver: Receiver, fault: str) -> None:
    ended(start, receiver, fault)
    request = receiver.next()
    assert signed(request) == "bytes"
    assert request.values("transfer-encoding") == (["chunked"] if fault == "chunked" else [])


@each("string-result")
def test_string_result_is_the_url(start: Start, receiver: Receiver, fault: str) -> None:
    bench, job = ended(start, receiver, fault)
    assert json.loads(receiver.next().body)["result"] == bench.get(job)["result"]["images"][0]


def test_every_fault_of_webhooks_is_tested() -> None:
    assert {fault.partition(":")[2] for fault in ALL_FAULTS if fault.startswith("webhook:")} == TESTED
