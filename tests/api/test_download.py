"""Downloads of images from servers that compress them, or send formats that reve does not know."""

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.api.download import SIZE_CAP, Images, Unusable
from reve_cli.api.origins import Origins
from reve_cli.core.clock import Deadline, Stop
from tests.conftest import Result, Reve
from tests.support.pictures import PICTURES, as_sent
from tests.support.servers import HOST, Asked, Origin, Reply, answered, json_reply

PNG = PICTURES["png"]
JOB = "3f2a9c1e-0000-4000-8000-000000000001"
Pack = Callable[[bytes], bytes]


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def fetched(reve: Reve, reply: Reply) -> tuple[bytes, int]:
    """The image that `Images` makes of an answer, and the number of requests. Raises `Unusable`."""
    images = Images(Origins(public=False, loopback=True), clock=reve.clock, stop=Stop(), limits=reve.limits, debug=None)
    file = io.BytesIO()
    with Origin(lambda asked: reply) as origin, contextlib.closing(images):
        images.fetch(f"http://{HOST}:{origin.port}/image", file, Deadline(reve.clock, 100))
    return file.getvalue(), len(origin.asked)


def saved(reve: Reve, body: bytes, media_type: str, *command: str) -> Result:
    """The result of a command about a job whose image is `body`."""

    def answer(asked: Asked) -> Reply:
        if asked.target == "/image":
            return Reply(200, body, {"Content-Type": media_type} if media_type else {})
        urls = [f"http://{asked.headers['host']}/image"]
        return json_reply({"id": JOB, "status": "COMPLETED", "result": urls, "creditCost": 4})

    with answered(reve.environ, answer):
        return reve(*command)


# Compressed


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gz),
        ("x-gzip", gz),
        ("GZIP", lambda data: gz(data[:50]) + gz(data[50:])),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("deflate, gzip", lambda data: gz(zlib.compress(data))),
        ("identity", bytes),
    ],
    ids=["gzip", "x-gzip", "two members", "deflate", "bare deflate", "twice", "identity"],
)
def test_a_compressed_image_is_unpacked(reve: Reve, encoding: str, pack: Pack) -> None:
    assert fetched(reve, Reply(200, pack(PNG), {"Content-Encoding": encoding})) == (PNG, 1)


@pytest.mark.parametrize(
    ("encoding", "body", "why"),
    [
        ("gzip", gz(PNG)[:-1], "incomplete"),
        ("gzip", gz(PNG)[:-8] + bytes(8), "damaged"),
        ("gzip", b"", "incomplete"),
        ("gzip", gz(PNG[:-1]), "not a complete image"),
        ("deflate", b"\xff" * 50, "damaged"),
        ("br", PNG, "compressed the image with br"),
    ],
    ids=["cut", "wrong checksum", "empty", "cut inside", "not deflate", "br"],
)
def test_a_damaged_compressed_image_is_refused(reve: Reve, encoding: str, body: bytes, why: str) -> None:
    with pytest.raises(Unusable, match=why) as caught:
        fetched(reve, Reply(200, body, {"Content-Encoding": encoding}))
    assert caught.value.again


@pytest.mark.parametrize("twice", [False, True])
def test_a_compression_bomb_is_refused_at_the_size_limit(reve: Reve, twice: bool) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(3 * SIZE_CAP // 2**20)) + packer.flush()
    encoding, body = ("gzip, gzip", gz(bomb)) if twice else ("gzip", bomb)
    with pytest.raises(Unusable, match="larger than 100 MB"):
        fetched(reve, Reply(200, body, {"Content-Encoding": encoding}))


# Formats


@pytest.mark.parametrize("name", PICTURES)
def test_every_complete_picture_is_saved_under_its_extension(reve: Reve, name: str) -> None:
    result = saved(reve, PICTURES[name], "image/png", "download", JOB, "--out", "fox.{ext}", "--json")
    assert (result.code, result.stderr.count("warning")) == (0, 0)
    (file,) = result.document["files"]
    assert file["downloadedSha256"] == as_sent(file["path"]) == hashlib.sha256(PICTURES[name]).hexdigest()
    assert file["mediaType"] == f"image/{name.split()[-1]}"
    assert Path(file["path"]).suffix in {f".{name.split()[-1]}", ".jpg"}


@pytest.mark.parametrize(
    ("media_type", "path"), [("image/jxl", "fox.jxl"), ("application/octet-stream", "fox.bin"), ("", "fox.bin")]
)
def test_an_unknown_format_is_saved_with_a_warning(reve: Reve, media_type: str, path: str) -> None:
    body = b"\xff\x0a" + bytes(range(200))
    result = saved(reve, body, media_type, "download", JOB, "--out", "fox.{ext}", "--json")
    assert result.code == 0
    assert f"warning: {path} has a format that reve cannot check" in result.stderr
    (file,) = result.document["files"]
    assert file["mediaType"] == (media_type or "application/octet-stream")
    assert file["sha256"] == hashlib.sha256(body).hexdigest()
    assert Path(path).read_bytes() == body


def test_a_page_instead_of_an_image_is_not_saved(reve: Reve) -> None:
    result = saved(reve, b"<html>Sign in</html>", "text/html", "wait", JOB, "--out", "fox.png")
    assert (result.code, list(Path.cwd().iterdir())) == (75, [])
    assert "not a complete image" in result.stderr
