"""Runs a batch: reads the file into the worklist, removes what earlier runs made, and makes the rest.

May import: tables, webhooks, actions, runtime, engine, journal, api, core, batch. The engine is slow to load.
"""

import contextlib
import ctypes
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from reve_cli.actions.drive import engine_of, saver_of
from reve_cli.actions.generate import learn_account, set_caps, show_requests
from reve_cli.api.pace import Pace
from reve_cli.batch.continuing import Continuing
from reve_cli.batch.earlier import BatchRun, ask_journal, begun_rows, choose_run, left_behind, take_stock
from reve_cli.batch.items import Multiples, Source, read_items
from reve_cli.batch.manifest import Manifest, result_of, results
from reve_cli.batch.progress import LiveView, Report
from reve_cli.batch.results import ActiveItems, Page, Results
from reve_cli.batch.supply import BatchSupply, Webhook
from reve_cli.batch.tally import Stop, Tally
from reve_cli.batch.target import Target, check_name
from reve_cli.batch.worklist import Planned, Worklist
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.filesystem import local_path
from reve_cli.core.models import ImageRequest, is_loopback, iso
from reve_cli.core.tasks import Task
from reve_cli.engine.polling import PagePoller
from reve_cli.engine.recovery import recovery_command, resume_command
from reve_cli.engine.schedule import usual
from reve_cli.inputs.reading import open_input
from reve_cli.journal.ledger import Ledger
from reve_cli.runtime import Runtime
from reve_cli.tables.record import Record
from reve_cli.tables.record import check as check_report
from reve_cli.webhooks import listen_meanwhile

_TRIES = 10  # of one request; enough for an outage of a minute or two
_PAGE = 100
_MOST_ERRORS = 20
_M_ARENA_MAX = -8  # from glibc's malloc.h


@dataclass(frozen=True)
class Wishes:
    """The options of a batch. rate: maximum requests per minute. in_flight: maximum jobs. shard: I of N.

    report: the file for the table with its results. page: shows the images while they are made.
    """

    source: Source
    defaults: ImageRequest
    multiples: Multiples
    out: str | None = None
    force: bool = False
    run: str | None = None
    new: bool = False
    shard: tuple[int, int] | None = None
    retries: int = 3
    max_failures: int | None = None
    max_credits: str | None = None
    rate: float | None = None
    in_flight: int = 2000
    dry_run: bool = False
    report: str | None = None
    page: Page | None = None
    webhook: Webhook = field(default_factory=Webhook)

    def __post_init__(self) -> None:
        if self.page is not None and (self.shard or self.dry_run):
            raise ReveError("usage", f"--gallery cannot be used with {'--shard' if self.shard else '--dry-run'}")
        if self.report is not None and self.dry_run:
            raise ReveError("usage", "--report cannot be used with --dry-run")
        self.webhook.added_to(self.defaults)  # raises what is wrong with it


def make(run: Runtime, wishes: Wishes) -> int:
    """Make the missing images of a file. Returns the exit code."""
    run.take_your_time()
    out = None if wishes.out is None else local_path(wishes.out, "--out")
    _share_heaps()
    settings, now = run.defaults, run.process.clock.now()
    target = Target(
        out, settings.output_folder, settings.name_template, force=wishes.force, now=now, probes=not wishes.dry_run
    )
    report = None if wishes.report is None else local_path(wishes.report, "--report")
    wishes = replace(wishes, report=report)
    worklist, record = Worklist(run.process.limits.images), Record() if report is not None else None
    try:
        if report is not None:
            check_report(report, wishes.source.path, force=wishes.force)
        _read(run, wishes, worklist, target, record)
        if wishes.dry_run:
            return _show(run, wishes, worklist, target)
        _make_folder(target.folder)
        book = Manifest(target.folder, wishes.shard)
        if not book.is_locked:
            run.output.warn(f"{target.folder} is on a file system without locks: run no second batch there meanwhile")
        try:
            with contextlib.ExitStack() as shown:
                if wishes.page is not None:
                    wishes.page.begin(target.folder)
                    shown.callback(wishes.page.end)
                return _run(run, wishes, worklist, target, book, record)
        finally:
            book.close()
    finally:
        worklist.close()
        if record is not None:
            record.close()


def _share_heaps() -> None:
    """Tell glibc to use one heap for all threads: separate heaps grow over time."""
    with contextlib.suppress(Exception):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReveError("output", f"cannot create the folder {folder}: {error.strerror}") from error


def _read(run: Runtime, wishes: Wishes, worklist: Worklist, target: Target, record: Record | None) -> None:
    """Fill the worklist. Raises `ReveError` (code `usage`) after printing the first errors in the file."""
    invalid, source = 0, wishes.source

    def bad(line: int, why: str) -> None:
        nonlocal invalid
        invalid += 1
        if invalid <= _MOST_ERRORS:
            run.output.fail(ReveError("usage", f"{source.name}, line {line}: {why}"))

    streams = run.output.surroundings()
    if source.path == "-" and streams["stdin"] and streams["stderr"]:
        run.output.note("reading prompts from the terminal, one per line; press Ctrl-D to end")
    with run.ask(lambda: open_input(source.path, run.deadline)) as file:  # a FIFO may block
        items = read_items(file, source, wishes.defaults, wishes.multiples, bad)
        worklist.fill(items, lambda number, item: record.add(number, item.cells or {}) if record else None)
    worklist.set_paths(target.path, bad, target.place)
    if invalid:
        many = f"{invalid} invalid line{'s' if invalid > 1 else ''}"
        more = f" (the first {_MOST_ERRORS}, and {invalid - _MOST_ERRORS} more)" if invalid > _MOST_ERRORS else ""
        raise ReveError("usage", f"{source.name}: {many}{more}; nothing was submitted", hint=source.hint)
    if not worklist.size:
        raise ReveError("usage", f"{source.name} contains no prompts")
    for note in source.notes():
        run.output.note(note)
    if source.seen.decorated and not source.strip:
        many = f"{source.seen.decorated} line{'s have' if source.seen.decorated > 1 else ' has'}"
        run.output.warn(f"{many} a bullet, a number or quotation marks around the prompt; --strip removes these")
    if wishes.shard:
        worklist.keep_shard(*wishes.shard)


def _show(run: Runtime, wishes: Wishes, worklist: Worklist, target: Target) -> int:
    """Print the requests that would be sent, by manifest and journal. Needs no key; sends and writes nothing."""
    ledger = _past_only(run)
    chosen = choose_run(target.folder, wishes.run, ledger.journal, ledger.account.origin, new=wishes.new)
    _look_back(run, wishes, worklist, target, chosen, ledger)
    there, again, begun, codes = worklist.size - worklist.left, 0, 0, [0]
    while planned := worklist.take(_PAGE):
        rows = begun_rows(chosen, ledger.journal, ledger.account.origin, planned) if ledger.journal else {}
        for one in planned:
            row = rows.get(one.number)
            if row is not None and row.state == "saved" and row.files:
                is_there = all(os.path.isfile(file["path"]) for file in row.files)
                there, again = there + is_there, again + (not is_there)
            elif one.job is not None or row is not None:
                again, begun = again + (one.job is not None), begun + (one.job is None)
            else:
                codes.append(_show_one(run, wishes, target, one))
    parts = [f"{worklist.size - there - again - begun} of {worklist.size} to submit"]
    parts += [f"{there} already saved"] if there else []
    parts += [f"{again} to download again (no charge)"] if again else []
    parts += [f"{begun} submitted earlier, to finish"] if begun else []
    run.output.note("; ".join([*parts, *wishes.source.skipped()]))
    return worst(codes)


def _show_one(run: Runtime, wishes: Wishes, target: Target, one: Planned) -> int:
    """Print the request of an item. Returns the exit code that its path would cause."""
    task, naming = Task(one.number, "intent", request=wishes.webhook.added_to(one.request)), target.naming(one.out)
    show_requests(run, [task], naming)
    try:
        check_name(naming, task, one, make_folder=False)
    except ReveError as error:
        run.output.fail(error.with_(message=f"line {one.line}: {error.message}"))
        return error.exit_code
    return 0


def _past_only(run: Runtime) -> Ledger:
    """The ledger for reading the journal, without a key."""
    journal, lost = run.journal(begin=False)
    origin, days = "sandbox" if run.sandbox else run.settings.base_url, run.settings.history_days
    return Ledger(journal, origin=origin, key="", clock=run.process.clock, say=run.say, lost=lost, keep_days=days)


def _look_back(
    run: Runtime,
    wishes: Wishes,
    worklist: Worklist,
    target: Target,
    chosen: BatchRun,
    ledger: Ledger,
) -> None:
    """Remove the items that are made from the worklist, judging by the manifest, the ledger's journal and the files."""
    if chosen.is_known or not wishes.dry_run:
        worklist.choose_seeds(chosen.seed)
    elif worklist.has("is_random"):
        run.output.note("random seeds are chosen when the batch begins")
    here = is_loopback(urlsplit(run.settings.base_url).hostname or "")  # maybe a sandbox
    take_stock(
        worklist,
        target.folder,
        chosen,
        simulated=lambda it_was: here or it_was == run.sandbox,
        warn=run.output.warn,
    )
    if worklist.left and ask_journal(worklist, target.folder, chosen, ledger) and not wishes.dry_run:
        learn_account(run, ledger)
    if not wishes.force and not wishes.new:
        worklist.skip_existing(os.path.isfile)


def _run(
    run: Runtime, wishes: Wishes, worklist: Worklist, target: Target, book: Manifest, record: Record | None
) -> int:
    ledger = run.ledger(begin=True)
    if ledger.journal is None and run.keeps_a_journal:
        message = f"a batch needs the journal: {ledger.lost}; nothing was submitted"
        raise ReveError("journal", message, hint="set REVE_JOURNAL=off to run without it")
    chosen = choose_run(target.folder, wishes.run, ledger.journal, ledger.account.origin, new=wishes.new)
    _look_back(run, wishes, worklist, target, chosen, ledger)
    there = worklist.size - worklist.left
    if worklist.left:
        set_caps(run, ledger, wishes.defaults.model, wishes.max_credits)
        if ledger.spending.caps:
            ledger.spending.caps.check_command(worklist.to_buy)
        book.begin(chosen.name, iso(run.process.clock.now()), chosen.instead)
        known = ledger.account.rate
        run.api.sender.pace = Pace(run.process.clock, wishes.rate, known, worklist.left, worklist.share)
        run.api.http.limits = replace(run.api.http.limits, tries=max(_TRIES, run.api.http.limits.tries))
    now = run.process.clock.monotonic()
    tally, stop = Tally(worklist.size, there, now), Stop(wishes.max_failures)
    report = _make_images(run, wishes, worklist, target, book, ledger, chosen, tally, stop, record)
    code = _tell(run, chosen, book, ledger, tally, stop, report)
    ledger.end(told=code == 0 and not run.process.stop)
    if record is not None and wishes.report is not None:
        for name, result in results(target.folder, chosen.counts):
            record.note_named(name, result)
        record.write(wishes.report, worklist.ids(), wishes.source.seen)
    return code


def _make_images(
    run: Runtime,
    wishes: Wishes,
    worklist: Worklist,
    target: Target,
    book: Manifest,
    ledger: Ledger,
    chosen: BatchRun,
    tally: Tally,
    stop: Stop,
    record: Record | None,
) -> Report:
    """Make all images that are left."""
    clock, active = run.process.clock, ActiveItems()
    view = LiveView(
        run.output,
        clock,
        tally,
        phases=active.phases,
        trouble=lambda: run.api.sender.obstacles.tell(),
        simulated=run.is_simulated,
    )
    report = Report(
        run.output,
        tally,
        view,
        simulated=run.is_simulated,
        is_over=run.is_over,
        skipped=wishes.source.skipped(),
        failed=lambda task: record.note(task.index, result_of(task.document(False))) if record else None,
    )
    if not worklist.left:
        return report
    listen_meanwhile(run, wishes.webhook.listen)
    results = Results(
        active,
        tally,
        book,
        view,
        report,
        stop,
        clock=clock,
        run=chosen.name,
        retries=wishes.retries,
        simulated=run.is_simulated,
        page=wishes.page,
    )
    past = ledger.durations(wishes.defaults.model)
    view.usual = usual(past)
    saver = saver_of(run, active.naming, ledger)
    continuing = Continuing(active, tally, target, ledger, saver, results, clock, run.flags)
    supply = BatchSupply(
        chosen,
        worklist,
        target,
        ledger,
        active,
        continuing,
        results,
        stop,
        webhook=wishes.webhook,
        style=run.style,
        in_flight=wishes.in_flight,
        keeps_a_journal=run.keeps_a_journal,
    )

    def recover(task: Task) -> str:
        naming = active[task.index].naming if task.index in active else None
        return recovery_command(task, naming, ledger, run.flags)

    poller = PagePoller(run.api, past)
    engine = engine_of(run, "saved", ledger, saver, results, recover, past, supply=supply, poller=poller)
    engine.run([])
    pace = run.api.sender.pace
    if pace is not None and (learned := pace.learned) is not None:
        ledger.account.note_rate(learned)
    if engine.refusal is not None:
        stop.because(engine.refusal)
    run.output.rest()
    return report


def _tell(
    run: Runtime, chosen: BatchRun, book: Manifest, ledger: Ledger, tally: Tally, stop: Stop, report: Report
) -> int:
    """Print the warnings and the summary at the end. Returns the exit code."""
    refusal = stop.reason
    if refusal is None and tally.unbegun and not run.process.stop:
        refusal = ReveError("timed_out", f"the time limit of {run.deadline.seconds:g} s passed")
    if not book.is_there:
        known = "; the journal has all results" if ledger.journal else ""
        run.output.warn(f"{book.path} was moved, replaced or removed during the run{known}")
    if others := left_behind(chosen, ledger, tally.unfinished_runs):
        theirs = resume_command(others, run.flags)
        run.output.warn(f"jobs of removed lines are paid for but not saved; save them with: {theirs}")
    again = "run the same command again" + (", without --new" if chosen.is_new else "")
    finish = (lambda runs: resume_command(runs, run.flags)) if ledger.journal else None
    report.summary(run.process.clock.monotonic(), again, finish, refusal)
    return tally.exit_code(refusal)
