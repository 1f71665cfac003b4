"""Pictures as escape sequences, read back as a terminal reads them."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from reve_cli.terminal.graphics import Room, half_blocks, iterm2, kitty, png_size, sixel
from tests.support.pictures import PICTURES

Image = pytest.importorskip("PIL.Image", reason="needs the extra images")
ROOM = Room(80, 12)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A smooth image with many colors, larger than the room for it."""
    pixels = hashlib.shake_128(b"fox").digest(3 * 3 * 2)
    path = tmp_path / "photo.png"
    Image.frombytes("RGB", (3, 2), pixels).resize((900, 600)).save(path)
    return path


def decoded(sixels: bytes) -> dict[tuple[int, int], tuple[int, ...]]:
    """The color, in percent, of every pixel that a terminal draws."""
    head = re.match(rb'\x1bP0;1q"1;1;\d+;\d+', sixels)
    assert head
    assert sixels.endswith(b"\x1b\\\n")
    palette: dict[int, tuple[int, ...]] = {}
    column = top = color = 0
    pixels: dict[tuple[int, int], tuple[int, ...]] = {}
    for token in re.finditer(rb"#(\d+)(;2;\d+;\d+;\d+)?|(!\d+)?([?-~])|([$-])|(.)", sixels[head.end() : -3], re.DOTALL):
        number, definition, repeated, bits, move, other = token.groups()
        assert other is None
        if number:
            color = int(number)
            if definition:
                palette[color] = tuple(map(int, definition[3:].split(b";")))
        elif move:
            column, top = 0, top + 6 * (move == b"-")
        else:
            start, column = column, column + (int(repeated[1:]) if repeated else 1)
            rows = [top + bit for bit in range(6) if (bits[0] - 63) >> bit & 1]
            pixels |= {(place, row): palette[color] for place in range(start, column) for row in rows}
    return pixels


def test_sixels_draw_every_pixel_in_nearly_its_color(photo: Path) -> None:
    pixels = decoded(sixel(str(photo), ROOM))
    with Image.open(photo) as image:
        wanted = image.resize((360, 240))
    assert set(pixels) == {(x, y) for x in range(360) for y in range(240)}
    for x, y in [(6, 6), (180, 120), (354, 234), (30, 210)]:
        assert all(
            abs(value * 2.55 - right) < 40 for value, right in zip(pixels[x, y], wanted.getpixel((x, y)), strict=True)
        )


def test_sixels_stay_below_what_xterm_draws(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 300)).save(tmp_path / "wide.png")
    assert b'"1;1;1000;100#' in sixel(str(tmp_path / "wide.png"), Room(400, 100))


def test_repeated_sixels_are_counted(tmp_path: Path) -> None:
    Image.new("RGB", (800, 240), "red").save(tmp_path / "red.png")
    assert len(sixel(str(tmp_path / "red.png"), ROOM)) < 500


@pytest.mark.parametrize(
    ("size", "cells"),
    [
        ((1024, 1024), (24, 12)),
        ((1600, 400), (80, 10)),
        ((400, 1600), (6, 12)),
        ((40, 40), (4, 2)),
        ((1, 9999), (1, 12)),
    ],
)
def test_a_picture_keeps_its_proportions_and_its_room(size: tuple[int, int], cells: tuple[int, int]) -> None:
    assert ROOM.fit(*size) == cells


def test_kitty_gets_the_bytes_of_a_png_in_parts(photo: Path) -> None:
    sent = kitty(photo.read_bytes(), ROOM)
    parts = re.findall(rb"\x1b_G([^;\x1b]*);([A-Za-z0-9+/=]*)\x1b\\", sent)
    assert base64.b64decode(b"".join(data for _, data in parts)) == photo.read_bytes()
    assert all(len(data) <= 4096 for _, data in parts)
    assert [head for head, _ in parts] == [b"a=T,f=100,q=2,c=36,r=12,m=1", *[b"m=1"] * (len(parts) - 2), b"m=0"]


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_iterm2_gets_the_bytes_of_any_file(kind: str) -> None:
    found = re.fullmatch(
        rb"\x1b\]1337;File=inline=1;size=(\d+);[a-zA-Z0-9=;]*:([^\x07]*)\x07\n", iterm2(PICTURES[kind], ROOM)
    )
    assert found
    assert base64.b64decode(found[2]) == PICTURES[kind]
    assert int(found[1]) == len(PICTURES[kind])


def test_half_blocks_show_two_pixels_each(tmp_path: Path) -> None:
    image = Image.new("RGB", (1, 3), "black")
    image.putpixel((0, 1), (255, 0, 128))
    image.save(tmp_path / "tall.png")
    path = str(tmp_path / "tall.png")
    rich = "\x1b[38;2;0;0;0;48;2;255;0;128m▀\x1b[0m\n\x1b[38;2;0;0;0;49m▀\x1b[0m\n"
    assert half_blocks(path, ROOM, true_color=True).decode() == rich
    poor = "\x1b[38;5;16;48;5;198m▀\x1b[0m\n\x1b[38;5;16;49m▀\x1b[0m\n"
    assert half_blocks(path, ROOM, true_color=False).decode() == poor


@pytest.mark.parametrize("data", [b"", b"GIF89a", PICTURES["png"][:20], PICTURES["png"][:16] + bytes(8)])
def test_only_a_png_has_the_size_of_one(data: bytes) -> None:
    assert png_size(data) is None
    assert png_size(PICTURES["png"]) == (5, 4)
