"""A folder that is full or cannot be written: nothing more is paid for, no image is lost, one command finishes.

The folders are real file systems of a few KiB, where they can be mounted.
"""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Result, Reve
from tests.support.crash import on_request
from tests.support.mounts import mounted, quota, small

Simulate = Callable[..., Sandbox]
Grow = Callable[[], None]
AT_ONCE = 16
"""The most requests that are on their way at once."""


class Pics(NamedTuple):
    """A folder for about ten images, what makes it large, and the error when it is full."""

    folder: Path
    grow: Grow
    error: str


@pytest.fixture
def pics(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pics]:
    """As the parameter says: a small file system, or a folder with a quota."""
    folder = Path("pics")
    if getattr(request, "param", "small") == "quota":
        with quota(folder, tmp_path / "image", 256) as grow:
            yield Pics(folder, grow, "Disk quota exceeded")
        return
    folder.mkdir()
    with small(folder, 160) as grow:
        yield Pics(folder, grow, "No space left on device")


@pytest.fixture
def rescue(home: Path) -> Path:
    return home / ".local/state/reve/rescue"


def submitted(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def submitted_after(sandbox: Sandbox, images: int) -> int:
    """The number of jobs submitted after so many images were asked for: the next one found no room."""
    asked = [place for place, request in enumerate(sandbox.requests) if request.side == "cdn"]
    return sum(request.method == "POST" for request in sandbox.requests[asked[images] :])


def images(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def commands(result: Result) -> list[str]:
    """The commands that the last lines of standard error offer."""
    return [line for line in result.stderr.splitlines() if line.startswith(("reve ", "mv ", "mkdir "))]


def kinds(*cases: tuple[str, str]) -> pytest.MarkDecorator:
    """Parameters: the kind of the folder, and how the images are finished."""
    return pytest.mark.parametrize(("pics", "how"), cases, indirect=["pics"])


@kinds(("small", "again"), ("small", "resume"), ("quota", "resume"))
def test_a_full_folder_stops_a_batch(reve: Reve, simulate: Simulate, pics: Pics, rescue: Path, how: str) -> None:
    folder, grow, error = pics
    sandbox = simulate(job_seconds=1.0)
    Path("p.txt").write_text("".join(f"fox {number}\n" for number in range(200)))
    first = reve("batch", "p.txt", "--out", "pics")
    assert first.code == 75
    charged, placed = len(sandbox.jobs()), len(images(folder))
    assert 5 <= placed < charged < 200
    assert submitted_after(sandbox, placed) <= AT_ONCE
    assert len(images(rescue)) == charged - placed
    assert len(re.findall(error, first.stderr)) == 1
    assert (
        f"{placed} of 200 saved; {charged - placed} in the rescue folder; {200 - charged} not submitted" in first.stderr
    )
    assert len(commands(first)) == 1
    second = reve("batch", "p.txt", "--out", "pics")
    refused = f"error: cannot write pics/.manifest.jsonl.lock: {error}; nothing was submitted\n"
    assert second.code == 75 or (second.code, second.stderr) == (7, refused)
    assert len(sandbox.jobs()) == charged  # rescued images go first: they tell that there is still no room
    grow()
    if how == "resume":
        finished = reve(*shlex.split(commands(first)[0])[1:])
        assert finished.code == 0, finished.stderr
        assert f"moved {charged - placed} images out of the rescue folder" in finished.stderr
        assert len(images(folder)) == charged
    last = reve("batch", "p.txt", "--out", "pics")
    assert last.code == 0, last.stderr
    assert len(images(folder)) == len(sandbox.jobs()) == 200
    assert images(rescue) == []
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert len({line["item"] for line in lines if line["item"]}) == 200


@kinds(("small", "again"), ("small", "resume"), ("quota", "again"))
def test_a_full_folder_stops_a_generate_of_many(
    reve: Reve, simulate: Simulate, pics: Pics, rescue: Path, how: str
) -> None:
    folder, grow, error = pics
    reve.limits = replace(reve.limits, tries=100)
    sandbox = simulate(job_seconds=0.1, requests_per_minute=30)  # images arrive while others are submitted
    command = ("generate", "a fox", "--seed", "1", "--count", "60", "--out", "pics/f.png")
    first = reve(*command)
    assert first.code == 75
    charged, placed = len(sandbox.jobs()), len(images(folder))
    assert 5 <= placed < charged < 60
    assert len(images(rescue)) == charged - placed
    assert len(re.findall(error, first.stderr)) == 1
    assert f"the images of {charged - placed} are in the rescue folder; {60 - charged} not submitted" in first.stderr
    assert len(commands(first)) == 1
    grow()
    if how == "resume":
        finished = reve(*shlex.split(commands(first)[0])[1:])
        assert finished.code == 0, finished.stderr
        assert f"moved {charged - placed} images out of the rescue folder" in finished.stderr
        assert (len(images(folder)), len(sandbox.jobs())) == (charged, charged)
        assert images(rescue) == []
        return
    last = reve(*command)
    assert last.code == 0, last.stderr
    assert {path.name for path in images(folder)} == {f"f-{number}.png" for number in range(1, 61)}
    assert len(sandbox.jobs()) == 60
    assert images(rescue) == []


@pytest.mark.parametrize("pics", ["small", "quota"], indirect=True)
def test_resume_rescues_what_finds_no_room_and_moves_it_later(
    reve: Reve, simulate: Simulate, pics: Pics, rescue: Path
) -> None:
    from reve_cli.sandbox import parse_faults

    folder, grow, _ = pics
    sandbox = simulate(faults=parse_faults("image:cut"))
    assert reve("generate", "a fox", "--seed", "1", "--count", "30", "--out", "pics/f.png").code == 75
    sandbox.faults.clear()
    first = reve("resume")
    assert first.code == 75
    placed = len(images(folder))
    assert len(images(rescue)) == 30 - placed > 0
    assert len(commands(first)) == 1
    fetched = len(sandbox.requests)
    grow()
    second = reve(*shlex.split(commands(first)[0])[1:])
    assert second.code == 0, second.stderr
    assert (len(images(folder)), images(rescue)) == (30, [])
    assert len(sandbox.requests) == fetched  # moved, not fetched again
    assert submitted(sandbox) == 30


@kinds(("small", "again"), ("small", "command"), ("quota", "again"))
def test_jobs_download_rescues_what_finds_no_room_and_moves_it_later(
    reve: Reve, simulate: Simulate, pics: Pics, rescue: Path, how: str
) -> None:
    folder, grow, _ = pics
    sandbox = simulate()
    assert reve("generate", "a fox", "--seed", "1", "--count", "30", "--no-wait").code == 0
    reve.clock.advance(60)
    command = ("jobs", "--download", "--out", "pics/")
    first = reve(*command)
    assert first.code == 75
    assert len(images(rescue)) == 30 - len(images(folder)) > 0
    assert len(commands(first)) == 1
    fetched = sum(request.side == "cdn" for request in sandbox.requests)
    grow()
    second = reve(*command) if how == "again" else reve(*shlex.split(commands(first)[0])[1:])
    assert second.code == 0, second.stderr
    assert (len(images(folder)), images(rescue)) == (30, [])
    assert sum(request.side == "cdn" for request in sandbox.requests) == fetched


def test_without_a_journal_the_command_moves_the_rescued_image(
    reve: Reve, simulate: Simulate, pics: Pics, rescue: Path
) -> None:
    folder, grow, _ = pics
    (folder / "ballast").write_bytes(bytes(155 << 10))
    reve.environ["REVE_JOURNAL"] = "off"
    sandbox = simulate()
    first = reve("generate", "a fox", "--out", "pics/f.png")
    assert first.code == 75
    assert len(images(rescue)) == 1
    grow()
    second = reve(*shlex.split(commands(first)[0])[1:])
    assert second.code == 0, second.stderr
    assert images(folder) == [folder / "f.png"]
    assert submitted(sandbox) == 1
    assert sum(request.side == "cdn" for request in sandbox.requests) == 2  # into the full folder, and to be rescued


@pytest.mark.parametrize("command", ["generate", "batch"])
def test_a_folder_that_becomes_read_only_stops_it(reve: Reve, simulate: Simulate, rescue: Path, command: str) -> None:
    Path("pics/sub").mkdir(parents=True)
    lines = [json.dumps({"prompt": f"fox {number}", "out": f"sub/{number}.png"}) for number in range(100)]
    Path("p.jsonl").write_text("\n".join(lines))
    with mounted(Path("pics/sub")) as freeze:
        reve.limits = replace(reve.limits, tries=100)
        sandbox = simulate(job_seconds=0.1, requests_per_minute=30)
        on_request(sandbox, 1, freeze)
        many = ("generate", "fox", "--seed", "1", "--count", "100", "--out", "pics/sub/f.png")
        result = reve(*(("batch", "p.jsonl", "--out", "pics") if command == "batch" else many))
        assert result.code == 75
        assert images(Path("pics")) == []
        assert len(sandbox.jobs()) == len(images(rescue)) < 60
        assert len(re.findall("Read-only file system", result.stderr)) == 1
        assert len(commands(result)) == 1


@pytest.mark.parametrize("command", ["generate", "batch"])
def test_a_full_state_folder_stops_before_an_image_that_could_not_be_rescued(
    reve: Reve, simulate: Simulate, tmp_path: Path, command: str
) -> None:
    state = tmp_path / "state"
    begun: list[None] = []
    state.mkdir()
    Path("p.txt").write_text("".join(f"fox {number}\n" for number in range(40)))
    reve.limits = replace(reve.limits, image_bytes=256 << 10)
    reve.environ["REVE_STATE_DIR"] = str(state)

    def seconds() -> float:
        begun.append(None)
        if len(begun) == 10:
            # Less room than an image may need, even when the journal's own temporary files are gone.
            (state / "ballast").write_bytes(bytes(shutil.disk_usage(state).free - (160 << 10)))
        return 1.0

    with small(state, 8192):
        sandbox = simulate(job_seconds=seconds)
        many = ("generate", "fox", "--seed", "1", "--count", "40", "--out", "f.png")
        line = many if command == "generate" else ("batch", "p.txt", "--out", ".")
        result = reve(*line)
        assert result.code == 7
        charged = len(sandbox.jobs())
        assert charged < 40
        assert len(images(Path.cwd())) == charged  # none had to be rescued, and all could have been
        assert len(re.findall(f"no room in {state}, where images go that cannot be saved", result.stderr)) == 1
        (state / "ballast").unlink()
        again = reve(*line)
        assert again.code == 0, again.stderr
        assert len(images(Path.cwd())) == len(sandbox.jobs()) == 40
