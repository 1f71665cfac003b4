"""What the file system offers: paths as they were typed, locks between processes, and how much room there is.

A lock is the operating system's, on a file; the system releases it when the process ends.
May import: core.errors, core.models.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reve_cli.core.errors import ReveError
from reve_cli.core.models import echo

_POLL_SECONDS = 0.02
_MOST_REOPENS = 1000  # on a file system that reports changing file numbers, the lock is never had
_LOCKED_BY_ANOTHER = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems that have no locks."""
IMPOSSIBLE_NAME = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.ENOENT)
"""Errors for a name that a file system cannot hold."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ")
_TAKEN: dict[tuple[str, int, int], set[str]] = {}
"""Characters that were tried in names, by folder."""
_LONGEST_NAME = 255
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class FileLock:
    """A lock on a file, held until `close` or until the process ends. Child processes do not inherit it.

    Whoever releases a lock may remove its file. A process that was waiting then locks the file that has the name now.
    """

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        """Open the file; create it if it does not exist. Raises OSError.

        mode: of a new file, which the umask reduces.
        """
        self.path, self._mode = path, mode
        self._descriptor = self._open()
        self._is_held = False

    def take(self, *, shared: bool = False, seconds: float = 0.0) -> bool:
        """Lock the file, waiting up to `seconds`. Return False if another process keeps it locked.

        A lock that is already held becomes shared or exclusive. Raises OSError.
        """
        end, reopens = time.monotonic() + seconds, 0
        while True:
            self._is_held = self._try(shared)
            if self._has_its_name():
                if self._is_held:
                    return True
                if time.monotonic() >= end:
                    return False
                time.sleep(_POLL_SECONDS)
            elif reopens == _MOST_REOPENS:
                return False
            else:
                self.close()
                self._descriptor, reopens = self._open(), reopens + 1

    def close(self, *, remove: bool = False) -> None:
        """Release the lock. With `remove`, also remove the file if this lock is held."""
        remove, self._is_held = remove and self._is_held, False
        with contextlib.suppress(OSError):
            if remove and os.name != "nt":
                self.path.unlink(missing_ok=True)  # while no other process can lock it
            os.close(self._descriptor)
            if remove and os.name == "nt":
                self.path.unlink(missing_ok=True)  # Windows does not remove an open file
        self._descriptor = -1

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), self._mode)

    def _has_its_name(self) -> bool:
        """Whether the open file is still the one at `path`: another process may have removed or replaced it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except OSError:
            return False

    def _try(self, shared: bool) -> bool:
        try:
            return lock(self._descriptor, shared=shared)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed. Return False if another process keeps it locked. Raises OSError."""
    try:
        if os.name != "nt":
            import fcntl

            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        elif not shared:  # Windows does not rename a file in use: that is lock enough for readers
            import msvcrt

            windows: Any = msvcrt
            os.lseek(descriptor, 0, os.SEEK_SET)
            windows.locking(descriptor, windows.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _LOCKED_BY_ANOTHER:
            return False
        raise
    return True


def sync(descriptor: int) -> bool:
    """Make what was written to a file survive a power cut. Returns False if its file system cannot. Raises OSError."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _NO_FSYNC:
            return False
        raise
    return True


def local_path(text: str, what: str) -> str:
    """A typed path: `~` and `~user` at its start are expanded, as few shells do in `--out=~/pics`.

    what: names the path in messages. Raises `ReveError` (code `usage`) for a URL.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise ReveError("usage", f"{what} {echo(text)} is a URL; reve reads and writes files of this machine only")
    return os.path.expanduser(text)


def unusable_character(folder: str, name: str) -> tuple[str, OSError] | None:
    """A character of `name` that the file system of `folder` does not take, and its error; None if all are taken.

    A file is created and removed for characters that are not known yet, so 10,000 names need few. A folder that does
    not exist yet is taken to be created in its nearest parent.
    """
    folder = existing(folder)
    try:
        found = os.stat(folder)
    except OSError:
        return None
    taken = _TAKEN.setdefault((os.path.abspath(folder), found.st_dev, found.st_ino), set())
    for character in sorted(set(name) - _PLAIN - taken):
        path = os.path.join(folder, f".reve-{character}-name")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        except OSError as error:
            if error.errno in IMPOSSIBLE_NAME:
                return character, error
            return None  # no name can be created: other checks say why
        taken.add(character)
    return None


def longest_name(folder: str) -> int:
    """The most bytes that a name in `folder` may have: fewer where names are encrypted, as with eCryptfs."""
    try:
        found = os.pathconf(existing(folder), "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows, or a folder that cannot be asked
        return _LONGEST_NAME
    return found if found > 0 else _LONGEST_NAME


@dataclass(frozen=True)
class SameNames:
    """Whether names are the same file if they differ only in case, or only in Unicode form (NFC, NFD)."""

    case: bool = sys.platform in ("darwin", "win32")
    form: bool = sys.platform == "darwin"

    @classmethod
    def of(cls, folder: str) -> "SameNames":
        """Find out what the file system of `folder` does, by creating and removing files.

        If no file can be created, returns what is usual on this operating system. If the folder does not exist yet,
        tries its nearest parent.
        """
        path = os.path.join(existing(folder), f".reve-{secrets.token_hex(4)}-name")
        case, form = _same(path + "a", path + "A"), _same(path + "\u00e9", path + "e\u0301")
        return cls(cls.case if case is None else case, cls.form if form is None else form)

    def one(self, path: str) -> str:
        """`path` in a form that all names of its file share."""
        path = unicodedata.normalize("NFD", path) if self.form else path
        return path.casefold() if self.case else path


def _same(path: str, other: str) -> bool | None:
    """Whether two paths are one file, by creating and removing it. None if it cannot be created."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return None
    try:
        return os.path.lexists(other)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def existing(folder: str) -> str:
    """`folder`, or its nearest parent that exists."""
    while not os.path.isdir(folder) and folder not in ("", os.path.dirname(folder)):
        folder = os.path.dirname(folder)
    return folder or "."


def usable(name: str) -> str:
    """`name` without characters that some file systems do not take."""
    return re.sub(r'[<>:"|?*\\\x00-\x1f\x7f]|[^\x00-\x7f]|[. ]+$', "_", name)


def room(folder: str, size: int) -> float:
    """How many files of `size` bytes fit into the file system of `folder`. Infinite if the system does not say.

    A folder that does not exist yet is taken to be created in its nearest parent.
    """
    folder = existing(folder)
    files = float("inf")
    try:
        space = shutil.disk_usage(folder)
        if hasattr(os, "statvfs"):
            found = os.statvfs(folder)
            files = found.f_favail if found.f_files else files
    except OSError:
        return files
    return min(space.free // size, files) if space.total else files
