"""File systems of their own, where they can be mounted: read-only even for root, small, with a quota, or picky."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def mounted(folder: Path) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """An empty file system at `folder`; what is yielded makes it read-only. Skips where none can be mounted."""
    return _mounted(folder, "rw", "ro")


def small(folder: Path, kibibytes: int) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """An empty file system of a few KiB at `folder`; what is yielded makes it large. Skips as `mounted` does."""
    return _mounted(folder, f"size={kibibytes}k", "size=64m")


@contextlib.contextmanager
def _mounted(folder: Path, options: str, later: str) -> Iterator[Callable[[], None]]:
    """A tmpfs at `folder`, with mount options; what is yielded mounts it again with those of `later`."""
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")

    def remount() -> None:
        subprocess.run(["mount", "-o", f"remount,{later}", str(folder)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def picky(folder: Path, image: Path) -> Iterator[Callable[[], None]]:
    """A file system at `folder` that takes no `?` in names, as SMB and NTFS: FAT or exFAT in the file `image`.

    What is yielded mounts it again after it was unmounted.
    """
    ways = (
        ("mkfs.vfat", ["mount", "-t", "vfat", "-o", "utf8"]),
        ("mkfs.exfat", ["mount", "-t", "exfat"]),
        ("mkfs.exfat", ["mount.exfat-fuse"]),
    )
    with _loop(image, 32 << 20) as device:
        for make, way in ways:
            mount = [*way, device, str(folder.absolute())]
            if not shutil.which(make) or not shutil.which(way[0]):
                continue
            subprocess.run([make, device], capture_output=True, check=True)
            if not subprocess.run(mount, capture_output=True, check=False).returncode:
                break
        else:
            pytest.skip("no FAT or exFAT file system can be mounted here")
        try:
            yield lambda: _run(mount)
        finally:
            subprocess.run(["umount", "-l", str(folder.absolute())], check=False)


@contextlib.contextmanager
def quota(folder: Path, image: Path, kibibytes: int) -> Iterator[Callable[[], None]]:
    """A link at `folder` to a folder with a quota, which root has to keep too: Btrfs in the file `image`.

    What is yielded removes the quota.
    """
    if not shutil.which("btrfs"):
        pytest.skip("no btrfs here")
    place = image.with_suffix(".mounted")
    place.mkdir()
    limited = place / "limited"
    with _loop(image, 128 << 20) as device:
        _run(["mkfs.btrfs", "--quiet", "--mixed", device])
        if subprocess.run(["mount", "-t", "btrfs", device, str(place)], capture_output=True, check=False).returncode:
            pytest.skip("no Btrfs can be mounted here")
        try:
            _run(["btrfs", "quota", "enable", str(place)])
            _run(["btrfs", "subvolume", "create", str(limited)])
            _run(["btrfs", "qgroup", "limit", f"{kibibytes}k", str(limited)])
            folder.symlink_to(limited)
            yield lambda: _run(["btrfs", "qgroup", "limit", "none", str(limited)])
        finally:
            subprocess.run(["umount", "-l", str(place)], check=False)


@contextlib.contextmanager
def _loop(image: Path, size: int) -> Iterator[str]:
    """A loop device for the new file `image` of `size` bytes. Skips where there is none."""
    image.write_bytes(b"")
    os.truncate(image, size)
    loop = ["losetup", "--find", "--show", str(image)]
    found = subprocess.run(loop, capture_output=True, text=True, check=False) if shutil.which("losetup") else None
    if found is None or found.returncode:
        pytest.skip("no loop device here")
    device = found.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)


def _run(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, check=True)
