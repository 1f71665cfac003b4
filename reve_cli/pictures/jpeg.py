"""Metadata of JPEG files: the segment APP1 with XMP (XMP specification, part 3), and APP11 (JUMBF, as C2PA uses it).

May import: pictures.layout.
"""

from typing import BinaryIO

from reve_cli.pictures.layout import Edit, Layout, Part, at

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST_SEGMENT = 0xFFFF - 2
_MOST_SEGMENTS = 10_000
# Markers of frame headers, which give the size.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def look(file: BinaryIO, size: int) -> Layout:
    """Find the metadata of a JPEG file. All of it precedes the image data."""
    found = Layout(size)
    position, is_start = 2, True
    for _ in range(_MOST_SEGMENTS):
        head = at(file, position, 4)
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker, length = head[1], int.from_bytes(head[2:])
        if marker == 0xFF:  # fill
            position += 1
            continue
        if is_start:  # after JFIF and Exif, which must come first
            found.place = position
        if marker in (0xDA, 0xD9) or length < 2:
            break
        data = at(file, position + 4, length - 2) if marker in (0xE1, 0xEB) or marker in _FRAMES else b""
        is_xmp = marker == 0xE1 and data.startswith(_XMP)
        if is_xmp and found.xmp is None:
            text = data[len(_XMP) :].decode("utf-8", "replace")
            found.xmp = Part(position, position + 2 + length, text)
        elif marker == 0xEB and data.startswith(b"JP"):
            found.has_credentials = True
        elif marker in _FRAMES:
            found.height, found.width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
        is_start &= marker in (0xE0, 0xE1) and not is_xmp
        position += 2 + length
    return found


def change(found: Layout, xmp: str | None) -> list[Edit] | None:
    """The edits after which the file has this XMP packet. None if a segment cannot hold it."""
    assert found.place is not None
    segment = b""
    if xmp:
        data = _XMP + xmp.encode()
        if len(data) > _LONGEST_SEGMENT:
            return None
        segment = b"\xff\xe1" + (len(data) + 2).to_bytes(2) + data
    return [(found.xmp.start, found.xmp.end, segment) if found.xmp else (found.place, found.place, segment)]
