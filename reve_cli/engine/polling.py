"""Where many jobs stand, asked at once: by pages of the newest, and by id for those that the pages leave out.

Imports `api`, `http`, `models`, `clock`, `errors`.
"""

import contextlib
from collections.abc import Mapping

from reve_cli.api.endpoints import PAGE, Api, Page
from reve_cli.api.sending import FOREVER
from reve_cli.core.clock import Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ENDED, Job, moment

Found = dict[str, Job | ReveError]
"""What was learned of jobs, by id; a job that nothing was learned of is not in it."""

_MISSING_AT_ONCE = 10
"""Jobs missing from the pages that are asked for by id in one poll."""
_FEW = 3
"""So many jobs are asked for by the newest pages, as they say more."""
_DOUBTS = 4
_QUICK = 2
"""Tries of one question in a poll of many jobs: the next poll asks again."""


class Poller:
    """Asks about running jobs, again and again. Used by one thread at a time."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turn = 0
        """Whose turn it is to be asked for by id."""

    def ask(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        """What can be learned of `jobs`, None where there is no answer, and in how many requests.

        A single one is always asked for by id.

        jobs: by id, the server's time before which the job was not made, in epoch seconds; 0 where that is not known.
        """
        single = len(jobs) == 1
        pages = [] if single else self._pages(len(jobs), deadline)
        found: Found = {job.id: job for job in pages}
        asked = self._by_id([job for job in jobs if job not in found], deadline, found, single=single)
        return found or None, asked + (0 if single else 1)

    def _by_id(
        self,
        missing: list[str],
        deadline: Deadline,
        found: Found,
        *,
        single: bool = False,
        most: int = _MISSING_AT_ONCE,
    ) -> int:
        """Ask for some of `missing`, whose turn it is, one by one. Returns how many were asked for."""
        turn = self._turn % max(1, len(missing))
        asked = (missing[turn:] + missing[:turn])[:most]
        self._turn += len(asked)
        for job in asked:
            try:
                found[job] = self._api.job(job, deadline, tries=FOREVER if single else _QUICK)
            except ReveError as error:
                if error.exit_code == 6 and not single:
                    break  # no answer proves nothing, and the next question would get none either
                found[job] = error
        return len(asked)

    def _pages(self, count: int, deadline: Deadline) -> list[Job]:
        """The newest jobs, at least `count` of them if there are so many; only those whose page tells enough.

        What a page leaves out, and pages that are not to be had, prove nothing: such jobs are asked for by id.
        """
        jobs: list[Job] = []
        cursor: str | None = None
        with contextlib.suppress(ReveError):
            for _ in range(count // PAGE + 1):
                page = self._api.page(cursor, deadline, tries=_QUICK)
                jobs += (job for job in page.jobs if job.urls or job.status != "COMPLETED")
                cursor = page.cursor
                if cursor is None:
                    break
        return jobs


class PagePoller(Poller):
    """For hundreds of jobs, made one after another: pages of those that have ended tell most that there is to know.

    Pages are sorted by when jobs were made. So what is not among the newest that are COMPLETED is still running, unless
    it is older than those, or ended otherwise, which is seldom, and asked about now and then; or the pages do not tell
    of it for reasons of their own, which asking for the oldest by id brings to light.
    """

    _PAGES = 3
    """Pages of completed jobs in one poll at most."""
    _EVERY = 6
    """Polls to each that asks about something else:"""
    _ELSE = ("FAILED", "oldest", "CANCELLED", "FAILED", "oldest")

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._polls = 0
        self._doubts = 0
        """Polls, more or less, that have shown of late that pages do not tell everything."""

    def ask(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        """The same."""
        if len(jobs) <= _FEW:
            return super().ask(jobs, deadline)
        self._polls += 1
        about = self._ELSE[self._polls // self._EVERY % len(self._ELSE)] if self._polls % self._EVERY == 0 else ""
        answered, found, unclear, requests = self._completed(jobs, deadline)
        latest = max(
            (moment(job.completed_at) or 0.0 for job in found.values() if isinstance(job, Job)), default=FOREVER
        )
        if about in ENDED:
            page = self._page(about, None, deadline)
            found |= {job.id: job for job in page.jobs} if page else {}
            requests += 1
        requests += self._by_id(unclear, deadline, found, most=_FEW)
        if self._doubts or about == "oldest":
            rest = sorted((job for job in jobs if job not in found), key=lambda job: jobs[job])[:_MISSING_AT_ONCE]
            requests += self._by_id(rest, deadline, found, most=min(2**self._doubts, _MISSING_AT_ONCE))
            untold = any(isinstance(job := found.get(name), Job) and _ended_before(job, latest) for name in rest)
            self._doubts = min(self._doubts + 1, _DOUBTS) if untold else max(self._doubts - 1, 0)
        return found if found or answered else None, requests

    def _completed(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[int, Found, list[str], int]:
        """What pages of completed jobs tell: more than one where many `jobs` are older.

        Returns how many pages were to be had; what they tell; which jobs are to be asked for by id, as pages tell too
        little or do not reach back to them; and the number of requests.
        """
        found: Found = {}
        untold: list[str] = []
        beyond = list(jobs)
        cursor: str | None = None
        pages = requests = 0
        while requests < self._PAGES:
            page = self._page("COMPLETED", cursor, deadline)
            requests += 1
            if page is None:
                break
            pages += 1
            for job in page.jobs:
                if job.urls or job.status != "COMPLETED":
                    found[job.id] = job
                elif job.id in jobs:
                    untold.append(job.id)
            cursor = page.cursor
            reach = -FOREVER if cursor is None else moment(page.jobs[-1].created_at) if page.jobs else None
            beyond = [job for job in jobs if job not in found and (reach is None or jobs[job] < reach)]
            if len(beyond) <= _FEW or cursor is None:
                break
        return pages, found, list(dict.fromkeys([*untold, *beyond])), requests

    def _page(self, status: str, cursor: str | None, deadline: Deadline) -> Page | None:
        """A page of jobs of one status; None where it is not to be had now."""
        try:
            return self._api.page(cursor, deadline, tries=_QUICK, filters={"status": status})
        except ReveError:
            return None


def _ended_before(job: Job, latest: float) -> bool:
    """Whether a page that told of a job which ended at `latest` should have told of this one."""
    return job.status == "COMPLETED" and (moment(job.completed_at) or 0.0) < latest
