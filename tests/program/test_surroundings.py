"""Unusual surroundings: other users, no home, read-only folders, odd environments, nobody at the keyboard.

Each is real, in a child process. Either the image is saved, or one clear line says what is wrong.
"""

import contextlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from reve_cli.commands.root import tree
from reve_cli.sandbox import Sandbox
from tests.conftest import KEY, Result, Reve
from tests.support.namespaces import require_root, within
from tests.support.terminal import PATIENCE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX users, permissions and mounts")

JOB = "3f2a9c1e-0000-4000-8000-000000000001"
NOBODY = 12345  # a user id that this machine does not know
API = ("APIFRAME_BASE_URL", "APIFRAME_API_KEY")


def run(command: list[str], environ: Mapping[str, str], cwd: Path | None = None) -> Result:
    """Run a command without a terminal. It must end, and never with a traceback."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        # coverage would need a folder that this user may write to
        env={name: value for name, value in environ.items() if not name.startswith("COVERAGE")},
        cwd=cwd,
        capture_output=True,
        timeout=PATIENCE,
        start_new_session=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Warning" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def is_image(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def all_goes_well(reve: Reve, environ: Mapping[str, str], prefix: tuple[str, ...] = ()) -> list[str]:
    """Make an image, show its job, version and help. Returns the lines that `generate` prints on stderr."""
    made = run([*prefix, *reve.command("generate", "a red fox", "--out", "fox.png")], environ)
    assert (made.code, made.out) == (0, "fox.png\n"), made.stderr
    assert is_image(Path("fox.png"))
    found = run([*prefix, *reve.command("status", made.stderr.partition(" accepted")[0].split()[-1])], environ)
    assert (found.code, found.stderr) == (0, ""), found.stderr
    for argument, beginning in (("--version", "reve "), ("--help", "")):
        told = run([*prefix, *reve.command(argument)], environ)
        assert (told.code, told.stderr) == (0, "")
        assert told.out.startswith(beginning)
    return made.stderr.splitlines()


# Environments


@pytest.mark.parametrize(
    "change",
    [
        {"TERM": "dumb"},
        {"TERM": None},
        {"LC_ALL": "C", "PYTHONUTF8": None},
        {"LC_ALL": "xx_YY.utf8", "LANG": "nonsense", "PYTHONUTF8": None},
        {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": None},
        {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": None},
        {"COLUMNS": "40", "LINES": "5"},
        {"COLUMNS": "nonsense"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONDEVMODE": "1"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONSAFEPATH": "1"},
        {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        {"TZ": "nonsense/nowhere"},
        {"TMPDIR": "/nonexistent"},
    ],
    ids=lambda change: " ".join(f"{name}={value}" for name, value in change.items()),
)
def test_unusual_environment_variables_change_nothing(reve: Reve, live: Sandbox, change: dict[str, str | None]) -> None:
    if "PYTHONSAFEPATH" in change:
        root = str(Path(__file__).parents[2])
        change = {**change, "PYTHONPATH": root}  # else a checkout that is not installed is not found
    environ = {**reve.environ, **{name: value or "" for name, value in change.items()}}
    environ = {name: value for name, value in environ.items() if change.get(name, value) is not None}
    said = all_goes_well(reve, environ)
    assert len(said) == 2, said  # accepted, and saved


def test_reve_works_in_an_empty_environment(reve: Reve, live: Sandbox) -> None:
    """As under `env -i` and cron."""
    environ = {name: reve.environ[name] for name in API} | {"PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": "/nonexistent"}
    assert "crash safety is off" not in " ".join(all_goes_well(reve, {**environ, "REVE_STATE_DIR": "state"}))
    assert Path("state/journal.db").is_file()


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0, 0o666)], ids=["077", "022", "0"])
def test_images_get_the_umasks_permissions_and_the_journal_is_private(
    reve: Reve, live: Sandbox, home: Path, mask: int, mode: int
) -> None:
    all_goes_well(reve, reve.environ, ("sh", "-c", f'umask {mask:o} && exec "$@"', "sh"))
    assert stat.S_IMODE(Path("fox.png").stat().st_mode) == mode
    (journal,) = home.rglob("journal.db")
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.parent.stat().st_mode) == 0o700


# Users


@pytest.fixture
def stranger(reve: Reve, live: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """A command prefix that runs a command as a user without a name or a home, in a folder of its own."""
    require_root()
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    folder = Path(tempfile.mkdtemp())  # pytest's folders are below a folder of root
    os.chown(folder, NOBODY, NOBODY)
    monkeypatch.chdir(folder)
    try:
        if not shutil.which("setpriv") or run([*prefix, *reve.command("--version")], reve.environ).code:
            pytest.skip("no other user can run this Python")
        yield prefix
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("home", [None, "", "/nonexistent", "/"])
def test_a_user_without_a_home_makes_images_and_is_warned(
    reve: Reve, stranger: tuple[str, ...], home: str | None
) -> None:
    environ = {name: value for name, value in reve.environ.items() if name != "HOME"}
    said = all_goes_well(reve, environ if home is None else {**environ, "HOME": home}, stranger)
    assert len(said) == 3, said
    assert said[0].startswith("warning: crash safety is off: ")
    assert "REVE_STATE_DIR" in said[0]
    assert Path("fox.png").stat().st_uid == NOBODY


def test_a_home_of_another_user_is_a_configuration_error(
    reve: Reve, live: Sandbox, stranger: tuple[str, ...], home: Path
) -> None:
    """It may contain a config file with spending caps, which reve cannot read."""
    result = run([*stranger, *reve.command("generate", "a red fox")], reve.environ)
    assert (result.code, result.out, live.jobs()) == (2, "", [])
    (error,) = result.stderr.splitlines()
    assert error.startswith(f"error: {home / '.config' / 'reve' / 'config.toml'} cannot be read: ")


def test_a_user_without_a_home_can_name_a_state_folder(reve: Reve, stranger: tuple[str, ...]) -> None:
    environ = {name: value for name, value in reve.environ.items() if name != "HOME"}
    environ["REVE_STATE_DIR"] = os.path.abspath("state")
    assert len(all_goes_well(reve, environ, stranger)) == 2
    resumed = run([*stranger, *reve.command("resume")], environ)
    assert (resumed.code, resumed.stderr) == (0, "nothing to finish\n")


@pytest.mark.parametrize("command", [("resume",), ("history",), ("resume", "--dry-run")], ids=" ".join)
def test_commands_about_the_journal_say_why_there_is_none(
    reve: Reve, stranger: tuple[str, ...], command: tuple[str, ...]
) -> None:
    environ = {name: value for name, value in reve.environ.items() if name != "HOME"}
    result = run([*stranger, *reve.command(*command)], environ)
    assert (result.code, result.out) == (7, "")
    assert result.stderr == "error: there is no home folder to keep the journal in; set REVE_STATE_DIR\n"


def test_another_users_folder_is_refused_before_payment(
    reve: Reve, live: Sandbox, stranger: tuple[str, ...], tmp_path: Path
) -> None:
    os.chown(os.curdir, 0, 0)
    os.chmod(os.curdir, 0o755)  # noqa: S103
    result = run([*stranger, *reve.command("generate", "a red fox")], {**reve.environ, "HOME": "/"})
    assert (result.code, result.out, live.jobs()) == (7, "", [])
    assert "Permission denied" in result.stderr


# Folders


@pytest.mark.parametrize("mode", [0, 0o111, 0o333], ids=["---", "--x", "-wx"])
def test_an_unreadable_working_folder_is_not_searched(
    reve: Reve, live: Sandbox, stranger: tuple[str, ...], mode: int, tmp_path: Path
) -> None:
    """An image that goes elsewhere is saved."""
    elsewhere = Path(tempfile.mkdtemp())
    os.chown(elsewhere, NOBODY, NOBODY)
    os.chmod(os.curdir, mode)
    environ = {**reve.environ, "HOME": "/", "REVE_STATE_DIR": str(elsewhere / "state")}
    try:
        result = run([*stranger, *reve.command("generate", "a red fox", "--out", f"{elsewhere}/fox.png")], environ)
        assert result.code == 0, result.stderr
        assert is_image(elsewhere / "fox.png")
        here = run([*stranger, *reve.command("generate", "a red fox", "--out", "fox.png")], environ)
        assert here.code == (0 if mode == 0o333 else 7), here.stderr
        assert len(live.jobs()) == (2 if mode == 0o333 else 1)
    finally:
        os.chmod(os.curdir, 0o700)
        shutil.rmtree(elsewhere)


def test_a_removed_working_folder_is_reported(reve: Reve, live: Sandbox, tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    def there(*arguments: str) -> Result:
        gone.mkdir()
        script = f'cd {shlex.quote(str(gone))} && rmdir {shlex.quote(str(gone))} && exec "$@"'
        return run(["sh", "-c", script, "sh", *reve.command(*arguments)], reve.environ)

    assert there("--version").code == 0
    nowhere = there("generate", "a red fox")
    assert (nowhere.code, live.jobs()) == (7, []), nowhere.stderr
    assert len(nowhere.stderr.splitlines()) <= 2
    result = there("generate", "a red fox", "--out", str(tmp_path / "fox.png"))
    assert result.code == 0, result.stderr
    assert is_image(tmp_path / "fox.png")
    assert there("status", live.jobs()[0].id).code == 0
    assert there("resume").code == 0


def test_a_read_only_system_needs_one_writable_folder(reve: Reve, live: Sandbox, tmp_path: Path, home: Path) -> None:
    """As in `docker run --read-only --tmpfs /out`."""
    out = tmp_path / "out"
    out.mkdir()
    before = f"mount -t tmpfs tmpfs {shlex.quote(str(out))} && mount -o remount,bind,ro / && cd {shlex.quote(str(out))}"
    script = shlex.join(reve.command("generate", "a red fox", "--out", "fox.png")) + " && head -c 4 fox.png"
    resume = shlex.join(reve.command("resume"))

    def there(environ: Mapping[str, str]) -> Result:
        return run(within({}, ["sh", "-c", f"{script} && {resume}"], before=before), environ)

    lost = there(reve.environ)
    assert lost.stdout == b"fox.png\n\x89PNG", lost.stderr
    assert lost.stderr.startswith("warning: crash safety is off: ")
    assert "Read-only file system" in lost.stderr
    kept = there({**reve.environ, "REVE_STATE_DIR": str(out / "state")})
    assert (kept.code, kept.stdout) == (0, b"fox.png\n\x89PNG"), kept.stderr
    assert "warning" not in kept.stderr
    assert not list(home.rglob("*.db"))


def test_a_read_only_home_causes_a_warning(reve: Reve, live: Sandbox, home: Path) -> None:
    prefix = within({}, [], before=f"mount --bind {home} {home} && mount -o remount,bind,ro {home}")
    said = all_goes_well(reve, reve.environ, tuple(prefix))
    assert len(said) == 3, said
    assert said[0].startswith("warning: crash safety is off: ")


@pytest.mark.parametrize(
    ("make", "code"), [(Path.touch, 7), (lambda path: path.symlink_to("/nonexistent/x"), 0)], ids=["file", "link"]
)
def test_an_unusable_state_folder_causes_a_warning(
    reve: Reve, live: Sandbox, tmp_path: Path, make: Callable[[Path], None], code: int
) -> None:
    state = tmp_path / "state"
    make(state)
    environ = {**reve.environ, "REVE_STATE_DIR": str(state)}
    said = all_goes_well(reve, environ)
    assert said[0].startswith("warning: crash safety is off: ")
    assert str(state) in said[0]
    simulated = run(reve.command("generate", "a red fox", "--sandbox"), environ)
    assert (simulated.code, simulated.out) == (2, "")
    assert str(state) in simulated.stderr
    resumed = run(reve.command("resume"), environ)
    assert (resumed.code, len(resumed.stderr.splitlines())) == (code, 1), resumed.stderr


# Nobody at the keyboard


def leaves(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every command, with values for its required arguments."""
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from leaves(child, (*words, name))
    parameters = getattr(command, "params", [])
    demanded = [JOB for parameter in parameters if parameter.required and parameter.param_type_name == "argument"]
    limit = ["--timeout", "1"] if any("--timeout" in parameter.opts for parameter in parameters) else []
    yield words, [*demanded, *limit]


@pytest.mark.parametrize("stdin", ["a pipe that never ends", "nothing"])
def test_no_command_waits_for_somebody_to_type(reve: Reve, stdin: str) -> None:
    """Only `-` reads standard input, and only `sandbox serve` keeps running."""
    environ = {**reve.environ, "APIFRAME_BASE_URL": "http://127.0.0.1:9", "APIFRAME_API_KEY": KEY}
    reader, writer = os.pipe()
    running: list[tuple[list[str], subprocess.Popen[bytes]]] = []
    for words, arguments in leaves(tree()):
        if words == ("sandbox", "serve"):
            continue
        command = reve.command(*words, *arguments)
        source = reader if stdin.startswith("a pipe") else subprocess.DEVNULL
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        running.append((command, process))
    try:
        for command, process in running:
            _, said = process.communicate(timeout=PATIENCE)
            assert b"Traceback" not in said, (command, said)
            assert process.returncode >= 0, (command, said)
    finally:
        for _, process in running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        os.close(reader)
        os.close(writer)


def test_every_command_is_tried() -> None:
    tried = {words for words, _ in leaves(tree())}
    assert {(), ("generate",), ("history",), ("history", "show"), ("sandbox", "serve")} <= tried
