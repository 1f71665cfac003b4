"""Where an image goes: to the path that `--out` asks for, to a pipe, or to the rescue folder if that path fails.

An image in the rescue folder moves to its own path as soon as a command asks for it there and it can be written.
`publishing` writes the file. Files that a killed process left half done are finished or removed by `Saver.recover`.
May import: engine.publishing, engine.naming, api.download, pictures, terminal.text, core.
"""

import contextlib
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from reve_cli.api.download import Images
from reve_cli.core.clock import DAY, Deadline
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import room, usable
from reve_cli.core.tasks import SavedFile, Task
from reve_cli.core.templates import Values
from reve_cli.engine.naming import Naming, numbered
from reve_cli.engine.publishing import Finished, Note, Publisher, Recorder, holds, seal, sync_folder
from reve_cli.pictures import sidecar
from reve_cli.pictures.formats import Format, image_format, target_of
from reve_cli.pictures.layout import digest
from reve_cli.pictures.metadata import has_record, original_sha256
from reve_cli.terminal.text import quote

Say = Callable[[str], None]

# Folders in the state folder: for images that cannot be saved elsewhere, and for images on their way to a pipe.
RESCUE, SPOOL = "rescue", "spool"
_SPOOL_SECONDS = DAY
# Writes an image into a file and returns its format. Raises `Unusable`, or OSError if it cannot be written.
Fill = Callable[[BinaryIO], Format]


class Saver:
    """Saves the images of jobs, each to the path that its task's naming gives. Threads may share it."""

    def __init__(
        self,
        images: Images,
        naming_of: Callable[[Task], Naming],
        state: Path | None,
        say: Say,
        note: Note,
        is_kept: Callable[[str], bool],
        recorder: Recorder,
    ) -> None:
        """is_kept: whether a file in the spool or the rescue folder is still needed."""
        self._images, self._naming_of, self._say, self._is_kept = images, naming_of, say, is_kept
        self._rescue = state / RESCUE if state else None
        self._spool = state / SPOOL if state else None
        self._publisher, self._recorder = Publisher(note), recorder
        # Tokens of tasks with an image whose sidecar may still have to be written.
        self._unrecorded: set[str] = set()
        self._largest = images.limits.image_bytes
        # Why an image could not be written to its own path: the first time that it happened.
        self.trouble: ReveError | None = None
        self._has_told_of_sync = False
        # How many images came from the rescue folder to their own paths.
        self.moved = 0

    def refusal(self, task: Task) -> ReveError | None:
        """Why the images of `task` cannot be saved to their paths, before anything is fetched; None if they can."""
        try:
            self._naming_of(task).check([task])
        except ReveError as error:
            return error
        return None

    def room(self) -> float:
        """How many images the rescue folder could take now."""
        return room(str(self._rescue) if self._rescue else tempfile.gettempdir(), self._largest)

    def no_room(self) -> ReveError:
        """The error for a request that is not sent because its image might have no place."""
        place = self._rescue.parent if self._rescue else tempfile.gettempdir()
        message = f"no room in {place}, where images go that cannot be saved elsewhere; nothing more is submitted"
        return ReveError("output", message, hint="free some space, or set REVE_STATE_DIR to another folder")

    def close(self) -> None:
        """Save nothing from now on, and leave no temporary file behind."""
        self._publisher.close()

    def clean(self) -> None:
        """Remove the temporary files. Takes no lock: the handler of a second signal calls it too."""
        self._publisher.clean()

    def has_saved(self, task: Task) -> bool:
        """Whether every image of `task`'s job is saved under its own name."""
        has_all = task.job is not None and len(task.files) == len(task.job.urls) and self._naming_of(task).meant(task)
        return has_all and task.token not in self._unrecorded

    def save(self, task: Task, url: str, number: int, deadline: Deadline) -> ReveError | None:
        """Save the image `number` of `task`'s job from `url`, and add it to `task.files`.

        An image that an earlier command rescued is moved to its own path, not fetched again. Returns an error
        (`saved_elsewhere`) if it is not saved to its own path. Raises `Unusable` if the image cannot be fetched, and
        OSError if it can be written nowhere.
        """
        naming = self._naming_of(task)
        saved = next((file for file in task.files if file.number == number), None)
        if saved is not None and naming.to_stdout:  # by the process whose run this one continues
            self._say(f"kept for 24 hours: {saved.path}")
        if saved is not None and not _is_apart(naming, saved, self._wanted(task, saved)):
            if not (naming.to_stdout or naming.device):
                self._recorder.record_beside(self._publisher, task, saved, is_recorded=has_record(saved.path))
            return self._verdict(task, saved)
        if naming.device or naming.to_stdout:
            _prune(self._spool, self._is_kept)
        if naming.device:
            return self._save_to_device(naming.device, task, url, number, deadline)
        if naming.to_stdout:
            kept = self._save_apart(self._spool, task, url, number, deadline, is_raw=True)
            self._say(f"kept for 24 hours: {kept.path}")
            return None
        return self._save_or_rescue(task, saved or _rescued(self._rescue, task, url, number), url, number, deadline)

    def _save_or_rescue(
        self, task: Task, kept: SavedFile | None, url: str, number: int, deadline: Deadline
    ) -> ReveError | None:
        """Save an image to its own path; if that is impossible, keep it in the rescue folder.

        kept: the image, if it is there already.
        """
        naming = self._naming_of(task)
        likely = _likely_path(naming, task, number)
        folder = os.path.dirname(likely) or "."
        fill: Fill = lambda file: self._images.fetch(url, file, deadline)  # noqa: E731
        try:
            if kept is not None:
                there = kept
                fill = lambda file: _copy(there, file)  # noqa: E731
                os.makedirs(folder, exist_ok=True)
            saved = self._save(folder, task, url, number, fill, lambda values: naming.path(values, number))
        except OSError as error:
            reason = error.strerror or str(error)
            if self.trouble is None:
                self.trouble = ReveError("output", f"cannot write {likely}: {reason}; nothing more is submitted")
            kept = kept or self._save_apart(self._rescue, task, url, number, deadline)
            if kept not in task.files:
                task.files.append(kept)
            task.rescued = True
            return ReveError("saved_elsewhere", f"the image is saved as {kept.path}, not {likely}: {reason}")
        if kept is not None and kept.path == saved.path:  # it could still not be converted
            task.files.remove(kept)
        elif kept is not None:
            self.moved += 1
            self._drop(task, kept)
        return self._verdict(task, saved)

    def _drop(self, task: Task, kept: SavedFile) -> None:
        """Remove an image from the rescue folder after it was moved, unless another row of the journal needs it."""
        task.files[:] = [file for file in task.files if file.path != kept.path]
        ours = task.is_owned or task.adopted
        if ours or not self._is_kept(os.path.basename(kept.path)):
            with contextlib.suppress(OSError):
                os.unlink(kept.path)
            sidecar.remove(kept.path)

    def recover(self, task: Task, entries: list[dict[str, Any]]) -> None:
        """Continue what an earlier process noted in the journal: add its files to `task.files`, publish what it had
        written but not named, and remove its temporary files.
        """
        naming = self._naming_of(task)
        for entry in entries:
            noted = SavedFile.of_document(entry, entry["number"])
            inode, temporary = entry.get("inode"), entry.get("temporary")
            wanted = self._wanted(task, noted)
            if holds(noted.path, noted, inode):
                task.files.append(noted)
            elif holds(wanted, noted, None):  # somebody moved it to its own path
                task.files.append(replace(noted, path=wanted))
            elif temporary and holds(temporary, noted, inode):
                with contextlib.suppress(OSError):
                    saved = self._publisher.publish(task, temporary, noted, naming.replaceable(noted.path))
                    sync_folder(os.path.dirname(saved.path))
            elif kept := _rescued(self._rescue, task, noted.url, noted.number):  # it was being moved from there
                task.files.append(kept)
        if not naming.device:
            likely = _likely_path(naming, task)
            for folder in (os.path.dirname(likely) or ".", self._rescue, self._spool):
                for path in glob.glob(f"{glob.escape(str(folder or '.'))}/.reve-{task.token}-*.part"):
                    with contextlib.suppress(OSError):
                        os.unlink(path)
        for place, file in enumerate(task.files):
            wanted = self._wanted(task, file)
            if os.path.abspath(wanted) == file.path:
                task.files[place] = replace(file, path=wanted)

    def _wanted(self, task: Task, saved: SavedFile) -> str:
        """The path that `--out` asks for, as this command prints it."""
        values = replace(Values.of(task), ext=os.path.splitext(saved.path)[1][1:])
        return self._naming_of(task).path(values, saved.number)

    def _verdict(self, task: Task, saved: SavedFile) -> ReveError | None:
        """None if a saved image has its own path, else an error with the command that moves it there."""
        naming, wanted = self._naming_of(task), self._wanted(task, saved)
        if naming.to_stdout or naming.device or os.path.abspath(saved.path) == os.path.abspath(wanted):
            return None
        if _is_unconverted(saved, wanted):
            task.rescued = True
            message = f"the image is saved as {saved.path}, not {wanted}: it could not be converted"
            return ReveError("saved_elsewhere", message)
        if not self._publisher.claim(wanted):  # two moves to one name would lose an image
            self._say(f"{saved.path} keeps this name: {wanted} belongs to another image")
            return None
        taken = os.path.lexists(wanted)
        if taken:
            return _elsewhere(saved.path, wanted, "another file appeared there")
        folder, name = os.path.split(wanted)
        if usable(name) == name:
            return _elsewhere(saved.path, wanted, "it could not be written there")
        reason = "the file system cannot hold that name"
        self.trouble = self.trouble or ReveError(
            "output", f"cannot write {wanted}: {reason}; nothing more is submitted"
        )
        return _elsewhere(saved.path, wanted, reason, to=os.path.join(folder, usable(name)))

    def _save(
        self,
        folder: str,
        task: Task,
        url: str,
        number: int,
        fill: Fill,
        path_of: Callable[[Values], str],
        *,
        is_apart: bool = False,
        is_raw: bool = False,
    ) -> SavedFile:
        """Save an image into `folder`. fill: writes it. path_of: its path, once its format is known.

        is_apart: into a folder of reve's own, readable by its owner only. is_raw: as the server sent it.
        """
        with self._publisher.temporary(task, folder, number, 0o600 if is_apart else 0o666) as (temporary, file):
            found = fill(file)
            wanted = path_of(replace(Values.of(task), ext=found.extension))
            if is_raw:
                made = Finished(wanted, found, digest(file), is_recorded=True)
            else:
                made = self._recorder.finish(task, number, file, found, wanted)
            size, sha256, is_synced = seal(file)
            self._largest = max(self._largest, size)
            image = SavedFile(number, made.path, url, size, sha256, made.format.media_type, made.downloaded_sha256)
            replaceable = self._naming_of(task).replaceable(made.path)
            if not is_apart and self._recorder.needs_sidecar(task, is_recorded=made.is_recorded):
                self._unrecorded.add(task.token)
            saved = self._publisher.publish(task, temporary, image, replaceable)
        sync_folder(folder)
        if not is_apart:
            self._recorder.record_beside(self._publisher, task, saved, is_recorded=made.is_recorded)
        self._publisher.remove_dead(task, folder, number)
        self._unrecorded.discard(task.token)
        if not is_synced and not self._has_told_of_sync:
            self._has_told_of_sync = True
            self._say(f"warning: {folder} is on a file system without fsync: a power cut may lose an image just saved")
        if warning := _surprise(saved.path, made.format):
            self._say(warning)
        return saved

    def _save_apart(
        self, place: Path | None, task: Task, url: str, number: int, deadline: Deadline, *, is_raw: bool = False
    ) -> SavedFile:
        """Save an image into a folder of reve's own, under the job's id."""
        folder = _private(place)

        def path_of(values: Values) -> str:
            path = os.path.join(folder, f"{values.job}.{values.ext}")
            return path if number == 1 else numbered(path, number)

        fill: Fill = lambda file: self._images.fetch(url, file, deadline)  # noqa: E731
        return self._save(folder, task, url, number, fill, path_of, is_apart=True, is_raw=is_raw)

    def _save_to_device(self, device: str, task: Task, url: str, number: int, deadline: Deadline) -> ReveError | None:
        """Write an image into a device or FIFO. It goes through the spool, so only a whole image is written."""
        saved = self._save_apart(self._spool, task, url, number, deadline, is_raw=True)
        try:
            with open(saved.path, "rb") as source, open(device, "wb") as sink:
                shutil.copyfileobj(source, sink)
        except OSError as error:
            return _elsewhere(saved.path, device, error.strerror or str(error), "cat -- {path} > {wanted}")
        os.unlink(saved.path)
        task.files[task.files.index(saved)] = replace(saved, path=device)
        return None


def _prune(spool: Path | None, is_kept: Callable[[str], bool]) -> None:
    """Remove spooled images older than a day, except those still to be moved."""
    with contextlib.suppress(OSError):
        for path in spool.iterdir() if spool else ():
            if time.time() - path.stat().st_mtime > _SPOOL_SECONDS and not is_kept(path.name):
                path.unlink()


def _surprise(path: str, found: Format) -> str | None:
    """A warning if an image is not what the extension of its name says, or in a format that reve cannot check."""
    extension = os.path.splitext(path)[1][1:]
    if not found.is_checked:
        return f"warning: {path} has a format that reve cannot check ({found.media_type})"
    if extension and not found.fits(extension):
        return f"warning: {path} contains a {found.media_type.partition('/')[2].upper()} image"
    return None


def _likely_path(naming: Naming, task: Task, number: int = 1) -> str:
    """The path of an image if it is a PNG, which the API usually delivers."""
    return naming.path(replace(Values.of(task), ext="png"), number)


def _rescued(folder: Path | None, task: Task, url: str, number: int) -> SavedFile | None:
    """The image `number` of `task`'s job, if a command rescued it and the journal does not say so."""
    name = str(task.job_id)
    start = f"{name if number == 1 else numbered(name, number)}."
    try:
        names = [found for found in os.listdir(folder) if found.startswith(start)] if folder else []
    except OSError:  # nothing was ever rescued
        return None
    for path in (os.path.join(str(folder), found) for found in names):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            found = image_format(file, os.fstat(file.fileno()).st_size)
            if found is not None:
                original, sha256 = original_sha256(file), digest(file)
                return SavedFile(number, path, url, file.tell(), sha256, found.media_type, original)
    return None


def _is_apart(naming: Naming, saved: SavedFile, wanted: str) -> bool:
    """Whether an image is in a folder of reve's own, or still to be converted, so that it has to be moved."""
    if naming.to_stdout or naming.device:
        return False
    here, there = (os.path.realpath(os.path.dirname(os.path.abspath(path))) for path in (saved.path, wanted))
    return here != there or _is_unconverted(saved, wanted)


def _is_unconverted(saved: SavedFile, wanted: str) -> bool:
    """Whether an image is still to be converted for its own path."""
    target = target_of(os.path.splitext(wanted)[1][1:])
    return target is not None and target.media_type != saved.media_type


def _copy(saved: SavedFile, sink: BinaryIO) -> Format:
    """Copy a saved image into `sink` and return its format. Raises OSError."""
    with open(saved.path, "rb") as source:
        shutil.copyfileobj(source, sink)
    return image_format(sink, sink.tell()) or Format(saved.media_type, os.path.splitext(saved.path)[1][1:])


def _private(folder: Path | None) -> str:
    """`folder`, created for its owner only; if that is impossible, a new folder among the system's temporary files."""
    try:
        if folder is None:
            raise FileNotFoundError
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
    except OSError:
        pass
    return tempfile.mkdtemp(prefix="reve-")


def _elsewhere(
    path: str, wanted: str, why: str, command: str = "mv -i -- {path} {wanted}", to: str | None = None
) -> ReveError:
    """An image is safe but not at its own path. The hint is the command that takes it there, or to the path `to`."""
    folder = os.path.dirname(wanted)
    if folder and not os.path.isdir(folder):
        command = f"mkdir -p -- {quote(folder)} && {command}"
    hint = command.format(path=quote(path), wanted=quote(to or wanted))
    return ReveError("saved_elsewhere", f"the image is saved as {path}, not {wanted}: {why}", hint=hint)
