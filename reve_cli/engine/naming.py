"""Where images go and what they are called: `--out` in all its forms is one template.

    (none)               the configured folder, default names
    dir/                 that folder, default names
    img.png              exactly that; `img-1.png`, `img-2.png` … for several jobs
    {seed}-{slug}.{ext}  fields, see `templates`; `{{` and `}}` for braces
    -                    standard output
    /dev/null, a FIFO    written in place

Substituted values hold no separators, and the folder part holds no field that is known only after payment: so a name
never leaves its folder, and the folder can be checked before any money is spent.
Imports `templates`, `errors`, `tasks`, `models`, `formats`, `output`.
"""

import glob
import os
import stat
import sys
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reve_cli.api.formats import EXTENSIONS
from reve_cli.core.errors import ReveError
from reve_cli.core.models import Identity
from reve_cli.core.tasks import Task
from reve_cli.core.templates import DEFAULT_NAME, escape, parse
from reve_cli.terminal.text import quote

_LATE = ("job", "ext")
_SLUG_LENGTH = 40
_LIKELY_EXTENSION = "png"
_ANY_JOB = "00000000-0000-0000-0000-000000000000"
"""As long as any job id."""
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows keeps for devices, whatever their extension."""


def slug(prompt: str) -> str:
    """The prompt as part of a file name: letters and digits that the file system can hold, and single hyphens.

    `image` where nothing is left.
    """
    held = unicodedata.normalize("NFC", prompt).encode(sys.getfilesystemencoding(), "ignore")
    text = held.decode(sys.getfilesystemencoding())
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text)
    name = ""
    for word in kept.lower().split():
        if len(name) + len(word) + 1 > _SLUG_LENGTH:
            break
        name += f"-{word}" if name else word
    name = name or "".join(kept.lower().split())[:_SLUG_LENGTH] or "image"
    return f"{name}-image" if name in _RESERVED else name


def identity(path: str) -> Identity | None:
    """What stands at `path` now, or None where nothing does."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


@dataclass(frozen=True)
class Values:
    """What the fields of a template stand for, for one job. None: not known yet."""

    index: int
    seed: str | None = None
    slug: str | None = None
    job: str | None = None
    ext: str | None = None

    @classmethod
    def of(cls, task: Task) -> "Values":
        """All that a task knows by now."""
        prompt = seed = None
        if task.request is not None:
            prompt, seed = task.request.prompt, task.request.seed
        elif task.job is not None:
            prompt, seed = task.job.asked("prompt") or "", task.job.asked("seed")
        known = task.request is not None or task.job is not None
        return cls(
            task.index,
            seed=("none" if seed is None else str(seed)) if known else None,
            slug=slug(prompt or "") if known else None,
            job=task.job_id,
        )


class Naming:
    """One `--out`, understood. Raises `ReveError`: `usage` for a bad template, `output` for what is on disk."""

    def __init__(
        self, out: str | None, folder: str, *, jobs: int, force: bool, date: str, default: str = DEFAULT_NAME
    ) -> None:
        """default: the template of a name in `folder`, or in one that `out` names."""
        self.force = force
        self.to_stdout = out == "-" or _is_stdout(out)
        self.device = out if out is not None and not self.to_stdout and _is_device(out) else None
        self._date = date
        self._since = time.time_ns()
        self._seen: dict[str, Identity | None] = {}
        self._allowed: dict[str, Identity] = {}
        self._source = "name_template" if out is None or out.endswith(("/", os.sep)) else "--out"
        self._template = self._understand(out, folder, jobs, default)
        try:
            self._parts = parse(self._template)
        except ValueError as error:
            raise ReveError("usage", f"--out: {error}") from error
        self._folder_fields = {name for _, name in parse(os.path.split(self._template)[0])}
        late = sorted(self._folder_fields.intersection(_LATE))
        if late:
            raise ReveError("usage", f"--out: {{{late[0]}}} can only stand in the file's name, not in its folder")
        if jobs > 1 and (self.to_stdout or self.device):
            raise ReveError("usage", f"--out {out} takes the images of one job only")

    def _understand(self, out: str | None, folder: str, jobs: int, default: str) -> str:
        if out == "":
            raise ReveError("usage", "--out is empty")
        if out is None:
            return os.path.join(escape(folder), default) if folder not in ("", ".") else default
        if self._source == "name_template":
            return out + default
        if self.to_stdout or self.device:
            return DEFAULT_NAME
        if "{" not in out and "}" not in out and jobs > 1:
            stem, extension = os.path.splitext(out)
            return f"{stem}-{{index}}{extension}"
        return out

    def check(self, tasks: Iterable[Task]) -> None:
        """Refuse, before any money is spent, what is known to end badly; note what stands there now."""
        if self.device and not os.access(self.device, os.W_OK):
            raise ReveError("output", f"{self.device} is not writable")
        if self.to_stdout or self.device:
            return
        taken: set[str] = set()
        for values in map(Values.of, tasks):
            self._check(values)
            path = self.path(replace(values, job=values.job or f"job{values.index}", ext=_LIKELY_EXTENSION))
            if path in taken and not self._unknown(values) - {"job"}:
                message = f"{self._source}: several images would have one name; put {{index}} or {{job}} into it"
                raise ReveError("usage", message)
            taken.add(path)

    def _unknown(self, values: Values) -> set[str]:
        """The fields of the template that are not known yet, but for the extension."""
        return {name for _, name in self._parts if name and name != "ext" and self._value(values, name) is None}

    def _check(self, values: Values) -> None:
        path = self._likely(values)
        folder = os.path.dirname(path) or "."
        unknown = self._unknown(values)
        try:
            if not unknown & self._folder_fields:
                if not os.path.isdir(folder):
                    if os.path.lexists(folder):
                        raise ReveError("output", f"{folder} is not a folder")
                    raise ReveError("output", f"the folder {folder} does not exist", hint=f"mkdir -p {quote(folder)}")
                if not os.access(folder, os.W_OK | os.X_OK):
                    named = "current folder" if folder == "." else f"folder {folder}"
                    raise ReveError("output", f"the {named} is not writable", hint="--out names another")
            now = identity(path)  # also tells whether the name is too long
            if unknown:
                return
            if os.path.isdir(path):
                raise ReveError("output", f"{path} is a folder", hint=f"to save into it: --out {quote(path)}/")
            if now and not stat.S_ISREG(os.lstat(path).st_mode) and not os.path.islink(path):
                raise ReveError("output", f"{path} is not a file")
            at_first = self._seen.setdefault(path, now)  # what this run saves there later is not to be replaced
        except OSError as error:
            raise ReveError("output", f"cannot write {path}: {error.strerror}") from error
        if at_first and not self.force:
            raise ReveError("output", f"{path} exists", hint="--force replaces it")

    def replaceable(self, path: str) -> Identity | None:
        """The file at `path` that may be replaced: one that was there at the start, and only with `--force`."""
        if path in self._allowed:
            return self._allowed[path]
        if not self.force:
            return None
        if path in self._seen:
            return self._seen[path]
        here = identity(path)
        return here if here is not None and here[3] < self._since else None

    @classmethod
    def of_row(cls, out: str, replaces: tuple[str, Identity] | None) -> "Naming":
        """The naming of a job that an earlier command began, from its absolute template."""
        naming = cls(out, ".", jobs=1, force=False, date="")
        if replaces is not None:
            naming._allowed[replaces[0]] = replaces[1]
        return naming

    def allow(self, task: Task, replaces: tuple[str, Identity]) -> None:
        """Let `task` replace the file that the command which began it was told to replace."""
        self._allowed[self._likely(Values.of(task))] = replaces[1]

    def as_row(self, task: Task) -> tuple[str, tuple[str, Identity] | None]:
        """What a later command needs to save `task`'s images: an absolute template, or `-`; and what it may replace."""
        values = Values.of(task)
        if self.to_stdout or self.device:
            return "-", None
        path = self._likely(values)
        old = self._seen.get(path) if self.force else None
        here = _folder_of(self._template)
        return os.path.join(escape(here), self.as_option(values)), (os.path.join(here, path), old) if old else None

    @property
    def identity(self) -> str | None:
        """The output in a form that tells it from others, wherever it is said; None where it is a pipe or a device."""
        if self.to_stdout or self.device:
            return None
        return os.path.normpath(os.path.join(escape(_folder_of(self._template)), self._template))

    def _likely(self, values: Values) -> str:
        return self.path(replace(values, ext=_LIKELY_EXTENSION, job=values.job or _ANY_JOB))

    def meant(self, task: Task) -> bool:
        """Whether all files of `task` have the names that its images were to have, and not others beside them."""
        values, images = Values.of(task), len(task.job.urls) if task.job else 0
        for saved in task.files:
            named = replace(values, ext=os.path.splitext(saved.path)[1][1:])
            if saved.path not in (self.path(named, number) for number in range(1, images + 1)):
                return False
        return True

    def path(self, values: Values, number: int = 1) -> str:
        """The path of a job's image, `number` counting the images of that job from 1."""
        filled = "".join(text + (self._value(values, name) or "" if name else "") for text, name in self._parts)
        return filled if number == 1 else numbered(filled, number)

    def has_all(self, task: Task, images: int) -> bool:
        """Whether all `images` of `task`'s job are on disk already, as far as names tell: the job's id is in them."""
        if not images or self.to_stdout or self.device or not any(name == "job" for _, name in self._parts):
            return False
        values = Values.of(task)
        return all(
            any(self._stands(replace(values, ext=extension), number) for extension in EXTENSIONS)
            for number in range(1, images + 1)
        )

    def _stands(self, values: Values, number: int) -> bool:
        """Whether there is a file with the name of a job's image, whatever is in the fields that are not known."""
        pattern = ""
        for text, name in self._parts:
            value = self._value(values, name) if name else ""
            pattern += glob.escape(text) + ("*" if value is None else glob.escape(value))
        found = glob.iglob(pattern if number == 1 else numbered(pattern, number))
        return any(os.path.isfile(path) for path in found)

    def as_option(self, values: Values) -> str:
        """An `--out` that means the same for this job alone: what is known by now is filled in."""
        if self.to_stdout:
            return "-"
        if self.device:
            return self.device
        filled = ""
        for text, name in self._parts:
            value = self._value(values, name) if name else ""
            filled += escape(text) + (f"{{{name}}}" if value is None else escape(value))
        return filled

    def _value(self, values: Values, name: str) -> str | None:
        if name == "date":
            return self._date
        value = getattr(values, name)
        return None if value is None else str(value)


def _folder_of(path: str) -> str:
    """The folder that a relative `path` begins in, which may have vanished; empty for one that is absolute."""
    try:
        return "" if os.path.isabs(path) else os.getcwd()
    except OSError as error:
        raise ReveError("output", f"the current folder cannot be used: {error.strerror}") from error


def numbered(path: str, number: int | str) -> str:
    """`img.png` as `img-2.png`."""
    stem, extension = os.path.splitext(path)
    return f"{stem}-{number}{extension}"


def _is_device(path: str) -> bool:
    """Whether `path` is to be written in place: a character device or a FIFO."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _is_stdout(path: str | None) -> bool:
    """Whether `path` is another name of standard output, such as /dev/stdout."""
    try:
        return path is not None and os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False
