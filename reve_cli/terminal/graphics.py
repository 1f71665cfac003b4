"""Pictures as escape sequences: kitty's protocol, iTerm2's, sixels, and half blocks.

kitty and iTerm2 take the bytes of a file and scale it themselves. The others need pixels, so they need Pillow, which is
imported late (extra `images`).

No library: textual-image asks the terminal when it is imported and throws away what was typed, does not restore the
terminal if a signal ends it, needs Pillow for PNG as well, and does not speak iTerm2's protocol; its import takes 67 to
91 ms with Pillow. term-image takes 150 to 250 ms, chafa.py 100 to 130 ms and brings a C library (Python 3.11, 2 cores).

May import: nothing of ours.
"""

import re
from base64 import standard_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK = 4096
"""Bytes of base64 in one of kitty's sequences, at most."""
_LARGEST_SIXEL = 1000
"""Pixels in each direction that xterm draws by default."""
_COLORS = 255
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
_USUAL_CELL = (10, 20)
"""Pixels of a character on terminals that do not report them: those of a VT340, which sixels assume."""


@dataclass(frozen=True)
class Room:
    """The largest space for a picture. cell: width and height of a character in pixels."""

    columns: int
    rows: int
    cell: tuple[int, int] = _USUAL_CELL

    @property
    def pixels(self) -> tuple[int, int]:
        return self.columns * self.cell[0], self.rows * self.cell[1]

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of a picture of this size in pixels: in its proportions, not enlarged."""
        scale = min(1.0, self.pixels[0] / width, self.pixels[1] / height)
        columns = round(width * scale / self.cell[0])
        rows = round(height * scale / self.cell[1])
        return min(max(columns, 1), self.columns), min(max(rows, 1), self.rows)


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the header of a PNG file; None for any other data."""
    if len(data) < 24 or not data.startswith(_PNG) or data[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return (width, height) if width and height else None


def kitty(png: bytes, room: Room) -> bytes:
    """A PNG file for terminals with kitty's protocol. They send no answer (`q=2`)."""
    columns, rows = room.fit(*(png_size(png) or room.pixels))
    data = standard_b64encode(png)
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    head = f"a=T,f=100,q=2,c={columns},r={rows},".encode()
    sequences = [
        b"\x1b_G%sm=%d;%s\x1b\\" % (b"" if number else head, number < len(parts) - 1, part)
        for number, part in enumerate(parts)
    ]
    return b"".join(sequences) + b"\n"


def iterm2(data: bytes, room: Room) -> bytes:
    """A file of any format for terminals with iTerm2's protocol."""
    columns, rows = room.fit(*(png_size(data) or room.pixels))
    head = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=1"
    return b"\x1b]1337;File=%s:%s\x07\n" % (head.encode(), standard_b64encode(data))


def opened(path: str, width: int, height: int) -> "Image":
    """The pixels of an image file, scaled down to fit, without transparency.

    Raises ImportError without Pillow; OSError or another error of Pillow's for a file that it cannot read.
    """
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as for an image with too many pixels
        with Image.open(path, formats=_FORMATS) as image:
            image.draft("RGB", (width, height))
            image.thumbnail((max(width, 1), max(height, 1)))
            pixels = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", pixels.size, "black"), pixels).convert("RGB")


def as_png(path: str, room: Room) -> bytes:
    """An image file as PNG, scaled down to fit. Raises as `opened`."""
    import io

    file = io.BytesIO()
    opened(path, *room.pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def sixel(path: str, room: Room) -> bytes:
    """An image file as sixels: bands of six rows of pixels, drawn once for each color. Raises as `opened`."""
    from PIL import Image

    width, height = (min(length, _LARGEST_SIXEL) for length in room.pixels)
    image = opened(path, width, height)
    sample = image.copy()
    sample.thumbnail((200, 200))  # the colors of all pixels would take several times as long to choose
    image = image.quantize(palette=sample.quantize(_COLORS), dither=Image.Dither.NONE)
    width, height = image.size
    palette, pixels = image.getpalette() or [], image.tobytes()
    parts = [f'\x1bP0;1q"1;1;{width};{height}'.encode()]
    for color in sorted(set(pixels)):
        red, green, blue = (round(value / 2.55) for value in palette[3 * color : 3 * color + 3])
        parts.append(f"#{color};2;{red};{green};{blue}".encode())
    for top in range(0, height, 6):
        rows = (pixels[row * width : (row + 1) * width] for row in range(top, min(top + 6, height)))
        parts.append(b"$".join(_band(rows)) + b"-")
    return b"".join(parts).removesuffix(b"-") + b"\x1b\\\n"


def _band(rows: Iterable[bytes]) -> list[bytes]:
    """The sixels of up to six rows of pixels: for each color, its columns of pixels from left to right."""
    lines: dict[int, bytearray] = {}
    ends: dict[int, int] = {}
    for place, column in enumerate(zip(*rows, strict=True)):
        sixels: dict[int, int] = {}
        for bit, color in zip(_BITS, column, strict=False):
            sixels[color] = sixels.get(color, 0) | bit
        for color, bits in sixels.items():
            if color not in lines:
                lines[color], ends[color] = bytearray(b"#%d" % color), 0
            if gap := place - ends[color]:
                lines[color] += b"!%d?" % gap
            lines[color].append(ord("?") + bits)
            ends[color] = place + 1
    return [_REPEATED.sub(lambda found: b"!%d%s" % (len(found[0]), found[1]), line) for line in lines.values()]


_BITS = (1, 2, 4, 8, 16, 32)
_REPEATED = re.compile(rb"([?-~])\1{3,}")


def half_blocks(path: str, room: Room, *, true_color: bool) -> bytes:
    """An image file as characters, each of which shows two pixels, one above the other. Raises as `opened`."""
    image = opened(path, room.columns, 2 * room.rows)
    (width, height), data = image.size, image.tobytes()
    colors: list[Any] = [data[start : start + 3] for start in range(0, len(data), 3)]
    lines = []
    for top in range(0, height, 2):
        upper, lower = colors[top * width : (top + 1) * width], colors[(top + 1) * width : (top + 2) * width]
        cells = zip(upper, lower or [None] * width, strict=True)
        lines.append("".join(_half_block(*cell, true_color=true_color) for cell in cells) + "\x1b[0m\n")
    return "".join(lines).encode()


def _half_block(upper: bytes, lower: bytes | None, *, true_color: bool) -> str:
    """One character: the upper half in one color, the lower half in another, or in none."""
    below = f";48;{_color(lower, true_color)}" if lower else ";49"
    return f"\x1b[38;{_color(upper, true_color)}{below}m\u2580"


def _color(pixel: bytes, true_color: bool) -> str:
    """The parameters of a color: as it is, or the nearest of the 216 that terminals with fewer colors have."""
    red, green, blue = pixel
    if true_color:
        return f"2;{red};{green};{blue}"
    levels = (0 if value < 48 else 1 if value < 115 else (value - 35) // 40 for value in pixel)  # 0, 95, 135, …, 255
    return "5;" + str(16 + sum(level * weight for level, weight in zip(levels, (36, 6, 1), strict=True)))
