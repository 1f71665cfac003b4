"""One image file: written under a temporary name, flushed to the disk, then published under its own name.

Publishing replaces nothing but the file that `--force` allows, and the ledger is told before each step.
May import: engine.naming, api.download, core.
"""

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO

from reve_cli.api.download import Unusable
from reve_cli.core.filesystem import IMPOSSIBLE_NAME, sync
from reve_cli.core.models import Identity
from reve_cli.core.tasks import SavedFile, Task
from reve_cli.engine.naming import identity, numbered

# Called before a file is published: the task, the file as it will be, its temporary path, and the identity of that.
Note = Callable[[Task, SavedFile, str, Identity], None]

# So many names beside a taken one are tried.
_NAMES_BESIDE = 100


class Publisher:
    """Creates temporary files and gives them their names. Threads may share it."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._temporaries: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        # Paths of this run's images, and paths that a command printed by this run moves an image to.
        self._claimed: set[str] = set()

    def close(self) -> None:
        """Publish nothing from now on, and remove the temporary files. Waits for a file that is being published."""
        with self._lock:
            self._closed = True
            self.clean()

    def clean(self) -> None:
        """Remove the temporary files. Takes no lock: the handler of a second signal calls it too."""
        for path in tuple(self._temporaries):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def claim(self, path: str) -> bool:
        """Reserve `path` for one image. Returns False if another image of this run has it."""
        with self._lock:
            if os.path.abspath(path) in self._claimed:
                return False
            self._claimed.add(os.path.abspath(path))
            return True

    @contextlib.contextmanager
    def temporary(self, task: Task, folder: str, number: int, mode: int) -> Iterator[tuple[str, BinaryIO]]:
        """A new file in `folder` for the image `number` of `task`. It is removed at the end unless it was published."""
        path = os.path.join(folder, f".reve-{task.token}-{number}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with self._lock:  # so that `close` either finds the file or prevents it
            self._refuse_if_closed()
            self._temporaries.add(path)
            descriptor = os.open(path, flags, mode)
        try:
            with os.fdopen(descriptor, "r+b") as file:
                yield path, file
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            self._temporaries.discard(path)

    def publish(self, task: Task, temporary: str, wanted: SavedFile, replaceable: Identity | None) -> SavedFile:
        """Move `temporary` to the path of `wanted`, or to a name beside it if that is taken; add it to `task.files`.

        replaceable: the file that may be replaced. Returns the file under the name that it got.
        Raises `Unusable` if the run is over, and OSError.
        """
        with self._lock:
            return self._publish(task, temporary, wanted, replaceable)

    def _publish(self, task: Task, temporary: str, wanted: SavedFile, replaceable: Identity | None) -> SavedFile:
        here = identity(temporary)
        self._refuse_if_closed()
        if here is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), temporary)
        replaces = replaceable is not None and identity(wanted.path) == replaceable
        if not replaces and holds(wanted.path, wanted, None):  # another command has saved it already
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
                    _rename_without_replacing(temporary, path)
                except FileExistsError:
                    continue
                except OSError as error:
                    plain = os.path.join(os.path.dirname(path), f"{task.job_id}{os.path.splitext(path)[1]}")
                    if error.errno not in IMPOSSIBLE_NAME or plain == wanted.path:
                        raise
                    return self._publish(task, temporary, replace(wanted, path=plain), None)
            task.files.append(saved)
            if str(task.job_id) not in path:  # no other image may get this name
                self._claimed.add(os.path.abspath(path))
            return saved
        raise FileExistsError(errno.EEXIST, "the name and all names beside it are taken", wanted.path)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Unusable("stopped before it was saved")


def seal(file: BinaryIO) -> tuple[int, str, bool]:
    """Flush a file to the disk and close it: Windows cannot rename an open file.

    Returns its size, its SHA-256, and whether it is sure to survive a power cut.
    """
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # it has readinto
    size = file.tell()
    is_synced = sync(file.fileno())
    file.close()
    return size, digest.hexdigest(), is_synced


def holds(path: str, noted: SavedFile, inode: list[int] | None) -> bool:
    """Whether the file at `path` has the size and hash of `noted`, and is `inode` (device, inode) if that is given."""
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


def sync_folder(folder: str) -> None:
    """Make a new name in `folder` survive a power cut, if the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _beside(path: str, job: str) -> Iterator[str]:
    """`path`, then names beside it that contain the job's id."""
    yield path
    base = path if job in os.path.basename(path) else numbered(path, job)
    yield base
    for number in range(2, _NAMES_BESIDE):
        yield numbered(base, number)


def _rename_without_replacing(temporary: str, path: str) -> None:
    """Raises FileExistsError if `path` is taken."""
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
