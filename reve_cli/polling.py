"""Where many jobs stand, asked at once: by pages of the newest, and by id for those that the pages leave out.

Imports `api`, `http`, `models`, `clock`, `errors`.
"""

import contextlib

from reve_cli.api import PAGE, Api
from reve_cli.clock import Deadline
from reve_cli.errors import ReveError
from reve_cli.http import FOREVER
from reve_cli.models import Job

Found = dict[str, Job | ReveError]
"""What was learned of jobs, by id; a job that nothing was learned of is not in it."""

_MISSING_AT_ONCE = 10
"""Jobs missing from the pages that are asked for by id in one poll."""
_FEW = 3
"""So many jobs are asked for by the newest pages, as they say more."""
_QUICK = 2
"""Tries of one question in a poll of many jobs: the next poll asks again."""


class Poller:
    """Asks about running jobs, again and again. Used by one thread at a time."""

    tells_of_all = False
    """Whether a poll costs the same for any number of jobs, so that it need not wait until one of them is due."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turn = 0
        """Whose turn it is to be asked for by id."""

    def ask(self, jobs: list[str], deadline: Deadline) -> tuple[Found, int]:
        """What can be learned of `jobs`, and in how many requests. A single one is always asked for by id."""
        single = len(jobs) == 1
        pages = [] if single else self._pages(len(jobs), deadline)
        found: Found = {job.id: job for job in pages}
        asked = self._by_id([job for job in jobs if job not in found], deadline, found, single=single)
        return found, asked + (0 if single else 1)

    def _by_id(self, missing: list[str], deadline: Deadline, found: Found, *, single: bool = False) -> int:
        """Ask for some of `missing`, whose turn it is, one by one. Returns how many were asked for."""
        turn = self._turn % max(1, len(missing))
        asked = (missing[turn:] + missing[:turn])[:_MISSING_AT_ONCE]
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
    """For hundreds of jobs, made one after another: a page of those that have ended tells most that there is to know.

    Pages are sorted by when jobs were made. So one page of the newest that are COMPLETED has all that ended since the
    last poll, unless a page of them was made after a job that still runs: that one is asked for by id. Other endings
    are seldom, and asked for now and then.
    """

    tells_of_all = True
    _OTHERS = ("FAILED", "FAILED", "CANCELLED")
    _EVERY = 4
    """Polls to each that asks for other endings."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._polls = 0

    def ask(self, jobs: list[str], deadline: Deadline) -> tuple[Found, int]:
        """What can be learned of `jobs`, the oldest first, and in how many requests."""
        if len(jobs) <= _FEW:
            return super().ask(jobs, deadline)
        self._polls += 1
        statuses = ["COMPLETED"]
        if self._polls % self._EVERY == 0:
            statuses.append(self._OTHERS[self._polls // self._EVERY % len(self._OTHERS)])
        found: Found = {}
        out_of_reach = 0
        for status in statuses:
            with contextlib.suppress(ReveError):
                page = self._api.page(None, deadline, tries=_QUICK, filters={"status": status})
                found |= {job.id: job for job in page.jobs if job.urls or job.status != "COMPLETED"}
                if page.cursor is not None and status == "COMPLETED":
                    reached = [place for place, job in enumerate(jobs) if job in found]
                    out_of_reach = min(reached, default=len(jobs))
        older = [job for job in jobs[:out_of_reach] if job not in found]
        asked = self._by_id(older, deadline, found)
        return found, len(statuses) + asked
