"""Metadata of WebP files, after the WebP container specification: the chunks `VP8X` and `XMP `.

May import: pictures.layout.
"""

from dataclasses import dataclass
from typing import BinaryIO

from reve_cli.pictures.layout import LONGEST_TEXT, Edit, Layout, Part, at

_MOST_CHUNKS = 100_000
_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10


@dataclass
class WebpLayout(Layout):
    """A `Layout` with what else a change needs."""

    end: int = 0
    flags: int | None = None
    """Of the chunk `VP8X`; None if there is none."""
    has_alpha: bool = False
    needs_header: bool = False
    """It has chunks that need `VP8X`."""


def look(file: BinaryIO, size: int) -> WebpLayout:
    """Find the metadata of a WebP file."""
    found = WebpLayout(size)
    found.end = min(size, 8 + int.from_bytes(at(file, 4, 4), "little"))
    position = 12
    for _ in range(_MOST_CHUNKS):
        head = at(file, position, 8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        end = position + 8 + length + length % 2
        if len(head) < 8 or position + 8 + length > found.end:
            break
        if kind == b"XMP ":
            if length > LONGEST_TEXT:
                found.is_readable = False
            elif found.xmp is None:
                found.xmp = Part(position, end, at(file, position + 8, length).decode("utf-8", "replace"))
        elif kind == b"C2PA":
            found.has_credentials = True
        else:
            _look_at_picture(found, kind, at(file, position + 8, 10))
        position = end
    if found.width and found.end == position:
        found.place = position
    return found


def change(found: WebpLayout, xmp: str | None) -> list[Edit]:
    """The edits after which the file has this XMP packet. Without `xmp`, `VP8X` goes too if nothing else needs it."""
    data = (xmp or "").encode()
    chunk = b"XMP " + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) if data else b""
    start, end = (found.xmp.start, found.xmp.end) if found.xmp else (found.end, found.end)
    flags = found.flags if found.flags is not None else _ALPHA_FLAG * found.has_alpha
    flags = flags | _XMP_FLAG if data else flags & ~_XMP_FLAG
    header = b""
    if data or found.needs_header:
        sizes = ((length - 1).to_bytes(3, "little") for length in (found.width, found.height))
        header = b"VP8X" + (10).to_bytes(4, "little") + bytes([flags, 0, 0, 0]) + b"".join(sizes)
    old = 18 if found.flags is not None else 0
    length = found.end - 8 + len(header) - old + len(chunk) - (end - start)
    return [(4, 8, length.to_bytes(4, "little")), (12, 12 + old, header), (start, end, chunk)]


def _look_at_picture(found: WebpLayout, kind: bytes, data: bytes) -> None:
    """The size and the flags, from the start of a chunk."""
    if kind == b"VP8X":
        found.flags = data[0]
        found.width, found.height = (int.from_bytes(data[start : start + 3], "little") + 1 for start in (4, 7))
    elif kind == b"VP8L" and not found.width:
        bits = int.from_bytes(data[1:5], "little")
        found.width, found.height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        found.has_alpha = bool(bits >> 28 & 1)
    elif kind == b"VP8 " and not found.width:
        found.width, found.height = (int.from_bytes(data[start : start + 2], "little") & 0x3FFF for start in (6, 8))
    found.needs_header |= kind not in (b"VP8X", b"VP8L", b"VP8 ")
