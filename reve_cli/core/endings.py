"""The error that a job ends with, as the user sees it. Pure functions of a task and the original error.

Once the API has accepted a job, any error that keeps its images from being saved gives exit code 75, because the job
is paid for and must not be submitted again.

May import: core.errors, core.models, core.tasks.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from reve_cli.core.errors import WORST_FIRST, ErrorCode, ReveError
from reve_cli.core.models import Job, credits_of, cut, plural
from reve_cli.core.tasks import Task

Goal = Literal["accepted", "seen", "ended", "saved", "saved if ended"]
"""How far a command takes its jobs."""

FINISH = "; this command finishes it:"
"""The end of a message whose hint is the command that finishes the job."""
_ELSEWHERE = "it may belong to another account (another API key); --sandbox finds the sandbox's jobs, and only those"
FINAL = ("job_failed", "job_cancelled", "expired", "key_mismatch")  # nothing more can be done for such a job


def of_job(job: Job, *, key_is_given: bool) -> ReveError | None:
    """The error of a job that is not polled again, or None if its images can be saved."""
    if not job.ended:
        return ReveError("unfinished", f"job {job.id} is still running ({cut(job.status)})")
    if job.status != "COMPLETED":
        code: ErrorCode = "job_failed" if job.status == "FAILED" else "job_cancelled"
        said = f": {cut(job.error)}" if job.error else ""
        hint = "for 24 hours this idempotency key returns the same job: use a new key" if key_is_given else None
        return ReveError(code, f"job {job.id} {job.status}{said}", hint=hint)
    if job.expired:
        return expired(job)
    return None if job.urls else ReveError("no_image", f"job {job.id} is COMPLETED but has no images")


def of_images(problems: Sequence[ReveError | None]) -> ReveError | None:
    """The error of a job from those of its images. A missing image counts more than one saved at another path."""
    found = [problem for problem in problems if problem is not None]
    missing = [problem for problem in found if problem.code != "saved_elsewhere"]
    if missing:
        return min(missing, key=lambda problem: WORST_FIRST.index(problem.exit_code))
    if len(found) < 2:
        return found[0] if found else None
    hint = " && ".join(problem.hint for problem in found if problem.hint)
    return found[0].with_(message=f"{found[0].message} (and {plural(len(found) - 1, 'more image')})", hint=hint)


def expired(job: Job) -> ReveError:
    """The error of a job whose images the server has deleted."""
    return ReveError("expired", f"the images of job {job.id} have expired; the server keeps images for 24 hours")


def fault(error: Exception) -> ReveError:
    """The error for a bug in reve."""
    return ReveError("internal", cut(f"{type(error).__name__}: {error}"))


def cut_short(task: Task, why: str, *, interrupted: bool, goal: Goal) -> ReveError:
    """The error of a task that the time limit or a signal stopped. why: the message's beginning."""
    if task.phase in ("intent", "sending") and not task.was_sent:
        code: ErrorCode = "interrupted" if interrupted else "timed_out"
        return ReveError(code, f"{why} before the request was sent")
    if task.phase in ("intent", "sending"):
        return ReveError("unsettled", f"{why} before the request was answered")
    if task.missing_since is not None:
        return ReveError("unfinished", f"{why} while the API did not know job {task.job_id}")
    if task.job is None and goal in ("seen", "saved if ended"):
        return ReveError("timed_out", f"{why} before job {task.job_id} was looked up")
    if task.phase == "accepted":
        return ReveError("unfinished", f"{why} before job {task.job_id} ended")
    return ReveError("unsaved", f"{why} before all images of job {task.job_id} were saved")


def charge(task: Task, error: ReveError, *, simulated: bool) -> str:
    """What a task with this error was charged, in words; empty if this command cannot know."""
    if task.charge is not None:
        return f"charged {credits_of(task.charge, simulated=simulated)}" if task.charge else "not charged"
    if error.exit_code == 75:
        return "charge pending"
    return "nothing was charged" if task.request is not None and task.job_id is None else ""


def final(task: Task, error: ReveError, goal: Goal, recover: Callable[[Task], str], *, simulated: bool) -> ReveError:
    """The error that `task` finally shows: with its job's id and charge, and for exit code 75 with how to finish it.

    recover: returns the command that finishes a task. simulated: the API is the sandbox.
    """
    if task.job_id and task.job_id not in error.message:
        error = error.with_(message=f"job {task.job_id}: {error.message}")
    was_made = task.request is not None or (task.is_known and error.code == "not_found")
    ours = was_made and task.job_id is not None
    gave_up = task.job_id is not None and goal in ("ended", "saved") and error.exit_code == 6
    if task.phase == "sending" and error.code == "internal":
        error = error.with_(code="unsettled")
    elif goal == "saved if ended" and error.code == "unsaved":
        error = error.with_(code="download")
    elif (ours or gave_up) and error.code not in FINAL and error.exit_code != 75:
        error = error.with_(code="unfinished", message=f"unfinished: {error.message}", hint=None)
    if error.code == "not_found" and error.hint is None:
        error = error.with_(hint=_ELSEWHERE)
    charged = charge(task, error, simulated=simulated)
    if charged:
        error = error.with_(message=f"{error.message}; {charged}")
    if error.code == "saved_elsewhere":
        error = error.with_(message=f"{error.message}; to finish:", hint=recover(task) if task.rescued else error.hint)
    elif error.exit_code == 75 and error.hint is None:
        error = error.with_(message=error.message + FINISH, hint=recover(task))
    return error
