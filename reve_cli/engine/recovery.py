"""The command that finishes a job, ready to paste into a shell.

May import: engine.naming, journal.ledger (types), terminal.text, core.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reve_cli.core.tasks import Style, Task
from reve_cli.core.templates import Values
from reve_cli.engine.naming import Naming, numbered
from reve_cli.terminal.text import quote

if TYPE_CHECKING:
    from reve_cli.journal.ledger import Ledger


def resume_command(names: Sequence[str], flags: Sequence[str], *, abandon: bool = False) -> str:
    """The `reve resume` command for jobs in the journal. names: job ids, idempotency keys or runs."""
    dashes = ["--"] if any(name.startswith("-") for name in names) else []
    return " ".join(map(quote, ["reve", "resume", *(["--abandon"] if abandon else []), *flags, *dashes, *names]))


def finish_command(task: Task, naming: Naming | None, flags: Sequence[str]) -> str:
    """The command that finishes `task`: wait for its job; without a job id, send the same request with the same key.

    naming: the paths of its images; None if they are not saved. If some images were saved beside a taken name, the
    command saves all of them under names that contain the job's id.
    """
    out: list[str] = []
    if naming is not None:
        option = naming.as_option(Values.of(task))
        is_beside = bool(task.files) and not task.rescued
        if is_beside and not naming.meant(task):
            option = numbered(option, str(task.job_id))
        out = [f"--out={option}", *(["--force"] if naming.force or is_beside else []), *_style(task, naming)]
    if task.job_id:
        words = ["reve", "wait", task.job_id, *out, *flags]
    else:
        words = ["reve", "generate", *_options(task), *(out or ["--no-wait"]), *flags]
        words += ["--", task.request.prompt if task.request else ""]
    from_stdin = "printf %s - | " if words[-1] == "-" else ""  # a prompt "-" cannot be given as an argument
    return from_stdin + " ".join(map(quote, words))


def recovery_command(task: Task, naming: Naming | None, ledger: "Ledger", flags: Sequence[str]) -> str:
    """The command that finishes `task`: `reve resume` if the journal knows enough, else `finish_command`."""
    return resume_command([known_name(task)], flags) if ledger.can_resume(task) else finish_command(task, naming, flags)


def known_name(task: Task) -> str:
    """The name by which the journal knows a task."""
    return task.job_id or task.idempotency_key or ""


def rescue_command(tasks: Sequence[Task], naming: Naming, flags: Sequence[str]) -> str:
    """The command that moves the rescued images of several jobs to the paths that `naming` gives them."""
    words = ["reve", "download", *(str(task.job_id) for task in tasks), f"--out={naming.template}", *flags]
    return " ".join(map(quote, words))


def _style(task: Task, naming: Naming) -> list[str]:
    """The options for how the images of `task` are saved, if its command chose other values than the defaults."""
    style, usual = task.style or Style(), Style()
    options = [f"--metadata={style.metadata}"] if style.metadata != usual.metadata else []
    return [*options, f"--quality={style.quality}"] if naming.converts and style.quality != usual.quality else options


def _options(task: Task) -> list[str]:
    asked = task.request
    assert asked is not None
    options = {
        "--seed": asked.seed,
        "--aspect-ratio": asked.aspect_ratio,
        "--model-version": asked.version,
        "--model": asked.model,
        "--webhook-url": asked.webhook_url,
        "--idempotency-key": task.idempotency_key,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return [*given, *(f"--webhook-event={event}" for event in asked.webhook_events)]
