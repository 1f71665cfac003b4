"""Fetch and save every image of a job that has ended. If a URL is refused, ask for the job's current one.

May import: engine.saving, api, core.
"""

from dataclasses import dataclass

from reve_cli.api.download import Unusable
from reve_cli.api.endpoints import Api
from reve_cli.core import endings
from reve_cli.core.clock import DAY, Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import Job, moment
from reve_cli.core.tasks import Task
from reve_cli.engine.saving import Saver


@dataclass(frozen=True)
class Fetcher:
    """Saves the images of jobs with `saver`. Any thread may call it."""

    api: Api
    saver: Saver
    deadline: Deadline

    def save(self, task: Task) -> ReveError | None:
        """Save all images of `task`'s job. Returns the error that the task ends with; None if all are saved."""
        assert task.job is not None
        problems: list[ReveError | None] = []
        for number, url in enumerate(task.job.urls, start=1):
            try:
                problems.append(self._save_image(task, url, number))
            except ReveError as error:
                problems.append(error)
            except (Unusable, OSError) as error:
                why = f"image {number} of job {task.job_id} could not be saved: {error}"
                problems.append(ReveError("unsaved", why))
        return endings.of_images(problems)

    def _save_image(self, task: Task, url: str, number: int) -> ReveError | None:
        """Save one image. If its URL is refused, fetch the job once to see whether it has a new URL."""
        try:
            return self.saver.save(task, url, number, self.deadline)
        except Unusable as error:
            if not error.gone:
                raise
            job = self.api.job(str(task.job_id), self.deadline, tries=self.api.http.limits.tries)
            if job.expired:
                raise endings.expired(job) from error
            if len(job.urls) >= number and url not in job.urls:
                try:
                    return self.saver.save(task, job.urls[number - 1], number, self.deadline)
                except Unusable as again:
                    error = again
            if error.gone and self._is_old(job):
                raise endings.expired(job) from error
            raise error

    def _is_old(self, job: Job) -> bool:
        """Whether the job's images may have expired, by the server's clock: this machine's may be wrong."""
        created = moment(job.completed_at) or moment(job.created_at)
        return created is not None and self.api.account(self.deadline).at - created > DAY
