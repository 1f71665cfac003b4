"""The error that a job ends with."""

import pytest

from reve_cli.core import endings
from reve_cli.core.endings import Goal
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import ImageRequest, Job
from reve_cli.core.tasks import Phase, Task

JOB = "3f2a9c1e-0000-4000-8000-000000000001"


def task(phase: Phase, *, job: bool = True, ours: bool = True, sent: bool = True) -> Task:
    seen = Job(JOB, "COMPLETED") if phase in ("completed", "saving") else None
    request = ImageRequest("fox") if ours else None
    return Task(1, phase, request=request, job_id=JOB if job else None, job=seen, was_sent=sent)


@pytest.mark.parametrize(
    ("phase", "job", "interrupted", "goal", "code", "exit_code"),
    [
        ("intent", False, False, "saved", "unsettled", 75),
        ("sending", False, True, "saved", "unsettled", 75),
        ("sending", False, False, "accepted", "unsettled", 75),
        ("accepted", True, True, "saved", "unfinished", 75),
        ("accepted", True, False, "ended", "unfinished", 75),
        ("accepted", True, False, "seen", "timed_out", 6),
        ("accepted", True, False, "saved if ended", "timed_out", 6),
        ("completed", True, True, "saved", "unsaved", 75),
        ("saving", True, False, "saved", "unsaved", 75),
        ("saving", True, False, "saved if ended", "unsaved", 75),
    ],
)
def test_the_error_of_an_interrupted_task_depends_on_its_progress(
    phase: Phase, job: bool, interrupted: bool, goal: Goal, code: ErrorCode, exit_code: int
) -> None:
    error = endings.cut_short(task(phase, job=job), "why", interrupted=interrupted, goal=goal)
    assert (error.code, error.exit_code) == (code, exit_code)


@pytest.mark.parametrize("phase", ["intent", "sending"])
@pytest.mark.parametrize(("interrupted", "code"), [(True, "interrupted"), (False, "timed_out")])
def test_a_request_that_was_never_sent_is_not_unsettled(phase: Phase, interrupted: bool, code: ErrorCode) -> None:
    error = endings.cut_short(task(phase, job=False, sent=False), "why", interrupted=interrupted, goal="saved")
    assert error.code == code


@pytest.mark.parametrize(
    ("code", "phase", "goal", "ours", "final"),
    [
        ("network", "sending", "saved", True, "network"),
        ("internal", "sending", "saved", True, "unsettled"),
        ("network", "accepted", "saved", True, "unfinished"),
        ("invalid_key", "accepted", "saved", True, "unfinished"),
        ("internal", "saving", "saved", True, "unfinished"),
        ("job_failed", "accepted", "saved", True, "job_failed"),
        ("expired", "saving", "saved", True, "expired"),
        ("key_mismatch", "accepted", "saved", True, "key_mismatch"),
        ("invalid_key", "accepted", "ended", False, "invalid_key"),
        ("not_found", "accepted", "saved", False, "not_found"),
        ("network", "accepted", "ended", False, "unfinished"),
        ("network", "accepted", "seen", False, "network"),
        ("unsaved", "saving", "saved", False, "unsaved"),
        ("unsaved", "saving", "saved if ended", False, "download"),
        ("unfinished", "accepted", "saved if ended", False, "unfinished"),
    ],
)
def test_an_accepted_job_without_its_file_ends_with_75(
    code: ErrorCode, phase: Phase, goal: Goal, ours: bool, final: ErrorCode
) -> None:
    subject = task(phase, job=phase != "sending", ours=ours)
    error = endings.final(subject, ReveError(code, "why"), goal, lambda _: "reve wait", simulated=False)
    assert error.code == final
    assert (error.hint == "reve wait") == (error.exit_code == 75)
    assert subject.job_id is None or subject.job_id in error.message


def test_only_a_completed_job_with_images_has_no_error() -> None:
    assert endings.of_job(Job(JOB, "COMPLETED", urls=("https://a.example",)), key_is_given=False) is None
    for job, code in (
        (Job(JOB, "COMPLETED"), "no_image"),
        (Job(JOB, "COMPLETED", urls=("https://a.example",), expired=True), "expired"),
        (Job(JOB, "FAILED", error="x" * 10**6), "job_failed"),
        (Job(JOB, "CANCELLED"), "job_cancelled"),
        (Job(JOB, "x" * 10**6), "unfinished"),
    ):
        error = endings.of_job(job, key_is_given=True)
        assert error is not None
        assert error.code == code
        assert len(error.message) < 500


def problem(code: ErrorCode, hint: str | None = None) -> ReveError:
    return ReveError(code, code, hint=hint)


def test_a_missing_image_counts_more_than_one_saved_elsewhere() -> None:
    moved, again = problem("saved_elsewhere", "mv a b"), problem("saved_elsewhere", "mv c d")
    assert endings.of_images([None, None]) is None
    assert endings.of_images([None, moved]) is moved
    both = endings.of_images([moved, None, again])
    assert both is not None
    assert both.hint == "mv a b && mv c d"
    missing = endings.of_images([moved, problem("expired"), problem("unsaved"), moved])
    assert missing is not None
    assert missing.code == "unsaved"
