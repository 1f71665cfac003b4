"""The paths of images: every form of `--out` is one template.

    (none)               the configured folder, default names
    dir/                 that folder, default names
    img.png              exactly that; `img-1.png`, `img-2.png` … for several jobs
    {seed}-{slug}.{ext}  fields, see `core.templates`; `{{` and `}}` for braces
    -                    standard output
    /dev/null, a FIFO    written in place

A field's value contains no path separator, so an image cannot leave its folder. The folder part contains no field that
is known only after payment, so the folder can be checked before any money is spent.
May import: pictures.conversion, pictures.formats, pictures.metadata, terminal.text, core.
"""

import errno
import glob
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import replace

from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import longest_name, unusable_character, usable
from reve_cli.core.models import Identity
from reve_cli.core.tasks import Task
from reve_cli.core.templates import ANY_JOB, DEFAULT_NAME, PathTemplate, Values, ending, escape
from reve_cli.pictures.formats import EXTENSIONS, OTHER_EXTENSIONS, PNG, target_of
from reve_cli.terminal.text import quote

_LIKELY_EXTENSION = "png"


def identity(path: str) -> Identity | None:
    """The identity of the file at `path` now; None if there is no file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


class Naming:
    """One `--out`: where images go, whether they can go there, and what they may replace.

    Raises `ReveError`: code `usage` for a bad template, `output` for what is on disk.
    """

    def __init__(
        self,
        out: str | None,
        folder: str,
        *,
        jobs: int,
        force: bool,
        date: str,
        default: str = DEFAULT_NAME,
        any_name: bool = False,
    ) -> None:
        """folder: used without `out`. default: the template of names, unless `out` names a file.

        any_name: `out` was checked before, so it is taken as it is.
        """
        self.force = force
        self.to_stdout = out == "-" or _is_stdout(out)
        self.device = out if out is not None and not self.to_stdout and _is_device(out) else None
        self._since = time.time_ns()
        # Files found at the paths of images when they were first checked.
        self._seen: dict[str, Identity | None] = {}
        # Files that an earlier command was allowed to replace.
        self._allowed: dict[str, Identity] = {}
        is_folder = out is not None and not any_name and _is_folder(out)
        self._source = "name_template" if out is None or is_folder else "--out"
        self._template = PathTemplate(self._understand(out, folder, jobs, default, is_folder), date)
        if not any_name:
            self._check_extension()
        if jobs > 1 and (self.to_stdout or self.device):
            raise ReveError("usage", f"--out {out} takes the images of one job only")

    def _understand(self, out: str | None, folder: str, jobs: int, default: str, is_folder: bool) -> str:
        """The template that `out` means."""
        if out == "":
            raise ReveError("usage", "--out is empty")
        if out is None:
            return os.path.join(escape(folder), default) if folder not in ("", ".") else default
        if is_folder:  # a template where it ends in a slash
            return os.path.join(out if out.endswith(("/", os.sep)) else escape(out), default)
        if self.to_stdout or self.device:
            return DEFAULT_NAME
        if "{" not in out and "}" not in out and jobs > 1:
            stem, extension = os.path.splitext(out)
            return f"{stem}-{{index}}{extension}"
        return out

    def _check_extension(self) -> None:
        """Refuse a name of a format that reve cannot convert to: what is saved would not be what the name says."""
        extension = ending(self._template.text)
        if self.converts:
            from reve_cli.pictures.conversion import check_can_convert

            check_can_convert(extension)
        elif extension in OTHER_EXTENSIONS and not (self.to_stdout or self.device):
            stem = self._template.text[: -len(extension)]
            message = f"{self._source}: {self._template.text} would hold a PNG image, as the API delivers them"
            raise ReveError("usage", message, hint=f"use {stem}png, or {stem}{{ext}} for the format that arrives")

    @property
    def converts(self) -> bool:
        """Whether the name asks for another format than PNG, which the API delivers, and reve can convert to it."""
        kind = target_of(ending(self._template.text))
        return kind not in (None, PNG) and not (self.to_stdout or self.device)

    # Paths

    @property
    def template(self) -> str:
        """The template of all paths."""
        return self._template.text

    @property
    def names_the_job(self) -> bool:
        """Whether the job's id is part of each path, so that it is the same in any command about the job."""
        return self._template.names_the_job

    def path(self, values: Values, number: int = 1) -> str:
        """The path of an image. number: counts the images of its job from 1."""
        filled = self._template.fill(values)
        return filled if number == 1 else numbered(filled, number)

    def meant(self, task: Task) -> bool:
        """Whether every file of `task` has its own path, and not a name beside it."""
        values, images = Values.of(task), len(task.job.urls) if task.job else 0
        for saved in task.files:
            named = replace(values, ext=os.path.splitext(saved.path)[1][1:])
            if saved.path not in (self.path(named, number) for number in range(1, images + 1)):
                return False
        return True

    def has_all(self, task: Task, images: int) -> bool:
        """Whether all `images` of `task`'s job are on disk already. Only names that contain the job's id can tell."""
        if not images or self.to_stdout or self.device or not self._template.names_the_job:
            return False
        values = Values.of(task)
        return all(
            any(self._is_on_disk(replace(values, ext=extension), number) for extension in EXTENSIONS)
            for number in range(1, images + 1)
        )

    def _is_on_disk(self, values: Values, number: int) -> bool:
        pattern = self._template.pattern(values)
        found = glob.iglob(pattern if number == 1 else numbered(pattern, number))
        return any(os.path.isfile(path) for path in found)

    def _likely(self, values: Values) -> str:
        return self.path(replace(values, ext=_LIKELY_EXTENSION, job=values.job or ANY_JOB))

    # The same output, said again

    def as_option(self, values: Values) -> str:
        """An `--out` that means the same for this job alone: the known values are filled in."""
        if self.to_stdout:
            return "-"
        return self.device or self._template.fill_known(values)

    def as_row(self, task: Task) -> tuple[str, tuple[str, Identity] | None]:
        """What the journal keeps to save the images later: an absolute template or `-`, and the file to replace."""
        values = Values.of(task)
        if self.to_stdout or self.device:
            return "-", None
        path = self._likely(values)
        old = self._seen.get(path) if self.force else None
        here = _folder_of(self._template.text)
        return os.path.join(escape(here), self.as_option(values)), (os.path.join(here, path), old) if old else None

    @classmethod
    def of_row(cls, out: str, replaces: tuple[str, Identity] | None) -> "Naming":
        """The naming of a job that an earlier command began. The arguments are what `as_row` returned."""
        naming = cls(out, ".", jobs=1, force=False, date="", any_name=True)
        if replaces is not None:
            naming._allowed[replaces[0]] = replaces[1]
        return naming

    @property
    def identity(self) -> str | None:
        """The output in a form that is the same from every folder; None for a pipe or a device."""
        if self.to_stdout or self.device:
            return None
        text = self._template.text
        return os.path.normpath(os.path.join(escape(_folder_of(text)), text))

    # What is on disk

    def check(self, tasks: Iterable[Task]) -> None:
        """Refuse outputs that are sure to fail, before any money is spent; note the files that are there now."""
        if self.device and not os.access(self.device, os.W_OK):
            raise ReveError("output", f"{self.device} is not writable")
        if self.to_stdout or self.device:
            return
        taken: set[str] = set()
        for values in map(Values.of, tasks):
            self._check(values)
            path = self.path(replace(values, job=values.job or f"job{values.index}", ext=_LIKELY_EXTENSION))
            if path in taken and not self._template.unknown(values) - {"job"}:
                message = f"{self._source}: several images would have the same name; add {{index}} or {{job}}"
                raise ReveError("usage", message)
            taken.add(path)

    def _check(self, values: Values) -> None:
        path = self._likely(values)
        unknown = self._template.unknown(values)
        try:
            if not unknown & self._template.folder_fields:
                _check_folder(os.path.dirname(path) or ".")
                check_characters(path)
            if len(os.fsencode(os.path.basename(path))) > longest_name(os.path.dirname(path)):
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            now = identity(path)
            if unknown:
                return
            if os.path.isdir(path):
                raise ReveError("output", f"{path} is a folder", hint=f"to save into it: --out {quote(path)}/")
            if now and not stat.S_ISREG(os.lstat(path).st_mode) and not os.path.islink(path):
                raise ReveError("output", f"{path} is not a file")
            at_first = self._seen.setdefault(path, now)  # an image that this run saves there later is not replaced
        except OSError as error:
            raise ReveError("output", f"cannot write {path}: {error.strerror}") from error
        if at_first and not self.force and not _has_image_of(path, values.job):
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

    def allow(self, task: Task, replaces: tuple[str, Identity]) -> None:
        """Let `task` replace the file that the command which began it was allowed to replace."""
        self._allowed[self._likely(Values.of(task))] = replaces[1]


def numbered(path: str, number: int | str) -> str:
    """`img.png` as `img-2.png`."""
    stem, extension = os.path.splitext(path)
    return f"{stem}-{number}{extension}"


def check_characters(path: str) -> None:
    """Raise `ReveError` if the file system at `path` does not take a character of the file's name."""
    folder, name = os.path.split(path)
    bad = unusable_character(folder or ".", name)
    if bad is not None:
        character, error = bad
        message = f"{path}: the file system does not take {character!r} in a name ({error.strerror})"
        raise ReveError("output", message, hint=f"a name that works: {usable(name).replace(ANY_JOB, '{job}')}")


def _has_image_of(path: str, job: str | None) -> bool:
    """Whether the file at `path` is the first image of `job` as reve saved it, so that saving it again is harmless."""
    from reve_cli.pictures.metadata import is_as_downloaded, read

    try:
        record = read(path) if job else None
        is_of_job = record is not None and record.is_ours and (record.job_id, record.image) == (job, 1)
        return is_of_job and bool(is_as_downloaded(path, record))
    except (ReveError, OSError):
        return False


def _check_folder(folder: str) -> None:
    """Raise `ReveError` if no file can be created in `folder`."""
    if not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise ReveError("output", f"{folder} is not a folder")
        raise ReveError("output", f"the folder {folder} does not exist", hint=f"mkdir -p {quote(folder)}")
    if not os.access(folder, os.W_OK | os.X_OK):
        named = "current folder" if folder == "." else f"folder {folder}"
        raise ReveError("output", f"the {named} is not writable", hint="choose another with --out")


def _folder_of(path: str) -> str:
    """The current folder if `path` is relative (it may have vanished), else an empty string."""
    try:
        return "" if os.path.isabs(path) else os.getcwd()
    except OSError as error:
        raise ReveError("output", f"the current folder cannot be used: {error.strerror}") from error


def _is_folder(out: str) -> bool:
    """Whether `out` means a folder: it ends in a slash, or is one and is not called like an image."""
    if out.endswith(("/", os.sep)):
        return True
    return os.path.splitext(out)[1].lower() != ".png" and os.path.isdir(out)


def _is_device(path: str) -> bool:
    """Whether `path` is a character device or a FIFO, which is written in place."""
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
