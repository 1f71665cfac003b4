"""Take jobs to a goal, print how each ended, and name the command that finishes the rest.

May import: runtime and every package below it. The engine is slow to load, so it is imported when it is needed.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reve_cli.core.errors import ReveError
from reve_cli.core.models import plural
from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming
from reve_cli.terminal.text import quote

if TYPE_CHECKING:
    from reve_cli.actions.report import Shows
    from reve_cli.core.endings import Goal
    from reve_cli.engine.engine import Engine
    from reve_cli.engine.polling import Poller
    from reve_cli.engine.saving import Saver
    from reve_cli.engine.supply import Supply, Watcher
    from reve_cli.journal.ledger import Ledger
    from reve_cli.journal.rows import Row
    from reve_cli.runtime import Runtime

# A command with this option gives a job up. It is shown with its job, never joined to other commands.
_ABANDON = " --abandon "


@dataclass(frozen=True)
class Outcome:
    """How a run of jobs ended. `finish`: the commands that finish its unfinished jobs."""

    exit_code: int
    finish: Sequence[str]


def follow(
    run: "Runtime",
    tasks: Sequence[Task],
    goal: "Goal",
    shows: "Shows",
    naming: Naming | None = None,
    look: Callable[[str], None] | None = None,
) -> int:
    """Take jobs that are named by their ids to `goal`. Returns the exit code. look: as for `drive`."""
    ledger = run.ledger(begin=False)
    ledger.attach(tasks)
    return drive(run, tasks, goal, shows, ledger, (lambda _: naming) if naming else None, look=look).exit_code


def drive(
    run: "Runtime",
    tasks: Sequence[Task],
    goal: "Goal",
    shows: "Shows",
    ledger: "Ledger",
    naming_of: Callable[[Task], Naming] | None = None,
    rows: "Mapping[int, Row] | None" = None,
    *,
    by_run: bool = False,
    note: Callable[[Task], None] | None = None,
    look: Callable[[str], None] | None = None,
) -> Outcome:
    """Take `tasks` to `goal` and print `shows` of each.

    naming_of: where to save the images of a task; None saves nothing. rows: the journal's rows of tasks that an earlier
    process began, by the task's index. by_run: `tasks` are all jobs of their run, so the run names them. note: called
    for each task that ends. look: called for the path of each saved image, after it is printed.
    """
    from reve_cli.actions.report import Report
    from reve_cli.engine.recovery import known_name, recovery_command, rescue_command, resume_command
    from reve_cli.engine.schedule import usual

    def recover(task: Task) -> str:
        return recovery_command(task, naming_of(task) if naming_of else None, ledger, run.flags)

    saver = saver_of(run, naming_of, ledger) if naming_of else None
    for task in tasks:
        if saver and rows and task.index in rows:
            from reve_cli.engine.unfinished import recover_files

            recover_files(task, rows[task.index], saver)
    model = next((task.request.model for task in tasks if task.request), run.settings.model)
    past = ledger.durations(model)
    report = Report(
        run.output,
        run.process.clock,
        tasks,
        shows,
        simulated=run.is_simulated,
        is_over=run.is_over,
        usual=usual(past),
    )
    report.note, report.look = note or report.note, look or report.look
    engine = engine_of(run, goal, ledger, saver, report, recover, past)
    for task in tasks:
        if task.phase == "done":
            report.done(task)
    engine.run(tasks)
    run.output.rest()
    hints = {task.index: task.error.hint for task in tasks if task.error and task.error.exit_code == 75}
    resumable = [task for task in tasks if hints.get(task.index) == recover(task) and ledger.can_resume(task)]
    names = {str(task.run) for task in resumable} if by_run else {known_name(task) for task in resumable}
    resume = [resume_command(sorted(names), run.flags)] if resumable else []
    done_with = {task.index for task in resumable}
    left = [task for task in tasks if hints.get(task.index) and task.index not in done_with]
    together = naming_of(left[0]) if naming_of and len(left) > 1 and all(task.rescued for task in left) else None
    if together is not None and together.names_the_job:
        others = [rescue_command(left, together, run.flags)]
    else:
        others = [hint for task in left if _ABANDON not in (hint := str(hints[task.index]))]
    finish = [*others, *resume]
    report.total(" && ".join(finish), engine.refusal)
    return Outcome(report.exit_code(), finish)


def saver_of(run: "Runtime", naming_of: Callable[[Task], Naming], ledger: "Ledger") -> "Saver":
    """The saver of images, each to the path that `naming_of` gives for its task."""
    from reve_cli.api.download import Images
    from reve_cli.api.origins import Origins
    from reve_cli.engine.publishing import Recorder
    from reve_cli.engine.saving import Saver

    process = run.process
    images = Images(
        Origins(public=not run.sandbox, loopback=run.api.http.loopback),
        clock=process.clock,
        stop=process.stop,
        limits=process.limits,
        debug=run.debugging,
    )
    run.resources.callback(images.close)
    recorder = Recorder(run.style, run.is_simulated, run.say)
    return Saver(images, naming_of, run.state, run.say, ledger.publishing, ledger.is_kept, recorder)


def engine_of(
    run: "Runtime",
    goal: "Goal",
    ledger: "Ledger",
    saver: "Saver | None",
    watcher: "Watcher",
    recover: Callable[[Task], str],
    past: Sequence[float],
    *,
    supply: "Supply | None" = None,
    poller: "Poller | None" = None,
) -> "Engine":
    """The engine that takes tasks to `goal`. recover: names the command that finishes a task."""
    from reve_cli.engine.engine import Engine
    from reve_cli.engine.supply import Supply

    engine = Engine(
        goal=goal,
        api=run.api,
        ledger=ledger,
        saver=saver,
        inbox=run.inbox,
        deadline=run.deadline,
        signals=run.process.signals,
        watcher=watcher,
        recover=recover,
        past=past,
        supply=supply or Supply(),
        poller=poller,
    )
    run.attach(engine)
    return engine


@contextlib.contextmanager
def keeping_piped_jobs(run: "Runtime", tasks: Sequence[Task], command: str) -> Iterator[None]:
    """If `--out` is refused, name the jobs that came through a pipe: no other output names them."""
    try:
        yield
    except ReveError as error:
        if not tasks or error.exit_code not in (2, 7):
            raise
        why = f"{error.message}; nothing was saved; save the {plural(len(tasks), 'job')} with:"
        words = ["reve", command, *(str(task.job_id) for task in tasks), *run.flags]
        raise ReveError("unsaved", why, hint=f"{' '.join(map(quote, words))} --out PATH") from error
