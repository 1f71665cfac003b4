"""Who owns a run: which process, on which machine, since which start of that machine.

A process that works on a run holds a lock on a file of its own while it lives. The system releases the lock when the
process ends, however it ends. A process id would not do (in containers every process is 1), nor would a lease (laptops
sleep).

May import: core.filesystem.
"""

import contextlib
import os
import sys
import uuid
from functools import cache
from pathlib import Path

from reve_cli.core.filesystem import FileLock

_BOOT = "/proc/sys/kernel/random/boot_id"
_MACHINE = ("/etc/machine-id", "/var/lib/dbus/machine-id")


class Owner:
    """This process as the owner of runs. `name` is the name of its lock file."""

    def __init__(self, folder: Path) -> None:
        """Create and lock a file in `folder`/owners. Raises OSError if the lock cannot be had."""
        self._folder = folder / "owners"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            self.name = uuid.uuid4().hex
            self._lock = FileLock(self._folder / self.name)
            if self._lock.take():
                break
            self._lock.close()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._lock.close)  # the child's copy: this process keeps its own

    def is_gone(self, name: str, *, is_here: bool = True) -> bool:
        """Whether the process called `name` has ended.

        is_here: it ran on this machine, so its file can be removed. Locks of another machine are not visible
        everywhere, and its file may be in use.
        """
        path = self._folder / name
        if name == self.name or not path.exists():
            return name != self.name
        try:
            lock = FileLock(path)
            gone = lock.take()
            lock.close(remove=is_here)
        except OSError:
            return False
        return gone

    def close(self) -> None:
        self._lock.close(remove=True)


@cache
def machine() -> str:
    """An id of this machine, as unique as the system provides."""
    for path in _MACHINE:
        with contextlib.suppress(OSError):
            return Path(path).read_text().strip()
    import platform

    return platform.node()


@cache
def boot() -> str:
    """An id that changes when the machine restarts; empty if the system has none."""
    with contextlib.suppress(OSError):
        return Path(_BOOT).read_text().strip()
    if sys.platform == "darwin":
        import subprocess

        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.check_output(command, text=True, timeout=5).strip()
    return ""
