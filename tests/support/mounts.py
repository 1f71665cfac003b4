"""A folder that nobody, not even root, can write to: a file system of its own, mounted where that is allowed."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Callable[[], None]]:
    """An empty file system at `folder`; what is yielded makes it read-only. Skips where none can be mounted."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")

    def freeze() -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

    try:
        yield freeze
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
