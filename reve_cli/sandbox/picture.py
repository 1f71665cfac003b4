"""Draws images marked SIMULATED. The same request always gives the same bytes.

Pure Python is slow per pixel, so slices, `bytes.translate` and zlib do that work.

May import: nothing of ours.
"""

import colorsys
import hashlib
import struct
import zlib
from functools import cache

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
NOTE = "Simulated by the reve sandbox; not made by any image model."

_LONGER_SIDE = 512
# The palette: a gradient of shades for 0, 1, and 2 or more discs over a pixel.
_LEVELS, _SHADES = 3, 80
_DARK, _LIGHT = 240, 241
_RAISE = bytes(min(index + _SHADES, index % _SHADES + (_LEVELS - 1) * _SHADES) for index in range(240)) + bytes(16)

# A font of 5 by 7 dots: one byte per row, the dots in its lowest five bits.
_GLYPHS = {
    letter: [int(code[row : row + 2], 16) for row in range(0, 14, 2)]
    for letter, code in {
        "0": "0E11131519110E", "1": "040C040404040E", "2": "0E11010204081F", "3": "1F02040201110E",
        "4": "02060A121F0202", "5": "1F101E0101110E", "6": "0608101E11110E", "7": "1F010204080808",
        "8": "0E11110E11110E", "9": "0E11110F01020C", "A": "0E11111F111111", "B": "1E11111E11111E",
        "C": "0E11101010110E", "D": "1C12111111121C", "E": "1F10101E10101F", "F": "1F10101E101010",
        "I": "0E04040404040E", "J": "0702020202120C", "L": "1010101010101F", "M": "111B1515111111",
        "O": "0E11111111110E", "S": "0F10100E01011E", "T": "1F040404040404", "U": "1111111111110E",
        "-": "0000001F000000", "#": "0A0A1F0A1F0A0A", " ": "00000000000000",
    }.items()
}  # fmt: skip


def png(prompt: str, seed: int | None, aspect_ratio: str | None, number: int, job: str) -> bytes:
    """The image of one request. `number` counts a job's images from 1. Without a seed, the job's id is the seed."""
    width, height = size(aspect_ratio)
    named = f"SEED {seed}" if seed is not None else f"JOB {job[:8].upper()}"
    digest = hashlib.sha256(repr((prompt, seed if seed is not None else job, aspect_ratio, number)).encode()).digest()
    rows = _discs(_gradient(width, height, digest), width, height, digest)
    _band(rows, width, ["SIMULATED", named[:24] + (f" #{number}" if number > 1 else "")])
    pixels = b"".join(b"\0" + row for row in rows)
    return PNG_SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"tEXt", b"Comment\0" + NOTE.encode("latin-1")),
            _chunk(b"PLTE", _palette(digest)),
            _chunk(b"IDAT", zlib.compress(pixels, 1)),
            _chunk(b"IEND", b""),
        )
    )


def size(aspect_ratio: str | None) -> tuple[int, int]:
    """Width and height in pixels; square without a ratio."""
    across, down = (int(part) for part in (aspect_ratio or "1:1").split(":"))
    longer = max(across, down)
    return round(_LONGER_SIDE * across / longer), round(_LONGER_SIDE * down / longer)


@cache
def jpeg() -> bytes:
    """The smallest baseline JPEG: one grey block of 8 by 8 pixels, and two Huffman tables of one code each."""
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            _segment(0xDB, b"\0" + b"\x01" * 64),
            _segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 1) + b"\x01\x11\0"),
            _segment(0xC4, b"\x00\x01" + bytes(15) + b"\0"),
            _segment(0xC4, b"\x10\x01" + bytes(15) + b"\0"),
            _segment(0xDA, b"\x01\x01\0\0\x3f\0"),
            b"\x3f",
            b"\xff\xd9",
        )
    )


@cache
def webp() -> bytes:
    """The smallest lossless WebP: one transparent pixel."""
    image = bytes.fromhex("2f00000010071011118888fe07")
    body = b"WEBPVP8L" + struct.pack("<I", len(image)) + image + bytes(len(image) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _gradient(width: int, height: int, digest: bytes) -> list[bytearray]:
    """A diagonal gradient: each row is a slice of one long line, shifted a little further."""
    slope = 0.3 + digest[0] / 255
    reach = width + int(height * slope) + 1
    line = bytes(position * _SHADES // reach for position in range(reach))
    if digest[1] % 2:
        line = line[::-1]
    starts = (int(row * slope) for row in range(height))
    return [bytearray(line[start : start + width]) for start in starts]


def _discs(rows: list[bytearray], width: int, height: int, digest: bytes) -> list[bytearray]:
    """Translucent discs: each raises the pixels under it by one level of the palette."""
    for first in range(2, 17, 3):
        across, down, radius = (part / 255 for part in digest[first : first + 3])
        middle_x, middle_y, reach = across * width, down * height, (0.1 + radius * 0.25) * max(width, height)
        for y in range(max(0, int(middle_y - reach)), min(height, int(middle_y + reach))):
            half = (reach**2 - (y - middle_y) ** 2) ** 0.5 if abs(y - middle_y) < reach else 0
            left, right = max(0, int(middle_x - half)), min(width, int(middle_x + half))
            rows[y][left:right] = rows[y][left:right].translate(_RAISE)
    return rows


def _band(rows: list[bytearray], width: int, lines: list[str]) -> None:
    """Write the lines on a dark band across the image, each as large as fits."""
    drawn: list[bytes] = [bytes([_DARK]) * width] * 12
    for text in lines:
        scale = max(1, min(5, (width - 16) // (6 * len(text))))
        for dots in range(7):
            bits = "".join(f"{_GLYPHS[letter][dots]:05b}0" for letter in text)
            row = b"".join(bytes([_LIGHT if bit == "1" else _DARK]) * scale for bit in bits)
            margin = (width - len(row)) // 2
            drawn += [bytes([_DARK]) * margin + row + bytes([_DARK]) * (width - margin - len(row))] * scale
        drawn += [bytes([_DARK]) * width] * 12
    top = (len(rows) - len(drawn)) // 2
    rows[top : top + len(drawn)] = [bytearray(row) for row in drawn]


def _palette(digest: bytes) -> bytes:
    hue, step = digest[20] / 255, 0.08 + digest[21] / 255 * 0.2
    colours = bytearray()
    for level in range(_LEVELS):
        for shade in range(_SHADES):
            part = shade / (_SHADES - 1)
            rgb = colorsys.hls_to_rgb((hue + part * step + level * 0.06) % 1, 0.35 + 0.2 * part + 0.12 * level, 0.55)
            colours += bytes(round(channel * 255) for channel in rgb)
    return bytes(colours) + b"\x14\x16\x1c" + b"\xf5\xf5\xf0"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data
