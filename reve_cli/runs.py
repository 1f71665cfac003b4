"""What `generate` and `resume` do with the journal: begin a run, take one up, finish what is left.

Imports `runtime`, and late what is slow: `takeup`, `spending`.
"""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reve_cli.errors import ReveError, worst
from reve_cli.naming import Naming
from reve_cli.runtime import Runtime
from reve_cli.tasks import Task

if TYPE_CHECKING:
    from reve_cli.journal import Row
    from reve_cli.ledger import Ledger
    from reve_cli.takeup import Step


def generate(
    run: Runtime, tasks: list[Task], naming: Naming | None, *, new: bool = False, max_credits: float | None = None
) -> int:
    """Make the images of `tasks`, or finish the run of the same command that was cut short. Returns the exit code."""
    from reve_cli.ledger import identity_of

    ledger = run.ledger(begin=True)
    _set_caps(run, ledger, tasks, max_credits)
    identity = identity_of(ledger.origin, tasks, naming.identity) if naming and naming.identity else None
    rows = {} if new or identity is None else _adopt(run, ledger, identity)
    if naming is not None and rows:
        tasks = [_taken_up(run, ledger, row, naming) for row in rows.values()]
        to_send = sum(task.phase == "intent" for task in tasks)
        if ledger.caps:
            ledger.caps.check_command(to_send)
        say = f"taking up this command's run that was cut short ({to_send} of {len(tasks)} to submit)"
        run.output.note(f"{say}; --new makes new images instead")
    else:
        if naming is not None:
            naming.check(tasks)
            for task in tasks:
                task.out, task.replaces = naming.as_row(task)
        ledger.begin(tasks, identity)
    if naming is None:
        code = run.run(tasks, "accepted", "ids", ledger)
    else:
        code = run.run(tasks, "saved", "bytes" if naming.to_stdout else "paths", ledger, lambda _: naming, rows)
    ledger.end(told=code == 0 and not run.process.stop)
    return code


def _set_caps(run: Runtime, ledger: "Ledger", tasks: Sequence[Task], max_credits: float | None) -> None:
    """Note the spending caps, if there are any, and what an image costs. Raises `ReveError` where nobody knows that."""
    from reve_cli.spending import Caps

    day = run.settings.max_credits_per_day
    if max_credits is None and day is None:
        return
    model = tasks[0].request.model if tasks[0].request else run.settings.model
    prices = (
        run.api.price(model, run.deadline),
        run.settings.credits_per_image,
        ledger.highest_charge(model),
    )
    price = next((price for price in prices if price is not None), None)
    if price is None:
        message = f"the API does not tell the price of {model}, so a spending cap cannot be kept; nothing was submitted"
        raise ReveError("price_unknown", message, hint="set credits_per_image in the config file")
    ledger.caps = Caps(max_credits, day, price)


def _adopt(run: Runtime, ledger: "Ledger", identity: str) -> "dict[int, Row]":
    """The rows of the run to take up, by number."""
    if ledger.journal is None:
        return {}
    from reve_cli.takeup import adopt

    rows = adopt(ledger, ledger.journal, identity, run.process.clock, run.flags, lambda: _learn_account(run, ledger))
    return {row.number: row for row in rows}


def _taken_up(run: Runtime, ledger: "Ledger", row: "Row", naming: Naming) -> Task:
    """A row's task. What was refused, given up, failed or expired is begun anew."""
    from reve_cli.takeup import task_of

    task = task_of(row, row.number, run.process.clock, owned=True)
    task.may_renew = not task.key_is_given
    if row.state in ("refused", "abandoned", "failed", "expired", "mismatch"):
        ledger.renew(task, row.state)
    elif task.replaces:
        naming.allow(task, task.replaces)
    return task


def _learn_account(run: Runtime, ledger: "Ledger") -> None:
    """Ask the API whose key this is, where that is not known yet. Without an answer it stays unknown."""
    if ledger.account_is_unknown:
        with contextlib.suppress(ReveError):
            ledger.note_account(run.api.account(run.deadline).name)


def resume(run: Runtime, names: Sequence[str], *, dry_run: bool, abandon: bool) -> int:
    """Finish what the journal holds unfinished, or what `names` mean of it. Returns the exit code."""
    ledger = run.ledger(begin=False)
    if ledger.journal is None:
        if ledger.lost or names:
            raise ReveError("journal" if ledger.lost else "not_found", ledger.lost or "there is no journal yet")
        run.output.note("nothing is unfinished")
        return 0
    from reve_cli.takeup import Plan

    plan = Plan(ledger, ledger.journal, run.process.clock, names)
    if plan.has_other_keys:
        _learn_account(run, ledger)
    if dry_run:
        return _show(run, plan.look())
    if abandon:
        run.output.note(f"closed, and not to be finished: {plan.close()}")
        return 0
    return _finish(run, ledger, plan.take(), by_name=bool(names))


def _show(run: Runtime, steps: "Sequence[Step]") -> int:
    """Say what `resume` would do; what may charge comes last."""
    steps = sorted(steps, key=lambda step: step.action == "send")
    if run.output.json:
        for step in steps:
            run.output.document(step.document())
    else:
        run.output.table(("ACTION", "JOB OR KEY", "BEGUN", "OUT", "PROMPT"), [step.cells() for step in steps])
    to_send = sum(step.action == "send" for step in steps)
    if to_send:
        run.output.note(f"{to_send} to send: what the API did not accept the first time would be charged then")
    return 0


def _finish(run: Runtime, ledger: "Ledger", steps: "Sequence[Step]", *, by_name: bool) -> int:
    from reve_cli.takeup import left, task_of, unsettled

    tasks: list[Task] = []
    rows: dict[int, Row] = {}
    for step in steps:
        if step.action == "abandon" or (step.action == "leave" and not by_name):
            run.output.note(f"{step.row.job or step.row.key}: {step.why}")
            continue
        task = task_of(step.row, len(tasks) + 1, run.process.clock, owned=step.owned)
        if step.action in ("report", "leave"):
            task.phase, task.error = "done", unsettled(step, run.flags) if step.action == "report" else left(step)
        rows[task.index] = step.row
        tasks.append(task)
    if not tasks:
        run.output.note("nothing is left to finish")
        return 0
    to_save = [task for task in tasks if task.out is not None]
    namings = {task.index: Naming.of_row(task.out, task.replaces) for task in to_save if task.out is not None}
    codes = [0]
    if to_save:
        codes.append(run.run(to_save, "saved", "paths", ledger, lambda task: namings[task.index], rows))
    only_sent = [task for task in tasks if task.out is None]
    if only_sent and not run.process.stop:
        codes.append(run.run(only_sent, "accepted", "ids", ledger))
    ledger.end(told=not run.process.stop)
    return worst(codes)
