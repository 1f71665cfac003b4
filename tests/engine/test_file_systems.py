"""Folders shared with other users, and file systems without locks or without fsync."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reve_cli.core.filesystem import FileLock, SameNames
from reve_cli.sandbox import Sandbox
from tests.conftest import Result, Reve
from tests.support.crash import on_request
from tests.support.mounts import picky
from tests.support.namespaces import require_root
from tests.support.preload import lacking

NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


@pytest.fixture
def prompts() -> Path:
    path = Path("p.txt")
    path.write_text("a fox\nan owl\n")
    return path


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach: pytest's are below a folder of root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("error", NO_FSYNC)
@pytest.mark.parametrize("command", ["generate", "batch"])
def test_without_fsync_images_are_saved_and_it_is_said_once(
    reve: Reve, live: Sandbox, prompts: Path, tmp_path: Path, command: str, error: int
) -> None:
    Path("pics").mkdir()
    env = lacking(Path("pics"), tmp_path, fsync=error)
    many = ("generate", "fox", "--count", "2", "--out", "pics/")
    result = reve.child(*(many if command == "generate" else ("batch", "p.txt", "--out", "pics")), env=env)
    assert result.code == 0, result.stderr
    assert result.stderr.count("pics is on a file system without fsync") == 1
    assert len(list(Path("pics").glob("*.png"))) == 2


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_a_batch_says_what_is_lost(
    reve: Reve, live: Sandbox, prompts: Path, tmp_path: Path, error: int
) -> None:
    Path("pics").mkdir()
    result = reve.child("batch", "p.txt", "--out", "pics", env=lacking(Path("pics"), tmp_path, flock=error))
    assert result.code == 0, result.stderr
    assert "pics is on a file system without locks: run no second batch there meanwhile" in result.stderr
    assert len(list(Path("pics").glob("*.png"))) == 2


@pytest.mark.parametrize("command", ["generate", "batch"])
def test_default_names_are_as_long_as_the_folder_allows(
    reve: Reve, live: Sandbox, tmp_path: Path, command: str
) -> None:
    """As eCryptfs, whose names have at most 143 bytes."""
    Path("pics").mkdir()
    prompt = "\u4e00" * 36
    Path("p.txt").write_text(prompt)
    words = (prompt,) if command == "generate" else ("p.txt",)
    env = lacking(Path("pics"), tmp_path, longest_name=143)
    result = reve.child(command, *words, "--out", "pics/", env=env)
    assert result.code == 0, result.stderr
    (name,) = (path.name for path in Path("pics").glob("*.png"))
    assert 134 < len(os.fsencode(name)) <= 143
    refused = reve.child(command, *words, "--out", f"pics/{'x' * 140}{{index}}.png", env=env)
    assert refused.code in (2, 7)
    assert sum(request.method == "POST" for request in live.requests) == 1


def test_without_locks_for_the_journal_its_path_is_named(
    reve: Reve, live: Sandbox, prompts: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    env = {"REVE_STATE_DIR": str(state), **lacking(state, tmp_path, flock=errno.ENOLCK)}
    batch = reve.child("batch", "p.txt", "--out", "pics", env=env)
    assert batch.code == 7
    assert f"a batch needs the journal: {state}/" in batch.stderr
    assert "No locks available" in batch.stderr
    assert "None" not in batch.stderr
    assert not any(request.method == "POST" for request in live.requests)
    single = reve.child("generate", "fox", "--out", "f.png", env=env)
    assert single.code == 0
    assert f"crash safety is off: {state}/" in single.stderr


def test_the_lock_of_a_shared_folder_is_for_everybody_whom_the_umask_allows(
    reve: Reve, sandbox: Sandbox, prompts: Path
) -> None:
    seen: list[int] = []

    class Requests(list):  # type: ignore[type-arg]
        def append(self, request: object) -> None:
            seen.append(stat.S_IMODE(Path("pics/.manifest.jsonl.lock").stat().st_mode))
            super().append(request)

    sandbox.requests = Requests()
    before = os.umask(0o002)
    try:
        assert reve("batch", "p.txt", "--out", "pics").code == 0
    finally:
        os.umask(before)
    assert set(seen) == {0o664}


def test_a_second_user_continues_a_batch_that_was_killed_and_waits_for_one_at_work(
    reve: Reve, live: Sandbox, prompts: Path, shared: Path
) -> None:
    require_root()
    pics, state = shared / "pics", shared / "state"
    second = {"REVE_STATE_DIR": str(state)}
    pics.mkdir()
    state.mkdir()
    os.chown(state, 1234, 4321)
    os.chown(pics, 0, 4321)
    pics.chmod(0o2775)
    before = os.umask(0o002)
    lock = FileLock(pics / ".manifest.jsonl.lock", 0o666)
    os.umask(before)
    # The user may read this Python wherever it lies, and write only what its group may.
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    user = ["setpriv", "--reuid=1234", "--regid=4321", "--clear-groups", *rights]

    def batch() -> Result:
        command = [*user, *reve.command("batch", str(prompts.absolute()), "--out", str(pics))]
        done = subprocess.run(command, env=reve.environ | second, capture_output=True, check=False)
        return Result(done.returncode, done.stdout, done.stderr.decode())

    if not shutil.which("setpriv") or subprocess.run([*user, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("no other user can run this Python")
    assert lock.take()
    refused = batch()
    assert refused.code == 7
    assert f"another batch is at work in {pics}" in refused.stderr
    lock.close()  # as if its process was killed: the file stays
    assert (pics / ".manifest.jsonl.lock").exists()
    done = batch()
    assert done.code == 0, done.stderr
    (pics / ".manifest.jsonl.lock").touch(mode=0o600)
    theirs = batch()
    assert theirs.code == 7
    assert f"another user's batch is at work in {pics}, or ended without removing {pics}/.manifest" in theirs.stderr


@pytest.fixture
def fat(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """The file system of the folder `pics` takes no `?` in names. What is yielded mounts it again."""
    Path("pics").mkdir()
    with picky(Path("pics"), tmp_path / "image") as mount:
        yield mount


def submitted(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def test_a_name_that_the_file_system_does_not_take_is_refused_before_a_request(
    reve: Reve, sandbox: Sandbox, fat: Callable[[], None]
) -> None:
    single = reve("generate", "fox", "--out", "pics/what?.png")
    assert single.code == 7
    assert "pics/what?.png: the file system does not take '?' in a name" in single.stderr
    assert single.stderr.splitlines()[-1] == "hint: a name that works: what_.png"
    lines = [{"prompt": f"fox {number}", "out": f"what?{number}.png"} for number in range(20)]
    Path("p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    many = reve("batch", "p.jsonl", "--out", "pics")
    assert many.code == 2
    assert "line 1: out: pics/what?0.png: the file system does not take '?' in a name" in many.stderr
    assert submitted(sandbox) == 0
    assert [path.name for path in Path("pics").iterdir() if path.name.startswith(".reve")] == []
    assert reve("generate", "fox", "--out", "pics/what.png").code == 0


def test_names_that_are_one_file_there_are_refused_whatever_the_operating_system(
    reve: Reve, sandbox: Sandbox, fat: Callable[[], None]
) -> None:
    lines = [{"prompt": "fox", "out": "Fox.png"}, {"prompt": "owl", "out": "fox.png"}]
    Path("p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused = reve("batch", "p.jsonl", "--out", "pics/new")
    assert refused.code == 2
    assert "line 2: pics/new/fox.png is already the path of line 1" in refused.stderr
    assert submitted(sandbox) == 0
    assert os.listdir("pics") == []
    if not SameNames.of(".").case:
        assert reve("batch", "p.jsonl", "--out", "two").code == 0
        assert sorted(os.listdir("two")) == ["Fox.png", "fox.png", "manifest.jsonl"]


def test_where_it_is_found_too_late_the_image_is_saved_under_another_name_and_nothing_more_is_sent(
    reve: Reve, simulate: Callable[..., Sandbox], fat: Callable[[], None]
) -> None:
    """The folder was on another file system when it was checked."""
    sandbox = simulate(job_seconds=1.0)
    subprocess.run(["umount", "-l", "pics"], check=True)

    on_request(sandbox, 1, fat)
    first = reve("generate", "fox", "--out", "pics/what?.png")
    (job,) = sandbox.jobs()
    assert first.code == 75
    assert f"the image is saved as pics/{job.id}.png, not pics/what?.png" in first.stderr
    assert first.stderr.splitlines()[-1] == f"mv -i -- pics/{job.id}.png pics/what_.png"
    subprocess.run(["bash", "-c", first.stderr.splitlines()[-1]], check=True)
    assert Path("pics/what_.png").is_file()
    assert reve("resume").code == 0
