"""Which requests tell where running jobs stand: pages of the newest jobs, then single jobs that the pages leave out.

May import: api, core.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from reve_cli.api.endpoints import PAGE, Api, Page
from reve_cli.api.sending import FOREVER
from reve_cli.core.clock import Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import ENDED, Job, moment

# The job or the error that the API answered, by job id. A job without an answer is absent.
Found = dict[str, Job | ReveError]

# Jobs missing from the pages that one poll asks for by id, at most.
_MISSING_AT_ONCE = 10
# For up to this many jobs, pages of the newest jobs of any status suffice.
FEW = 3
_MOST_DOUBTS = 4
# Tries of one request in a poll of many jobs: the next poll asks again.
_QUICK = 2


class Poller:
    """Asks about running jobs, again and again. One thread at a time may call `ask`, and any thread `ask_ended`."""

    # Whether polls give way while requests wait: they then ask about no job before it has probably ended.
    gives_way = False
    # Seconds that the newest jobs took, in order; empty if too few are known.
    past: Sequence[float] = ()

    def __init__(self, api: Api) -> None:
        self._api = api
        # Where in the list of missing jobs to go on asking by id.
        self._turn = 0

    def ask(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        """Ask where `jobs` stand. Returns the answers (None if there are none) and the number of requests.

        jobs: by id, the earliest server time at which the job can have been created, in epoch seconds; 0 if unknown.
        A single job is always asked for by its id.
        """
        single = len(jobs) == 1
        pages = [] if single else self._pages(len(jobs), deadline)
        found: Found = {job.id: job for job in pages}
        asked = self._by_id([job for job in jobs if job not in found], deadline, found, single=single)
        return found or None, asked + (0 if single else 1)

    def ask_ended(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        """Ask about several jobs that have probably ended, by pages alone. Arguments and result are those of `ask`."""
        found: Found = {job.id: job for job in self._pages(len(jobs), deadline)}
        if len(jobs) - len(found.keys() & jobs.keys()) < 2:
            return found, 1
        page = self._page("COMPLETED", None, deadline)
        return found | {job.id: job for job in page.jobs if _is_whole(job)} if page else found, 2

    def _by_id(
        self,
        missing: list[str],
        deadline: Deadline,
        found: Found,
        *,
        single: bool = False,
        most: int = _MISSING_AT_ONCE,
    ) -> int:
        """Ask for the next `most` of `missing`, one by one. Returns how many requests that took."""
        turn = self._turn % max(1, len(missing))
        asked = (missing[turn:] + missing[:turn])[:most]
        self._turn += len(asked)
        for job in asked:
            try:
                found[job] = self._api.job(job, deadline, tries=FOREVER if single else _QUICK)
            except ReveError as error:
                if error.exit_code == 6 and not single:
                    break  # a lost connection proves nothing, and the next request would fail too
                found[job] = error
        return len(asked)

    def _pages(self, count: int, deadline: Deadline) -> list[Job]:
        """The newest jobs, at least `count` of them if there are that many, without those whose images a page omits.

        A job that is missing here may still run: it is asked for by id.
        """
        jobs: list[Job] = []
        cursor: str | None = None
        for _ in range(count // PAGE + 1):
            page = self._page(None, cursor, deadline)
            if page is None:
                break
            jobs += filter(_is_whole, page.jobs)
            cursor = page.cursor
            if cursor is None:
                break
        return jobs

    def _page(self, status: str | None, cursor: str | None, deadline: Deadline) -> Page | None:
        """A page of jobs, all with `status` if given; None if the API does not answer."""
        try:
            return self._api.page(cursor, deadline, tries=_QUICK, filters={"status": status} if status else None)
        except ReveError:
            return None


class PagePoller(Poller):
    """Asks about hundreds of jobs, submitted one after another, mostly by pages of COMPLETED jobs.

    Pages are sorted by creation time. A job that is not on a page of newest COMPLETED jobs is still running, with three
    exceptions: it is older than the page; it FAILED or was CANCELLED, which is rare, so those pages are read now and
    then; or the pages are incomplete, which asking for the oldest jobs by id reveals.
    """

    gives_way = True
    # Pages of completed jobs in one poll, at most.
    _PAGES = 10
    # Older pages are read when jobs older than the first page have waited for this many seconds in total; or for as
    # many seconds as there are jobs, if that is less.
    _WORTH_MORE_PAGES = 20.0
    # If a job is overdue, one poll in `_EVERY` also asks about one of these, in turn.
    _EVERY = 6
    _ELSE = ("FAILED", "oldest", "CANCELLED", "FAILED", "oldest")

    # Seconds after which a job is given up if nothing else runs and the API answers, but not about this job.
    _GIVE_UP = 300.0

    # Durations are learned from at most this many of the newest jobs, and from no fewer than the second number.
    _LEARN_FROM, _ENOUGH = 50, 5
    # A job is overdue after this many times the seconds within which nine of ten jobs end.
    _OVERDUE = 1.2

    def __init__(self, api: Api, past: Sequence[float] = ()) -> None:
        """past: seconds that earlier jobs took, newest first."""
        super().__init__(api)
        self._durations = deque(reversed(past), self._LEARN_FROM)
        self._sort()
        # The server's time minus ours, at least.
        self._offset = -FOREVER
        self._polls = 0
        # Rises with each poll that finds the pages incomplete, falls with each that does not.
        self._doubts = 0
        # Seconds that jobs older than the first page have waited since older pages were read, at least one a poll; and
        # when that was last noted.
        self._unread, self._noted_at = 0.0, FOREVER
        # By job: since when the API answers, but not about this job.
        self._silent_since: dict[str, float] = {}

    def ask(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        """Ask where `jobs` stand, as `Poller.ask` does, but never until the deadline: a batch may have none."""
        if len(jobs) <= FEW:
            return self._ask_few(jobs, deadline)
        self._polls += 1
        answered, found, unclear, requests = self._completed(jobs, deadline, self._have_waited)
        if answered != 1:
            self._unread = 0.0
        latest = max(
            (moment(job.completed_at) or 0.0 for job in found.values() if isinstance(job, Job)), default=FOREVER
        )
        self._learn(job for job in found.values() if isinstance(job, Job) and job.id in jobs)
        about = ""
        if self._polls % self._EVERY == 0 and self._is_overdue([jobs[job] for job in jobs if job not in found]):
            about = self._ELSE[self._polls // self._EVERY % len(self._ELSE)]
        if about in ENDED:
            page = self._page(about, None, deadline)
            found |= {job.id: job for job in page.jobs} if page else {}
            requests += 1
        requests += self._by_id(unclear, deadline, found, most=FEW)
        if self._doubts or about == "oldest":
            rest = sorted((job for job in jobs if job not in found), key=lambda job: jobs[job])[:_MISSING_AT_ONCE]
            requests += self._by_id(rest, deadline, found, most=min(2**self._doubts, _MISSING_AT_ONCE))
            was_omitted = any(isinstance(job := found.get(name), Job) and _ended_before(job, latest) for name in rest)
            self._doubts = min(self._doubts + 1, _MOST_DOUBTS) if was_omitted else max(self._doubts - 1, 0)
        return found if found or answered else None, requests

    def ask_ended(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        pages, found, _, requests = self._completed(jobs, deadline, lambda beyond, of: beyond > FEW)
        requests += self._by_id([job for job in jobs if job not in found], deadline, found, most=FEW)
        return found if found or pages else None, requests

    def _learn(self, ended: Iterable[Job]) -> None:
        """Record how long jobs took, and that the server's time is later than the end of each."""
        for job in ended:
            made, end = moment(job.created_at), moment(job.completed_at)
            if made is not None and end is not None:
                self._durations.append(end - made)
                self._offset = max(self._offset, end - self._api.http.clock.monotonic())
        self._sort()

    def _sort(self) -> None:
        """Set `past` from what was learned, once a poll: it is read far more often."""
        self.past = sorted(self._durations) if len(self._durations) >= self._ENOUGH else ()

    def _is_overdue(self, made: Sequence[float]) -> bool:
        """Whether one of the running jobs, made at these times, is overdue. True if no durations are known."""
        past, now = self.past, self._api.http.clock.monotonic() + self._offset
        return not past or min(made, default=FOREVER) < now - self._OVERDUE * past[int(0.9 * len(past))]

    def _ask_few(self, jobs: Mapping[str, float], deadline: Deadline) -> tuple[Found | None, int]:
        """Ask about the last few jobs by the page of newest jobs and by id. A single job is asked for by id first."""
        found: Found = {}
        page, requests = None, 0
        for ask_page in (False, True) if len(jobs) == 1 else (True, False):
            silent = [job for job in jobs if job not in found]
            if ask_page and silent:
                page, requests = self._page(None, None, deadline), requests + 1
                found |= {job.id: job for job in page.jobs if _is_whole(job)} if page else {}
            elif not ask_page:
                requests += sum(self._by_id([job], deadline, found) for job in silent)
        self._give_up([job for job in jobs if page and job not in found], len(jobs), found)
        return found if found or page else None, requests

    def _give_up(self, silent: Sequence[str], running: int, found: Found) -> None:
        """Add an error for each of `silent` jobs, if no other is `running` and this has lasted long.

        silent: jobs about which the API answers nothing, although it answers other requests.
        """
        now = self._api.http.clock.monotonic()
        self._silent_since = {job: self._silent_since.get(job, now) for job in silent}
        if len(silent) == running and all(now - since >= self._GIVE_UP for since in self._silent_since.values()):
            error = ReveError("server", "the API answers other requests, but not those about this job")
            found |= dict.fromkeys(silent, error)

    def _have_waited(self, beyond: int, of: int) -> bool:
        """Note that `beyond` of so many jobs are older than the first page. Returns whether to read older pages."""
        now = self._api.http.clock.monotonic()
        self._unread, self._noted_at = self._unread + beyond * max(1.0, now - self._noted_at), now
        return self._unread >= min(self._WORTH_MORE_PAGES, of)

    def _completed(
        self, jobs: Mapping[str, float], deadline: Deadline, reads_on: Callable[[int, int], bool]
    ) -> tuple[int, Found, list[str], int]:
        """Read the page of the newest completed jobs, and sometimes the pages with the older ones of `jobs`.

        reads_on: decides that after the first page: takes the numbers of jobs that are older than it, and of all jobs.
        Returns the number of pages read; the jobs found; the ids to ask for one by one, because a page omits their
        images or does not reach back to them; and the number of requests.
        """
        found: Found = {}
        unclear: list[str] = []
        cursor: str | None = None
        pages = requests = 0
        while requests < self._PAGES:
            page = self._page("COMPLETED", cursor, deadline)
            requests += 1
            if page is None:
                break
            pages += 1
            for job in page.jobs:
                if _is_whole(job):
                    found[job.id] = job
                elif job.id in jobs:
                    unclear.append(job.id)
            cursor = page.cursor
            reach = -FOREVER if cursor is None else moment(page.jobs[-1].created_at) if page.jobs else None
            beyond = [job for job in jobs if job not in found and (reach is None or jobs[job] < reach)]
            if (pages == 1 and not reads_on(len(beyond), len(jobs))) or not beyond:
                break
            if cursor is None or (len(beyond) <= FEW and pages > 1):
                unclear += beyond
                break
        return pages, found, list(dict.fromkeys(unclear)), requests


def _is_whole(job: Job) -> bool:
    """Whether a page tells all about a job: it may omit the images of one that is completed."""
    return bool(job.urls) or job.status != "COMPLETED"


def _ended_before(job: Job, latest: float) -> bool:
    """Whether a page with a job that ended at `latest` should also have listed this one."""
    return job.status == "COMPLETED" and (moment(job.completed_at) or 0.0) < latest
