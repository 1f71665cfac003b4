"""The work of `reve resume`: finish, list or give up the journal's unfinished jobs.

May import: runtime and every package below it.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reve_cli.actions.drive import Outcome, drive
from reve_cli.actions.generate import announce_wait, learn_account
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.models import plural
from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming
from reve_cli.runtime import Runtime

if TYPE_CHECKING:
    from reve_cli.engine.unfinished import Plan, Step
    from reve_cli.journal.ledger import Ledger
    from reve_cli.journal.rows import Row

Note = Callable[[Task, Naming], None]


def resume(run: Runtime, names: Sequence[str], note: Note, *, dry_run: bool, abandon: bool) -> int:
    """Finish the journal's unfinished jobs, or only those that `names` select. Returns the exit code.

    note: called for each job that ends while it is saved.
    """
    ledger = run.ledger(begin=False)
    if ledger.journal is None:
        if ledger.lost or names:
            raise ReveError("journal" if ledger.lost else "not_found", ledger.lost or "there is no journal yet")
        run.output.note(_nothing(run))
        return 0
    from reve_cli.engine.unfinished import Plan

    plan = Plan(ledger, ledger.journal, run.process.clock, names, lambda: learn_account(run, ledger))
    handed_over = plan.handed_over()
    if handed_over and names and not plan.look():
        hint = f"reve wait {' '.join(handed_over)} --out PATH"
        raise ReveError(
            "unfinished", "submitted with --no-wait, so the output path is unknown; save it with:", hint=hint
        )
    if handed_over and not names:
        text = f"left alone: {plural(len(handed_over), 'job')} of the last 24 hours, submitted with --no-wait"
        run.output.note(f"{text}; list them with: reve history --state accepted")
    if dry_run:
        return _show(run, plan.look())
    if abandon:
        return _give_up(run, plan)
    return _finish(run, ledger, plan.take(), note, by_name=bool(names))


def _nothing(run: Runtime) -> str:
    """What to say if no job is unfinished. The sandbox has a history of its own."""
    return "nothing to finish; all jobs: reve history --sandbox" if run.sandbox else "nothing to finish"


def _give_up(run: Runtime, plan: "Plan") -> int:
    """Give up the plan's jobs. Returns the exit code: 75 if a job could not be given up."""
    from reve_cli.engine.unfinished import left

    kept = plan.close()
    for step in kept:
        run.output.fail(left(step))
    if not kept:
        run.output.note("given up; the same command would now submit and pay for a new job")
    return 75 if kept else 0


def _show(run: Runtime, steps: "Sequence[Step]") -> int:
    """Print what `resume` would do. Steps that may charge come last."""
    steps = sorted(steps, key=lambda step: step.action == "send")
    if run.output.json:
        for step in steps:
            run.output.document(step.document())
    else:
        run.output.table(("ACTION", "JOB OR KEY", "BEGUN", "OUT", "PROMPT"), [step.cells() for step in steps])
    to_send = sum(step.action == "send" for step in steps)
    if not steps:
        run.output.note(_nothing(run))
    if to_send:
        run.output.note(f"{to_send} to send: a job is charged now if the API did not accept it the first time")
    return 0


def _finish(run: Runtime, ledger: "Ledger", steps: "Sequence[Step]", note: Note, *, by_name: bool) -> int:
    from reve_cli.engine.unfinished import left, may_be_ours, task_of, unsettled

    tasks: list[Task] = []
    rows: dict[int, Row] = {}
    for step in steps:
        if step.action == "abandon" or (step.action == "leave" and not by_name and not may_be_ours(step)):
            run.output.note(f"{step.row.job or step.row.key}: {step.why}")
            continue
        task = task_of(step.row, len(tasks) + 1, run.process.clock, owned=step.owned)
        if step.action in ("report", "leave"):
            task.phase, task.error = "done", unsettled(step, run.flags) if step.action == "report" else left(step)
        else:
            rows[task.index] = step.row
        tasks.append(task)
    if not tasks:
        run.output.note("nothing else to finish" if steps else _nothing(run))
        return 0
    to_save = [task for task in tasks if task.out is not None]
    namings = {task.index: Naming.of_row(task.out, task.replaces) for task in to_save if task.out is not None}
    outcomes: list[Outcome] = []
    announce_wait(run, tasks)
    only_sent = [task for task in tasks if task.out is None]
    if only_sent:
        outcomes.append(drive(run, only_sent, "accepted", "ids", ledger))
    if to_save and not run.process.stop:
        outcomes.append(
            drive(
                run,
                to_save,
                "saved",
                "paths",
                ledger,
                lambda task: namings[task.index],
                rows,
                note=lambda task: note(task, namings[task.index]),
            )
        )
    finish = [command for outcome in outcomes for command in outcome.finish]
    if only_sent and to_save and finish:
        hint = " && ".join(finish)
        run.output.fail(ReveError("unfinished", "some jobs are unfinished; finish them with:", hint=hint))
    ledger.end(told=not run.process.stop)
    return worst(outcome.exit_code for outcome in outcomes)
