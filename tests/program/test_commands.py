"""The commands through the whole program: options, streams, documents and exit codes."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import KEY, Reve
from tests.support.pictures import as_sent

Simulate = Callable[..., Sandbox]
NOBODY = "3f2a9c1e-0000-4000-8000-000000000001"


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


def test_the_prompt_comes_from_a_file_or_standard_input(reve: Reve, sandbox: Sandbox) -> None:
    Path("prompt.txt").write_bytes(b"from a file\n\n")
    assert reve("generate", "--prompt-file", "prompt.txt", "--no-wait").code == 0
    assert reve("generate", "-", "--no-wait", stdin="aus der Röhre\r\n".encode()).code == 0
    assert {job.body["prompt"] for job in sandbox.jobs()} == {"from a file\n", "aus der Röhre"}


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (["generate"], b"", 2, "prompt"),
        (["generate", ""], b"", 2, "prompt"),
        (["generate", "-"], b"", 2, "prompt"),
        (["generate", "-"], b"\xff", 2, "UTF-8"),
        (["generate", "-"], b"x" * 9000, 2, "2,000"),
        (["generate", "fox", "--prompt-file", "p"], b"", 2, "--prompt-file"),
        (["generate", "--prompt-file", "missing"], b"", 2, "missing"),
        (["generate", "fox", "--seed", "one"], b"", 2, "--seed"),
        (["generate", "fox", "--seed", "9007199254740992"], b"", 2, "--seed"),
        (["generate", "fox", "--seed", "9007199254740991", "--count", "2"], b"", 2, "--seed"),
        (["generate", "fox", "--ar", "16:10"], b"", 2, "--aspect-ratio"),
        (["generate", "fox", "--ar", ""], b"", 2, "--aspect-ratio"),
        (["generate", "fox", "--model", ""], b"", 2, "--model"),
        (["generate", "fox", "--model-version", ""], b"", 2, "--model-version"),
        (["generate", "-"], "a€".encode() * 4000, 2, "8,000"),
        (["generate", "-"], "a€".encode() * 400_000, 2, "2,000"),
        (["generate", "fox", "--out", "{index:03}.png"], b"", 2, "{index:03}"),
        (["generate", "fox", "--count", "0"], b"", 2, "--count"),
        (["generate", "fox", "--count", "101"], b"", 2, "--count"),
        (["generate", "fox", "--count", "many"], b"", 2, "--count"),
        (["generate", "fox", "--timeout", "0"], b"", 2, "--timeout"),
        (["generate", "fox", "--timeout", "nan"], b"", 2, "--timeout"),
        (["generate", "fox", "--timeout", "x"], b"", 2, "--timeout"),
        (["generate", "fox", "--idempotency-key", ""], b"", 2, "--idempotency-key"),
        (["generate", "fox", "--idempotency-key", "x" * 256], b"", 2, "--idempotency-key"),
        (["generate", "fox", "--idempotency-key", "k", "--count", "2"], b"", 2, "--count"),
        (["generate", "fox", "--webhook-url", "hook"], b"", 2, "--webhook-url"),
        (["generate", "fox", "--webhook-event", "failed"], b"", 2, "--webhook-url"),
        (["generate", "fox", "--no-wait", "--out", "fox.png"], b"", 2, "--no-wait"),
        (["generate", "fox", "--out", "{nope}.png"], b"", 2, "{nope}"),
        (["generate", "fox", "--out", "-", "--json"], b"", 2, "--json"),
        (["generate", "fox", "--out", "-", "--count", "2"], b"", 2, "--out"),
        (["generate", "fox", "--out", "missing/fox.png"], b"", 7, "mkdir"),
        (["generate", "fox", "--nope"], b"", 2, "--nope"),
        (["generate", "fox", "dog"], b"", 2, "dog"),
        (["nope"], b"", 2, "nope"),
        (["status"], b"", 2, "JOB"),
        (["status", "fox"], b"", 2, "job id"),
        (["status", "-"], b" \n", 2, "standard input"),
        (["wait", "../../etc"], b"", 2, "job id"),
        (["download", NOBODY, "--out", "missing/"], b"", 7, "mkdir"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    reve: Reve, sandbox: Sandbox, arguments: list[str], stdin: bytes, code: int, said: str
) -> None:
    result = reve(*arguments, stdin=stdin)
    assert result.code == code
    assert "--json" in arguments or result.out == ""
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) <= 2
    assert not sandbox.requests
    as_json = reve(*dict.fromkeys([*arguments, "--json"]), stdin=stdin)
    assert as_json.document["error"]["exitCode"] == as_json.code


def test_a_byte_order_mark_is_not_part_of_the_prompt(reve: Reve, sandbox: Sandbox) -> None:
    Path("prompt.txt").write_bytes(b"\xef\xbb\xbffox\n")
    assert reve("generate", "--prompt-file", "prompt.txt", "--no-wait").code == 0
    assert sandbox.jobs()[0].body["prompt"] == "fox"


def test_the_finishing_command_pipes_a_prompt_that_is_a_hyphen(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:drop-before"))
    result = reve("generate", "-", "--no-wait", stdin=b"-\n", env={"REVE_JOURNAL": "off"})
    assert result.code == 75
    assert result.stderr.splitlines()[-1].startswith("printf %s - | reve generate ")


@pytest.mark.parametrize(("fault", "code"), [("402", 4), ("401", 3), ("403", 3)])
def test_an_account_error_stops_the_other_submits(reve: Reve, simulate: Simulate, fault: str, code: int) -> None:
    sandbox = simulate(faults=parse_faults(f"submit:{fault}"))
    result = reve("generate", "fox", "--count", "20", "--out", "fox.png", "--json")
    assert {document["error"]["exitCode"] for document in result.documents} == {code}
    assert len(result.documents) == 20
    assert posts(sandbox) < 10


def test_without_a_home_images_are_saved_without_config_and_journal(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    def nobody(*_: object, **__: object) -> str:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_config_dir", nobody)
    monkeypatch.setattr(platformdirs, "user_state_dir", nobody)
    saved = reve("generate", "fox", "--out", "fox.png")
    assert (saved.code, "crash safety is off" in saved.stderr) == (0, True)
    assert reve("generate", "fox", "--out", "-").stdout.startswith(b"\x89PNG")
    refused = reve("generate", "fox", "--sandbox")
    assert (refused.code, "REVE_STATE_DIR" in refused.stderr) == (2, True)


def test_a_sandbox_that_cannot_run_says_what_to_do(reve: Reve) -> None:
    Path("state/sandbox").mkdir(parents=True)
    Path("state/sandbox/sandbox.db").write_bytes(b"not a database" * 100)
    env = {"REVE_STATE_DIR": "state"}
    for command in (["generate", "fox", "--sandbox"], ["sandbox", "serve"]):
        result = reve(*command, env=env)
        assert result.code == 2
        assert "reve sandbox reset" in result.stderr
    assert reve("sandbox", "reset", env=env).code == 0
    assert reve("generate", "fox", "--sandbox", "--no-wait", env=env).code == 0


def test_without_a_key_the_error_says_where_to_get_one(reve: Reve) -> None:
    result = reve("generate", "fox")
    assert result.code == 3
    for word in ("APIFRAME_API_KEY", "console", "--sandbox"):
        assert word in result.stderr


def test_webhook_options_reach_the_request(reve: Reve, sandbox: Sandbox) -> None:
    events = ["--webhook-event", "completed", "--webhook-event", "failed"]
    result = reve("generate", "fox", "--webhook-url", "https://example.com/hook", *events, "--no-wait")
    assert result.code == 0
    body = sandbox.jobs()[0].body
    assert body["webhookUrl"] == "https://example.com/hook"
    assert body["webhookEvents"] == ["completed", "failed"]


def test_options_and_settings_reach_the_request(reve: Reve, sandbox: Sandbox) -> None:
    env = {"REVE_ASPECT_RATIO": "16:9", "REVE_MODEL_VERSION": "latest"}
    assert reve("generate", "fox", "--no-wait", env=env).code == 0
    assert reve("generate", "fox", "--no-wait", "--ar", "1:1", "--model-version", "v2", env=env).code == 0
    asked = [json.loads(request.body)["reveParams"] for request in sandbox.requests if request.method == "POST"]
    assert asked == [{"aspect_ratio": "16:9", "version": "latest"}, {"aspect_ratio": "1:1", "version": "v2"}]


def test_a_random_seed_is_reported_and_reproduces_the_image(reve: Reve, sandbox: Sandbox) -> None:
    first = reve("generate", "fox", "--seed", "random", "--out", "a.png", "--json").document
    again = reve("generate", "fox", "--seed", str(first["seed"]), "--out", "b.png")
    assert again.code == 0
    assert as_sent("a.png") == as_sent("b.png")


def test_no_wait_prints_the_id_and_wait_saves_the_image(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    assert job == sandbox.jobs()[0].id
    assert reve("wait", job).out.startswith(sandbox.cdn_url)
    result = reve("wait", job, "--out", "fox.png")
    assert (result.code, result.out) == (0, "fox.png\n")
    assert posts(sandbox) == 1


def test_each_try_has_the_same_key_and_each_job_its_own(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:drop-after*1,submit:502*1"))
    assert reve("generate", "fox", "--count", "2", "--out", "fox.png").code == 0
    keys = [request.headers["idempotency-key"] for request in sandbox.requests if request.method == "POST"]
    assert len(keys) == 4
    assert len(set(keys)) == 2
    assert len(sandbox.jobs()) == 2


def test_the_users_idempotency_key_makes_one_job(reve: Reve, sandbox: Sandbox) -> None:
    first = reve("generate", "fox", "--idempotency-key", "k", "--out", "a.png", "--json").document
    reve.clock.advance(60)
    again = reve("generate", "fox", "--idempotency-key", "k", "--out", "b.png", "--json").document
    assert first["jobId"] == again["jobId"]
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert sandbox.charged == 4
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize("more", [["--out", "fox.png"], ["--no-wait"]], ids=["wait", "no-wait"])
def test_a_key_of_another_request_is_an_error_and_saves_nothing(
    reve: Reve, simulate: Simulate, more: list[str]
) -> None:
    simulate(faults=parse_faults("outcome:other-input"))
    result = reve("generate", "fox", "--idempotency-key", "k", *more, "--json")
    assert (result.code, result.document["error"]["code"]) == (2, "key_mismatch")
    assert not list(Path.cwd().iterdir())


def test_a_key_conflict_exits_with_75_and_makes_no_new_key(reve: Reve, sandbox: Sandbox) -> None:
    without = {"REVE_JOURNAL": "off"}  # which would know that the key is taken
    assert reve("generate", "fox", "--idempotency-key", "k", "--no-wait", env=without).code == 0
    result = reve("generate", "cat", "--idempotency-key", "k", "--no-wait", "--json", env=without)
    assert (result.code, result.document["error"]["code"]) == (75, "key_conflict")
    assert {request.headers.get("idempotency-key") for request in sandbox.requests if request.method == "POST"} == {"k"}
    assert len(sandbox.jobs()) == 1


def test_a_replayed_failure_asks_for_a_new_key(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail"))
    for _ in range(2):
        result = reve("generate", "fox", "--idempotency-key", "k", "--out", "fox.png")
        assert result.code == 5
        assert "use a new key" in result.stderr
        reve.clock.advance(60)


def test_a_dry_run_needs_no_key_and_sends_nothing(reve: Reve, sandbox: Sandbox) -> None:
    del reve.environ["APIFRAME_API_KEY"]
    result = reve("generate", "fox", "--seed", "1", "--count", "2", "--out", "a.png", "--dry-run")
    assert result.code == 0
    assert [document["body"]["reveParams"]["seed"] for document in result.documents] == [1, 2]
    assert [document["out"] for document in result.documents] == ["a-1.png", "a-2.png"]
    assert result.documents[0]["url"] == f"{sandbox.url}/v2/images/generate"
    assert not sandbox.requests


def test_a_dry_run_prints_exactly_the_request(reve: Reve, sandbox: Sandbox) -> None:
    options = ["fox", "--seed", "1", "--ar", "3:2", "--webhook-url", "https://example.com", "--idempotency-key", "k"]
    (planned,) = reve("generate", *options, "--dry-run").documents
    assert reve("generate", *options, "--no-wait").code == 0
    sent = next(request for request in sandbox.requests if request.method == "POST")
    assert json.loads(sent.body) == planned["body"]
    assert sent.path == "/v2/images/generate"
    for name, value in planned["headers"].items():
        assert sent.headers[name.lower()] == (KEY if name == "X-API-Key" else value)


def test_status_prints_a_row_for_each_job_in_argument_order(reve: Reve, sandbox: Sandbox) -> None:
    jobs = reve("generate", "fox", "--no-wait", "--count", "3").out.split()
    rows = [line.split("\t") for line in reve("status", *reversed(jobs)).out.splitlines()]
    assert [row[0] for row in rows] == jobs[::-1]
    assert {row[1] for row in rows} <= {"QUEUED", "PROCESSING"}
    assert {row[5] for row in rows} == {"fox"}
    assert reve("status", *jobs).code == 0
    assert reve("status", *jobs, "--exit-status").code == 75
    reve.clock.advance(5)
    assert reve("status", *jobs, "--exit-status").code == 0


def test_an_unknown_job_exits_with_8_and_the_others_are_shown(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(5)
    for command, lines in (("status", 1), ("wait", 1), ("download", 1)):
        result = reve(command, NOBODY, job)
        assert result.code == 8
        assert f"job {NOBODY}: " in result.stderr
        assert len(result.out.splitlines()) == lines
    documents = reve("status", NOBODY, job, "--json").documents
    assert [document["jobId"] for document in documents] == [NOBODY, job]
    assert documents[0]["error"]["code"] == "not_found"
    assert documents[1]["error"] is None


LOOKS = (["status"], ["wait"], ["wait", "--out", "fox.png"], ["download", "--out", "fox.png"])


def gets(sandbox: Sandbox) -> int:
    return sum(request.path.startswith("/v2/jobs/") for request in sandbox.requests)


@pytest.mark.parametrize("command", LOOKS)
def test_a_404_for_a_job_in_the_journal_is_asked_again(reve: Reve, sandbox: Sandbox, command: list[str]) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    reve.clock.advance(5)
    sandbox.faults = parse_faults("job:404*2")
    result = reve(command[0], job, *command[1:])
    assert (result.code, Path("fox.png").exists()) == (0, "fox.png" in command)
    assert gets(sandbox) >= 3


@pytest.mark.parametrize("command", LOOKS)
@pytest.mark.parametrize("limit", [[], ["--timeout", "5"]])
def test_a_lasting_404_for_a_job_in_the_journal_exits_75(
    reve: Reve, sandbox: Sandbox, command: list[str], limit: list[str]
) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    sandbox.faults = parse_faults("job:404")
    result = reve(command[0], job, *command[1:], *limit, "--json")
    assert (result.code, result.document["error"]["code"]) == (75, "unfinished")
    assert "this command finishes it" in result.document["error"]["message"]
    hint = str(result.document["error"]["hint"])
    sandbox.faults = []
    assert reve(*shlex.split(hint)[1:]).code == 0
    assert len(sandbox.jobs()) == 1


def test_a_known_and_an_unknown_job_exit_with_75_and_8(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    sandbox.faults = parse_faults("job:404")
    result = reve("wait", NOBODY, job, "--json")
    assert result.code == 75
    assert [document["error"]["exitCode"] for document in result.documents] == [8, 75]


@pytest.mark.parametrize("other", [{"REVE_JOURNAL": "off"}, {"APIFRAME_API_KEY": "afk_of_another_account_0123"}])
def test_a_404_for_a_job_that_this_account_did_not_submit_exits_8(
    reve: Reve, sandbox: Sandbox, other: dict[str, str]
) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    sandbox.faults = parse_faults("job:404")
    assert reve("wait", job, env=other).code == 8


@pytest.mark.parametrize(
    "form",
    [
        '"{0}"',
        "'{0}'",
        "\u201c{0}\u201d",
        "{0},",
        "\ufeff{0}",
        '["{0}",',
        "https://api.apiframe.ai/v2/jobs/{0}",
        '"https://cdn.example.com/images/{0}/1.png?token=x"',
        "{0},{0}",
    ],
)
def test_a_job_id_is_understood_as_it_was_copied(reve: Reve, sandbox: Sandbox, form: str) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    word = form.format(job)
    assert [document["jobId"] for document in reve("status", word, "--json").documents] == [job]
    assert reve("wait", "-", "--json", stdin=word.encode()).document["jobId"] == job


def test_job_ids_are_read_from_a_json_array_and_from_utf_16(reve: Reve, sandbox: Sandbox) -> None:
    jobs = reve("generate", "fox", "--no-wait", "--count", "3").out.split()
    for text in (json.dumps(jobs), json.dumps(jobs, indent=2), "\ufeff" + "\r\n".join(jobs)):
        for encoding in ("utf-8", "utf-16-le") if text[0] == "\ufeff" else ("utf-8",):
            result = reve("status", "-", "--json", stdin=text.encode(encoding))
            assert [document["jobId"] for document in result.documents] == jobs


@pytest.mark.parametrize("word", [f"https://x.example/{NOBODY}/{NOBODY[:-1]}2", f"x{NOBODY}", f"{NOBODY},fox", "fox,"])
def test_a_word_with_something_else_than_one_job_id_is_refused(reve: Reve, sandbox: Sandbox, word: str) -> None:
    assert reve("wait", word).code == 2
    assert reve("wait", "-", stdin=word.encode()).code == 2
    assert sandbox.requests == []


def test_all_of_a_long_standard_input_is_read(reve: Reve, live: Sandbox) -> None:
    job = reve.child("generate", "fox", "--no-wait").out.strip()
    repeated = f"{NOBODY}\n".encode() * 40_000
    assert len(repeated) > 2**20
    result = reve.child("status", "-", "--json", stdin=repeated + job.encode())
    assert [document["jobId"] for document in result.documents] == [NOBODY, job]


def test_a_standard_input_without_blanks_is_refused(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("wait", "-", stdin=bytes(10**6))
    assert (result.code, sandbox.requests) == (2, [])
    assert "standard input has no job ids" in result.stderr


def test_job_ids_from_standard_input_are_used_once_each(reve: Reve, sandbox: Sandbox) -> None:
    jobs = reve("generate", "fox", "--no-wait", "--count", "3").out
    result = reve("wait", "-", jobs.split()[0].upper(), "--json", stdin=jobs.encode())
    assert [document["jobId"] for document in result.documents] == jobs.split()


def test_download_of_a_running_job_exits_with_75_and_names_the_command(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    result = reve("download", job, "--out", "fox.png")
    assert result.code == 75
    assert result.stderr.splitlines()[-1] == f"reve wait {job} --out=fox.png"


def test_download_names_files_from_the_template(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "A red fox", "--seed", "4", "--no-wait").out.strip()
    reve.clock.advance(5)
    assert reve("download", job).out == f"a-red-fox-{job}.png\n"
    assert reve("download", job, "--out", "{seed}.{ext}").out == "4.png\n"
    Path("4.png").write_bytes(b"another")
    again = reve("download", job, "--out", "{seed}.{ext}")
    assert (again.code, again.out) == (7, "")
    assert "4.png exists" in again.stderr


def test_the_time_limit_ends_waiting_with_the_command_that_continues(
    reve: Reve, simulate: Simulate, journal: bool
) -> None:
    sandbox = simulate(faults=parse_faults("outcome:forever"))
    result = reve("generate", "fox", "--out", "it's.png", "--timeout", "9", "--json")
    assert (result.code, result.document["error"]["code"]) == (75, "unfinished")
    job = sandbox.jobs()[0].id
    command = f"reve resume {job}" if journal else f"""reve wait {job} '--out=it'"'"'s.png'"""
    assert result.stderr.splitlines()[-1] == command
    assert result.document["error"]["hint"] == result.stderr.splitlines()[-1]


def test_a_time_limit_before_any_job_exits_with_6(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("submit:429/9"))
    result = reve("generate", "fox", "--count", "20", "--timeout", "10", "--json")
    assert {document["error"]["exitCode"] for document in result.documents} == {6}
    assert not sandbox.jobs()


def test_a_hundred_jobs_are_polled_together(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--count", "100", "--out", "{index}.{ext}")
    assert result.code == 0
    assert result.out.split() == [f"{index}.png" for index in range(1, 101)]
    by_id = [request for request in sandbox.requests if request.path.startswith("/v2/jobs/")]
    assert len(by_id) <= 1  # the first look, while there is one job


def test_jobs_on_several_pages_are_found(reve: Reve, sandbox: Sandbox) -> None:
    jobs: list[str] = []
    for _ in range(3):
        jobs += reve("generate", "fox", "--no-wait", "--count", "50").out.split()
    result = reve("wait", "-", stdin="\n".join(jobs).encode())
    assert result.code == 0
    assert len(result.out.splitlines()) == 150


def test_jobs_older_than_the_first_page_are_polled_by_id(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(job_seconds=30.0)
    early = reve("generate", "fox", "--no-wait", "--count", "2").out.split()
    for _ in range(2):
        reve("generate", "fox", "--no-wait", "--count", "100")
    assert reve("wait", *early).code == 0
    assert sandbox.jobs()[0].status == "COMPLETED"


def test_quiet_prints_only_errors(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--out", "a.png", "-q").stderr == ""
    assert "exists" in reve("generate", "fox", "--out", "a.png", "-q").stderr


def test_sandbox_jobs_are_marked_simulated_and_send_nothing(reve: Reve, sandbox: Sandbox) -> None:
    reve.environ |= {"APIFRAME_API_KEY": "", "REVE_SANDBOX": "1"}
    result = reve("generate", "fox", "--out", "fox.png", "--json")
    assert result.code == 0
    assert result.document["simulated"] is True
    assert "simulated" in result.stderr
    assert not sandbox.requests
    job = result.document["jobId"]
    assert reve("status", job, "--json").document["status"] == "COMPLETED"
    assert reve("sandbox", "reset").code == 0
    assert reve("status", job).code == 8


def test_jobs_of_a_served_sandbox_are_marked_simulated(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "fox", "--no-wait", "--json").document["simulated"] is True


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["generate", "-h"], ["sandbox", "serve", "--help"]])
def test_help_goes_to_stdout_and_exits_with_0(reve: Reve, arguments: list[str]) -> None:
    result = reve(*arguments)
    assert result.code == 0
    assert "Usage: reve" in result.out
    assert result.stderr == ""


def test_garbage_is_collected_while_a_command_runs() -> None:
    code = "import atexit, gc, sys; from reve_cli.__main__ import main; atexit.register(lambda: print(gc.isenabled()));"
    command = [sys.executable, "-c", f"{code} sys.argv[1:] = ['config', 'path']; main()"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("\nTrue\n")


def test_the_version_is_one_line(reve: Reve) -> None:
    from reve_cli import __version__

    assert reve("--version").out == f"reve {__version__}\n"


def test_debug_shows_requests_and_responses(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "a debuggable fox", "--out", "fox.png", "--debug")
    assert result.code == 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("debug: ")]
    assert any("POST /v2/images/generate" in line and "202" in line for line in lines)
    assert any("a debuggable fox" in line for line in lines)
    assert any("GET image" in line for line in lines)


def test_an_internal_error_exits_with_1_and_shows_a_traceback_only_with_debug(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import random

    monkeypatch.setattr(random, "SystemRandom", None)
    result = reve("generate", "fox", "--seed", "random", "--json")
    assert (result.code, result.document["error"]["code"]) == (1, "internal")
    assert "Traceback" not in result.stderr
    assert "Traceback" in reve("generate", "fox", "--seed", "random", "--debug").stderr
