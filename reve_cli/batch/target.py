"""The output folder of a batch and the path of each image in it.

May import: engine.naming, pictures.formats, core, batch.worklist.
"""

import fnmatch
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from reve_cli.batch.worklist import Planned
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import SameNames, existing, longest_name
from reve_cli.core.models import echo
from reve_cli.core.tasks import Task
from reve_cli.core.templates import Values, escape, parse
from reve_cli.engine.naming import Naming, check_characters
from reve_cli.pictures.formats import OTHER_EXTENSIONS

_IMAGES = tuple(f".{extension}" for extension in ("png", *OTHER_EXTENSIONS))
_OWN_NAMES = ("manifest*.jsonl", ".manifest*.lock")  # reserved at the top of the output folder
_TEMPORARY = ".reve-"  # names of unfinished images begin with it
_ANY_JOB = "\0" * 36  # as long as a job id, and impossible in a file name


class Target:
    """The output folder of a batch, and the names of its images.

    out: the value of --out. folder, name: folder and name template without it. now: epoch seconds. Raises `ReveError`
    (code `usage`).
    """

    def __init__(
        self, out: str | None, folder: str, name: str, *, force: bool, now: float, probes: bool = True
    ) -> None:
        """probes: whether files may be created to see which names are possible."""
        self._probes = probes
        self._same_names: dict[str, SameNames] = {}
        self._force, self._date = force, datetime.fromtimestamp(now, UTC).date().isoformat()
        if out in ("", "-") or (out is not None and "{" not in out and out.lower().endswith(_IMAGES)):
            message = f"--out {out!r} is not a folder or a template"
            raise ReveError("usage", message, hint="use --out pics/ or --out 'pics/{slug}-{job}.{ext}'")
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
        """Names the image of one item: by its own `out`, or by the template for all."""
        template = self._template if out is None else str(Path(escape(str(self.folder)), out))
        return Naming(template, ".", jobs=1, force=self._force, date=self._date)

    def path(self, planned: Planned) -> str | None:
        """The path of an item's image; None if it depends on the job or on a random seed.

        Raises `ReveError` if it cannot be used.
        """
        if planned.out is None and self._all_differ:  # and a name_template cannot begin with a dot
            return None
        if planned.is_random and "{seed}" in (planned.out or self._template):  # not chosen yet
            return None
        task = Task(planned.number, "intent", request=planned.request)
        path = self.naming(planned.out).path(replace(Values.of(task), job=_ANY_JOB, ext="png"))
        longest = longest_name(str(self.folder))
        if any(len(os.fsencode(part)) > longest for part in path.split("/")):
            raise ReveError("usage", f"out: a file or folder name is longer than {longest} bytes")
        first, *more = os.path.relpath(path, self.folder).split(os.sep)
        is_own = any(fnmatch.fnmatchcase(first.casefold(), pattern) for pattern in _OWN_NAMES)
        if is_own or any(part.casefold().startswith(_TEMPORARY) for part in (first, *more)):
            named = path.replace(_ANY_JOB, "{job}")
            raise ReveError("usage", f"out: {echo(named)} is reserved for reve's own files")
        if self._probes:
            try:
                check_characters(path.replace(_ANY_JOB, "0" * len(_ANY_JOB)))
            except ReveError as error:
                raise ReveError("usage", f"out: {error.message}; {error.hint}") from error
        return None if "\0" in path else path

    def place(self, path: str) -> str:
        """`path` in a form that all names of its file share, by what the file system of its folder does."""
        folder = existing(os.path.dirname(path))
        if folder not in self._same_names:
            self._same_names[folder] = SameNames.of(folder) if self._probes else SameNames()
        return self._same_names[folder].one(path)


def check_name(naming: Naming, task: Task, planned: Planned, *, make_folder: bool) -> None:
    """Check, before paying, that an image can be saved at its path. Raises `ReveError` (code `output`)."""
    likely = naming.path(replace(Values.of(task), job="job", ext="png"))
    if planned.is_other_lines:
        hint = "move that file, or give this line another name"
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
    """The beginning of absolute path templates that lead into `folder`. Raises `ReveError` (code `output`)."""
    try:
        return escape(str(Path(os.getcwd(), folder))) + os.sep
    except OSError as error:
        raise ReveError("output", f"cannot use the current folder: {error.strerror}") from error


def _fixed_folder(template: str) -> str:
    """The leading folders of a template that have no field."""
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
