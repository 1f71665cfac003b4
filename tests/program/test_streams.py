"""The program in shell scripts: pipes, closed and full streams, encodings. Real processes and real pipes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Result, Reve
from tests.support.pictures import as_sent
from tests.support.terminal import PATIENCE, eventually, running, with_reve_on_path

if sys.platform != "win32":
    import fcntl
    from signal import SIGPIPE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes and a POSIX shell")

PNG = b"\x89PNG"
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture
def shell(reve: Reve, live: Sandbox, tmp_path: Path) -> "Shell":
    return Shell(reve, tmp_path)


class Shell:
    """bash with `reve` on its PATH and with `pipefail`."""

    def __init__(self, reve: Reve, folder: Path) -> None:
        self._environ = with_reve_on_path(reve.command(), reve.environ, folder)

    def __call__(self, script: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Result:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            input=stdin,
            env={**self._environ, **(env or {})},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def images() -> list[str]:
    """The names of the images in the working folder. Fails if it holds anything else."""
    names = sorted(os.listdir())
    assert all(Path(name).read_bytes().startswith(PNG) for name in names)
    return names


def kept(home: Path) -> list[Path]:
    """The images in the state folder."""
    return [path for path in home.rglob("*.png") if path.read_bytes().startswith(PNG)]


# A stalled reader of stdout


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="cannot set the size of a pipe")
def test_a_stalled_reader_delays_no_command_beyond_its_time_limit(
    reve: Reve, live: Sandbox, home: Path, tmp_path: Path
) -> None:
    reve.leap = tmp_path / "leap"
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    command = reve.command("generate", "fox", "--out", "-", "--timeout", "30m")
    with running(command, stdout=writer, stderr=subprocess.PIPE, env=reve.environ) as process:
        os.close(writer)
        eventually(lambda: kept(home), "the image")
        reve.leap.touch()
        _, said = process.communicate(timeout=PATIENCE)
    os.close(reader)
    assert process.returncode == 75
    (image,) = kept(home)
    assert said.decode().splitlines()[-1] == f"cat {image}"


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="cannot set the size of a pipe")
def test_a_stalled_reader_does_not_delay_a_signal(reve: Reve, live: Sandbox, home: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    command = reve.command("generate", "fox", "--out", "-")
    with running(command, stdout=writer, stderr=subprocess.PIPE, env=reve.environ) as process:
        os.close(writer)
        eventually(lambda: kept(home), "the image")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    os.close(reader)
    assert process.returncode == -signal.SIGTERM
    assert b"kept" in err


def test_dev_stdout_is_standard_output(shell: Shell) -> None:
    assert shell("reve generate fox --out /dev/stdout | cat").stdout.endswith(b"IEND\xaeB`\x82")
    assert shell("reve generate fox --out /dev/stdout --json | cat").code == 2


def test_sandbox_serve_exits_1_if_it_cannot_print_its_address(shell: Shell) -> None:
    if FULL.exists():
        assert shell("reve sandbox serve >/dev/full").code == 1
    assert shell("reve sandbox serve >&-").code == 1


# A reader of stdout that exits early


def test_all_images_are_saved_after_the_reader_exits(reve: Reve, live: Sandbox) -> None:
    """The program stops printing, goes on saving, and at the end dies by SIGPIPE as a filter does."""
    reader, writer = os.pipe()
    os.close(reader)
    command = reve.command("generate", "fox", "--count", "3", "--out", "fox.png")
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, env=reve.environ, timeout=PATIENCE, check=False
    )
    os.close(writer)
    assert done.returncode == -SIGPIPE
    assert images() == ["fox-1.png", "fox-2.png", "fox-3.png"]
    assert done.stderr.count(b"saved fox-") == 3
    assert b"error" not in done.stderr


@pytest.mark.parametrize("reader", ["true", "head -c0", "exec <&-"])
def test_in_a_pipeline_a_reader_that_exits_causes_141(shell: Shell, reader: str) -> None:
    assert shell(f"reve generate fox --count 2 --out fox.png | {reader}").code == 141
    assert images() == ["fox-1.png", "fox-2.png"]


def test_head_gets_its_line_and_all_images_are_saved(shell: Shell) -> None:
    result = shell("reve generate fox --count 3 --out fox.png | head -n1; exit 0")
    assert result.out == "fox-1.png\n"
    assert len(images()) == 3


@pytest.mark.parametrize(
    "command",
    ["reve --help", "reve generate --help", "reve --version", "reve"],
)
def test_help_into_a_closed_pipe_prints_no_error(reve: Reve, live: Sandbox, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = reve.command(*command.split()[1:])
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=reve.environ, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-SIGPIPE, b"")


def test_a_closed_pipe_at_stderr_changes_nothing(reve: Reve, live: Sandbox) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = reve.command("generate", "fox", "--out", "fox.png")
    done = subprocess.run(command, stderr=writer, stdout=subprocess.PIPE, env=reve.environ, check=False)
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, b"fox.png\n")


# Closed and full streams


def test_a_closed_stdout_is_reported_and_the_images_are_saved(shell: Shell) -> None:
    result = shell("reve generate fox --count 5 --out fox.png >&-")
    assert result.code == 1
    assert result.stderr.splitlines()[-1] == "error: cannot write to standard output: it is closed"
    assert len(images()) == 5


def test_a_closed_stderr_changes_nothing(shell: Shell) -> None:
    result = shell("reve generate fox --out fox.png 2>&-")
    assert (result.code, result.out) == (0, "fox.png\n")
    assert shell("reve generate fox --out fox.png 2>&-").code == 7


def test_images_are_saved_with_all_streams_closed(shell: Shell) -> None:
    assert shell("reve generate fox --out fox.png <&- >&- 2>&-").code == 1
    assert images() == ["fox.png"]


@needs_full
@pytest.mark.parametrize("flags", ["", "--json", "--quiet"])
def test_a_full_device_at_stdout_is_reported_once_and_the_images_are_saved(shell: Shell, flags: str) -> None:
    result = shell(f"reve generate fox --count 2 --out fox.png {flags} >/dev/full")
    assert result.code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert errors == ["error: cannot write to standard output: No space left on device"]
    assert images() == ["fox-1.png", "fox-2.png"]


@needs_full
@pytest.mark.parametrize("command", ["status", "wait"])
def test_a_result_that_cannot_be_written_exits_1(shell: Shell, command: str) -> None:
    job = shell("reve generate fox --no-wait").out.strip()
    result = shell(f"reve {command} {job} >/dev/full")
    assert result.code == 1
    assert "cannot write to standard output" in result.stderr


@needs_full
@pytest.mark.parametrize("command", ["reve --help", "reve generate --help", "reve --version", "reve"])
def test_help_that_cannot_be_written_exits_1(shell: Shell, command: str) -> None:
    result = shell(f"{command} >/dev/full")
    assert result.code == 1
    assert result.stderr.startswith("error: cannot write to standard output")


@needs_full
def test_a_full_device_at_stderr_changes_nothing(shell: Shell) -> None:
    result = shell("reve generate fox --out fox.png 2>/dev/full")
    assert (result.code, result.out) == (0, "fox.png\n")


@needs_full
def test_a_full_device_does_not_hide_an_unfinished_job(shell: Shell, live: Sandbox) -> None:
    live.faults[:] = parse_faults("job:401")
    assert shell("reve generate fox --json >/dev/full").code == 75


# Images on stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_out_dash_writes_exactly_the_bytes_of_the_image(shell: Shell, unbuffered: str) -> None:
    assert shell("reve generate fox --seed 1 --out fox.png").code == 0
    piped = shell("reve generate fox --seed 1 --out - | cat", env={"PYTHONUNBUFFERED": unbuffered})
    assert piped.code == 0
    assert hashlib.sha256(piped.stdout).hexdigest() == as_sent("fox.png")
    redirected = shell("reve generate fox --seed 1 --out - > copy.png", env={"PYTHONUNBUFFERED": unbuffered})
    assert redirected.code == 0
    assert Path("copy.png").read_bytes() == piped.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_out_dash_into_a_small_nonblocking_pipe_writes_the_whole_image(
    reve: Reve, live: Sandbox, home: Path, unbuffered: str
) -> None:
    """Node.js and others give their child processes nonblocking pipes."""
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    environ = {**reve.environ, "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(reve.command("generate", "fox", "--out", "-"), stdout=writer, env=environ)
    os.close(writer)
    eventually(lambda: kept(home), "an image larger than the pipe")
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    assert process.wait(PATIENCE) == 0
    assert data == kept(home)[0].read_bytes()


def test_an_image_is_kept_after_its_reader_exits_and_stderr_says_where(reve: Reve, live: Sandbox, home: Path) -> None:
    for flags in ([], ["--quiet"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            reve.command("generate", "fox", "--out", "-", *flags),
            stdout=writer,
            stderr=subprocess.PIPE,
            env=reve.environ,
            check=False,
        )
        os.close(writer)
        assert done.returncode == -SIGPIPE
        (last,) = [path for path in kept(home) if str(path) in done.stderr.decode()]
        assert last.parent.stat().st_mode & 0o777 == 0o700


@needs_full
def test_an_image_that_cannot_be_written_is_kept_and_the_last_line_prints_it(shell: Shell, home: Path) -> None:
    result = shell("reve generate fox --out - >/dev/full", env={"REVE_STATE_DIR": str(home / "a state's folder")})
    assert result.code == 75
    again = shell(result.stderr.splitlines()[-1])
    assert again.stdout == kept(home)[0].read_bytes()


def test_out_to_dev_null_discards_the_image(shell: Shell, live: Sandbox, home: Path) -> None:
    result = shell("reve generate fox --out /dev/null")
    assert (result.code, result.out) == (0, "/dev/null\n")
    assert Path("/dev/null").is_char_device()
    assert (images(), kept(home)) == ([], [])


def test_out_may_be_a_named_pipe(shell: Shell, home: Path) -> None:
    os.mkfifo("pipe")
    result = shell("cat pipe > fox.png & reve generate fox --out pipe && wait && rm pipe")
    assert (result.code, result.out) == (0, "pipe\n")
    assert images() == ["fox.png"]


def test_out_dash_works_with_tee_and_a_checksum(shell: Shell) -> None:
    result = shell("reve generate fox --seed 1 --out - | tee fox.png | sha256sum")
    assert result.out.split()[0] == hashlib.sha256(Path("fox.png").read_bytes()).hexdigest()


# JSON


@pytest.mark.parametrize(
    ("arguments", "faults", "code"),
    [
        (["generate", "fox"], "", 0),
        (["generate", "fox", "--count", "3"], "", 0),
        (["generate", "fox", "--no-wait"], "", 0),
        (["generate", "fox"], "outcome:fail", 5),
        (["generate", "fox", "--count", "3"], "outcome:fail*1", 5),
        (["generate", "fox"], "submit:402", 4),
        (["generate", "fox"], "submit:401", 3),
        (["generate", "fox"], "submit:400", 2),
        (["generate", ""], "", 2),
        (["generate", "fox", "--seed", "x"], "", 2),
        (["generate", "fox", "--count", "many"], "", 2),
        (["generate", "fox", "--out", "no/such/folder.png"], "", 7),
        (["generate", "fox", "--nonsense"], "", 2),
        (["generate"], "", 2),
        (["status", "nonsense"], "", 2),
        (["status", "01234567-89ab-cdef-0123-456789abcdef"], "", 8),
        (["wait", "-"], "", 2),
        (["download"], "", 2),
    ],
)
def test_with_json_every_line_is_a_document_for_errors_too(
    reve: Reve, live: Sandbox, arguments: list[str], faults: str, code: int
) -> None:
    live.faults[:] = parse_faults(faults)
    result = reve.child(*arguments, "--json")
    assert result.code == code, result.stderr
    assert result.documents
    assert result.out.isascii()
    assert max(document["error"]["exitCode"] if document["error"] else 0 for document in result.documents) == code
    assert (code == 0) == ("error: " not in result.stderr)


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (["generate", "fox"], "outcome:fail"),
        (["generate", "fox"], "submit:402"),
        (["generate", "fox", "--no-wait"], "submit:401"),
        (["generate"], ""),
        (["generate", "fox", "--nonsense"], ""),
        (["nonsense"], ""),
        (["status", "01234567-89ab-cdef-0123-456789abcdef"], ""),
        (["wait", "nonsense"], ""),
        (["generate", "fox", "--out", "-", "--timeout", "1"], "outcome:forever"),
    ],
)
def test_stdout_is_empty_after_an_error(reve: Reve, live: Sandbox, arguments: list[str], faults: str) -> None:
    live.faults[:] = parse_faults(faults)
    result = reve.child(*arguments)
    assert result.code != 0
    assert result.stdout == b""
    assert result.stderr.startswith(("error: ", "job "))


def test_each_document_is_printed_when_its_job_ends(reve: Reve, live: Sandbox) -> None:
    """A reader gets the first document while another job is still running."""
    ids: list[str] = []
    for seconds in (0, 3600):
        live._job_seconds = seconds
        ids.append(reve.child("generate", "fox", "--no-wait").out.strip())
    command = reve.command("wait", *ids, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=reve.environ) as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        assert (document["jobId"], document["status"]) == (ids[0], "COMPLETED")
        assert process.poll() is None
        process.kill()


# Encodings


UMLAUTS = "füchse-λ-🦊"
ENCODINGS = {
    "C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": ""},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": ""},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
}
in_any_locale = pytest.mark.parametrize("env", ENCODINGS.values(), ids=list(ENCODINGS))


@in_any_locale
def test_a_printed_path_can_be_opened_in_any_locale(shell: Shell, live: Sandbox, env: dict[str, str]) -> None:
    result = shell(f"reve generate {UMLAUTS} --out {UMLAUTS}.png", env)
    assert result.code == 0, result.stderr
    assert os.fsdecode(result.stdout) == f"{UMLAUTS}.png\n"
    assert images() == [f"{UMLAUTS}.png"]
    (job,) = live.jobs()
    assert job.body["prompt"] == UMLAUTS


@in_any_locale
def test_a_name_made_from_the_prompt_can_be_opened_in_any_locale(shell: Shell, env: dict[str, str]) -> None:
    result = shell("reve generate -", env, stdin="Füchse λ 🦊".encode())
    assert result.code == 0, result.stderr
    assert [os.fsdecode(result.stdout.removesuffix(b"\n"))] == images()


@in_any_locale
def test_json_is_the_same_in_any_locale(shell: Shell, env: dict[str, str]) -> None:
    result = shell(f"reve generate {UMLAUTS} --json", env)
    assert result.code == 0, result.stderr
    assert result.document["prompt"] == UMLAUTS
    assert images() == [result.document["files"][0]["path"]]


@pytest.mark.parametrize("script", ["reve generate -", "reve generate - --out '{slug}.png'"])
def test_nothing_is_submitted_if_the_locale_cannot_encode_the_file_name(
    shell: Shell, live: Sandbox, script: str
) -> None:
    result = shell(script, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, stdin="Füchse".encode())
    assert result.code in (0, 2, 7), result.stderr
    assert len(live.jobs()) == len(images()) == (1 if result.code == 0 else 0)


def test_a_file_name_that_is_not_utf_8_is_printed_unchanged(reve: Reve, live: Sandbox) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Path(name).touch()
    except OSError:
        pytest.skip("this file system allows only UTF-8 names")
    Path(name).unlink()
    result = reve.child("generate", "fox", "--out", name)
    assert (result.code, result.stdout) == (0, b"caf\xe9.png\n")
    assert images() == [name]
    assert len(reve.child("generate", "fox", "--out", "x.png", "--json").documents) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_error_quotes_any_text_in_any_encoding(reve: Reve, live: Sandbox, encoding: str) -> None:
    result = subprocess.run(
        reve.command("generate", "fox", "--ar", UMLAUTS),
        env={**reve.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: --aspect-ratio ")
    assert result.stdout == b""


# Shell scripts


def test_a_prompt_from_a_pipe_loses_only_one_trailing_newline(shell: Shell, live: Sandbox) -> None:
    assert shell("echo '  a prompt' | reve generate -").code == 0
    assert shell("printf 'two\\nlines\\n\\n' | reve generate -").code == 0
    assert shell("printf 'dos\\r\\n' | reve generate -").code == 0
    assert [job.body["prompt"] for job in live.jobs()] == ["a prompt", "two\nlines\n", "dos"]


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-"])
@pytest.mark.parametrize("command", ["generate -", "wait -", "status -", "download -"])
def test_an_empty_stdin_is_a_usage_error(shell: Shell, live: Sandbox, command: str, stdin: str) -> None:
    result = shell(f"reve {command} {stdin}")
    assert (result.code, result.out) == (2, "")
    assert result.stderr.startswith("error: ")
    assert live.requests == []


def test_commands_read_stdin_only_if_asked_to(shell: Shell) -> None:
    """A `while read` loop around the program keeps its own input."""
    script = """while read -r prompt; do reve generate "$prompt" --out "$prompt.png" --quiet; done"""
    result = shell(script, stdin=b"one\ntwo\nthree\n")
    assert (result.code, result.out) == (0, "one.png\ntwo.png\nthree.png\n")
    assert shell("reve generate four --out four.png <&-").code == 0
    assert len(images()) == 4


def test_job_ids_can_be_piped_from_one_command_to_the_next(shell: Shell) -> None:
    result = shell("reve generate fox --count 3 --no-wait | reve wait - --out '{index}.png'")
    assert (result.code, result.out) == (0, "1.png\n2.png\n3.png\n")
    assert images() == ["1.png", "2.png", "3.png"]


def test_xargs_passes_one_prompt_per_line(shell: Shell, live: Sandbox) -> None:
    script = "xargs -d '\\n' -n1 -P2 reve generate --out '{slug}.png' --quiet"
    if sys.platform == "darwin":
        pytest.skip("xargs of this system lacks -d")
    result = shell(script, stdin=b"a red fox\nit's blue\n")
    assert result.code == 0, result.stderr
    assert sorted(result.out.split()) == images() == ["a-red-fox.png", "it-s-blue.png"]


def test_xargs_goes_on_after_a_failed_job_and_reports_it(shell: Shell, live: Sandbox) -> None:
    live.faults[:] = parse_faults("outcome:fail*1")
    result = shell("printf 'one two' | xargs -n1 reve generate --out '{slug}.png'")
    assert result.code == 123
    assert images() == ["two.png"]


def test_a_chain_of_commands_goes_on_only_after_success(shell: Shell, live: Sandbox) -> None:
    live.faults[:] = parse_faults("outcome:fail*1")
    assert shell("reve generate fox --out fox.png && echo done").out == ""
    assert shell("reve generate fox --out fox.png && echo done").out == "fox.png\ndone\n"
    assert shell("reve generate fox --out fox.png || echo $?").out == "7\n"


def test_a_script_can_store_the_printed_path_in_a_variable(shell: Shell) -> None:
    result = shell("""set -e; file=$(reve generate "it's \"fox\" & more" --quiet); test -s "$file"; echo ok""")
    assert (result.code, result.out, result.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize("command", ["generate - --no-wait", "status -", "wait -"])
def test_the_time_limit_applies_to_reading_stdin(reve: Reve, live: Sandbox, command: str) -> None:
    reader, writer = os.pipe()
    arguments = [*command.split(), "--timeout", "1"]
    done = subprocess.run(
        reve.command(*arguments), stdin=reader, capture_output=True, env=reve.environ, timeout=PATIENCE, check=False
    )
    os.close(writer)
    os.close(reader)
    assert done.returncode == 6
    assert b"standard input" in done.stderr
    assert not live.jobs()


def test_out_dev_stdout_works_if_stdout_is_a_file(shell: Shell) -> None:
    assert shell("reve generate fox --out /dev/stdout >fox.png").code == 0
    assert Path("fox.png").read_bytes().startswith(PNG)
    assert Path("fox.png").read_bytes().endswith(b"IEND\xaeB`\x82")
