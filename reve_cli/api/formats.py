"""Detects the format of an image file, and whether the file is complete.

A connection that breaks leaves a file with a valid start, so each format is checked up to its end marker.
May import: nothing of ours.
"""

from dataclasses import dataclass
from typing import BinaryIO

# bytes at the end of a JPEG that are searched for the end marker: some encoders add padding
_TAIL = 64


@dataclass(frozen=True)
class Format:
    """An image format. `extension` is the usual one, without a dot."""

    media_type: str
    extension: str
    other_extensions: tuple[str, ...] = ()

    def fits(self, extension: str) -> bool:
        """Whether `extension` (without a dot) is one of this format."""
        return extension.lower() in (self.extension, *self.other_extensions)


PNG = Format("image/png", "png")
JPEG = Format("image/jpeg", "jpg", ("jpeg", "jpe", "jfif"))
WEBP = Format("image/webp", "webp")
AVIF = Format("image/avif", "avif")
EXTENSIONS = tuple(known.extension for known in (PNG, JPEG, WEBP, AVIF))


def image_format(file: BinaryIO, size: int) -> Format | None:
    """The format of the image of `size` bytes in `file`. None if it is incomplete or of another format."""
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
