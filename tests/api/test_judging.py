"""What an answer or a failure means, as pure functions."""

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reve_cli.api.answers import Answer, Failure
from reve_cli.api.judging import Verdict, error_of, judge, obstacle_of, settled
from reve_cli.api.sending import backoff
from reve_cli.core.errors import ReveError
from tests.conftest import Reve

ERROR = {"error": "no"}
URL = "https://api.reve.example"


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
def test_the_verdict_on_each_answer_to_a_post(outcome: Answer | Failure, verdict: Verdict) -> None:
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
def test_retry_after_is_read_as_seconds_or_ignored(reve: Reve, value: str, seconds: float) -> None:
    assert Answer(429, None, {"retry-after": value}).retry_after(reve.clock) == seconds


def test_retry_after_as_a_date_is_relative_to_the_servers_date(reve: Reve) -> None:
    headers = {"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    assert Answer(429, None, headers).retry_after(reve.clock) == 30
    later = email.utils.formatdate(reve.clock.now() + 9, usegmt=True)
    assert Answer(429, None, {"retry-after": later}).retry_after(reve.clock) == 9


def test_a_refusal_after_a_perhaps_accepted_try_is_unsettled() -> None:
    refusal = ReveError("insufficient_credits", "too few credits", request_id="r1", details={"creditsRequired": 4})
    error = settled(refusal, perhaps=True)
    assert (error.code, error.exit_code) == ("unsettled", 75)
    assert (error.request_id, error.details) == ("r1", {"creditsRequired": 4})
    assert error.message.endswith(refusal.message)


def test_an_error_is_kept_if_no_try_was_perhaps_accepted_or_it_is_already_75() -> None:
    refusal, conflict = ReveError("insufficient_credits", "too few credits"), ReveError("key_conflict", "in use")
    assert settled(refusal, perhaps=False) is refusal
    assert settled(conflict, perhaps=True) is conflict


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Failure("refused", sent=False), f"cannot reach {URL}: refused"),
        (Failure("reset", sent=True), f"no valid answer from {URL}: reset"),
        (Answer(400, {"error": "bad\n seed"}, {}), "the API answered 400: bad seed"),
        (Answer(400, {"details": {"seed": ["too big", "odd"]}}, {}), "the API answered 400 (seed: too big, odd)"),
        (Answer(500, ERROR, {"x-request-id": "r1"}), "the API answered 500: no [request r1]"),
        (Answer(502, None, {}), "unexpected answer with status 502: not the API's JSON"),
    ],
)
def test_the_message_for_an_unsuccessful_try(outcome: Answer | Failure, message: str) -> None:
    _, code = judge("POST", outcome, usable=False)
    assert error_of(code, outcome, URL).message == message


@pytest.mark.parametrize(
    ("outcome", "obstacle"),
    [
        (Failure("refused", sent=False), "cannot reach the API"),
        (Failure("reset", sent=True), "no answer from the API"),
        (Answer(429, ERROR, {}), "rate limit reached"),
        (Answer(503, ERROR, {}), "API error 503"),
        (Answer(502, None, {}), "gateway error 502"),
    ],
)
def test_the_obstacle_behind_an_unsuccessful_try(outcome: Answer | Failure, obstacle: str) -> None:
    assert obstacle_of(judge("POST", outcome, usable=False)[1], outcome) == obstacle


@given(number=st.integers(1, 2000), verdict=st.sampled_from([Verdict.PERHAPS, Verdict.CONFLICT, Verdict.NOT_ACCEPTED]))
def test_the_backoff_is_at_least_2_seconds_if_a_job_may_exist_and_never_grows_without_bound(
    number: int, verdict: Verdict
) -> None:
    least = 0.5 if verdict is Verdict.NOT_ACCEPTED else 2.0
    assert least <= backoff(number, verdict) <= 30 * 1.25
    assert backoff(1, verdict) <= least * 1.25
