"""The command that finishes a job, ready to be pasted into a shell. Imports `models`, `naming`, `output`."""

import shlex
from collections.abc import Sequence

from reve_cli.models import Task
from reve_cli.naming import Naming, Values
from reve_cli.output import safe


def quote(text: str) -> str:
    """`text` as one word for a POSIX shell. What a terminal must not see is written in escapes (bash, zsh)."""
    if safe(text) == text:
        return shlex.quote(text)
    raw = text.encode(errors="surrogateescape")
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in raw) + "'"


def finish_command(task: Task, naming: Naming | None, flags: Sequence[str]) -> str:
    """What finishes `task`: waiting for its job, or, where no job is known, the same request with the same key.

    `naming`: where its images go, or None where none were to be saved.
    """
    out: list[str] = []
    if naming is not None:
        out = [f"--out={naming.as_option(Values.of(task))}", *(["--force"] if naming.force else [])]
    if task.job_id:
        words = ["reve", "wait", task.job_id, *out, *flags]
    else:
        words = ["reve", "generate", *_options(task), *(out or ["--no-wait"]), *flags]
        words += ["--", task.request.prompt if task.request else ""]
    return " ".join(map(quote, words))


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
