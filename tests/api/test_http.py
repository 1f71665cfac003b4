"""Sending: what an answer means, how long to wait, and when to stop."""

import email.utils
import math
import select
import socket
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reve_cli.api.answers import Answer, Failure
from reve_cli.api.judging import Verdict, judge
from reve_cli.core.clock import Clock, Deadline
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve

Simulate = Callable[..., Sandbox]
ERROR = {"error": "no"}


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Failure("refused", sent=False), Verdict.NOT_ACCEPTED),
        (Failure("reset", sent=True), Verdict.PERHAPS),
        (Answer(429, ERROR, {}), Verdict.NOT_ACCEPTED),
        (Answer(429, None, {}), Verdict.NOT_ACCEPTED),
        (Answer(503, ERROR, {}), Verdict.NOT_ACCEPTED),
        (Answer(503, None, {}), Verdict.PERHAPS),
        (Answer(403, None, {}), Verdict.NOT_ACCEPTED),
        (Answer(403, ERROR, {}), Verdict.REFUSED),
        *(
            (Answer(status, ERROR, {}), Verdict.REFUSED)
            for status in (400, 401, 402, 404, 405, 413, 422, 301, 307, 308)
        ),
        (Answer(409, ERROR, {}), Verdict.CONFLICT),
        *(
            (Answer(status, ERROR, {}), Verdict.PERHAPS)
            for status in (200, 202, 302, 303, 408, 500, 501, 502, 504, 520)
        ),
    ],
)
def test_the_table_of_answers_to_a_post(outcome: Answer | Failure, verdict: Verdict) -> None:
    assert judge("POST", outcome, usable=False)[0] is verdict


@given(status=st.integers(200, 599), data=st.none() | st.just(ERROR))
def test_a_get_is_never_perhaps_accepted(status: int, data: object) -> None:
    verdict, code = judge("GET", Answer(status, data, {}), usable=False)
    assert verdict in (Verdict.NOT_ACCEPTED, Verdict.REFUSED)
    assert code not in ("unsettled", "key_conflict")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("", 0), ("soon", 0), ("-3", 0), ("1.5", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("²", 0)],
)
def test_retry_after_in_seconds(reve: Reve, value: str, seconds: float) -> None:
    assert Answer(429, None, {"retry-after": value}).retry_after(reve.clock) == seconds


def test_retry_after_as_a_date_counts_from_the_servers_own_date(reve: Reve) -> None:
    headers = {"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    assert Answer(429, None, headers).retry_after(reve.clock) == 30
    later = email.utils.formatdate(reve.clock.now() + 9, usegmt=True)
    assert Answer(429, None, {"retry-after": later}).retry_after(reve.clock) == 9


@pytest.mark.parametrize("fault", ["429/7", "503/7"])
def test_the_server_is_waited_for_as_long_as_it_asks_and_that_is_said(
    reve: Reve, simulate: Simulate, fault: str
) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{fault}*1"))
    started = reve.clock.now()
    result = reve("generate", "fox", "--no-wait")
    assert result.code == 0
    assert reve.clock.now() - started >= 7
    assert "trying again in 7 s" in result.stderr
    first, second = (r for r in sandbox.requests if r.method == "POST")
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_what_all_requests_meet_is_said_once_and_again_after_some_seconds(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:503/3"))
    result = reve("generate", "fox", "--count", "4", "--no-wait")
    assert result.code == 6
    assert len(sandbox.requests) == 12
    assert 1 <= result.stderr.count("503: ") - 4 <= 3  # in 24 seconds, and an error for each


def test_a_question_that_must_be_answered_is_asked_again_within_a_minute(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("job:429/60000*1"))
    started = reve.clock.now()
    assert reve("generate", "fox", "--out", "fox.png", "--timeout", "86400").code == 0
    assert reve.clock.now() - started < 200


def test_no_time_limit_is_one_that_everything_can_wait_for() -> None:
    deadline = Deadline(Clock(), math.inf)
    assert not deadline.passed
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        assert select.select([server], [], [], deadline.left)[0]
    assert threading.Lock().acquire(timeout=deadline.left)


def test_a_wait_that_would_pass_the_deadline_is_not_begun(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:429/700"))
    started = reve.clock.now()
    result = reve("generate", "fox", "--no-wait", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "rate_limited")
    assert reve.clock.now() - started < 10


def test_while_polling_no_wait_that_the_server_asks_for_ends_the_command_early(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("job:429/9999"))
    started = reve.clock.now()
    assert reve("generate", "fox", "--out", "fox.png", "--timeout", "100").code == 75
    assert reve.clock.now() - started >= 100


def test_a_key_that_has_aged_between_two_tries_is_not_sent_again(reve: Reve, simulate: Simulate) -> None:
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
def test_an_error_is_one_line_that_people_can_read(reve: Reve, answer: bytes) -> None:
    server = Server(answer)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        result = reve("generate", "fox", "--no-wait", "--timeout", "20")
    finally:
        server.socket.close()
    assert result.code in (2, 75)
    assert max(map(len, result.stderr.splitlines())) < 1000


def test_a_server_that_is_not_there_is_6_and_nothing_was_accepted(reve: Reve) -> None:
    reve.environ |= {"APIFRAME_BASE_URL": "http://127.0.0.1:1", "APIFRAME_API_KEY": "afk_x"}
    result = reve("generate", "fox", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "network")
    assert "127.0.0.1:1" in result.stderr


def test_our_own_user_agent_is_sent(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert all(request.headers["user-agent"].startswith("reve-cli/") for request in sandbox.requests)


def test_the_request_id_is_shown_and_in_the_document(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:400"))
    result = reve("generate", "fox", "--json")
    assert result.document["error"]["requestId"]
    assert result.document["error"]["requestId"] in result.stderr
    assert result.document["error"]["details"]


def test_too_few_credits_are_said_in_numbers(reve: Reve, simulate: Simulate) -> None:
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
def test_no_answer_at_all_is_an_unhandled_exception(reve: Reve, status: bytes, kind: bytes, body: bytes) -> None:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    server = Server(head % (status, kind, len(body)) + body)
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
def test_no_bytes_on_the_wire_are_an_unhandled_exception(reve: Reve, raw: bytes) -> None:
    server = Server(raw)
    reve.environ |= {"APIFRAME_BASE_URL": server.url, "APIFRAME_API_KEY": "afk_x"}
    try:
        result = reve("generate", "fox", "--no-wait", "--timeout", "20", "--json")
    finally:
        server.socket.close()
    assert result.code in (6, 75)
    assert result.document["error"]["code"] != "internal"
