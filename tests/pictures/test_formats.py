"""Which files are complete images, of which format."""

import io
import itertools

import pytest

from reve_cli.pictures.formats import Format, image_format
from tests.support.pictures import PICTURES

JPEG = PICTURES["jpeg"]
AVIF = PICTURES["avif"]
EXTENSIONS = {
    "jpeg": "jpg",
    "progressive jpeg": "jpg",
    "animated gif": "gif",
    "packed tiff": "tiff",
    "big tiff": "tiff",
}


def judged(data: bytes, media_type: str = "", *, arrived: bool = False) -> Format | None:
    return image_format(io.BytesIO(data), len(data), media_type, arrived=arrived)


def boxes(data: bytes) -> list[bytes]:
    """The boxes of an AVIF file."""
    starts = [0]
    while starts[-1] < len(data):
        starts.append(starts[-1] + int.from_bytes(data[starts[-1] : starts[-1] + 4]))
    return [data[start:end] for start, end in itertools.pairwise(starts)]


def with_brands(data: bytes, *brands: bytes) -> bytes:
    """The AVIF file with another `ftyp` box."""
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return (len(box) + 4).to_bytes(4) + box + b"".join(boxes(data)[1:])


def open_ended(data: bytes) -> bytes:
    """The AVIF file with image data that extends to the end of the file, wherever that is."""
    *others, pixels = boxes(data)
    assert pixels[4:8] == b"mdat"
    return b"".join(others) + bytes(4) + pixels[4:]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_complete_only_with_its_last_byte(name: str) -> None:
    whole = PICTURES[name]
    found = judged(whole)
    assert found is not None
    assert found.media_type == f"image/{name.split()[-1]}"
    assert [size for size in range(len(whole)) if judged(whole[:size], arrived=size > 40)] == []


@pytest.mark.parametrize("more", [b"\0", bytes(65), b"x" * 1000, b"\xff\xd8\xff" * 1000], ids=["1", "65", "x", "jpeg"])
@pytest.mark.parametrize("name", PICTURES)
def test_bytes_after_the_end_are_allowed(name: str, more: bytes) -> None:
    assert judged(PICTURES[name] + more) == judged(PICTURES[name])


def test_a_thumbnail_inside_a_jpeg_does_not_end_it() -> None:
    holder = b"\xff\xe1" + (len(JPEG) + 2).to_bytes(2) + JPEG
    whole = JPEG[:2] + holder + JPEG[2:]
    assert judged(whole) is not None
    assert [size for size in range(len(whole)) if judged(whole[:size])] == []


@pytest.mark.parametrize("length", range(65530, 65540))
def test_a_jpeg_may_end_anywhere_in_a_long_file(length: int) -> None:
    comment = b"\xff\xfe\xff\xff" + b"c" * 65533
    whole = JPEG[:-2] + b"d" * length + b"\xff\0\xff\xd9"
    assert judged(JPEG[:2] + comment + whole[2:]) is not None
    assert judged(whole[:-1]) is None


@pytest.mark.parametrize(
    ("brands", "extension"),
    [
        ((b"avif",), "avif"),
        ((b"avis", b"msf1"), "avif"),
        ((b"mif1", b"miaf", b"avif"), "avif"),
        ((b"heic", b"mif1"), "heic"),
        ((b"mif1", b"heic"), "heic"),
    ],
)
def test_the_brands_tell_avif_from_heic(brands: tuple[bytes, ...], extension: str) -> None:
    found = judged(with_brands(AVIF, *brands))
    assert found is not None
    assert found.extension == extension


def test_open_ended_image_data_is_complete_if_the_server_said_where_it_ends() -> None:
    assert judged(open_ended(AVIF), arrived=True) == judged(AVIF)
    assert judged(open_ended(AVIF)) is None
    assert judged(open_ended(AVIF)[:60], arrived=True) is None


def test_a_bitmap_that_leaves_its_lengths_at_0_is_measured_by_its_pixels() -> None:
    bmp = bytearray(PICTURES["bmp"])
    bmp[2:6] = bmp[34:38] = bytes(4)
    assert judged(bytes(bmp)) is not None
    assert judged(bytes(bmp[:-1]), arrived=True) is None


@pytest.mark.parametrize(
    ("media_type", "kept", "extension"),
    [
        ("image/jxl", "image/jxl", "jxl"),
        ("image/svg+xml", "image/svg+xml", "svg"),
        ("image/x-icon", "image/x-icon", "ico"),
        ("IMAGE/JXL", "image/jxl", "jxl"),
        ("image/../../etc", "image/../../etc", "bin"),
        ("application/octet-stream", "application/octet-stream", "bin"),
        ("", "application/octet-stream", "bin"),
    ],
)
def test_an_unknown_format_that_arrived_is_kept_under_its_own_type(media_type: str, kept: str, extension: str) -> None:
    data = b"\xff\x0a" + bytes(range(200))
    found = judged(data, media_type, arrived=True)
    assert found is not None
    assert (found.media_type, found.extension, found.is_checked) == (kept, extension, False)
    assert judged(data, media_type) is None


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"", "application/octet-stream"),
        (b"<html>gone</html>", "text/html"),
        (b" <!DOCTYPE html><p>", "image/jxl"),
        (b'{"error": "gone"}', "application/json"),
        (b'{"error": "gone"}', "application/octet-stream"),
        (b"<Error>\xff</Error>", "application/xml"),
        (b"Not found\r\n", ""),
        (bytes(range(255, 0, -1)), "image/png"),
        (bytes(range(255, 0, -1)), "image/jpg"),
    ],
    ids=["empty", "html", "html as image", "json", "json as bytes", "xml", "text", "damaged png", "damaged jpg"],
)
def test_pages_and_damaged_images_are_not_kept(data: bytes, media_type: str) -> None:
    assert judged(data, media_type, arrived=True) is None


@pytest.mark.parametrize(
    "start",
    [b"II*\0", b"MM\0+\0\x08\0\0" + b"\xff" * 8, b"GIF89a", b"BM", b"\0\0\0\x14ftypavif"],
    ids=["tiff", "big tiff", "gif", "bmp", "avif"],
)
@pytest.mark.parametrize("fill", [0, 1, 255])
def test_a_damaged_start_is_not_an_image(start: bytes, fill: int) -> None:
    assert judged(start + bytes([fill]) * 500, arrived=True) is None
