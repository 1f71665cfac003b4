"""Where a batch saves: its output folder, and what each image is called there.

Imports `naming`, `tasks`, `templates`, `worklist`, `models`, `errors`.
"""

import fnmatch
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from reve_cli.batch.worklist import Planned
from reve_cli.core.errors import ReveError
from reve_cli.core.models import echo
from reve_cli.core.tasks import Task
from reve_cli.core.templates import escape, parse
from reve_cli.engine.naming import Naming, Values

_IMAGES = (".png", ".jpg", ".jpeg", ".webp")
_LONGEST_NAME = 255
"""Bytes of a name that file systems take."""
_OWN_NAMES = ("manifest*.jsonl", ".manifest*.lock")
"""What the batch itself keeps at the top of its folder."""
_TEMPORARY = ".reve-"
"""What the names of unfinished images begin with."""
_ANY_JOB = "\0" * 36
"""As long as any job id, and no file's name."""


class Target:
    """The output folder of a batch, and what its images are called there.

    out: as it was typed. folder, name: where images go otherwise. now: epoch seconds. Raises `ReveError` (`usage`).
    """

    def __init__(self, out: str | None, folder: str, name: str, *, force: bool, now: float) -> None:
        self._force, self._date = force, datetime.fromtimestamp(now, UTC).date().isoformat()
        if out in ("", "-") or (out is not None and "{" not in out and out.lower().endswith(_IMAGES)):
            message = f"--out {out!r}: a batch saves into a folder, or by a template"
            raise ReveError("usage", message, hint="--out pics/ or --out 'pics/{slug}-{job}.{ext}'")
        if out is None or "{" not in out:
            self.folder = Path(folder if out is None else out)
            self._template = str(Path(escape(str(self.folder)), name))
            self._all_differ = "{job}" in name
        else:
            self._template = str(Path(out, name) if out.endswith("/") else Path(out))
            self.folder = Path(_fixed_folder(self._template))
            self._all_differ = False
        self.naming(None)

    def naming(self, out: str | None) -> Naming:
        """The naming of one item, by its own `out` or the template of all."""
        template = self._template if out is None else str(Path(escape(str(self.folder)), out))
        return Naming(template, ".", jobs=1, force=self._force, date=self._date)

    def path(self, planned: Planned) -> str | None:
        """Where an item's image goes, where that does not depend on its job. Raises `ReveError` for a bad name."""
        if planned.out is None and self._all_differ:  # nor begin with a dot: a name_template cannot
            return None
        task = Task(planned.number, "intent", request=planned.request)
        path = self.naming(planned.out).path(replace(Values.of(task), job=_ANY_JOB, ext="png"))
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.split("/")):
            raise ReveError("usage", "out: a name of its path is longer than file systems take")
        first, *more = os.path.relpath(path, self.folder).split(os.sep)
        is_own = any(fnmatch.fnmatchcase(first.casefold(), pattern) for pattern in _OWN_NAMES)
        if is_own or any(part.casefold().startswith(_TEMPORARY) for part in (first, *more)):
            named = path.replace(_ANY_JOB, "{job}")
            raise ReveError("usage", f"out: {echo(named)} is a name that the batch uses itself")
        return None if "\0" in path else path


def check_name(naming: Naming, task: Task, planned: Planned, *, make_folder: bool) -> None:
    """Refuse, before it is paid for, an image that could not go where it is meant to. Raises `ReveError` (`output`)."""
    likely = naming.path(replace(Values.of(task), job="job", ext="png"))
    if planned.is_other_lines:
        hint = "move that elsewhere, or give this line a name of its own"
        raise ReveError("output", f"{likely} is the image of another line", hint=hint)
    folder = os.path.dirname(likely) or "."
    try:
        if make_folder:
            os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ReveError("output", f"cannot write {likely}: {error.strerror}") from error
    if make_folder or os.path.isdir(folder):
        naming.check([task])


def beginning(folder: Path) -> str:
    """What the absolute templates begin with that lead into `folder`. Raises `ReveError` (code `output`)."""
    try:
        return escape(str(Path(os.getcwd(), folder))) + os.sep
    except OSError as error:
        raise ReveError("output", f"the current folder cannot be used: {error.strerror}") from error


def _fixed_folder(template: str) -> str:
    """The folders of a template that hold no field."""
    try:
        parts = parse(template)
    except ValueError as error:
        raise ReveError("usage", f"--out: {error}") from error
    fixed = ""
    for text, name in parts:
        fixed += text
        if name:
            break
    return os.path.dirname(fixed) or "."
