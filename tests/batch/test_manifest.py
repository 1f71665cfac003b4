"""The manifest of a batch: the lines that `resume` adds, and manifests that are damaged, incomplete or removed."""

import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.batch.manifest import Manifest, Past, past
from reve_cli.core.errors import ReveError
from reve_cli.core.filesystem import FileLock
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve, an_hour_passes
from tests.support.terminal import PATIENCE, eventually, running

Simulate = Callable[..., Sandbox]

ALIKE = "a fox\na fox\na wolf\na fox\n"
LINES = "".join(json.dumps({"prompt": f"fox {n}", "out": f"{n % 2}/{{{{{{slug}}-{n}.{{ext}}"}) + "\n" for n in range(4))


def lines(name: str = "pics/manifest.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def made(name: str = "pics/manifest.jsonl") -> list[dict[str, Any]]:
    return [line for line in lines(name) if line["item"]]


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def cut_short(reve: Reve, sandbox: Sandbox, *arguments: str) -> None:
    """Run a batch that pays for its images and saves none."""
    sandbox.faults.extend(parse_faults("image:cut"))
    assert reve("batch", *arguments).code == 75
    sandbox.faults.clear()


def lose_journal(home: Path) -> None:
    shutil.rmtree(home / ".local")


# After resume


@pytest.mark.parametrize(
    ("name", "text", "template"),
    [
        ("p.txt", ALIKE, "pics"),
        ("p.txt", ALIKE, "pics/{slug}/{seed}/{job}.{ext}"),
        ("p.jsonl", LINES, "pics/"),
    ],
    ids=["alike", "subfolders", "own names"],
)
def test_a_batch_counts_what_resume_finished_even_without_the_journal(
    reve: Reve, sandbox: Sandbox, home: Path, name: str, text: str, template: str
) -> None:
    Path(name).write_text(text)
    Path("pics").mkdir()
    cut_short(reve, sandbox, name, "--out", template)
    assert not made()
    resumed = reve("resume")
    assert (resumed.code, resumed.out.count("\n")) == (0, 4), resumed.stderr
    noted = made()
    assert len({line["item"] for line in noted}) == 4
    assert all(Path("pics", file["path"]).is_file() for line in noted for file in line["files"])
    for then in ("at once", "without the journal", "days later"):
        if then == "without the journal":
            lose_journal(home)
        elif then == "days later":
            reve.clock.advance(2 * 86400)
        again = reve("batch", name, "--out", template)
        assert "4 of 4 saved (4 before); charged: 0 credits" in again.stderr
        assert (posts(sandbox), made()) == (4, noted)


def test_resume_writes_the_same_lines_as_a_batch(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text(ALIKE)
    cut_short(reve, sandbox, "p.txt", "--out", "pics")
    assert reve("resume").code == 0
    assert reve("batch", "p.txt", "--out", "other").code == 0
    told = ("item", "ordinal", "attempt", "request", "out", "status", "creditCost")

    def facts(name: str) -> list[str]:
        return sorted(json.dumps([line[key] for key in told]) for line in made(name))

    assert facts("pics/manifest.jsonl") == facts("other/manifest.jsonl")
    assert list(made()[0]) == list(made("other/manifest.jsonl")[0])
    assert {line["line"] for line in made()} == {None}


def test_shards_count_what_resume_finished(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    Path("p.txt").write_text("".join(f"fox {number}\n" for number in range(8)))
    command = ("p.txt", "--out", "pics", "--run", "foxes")
    for index in "12":
        cut_short(reve, sandbox, *command, "--shard", f"{index}/2")
    assert reve("resume").code == 0
    assert sum(len(made(str(path))) for path in Path("pics").glob("manifest-*.jsonl")) == 8
    assert not Path("pics/manifest.jsonl").exists()
    lose_journal(home)
    reve.clock.advance(2 * 86400)
    for more in ((), ("--shard", "1/2"), ("--shard", "2/2")):
        assert reve("batch", *command, *more).code == 0
    assert posts(sandbox) == 8


def test_a_job_that_resume_found_expired_is_not_bought_again(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    Path("p.txt").write_text("a fox\n")
    cut_short(reve, sandbox, "p.txt", "--out", "pics")
    reve.clock.advance(2 * 86400)
    assert reve("resume").code == 7
    (line,) = made()
    assert line["expired"]
    lose_journal(home)
    assert reve("batch", "p.txt", "--out", "pics").code == 7
    assert posts(sandbox) == 1


def test_resume_leaves_a_manifest_that_another_process_has_locked(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text(ALIKE)
    cut_short(reve, sandbox, "p.txt", "--out", "pics")
    lock = FileLock(Path("pics/.manifest.jsonl.lock"))
    assert lock.take()
    resumed = reve("resume")
    assert (resumed.code, resumed.out.count("\n"), "at work in" in resumed.stderr) == (0, 4, False)
    lock.close(remove=True)
    assert not made()
    assert "4 of 4 saved (4 before)" in reve("batch", "p.txt", "--out", "pics").stderr
    assert (len(made()), posts(sandbox)) == (4, 4)


def test_resume_creates_no_manifest(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text(ALIKE)
    cut_short(reve, sandbox, "p.txt", "--out", "pics")
    Path("pics/manifest.jsonl").unlink()
    assert reve("resume").code == 0
    assert {path.suffix for path in Path("pics").iterdir()} == {".png"}


def test_resume_does_not_write_to_the_manifest_of_another_run_in_a_parent_folder(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text("a fox\n")
    assert reve("batch", "p.txt", "--out", "pics").code == 0
    cut_short(reve, sandbox, "p.txt", "--out", "pics/more")
    assert reve("resume").code == 0
    assert (len(made()), len(made("pics/more/manifest.jsonl"))) == (1, 1)


# Damage


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["batch", "--dry-run"])
def test_damaged_lines_are_reported_once_per_file(reve: Reve, sandbox: Sandbox, more: list[str]) -> None:
    Path("p.txt").write_text(ALIKE)
    assert reve("batch", "p.txt", "--out", "pics").code == 0
    first, *rest = Path("pics/manifest.jsonl").read_bytes().splitlines()
    Path("pics/manifest.jsonl").write_bytes(b"\n".join([first, b"", rest[0][:99], b"[]", *rest[2:], b"  ", b'{"ru']))
    Path("pics/manifest-1-of-2.jsonl").write_text('{"item": "x"}\n')
    told = reve("batch", "p.txt", "--out", "pics", *more).stderr
    assert [line for line in told.splitlines() if line.startswith("warning")] == [
        "warning: pics/manifest.jsonl: 2 damaged lines ignored",
        "warning: pics/manifest-1-of-2.jsonl: 1 damaged line ignored",
    ]


def test_an_incomplete_line_after_a_crash_is_removed_without_a_warning(reve: Reve, sandbox: Sandbox) -> None:
    Path("p.txt").write_text(ALIKE)
    assert reve("batch", "p.txt", "--out", "pics").code == 0
    path = Path("pics/manifest.jsonl")
    path.write_bytes(path.read_bytes()[:-40])
    for _ in range(2):
        result = reve("batch", "p.txt", "--out", "pics")
        assert (result.code, "warning" in result.stderr) == (0, False)
    assert (len(made()), posts(sandbox)) == (4, 4)


@pytest.mark.parametrize("last", [b'{"run":"x","item":null}', b"notes of mine", b'{"run":5}'])
def test_a_complete_last_line_without_a_newline_stays(tmp_path: Path, last: bytes) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"run":"x","item":null}\n' + last)
    book = Manifest(tmp_path, None)
    book.append({"run": "x", "item": "y"})
    book.close()
    assert path.read_bytes().splitlines()[1:] == [last, b'{"run":"x","item":"y"}']


def test_a_full_disk_leaves_no_incomplete_line(tmp_path: Path) -> None:
    book = Manifest(tmp_path, None)
    book.append({"run": "x", "item": "1"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (book.path.stat().st_size + 9, limits[1]))
    try:
        with pytest.raises(ReveError, match="cannot write"):
            book.append({"run": "x", "item": "2"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    book.append({"run": "x", "item": "3"})
    book.close()
    assert [line["item"] for line in lines(str(book.path))] == ["1", "3"]


def test_the_items_alone_identify_the_run(reve: Reve, simulate: Simulate, home: Path) -> None:
    sandbox = simulate(faults=parse_faults("submit:400*1"))
    Path("p.txt").write_text(ALIKE)
    assert reve("batch", "p.txt", "--out", "pics").code == 2
    cut_short(reve, sandbox, "p.txt", "--out", "pics")
    run = lines()[0]["run"]
    Path("pics/manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in made()))
    lose_journal(home)
    assert reve("batch", "p.txt", "--out", "pics").code == 0
    assert (len(sandbox.jobs()), {line["run"] for line in lines()}) == (4, {run})


def test_later_items_of_a_replaced_run_do_not_make_it_current(tmp_path: Path) -> None:
    found = [
        {"run": "old", "item": "1"},
        {"run": "new", "item": "1"},
        {"run": "newest", "item": None, "instead": ["new", "newest"]},
        {"run": "new", "item": "2"},
    ]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in found))
    told = past(tmp_path)
    assert told == Past("old", frozenset({"old", "new", "newest"}), frozenset({"new", "newest"}))


# Removal


@pytest.mark.parametrize("becomes", ["nothing", "folder", "file"])
def test_a_manifest_that_is_removed_during_the_run_is_reported(reve: Reve, live: Sandbox, becomes: str) -> None:
    live._job_seconds = 3600
    Path("p.txt").write_text(ALIKE)
    path = Path("pics/manifest.jsonl")
    command = reve.command("batch", "p.txt", "--out", "pics")
    with running(command, env=reve.environ, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: len(live.jobs()) == 4, "jobs")
        path.unlink()
        if becomes == "folder":
            path.mkdir()
        elif becomes == "file":
            path.touch()
        an_hour_passes(live)
        stderr = process.communicate(timeout=PATIENCE)[1]
    told = "warning: pics/manifest.jsonl was moved, replaced or removed during the run; the journal has all results\n"
    assert (process.returncode, stderr.count("warning"), told in stderr) == (0, 1, True)
    if becomes != "folder":
        assert "4 of 4 saved (4 before)" in reve.child("batch", "p.txt", "--out", "pics").stderr
    assert len(live.jobs()) == 4
