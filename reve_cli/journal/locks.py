"""Who holds what: file locks of the operating system, and which process of which machine a run belongs to.

A process that works on a run holds a lock on a file of its own for as long as it lives. The system lets go of it when
the process ends, however it ends; neither a process id (in containers all are 1) nor a lease (laptops sleep) could tell
as much. Imports the standard library only.
"""

import contextlib
import errno
import os
import sys
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

_MOMENT = 0.02
_NOT_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_BOOT = "/proc/sys/kernel/random/boot_id"
_MACHINE = ("/etc/machine-id", "/var/lib/dbus/machine-id")


class FileLock:
    """A lock on a file that lasts until `close`, or until the process ends. No child process holds it as well."""

    def __init__(self, path: Path) -> None:
        """Make the file if need be, for its owner alone. Raises OSError."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)

    def take(self, *, shared: bool = False, seconds: float = 0.0) -> bool:
        """Whether the lock could be had within `seconds`. One that is held already changes its kind."""
        end = time.monotonic() + seconds
        while not self._try(shared):
            if time.monotonic() >= end:
                return False
            time.sleep(_MOMENT)
        return True

    def is_there(self) -> bool:
        """Whether the file still has its name: somebody may have removed it before it was locked."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except OSError:
            return False

    def close(self, *, remove: bool = False) -> None:
        """Let go, and with `remove` take the file away while nobody else can lock it (on Windows: right after)."""
        with contextlib.suppress(OSError):
            if remove and os.name != "nt":
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            if remove and os.name == "nt":
                self.path.unlink(missing_ok=True)
        self._descriptor = -1

    def _try(self, shared: bool) -> bool:
        try:
            if os.name == "nt":
                if not shared:  # a file in use cannot be renamed there: that is lock enough for readers
                    _lock_on_windows(self._descriptor)
            else:
                import fcntl

                fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NOT_HELD:
                return False
            raise
        return True


def _lock_on_windows(descriptor: int) -> None:
    import msvcrt

    windows: Any = msvcrt
    os.lseek(descriptor, 0, os.SEEK_SET)
    windows.locking(descriptor, windows.LK_NBLCK, 1)


class Owner:
    """This process, as the owner of runs: `name` is that of the file whose lock it holds."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where there can be no lock."""
        self._folder = folder / "owners"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            self.name = uuid.uuid4().hex
            self._lock = FileLock(self._folder / self.name)
            if self._lock.take() and self._lock.is_there():
                break
            self._lock.close()  # it was taken for a dead process's file between the two steps
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._lock.close)  # the child's copy: this process keeps its own

    def is_gone(self, name: str, *, is_here: bool = True) -> bool:
        """Whether the process of that name has ended; where it was on this machine, its file is then removed.

        `is_here`: it was. Locks of another machine are not seen everywhere, and its file may be in use.
        """
        path = self._folder / name
        if name == self.name or not path.exists():
            return name != self.name
        try:
            lock = FileLock(path)
            gone = lock.take()
            lock.close(remove=gone and is_here)
        except OSError:
            return False
        return gone

    def close(self) -> None:
        self._lock.close(remove=True)


@cache
def machine() -> str:
    """What tells this machine from others, as far as the system says."""
    for path in _MACHINE:
        with contextlib.suppress(OSError):
            return Path(path).read_text().strip()
    import platform

    return platform.node()


@cache
def boot() -> str:
    """What tells this start of the machine from others; empty where the system does not say."""
    with contextlib.suppress(OSError):
        return Path(_BOOT).read_text().strip()
    if sys.platform == "darwin":
        import subprocess

        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.check_output(command, text=True, timeout=5).strip()
    return ""
