"""Detects the format of an image file, and whether the file is complete.

A connection that breaks leaves a file with a valid start, so each format is checked up to its end. `_KINDS` has a row
for each format. Bytes after the end are allowed, as decoders ignore them.
May import: nothing of ours.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Literal


@dataclass(frozen=True)
class Format:
    """An image format. `extension` is the usual one, without a dot.

    is_checked: reve knows the format, so the file is surely complete.
    """

    media_type: str
    extension: str
    other_extensions: tuple[str, ...] = ()
    is_checked: bool = True

    def fits(self, extension: str) -> bool:
        """Whether `extension` (without a dot) is one of this format."""
        return extension.lower() in (self.extension, *self.other_extensions)


PNG = Format("image/png", "png", ("apng",))
JPEG = Format("image/jpeg", "jpg", ("jpeg", "jpe", "jfif"))
WEBP = Format("image/webp", "webp")
AVIF = Format("image/avif", "avif", ("avifs",))
HEIC = Format("image/heic", "heic", ("heif", "hif"))
GIF = Format("image/gif", "gif")
BMP = Format("image/bmp", "bmp", ("dib",))
TIFF = Format("image/tiff", "tiff", ("tif",))
_UNKNOWN = Format("application/octet-stream", "bin", is_checked=False)

# Extensions of all image formats but PNG, which the API delivers.
OTHER_EXTENSIONS = frozenset(
    extension
    for known in (JPEG, WEBP, AVIF, HEIC, GIF, BMP, TIFF)
    for extension in (known.extension, *known.other_extensions)
) | {"svg", "ico", "psd", "jxl", "jp2", "tga", "eps", "pdf"}

# The formats that reve can convert to.
TARGETS = (PNG, JPEG, WEBP, AVIF)

_HEAD = 64
_CHUNK = 2**16
_NOT_IMAGES = re.compile(r"text/|application/(.*\+)?(json|xml)$|application/xhtml")
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)
# Subtypes whose usual extension is another.
_EXTENSIONS = {"svg+xml": "svg", "vnd.microsoft.icon": "ico", "icon": "ico", "vnd.adobe.photoshop": "psd"}


def target_of(extension: str) -> Format | None:
    """The format that a name with `extension` (without a dot) asks for. None: a file of any format may be named so."""
    return next((kind for kind in TARGETS if kind.fits(extension)), None)


def image_format(file: BinaryIO, size: int, media_type: str = "", *, arrived: bool = False) -> Format | None:
    """The format of the image of `size` bytes in `file`. None if it is incomplete or not an image.

    media_type: what the server calls the file. arrived: the server said where the file ends, and it arrived to there.
    Only such a file is accepted if its format is unknown or does not show its end; its extension is then that of
    `media_type`, or `bin`.
    """
    file.seek(0)
    head = file.read(_HEAD)
    for begins, is_whole, kind in _KINDS:
        if begins(head):
            whole = is_whole(file, size)
            return kind if whole or (whole is None and arrived) else None
    return _unknown(head, media_type.lower()) if arrived else None


def _unknown(head: bytes, media_type: str) -> Format | None:
    """The format of a file with an unknown start. None if it is surely not an image."""
    kind, _, subtype = media_type.partition("/")
    is_page = _NOT_IMAGES.match(media_type) or _PAGE.match(head)
    is_another = any(media_type == known.media_type for _, _, known in _KINDS) or subtype == "jpg"
    is_text = kind != "image" and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    if is_page or is_another or is_text:
        return None
    if kind != "image":
        return _UNKNOWN
    subtype = subtype.removeprefix("x-")
    extension = _EXTENSIONS.get(subtype, subtype)
    return Format(media_type, extension if re.fullmatch("[a-z0-9]{1,10}", extension) else "bin", is_checked=False)


# Whether a file is complete: each gets the file and its size. None: the file does not show where it ends.


def _png_is_whole(file: BinaryIO, size: int) -> bool:
    position = 8
    while position + 12 <= size:
        head = _at(file, position, 8)
        position += 12 + int.from_bytes(head[:4])
        if head[4:] == b"IEND":
            return position <= size
    return False


def _jpeg_is_whole(file: BinaryIO, size: int) -> bool:
    """Follow the segments to the end marker. A thumbnail's end marker is inside a segment."""
    position = 2
    while position + 2 <= size:
        found = _next_marker(file, position)
        if found is None:
            return False
        marker, position = found
        if marker == 0xD9:
            return True
        if marker not in (0x01, 0xD8):
            position += int.from_bytes(_at(file, position, 2))
    return False


def _next_marker(file: BinaryIO, position: int) -> tuple[int, int] | None:
    """The next marker from `position` on and the position after it, None if there is none. Passes over image data."""
    file.seek(position)
    data = file.read(_CHUNK)
    while len(data) > 1:
        found = _MARKER.search(data)
        if found:
            return found[0][1], position + found.end()
        position += len(data) - 1
        data = data[-1:] + file.read(_CHUNK)
    return None


_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def _webp_is_whole(file: BinaryIO, size: int) -> bool:
    return int.from_bytes(_at(file, 4, 4), "little") + 8 <= size


def _gif_is_whole(file: BinaryIO, size: int) -> bool:
    """Follow the blocks to the trailer."""
    position = 13 + _color_table(_at(file, 10, 1))
    while position < size:
        kind = _at(file, position, 1)
        if kind == b";":
            return True
        if kind == b"!":  # extension: its label, then blocks
            position += 2
        elif kind == b",":  # image: position and size, perhaps colors, the code size, then blocks
            position += 11 + _color_table(_at(file, position + 9, 1))
        else:
            return False
        while length := int.from_bytes(_at(file, position, 1)):
            position += 1 + length
        position += 1
    return False


def _color_table(flags: bytes) -> int:
    """The length of a GIF's color table in bytes."""
    value = int.from_bytes(flags)
    return 3 * 2 ** ((value & 7) + 1) if value & 0x80 else 0


def _bmp_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether the pixels are all there. Some encoders leave the length of the file at 0."""
    head = _at(file, 0, 54)
    length, start, header = (int.from_bytes(head[at : at + 4], "little") for at in (2, 10, 14))
    if header == 12:
        width, height, bits = (int.from_bytes(head[at : at + 2], "little") for at in (18, 20, 24))
        packed = pixels = 0
    else:
        width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
        bits, packed, pixels = (int.from_bytes(head[at : at + n], "little") for at, n in ((28, 2), (30, 4), (34, 4)))
    if packed in (0, 3, 6):
        pixels = (width * bits + 31) // 32 * 4 * abs(height)
    end = start + pixels if pixels else length
    return 0 < end <= size


def _tiff_is_whole(file: BinaryIO, size: int) -> bool:
    """Whether all directories and all strips or tiles are inside the file."""
    head = _at(file, 0, 16)
    order: _Order = "little" if head[:2] == b"II" else "big"
    is_big = int.from_bytes(head[2:4], order) == 43
    width = 8 if is_big else 4  # of an offset
    position = int.from_bytes(head[8:16] if is_big else head[4:8], order)
    seen: set[int] = set()
    while position and position not in seen:
        if position >= size:
            return False
        seen.add(position)
        count_width = 8 if is_big else 2
        count = int.from_bytes(_at(file, position, count_width), order)
        first, entry = position + count_width, 4 + 2 * width
        end = first + count * entry
        if not count or end + width > size:
            return False
        tables: dict[int, list[int]] = {}
        for at in range(first, end, entry):
            values = _tiff_values(_at(file, at, entry), file, size, order, width)
            if values is None:
                return False
            tables[int.from_bytes(_at(file, at, 2), order)] = values
        for offsets, lengths in ((273, 279), (324, 325)):
            parts = zip(tables.get(offsets, ()), tables.get(lengths, ()), strict=False)
            if any(start + length > size for start, length in parts):
                return False
        position = int.from_bytes(_at(file, end, width), order)
    return bool(seen)


def _tiff_values(entry: bytes, file: BinaryIO, size: int, order: "_Order", width: int) -> list[int] | None:
    """The numbers of a directory's entry, empty if it has others. None if they are not all in the file."""
    tag, kind = (int.from_bytes(entry[at : at + 2], order) for at in (0, 2))
    count = int.from_bytes(entry[4 : 4 + width], order)
    each = _TIFF_SIZES.get(kind, 1)
    field, length = entry[4 + width :], count * each
    if length > width:
        start = int.from_bytes(field, order)
        if start + length > size:
            return None
        field = _at(file, start, length) if tag in _TIFF_PARTS else b""
    if tag not in _TIFF_PARTS:
        return []
    return [int.from_bytes(field[at : at + each], order) for at in range(0, length, each)]


_TIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Tags of the offsets and lengths of strips and tiles.
_TIFF_PARTS = (273, 279, 324, 325)


def _boxes_are_whole(file: BinaryIO, size: int) -> bool | None:
    """Follow the boxes of AVIF or HEIC. None if the image data extends to the end of the file, wherever that is."""
    position, has_index, has_data = 0, False, False
    while position + 8 <= size:
        head = _at(file, position, 16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if kind == b"mdat" and length == 0:
            return None if has_index else False
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:])
        if length < 8 or position + length > size:
            return has_index and has_data and kind not in _BOXES  # bytes after the end of the image
        has_index |= kind in (b"meta", b"moov")
        has_data |= kind == b"mdat"
        position += length
    return has_data and (position == size or has_index)


_BOXES = (b"meta", b"moov", b"moof", b"mdat")


def _at(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


def _has_brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Whether a file begins with a `ftyp` box that names one of `brands`."""

    def begins(head: bytes) -> bool:
        box = head[8 : int.from_bytes(head[:4])]
        return head[4:8] == b"ftyp" and any(box[at : at + 4] in brands for at in range(0, len(box), 4))

    return begins


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


_Order = Literal["little", "big"]
_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], bool | None], Format], ...] = (
    (_starts(b"\x89PNG\r\n\x1a\n"), _png_is_whole, PNG),
    (_starts(b"\xff\xd8\xff"), _jpeg_is_whole, JPEG),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp_is_whole, WEBP),
    (_has_brand(b"avif", b"avis"), _boxes_are_whole, AVIF),
    (_has_brand(b"heic", b"heix", b"hevc", b"mif1", b"msf1"), _boxes_are_whole, HEIC),
    (_starts(b"GIF87a", b"GIF89a"), _gif_is_whole, GIF),
    (_starts(b"BM"), _bmp_is_whole, BMP),
    (_starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff_is_whole, TIFF),
)
EXTENSIONS = (*(kind.extension for _, _, kind in _KINDS), _UNKNOWN.extension)
