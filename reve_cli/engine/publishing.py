"""One image file: written under a temporary name, finished, flushed to the disk, then published under its own name.

`Recorder` finishes it: converts it to the format that its name asks for, and records how it was made.

Publishing replaces nothing but the file that `--force` allows, and the ledger is told before each step.
May import: engine.naming, api.download, pictures, core.
"""

import contextlib
import errno
import glob
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from reve_cli import __version__
from reve_cli.api.download import Unusable
from reve_cli.core.filesystem import IMPOSSIBLE_NAME, lock, sync
from reve_cli.core.models import Identity
from reve_cli.core.tasks import SavedFile, Style, Task
from reve_cli.engine.naming import identity, numbered
from reve_cli.pictures import sidecar
from reve_cli.pictures.formats import Format, target_of
from reve_cli.pictures.layout import digest
from reve_cli.pictures.metadata import embed, has_credentials, original_sha256
from reve_cli.pictures.provenance import SOURCE_TYPE, Provenance

# Called before a file is published: the task, the file as it will be, its temporary path, and the identity of that.
Note = Callable[[Task, SavedFile, str, Identity], None]

# This many names beside a taken one are tried.
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
        # The temporary files that were in a folder before this run saved there.
        self._earlier: dict[str, list[str]] = {}

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
    def temporary(self, task: Task, folder: str, number: int | str, mode: int) -> Iterator[tuple[str, BinaryIO]]:
        """A new file in `folder` for an image of `task`, or its sidecar. Removed at the end unless it was published.

        The journal finds it after a crash if it has a row for `task`. Else its name has the job, and it is locked while
        this process lives, for `remove_dead`.
        """
        if not task.is_owned and folder not in self._earlier:
            self._earlier[folder] = glob.glob(f"{glob.escape(folder)}/.reve-*.part")
        name = task.token if task.is_owned else f"{task.token}-{task.job_id}"
        path = os.path.join(folder, f".reve-{name}-{number}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with self._lock:  # so that `close` either finds the file or prevents it
            self._refuse_if_closed()
            self._temporaries.add(path)
            descriptor = os.open(path, flags, mode)
        alive = None
        try:
            with os.fdopen(descriptor, "r+b") as file:
                if not task.is_owned and _lock(descriptor):
                    alive = os.dup(descriptor)  # `file` is closed before it gets its name
                yield path, file
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            self._temporaries.discard(path)
            if alive is not None:
                os.close(alive)

    def remove_dead(self, task: Task, folder: str, number: int) -> None:
        """Remove the temporary files that killed processes without a row left of an image, which is in `folder` now."""
        ends = tuple(f"-{task.job_id}-{number}{kind}.part" for kind in ("", "-record"))
        for path in self._earlier.get(folder, ()):
            if not path.endswith(ends):
                continue
            with contextlib.suppress(OSError), open(path, "r+b") as file:
                if _lock(file.fileno()):
                    os.unlink(path)

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
        there = None if replaces else already_saved(wanted)
        if there is not None:
            task.files.append(there)
            return there
        for path in _beside(wanted.path, str(task.job_id)):
            if not replaces and os.path.lexists(path):
                continue
            saved = replace(wanted, path=path)
            self._lock.release()  # notes of several threads share a flush to the disk
            try:
                self._note(task, saved, os.path.abspath(temporary), here)
            finally:
                self._lock.acquire()
            self._refuse_if_closed()
            if replaces and identity(path) != replaceable:  # another image of this run has replaced it meanwhile
                replaces = False
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


class Recorder:
    """Finishes images before they get their names. Threads may share it.

    style: how images are saved, unless their tasks say otherwise. is_simulated: whether the API is the sandbox.
    """

    def __init__(self, style: Style, is_simulated: Callable[[], bool], say: Callable[[str], None]) -> None:
        self._style, self._is_simulated, self._say = style, is_simulated, say

    def finish(self, task: Task, number: int, file: BinaryIO, found: Format, path: str) -> "Finished":
        """Convert an image in `file` if `path` asks for it, and write its record into it.

        If it cannot be converted, it stays as it is, and its path gets the extension of its format.
        """
        style, downloaded = task.style or self._style, original_sha256(file, found)
        record = self._record(task, number, downloaded) if style.metadata == "embed" else None
        stem, extension = os.path.splitext(path)
        target, is_recorded = target_of(extension[1:]), False
        if target is not None and target is not found:
            from reve_cli.pictures.conversion import NotConverted, convert

            had_credentials = has_credentials(file)
            try:
                convert(file, target, style.quality, record)
                found, is_recorded = target, record is not None
            except NotConverted as error:
                self._say(f"warning: the image cannot be converted for {path}: {error}")
                path = f"{stem}.{found.extension}"
            else:
                if had_credentials:
                    self._say(f"warning: {path} is converted, so it has lost its Content Credentials")
        if record is not None:
            is_recorded |= embed(file, record, found)
        return Finished(path, found, downloaded, is_recorded)

    def needs_sidecar(self, task: Task, *, is_recorded: bool) -> bool:
        """Whether the record goes beside an image of `task`. is_recorded: it is in the image itself."""
        style = task.style or self._style
        return style.metadata == "sidecar" or (style.metadata == "embed" and not is_recorded)

    def record_beside(self, publisher: Publisher, task: Task, saved: SavedFile, *, is_recorded: bool) -> None:
        """Write the sidecar of a saved image, if it needs one, else remove one of an image that was there before.

        is_recorded: the record is in the image itself.
        """
        if not self.needs_sidecar(task, is_recorded=is_recorded):
            sidecar.remove(saved.path)
            return
        path = sidecar.path_of(saved.path)
        record = self._record(task, saved.number, saved.downloaded_sha256)
        if sidecar.is_taken(saved.path):
            self._say(f"warning: {path} is another file, so it does not record how {saved.path} was made")
        elif sidecar.read(saved.path) != record:
            folder = os.path.dirname(path) or "."
            try:
                with publisher.temporary(task, folder, f"{saved.number}-record", 0o666) as (temporary, file):
                    file.write(sidecar.content(record))
                    seal(file)
                    os.replace(temporary, path)
            except OSError as error:
                self._say(f"warning: cannot write {path}: {error.strerror or error}")

    def _record(self, task: Task, number: int, downloaded: str | None) -> Provenance:
        more = {"image": number, "downloadedSha256": downloaded, "digitalSourceType": SOURCE_TYPE}
        job = task.document(self._is_simulated())
        return Provenance.of_document({**job, **more, "tool": f"reve {__version__}"})


@dataclass(frozen=True)
class Finished:
    """An image as it will be published.

    downloaded_sha256: of what the server sent. is_recorded: the image itself says how it was made.
    """

    path: str
    format: Format
    downloaded_sha256: str
    is_recorded: bool


def seal(file: BinaryIO) -> tuple[int, str, bool]:
    """Flush a file to the disk and close it: Windows cannot rename an open file.

    Returns its size, its SHA-256, and whether it is sure to survive a power cut.
    """
    sha256 = digest(file)
    size = file.tell()
    is_synced = sync(file.fileno())
    file.close()
    return size, sha256, is_synced


def holds(path: str, noted: SavedFile, inode: list[int] | None) -> bool:
    """Whether the file at `path` has the size and hash of `noted`, and is `inode` (device, inode) if that is given."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for its writer
            return False
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size != noted.bytes or (inode and inode != [found.st_dev, found.st_ino]):
                return False
            return digest(file) == noted.sha256
    except OSError:
        return False


def already_saved(wanted: SavedFile) -> SavedFile | None:
    """The image at the path of `wanted`, if another command has saved the same download there."""
    if holds(wanted.path, wanted, None):
        return wanted
    try:
        if wanted.downloaded_sha256 is None or not stat.S_ISREG(os.stat(wanted.path).st_mode):
            return None
        with open(wanted.path, "rb") as file:
            if original_sha256(file) != wanted.downloaded_sha256:
                return None
            return replace(wanted, sha256=digest(file), bytes=file.tell())
    except OSError:
        return None


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


def _lock(descriptor: int) -> bool:
    """Lock an open file. False if another process has locked it, or there are no locks that outlive a rename."""
    try:
        return os.name != "nt" and lock(descriptor)
    except OSError:
        return False


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
