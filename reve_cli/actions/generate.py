"""What `generate` and `resume` do with the journal: begin a run, take one up, finish what is left.

Imports `runtime`, and late what is slow: `takeup`, `spending`, `finished`.
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reve_cli.core.contract import GENERATE_PATH
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming, Values
from reve_cli.journal.states import CLOSED
from reve_cli.runtime import Runtime
from reve_cli.settings.settings import amount

if TYPE_CHECKING:
    from reve_cli.engine.report import Shows
    from reve_cli.engine.takeup import Plan, Step
    from reve_cli.journal.journal import Row
    from reve_cli.journal.ledger import Ledger

_DAY = 24 * 3600


def generate(
    run: Runtime, tasks: list[Task], naming: Naming | None, *, new: bool = False, max_credits: str | None = None
) -> int:
    """Make the images of `tasks`, or finish the run of the same command that was cut short. Returns the exit code."""
    from reve_cli.journal.ledger import identity_of

    if new and any(task.key_is_given or task.scope for task in tasks):
        raise ReveError("usage", "--new makes new images, which --once and --idempotency-key rule out")
    ledger = run.ledger(begin=True)
    request = tasks[0].request
    set_caps(run, ledger, request.model if request else run.settings.model, max_credits)
    identity = identity_of(ledger.origin, tasks, naming.identity) if naming and naming.identity else None
    rows = {} if new or identity is None else _adopt(run, ledger, identity)
    if naming is not None and rows:
        tasks = _take_up(run, ledger, list(rows.values()), naming)
        to_send = sum(task.phase == "intent" for task in tasks)
        instead = "" if tasks[0].key_is_given or tasks[0].scope else "; --new makes new images instead"
        note = f"taking up this command's run that was cut short ({to_send} of {len(tasks)} to submit){instead}"
        run.output.note(note)
        _say_what_waits(run, tasks)
    else:
        if naming is not None:
            naming.check(tasks)
            for task in tasks:
                task.out, task.replaces = naming.as_row(task)
        ledger.begin(tasks, identity)
    if naming is None:
        code = run.run(tasks, "accepted", "ids", ledger, by_run=True)
    else:
        shows: Shows = "bytes" if naming.to_stdout else "paths"
        code = run.run(tasks, "saved", shows, ledger, lambda _: naming, rows, by_run=True)
    ledger.end(told=code == 0 and not run.process.stop)
    return code


def set_caps(run: Runtime, ledger: "Ledger", model: str, max_credits: str | None) -> None:
    """Note the spending caps, if there are any, and what an image costs. Raises `ReveError` where nobody knows that."""
    from reve_cli.journal.journal import damaged_since
    from reve_cli.journal.spending import Caps

    day = run.settings.max_credits_per_day
    if max_credits is None and day is None:
        return
    try:
        command = None if max_credits is None else amount(max_credits)
    except ValueError as error:
        raise ReveError("usage", f"--max-credits {max_credits!r} {error}") from error
    if day is not None and run.state and (damaged := damaged_since(run.state, run.process.clock.now() - _DAY)):
        message = f"{damaged} was in use within a day, and cannot tell what was spent; nothing was submitted"
        raise ReveError("journal", message, hint="move it elsewhere to go on without what it knew")
    prices = (
        run.ask(lambda: run.api.price(model, run.deadline)),
        run.settings.credits_per_image,
        ledger.highest_charge(model),
    )
    price = next((price for price in prices if price is not None), None)
    if price is None:
        message = f"the API does not tell the price of {model}, so a spending cap cannot be kept; nothing was submitted"
        raise ReveError("price_unknown", message, hint="set credits_per_image in the config file")
    ledger.caps = Caps(command, day, price)


def _adopt(run: Runtime, ledger: "Ledger", identity: str) -> "dict[int, Row]":
    """The rows of the run to take up, by number."""
    if ledger.journal is None:
        return {}
    from reve_cli.engine.takeup import adopt

    rows = adopt(ledger, ledger.journal, identity, run.process.clock, run.flags, lambda: learn_account(run, ledger))
    return {row.number: row for row in rows}


def _take_up(run: Runtime, ledger: "Ledger", rows: "Sequence[Row]", naming: Naming) -> list[Task]:
    """The rows' tasks. What was refused, given up, failed or expired is begun anew.

    Raises `ReveError` where what is still to be sent is over a cap, or would have nowhere to go.
    """
    from reve_cli.engine.recovery import resume_command
    from reve_cli.engine.takeup import task_of

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
            ledger.check_taken_up(journal, tasks)
            naming.check(task for task in tasks if task.phase == "intent" and not task.was_sent)
    except ReveError as refused:
        if any(row.is_unfinished and row.state != "intent" for row in rows):  # paid for, or perhaps
            message = f"{refused.message}; what was begun before can be finished with:"
            raise ReveError("unfinished", message, hint=resume_command([rows[0].run], run.flags)) from refused
        raise
    return tasks


def learn_account(run: Runtime, ledger: "Ledger") -> None:
    """Ask the API whose key this is, where that is not known yet. Without an answer it stays unknown."""
    if ledger.account_is_unknown:
        with contextlib.suppress(ReveError):
            ledger.note_account(run.ask(lambda: run.api.account(run.deadline)).name)


def resume(run: Runtime, names: Sequence[str], *, dry_run: bool, abandon: bool) -> int:
    """Finish what the journal holds unfinished, or what `names` mean of it. Returns the exit code."""
    ledger = run.ledger(begin=False)
    if ledger.journal is None:
        if ledger.lost or names:
            raise ReveError("journal" if ledger.lost else "not_found", ledger.lost or "there is no journal yet")
        run.output.note("nothing is unfinished")
        return 0
    from reve_cli.engine.takeup import Plan

    plan = Plan(ledger, ledger.journal, run.process.clock, names, lambda: learn_account(run, ledger))
    handed_over = plan.handed_over()
    if handed_over and names and not plan.look():
        hint = f"reve wait {' '.join(handed_over)} --out PATH"
        raise ReveError(
            "unfinished", "begun with --no-wait and left to run: nothing says where to save it; do:", hint=hint
        )
    if handed_over and not names:
        note = f"{len(handed_over)} jobs of the last 24 hours were begun with --no-wait, and are not saved by this:"
        run.output.note(f"{note} reve history --state accepted")
    if dry_run:
        return _show(run, plan.look())
    if abandon:
        return _close(run, plan)
    return _finish(run, ledger, plan.take(), by_name=bool(names))


def _close(run: Runtime, plan: "Plan") -> int:
    """Give up what the plan is about. Returns the exit code: what could not be given up is an error."""
    from reve_cli.engine.takeup import left

    kept = plan.close()
    for step in kept:
        run.output.fail(left(step))
    if not kept:
        run.output.note("given up: it is not asked about again, and the same command would make it anew")
    return 75 if kept else 0


def _show(run: Runtime, steps: "Sequence[Step]") -> int:
    """Say what `resume` would do; what may charge comes last."""
    steps = sorted(steps, key=lambda step: step.action == "send")
    if run.output.json:
        for step in steps:
            run.output.document(step.document())
    else:
        run.output.table(("ACTION", "JOB OR KEY", "BEGUN", "OUT", "PROMPT"), [step.cells() for step in steps])
    to_send = sum(step.action == "send" for step in steps)
    if not steps:
        run.output.note("nothing is left to finish")
    if to_send:
        run.output.note(f"{to_send} to send: what the API did not accept the first time would be charged then")
    return 0


def _say_what_waits(run: Runtime, tasks: Sequence[Task]) -> None:
    """A request that may have arrived only now is not sent again at once."""
    wait = max((task.due for task in tasks), default=0.0) - run.process.clock.monotonic()
    if wait > 1:
        run.output.note(f"waiting {wait:.0f} s before what may be on its way still is sent again")


def _finish(run: Runtime, ledger: "Ledger", steps: "Sequence[Step]", *, by_name: bool) -> int:
    from reve_cli.batch.resumed import Finished
    from reve_cli.engine.takeup import is_strange, left, task_of, unsettled

    tasks: list[Task] = []
    rows: dict[int, Row] = {}
    for step in steps:
        if step.action == "abandon" or (step.action == "leave" and not by_name and not is_strange(step)):
            run.output.note(f"{step.row.job or step.row.key}: {step.why}")
            continue
        task = task_of(step.row, len(tasks) + 1, run.process.clock, owned=step.owned)
        if step.action in ("report", "leave"):
            task.phase, task.error = "done", unsettled(step, run.flags) if step.action == "report" else left(step)
        else:
            rows[task.index] = step.row
        tasks.append(task)
    if not tasks:
        run.output.note("nothing else is left to finish" if steps else "nothing is left to finish")
        return 0
    to_save = [task for task in tasks if task.out is not None]
    namings = {task.index: Naming.of_row(task.out, task.replaces) for task in to_save if task.out is not None}
    finished = Finished(lambda: run.api.http.simulated)
    codes = [0]
    _say_what_waits(run, tasks)
    only_sent = [task for task in tasks if task.out is None]
    if only_sent:
        codes.append(run.run(only_sent, "accepted", "ids", ledger))
    if to_save and not run.process.stop:
        naming_of, note = (lambda task: namings[task.index]), (lambda task: finished.note(task, namings[task.index]))
        codes.append(run.run(to_save, "saved", "paths", ledger, naming_of, rows, note=note))
    if only_sent and to_save and run.to_finish:
        hint = " && ".join(run.to_finish)
        run.output.fail(ReveError("unfinished", "not everything is finished; finish it with:", hint=hint))
    ledger.end(told=not run.process.stop)
    return worst(codes)


def show_requests(run: Runtime, tasks: Sequence[Task], naming: Naming | None) -> int:
    """Print what would be sent for each task, and where its image would go. Sends nothing, needs no key."""
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
