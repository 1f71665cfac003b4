"""A webhook at work: `reve webhook listen` in this process, and events posted to it from a thread."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from reve_cli.serving.signatures import Derivation, sign
from tests.conftest import KEY, Result, Reve
from tests.support.hooks import free_port
from tests.support.terminal import PATIENCE, eventually

STATUSES = {"completed": "COMPLETED", "failed": "FAILED", "progress": "PROCESSING"}


def payload(event: str, job: str, **more: Any) -> bytes:
    return json.dumps({"event": event, "jobId": job, "status": STATUSES.get(event), **more}).encode()


@dataclass
class Hook:
    """The listener's port, and what posts to it."""

    reve: Reve
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def post(self, body: bytes, headers: Mapping[str, str], *, path: str = "/", method: str = "POST") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            return connection.getresponse().status
        finally:
            connection.close()

    def event(self, event: str, job: str, *, key: str = KEY, kind: Derivation = "bytes", **more: Any) -> int:
        body = payload(event, job, **more)
        return self.post(body, {"X-Webhook-Event": event, "X-Webhook-Signature": sign(body, key, kind)})

    def listen(self, *arguments: str, then: Callable[[], object] = lambda: None, live: bool = False) -> Result:
        """Run `webhook listen`, and call `then` in a thread as soon as it listens. live: with the real clock."""
        problems: list[BaseException] = []
        ended = threading.Event()

        def is_listening() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
            except ConnectionRefusedError:
                return False
            return True

        def work() -> None:
            try:
                eventually(lambda: is_listening() or ended.is_set(), "a listener")
                then()
            except BaseException as error:
                problems.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            run = self.reve.child if live else self.reve
            return run("webhook", "listen", "--port", str(self.port), *arguments)
        finally:
            ended.set()
            thread.join()
            if problems:
                raise problems[0]


@pytest.fixture
def hook(reve: Reve) -> Hook:
    return Hook(reve, free_port())


@pytest.fixture
def job(reve: Reve, sandbox: Any) -> str:
    """A job that was submitted without a path, and has ended."""
    made = reve("generate", "an owl", "--no-wait").out.strip()
    reve.clock.advance(60)
    return made


@pytest.fixture
def handed_over(reve: Reve, sandbox: Any) -> str:
    """A job that was handed over with a path, and has ended."""
    options = ["--no-wait", "--out", "fox.png", "--webhook-url", "https://hooks.example.com/"]
    made = reve("generate", "a fox", *options).out.strip()
    reve.clock.advance(60)
    return made
