"""Metadata of PNG files, after the PNG specification (third edition), chunks `tEXt`, `zTXt`, `iTXt` and `caBX`.

May import: pictures.layout.
"""

import re
import zlib
from typing import BinaryIO

from reve_cli.pictures.layout import LONGEST_TEXT, Edit, Layout, Part, at

XMP_KEYWORD = "XML:com.adobe.xmp"
PARAMETERS_KEYWORD = "parameters"
# The longest keyword, and what may follow it before the text in `iTXt`.
_KEYWORD = 79
# A file with more chunks than this is not read to its end.
_MOST_CHUNKS = 1_000_000
_TEXT = (b"tEXt", b"zTXt", b"iTXt")


def look(file: BinaryIO, size: int) -> Layout:
    """Find the metadata of a PNG file."""
    found = Layout(size)
    position = 8
    for _ in range(_MOST_CHUNKS):
        head = at(file, position, 8)
        length, kind, end = int.from_bytes(head[:4]), head[4:], position + 12 + int.from_bytes(head[:4])
        if end > size or not re.fullmatch(rb"[A-Za-z]{4}", kind):
            break
        if kind == b"IHDR" and position == 8:
            found.width, found.height = (int.from_bytes(at(file, start, 4)) for start in (16, 20))
            found.place = end
        elif kind in _TEXT:
            _look_at_text(found, file, kind, position, length)
        elif kind == b"caBX":
            found.has_credentials = True
        elif kind == b"IEND":
            break
        position = end
    return found


def change(found: Layout, xmp: str | None, parameters: str | None) -> list[Edit]:
    """The edits after which the file has this XMP packet and these parameters. None: it has none."""
    assert found.place is not None
    edits: list[Edit] = []
    for old, new in (
        (found.xmp, xmp and _itxt(XMP_KEYWORD, xmp)),
        (found.parameters, parameters and _text(parameters)),
    ):
        start, end = (old.start, old.end) if old else (found.place, found.place)
        edits.append((start, end, new or b""))
    return edits


def _look_at_text(found: Layout, file: BinaryIO, kind: bytes, position: int, length: int) -> None:
    keyword = at(file, position + 8, min(length, _KEYWORD + 1)).partition(b"\0")[0].decode("latin-1")
    if keyword not in (XMP_KEYWORD, PARAMETERS_KEYWORD):
        return
    text = None
    if length <= LONGEST_TEXT:
        text = _decoded(kind, at(file, position + 8, length)[len(keyword) + 1 :])
    if text is None:
        found.is_readable &= keyword != XMP_KEYWORD
        return
    part = Part(position, position + 12 + length, text)
    if keyword == XMP_KEYWORD:
        found.xmp = found.xmp or part
    else:
        found.parameters = found.parameters or part


def _decoded(kind: bytes, data: bytes) -> str | None:
    """The text of a chunk, from after its keyword. None if it is damaged or too long."""
    encoding, is_packed = "latin-1", kind == b"zTXt"
    if kind == b"iTXt":
        encoding, is_packed = "utf-8", data[:1] == b"\1"
        parts = data[2:].split(b"\0", 2)  # language, translated keyword, text
        data = parts[-1] if len(parts) == 3 else b""
    elif is_packed:
        data = data[1:]
    if is_packed:
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, LONGEST_TEXT)
        except zlib.error:
            return None
        if not unpacker.eof:
            return None
    return data.decode(encoding, "replace")


def _text(text: str) -> bytes:
    """The chunk of the parameters: `tEXt`, which more readers know, if it can hold them."""
    try:
        return _chunk(b"tEXt", f"{PARAMETERS_KEYWORD}\0{_without_nul(text)}".encode("latin-1"))
    except UnicodeEncodeError:
        return _itxt(PARAMETERS_KEYWORD, text)


def _itxt(keyword: str, text: str) -> bytes:
    return _chunk(b"iTXt", f"{keyword}\0\0\0\0\0{_without_nul(text)}".encode("utf-8", "replace"))


def _without_nul(text: str) -> str:
    """PNG does not allow NUL in text."""
    return text.replace("\0", " ")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
