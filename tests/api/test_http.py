"""Sending: waits, retries, time limits and error messages."""

import math
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reve_cli.core.clock import Clock, Deadline
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve

Simulate = Callable[..., Sandbox]


@pytest.mark.parametrize("fault", ["429/7", "503/7"])
def test_the_next_try_waits_as_long_as_the_server_asks_and_says_so(reve: Reve, simulate: Simulate, fault: str) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{fault}*1"))
    started = reve.clock.now()
    result = reve("generate", "fox", "--no-wait")
    assert result.code == 0
    assert reve.clock.now() - started >= 7
    assert "trying again in 7 s" in result.stderr
    first, second = (r for r in sandbox.requests if r.method == "POST")
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_an_obstacle_is_announced_once_for_all_requests_and_again_after_some_seconds(
    reve: Reve, simulate: Simulate
) -> None:
    sandbox = simulate(faults=parse_faults("submit:503/3"))
    result = reve("generate", "fox", "--count", "4", "--no-wait")
    assert result.code == 6
    assert len(sandbox.requests) == 12
    assert 1 <= result.stderr.count("503: ") - 4 <= 3  # in 24 seconds, and an error for each


def test_a_poll_is_repeated_within_minutes_whatever_retry_after_says(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("job:429/60000*1"))
    started = reve.clock.now()
    assert reve("generate", "fox", "--out", "fox.png", "--timeout", "86400").code == 0
    assert reve.clock.now() - started < 200


def test_an_infinite_deadline_gives_waits_that_every_system_call_accepts() -> None:
    deadline = Deadline(Clock(), math.inf)
    assert not deadline.passed
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        assert select.select([server], [], [], deadline.left)[0]
    assert threading.Lock().acquire(timeout=deadline.left)


def test_a_submission_ends_at_once_if_the_next_try_would_be_after_the_deadline(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:429/700"))
    started = reve.clock.now()
    result = reve("generate", "fox", "--no-wait", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "rate_limited")
    assert reve.clock.now() - started < 10


def test_a_long_retry_after_does_not_end_polling_before_the_time_limit(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("job:429/9999"))
    started = reve.clock.now()
    assert reve("generate", "fox", "--out", "fox.png", "--timeout", "100").code == 75
    assert reve.clock.now() - started >= 100


def test_an_idempotency_key_older_than_23_hours_is_not_sent_again(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:500"))
    aged: list[int] = []

    class Requests(list):  # type: ignore[type-arg]
        def append(self, request: object) -> None:
            if not aged:
                aged.append(1)
                reve.clock.advance(23 * 3600 + 1)
            super().append(request)

    sandbox.requests = Requests()
    result = reve("generate", "fox", "--no-wait", "--timeout", "86400", "--json")
    assert (result.code, result.document["error"]["code"]) == (75, "unsettled")
    assert "more than 23 hours ago" in result.stderr
    assert [request.method for request in sandbox.requests].count("POST") == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 " + b"x" * 60_000 + b"\r\n\r\n",
        b'HTTP/1.1 400 No\r\nContent-Type: application/json\r\n\r\n{"error":"%s","details":{"a":["%s"]}}'
        % (b"x" * 9000, b"y" * 9000),
    ],
)
def test_an_error_message_is_one_line_of_readable_length(reve: Reve, answer: bytes) -> None:
    server = Server(answer)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        result = reve("generate", "fox", "--no-wait", "--timeout", "20")
    finally:
        server.socket.close()
    assert result.code in (2, 75)
    assert max(map(len, result.stderr.splitlines())) < 1000


def test_an_unreachable_server_exits_6(reve: Reve) -> None:
    reve.environ |= {"APIFRAME_BASE_URL": "http://127.0.0.1:1", "APIFRAME_API_KEY": "afk_x"}
    result = reve("generate", "fox", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "network")
    assert "127.0.0.1:1" in result.stderr


def test_every_request_sends_our_user_agent(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert all(request.headers["user-agent"].startswith("reve-cli/") for request in sandbox.requests)


def test_the_request_id_is_in_the_message_and_in_the_document(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:400"))
    result = reve("generate", "fox", "--json")
    assert result.document["error"]["requestId"]
    assert result.document["error"]["requestId"] in result.stderr
    assert result.document["error"]["details"]


def test_an_error_for_too_few_credits_has_the_numbers(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:402"))
    error = reve("generate", "fox", "--json").document["error"]
    assert (error["code"], error["exitCode"]) == ("insufficient_credits", 4)
    assert error["details"]["creditsRequired"] > error["details"]["creditsAvailable"]


class Server:
    """Answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(self.answer)
                except OSError:
                    continue


@settings(max_examples=60)
@given(
    status=st.sampled_from([b"200 OK", b"202 Accepted", b"400 Bad", b"404 No", b"500 Oops", b"600 ?", b"99 ?"]),
    kind=st.sampled_from([b"application/json", b"text/html", b"image/png", b"\xff"]),
    body=st.binary(max_size=200)
    | st.sampled_from([b'{"jobId": 7}', b"[" * 5000, b'{"error": ["x"]}', b'{"details": {"a": 1}}', b"\xef\xbb\xbf{}"]),
)
def test_no_answer_causes_an_unhandled_exception(reve: Reve, status: bytes, kind: bytes, body: bytes) -> None:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    server = Server(head % (status, kind, len(body)) + body)
    reve.limits = replace(reve.limits, silence=1)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        submitted = reve("generate", "fox", "--no-wait", "--timeout", "20", "--json")
        looked = reve("status", "3f2a9c1e-0000-4000-8000-000000000001", "--timeout", "20", "--json")
    finally:
        server.socket.close()
    for result in (submitted, looked):
        assert result.code in (2, 3, 4, 6, 8, 75)
        assert result.document["error"]["code"] != "internal"
        assert "Traceback" not in result.stderr


@settings(max_examples=60)
@given(raw=st.binary(max_size=300))
def test_no_bytes_on_the_wire_cause_an_unhandled_exception(reve: Reve, raw: bytes) -> None:
    server = Server(raw)
    reve.limits = replace(reve.limits, silence=1)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        result = reve("generate", "fox", "--no-wait", "--timeout", "20", "--json")
    finally:
        server.socket.close()
    assert result.code in (6, 75)
    assert result.document["error"]["code"] != "internal"
