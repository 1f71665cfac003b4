"""`Sandbox`: the API server and the image server (CDN), their shared store, the rate limit and the faults.

May import: the rest of this package, except simulation; serving.
"""

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from reve_cli.core.clock import MINUTE
from reve_cli.sandbox import api
from reve_cli.sandbox.faults import Fault, take
from reve_cli.sandbox.messages import Answer, Request, Side, error_answer
from reve_cli.sandbox.store import JobRecord, Plan, Store
from reve_cli.serving import requests
from reve_cli.serving.server import Server

if TYPE_CHECKING:
    from reve_cli.sandbox.outbox import Outbox
    from reve_cli.sandbox.webhooks import Event

HOST = "127.0.0.1"
# Nobody attacks it, and a client under test may be stopped for a while.
_BOUNDS = requests.Bounds(head_seconds=60, request_seconds=60, body_bytes=64 * 1024)
_CONNECTIONS = 256
_WINDOW = MINUTE


@dataclass(frozen=True)
class Recorded:
    """A received request. `path` includes the query; header names are in lower case."""

    side: Side
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Sandbox:
    """The API, simulated on 127.0.0.1. Start it with `start`, or use it as a context manager.

    folder: keeps its jobs.
    key: the API key it requires; None for the folder's own, known once it has started. user: the id of that key's user.
    port: the API's port; 0 for any free one.
    faults: its faults. `self.faults` may be changed while it runs; faults with a number of times are counted down.
    job_seconds: how long each job takes.
    requests_per_minute: the rate limit, checked before faults; 0 for none.
    credits: of the account before its first job.
    clock: returns the time in epoch seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key: str | None = None,
        user: str = api.USER,
        port: int = 0,
        faults: Iterable[Fault] = (),
        job_seconds: float | Callable[[], float] = 2.0,
        requests_per_minute: int = 500,
        credits: int = api.CREDITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key = key or ""
        self.faults = list(faults)
        self.requests: list[Recorded] = []
        self.url = ""
        self.cdn_url = ""
        self._port = port
        self._job_seconds = job_seconds
        self._requests_per_minute = requests_per_minute
        self._clock = clock
        self._store = Store(folder)
        self._user = user
        self._credits = credits
        self._outbox: Outbox | None = None
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()
        self._servers: list[Server] = []

    def start(self) -> "Sandbox":
        """Start both servers. Raises OSError if the port is taken or the folder is not usable."""
        self._store.open()
        try:
            self.key = self.key or self._store.api_key()
            self._servers.append(self._server("api", self._port))
            self._servers.append(self._server("cdn", 0))
        except OSError:
            self.stop()
            raise
        self.url, self.cdn_url = (f"http://{HOST}:{server.port}" for server in self._servers)
        for server in self._servers:
            server.start()
        if self._store.has_deliveries():
            self.deliver()
        return self

    def deliver(self) -> None:
        """Deliver webhooks from now on, also those of other processes that use the folder."""
        with self._lock:
            if self._outbox is None:
                from reve_cli.sandbox.outbox import Outbox

                self._outbox = Outbox(self._store, self._clock, self.cdn_url)

    def stop(self, grace: float = 0.0) -> None:
        """Close every connection, even hanging ones, and end every thread. May be called again.

        grace: before that, spend up to this many seconds on webhooks that become due in that time.
        """
        if self._outbox is not None and grace:
            self._outbox.drain(grace)
        while self._servers:
            self._servers.pop().stop()
        if self._outbox is not None:
            self._outbox.stop()
            self._outbox = None
        self._store.close()

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def jobs(self) -> list[JobRecord]:
        """Every job in the folder in its current state, oldest first."""
        return self._store.all(self._clock())

    @property
    def charged(self) -> int:
        """Credits charged for all jobs in the folder."""
        return self._store.charged(self._clock())

    def _server(self, side: Side, port: int) -> Server:
        return Server(
            f"sandbox-{side}",
            HOST,
            port,
            lambda request: self._complete(self._answer(side, request)),
            malformed=lambda status, text: self._complete(error_answer(status, text)),
            bounds=_BOUNDS,
            connections=_CONNECTIONS,
        )

    def _answer(self, side: Side, received: requests.Request) -> Answer:
        now = self._clock()
        headers: dict[str, str] = {}
        for name, value in received.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        with self._lock:
            self.requests.append(Recorded(side, received.method, received.target, headers, received.body, now))
        origin = self.url if side == "api" else self.cdn_url
        request = Request(side, received.method, received.target, headers, received.body, now, origin, self.cdn_url)
        refusal = self._refusal(request)
        if refusal:
            return refusal
        route = api.find(request)
        if isinstance(route, Answer):
            return route
        service = api.Service(self._store, self.key, self._user, self._plan, self._credits)
        fault = take(self.faults, route.place, self._lock)
        if fault:
            answer = fault.effect()(request, lambda given: api.process(service, route, given), fault.argument)
        else:
            answer = api.process(service, route, request)
        if answer.about:
            self._store.note_answered(answer.about, now)
        if self._outbox is not None:
            self._outbox.wake()
        return answer

    def _refusal(self, request: Request) -> Answer | None:
        """The answer to a request from a web page (recognized by Host and Origin), or over the rate limit."""
        port = request.origin.rpartition(":")[2]
        if request.headers.get("host", "").lower() not in (f"{HOST}:{port}", f"localhost:{port}"):
            return error_answer(403, "The sandbox answers only to its own address")
        if "origin" in request.headers:
            return error_answer(403, "The sandbox does not answer web pages")
        wait = self._wait(request.now) if request.side == "api" else 0
        return error_answer(429, Retry_After=str(wait)) if wait else None

    def _wait(self, now: float) -> int:
        """Whole seconds until the rate limit allows another request; 0 admits this one."""
        if not self._requests_per_minute:
            return 0
        with self._lock:
            while self._recent and self._recent[0] <= now - _WINDOW:
                self._recent.popleft()
            if len(self._recent) >= self._requests_per_minute:
                return max(1, math.ceil(self._recent[0] + _WINDOW - now))
            self._recent.append(now)
            return 0

    def _plan(self) -> Plan:
        """The course of the next job."""
        fault = take(self.faults, "outcome", self._lock)
        duration = self._job_seconds if isinstance(self._job_seconds, int | float) else self._job_seconds()
        if fault is None:
            return Plan(duration, events=self._events)
        images = int(fault.argument or 3) if fault.what == "images" else 1
        return Plan(duration, fault.what, images, self._events)

    def _events(self, job: JobRecord) -> "list[Event]":
        """The webhooks of a new job."""
        if "webhookUrl" not in job.body:
            return []
        from reve_cli.sandbox import webhooks

        def fault() -> tuple[str, str | None] | None:
            found = take(self.faults, "webhook", self._lock)
            return (found.what, found.argument) if found else None

        events = webhooks.plan(job, fault)
        if any(event.status == "pending" for event in events):
            self.deliver()
        return events

    def _complete(self, answer: Answer) -> Answer:
        """The answer, with the headers that every answer has."""
        headers = {
            "Date": formatdate(self._clock(), usegmt=True),
            "x-request-id": f"req_{secrets.token_hex(8)}",
            "X-Reve-Sandbox": "1",
        }
        return replace(answer, headers={**headers, **answer.headers})
