"""Images to their files: fetched beside their target, published under its name, and never lost to a bad folder.

A temporary file in the target's folder is filled, checked and flushed, the ledger notes what is about to happen, and
the file gets its name without replacing anything that it was not told to replace. What a process that was killed left
half done is taken up from there. Imports `download`, `naming`, `output`, `tasks`, `models`, `clock`, `errors`.
"""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from reve_cli.api.download import Images, Unusable
from reve_cli.api.formats import Format
from reve_cli.core.clock import DAY, Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.models import Identity
from reve_cli.core.tasks import SavedFile, Task
from reve_cli.engine.naming import Naming, Values, identity, numbered
from reve_cli.terminal.text import quote

Say = Callable[[str], None]
Note = Callable[[Task, SavedFile, str, Identity], None]
"""Told what is about to be published: the task, the file as it will be, its temporary name, and what it is there."""

RESCUE, SPOOL = "rescue", "spool"
"""Folders in the state folder: for images that found no other place, and for those on their way to a pipe."""
_SPOOL_SECONDS = DAY


class Saver:
    """Saves the images of jobs, each to where its task's naming says. Several threads may save at once."""

    def __init__(
        self,
        images: Images,
        naming_of: Callable[[Task], Naming],
        state: Path | None,
        say: Say,
        note: Note,
        is_kept: Callable[[str], bool],
    ) -> None:
        self._images, self._naming_of, self._say, self._note, self._is_kept = images, naming_of, say, note, is_kept
        self._rescue = state / RESCUE if state else None
        self._spool = state / SPOOL if state else None
        self._temporaries: set[str] = set()
        self._publishing = threading.Lock()
        self._closed = False
        self._claimed: set[str] = set()
        """Paths that this run has given to an image, or told how to give."""

    def refusal(self, task: Task) -> ReveError | None:
        """Why, before a byte is fetched, `task`'s images cannot go where they are meant to; None where they can."""
        try:
            self._naming_of(task).check([task])
        except ReveError as error:
            return error
        return None

    def has_saved(self, task: Task) -> bool:
        """Whether every image of `task`'s job is where it was meant to go."""
        return task.job is not None and len(task.files) == len(task.job.urls) and self._naming_of(task).meant(task)

    def close(self) -> None:
        """Publish nothing from now on, and leave no temporary file behind. Waits for a publication under way."""
        with self._publishing:
            self._closed = True
            self.clean()

    def clean(self) -> None:
        """Remove the temporary files. Takes no lock: it also runs in the handler of a second signal."""
        for path in tuple(self._temporaries):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def save(self, task: Task, url: str, number: int, deadline: Deadline) -> ReveError | None:
        """Save one image of `task`, the `number`th of its job, from `url`, and note it in the task's files.

        Returns an error (`saved_elsewhere`) where it could not go where it was meant to.
        Raises `Unusable` where the image cannot be had, and OSError where it can be written nowhere.
        """
        naming = self._naming_of(task)
        saved = next((file for file in task.files if file.number == number), None)
        if saved is not None:  # by the process that this one goes on for
            if naming.to_stdout:
                self._say(f"kept for 24 hours: {saved.path}")
            return self._verdict(task, saved)
        if naming.device or naming.to_stdout:
            self._prune()
        if naming.device:
            return self._save_to_device(naming.device, task, url, number, deadline)
        if naming.to_stdout:
            kept = self._save(_private(self._spool), task, url, number, deadline, apart=True)
            self._say(f"kept for 24 hours: {kept.path}")
            return None
        likely = naming.path(replace(Values.of(task), ext="png"), number)
        try:
            self._save(os.path.dirname(likely) or ".", task, url, number, deadline)
        except OSError as error:
            kept = self._save(_private(self._rescue), task, url, number, deadline, apart=True)
            return _elsewhere(kept.path, likely, error.strerror or str(error))
        return self._verdict(task, task.files[-1])

    def recover(self, task: Task, entries: list[dict[str, Any]]) -> None:
        """Take up what an earlier process noted before it published: files that got their name, and those that did not.

        Removes what it left behind.
        """
        naming = self._naming_of(task)
        for entry in entries:
            fields = ("number", "path", "url", "bytes", "sha256", "mediaType")
            noted = SavedFile(*(entry[name] for name in fields))
            inode, temporary = entry.get("inode"), entry.get("temporary")
            if not _holds(noted.path, noted, inode):
                wanted = self._wanted(task, noted)
                if _holds(wanted, noted, None):  # somebody has moved it to where it was meant to be
                    task.files.append(replace(noted, path=wanted))
                    continue
                if not temporary or not _holds(temporary, noted, inode):
                    continue
                with contextlib.suppress(OSError), self._publishing:
                    saved = self._publish(naming, task, temporary, noted)
                    _sync_folder(os.path.dirname(saved.path))
                continue
            task.files.append(noted)
        if not naming.device:
            likely = naming.path(replace(Values.of(task), ext="png"))
            for folder in (os.path.dirname(likely) or ".", self._rescue, self._spool):
                for path in glob.glob(f"{glob.escape(str(folder or '.'))}/.reve-{task.token}-*.part"):
                    with contextlib.suppress(OSError):
                        os.unlink(path)
        for place, file in enumerate(task.files):
            wanted = self._wanted(task, file)
            if os.path.abspath(wanted) == file.path:
                task.files[place] = replace(file, path=wanted)

    def _wanted(self, task: Task, saved: SavedFile) -> str:
        """The path that a saved image was meant to get, as this command would print it."""
        values = replace(Values.of(task), ext=os.path.splitext(saved.path)[1][1:])
        return self._naming_of(task).path(values, saved.number)

    def _verdict(self, task: Task, saved: SavedFile) -> ReveError | None:
        """Whether an image that is saved is where it was meant to be."""
        naming, wanted = self._naming_of(task), self._wanted(task, saved)
        if naming.to_stdout or naming.device or os.path.abspath(saved.path) == os.path.abspath(wanted):
            return None
        with self._publishing:
            if os.path.abspath(wanted) in self._claimed:  # two moves to one name would lose an image
                self._say(f"{saved.path}: {wanted} is another image's, so it keeps this name")
                return None
            self._claimed.add(os.path.abspath(wanted))
        taken = os.path.lexists(wanted)
        reason = "something else appeared there meanwhile" if taken else "it could not be written there before"
        return _elsewhere(saved.path, wanted, reason)

    def _save(
        self, folder: str, task: Task, url: str, number: int, deadline: Deadline, *, apart: bool = False
    ) -> SavedFile:
        """Save into `folder`. `apart`: that is a folder of ours, where files are private and named by their job."""
        values, naming = Values.of(task), self._naming_of(task)
        with self._temporary(task, folder, number, 0o600 if apart else 0o666) as (temporary, file):
            found = self._images.fetch(url, file, deadline)
            size, digest = _seal(file)
            values = replace(values, ext=found.extension)
            if apart:
                wanted = os.path.join(folder, f"{values.job}.{found.extension}")
                wanted = wanted if number == 1 else numbered(wanted, number)
            else:
                wanted = naming.path(values, number)
            with self._publishing:
                saved = self._publish(
                    naming, task, temporary, SavedFile(number, wanted, url, size, digest, found.media_type)
                )
        _sync_folder(folder)
        self._tell_of_extension(saved.path, found)
        return saved

    def _prune(self) -> None:
        """Forget spooled images whose day is over, but for those that are still to go elsewhere."""
        with contextlib.suppress(OSError):
            for path in self._spool.iterdir() if self._spool else ():
                if time.time() - path.stat().st_mtime > _SPOOL_SECONDS and not self._is_kept(path.name):
                    path.unlink()

    def _tell_of_extension(self, path: str, found: Format) -> None:
        extension = os.path.splitext(path)[1][1:]
        if extension and not found.fits(extension):
            self._say(f"{path} holds {found.media_type}, not what its name says")

    def _save_to_device(self, device: str, task: Task, url: str, number: int, deadline: Deadline) -> ReveError | None:
        """Through the spool, so that only a whole image is written, and it is kept where that fails."""
        saved = self._save(_private(self._spool), task, url, number, deadline, apart=True)
        try:
            with open(saved.path, "rb") as source, open(device, "wb") as sink:
                shutil.copyfileobj(source, sink)
        except OSError as error:
            return _elsewhere(saved.path, device, error.strerror or str(error), "cat -- {path} > {wanted}")
        os.unlink(saved.path)
        task.files[task.files.index(saved)] = replace(saved, path=device)
        return None

    @contextlib.contextmanager
    def _temporary(self, task: Task, folder: str, number: int, mode: int) -> Iterator[tuple[str, BinaryIO]]:
        """A new file in `folder` that is gone at the end unless it was published."""
        path = os.path.join(folder, f".reve-{task.token}-{number}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with self._publishing:  # so that `close` finds it, or it is never made
            if self._closed:
                raise Unusable("stopped before it was saved")
            self._temporaries.add(path)
            descriptor = os.open(path, flags, mode)
        try:
            with os.fdopen(descriptor, "r+b") as file:
                yield path, file
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            self._temporaries.discard(path)

    def _publish(self, naming: Naming, task: Task, temporary: str, wanted: SavedFile) -> SavedFile:
        """Give a temporary file its name, or one beside it where that is taken, and note it among the task's files.

        The ledger is told before each step. Returns the file as it is published.
        """
        here = identity(temporary)
        if self._closed:
            raise Unusable("stopped before it was saved")
        if here is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), temporary)
        replaceable = naming.replaceable(wanted.path)
        replaces = replaceable is not None and identity(wanted.path) == replaceable
        if not replaces and _holds(wanted.path, wanted, None):  # it is there: another command has saved it
            task.files.append(wanted)
            return wanted
        for path in _beside(wanted.path, str(task.job_id)):
            if not replaces and os.path.lexists(path):
                continue
            saved = replace(wanted, path=path)
            self._note(task, saved, os.path.abspath(temporary), here)
            if replaces:
                os.replace(temporary, path)
            else:
                try:
                    _link(temporary, path)
                except FileExistsError:
                    continue
            task.files.append(saved)
            if str(task.job_id) not in path:  # no other image is to get that name
                self._claimed.add(os.path.abspath(path))
            return saved
        raise FileExistsError(errno.EEXIST, "the name and all names beside it are taken", wanted.path)


def _beside(path: str, job: str) -> Iterator[str]:
    yield path
    base = path if job in os.path.basename(path) else numbered(path, job)
    yield base
    for number in range(2, 100):
        yield numbered(base, number)


def _seal(file: BinaryIO) -> tuple[int, str]:
    """Make what was written last, and close it: Windows renames no open file. Returns its size and SHA-256."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # it has readinto
    size = file.tell()
    os.fsync(file.fileno())
    file.close()
    return size, digest.hexdigest()


def _holds(path: str, noted: SavedFile, inode: list[int] | None) -> bool:
    """Whether the file at `path` is the one that was noted, whole."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for its writer
            return False
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size != noted.bytes or (inode and inode != [found.st_dev, found.st_ino]):
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == noted.sha256
    except OSError:
        return False


def _link(temporary: str, path: str) -> None:
    """Rename without replacing. Raises FileExistsError where `path` is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: claim the name first, then put the image over the claim
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(path)
            raise


def _sync_folder(folder: str) -> None:
    """Make the new name last through a power cut, where the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(folder: Path | None) -> str:
    """`folder`, made for its owner alone; where that cannot be, a fresh one among the system's temporary files."""
    try:
        if folder is None:
            raise FileNotFoundError
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
    except OSError:
        pass
    import tempfile

    return tempfile.mkdtemp(prefix="reve-")


def _elsewhere(path: str, wanted: str, why: str, command: str = "mv -i -- {path} {wanted}") -> ReveError:
    """An image that is safe, but not where it was meant to be; with the command that takes it there."""
    folder = os.path.dirname(wanted)
    if folder and not os.path.isdir(folder):
        command = f"mkdir -p -- {quote(folder)} && {command}"
    hint = command.format(path=quote(path), wanted=quote(wanted))
    return ReveError("saved_elsewhere", f"the image is saved as {path}, not {wanted}: {why}", hint=hint)
