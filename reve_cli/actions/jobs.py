"""The work of `reve jobs`: list the account's jobs, or save their images.

May import: runtime and every package below it.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reve_cli.actions.drive import follow
from reve_cli.core.contract import JOB_STATUSES
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.models import Job, cut, is_model_name, job_id, moment, plural
from reve_cli.core.suggest import did_you_mean
from reve_cli.core.tasks import Task
from reve_cli.inputs.when import read_when
from reve_cli.terminal.joblist import FIRST, JOBS, JobLine
from reve_cli.terminal.streams import stdout_is_terminal

if TYPE_CHECKING:
    from reve_cli.api.endpoints import Page
    from reve_cli.journal.rows import Row
    from reve_cli.runtime import Runtime


@dataclass(frozen=True)
class Query:
    """Which jobs to take. An empty or None field does not filter.

    statuses: any of them. scope: `user` or `team`. job: a single job's id. since, until: when it was created, in epoch
    seconds, `until` exclusive. limit: maximum number, the newest; 0 is all.
    """

    statuses: Sequence[str]
    model: str | None
    scope: str | None
    job: str | None
    since: float | None
    until: float | None
    limit: int

    @classmethod
    def of(
        cls,
        statuses: Sequence[str],
        model: str | None,
        scope: str | None,
        job: str | None,
        since: str | None,
        until: str | None,
        limit: int | None,
        now: float,
        *,
        all_by_default: bool,
    ) -> "Query":
        """Return the query for typed options. all_by_default: there is no limit by default.

        Raises `ReveError` (code `usage`).
        """
        for status in statuses:
            if status.upper() not in JOB_STATUSES:
                near = did_you_mean(status, JOB_STATUSES)
                raise ReveError("usage", f"--status {status!r} is not one of {', '.join(JOB_STATUSES)}{near}")
        if model is not None and not is_model_name(model):
            raise ReveError("usage", f"--model {model!r} is not a model name")
        if job is not None and job_id(job) is None:
            example = "such as 01234567-89ab-cdef-0123-456789abcdef"
            raise ReveError("usage", f"--job {job!r} is not a job id {example}")
        begin = None if since is None else read_when(since, "--since", now)
        end = None if until is None else read_when(until, "--until", now, ends=True)
        default = 0 if all_by_default else FIRST
        known = sorted({status.upper() for status in statuses})
        return cls(known, model, scope, job and job_id(job), begin, end, default if limit is None else limit)

    @property
    def chooses(self) -> bool:
        """Whether the query filters, so that it may match nothing."""
        return bool(self.statuses or self.model or self.job or self.since is not None or self.until is not None)

    @property
    def filters(self) -> dict[str, str]:
        """The filters that the API can apply itself. It takes at most one status."""
        status = self.statuses[0] if len(self.statuses) == 1 else None
        filters = {"status": status, "model": self.model, "scope": self.scope, "search": self.job}
        return {name: value for name, value in filters.items() if value is not None}

    def wants(self, job: Job) -> bool:
        """Tell whether a job matches by status and time. A job with an unknown time matches no time."""
        if self.statuses and job.status not in self.statuses:
            return False
        created = moment(job.created_at)
        if created is None:
            return self.since is None and self.until is None
        return not self.is_past(job) and (self.until is None or created < self.until)

    def is_past(self, job: Job) -> bool:
        """Tell whether a job, and so every job listed after it, is older than `since`."""
        created = moment(job.created_at)
        return self.since is not None and created is not None and created < self.since


def show(run: "Runtime", query: Query) -> int:
    """Print the jobs that match `query`, newest first. Returns 0.

    A pipe gets each page as it arrives, a terminal one table at the end. Raises `ReveError` if a page fails, after
    printing the pages before it.
    """
    output, count, more = run.output, 0, False
    shown: list[Job] = []
    try:
        for jobs, more in _pages(run, query):  # noqa: B007 - used after the last page
            count += len(jobs)
            if output.json:
                for job in jobs:
                    output.document(Task(0, "done", job_id=job.id, job=job).document(run.api.http.simulated))
            elif stdout_is_terminal():
                shown += jobs
                output.spin(plural(count, "job"))
            else:
                output.rows(map(_row, jobs))
            if output.reader_left or output.error:
                return 0
    finally:
        _print_lines(run, shown)
    if not count:
        output.note("no job matches" if query.chooses else "no jobs")
    elif more:
        output.note(f"showing the newest {count}; --limit 0 shows all")
    return 0


def show_status(run: "Runtime", jobs: Sequence[Job]) -> None:
    """Print where jobs stand: as lines on a terminal, else tab-separated."""
    if stdout_is_terminal():
        _print_lines(run, jobs)
    else:
        run.output.rows(job.row() for job in jobs)


def _print_lines(run: "Runtime", jobs: Sequence[Job]) -> None:
    """Print jobs as lines on a terminal. Prompts and files that the API does not tell come from the journal."""
    if jobs:
        known, now = _in_journal(run, [job.id for job in jobs]), run.process.clock.now()
        run.output.listing(JOBS, [_line(job, known.get(job.id)).cells(now) for job in jobs])


def _line(job: Job, row: "Row | None") -> JobLine:
    """A job as a line of the table. row: its row in the journal, if it was begun on this machine."""
    progress = "" if not job.progress or job.ended else f" {job.progress:.0f} %"
    paths = [str(file["path"]) for file in (row.files or [] if row else []) if "temporary" not in file]
    return JobLine(
        name=job.id,
        begun=moment(job.created_at),
        state="expired" if job.expired else job.status + progress,
        credits="" if job.charge is None else f"{job.charge:.10g}",
        model=job.model or "",
        prompt=job.asked("prompt") or (str(row.request.get("prompt", "")) if row else ""),
        file=paths[0] if paths else "",
    )


def _in_journal(run: "Runtime", ids: Sequence[str]) -> "dict[str, Row]":
    """What the journal knows about jobs. Without a journal, nothing."""
    journal, _ = run.journal(begin=False)
    try:
        return {} if journal is None else journal.by_job(ids)
    except ReveError:
        return {}


def save(run: "Runtime", query: Query, out: str | None, *, force: bool) -> int:
    """Save the images of the jobs that match `query` and have some. Returns the exit code.

    Skips a job whose files exist, if their names contain its id. If a page fails, still saves the images of the pages
    before it.
    """
    run.naming(out, [], force=force)  # reports a wrong --out before the first request
    found: list[Job] = []
    left_out: Counter[str] = Counter()
    failure: ReveError | None = None
    try:
        for jobs, _ in _pages(run, query):
            for job in jobs:
                if job.status == "COMPLETED" and not job.expired:
                    found.append(job)
                else:
                    left_out["expired" if job.expired else cut(job.status)] += 1
    except ReveError as error:
        if not found or run.output.gave_up():
            raise
        failure = error.with_(message=f"the list of jobs is incomplete: {error.message}")
    all_tasks = [Task(index, "accepted", job_id=job.id) for index, job in enumerate(found, start=1)]
    naming = run.naming(out, all_tasks, force=force)
    tasks = []
    for task, job in zip(all_tasks, found, strict=True):
        if not force and naming.has_all(task, len(job.urls)):
            left_out["already saved"] += 1
        else:
            tasks.append(task)
    if left_out:
        run.output.note(f"skipped: {', '.join(f'{count} {why}' for why, count in left_out.items())}")
    code = 0
    if tasks:
        code = follow(run, tasks, "saved if ended", "bytes" if naming.to_stdout else "paths", naming)
    elif failure is None:
        run.output.note("nothing to save")
    if failure is not None:
        run.output.fail(failure)
        if run.output.json:
            run.output.document(Task(0, "done", error=failure).document(run.api.http.simulated))
        code = worst([code, failure.exit_code])
    return code


def _row(job: Job) -> list[str]:
    """Return the job as cells of the table, empty if unknown."""
    charge = job.charge
    return [
        job.id,
        job.status,
        job.model or "",
        "" if charge is None else f"{charge:.10g}",
        job.created_at or "",
        job.completed_at or "",
        "expired" if job.expired else "",
    ]


def _pages(run: "Runtime", query: Query) -> Iterator[tuple[list[Job], bool]]:
    """Yield the matching jobs of each page, each job once, and whether there may be more.

    Raises `ReveError` if a page fails, or if the server repeats pages without end.
    """
    left = query.limit or sys.maxsize
    seen: set[str] = set()
    cursors: set[str | None] = set()
    cursor: str | None = None
    while True:
        page = _page(run, query, cursor)
        fresh = {job.id: job for job in page.jobs if job.id not in seen}
        wanted = [job for job in fresh.values() if query.wants(job)]
        more = page.cursor is not None and not any(map(query.is_past, fresh.values()))
        yield wanted[:left], more or len(wanted) > left
        left -= min(left, len(wanted))
        if not left or not more:
            return
        seen |= fresh.keys()
        cursors.add(cursor)
        cursor = page.cursor
        if (page.jobs and not fresh) or cursor in cursors:
            raise ReveError("server", "the API's list of jobs does not end: it repeats a page")


def _page(run: "Runtime", query: Query, cursor: str | None) -> "Page":
    api, tries = run.api, run.process.limits.tries
    return run.ask(lambda: api.page(cursor, run.deadline, tries=tries, filters=query.filters))
