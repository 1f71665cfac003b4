"""XMP that is huge, or grows without end: `show`, `rerun` and `gallery` do without it, in little memory."""

import sys
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import Reve
from tests.pictures.test_metadata import chunk, foreign_packet, jpeg_with, with_chunks, xmp
from tests.support.memory import run_measured
from tests.support.pictures import PICTURES

_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32
_MOST = 65_000


def huge_images(size: int) -> list[str]:
    """Write images with XMP of `size` bytes and more, or with entities that become more. Returns their names."""
    packet = foreign_packet(f"<dc:title>{'x' * size}</dc:title>").encode()
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names))
    bomb = foreign_packet("<dc:title>&j;</dc:title>", start=f'<!DOCTYPE x [<!ENTITY a "lol">{entities}]>')
    main = b"http://ns.adobe.com/xap/1.0/\0"
    parts = [packet[start : start + _MOST] for start in range(0, len(packet), _MOST)]
    segments = [_EXTENSION + len(packet).to_bytes(4) + (i * _MOST).to_bytes(4) + part for i, part in enumerate(parts)]
    jpeg, keyword = PICTURES["jpeg"], b"XML:com.adobe.xmp\0"
    extended = [main + foreign_packet("").encode(), *segments]
    images = {
        "plain.png": with_chunks(chunk(b"iTXt", keyword + bytes(4) + packet)),
        "packed.png": with_chunks(chunk(b"iTXt", keyword + b"\1\0\0\0" + zlib.compress(packet))),
        "extended.jpg": jpeg[:2] + b"".join(map(segment, extended)) + jpeg[2:],
        "chunk.webp": webp_with(packet),
        "bomb.png": with_chunks(xmp(bomb)),
        "bomb.jpg": jpeg_with(0xE1, main + bomb.encode()),
        "bomb.webp": webp_with(bomb.encode()),
    }
    for name, data in images.items():
        Path(name).write_bytes(data)
    return list(images)


def segment(data: bytes) -> bytes:
    return b"\xff\xe1" + (len(data) + 2).to_bytes(2) + data


def webp_with(packet: bytes) -> bytes:
    sizes = (4).to_bytes(3, "little") + (3).to_bytes(3, "little")
    chunks = b"VP8X" + (10).to_bytes(4, "little") + b"\4\0\0\0" + sizes + PICTURES["webp"][12:]
    chunks += b"XMP " + len(packet).to_bytes(4, "little") + packet + bytes(len(packet) % 2)
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no peak of this program alone")
def test_huge_xmp_is_left_out_in_no_more_memory(reve: Reve, full: bool) -> None:
    names = huge_images(50 * 2**20 if full else 2 * 2**20)
    Path("small").mkdir()
    Path("small/fox.png").write_bytes(PICTURES["png"])
    commands = [["rerun", "small/fox.png"], ["gallery", "small"]]
    for name in names:
        commands += [["show", name], ["rerun", name]]
    with open("out", "w+") as stdout, open("err", "w+") as stderr:
        codes, peaks = run_measured([*commands, ["gallery"]], reve.environ, stdout, stderr)
    out, err = Path("out").read_text(), Path("err").read_text()
    assert codes == [7, 0, *(0, 7) * len(names), 0]
    assert "Traceback" not in err
    why = "neither the file nor the journal says how"
    for name in names:
        assert f"path: {Path(name).absolute()}\n" in out
        assert err.count(f"{why} {name} was made\n") == 1
    assert err.count(f"{why} the image was made\n") == len(names)
    assert f"{len(names) + 1} images; open the page" in err
    assert peaks[-1] < peaks[1] + 40 * 2**10, peaks  # less than one of the packets; Pillow alone takes 20 MB
