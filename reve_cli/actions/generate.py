"""The work of `reve generate`: start a run, or continue the same command's interrupted run.

May import: runtime and every package below it.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reve_cli.actions.drive import drive
from reve_cli.core.clock import DAY
from reve_cli.core.contract import GENERATE_PATH
from reve_cli.core.errors import ReveError
from reve_cli.core.tasks import Task, new_key
from reve_cli.core.templates import Values
from reve_cli.engine.naming import Naming
from reve_cli.journal.states import CLOSED
from reve_cli.runtime import Runtime
from reve_cli.settings.settings import amount

if TYPE_CHECKING:
    from reve_cli.actions.report import Shows
    from reve_cli.journal.ledger import Ledger
    from reve_cli.journal.rows import Row


def generate(
    run: Runtime,
    tasks: list[Task],
    naming: Naming | None,
    *,
    waits: bool = True,
    new: bool = False,
    max_credits: str | None = None,
    look: Callable[[str], None] | None = None,
) -> int:
    """Generate and save images, or continue the same command's interrupted run. Returns the exit code.

    naming: where to save; None saves nothing. waits: until the images are saved; otherwise the journal keeps where
    another command saves them, and no command continues the run. look: called for the path of each saved image.
    """
    from reve_cli.journal.ledger import identity_of

    if new and any(task.key_is_given or task.scope for task in tasks):
        raise ReveError("usage", "--new cannot be used with --once or --idempotency-key")
    ledger = run.ledger(begin=True)
    request = tasks[0].request
    set_caps(run, ledger, request.model if request else run.settings.model, max_credits)
    where = naming.identity if naming and waits else None
    identity = identity_of(ledger.account.origin, tasks, where) if where else None
    rows = {} if new or identity is None else _claim_run(run, ledger, identity)
    if not rows and not new and (before := _as_before(tasks)):
        former = identity_of(ledger.account.origin, before, where) if where else None
        rows = _claim_run(run, ledger, former) if former else {}
        if rows or _are_known(ledger, before):
            tasks, identity = before, former
    if naming is not None and rows:
        tasks = _continue_run(run, ledger, list(rows.values()), naming)
        to_send = sum(task.phase == "intent" for task in tasks)
        to_pay = f"{to_send} of {len(tasks)} still to submit" if to_send else "nothing more to pay"
        start_over = "" if tasks[0].key_is_given or tasks[0].scope else "; --new starts over"
        run.output.note(f"continuing this command's interrupted run ({to_pay}){start_over}")
        announce_wait(run, tasks)
    else:
        if naming is not None:
            naming.check(tasks)
            for task in tasks:
                task.out, task.replaces = naming.as_row(task)
                task.style = run.style
        ledger.begin(tasks, identity)
    if naming is None or not waits:
        outcome = drive(run, tasks, "accepted", "ids", ledger, by_run=True)
    else:
        shows: Shows = "bytes" if naming.to_stdout else "paths"
        outcome = drive(run, tasks, "saved", shows, ledger, lambda _: naming, rows, by_run=True, look=look)
    ledger.end(told=outcome.exit_code == 0 and not run.process.stop)
    return outcome.exit_code


def _as_before(tasks: Sequence[Task]) -> list[Task]:
    """The same tasks with their prompt as it was typed, as earlier versions sent it; none if that is no different."""
    before: list[Task] = []
    for task in tasks:
        request = task.request.as_before() if task.request else None
        if request is None:
            return []
        key = new_key(task.scope, request, task.index, task.attempt) if task.scope else task.idempotency_key
        before.append(replace(task, request=request, idempotency_key=key))
    return before


def _are_known(ledger: "Ledger", tasks: Sequence[Task]) -> bool:
    """Whether the journal has these requests under keys that are the same in every run."""
    bodies = {str(task.idempotency_key): task.request.body().decode() for task in tasks if task.request}
    if ledger.journal is None or not any(task.key_is_given or task.scope for task in tasks):
        return False
    rows = ledger.journal.latest(ledger.account.origin, list(bodies))
    return any(row.body == bodies[key] for key, row in rows.items())


def set_caps(run: Runtime, ledger: "Ledger", model: str, max_credits: str | None) -> None:
    """Give the ledger the spending caps, if any, and the price of an image.

    The price is the API's, else the setting `credits_per_image`, else the highest charge in the journal. Raises
    `ReveError` if there is a cap and the price is unknown, or if a damaged journal hides spending of the last day.
    """
    from reve_cli.journal.journal import damaged_since
    from reve_cli.journal.spending import Caps

    day = run.settings.max_credits_per_day
    if max_credits is None and day is None:
        return
    try:
        command = None if max_credits is None else amount(max_credits)
    except ValueError as error:
        raise ReveError("usage", f"--max-credits {max_credits!r} {error}") from error
    if day is not None and run.state and (damaged := damaged_since(run.state, run.process.clock.now() - DAY)):
        message = f"{damaged} is a damaged journal of the last 24 hours: spending is unknown; nothing was submitted"
        raise ReveError("journal", message, hint="move it to another folder to ignore what it recorded")
    prices = (
        run.ask(lambda: run.api.price(model, run.deadline)),
        run.settings.credits_per_image,
        ledger.highest_charge(model),
    )
    price = next((price for price in prices if price is not None), None)
    if price is None:
        if run.process.stop:
            raise ReveError("interrupted", "interrupted before the request was sent")
        if run.deadline.passed:
            trouble = f" ({run.api.sender.trouble})" if run.api.sender.trouble else ""
            limit = f"the time limit of {run.deadline.seconds:g} s passed"
            raise ReveError("timed_out", f"{limit} while the price was asked for{trouble}; nothing was submitted")
        message = f"the price of {model} is unknown, so the spending cap cannot be checked; nothing was submitted"
        raise ReveError("price_unknown", message, hint="set credits_per_image in the config file")
    ledger.spending.caps = Caps(command, day, price, run.api.http.simulated)


def _claim_run(run: Runtime, ledger: "Ledger", identity: str) -> "dict[int, Row]":
    """Claim the same command's interrupted run. Returns its rows by number, empty if there is none."""
    if ledger.journal is None:
        return {}
    from reve_cli.engine.unfinished import adopt

    rows = adopt(ledger, ledger.journal, identity, run.process.clock, run.flags, lambda: learn_account(run, ledger))
    return {row.number: row for row in rows}


def _continue_run(run: Runtime, ledger: "Ledger", rows: "Sequence[Row]", naming: Naming) -> list[Task]:
    """Return the rows' tasks. Jobs that were refused, given up, failed or expired start again under a new key.

    Raises `ReveError` if the jobs still to submit exceed a cap, or if their output paths cannot be written.
    """
    from reve_cli.engine.recovery import resume_command
    from reve_cli.engine.unfinished import task_of

    journal, tasks = ledger.journal, [task_of(row, row.number, run.process.clock, owned=True) for row in rows]
    assert journal is not None
    try:
        with journal.at_once():
            for row, task in zip(rows, tasks, strict=True):
                task.may_renew = not task.key_is_given
                if row.state in CLOSED and row.state != "saved":
                    ledger.renew(task, row.state)
                elif task.replaces:
                    naming.allow(task, task.replaces)
            ledger.check_continued(journal, tasks)
            naming.check(task for task in tasks if task.phase == "intent" and not task.was_sent)
    except ReveError as refused:
        if any(row.is_unfinished and row.state != "intent" for row in rows):  # paid for, or possibly
            message = f"{refused.message}; finish the jobs already submitted with:"
            raise ReveError("unfinished", message, hint=resume_command([rows[0].run], run.flags)) from refused
        raise
    return tasks


def learn_account(run: Runtime, ledger: "Ledger") -> None:
    """Ask the API for the key's account, unless it is known. Without an answer it stays unknown."""
    if ledger.account_is_unknown:
        with contextlib.suppress(ReveError):
            ledger.account.note(run.ask(lambda: run.api.account(run.deadline)).name)


def announce_wait(run: Runtime, tasks: Sequence[Task]) -> None:
    """Say how long to wait before a request that may still arrive is sent again."""
    wait = max((task.due for task in tasks), default=0.0) - run.process.clock.monotonic()
    if wait > 1:
        run.output.note(f"waiting {wait:.0f} s in case the first request still arrives, then sending it again")


def show_requests(run: Runtime, tasks: Sequence[Task], naming: Naming | None) -> int:
    """Print the request and the output path of each task as JSON. Sends nothing, and needs no key."""
    for task in tasks:
        assert task.request is not None
        headers = {"Content-Type": "application/json", "X-API-Key": "afk_[hidden]"}
        given = {"Idempotency-Key": task.idempotency_key} if task.key_is_given or task.scope else {}
        run.output.document(
            {
                "method": "POST",
                "url": run.settings.base_url + GENERATE_PATH,
                "headers": headers | given,
                "body": task.request.wire(),
                "out": naming.as_option(Values.of(task)) if naming else None,
            }
        )
    return 0
