"""Reads the record of how an image was made from its file, and writes it there.

Files are read within bounds of time and memory, whoever made them.
May import: core.errors, pictures.
"""

import os
from typing import BinaryIO

from reve_cli.core.errors import ReveError
from reve_cli.pictures import jpeg, parameters, png, sidecar, webp, xmp
from reve_cli.pictures.formats import AVIF, JPEG, PNG, WEBP, Format, image_format
from reve_cli.pictures.layout import LONGEST_TEXT, Edit, Layout, apply, at, digest, opened
from reve_cli.pictures.provenance import Provenance

# The largest file that is read, and the largest that is changed, in bytes.
LARGEST_READ = 200 * 10**6
_LARGEST_CHANGED = 100 * 10**6


def read(path: str) -> Provenance | None:
    """The record in the image file at `path`, or beside it. None if there is none.

    `is_ours` tells reve's records from those of other tools, of which only a few values are known. All text is as
    found: it may contain control characters. Raises `ReveError` (code `output`) if the file is not a complete image.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_READ:
            raise ReveError("output", f"{path} is larger than {LARGEST_READ // 10**6} MB")
        found = image_format(file, size)
        if found is None:
            why = "is empty" if not size else "is not a complete image"
            raise ReveError("output", f"{path} {why}")
        inside = _read(file, size, found)
    if inside is not None and inside.is_ours:
        return inside
    return sidecar.read(path) or inside


def embed(file: BinaryIO, record: Provenance, found: Format | None = None) -> bool:
    """Write `record` into an image file that is open for reading and writing. Its pixels do not change.

    found: the format of the complete image in the file, if it is known.

    A record of ours that is there already is replaced; metadata of others is kept. Returns False, and leaves the file
    as it is, if it carries Content Credentials, or cannot hold a record.
    """
    size = file.seek(0, os.SEEK_END)
    found = found or image_format(file, size)
    layout = _look(file, size, found)
    if layout is None or layout.place is None or not layout.is_readable or size > _LARGEST_CHANGED:
        return False
    if _has_credentials(layout):
        return False
    packet = xmp.written(record, layout.xmp.text if layout.xmp else None)
    if packet is None:
        return False
    text = None
    if found is PNG:
        theirs = layout.parameters and not parameters.is_ours(layout.parameters.text)
        ours = parameters.written(record, layout.width, layout.height)
        text = layout.parameters.text if layout.parameters and theirs else ours
    edits = _change(layout, found, packet, text)
    if edits is None:
        return False
    apply(file, edits)
    return True


def original_sha256(file: BinaryIO, found: Format | None = None) -> str:
    """The SHA-256, in hex, that the file had before `embed`. That of the file as it is if reve did not change it.

    found: as for `embed`.
    """
    size = file.seek(0, os.SEEK_END)
    found = found or image_format(file, size)
    layout = _look(file, size, found) if size <= _LARGEST_CHANGED else None
    if layout is None or layout.xmp is None or layout.place is None:
        return digest(file)
    rest = xmp.without_ours(layout.xmp.text)
    if rest == layout.xmp.text:
        return digest(file)
    text = layout.parameters.text if layout.parameters and not parameters.is_ours(layout.parameters.text) else None
    return digest(file, _change(layout, found, rest, text) or ())


def is_as_downloaded(path: str, record: Provenance | None) -> bool | None:
    """Whether a file is what reve saved, by the hash of the download in its record. None if it has none.

    Raises OSError.
    """
    if record is None or not record.is_ours or record.downloaded_sha256 is None:
        return None
    with open(path, "rb") as file:
        return original_sha256(file) == record.downloaded_sha256


def has_record(path: str) -> bool:
    """Whether the image file at `path` holds a record of ours."""
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            found = image_format(file, size)
            inside = _read(file, size, found) if found else None
    except (ReveError, OSError):
        return False
    return inside is not None and inside.is_ours


def has_credentials(file: BinaryIO) -> bool:
    """Whether an image file carries or refers to Content Credentials (C2PA)."""
    size = file.seek(0, os.SEEK_END)
    layout = _look(file, size, image_format(file, size))
    return layout is not None and _has_credentials(layout)


def _has_credentials(layout: Layout) -> bool:
    return layout.has_credentials or bool(layout.xmp and xmp.refers_to_credentials(layout.xmp.text))


def _look(file: BinaryIO, size: int, found: Format | None) -> Layout | None:
    if found is PNG:
        return png.look(file, size)
    if found is JPEG:
        return jpeg.look(file, size)
    return webp.look(file, size) if found is WEBP else None


def _change(layout: Layout, found: Format | None, packet: str | None, text: str | None) -> list[Edit] | None:
    if isinstance(layout, webp.WebpLayout):
        return webp.change(layout, packet)
    return png.change(layout, packet, text) if found is PNG else jpeg.change(layout, packet)


def _read(file: BinaryIO, size: int, found: Format) -> Provenance | None:
    """The record inside a file. Ours comes before another tool's."""
    layout = _look(file, size, found)
    if layout is None:
        packet = _scanned(file) if found is AVIF else None
        return xmp.read(packet) if packet else None
    inside = xmp.read(layout.xmp.text) if layout.xmp else None
    if layout.parameters is None or (inside and inside.is_ours):
        return inside
    return parameters.read(layout.parameters.text)


def _scanned(file: BinaryIO) -> str | None:
    """The first XMP packet in a file of a format that reve does not take apart."""
    head = at(file, 0, LONGEST_TEXT)
    start = head.find(b"<?xpacket begin=")
    end = head.find(b"<?xpacket end=", start)
    return head[start:end].decode("utf-8", "replace") if 0 <= start < end else None
