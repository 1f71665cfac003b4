"""The command that finishes a job, ready to be pasted into a shell. Imports `tasks`, `naming`, `output`."""

from collections.abc import Sequence

from reve_cli.core.tasks import Task
from reve_cli.engine.naming import Naming, Values, numbered
from reve_cli.terminal.text import quote


def resume_command(names: Sequence[str], flags: Sequence[str], *, abandon: bool = False) -> str:
    """What finishes, or gives up, all that the journal knows under `names`: jobs, idempotency keys, or runs."""
    dashes = ["--"] if any(name.startswith("-") for name in names) else []
    return " ".join(map(quote, ["reve", "resume", *(["--abandon"] if abandon else []), *flags, *dashes, *names]))


def finish_command(task: Task, naming: Naming | None, flags: Sequence[str]) -> str:
    """What finishes `task`: waiting for its job, or, where no job is known, the same request with the same key.

    `naming`: where its images go, or None where none were to be saved. Where some of them are saved already, the names
    are all ours: those that were asked for, or, where one of these was taken, such as hold the job's id.
    """
    out: list[str] = []
    if naming is not None:
        option = naming.as_option(Values.of(task))
        if not naming.meant(task):
            option = numbered(option, str(task.job_id))
        out = [f"--out={option}", *(["--force"] if naming.force or task.files else [])]
    if task.job_id:
        words = ["reve", "wait", task.job_id, *out, *flags]
    else:
        words = ["reve", "generate", *_options(task), *(out or ["--no-wait"]), *flags]
        words += ["--", task.request.prompt if task.request else ""]
    from_stdin = "printf %s - | " if words[-1] == "-" else ""  # a prompt that is a hyphen can only come from there
    return from_stdin + " ".join(map(quote, words))


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
