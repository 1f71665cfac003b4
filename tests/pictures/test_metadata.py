"""The record of how an image was made: written into files, read from reve's and from other tools' files."""

import hashlib
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from reve_cli.core.errors import ReveError
from reve_cli.pictures import metadata
from reve_cli.pictures.provenance import SOURCE_TYPE, Provenance
from tests.support.pictures import PICTURES

RECORD = Provenance(
    prompt="a red fox",
    seed=7,
    aspect_ratio="3:2",
    version="latest",
    model="reve-create",
    job_id="0198c0de-0000-7000-8000-000000000001",
    image=1,
    credit_cost=4.5,
    created_at="2026-07-01T10:00:00.000Z",
    completed_at="2026-07-01T10:00:14.000Z",
    simulated=True,
    downloaded_sha256="0" * 64,
    tool="reve 1.0",
    source_type=SOURCE_TYPE,
    is_ours=True,
)
CHANGEABLE = ("png", "jpeg", "progressive jpeg", "webp")
HOSTILE = (
    'two\nlines, and: "quotes"',
    "--> </script> {{ }} <b>&amp;&#0; ]]> %s %d",
    "tab\tand return\r\nNUL \0 bell \a escape \x1b[31m",
    "\ufffe\uffff and \u202e",
    "🦊" * 1000,
    "Negative prompt: none\nSteps: 1, Seed: 2, Model: x",
    "x" * 2000,
    "日本語のきつね",
)


def embedded(data: bytes, record: Provenance = RECORD, *, expected: bool = True) -> bytes:
    file = io.BytesIO(data)
    assert metadata.embed(file, record) is expected
    return file.getvalue()


def read(data: bytes, path: Path = Path("picture")) -> Provenance | None:
    path.write_bytes(data)
    return metadata.read(str(path))


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def with_chunks(*chunks: bytes) -> bytes:
    """The PNG with chunks after its header."""
    data = PICTURES["png"]
    return data[:33] + b"".join(chunks) + data[33:]


def text(keyword: str, value: str) -> bytes:
    return chunk(b"tEXt", f"{keyword}\0{value}".encode("latin-1"))


def xmp(packet: str) -> bytes:
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet.encode())


def jpeg_with(marker: int, data: bytes) -> bytes:
    whole = PICTURES["jpeg"]
    return whole[:2] + bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data + whole[2:]


def foreign_packet(properties: str, *, start: str = "") -> str:
    rdf, dc = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://purl.org/dc/elements/1.1/"
    return (
        f'{start}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">'
        f'<rdf:Description rdf:about="uuid:1" xmlns:dc="{dc}">{properties}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )


@pytest.mark.parametrize("prompt", HOSTILE)
@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_record_is_read_as_it_was_written(name: str, prompt: str) -> None:
    record = replace(RECORD, prompt=prompt, simulated=False)
    assert read(embedded(PICTURES[name], record)) == record


def test_unknown_values_stay_unknown() -> None:
    record = Provenance(prompt="fox", tool="reve 1.0", is_ours=True)
    assert read(embedded(PICTURES["png"], record)) == record


@pytest.mark.parametrize("name", CHANGEABLE)
def test_the_hash_of_the_download_can_be_had_from_the_file(name: str) -> None:
    file = io.BytesIO(embedded(PICTURES[name]))
    assert metadata.original_sha256(file) == hashlib.sha256(PICTURES[name]).hexdigest()
    assert hashlib.sha256(file.getvalue()).hexdigest() != metadata.original_sha256(file)


def test_a_large_image_gets_its_record_in_little_memory() -> None:
    data = with_chunks(chunk(b"teST", os.urandom(5 * 2**20)))
    Path("large.png").write_bytes(data)
    records = RECORD, replace(RECORD, prompt="a longer prompt " * 50), replace(RECORD, prompt="")
    with open("large.png", "r+b") as file:
        tracemalloc.start()
        try:
            for record in records:  # what follows the record moves on, then back
                assert metadata.embed(file, record)
                assert metadata.original_sha256(file) == hashlib.sha256(data).hexdigest()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2**20
    assert Path("large.png").read_bytes() == embedded(data, records[-1])


@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_record_is_replaced_and_never_doubled(name: str) -> None:
    first = embedded(PICTURES[name], replace(RECORD, prompt="another " * 50))
    assert embedded(first) == embedded(PICTURES[name])


@pytest.mark.parametrize("name", CHANGEABLE)
def test_the_compressed_pixels_stay_the_same_bytes(name: str) -> None:
    data, changed = PICTURES[name], embedded(PICTURES[name])
    start = {"png": data.find(b"IDAT") - 4, "webp": data.find(b"VP8L")}.get(name, data.find(b"\xff\xdb"))
    pixels = data[start:]
    assert pixels in changed
    assert len(changed) > len(data)


@pytest.mark.parametrize("name", CHANGEABLE)
def test_bytes_after_the_end_of_the_image_are_kept(name: str) -> None:
    more = b"more bytes"
    changed = embedded(PICTURES[name] + more)
    assert changed.endswith(more)
    assert read(changed) == RECORD


@pytest.mark.parametrize("name", sorted(set(PICTURES) - set(CHANGEABLE)))
def test_other_formats_are_left_as_they_are(name: str) -> None:
    assert embedded(PICTURES[name], expected=False) == PICTURES[name]
    assert read(PICTURES[name]) is None


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP"])
def test_pillow_shows_the_same_pixels_and_the_record(name: str) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    made = image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 50).convert("RGBA" if name != "JPEG" else "RGB")
    plain = io.BytesIO()
    made.save(plain, name, icc_profile=b"some profile")
    changed = image.open(io.BytesIO(embedded(plain.getvalue())))
    assert changed.convert("RGBA").tobytes() == image.open(plain).convert("RGBA").tobytes()
    assert changed.info["icc_profile"] == b"some profile"
    packet = bytes(changed.info["xmp"])
    assert all(part in packet for part in (b"a red fox", b"<reve:seed>7<", SOURCE_TYPE.encode()))
    if name == "PNG":
        assert changed.info["parameters"].startswith("a red fox\nSeed: 7, Size: 64x48, Model: reve-create")


def test_exiftool_reads_the_record() -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    for name in CHANGEABLE:
        Path(name).write_bytes(embedded(PICTURES[name], replace(RECORD, prompt="日本, a red <fox> & more")))
    command = ["exiftool", "-json", "-a", "-validate", "-all:all", *CHANGEABLE]
    done = subprocess.run(command, capture_output=True, check=True)
    for found in json.loads(done.stdout):
        assert found["Description"] == found["Prompt"] == "日本, a red <fox> & more"
        assert (found["Seed"], found["DigitalSourceType"], found["Validate"]) == (7, SOURCE_TYPE, "OK")
        assert found.get("Parameters", "日本, a red").startswith("日本, a red")


# ImageMagick 6 shows neither XMP in iTXt nor XMP in WebP, whichever tool wrote it.
@pytest.mark.parametrize(("name", "shown"), [("png", "%[parameters]"), ("jpeg", "%[reve:prompt]Seed: %[reve:seed],")])
def test_imagemagick_6_reads_the_record(name: str, shown: str) -> None:
    if shutil.which("identify") is None:
        pytest.skip("ImageMagick is not installed")
    Path("picture").write_bytes(embedded(PICTURES[name]))
    done = subprocess.run(["identify", "-verbose", "-format", shown, "picture"], capture_output=True, check=True)
    assert done.stdout.decode().replace("\n", "").startswith("a red foxSeed: 7,")


IMAGEMAGICK_7 = Path(sys.prefix, "lib/node_modules/@imagemagick/magick-wasm/dist")
ATTRIBUTES = ("reve:prompt", "reve:seed", "Iptc4xmpExt:DigitalSourceType")
IDENTIFY = f"""
const fs = require("fs")
const [folder, ...files] = process.argv.slice(1)
const {{ImageMagick, Magick, initializeImageMagick}} = require(`${{folder}}/index.umd.cjs`)
initializeImageMagick(fs.readFileSync(`${{folder}}/x86/magick.wasm`)).then(() => {{
    const shown = files.map(file => ImageMagick.read(fs.readFileSync(file), image =>
        {json.dumps(ATTRIBUTES)}.map(name => image.getAttribute(name))))
    console.log(JSON.stringify([Magick.imageMagickVersion, ...shown]))
}})
"""


def test_imagemagick_7_reads_the_record() -> None:
    if shutil.which("node") is None or not IMAGEMAGICK_7.is_dir():
        pytest.skip("npm install --global --prefix .venv @imagemagick/magick-wasm")
    for name in CHANGEABLE:
        Path(name).write_bytes(embedded(PICTURES[name]))
    command = ["node", "-e", IDENTIFY, str(IMAGEMAGICK_7), *CHANGEABLE]
    version, *shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert version.startswith("ImageMagick 7")
    assert shown == [["a red fox", "7", SOURCE_TYPE]] * len(CHANGEABLE)


def test_chromium_opens_the_files() -> None:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    for name in (*CHANGEABLE, "avif"):
        Path(f"{name}.img").write_bytes(embedded(PICTURES[name], expected=name != "avif"))
    images = "".join(f'<img src="{name}.img">' for name in (*CHANGEABLE, "avif"))
    script = "onload = () => { for (const image of document.images) image.alt = `${image.naturalWidth} wide` }"
    Path("page.html").write_text(f"<script>{script}</script>{images}")
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        f"--user-data-dir={Path.cwd()}/p",
    ]
    done = subprocess.run([*command, "page.html"], capture_output=True, check=True, timeout=60)
    assert re.findall(r'alt="(\d+) wide"', done.stdout.decode()) == ["5"] * 5


# Files of other tools

A1111 = """a castle, (intricate:1.2)
on a hill
Negative prompt: blurry, low quality
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 768x512, Model hash: abc, \
Model: "sd, v1", Version: 1.9"""


def test_parameters_of_another_tool_give_prompt_seed_and_what_reve_has_no_option_for() -> None:
    found = read(with_chunks(text("parameters", A1111)))
    assert found is not None
    assert not found.is_ours
    assert (found.prompt, found.seed) == ("a castle, (intricate:1.2)\non a hill", 965400086)
    assert (found.aspect_ratio, found.model, found.tool) == ("3:2", "sd, v1", "1.9")
    assert found.others == {
        "Steps": "20",
        "Sampler": "Euler a",
        "CFG scale": "7",
        "Size": "768x512",
        "Model hash": "abc",
        "Negative prompt": "blurry, low quality",
    }


@pytest.mark.parametrize("packed", [False, True])
def test_parameters_are_read_from_every_kind_of_text_chunk(packed: bool) -> None:
    value = "日本\nSteps: 1, Seed: 3, Model: m".encode()
    itxt = b"parameters\0" + bytes([packed, 0]) + b"en\0key\0" + (zlib.compress(value) if packed else value)
    found = read(with_chunks(chunk(b"iTXt", itxt)))
    assert found is not None
    assert (found.prompt, found.seed) == ("日本", 3)
    latin = read(
        with_chunks(chunk(b"zTXt", b"parameters\0\0" + zlib.compress("é\nSeed: 3, A: b, C: d".encode("latin-1"))))
    )
    assert latin is not None
    assert (latin.prompt, latin.seed) == ("é", 3)


@pytest.mark.parametrize(
    ("value", "prompt", "seed"),
    [
        ("only a prompt", "only a prompt", None),
        ("", None, None),
        ("a fox\nSeed: 1", "a fox\nSeed: 1", None),
        ("a\nSeed: 99999999999999999999, A: b, C: d", "a", None),
        ("a\nSeed: none, A: b, C: d", "a", None),
        ("Seed: 4, A: b, C: d", None, 4),
    ],
)
def test_odd_parameters_are_taken_as_far_as_they_go(value: str, prompt: str | None, seed: int | None) -> None:
    found = read(with_chunks(text("parameters", value)))
    assert found is not None
    assert (found.prompt, found.seed) == (prompt, seed)


def test_parameters_of_others_are_kept() -> None:
    data = with_chunks(text("parameters", A1111), text("Comment", "mine"))
    changed = embedded(data)
    assert text("parameters", A1111) in changed
    assert text("Comment", "mine") in changed
    assert changed.count(b"parameters\0") == 1
    assert read(changed) == RECORD
    assert metadata.original_sha256(io.BytesIO(changed)) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("start", ["", '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'])
def test_xmp_of_others_is_kept(start: str) -> None:
    packet = foreign_packet("<dc:title>mine</dc:title><dc:description>a caption</dc:description>", start=start)
    for data in (with_chunks(xmp(packet)), jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode())):
        assert read(data) is None
        changed = embedded(data)
        assert read(changed) == RECORD
        assert b"<dc:title>mine</dc:title>" in changed
        assert changed.count(b"<dc:description>") == changed.count(b"<rdf:RDF") == 1
        assert embedded(changed) == changed
        assert metadata.original_sha256(io.BytesIO(changed)) == hashlib.sha256(data).hexdigest()


def test_a_record_rewritten_by_another_tool_is_still_read() -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    Path("picture.png").write_bytes(embedded(PICTURES["png"]))
    subprocess.run(["exiftool", "-q", "-XMP-dc:Title=mine", "-XMP-dc:Description=new", "picture.png"], check=True)
    assert metadata.read("picture.png") == RECORD


def test_the_source_type_of_another_tool_is_read() -> None:
    iptc = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    packet = foreign_packet(f'<i:DigitalSourceType xmlns:i="{iptc}">{SOURCE_TYPE}</i:DigitalSourceType>')
    assert read(with_chunks(xmp(packet))) == Provenance(source_type=SOURCE_TYPE)


# Content Credentials


@pytest.mark.parametrize(
    "data",
    [
        with_chunks(chunk(b"caBX", b"jumbf")),
        jpeg_with(0xEB, b"JP\0\1jumbf"),
        with_chunks(xmp(foreign_packet("<dcterms:provenance xmlns:dcterms='x'>https://x</dcterms:provenance>"))),
    ],
    ids=["png", "jpeg", "remote"],
)
def test_an_image_with_content_credentials_is_never_changed(data: bytes) -> None:
    assert embedded(data, expected=False) == data
    assert metadata.has_credentials(io.BytesIO(data))


def test_a_sidecar_tells_what_the_file_does_not() -> None:
    Path("picture.json").write_text(json.dumps(RECORD.document()))
    assert read(PICTURES["gif"]) == RECORD
    assert read(with_chunks(text("parameters", A1111))) == RECORD
    Path("picture.json").write_text(json.dumps({"prompt": "a json file of the user"}))
    assert read(PICTURES["gif"]) is None


# Damaged and hostile files


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "picture is empty"),
        (b"hello", "picture is not a complete image"),
        (PICTURES["png"][:-5], "picture is not a complete image"),
        (embedded(PICTURES["jpeg"])[:300], "picture is not a complete image"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 ", "picture is not a complete image"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "cut webp"],
)
def test_a_file_that_is_not_a_complete_image_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ReveError, match=f"^{message}$") as caught:
        read(data)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("path", ["missing", ".", "pipe", "nul\0"])
def test_what_is_not_a_readable_file_is_an_error(path: str) -> None:
    if path == "pipe":
        os.mkfifo(path)
    with pytest.raises(ReveError, match=r"is not a file|cannot read"):
        metadata.read(path)


@pytest.mark.parametrize("start", ["png", "jpeg", "webp", "avif"])
def test_a_sparse_file_of_2_gb_is_refused_at_once(start: str) -> None:
    with open("picture", "wb") as file:
        file.write(PICTURES[start][:40])
        file.truncate(2 * 10**9)
    with pytest.raises(ReveError, match="larger than 200 MB"):
        metadata.read("picture")


def test_ten_thousand_text_chunks_are_read() -> None:
    many = [text(f"key{number}", "value") for number in range(10_000)]
    found = read(with_chunks(*many, text("parameters", A1111), *[text("parameters", "x")] * 100))
    assert found is not None
    assert found.seed == 965400086


def test_a_packed_text_that_grows_without_end_is_not_read() -> None:
    bomb = zlib.compress(bytes(50 * 2**20))
    assert read(with_chunks(chunk(b"zTXt", b"parameters\0\0" + bomb))) is None
    packed = with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb))
    assert read(packed) is None
    assert embedded(packed, expected=False) == packed


ENTITIES = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]>'
UNREADABLE = {
    "entities": foreign_packet("<dc:title>&b;</dc:title>", start=ENTITIES),
    "external": foreign_packet("", start='<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
    "damaged": foreign_packet("<dc:title>"),
    "deep": foreign_packet("<a>" * 5000 + "</a>" * 5000),
    "huge": foreign_packet("x" * 2**20),
    "not xml": "urn:reve-cli:image:1#",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_hostile_xmp_says_nothing_and_is_not_added_to(name: str) -> None:
    data = with_chunks(xmp(UNREADABLE[name]))
    assert read(data) is None
    assert embedded(data, expected=False) == data


def test_values_of_a_wrong_type_count_as_unknown() -> None:
    ours = "".join(
        f'<r:{name} xmlns:r="urn:reve-cli:image:1#">{value}</r:{name}>'
        for name, value in {
            "seed": "1e400",
            "creditCost": "NaN",
            "image": "[" * 5000,
            "simulated": 1,
            "jobId": "x",
        }.items()
    )
    assert read(with_chunks(xmp(foreign_packet(ours)))) == Provenance(job_id="x", is_ours=True)


@pytest.mark.parametrize("line", ["a" * 20_000, 'a:"' * 6_000, "a " * 10_000, ":" * 20_000, ' "\\' * 6_000])
def test_hostile_parameters_take_no_time(line: str) -> None:
    found = read(with_chunks(text("parameters", f"fox\n{line}")))
    assert found is not None
    assert found.seed is None


@pytest.mark.parametrize("name", CHANGEABLE)
def test_every_damaged_byte_is_either_read_or_an_error(name: str) -> None:
    data = embedded(PICTURES[name])
    for place, value in itertools.product(range(0, len(data), 31), (0, 0xFF)):
        damaged = data[:place] + bytes([value]) + data[place + 1 :]
        try:
            read(damaged)
        except ReveError:
            continue
        metadata.embed(io.BytesIO(damaged), RECORD)
        metadata.original_sha256(io.BytesIO(damaged))
