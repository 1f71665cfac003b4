"""Whatever goes wrong and however a run is finished: every image is charged once, and every charged image is saved."""

import contextlib
import os
import random
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from reve_cli.core.clock import Limits
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.sandbox.api import USER
from tests.conftest import KEY, Result, Reve
from tests.support.crash import LATER, Point, Scene, kill, length, on_request, port_of, problems
from tests.support.terminal import PATIENCE, eventually

Simulate = Callable[..., Sandbox]

GENERATE = ("generate", "a red fox", "--seed", "1", "--out", "f.png", "--timeout", "60")


@pytest.fixture(params=["resume", "the same again"])
def series(request: pytest.FixtureRequest) -> str:
    """The two ways to finish an interrupted command."""
    return str(request.param)


@pytest.fixture
def finish(series: str, reve: Reve, state: Path) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        reve.clock.advance(11)  # a request is not sent again sooner
        reve.limits = Limits(
            image_bytes=1 << 14
        )  # the short time-outs were for hung connections; now only this machine is slow
        return reve("resume") if series == "resume" else reve(*(arguments or GENERATE))

    return run


@pytest.fixture
def state(reve: Reve, tmp_path: Path) -> Path:
    reve.environ["REVE_STATE_DIR"] = str(tmp_path / "state")
    return tmp_path / "state"


def all_is_well(sandbox: Sandbox, state: Path, meant: int | None = 1, elsewhere: dict[int, Path] | None = None) -> None:
    assert list(problems(sandbox, Path.cwd(), state, meant, elsewhere)) == []


# The network


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "faults",
    [
        "submit:drop-before",
        "submit:drop-after",
        "submit:hang-before",
        "submit:hang-after",
        "submit:cut",
        "submit:502",
        "submit:html-200",
        "submit:no-id",
        "submit:drop-after*1,submit:429",
        "submit:drop-after*1,submit:401",
        "job:drop-before,jobs:drop-before",
        "job:hang-after*9,job:502,jobs:502",
        "job:502,jobs:502",
        "image:drop-before",
        "image:hang-before",
        "image:cut",
        "image:cut-silent",
        "image:503",
        "me:drop-before,image:cut",
    ],
)
def test_a_temporary_network_failure_charges_once(
    reve: Reve, simulate: Simulate, state: Path, series: str, finish: Callable[..., Result], faults: str, count: int
) -> None:
    sandbox = simulate(faults=parse_faults(faults))
    command = (*GENERATE, "--count", str(count))
    assert reve(*command).code == 75
    sandbox.faults.clear()
    result = finish(*command)
    assert result.code == 0, result.stderr
    all_is_well(sandbox, state, count if series == "the same again" else None)  # resume does not send refused requests


def until_its_limit(scene: Scene, stop: Callable[[], object]) -> "subprocess.CompletedProcess[str]":
    """Run the command. Its time limit passes some time after `stop`, which waits for a request and stops the server."""
    leap = scene.folder / "leap"
    with scene.start([*scene.generate, "--timeout", "30m"], "--leap", str(leap)) as process:
        stop()
        time.sleep(1)  # for some requests to a server that is gone; nothing depends on how many
        leap.touch()
        _, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, stderr=err)


@pytest.mark.parametrize("number", [1, 2, 3, 4], ids=["submission", "second", "third", "fourth"])
@pytest.mark.parametrize("series", ["resume", "the same again"])
def test_a_server_that_restarts_during_a_request_charges_once(tmp_path: Path, number: int, series: str) -> None:
    scene = Scene(tmp_path / "scene", 2)
    scene.sandbox.start()
    stopping = threading.Thread(target=scene.sandbox.stop)
    on_request(scene.sandbox, number, stopping.start)

    def stop() -> None:
        eventually(lambda: stopping.ident, "the request")
        stopping.join()

    cut_short = until_its_limit(scene, stop)
    assert cut_short.returncode in (6, 75), cut_short.stderr
    environ = scene.environ
    with scene.server(port=port_of(scene.sandbox), key=scene.sandbox.key) as anew:
        scene.sandbox = anew
        command = ["resume"] if series == "resume" and cut_short.returncode == 75 else scene.generate
        done = scene.run(command, "--later", LATER, **environ)
        assert done.returncode == 0, done.stderr
        assert scene.problems(exactly=command == scene.generate) == []


def test_a_lost_answer_followed_by_refused_connections_exits_75(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", 1)
    scene.sandbox.faults[:] = parse_faults("submit:hang-after")
    scene.sandbox.start()

    def stop() -> None:
        eventually(scene.sandbox.jobs, "the job")
        scene.sandbox.stop()

    cut_short = until_its_limit(scene, stop)
    assert cut_short.returncode == 75, cut_short.stderr
    assert cut_short.stderr.splitlines()[-1].startswith("reve resume ")
    with scene.server(port=port_of(scene.sandbox), key=scene.sandbox.key) as anew:
        scene.sandbox = anew
        assert scene.run(["resume"], "--later", LATER).returncode == 0
        assert scene.problems(exactly=True) == []


# Signals


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("signum", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("series", ["resume", "the same again"])
def test_a_signal_at_any_moment_loses_nothing(tmp_path: Path, signum: str, series: str, full: bool) -> None:
    steps, _ = length(2)
    chosen = random.Random(signum + series).sample(range(1, steps), 4)  # noqa: S311 (a choice, not a secret)
    for number in chosen if full else chosen[:2]:
        scene = Scene(tmp_path / str(number), 2)
        with scene.sandbox:
            scene.run(scene.generate, "--step", str(number), "--signal", signum)
            done = scene.run(["resume"] if series == "resume" else scene.generate, "--later", LATER)
            assert done.returncode in ((0,) if series == "resume" else (0, 7)), (number, done.stderr)
            assert scene.problems(exactly=series != "resume") == [], number


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", range(1, 7))
def test_a_second_ctrl_c_during_the_wind_down_loses_nothing(tmp_path: Path, number: int) -> None:
    scene = Scene(tmp_path / "scene", 3)
    scene.sandbox.faults[:] = parse_faults("image:drip")
    with scene.sandbox:
        running: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()

        def interrupt_twice() -> None:
            process = running.get()
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(0.05 * number)

        on_request(scene.sandbox, number, lambda: threading.Thread(target=interrupt_twice).start())
        process = scene.start(scene.generate)
        running.put(process)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGINT
        scene.sandbox.faults.clear()
        done = scene.run(scene.generate, "--later", LATER)
        assert done.returncode == 0, done.stderr
        assert scene.problems(exactly=True) == []


# Several at once


@pytest.mark.parametrize("number", [40, 90, 140, 190])
def test_two_resumes_and_a_running_generate_do_not_interfere(tmp_path: Path, number: int) -> None:
    scene = Scene(tmp_path / "scene", 4)
    with scene.sandbox:
        scene.run(scene.generate, "--step", str(number))
        other = ["generate", "another fox", "--seed", "9", "--out", str(scene.work / "f-9.png")]
        racing = [scene.start(command, "--later", LATER) for command in (["resume"], ["resume"], other)]
        ended = [(process.communicate(timeout=PATIENCE), process.returncode) for process in racing]
        assert [code for _, code in ended] == [0, 0, 0], ended
        assert scene.problems(exactly=False) == []


def test_two_identical_commands_continue_an_interrupted_run_only_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", 1)
    with scene.sandbox:
        kill(scene, Point(1, "request", 1, "again"), signal.SIGKILL)
        twice = [scene.start(scene.generate, "--later", LATER) for _ in range(2)]
        said = [process.communicate(timeout=PATIENCE) for process in twice]
        assert sum("continuing this command's" in err for _, err in said) == 1, said
        assert len(scene.sandbox.jobs()) in (1, 2)  # the other command made another image, or came after the end


# Clocks, keys, accounts, base URLs


@pytest.mark.parametrize("error", [25 * 3600.0, -25 * 3600.0])
@pytest.mark.parametrize("faults", ["submit:drop-after", "submit:drop-before", "job:502", "image:cut"])
def test_a_run_is_finished_although_the_wall_clock_is_wrong(
    reve: Reve, simulate: Simulate, state: Path, finish: Callable[..., Result], faults: str, error: float
) -> None:
    sandbox = simulate(faults=parse_faults(faults), clock=reve.clock.monotonic)
    assert reve(*GENERATE).code == 75
    sandbox.faults.clear()
    reve.clock.wall_error = error
    result = finish()
    assert result.code == 0, result.stderr
    all_is_well(sandbox, state)


def test_after_23_hours_a_request_is_reported_and_not_sent_again(reve: Reve, simulate: Simulate, state: Path) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-after"))
    document = reve(*GENERATE, "--json").document
    sandbox.faults.clear()
    reve.clock.advance(23 * 3600 + 1)
    result = reve("resume", "--json")
    assert result.code == 75
    assert "a red fox" in result.stderr
    assert document["idempotencyKey"] in result.stderr
    assert "more than 23 hours ago" in result.document["error"]["message"]
    assert len(sandbox.jobs()) == 1
    again = reve(*GENERATE)
    assert again.code == 75
    assert again.stderr.splitlines()[-1].startswith("reve resume ")
    assert "--new" in again.stderr
    assert reve("resume", "--abandon", document["idempotencyKey"]).code == 0
    assert reve("resume").code == 0
    assert len(sandbox.jobs()) == 1


def test_after_an_hour_the_servers_time_is_asked_for(reve: Reve, simulate: Simulate, state: Path) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-before"))
    assert reve(*GENERATE).code == 75
    sandbox.faults.clear()
    reve.clock.advance(2 * 3600)
    sandbox._clock = lambda: reve.clock.now() + 22 * 3600  # this machine was suspended for 22 hours
    assert reve("resume").code == 75
    assert sandbox.jobs() == []
    sandbox._clock = reve.clock.now
    assert reve("resume").code == 0
    all_is_well(sandbox, state)


@pytest.mark.parametrize("faults", ["submit:drop-after", "image:cut"])
def test_another_key_of_the_same_account_fetches_but_does_not_send(
    reve: Reve, simulate: Simulate, state: Path, tmp_path: Path, faults: str
) -> None:
    sandbox = simulate()
    assert reve("generate", "so that the account is known", "--seed", "7", "--out", "f-7.png").code == 0
    sandbox.faults[:] = parse_faults(faults)
    assert reve(*GENERATE).code == 75
    sandbox.stop()

    def anew(key: str) -> Sandbox:
        port = port_of(sandbox)
        return Sandbox(tmp_path / "sandbox-0", key=key, port=port, clock=reve.clock.now, requests_per_minute=0)

    with anew("afk_another") as same_account:
        reve.clock.advance(11)
        result = reve("resume", env={"APIFRAME_API_KEY": "afk_another"})
        sent = [request for request in same_account.requests if request.method == "POST"]
        assert sent == []
        if faults.startswith("submit"):
            assert "only the API key that sent it" in result.stderr
            assert reve(*GENERATE, env={"APIFRAME_API_KEY": "afk_another"}).code == 75
        else:
            assert result.code == 0, result.stderr
            all_is_well(same_account, state, 2)
    with anew(KEY) as as_before:
        assert reve("resume").code == 0
        all_is_well(as_before, state, 2)


@pytest.mark.parametrize("faults", ["submit:drop-after", "image:cut"])
def test_another_account_or_base_url_leaves_jobs_alone(
    reve: Reve, simulate: Simulate, state: Path, faults: str
) -> None:
    sandbox = simulate(faults=parse_faults(faults))
    assert reve(*GENERATE).code == 75
    mine = dict(reve.environ)
    elsewhere = simulate(key="afk_elsewhere")
    reve.clock.advance(11)
    result = reve("resume")
    assert result.code == 0
    assert f"belongs to {sandbox.url}" in result.stderr
    assert [request for request in elsewhere.requests if request.method == "POST"] == []
    sandbox.faults.clear()
    reve.environ |= mine
    assert reve("resume").code == 0
    all_is_well(sandbox, state)


def test_another_account_at_the_same_url_closes_no_job(reve: Reve, simulate: Simulate, state: Path) -> None:
    sandbox = simulate()
    assert reve("generate", "so that the account is known", "--seed", "7", "--out", "f-7.png").code == 0
    sandbox.faults[:] = parse_faults("image:cut")
    assert reve(*GENERATE).code == 75
    port = port_of(sandbox)
    sandbox.stop()

    def resume(folder: str, key: str, user: str) -> Result:
        clock = reve.clock.now
        with Sandbox(state.parent / folder, key=key, user=user, port=port, clock=clock, requests_per_minute=0):
            return reve("resume", env={"APIFRAME_API_KEY": key})

    theirs = resume("another", "afk_another", "5a2d0000-0000-4000-8000-00000000ffff")
    assert theirs.code == 0
    assert "belongs to another account" in theirs.stderr
    unknown = resume("another", KEY, USER)  # the same key, but the job does not exist there
    assert unknown.code == 75
    assert resume("sandbox-0", KEY, USER).code == 0
    assert list(problems(sandbox, Path.cwd(), state, 2)) == []


# The output


@pytest.mark.parametrize("faults", ["submit:drop-after", "job:502", "image:cut"])
def test_a_file_at_the_output_path_is_not_replaced(
    reve: Reve, simulate: Simulate, state: Path, finish: Callable[..., Result], faults: str
) -> None:
    sandbox = simulate(faults=parse_faults(faults))
    assert reve(*GENERATE).code == 75
    sandbox.faults.clear()
    Path("f.png").write_text("somebody else's")
    result = finish()
    (job,) = sandbox.jobs()
    assert result.code == 75
    assert result.stderr.splitlines()[-1].startswith("mv -i -- ")
    assert Path("f.png").read_text() == "somebody else's"
    all_is_well(sandbox, state, elsewhere={1: Path(f"f-{job.id}.png").absolute()})


def test_with_force_only_the_file_seen_by_the_first_run_is_replaced(
    reve: Reve, simulate: Simulate, state: Path, finish: Callable[..., Result]
) -> None:
    Path("f.png").write_text("mine")
    sandbox = simulate(faults=parse_faults("image:cut"))
    assert reve(*GENERATE, "--force").code == 75
    sandbox.faults.clear()
    assert finish(*GENERATE).code == 0
    all_is_well(sandbox, state)


def test_with_force_a_file_created_later_is_not_replaced(reve: Reve, simulate: Simulate, state: Path) -> None:
    Path("f.png").write_text("mine")
    sandbox = simulate(faults=parse_faults("image:cut"))
    assert reve(*GENERATE, "--force").code == 75
    sandbox.faults.clear()
    Path("other").write_text("somebody else's")
    Path("other").replace("f.png")
    assert reve("resume").code == 75
    assert Path("f.png").read_text() == "somebody else's"


@pytest.mark.parametrize("faults", ["submit:drop-after", "image:cut"])
def test_a_removed_folder_loses_no_image(
    reve: Reve, simulate: Simulate, state: Path, finish: Callable[..., Result], faults: str
) -> None:
    Path("pics").mkdir()
    sandbox = simulate(faults=parse_faults(faults))
    command = ("generate", "a red fox", "--seed", "1", "--out", "pics/f.png", "--timeout", "60")
    assert reve(*command).code == 75
    sandbox.faults.clear()
    shutil.rmtree("pics")
    result = finish(*command)
    (job,) = sandbox.jobs()
    assert result.code == 75
    elsewhere = {1: state / "rescue" / f"{job.id}.png"}
    assert list(problems(sandbox, Path.cwd(), state, 1, elsewhere)) == [f"unfinished: completed {job.id}"]
    again = finish(*command)
    assert again.code == 0
    assert "moved 1 image out of the rescue folder" in again.stderr
    assert Path("pics/f.png").is_file()
    assert not list((state / "rescue").iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="FIFOs")
def test_a_fifo_at_the_path_of_a_second_image_is_not_opened(reve: Reve, simulate: Simulate, state: Path) -> None:
    simulate(faults=parse_faults("outcome:images/2"))
    os.mkfifo("f-2.png")
    result = reve(*GENERATE)
    assert result.code == 75
    assert result.stderr.splitlines()[-1].startswith("mv -i -- ")


@pytest.mark.parametrize("journal", ["on", "off"])
def test_a_spooled_image_that_is_still_needed_is_kept_longer_than_a_day(
    reve: Reve, simulate: Simulate, state: Path, journal: str
) -> None:
    sandbox = simulate()
    assert reve("generate", "a fox", "--out", "-").code == 0
    with sqlite3.connect(state / "journal.db") as database:  # as if reve was killed while it wrote to the pipe
        database.execute("UPDATE jobs SET state = 'completed'")
        database.execute("UPDATE runs SET told = 0")
    (spooled,) = (state / "spool").iterdir()
    os.utime(spooled, (0, 0))
    assert reve("generate", "another", "--out", "-", env={"REVE_JOURNAL": journal}).code == 0
    asked = len(sandbox.requests)
    assert reve("resume").out == f"{spooled}\n"
    assert len(sandbox.requests) == asked  # the image was in the spool


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, if one can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the file system."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return ballast


def test_a_full_disk_at_the_output_path_loses_no_image(
    reve: Reve, simulate: Simulate, state: Path, finish: Callable[..., Result], small_disk: Path
) -> None:
    """The image goes to the rescue folder; if that is full too, `resume` fetches it later."""
    ballast = fill(small_disk)
    sandbox = simulate()
    reve.environ["REVE_STATE_DIR"] = str(state)
    command = ("generate", "a red fox", "--seed", "1", "--out", str(small_disk / "f.png"), "--timeout", "60")
    first = reve(*command)
    (job,) = sandbox.jobs()
    assert first.code == 75
    elsewhere = {1: state / "rescue" / f"{job.id}.png"}
    assert list(problems(sandbox, Path.cwd(), state, 1, elsewhere)) == [f"unfinished: completed {job.id}"]
    still_full = finish(*command)
    assert still_full.code == 75
    assert still_full.stderr.splitlines()[-1] == f"reve resume {job.id}"
    ballast.unlink()
    assert finish(*command).code == 0
    assert (small_disk / "f.png").is_file()
    assert not list((state / "rescue").iterdir())


def test_a_disk_full_for_images_and_journal_is_refused_before_a_request(
    reve: Reve, simulate: Simulate, small_disk: Path
) -> None:
    """An image that cannot be saved could not be rescued either."""
    work = small_disk / "work"
    work.mkdir()
    reve.environ |= {"REVE_STATE_DIR": str(small_disk / "state")}
    ballast = fill(small_disk)
    sandbox = simulate()
    command = ("generate", "a red fox", "--seed", "1", "--out", str(work / "f.png"), "--timeout", "60")
    first = reve(*command)
    assert first.code == 7
    assert f"no room in {small_disk / 'state'}, where images go that cannot be saved elsewhere" in first.stderr
    assert sandbox.jobs() == []
    ballast.unlink()
    assert reve(*command).code == 0
    assert list(problems(sandbox, work, small_disk / "state", 1)) == []


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_disk_that_becomes_full_at_a_request_charges_once(
    reve: Reve, simulate: Simulate, small_disk: Path, number: int
) -> None:
    """A request that cannot be noted is not sent; a sent request is never sent with another key."""
    reve.environ |= {"REVE_STATE_DIR": str(small_disk / "state")}
    sandbox = simulate()
    on_request(sandbox, number, lambda: fill(small_disk))
    command = ("generate", "a red fox", "--seed", "1", "--count", "6", "--out", "f.png", "--timeout", "60")
    first = reve(*command)
    assert first.code in (0, 7, 75), first.stderr
    (small_disk / "ballast").unlink()
    reve.clock.advance(11)
    assert reve("resume").code == 0
    assert reve(*command).code in ((0, 7) if first.code == 0 else (0,))  # 7: all files are there
    assert list(problems(sandbox, Path.cwd(), small_disk / "state", 6)) == []


@pytest.mark.parametrize("room", range(12, 110, 8))
def test_a_disk_that_fills_up_during_the_run_loses_no_image(
    reve: Reve, simulate: Simulate, finish: Callable[..., Result], small_disk: Path, room: int
) -> None:
    """Journal and images share a nearly full disk: what could be written is enough to continue."""
    work = small_disk / "work"
    work.mkdir()
    reve.environ |= {"REVE_STATE_DIR": str(small_disk / "state")}
    sandbox = simulate()
    reserve = small_disk / "reserve"
    reserve.write_bytes(bytes(room * 1024))
    ballast = fill(small_disk)
    reserve.unlink()
    command = ("generate", "a red fox", "--seed", "1", "--out", str(work / "f.png"), "--timeout", "60")
    first = reve(*command)
    ballast.unlink()
    if first.code == 7:  # it could not be noted, so it was not sent
        assert sandbox.jobs() == []
        assert reve(*command).code == 0
    elif first.code == 75:
        last = shlex.split(first.stderr.splitlines()[-1])
        done = finish(*command) if last[:2] == ["reve", "resume"] else reve(*last[1:])
        assert done.code == 0, (first.stderr, done.stderr)
    else:
        assert first.code == 0, first.stderr
    assert list(problems(sandbox, work, small_disk / "state", 1)) == []
