"""Interrupted runs: the same command again, `--new`, `--once`, `resume`, and runs that are never continued."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.support.terminal import eventually, running

Simulate = Callable[..., Sandbox]


def test_the_same_command_completes_an_interrupted_run_of_several_images(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    command = ("generate", "fox", "--count", "4", "--out", "f.png", "--json")
    cut_short = reve(*command)
    assert cut_short.code == 75
    sandbox.faults.clear()
    again = reve(*command)
    assert again.code == 0
    assert [document["adopted"] for document in again.documents] == [True] * 4
    assert [document["jobId"] for document in again.documents] == [d["jobId"] for d in cut_short.documents]
    assert "continuing this command's interrupted run" in again.stderr
    assert len(sandbox.jobs()) == 4


def test_an_interrupted_run_is_continued_although_some_files_exist(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*9"))
    command = ("generate", "fox", "--count", "4", "--out", "f.png")
    assert reve(*command).code == 75
    saved = len(list(Path.cwd().glob("f-*.png")))
    assert 0 < saved < 4
    sandbox.faults.clear()
    again = reve(*command)
    assert again.code == 0
    assert again.out.splitlines() == [f"f-{number}.png" for number in range(1, 5)]
    assert len(sandbox.jobs()) == 4


def test_the_same_command_sends_requests_that_were_never_sent(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-before*3,submit:401*2"))
    command = ("generate", "fox", "--count", "6", "--out", "f.png")
    first = reve(*command)
    assert first.code in (75, 3)
    sandbox.faults.clear()
    reve.clock.advance(11)
    assert reve(*command).code == 0
    assert len(sandbox.jobs()) == 6


@pytest.mark.parametrize(
    "other",
    [
        ("generate", "another fox", "--out", "f.png"),
        ("generate", "fox", "--seed", "1", "--out", "f.png"),
        ("generate", "fox", "--out", "g.png"),
        ("generate", "fox", "--out", "f.png", "--new"),
        ("generate", "fox", "--out", "f.png", "--count", "2"),
    ],
)
def test_a_different_command_makes_a_new_image(reve: Reve, simulate: Simulate, other: tuple[str, ...]) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3"))
    assert reve("generate", "fox", "--out", "f.png").code == 75
    result = reve(*other, "--json")
    assert result.code == 0
    assert not any(document["adopted"] for document in result.documents)
    assert len(sandbox.jobs()) == 1 + len(result.documents)


def test_the_same_output_path_spelled_differently_is_the_same_command(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3"))
    assert reve("generate", "fox", "--out", "f.png").code == 75
    result = reve("generate", "fox", "--out", str(Path.cwd() / "." / "f.png"), "--json")
    assert (result.code, result.document["adopted"]) == (0, True)
    assert len(sandbox.jobs()) == 1


def test_an_interrupted_run_older_than_an_hour_exits_75_and_names_resume_and_new(
    reve: Reve, simulate: Simulate
) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3"))
    assert reve("generate", "fox", "--out", "f.png").code == 75
    reve.clock.advance(3601)
    result = reve("generate", "fox", "--out", "f.png")
    assert result.code == 75
    assert "--new" in result.stderr
    command = result.stderr.splitlines()[-1].split()
    assert command[:2] == ["reve", "resume"]
    assert reve(*command[1:]).out == f"{Path.cwd() / 'f.png'}\n"
    assert len(sandbox.jobs()) == 1


def test_a_finished_run_is_not_continued(reve: Reve, sandbox: Sandbox) -> None:
    for _ in range(2):
        assert reve("generate", "fox").code == 0
    assert len(sandbox.jobs()) == 2


def test_the_same_command_after_a_failed_job_uses_a_new_key(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*1"))
    assert reve("generate", "fox", "--out", "f.png").code == 5
    assert reve("generate", "fox", "--out", "f.png").code == 0
    first, second = (request.headers["idempotency-key"] for request in sandbox.requests if request.method == "POST")
    assert first != second


@pytest.mark.parametrize("outcome", ["fail", "expired"])
def test_a_continued_job_that_failed_or_expired_is_submitted_with_a_new_key(
    reve: Reve, simulate: Simulate, outcome: str
) -> None:
    sandbox = simulate(faults=parse_faults(f"outcome:{outcome}*1,job:502"))
    assert reve("generate", "fox", "--out", "f.png", "--timeout", "9").code == 75
    sandbox.faults.clear()
    result = reve("generate", "fox", "--out", "f.png", "--json")
    assert (result.code, result.document["adopted"]) == (0, False)
    assert "submitted again with a new key" in result.stderr
    assert len(sandbox.jobs()) == 2


def test_resume_never_replaces_a_failed_job(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*1,job:502"))
    assert reve("generate", "fox", "--out", "f.png", "--timeout", "9").code == 75
    sandbox.faults.clear()
    result = reve("resume", "--json")
    assert (result.code, result.document["error"]["code"]) == (5, "job_failed")
    assert reve("resume").stderr == "nothing to finish\n"
    assert len(sandbox.jobs()) == 1


def test_a_run_that_resume_is_finishing_is_not_submitted_again(reve: Reve, live: Sandbox) -> None:
    live.faults[:] = parse_faults("job:401")
    command = ("generate", "fox", "--out", "f.png")
    assert reve.child(*command).code == 75
    live.faults[:] = parse_faults("image:hang-before")
    with running(reve.command("resume"), env=reve.environ):
        eventually(lambda: live.requests[-1].side == "cdn" and _is_owned(reve), "it to be at work")
        again = reve.child(*command)
    assert again.code == 75
    assert "another reve is finishing this command" in again.stderr
    assert len(live.jobs()) == 1


def test_resume_does_not_touch_a_running_command_or_its_temporary_files(reve: Reve, slow: Sandbox) -> None:
    slow.faults[:] = parse_faults("image:drip")
    with running(reve.command("generate", "fox", "--out", "f.png"), env=reve.environ):
        eventually(lambda: list(Path.cwd().glob(".reve-*.part")), "a temporary file")
        (job,) = slow.jobs()
        for names in ([job.id], []):
            result = reve("resume", *names)
            assert "another reve is working on it" in result.stderr
            assert result.code == (75 if names else 0)
            assert list(Path.cwd().glob(".reve-*.part"))


def _is_owned(reve: Reve) -> bool:
    folder = Path(reve.environ["HOME"]) / ".local" / "state" / "reve" / "owners"
    return any(folder.iterdir()) if folder.exists() else True


def test_an_unsent_request_stays_unsent_if_its_folder_is_gone(reve: Reve, simulate: Simulate) -> None:
    Path("pics").mkdir()
    sandbox = simulate(faults=parse_faults("submit:503"))
    command = ("generate", "fox", "--count", "2", "--out", "pics/f.png")
    sandbox.faults[:] = parse_faults("image:cut*3,submit:401*1")
    assert reve(*command).code == 75
    sandbox.faults.clear()
    shutil.rmtree("pics")
    jobs = len(sandbox.jobs())
    result = reve(*command)
    assert result.code == 75  # as the other job is paid for
    assert "pics does not exist" in result.stderr
    assert len(sandbox.jobs()) == jobs
    last = result.stderr.splitlines()[-1].split()
    assert last[:2] == ["reve", "resume"]


def test_a_key_used_for_another_request_is_refused_before_sending(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--idempotency-key", "k", "--out", "1.png").code == 0
    result = reve("generate", "wolf", "--idempotency-key", "k", "--out", "2.png", "--json")
    assert (result.code, result.document["error"]["code"]) == (2, "key_mismatch")
    assert len([request for request in sandbox.requests if request.method == "POST"]) == 1


def test_resume_never_sends_a_request_whose_key_conflicts(reve: Reve, sandbox: Sandbox, tmp_path: Path) -> None:
    elsewhere = {"REVE_STATE_DIR": str(tmp_path / "elsewhere")}
    assert reve("generate", "fox", "--idempotency-key", "k", "--out", "1.png", env=elsewhere).code == 0
    assert reve("generate", "wolf", "--idempotency-key", "k", "--out", "2.png").code == 75
    reve.clock.advance(20 * 3600)
    result = reve("resume")
    assert result.code == 75
    assert result.stderr.splitlines()[-1] == "reve resume --abandon k"
    assert len(sandbox.jobs()) == 1


def test_new_and_once_exclude_each_other(reve: Reve) -> None:
    assert reve("generate", "fox", "--new", "--once", "7").code == 2


def test_two_unfinished_jobs_with_the_same_path_are_both_saved(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    for scope in "AB":
        assert reve("generate", "fox", "--once", scope, "--out", "f.png", "--force").code == 75
    sandbox.faults.clear()
    result = reve("resume")
    assert result.code == 0
    assert len({*result.out.splitlines()}) == len([*Path.cwd().iterdir()]) == 2
    assert "mv " not in result.stderr


@pytest.mark.parametrize("command", ["wait", "download"])
@pytest.mark.parametrize("out", ["f.png", "nowhere/", "{sed}.png"])
def test_jobs_read_from_a_pipe_are_named_if_their_output_is_refused(
    reve: Reve, sandbox: Sandbox, command: str, out: str
) -> None:
    Path("f.png").touch()
    job = reve("generate", "fox", "--no-wait").out
    result = reve(command, "-", "--out", out, stdin=job.encode())
    assert result.code == 75
    assert result.stderr.endswith(f"\nreve {command} {job.strip()} --out PATH\n")
    assert reve(command, job.strip(), "--out", out).code in (2, 7)


# Runs that are never continued


def test_three_identical_no_wait_commands_are_three_jobs(reve: Reve, sandbox: Sandbox) -> None:
    ids = [reve("generate", "fox", "--no-wait").out for _ in range(3)]
    assert len(set(ids)) == len(sandbox.jobs()) == 3
    said = reve("resume").stderr
    assert said.startswith("left alone: 3 jobs of the last 24 hours, submitted with --no-wait; ")
    assert said.endswith("nothing to finish\n")


def test_resume_of_a_no_wait_job_exits_75_and_names_the_wait_command(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    result = reve("resume", job)
    assert result.code == 75
    assert result.stderr.endswith(f"\nreve wait {job} --out PATH\n")


def test_two_identical_commands_at_once_make_two_images(reve: Reve, slow: Sandbox) -> None:
    commands = [reve.command("generate", "fox") for _ in range(2)]
    both = [subprocess.Popen(command, env=reve.environ, stdout=subprocess.DEVNULL) for command in commands]
    assert [one.wait() for one in both] == [0, 0]
    assert len(slow.jobs()) == len(list(Path.cwd().glob("fox-*.png"))) == 2


def test_a_run_that_writes_to_a_pipe_is_never_continued(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3"))
    assert reve("generate", "fox", "--out", "-").code == 75
    assert reve("generate", "fox", "--out", "-").code == 0
    assert len(sandbox.jobs()) == 2
    result = reve("resume")
    assert result.code == 0
    assert Path(result.out.strip()).parent.name == "spool"
    assert Path(result.out.strip()).read_bytes().startswith(b"\x89PNG")


# --once


def test_once_on_two_machines_charges_once_and_saves_two_files(reve: Reve, sandbox: Sandbox, tmp_path: Path) -> None:
    for machine in ("a", "b"):
        env = {"REVE_STATE_DIR": str(tmp_path / machine)}
        result = reve("generate", "fox", "--once", "pipeline 7", "--out", f"{machine}.png", "--json", env=env)
        assert (result.code, result.document["replayed"]) == (0, machine == "b")
        reve.clock.advance(60)
    assert len(sandbox.jobs()) == 1
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_once_works_without_a_journal(reve: Reve, sandbox: Sandbox) -> None:
    for out in ("a.png", "b.png"):
        command = ("generate", "fox", "--once", "7", "--out", out)
        assert reve(*command, env={"REVE_JOURNAL": "off"}).code == 0
    assert len(sandbox.jobs()) == 1


def test_once_with_count_makes_that_many_images(reve: Reve, sandbox: Sandbox) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        assert reve("generate", "fox", "--once", "7", "--count", "3", "--out", f"{folder}/f.png").code == 0
    assert len(sandbox.jobs()) == 3
    assert len({path.read_bytes() for path in Path("b").iterdir()}) == 3


def test_another_scope_or_request_makes_another_image(reve: Reve, sandbox: Sandbox) -> None:
    for prompt, scope in (("fox", "7"), ("fox", "8"), ("wolf", "7")):
        assert reve("generate", prompt, "--once", scope).code == 0
    assert len(sandbox.jobs()) == 3


@pytest.mark.parametrize("outcome", ["fail", "cancel"])
def test_once_replaces_a_job_that_failed_in_an_earlier_run(reve: Reve, simulate: Simulate, outcome: str) -> None:
    sandbox = simulate(faults=parse_faults(f"outcome:{outcome}*2"))
    command = ("generate", "fox", "--once", "7", "--out", "f.png")
    assert reve(*command).code == 5  # a job that fails in this run ends with 5
    reve.clock.advance(60)
    assert reve(*command).code == 5  # the first job is replaced; the second fails in this run
    reve.clock.advance(60)
    assert reve(*command).code == 0
    assert len(sandbox.jobs()) == 3


def test_once_with_no_wait_replaces_a_job_that_failed_earlier(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail*1"))
    command = ("generate", "fox", "--once", "7", "--no-wait")
    first = reve(*command).out
    reve.clock.advance(60)
    second = reve(*command)
    assert second.code == 0
    assert second.out != first
    assert len(second.out.split()) == 1


def test_once_replaces_a_job_that_expired(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:expired*1"))
    command = ("generate", "fox", "--once", "7", "--out", "f.png")
    assert reve(*command).code == 7
    reve.clock.advance(60)
    assert reve(*command).code == 0
    assert len(sandbox.jobs()) == 2


@pytest.mark.parametrize("scope", ["", "   "])
def test_a_blank_scope_is_refused(reve: Reve, scope: str) -> None:
    assert reve("generate", "fox", "--once", scope).code == 2


def test_once_and_idempotency_key_exclude_each_other(reve: Reve) -> None:
    assert reve("generate", "fox", "--once", "7", "--idempotency-key", "k").code == 2


# resume


def test_resume_dry_run_lists_the_steps_and_sends_nothing(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    assert reve("generate", "to fetch", "--out", "1.png").code == 75
    sandbox.faults[:] = parse_faults("submit:drop-after")
    assert reve("generate", "to send", "--out", "2.png").code == 75
    asked = len(sandbox.requests)
    result = reve("resume", "--dry-run", "--json")
    assert result.code == 0
    assert [(one["action"], one["prompt"]) for one in result.documents] == [("fetch", "to fetch"), ("send", "to send")]
    assert list(result.document_keys if hasattr(result, "document_keys") else result.documents[0]) == [
        "action", "why", "state", "run", "jobId", "idempotencyKey", "begunAt", "out", "prompt",
    ]  # fmt: skip
    assert "1 to send" in result.stderr
    assert len(sandbox.requests) == asked
    assert reve("resume", "--dry-run").out.count("\n") == 2


def test_resume_with_a_name_finishes_only_that_job(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    first = reve("generate", "one", "--out", "1.png", "--json").document
    second = reve("generate", "two", "--out", "2.png", "--json").document
    sandbox.faults.clear()
    assert reve("resume", second["jobId"]).out == f"{Path.cwd() / '2.png'}\n"
    assert not Path("1.png").exists()
    assert reve("resume", first["idempotencyKey"]).out == f"{Path.cwd() / '1.png'}\n"
    finished = reve("resume", first["jobId"])
    assert (finished.code, finished.stderr) == (0, "nothing to finish\n")


def test_resume_of_an_unknown_job_exits_8(reve: Reve, sandbox: Sandbox) -> None:
    name = "3f2a9c1e-0000-4000-8000-000000000001"
    assert reve("resume", name).code == 8
    assert reve("generate", "fox").code == 0
    result = reve("resume", name, "--json")
    assert (result.code, result.document["error"]["code"]) == (8, "not_found")


def test_resume_with_nothing_to_do_exits_0(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("resume")
    assert (result.code, result.out, result.stderr) == (0, "", "nothing to finish\n")


def test_resume_saves_to_the_first_path_although_wait_saved_to_another(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    job = reve("generate", "fox", "--out", "f.png", "--json").document["jobId"]
    sandbox.faults.clear()
    assert reve("wait", job, "--out", "g.png").code == 0
    assert reve("resume").out == f"{Path.cwd() / 'f.png'}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
def test_a_wait_that_fails_to_save_does_not_mark_the_job_as_saved(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    job = reve("generate", "fox", "--out", "f.png", "--json").document["jobId"]
    sandbox.faults.clear()
    assert reve("wait", job, "--out", "/dev/full").code == 75
    assert reve("resume").code == 0
    assert Path("f.png").is_file()


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_resume_with_nothing_to_do_in_the_sandbox_names_its_history(reve: Reve, option: list[str]) -> None:
    assert reve("generate", "fox", "--out", "f.png", "--sandbox").code == 0
    result = reve("resume", "--sandbox", *option)
    assert result.code == 0
    assert result.stderr.endswith("\nnothing to finish; all jobs: reve history --sandbox\n")


def test_resume_finds_an_image_that_wait_saved_to_the_same_path(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut"))
    job = reve("generate", "fox", "--out", "f.png", "--json").document["jobId"]
    sandbox.faults.clear()
    assert reve("wait", job, "--out", "f.png").code == 0
    assert reve("resume").code == 0
    assert [path.name for path in Path.cwd().iterdir()] == ["f.png"]
    assert reve("resume").stderr == "nothing to finish\n"


def test_a_wait_after_expiry_keeps_the_job_marked_as_saved(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--out", "f.png", "--json").document["jobId"]
    reve.clock.advance(25 * 3600)
    assert reve("wait", job).code == 7
    (row,) = reve("history", "--json").documents
    assert (row["state"], row["files"][0]["path"]) == ("saved", str(Path.cwd() / "f.png"))


def test_resume_settles_an_unanswered_no_wait_request_and_prints_its_job(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-after"))
    assert reve("generate", "fox", "--no-wait").code == 75
    sandbox.faults.clear()
    reve.clock.advance(11)
    result = reve("resume")
    (job,) = sandbox.jobs()
    assert (result.code, result.out) == (0, f"{job.id}\n")
    assert list(Path.cwd().iterdir()) == []


def test_resume_with_sandbox_finishes_a_sandbox_job(reve: Reve) -> None:
    env = {"REVE_SANDBOX_FAULTS": "image:cut"}
    result = reve("generate", "fox", "--out", "f.png", "--sandbox", env=env)
    assert result.code == 75
    command = result.stderr.splitlines()[-1].split()
    assert command[:3] == ["reve", "resume", "--sandbox"]
    assert reve(*command[1:]).code == 0
    assert Path("f.png").is_file()
