"""Saving: only whole images are saved, no other file is replaced, and an unusable folder loses no paid image."""

import io
import os
import shlex
import shutil
import stat
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.pictures.formats import image_format
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.support.terminal import eventually

Simulate = Callable[..., Sandbox]


def on_image_request(sandbox: Sandbox, action: Callable[[], object]) -> None:
    """Call `action` when the image is requested."""

    class Requests(list):  # type: ignore[type-arg]
        def append(self, request: object) -> None:
            if getattr(request, "side", "") == "cdn":
                action()
            super().append(request)

    sandbox.requests = Requests()


def test_an_image_gets_the_permissions_of_the_umask(reve: Reve, sandbox: Sandbox) -> None:
    before = os.umask(0o027)
    try:
        assert reve("generate", "fox", "--out", "fox.png").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("fox.png").stat().st_mode) == 0o640


def test_a_file_that_appears_during_the_run_is_not_replaced(reve: Reve, sandbox: Sandbox) -> None:
    on_image_request(sandbox, lambda: Path("fox.png").write_bytes(b"mine"))
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    assert result.code == 75
    document = result.document
    assert document["error"]["code"] == "saved_elsewhere"
    assert Path("fox.png").read_bytes() == b"mine"
    beside = Path(document["files"][0]["path"])
    assert beside.name == f"fox-{document['jobId']}.png"
    assert beside.read_bytes().startswith(b"\x89PNG")
    assert result.stderr.splitlines()[-1] == f"mv -i -- {beside} fox.png"


def test_force_replaces_the_file_that_was_there(reve: Reve, sandbox: Sandbox) -> None:
    Path("fox.png").write_bytes(b"old")
    assert reve("generate", "fox", "--out", "fox.png").code == 7
    assert not sandbox.jobs()
    assert reve("generate", "fox", "--out", "fox.png", "--force").code == 0
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")


def test_force_does_not_replace_a_file_that_changed_during_the_run(reve: Reve, sandbox: Sandbox) -> None:
    Path("fox.png").write_bytes(b"old")
    on_image_request(sandbox, lambda: Path("fox.png").write_bytes(b"newer, not ours"))
    assert reve("generate", "fox", "--out", "fox.png", "--force").code == 75
    assert Path("fox.png").read_bytes() == b"newer, not ours"


def test_if_the_folder_vanishes_the_image_goes_to_the_rescue_folder(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    Path("pics").mkdir()
    on_image_request(sandbox, lambda: shutil.rmtree("pics", ignore_errors=True))
    result = reve("generate", "fox", "--out", "pics/fox.png", "--json")
    assert result.code == 75
    rescued = Path(result.document["files"][0]["path"])
    assert rescued.read_bytes().startswith(b"\x89PNG")
    assert home in rescued.parents
    assert str(rescued) in result.stderr


def test_without_a_state_folder_the_image_goes_to_a_temporary_folder(
    reve: Reve, sandbox: Sandbox, tmp_path: Path
) -> None:
    Path("pics").mkdir()
    Path("state").write_text("a file where a folder is meant")
    on_image_request(sandbox, lambda: shutil.rmtree("pics", ignore_errors=True))
    env = {"REVE_STATE_DIR": "state"}
    result = reve("generate", "fox", "--out", "pics/fox.png", "--json", env=env)
    assert result.code == 75
    rescued = Path(result.document["files"][0]["path"])
    assert rescued.read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(rescued.parent)


def test_an_image_is_saved_on_a_file_system_without_hard_links(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert [path.name for path in Path.cwd().iterdir()] == ["fox.png"]


def test_several_images_of_a_job_are_all_saved(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:images/3"))
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    names = [file["path"] for file in result.document["files"]]
    assert names == ["fox.png", "fox-2.png", "fox-3.png"]
    assert len({Path(name).read_bytes() for name in names}) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "extension"), [("jpeg", "image/jpeg", "jpg"), ("webp", "image/webp", "webp")]
)
def test_without_an_extension_the_content_decides_the_format_of_an_image(
    reve: Reve, simulate: Simulate, fault: str, kind: str, extension: str
) -> None:
    simulate(faults=parse_faults(f"image:{fault}"))
    result = reve("generate", "fox", "--json")
    assert result.code == 0
    assert result.document["files"][0]["mediaType"] == kind
    assert result.document["files"][0]["path"].endswith(f".{extension}")


def test_the_document_has_size_and_hash(reve: Reve, sandbox: Sandbox) -> None:
    import hashlib

    file = reve("generate", "fox", "--out", "fox.png", "--json").document["files"][0]
    data = Path("fox.png").read_bytes()
    assert file["bytes"] == len(data)
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert file["mediaType"] == "image/png"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_is_written_in_place(reve: Reve, sandbox: Sandbox) -> None:
    os.mkfifo("pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_bytes()))
    reader.start()
    assert reve("generate", "fox", "--out", "pipe").code == 0
    reader.join()
    assert received[0].startswith(b"\x89PNG")
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="no /dev on Windows")
def test_an_image_can_be_written_to_dev_null(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    assert reve("generate", "fox", "--out", "/dev/null").code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert not list(home.rglob("*.png"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_device_keeps_the_image_and_names_the_command(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--out", "/dev/full", "--json")
    assert result.code == 75
    command = result.stderr.splitlines()[-1].split()
    assert command[0] == "cat"
    assert Path(command[2]).read_bytes().startswith(b"\x89PNG")


def test_standard_output_gets_the_bytes_and_the_spool_keeps_them_for_a_day(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--seed", "1", "--out", "-")
    assert result.code == 0
    assert result.stdout.startswith(b"\x89PNG")
    kept = Path(result.stderr.split("kept for 24 hours: ")[1].splitlines()[0])
    assert kept.read_bytes() == result.stdout
    os.utime(kept, (0, 0))
    assert reve("generate", "fox", "--out", "-").code == 0
    assert not kept.exists()


def test_a_refused_image_url_is_tried_again(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("image:403*2"))
    assert reve("generate", "fox", "--out", "fox.png").code == 0


def test_images_older_than_a_day_have_expired(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(25 * 3600)
    for command in (["download", job], ["wait", job, "--out", "fox.png"]):
        result = reve(*command, "--json")
        assert (result.code, result.document["error"]["code"]) == (7, "expired")
        assert result.document["expired"] is True


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IHDR1234" + b"\0\0\0\2IDATxx1234" + b"\0\0\0\0IEND1234"
JPEG = b"\xff\xd8\xff\xe0\0\x5c" + b"x" * 90 + b"\xff\xda\0\x04xx" + b"x\xff\0x" + b"\xff\xd9"
WEBP = b"RIFF\x0c\0\0\0WEBPVP8 data"
AVIF = b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\x0cmdatdata"
LARGE = b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\1mdat\0\0\0\0\0\0\0\x14data"


@pytest.mark.parametrize("whole", [PNG, JPEG, WEBP, AVIF, LARGE], ids=["png", "jpeg", "webp", "avif", "large box"])
def test_only_whole_images_are_images(whole: bytes) -> None:
    assert image_format(io.BytesIO(whole), len(whole)) is not None
    for size in range(len(whole)):
        assert image_format(io.BytesIO(whole[:size]), size) is None, size


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"GIF89a;", b"\0" * 64, b"RIFF\0\0\0\0WAVE", b"\0\0\0\2ftypavif\0\0\0\2"]
)
def test_other_data_is_not_an_image(data: bytes) -> None:
    assert image_format(io.BytesIO(data), len(data)) is None


def test_two_jobs_with_the_same_path_are_both_saved(reve: Reve, sandbox: Sandbox) -> None:
    jobs = reve("generate", "fox", "--count", "2", "--no-wait").out.split()
    result = reve("wait", *jobs, "--out", "{slug}.png", "--force", "--json")
    assert result.code == 0
    assert "belongs to another image" in result.stderr
    paths = {document["files"][0]["path"] for document in result.documents}
    assert len(paths) == 2
    assert {path.name for path in Path.cwd().iterdir()} == paths
    assert reve("wait", *jobs, "--out", "{date}.png").code == 2


def test_force_does_not_replace_a_second_image_that_appears_during_the_run(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:images/2"))
    Path("fox-2.png").write_bytes(b"old")
    os.utime("fox-2.png")
    assert reve("generate", "fox", "--out", "fox.png", "--force").code == 0
    assert Path("fox-2.png").read_bytes().startswith(b"\x89PNG")
    on_image_request(sandbox, lambda: Path("cat-2.png").write_bytes(b"somebody's"))
    assert reve("generate", "cat", "--out", "cat.png", "--force").code == 75
    assert Path("cat-2.png").read_bytes() == b"somebody's"


def test_the_finishing_command_does_not_replace_a_file_that_took_the_path(
    reve: Reve, simulate: Simulate, journal: bool
) -> None:
    sandbox = simulate(faults=parse_faults("outcome:images/2"))
    asked: list[int] = []

    def interfere() -> None:
        asked.append(1)
        if len(asked) == 1:
            Path("fox.png").write_bytes(b"somebody's")
        sandbox.faults = parse_faults("image:500") if 1 < len(asked) < 5 else []

    on_image_request(sandbox, interfere)
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    assert result.code == 75
    finished = reve(*shlex.split(result.document["error"]["hint"])[1:])
    assert finished.code == (75 if journal else 0)
    assert (
        finished.stderr.splitlines()[-1].startswith("mv -i -- ") == journal
    )  # the journal knows the path of the image
    assert Path("fox.png").read_bytes() == b"somebody's"
    assert len(list(Path.cwd().iterdir())) == 3


def test_an_old_job_with_a_new_url_is_saved(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:403*3"))
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(23.9 * 3600)

    def renew() -> None:
        sandbox.cdn_url = sandbox.cdn_url.replace("127.0.0.1", "localhost")

    on_image_request(sandbox, renew)
    assert reve("download", job, "--out", "fox.png").code == 0


def test_if_a_spooled_image_vanishes_the_exit_code_is_1(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    unlink, link = os.unlink, os.link

    def vanish(source: str, target: str) -> None:
        link(source, target)
        unlink(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", vanish)
        result = reve("generate", "fox", "--out", "-")
    assert result.code == 1
    assert result.stdout == b""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that outlive a rename")
def test_wait_removes_what_a_killed_wait_left_of_its_image_and_nothing_else(reve: Reve, sandbox: Sandbox) -> None:
    import fcntl

    job = reve("generate", "fox", "--no-wait").out.strip()
    dead = [f".reve-0-{job}-1.part", f".reve-1-{job}-1-record.part"]
    kept = [f".reve-2-{job}-2.part", f".reve-3-{job}-11.part", ".reve-4-1.part", f".reve-5-{job}-1.png"]
    in_use = f".reve-6-{job}-1.part"
    for name in (*dead, *kept, in_use):
        Path(name).write_bytes(b"a part")
    with open(in_use, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert reve("wait", job, "--out", "fox.png").code == 0
    assert {path.name for path in Path.cwd().iterdir()} == {*kept, in_use, "fox.png"}


@pytest.mark.parametrize("command", ["wait", "download"])
@pytest.mark.parametrize("metadata", ["embed", "sidecar"])
def test_an_image_that_a_killed_command_saved_is_not_in_the_way_of_the_next(
    reve: Reve, sandbox: Sandbox, command: str, metadata: str
) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(10)
    again = (command, job, "--out", "fox.png", "--metadata", metadata)
    assert reve(*again).code == 0
    shutil.rmtree(Path(reve.environ["HOME"], ".local"))  # the journal was not told
    before = {path: path.read_bytes() for path in Path.cwd().iterdir()}
    result = reve(*again)
    assert (result.code, result.out) == (0, "fox.png\n")
    assert {path: path.read_bytes() for path in Path.cwd().iterdir()} == before


def test_an_image_of_another_job_or_a_changed_one_is_in_the_way(reve: Reve, sandbox: Sandbox) -> None:
    jobs = reve("generate", "fox", "--no-wait", "--count", "2").out.split()
    reve.clock.advance(10)
    assert reve("wait", jobs[0], "--out", "fox.png").code == 0
    image = Path("fox.png").read_bytes()
    assert reve("wait", jobs[1], "--out", "fox.png").code == 7
    assert Path("fox.png").read_bytes() == image
    comment = b"tEXtComment\0mine"
    more = struct.pack(">I", len(comment) - 4) + comment + struct.pack(">I", zlib.crc32(comment))
    Path("fox.png").write_bytes(image[:-12] + more + image[-12:])
    result = reve("wait", jobs[0], "--out", "fox.png")
    assert (result.code, "fox.png exists" in result.stderr) == (7, True)
    assert [path.name for path in Path.cwd().iterdir()] == ["fox.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that outlive a rename")
def test_another_wait_removes_the_temporary_file_of_the_first_only_after_its_end(
    reve: Reve, simulate: Simulate
) -> None:
    simulate(job_seconds=0, faults=parse_faults("image:drip*1"))
    job = reve("generate", "fox", "--no-wait").out.strip()
    first = subprocess.Popen(reve.command("wait", job, "--out", "fox.png"), env=reve.environ)
    eventually(lambda: list(Path.cwd().glob(".reve-*.part")), "a temporary file")
    assert reve("wait", job, "--out", "again.png").code == 0
    assert list(Path.cwd().glob(".reve-*.part"))
    first.kill()
    first.wait()
    assert reve("wait", job, "--out", "fox.png").code == 0
    assert {path.name for path in Path.cwd().iterdir()} == {"fox.png", "again.png"}
