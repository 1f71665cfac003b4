"""What an image file is, by its bytes, and whether it is all there. Imports the standard library only.

A connection that was cut may leave a file that begins well: each format is followed to its own end mark.
"""

from dataclasses import dataclass
from typing import BinaryIO

_TAIL = 64
"""Bytes at the end that are searched for an end mark: some encoders pad."""


@dataclass(frozen=True)
class Format:
    media_type: str
    extension: str
    other_extensions: tuple[str, ...] = ()

    def fits(self, extension: str) -> bool:
        return extension.lower() in (self.extension, *self.other_extensions)


PNG = Format("image/png", "png")
JPEG = Format("image/jpeg", "jpg", ("jpeg", "jpe", "jfif"))
WEBP = Format("image/webp", "webp")
AVIF = Format("image/avif", "avif")
EXTENSIONS = tuple(known.extension for known in (PNG, JPEG, WEBP, AVIF))


def image_format(file: BinaryIO, size: int) -> Format | None:
    """The format of the `size` bytes in `file`, or None where they are no whole image of a format known here."""
    file.seek(0)
    head = file.read(16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG if _png_is_whole(file, size) else None
    if head.startswith(b"\xff\xd8\xff"):
        file.seek(max(0, size - _TAIL))
        return JPEG if b"\xff\xd9" in file.read(_TAIL) else None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP if int.from_bytes(head[4:8], "little") + 8 <= size else None
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return AVIF if _boxes_are_whole(file, size) else None
    return None


def _png_is_whole(file: BinaryIO, size: int) -> bool:
    position = 8
    while position + 12 <= size:
        file.seek(position)
        head = file.read(8)
        position += 12 + int.from_bytes(head[:4])
        if head[4:] == b"IEND":
            return position <= size
    return False


def _boxes_are_whole(file: BinaryIO, size: int) -> bool:
    position, has_data = 0, False
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        has_data |= head[4:8] == b"mdat"
        length = int.from_bytes(head[:4])
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:])
        if length < 8:
            return False
        position += length
    return has_data and position == size
