"""What a job ends with: from what the API, the network or we ourselves say to the error that the user sees.

Pure functions of a task and an error. The rule that they keep: once a job is accepted, whatever keeps it from its file
is 75, never a refusal. Imports `tasks`, `models`, `errors`.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from reve_cli.core.errors import WORST_FIRST, ErrorCode, ReveError
from reve_cli.core.models import Job, cut
from reve_cli.core.tasks import Task

Goal = Literal["accepted", "seen", "ended", "saved", "saved if ended"]
"""How far a command takes its jobs."""

FINISH = "; do not submit it again, but finish it with:"
"""What stands before the command that finishes a job."""
_FINAL = ("job_failed", "job_cancelled", "expired", "key_mismatch")
"""Nothing is left to be done for a job that ended like this."""


def of_job(job: Job, *, key_is_given: bool) -> ReveError | None:
    """What a job that is not asked about again ends with; None where its images are there to be had."""
    if not job.ended:
        return ReveError("unfinished", f"job {job.id} is still running ({cut(job.status)})")
    if job.status != "COMPLETED":
        code: ErrorCode = "job_failed" if job.status == "FAILED" else "job_cancelled"
        said = f": {cut(job.error)}" if job.error else ""
        hint = "an idempotency key answers with its job for 24 hours: use a new one" if key_is_given else None
        return ReveError(code, f"job {job.id} {job.status}{said}", hint=hint)
    if job.expired:
        return expired(job)
    return None if job.urls else ReveError("no_image", f"job {job.id} COMPLETED, but names no image")


def of_images(problems: Sequence[ReveError | None]) -> ReveError | None:
    """What a job ends with, from what became of each image: what is missing comes before what only has to be moved."""
    found = [problem for problem in problems if problem is not None]
    missing = [problem for problem in found if problem.code != "saved_elsewhere"]
    if missing:
        return min(missing, key=lambda problem: WORST_FIRST.index(problem.exit_code))
    if len(found) < 2:
        return found[0] if found else None
    hint = " && ".join(problem.hint for problem in found if problem.hint)
    return found[0].with_(message=f"{found[0].message} (and {len(found) - 1} more images likewise)", hint=hint)


def expired(job: Job) -> ReveError:
    return ReveError("expired", f"the images of job {job.id} have expired: the server keeps them for 24 hours")


def fault(error: Exception) -> ReveError:
    """A fault of ours."""
    return ReveError("internal", cut(f"{type(error).__name__}: {error}"))


def cut_short(task: Task, why: str, *, interrupted: bool, goal: Goal) -> ReveError:
    """What a task ends with that the time limit or a signal has ended: by how far it had come."""
    if task.phase in ("intent", "sending") and not task.was_sent:
        code: ErrorCode = "interrupted" if interrupted else "timed_out"
        return ReveError(code, f"{why} before the request was sent")
    if task.phase in ("intent", "sending"):
        return ReveError("unsettled", f"{why} before the request was answered")
    if task.job is None and goal in ("seen", "saved if ended"):
        return ReveError("timed_out", f"{why} before job {task.job_id} was looked up")
    if task.phase == "accepted":
        return ReveError("unfinished", f"{why} before job {task.job_id} ended")
    return ReveError("unsaved", f"{why} before all images of job {task.job_id} were saved")


def charge(task: Task, error: ReveError) -> str:
    """What a task that ended with `error` was charged, in words; empty where that is not this command's to say."""
    if task.charge is not None:
        return f"charged {task.charge:g} credits" if task.charge else "not charged"
    if error.exit_code == 75:
        return "charge pending"
    return "nothing was charged" if task.request is not None and task.job_id is None else ""


def final(task: Task, error: ReveError, goal: Goal, recover: Callable[[Task], str]) -> ReveError:
    """`error` as `task` ends with it, with the job's name in it, and for 75 with the command that finishes it."""
    if task.job_id and task.job_id not in error.message:
        error = error.with_(message=f"job {task.job_id}: {error.message}")
    ours = task.request is not None and task.job_id is not None
    gave_up = task.job_id is not None and goal in ("ended", "saved") and error.exit_code == 6
    if task.phase == "sending" and error.code == "internal":
        error = error.with_(code="unsettled")
    elif goal == "saved if ended" and error.code == "unsaved":
        error = error.with_(code="download")
    elif (ours or gave_up) and error.code not in _FINAL and error.exit_code != 75:
        error = error.with_(code="unfinished", message=f"not seen to its end: {error.message}", hint=None)
    charged = charge(task, error)
    if charged:
        error = error.with_(message=f"{error.message}; {charged}")
    if error.code == "saved_elsewhere":
        error = error.with_(message=f"{error.message}; to finish:")
    if error.exit_code == 75 and error.hint is None:
        error = error.with_(message=error.message + FINISH, hint=recover(task))
    return error
