"""Where the metadata of an image file is, and changes to the file as a list of edits.

May import: core.errors.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from reve_cli.core.errors import ReveError

# An XMP packet or a text longer than this, in bytes, is not read: nobody writes such a thing about an image.
LONGEST_TEXT = 2**20
# Bytes that are read at once, by each of many threads.
_BLOCK = 2**16

Edit = tuple[int, int, bytes]
"""Replaces the bytes from a start up to an end of a file."""


@dataclass(frozen=True)
class Part:
    """A piece of metadata: the bytes of the file that hold it, and its text."""

    start: int
    end: int
    text: str


@dataclass
class Layout:
    """What was found in an image file of `size` bytes.

    place: where new metadata is inserted; None if it cannot be. width, height: in pixels, 0 if unknown.
    has_credentials: it carries Content Credentials (C2PA), which any change to the file breaks.
    is_readable: False if it has an XMP packet that is too long or damaged, so it cannot be added to.
    """

    size: int
    place: int | None = None
    width: int = 0
    height: int = 0
    xmp: Part | None = None
    parameters: Part | None = None
    has_credentials: bool = False
    is_readable: bool = True


def opened(path: str) -> BinaryIO:
    """The file at `path`, for reading. Raises `ReveError` if it is not a regular file that can be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for its writer
            raise ReveError("output", f"{path} is not a file")
        return open(path, "rb")
    except (OSError, ValueError) as error:
        raise ReveError("output", f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def at(file: BinaryIO, position: int, length: int) -> bytes:
    """Up to `length` bytes from `position` on."""
    file.seek(position)
    return file.read(length)


def apply(file: BinaryIO, edits: Sequence[Edit]) -> None:
    """Change a file in place. What lies between the edits passes through memory; what follows them moves in blocks."""
    first, last = min(start for start, _, _ in edits), max(end for _, end, _ in edits)
    changed = b"".join(_edited(file, edits, first, last))
    _move(file, last, first + len(changed))
    file.seek(first)
    file.write(changed)
    file.flush()


def replace_all(file: BinaryIO, data: bytes) -> None:
    """Let a file hold `data` alone."""
    apply(file, [(0, file.seek(0, os.SEEK_END), data)])


def digest(file: BinaryIO, edits: Sequence[Edit] = ()) -> str:
    """The SHA-256, in hex, that the file would have after `edits`."""
    result = hashlib.sha256()
    for block in _edited(file, edits, 0, file.seek(0, os.SEEK_END)):
        result.update(block)
    return result.hexdigest()


def _edited(file: BinaryIO, edits: Sequence[Edit], position: int, last: int) -> Iterator[bytes]:
    """The bytes of the file after `edits`, from `position` up to `last`."""
    for start, end, data in sorted(edits):
        yield from _copied(file, position, start)
        yield data
        position = end
    yield from _copied(file, position, last)


def _copied(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start)
    while block := file.read(min(_BLOCK, end - file.tell())):
        yield block


def _move(file: BinaryIO, old: int, new: int) -> None:
    """Move what is in the file from `old` on, so that it begins at `new`, and let the file end with it."""
    size = file.seek(0, os.SEEK_END)
    starts = range(old, size, _BLOCK)
    for start in reversed(starts) if new > old else starts:  # none is overwritten before it is read
        block = at(file, start, min(_BLOCK, size - start))
        file.seek(start + new - old)
        file.write(block)
    file.truncate(size + new - old)
