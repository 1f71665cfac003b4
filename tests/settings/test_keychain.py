"""The system keychain: a real one if this machine can run one, and the ways in which it can be missing."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from reve_cli.settings.config import read_config
from tests.conftest import KEY, Result, Reve
from tests.program.test_secrets import SPAWNING, betrays
from tests.support.keychains import MadeUpKeychain
from tests.support.terminal import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this would be the user's own keychain")

DAEMON = "gnome-keyring-daemon"


@pytest.fixture
def reve(reve: Reve, live: Sandbox) -> Reve:
    """reve with no key in any environment variable."""
    del reve.environ["APIFRAME_API_KEY"]
    return reve


def in_session(reve: Reve, script: str, *, locked: bool = False) -> Result:
    """Run a script in a desktop session with a Secret Service. Its keychain is unlocked, unless `locked`."""
    pytest.importorskip("secretstorage", reason="the Secret Service needs the package SecretStorage")
    for tool in ("dbus-run-session", DAEMON):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    begin = f"echo -n password | {DAEMON} --unlock --components=secrets >daemon 2>&1"
    if locked:
        begin = f"{DAEMON} --start --components=secrets >daemon 2>&1"
    reve_of_this_test = f'reve() {{ {sys.executable} -m reve_cli "$@"; }}'
    done = subprocess.run(
        ["dbus-run-session", "--", "bash", "-c", f"{begin}\n{reve_of_this_test}\n{script}"],
        env=reve.environ, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    if b"no such file" in done.stderr.lower() or b"failed to start message bus" in done.stderr.lower():
        pytest.skip(f"no session bus can be started here: {done.stderr.decode()}")
    return Result(done.returncode, done.stdout, done.stderr.decode())


# A real keychain


def test_login_use_and_logout_with_a_real_keychain(reve: Reve, file: Path, tmp_path: Path) -> None:
    file.write_text("# mine\ntimeout = 30\n")
    script = f"""
        set -e
        echo {KEY} | reve auth login --with-key
        cat {file}
        reve auth status
        reve generate fox --out fox.png
        echo {KEY} | reve auth login --with-key --quiet
        reve auth logout
        cat {file}
        reve auth logout
        reve auth status || echo "then $?"
    """
    result = in_session(reve, script)
    assert result.code == 0, result.stderr
    lines = result.out.splitlines()
    kept = "logged in as sandbox@example.com (Sandbox, plan sandbox, 100,000 credits); key stored in the keychain"
    assert lines[0] == f"{kept} (Secret Service)"
    assert lines[1:4] == ["# mine", "timeout = 30", "keychain = true"]
    assert lines[4] == "key from: the keychain (Secret Service)"
    assert lines[-7] == "fox.png"
    assert lines[-5] == "removed the key from the keychain (Secret Service)"
    assert lines[-4:] == ["# mine", "timeout = 30", "keychain = true", "then 3"]
    assert "no key is stored for" in result.stderr
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or not betrays(path.read_bytes(), KEY), path


def test_a_real_keychain_starts_no_process_and_prints_nothing(reve: Reve) -> None:
    watched = f"""if True:
        import os, sys
        started = []
        sys.addaudithook(lambda event, _: started.append(event) if event.startswith({SPAWNING}) else None)
        from reve_cli.settings.keychain import open_keychain
        keychain = open_keychain(os.environ)
        keychain.put("here", "x")
        print([keychain.get("here"), keychain.drop("here"), keychain.drop("here"), started])
    """
    Path("watched.py").write_text(watched)
    result = in_session(reve, f"{sys.executable} watched.py 2>said; cat said")
    assert result.out == "['x', True, False, []]\n"


def test_a_locked_keychain_is_one_clear_error(reve: Reve, file: Path) -> None:
    """In this session nobody can unlock it."""
    assert in_session(reve, f"echo {KEY} | reve auth login --with-key").code == 0
    assert read_config() == {"keychain": True}
    script = """
        reve generate fox 2>said; echo $?; cat said
        reve auth logout 2>said; echo $?; cat said
    """
    lines = in_session(reve, script, locked=True).out.splitlines()
    problem = "Secret Service does not work: Failed to unlock the collection!"
    assert lines == [
        "2",
        f"error: cannot read the API key from the keychain: {problem}",
        "hint: unlock it, or set APIFRAME_API_KEY, or run reve auth login again",
        "2",
        f"error: the key may still be in the keychain: {problem}",
        "hint: unlock it, then run reve auth logout again",
    ]
    assert read_config() == {"keychain": True}
    again = in_session(reve, f"echo {KEY} | reve auth login --with-key", locked=True)
    assert (again.code, read_config()) == (0, {"api_key": KEY})


# No keychain


def test_without_a_session_bus_login_keeps_the_key_in_a_file(reve: Reve, file: Path) -> None:
    result = reve.child("auth", "login", "--with-key", stdin=KEY.encode())
    assert (result.code, read_config()) == (0, {"api_key": KEY})
    assert result.stderr == "keychain not used: no system keychain is running\n"


@pytest.mark.parametrize("command", [("generate", "fox"), ("status", "01234567-89ab-cdef-0123-456789abcdef")])
def test_a_missing_keychain_is_one_clear_error(reve: Reve, file: Path, command: tuple[str, ...]) -> None:
    file.write_text("keychain = true\n")
    result = reve.child(*command)
    assert result.code == 2
    assert result.stderr.splitlines() == [
        "error: cannot read the API key from the keychain: no system keychain is running",
        "hint: unlock it, or set APIFRAME_API_KEY, or run reve auth login again",
    ]


def _without_keyring(reve: Reve, *arguments: str, stdin: bytes = b"") -> Result:
    """Run reve as if the extra were not installed: keyring cannot be imported."""
    code = "import sys; sys.modules['keyring'] = None; from reve_cli.__main__ import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, input=stdin, env=reve.environ, capture_output=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr.decode())


def test_without_the_extra_the_error_says_what_to_install(reve: Reve, file: Path) -> None:
    file.write_text("keychain = true\n")
    result = _without_keyring(reve, "generate", "fox")
    assert result.code == 2
    assert result.stderr.splitlines() == [
        "error: cannot read the API key from the keychain: the package keyring is not installed",
        "hint: pip install 'reve-cli[keyring]', or set APIFRAME_API_KEY, or run reve auth login again",
    ]
    assert _without_keyring(reve, "auth", "login", "--with-key", stdin=KEY.encode()).code == 0
    assert read_config() == {"api_key": KEY}
    assert _without_keyring(reve, "generate", "fox", "--out", "fox.png").code == 0


# Trusted backends


def run_with(reve: Reve, keychain: MadeUpKeychain, **environ: str) -> Result:
    env: Mapping[str, str] = {"PYTHONPATH": str(keychain.folder), **environ}
    return reve.child("auth", "login", "--with-key", stdin=KEY.encode(), env=env)


@pytest.mark.parametrize(
    "name",
    [
        "keyring.backends.fail.Keyring", "keyring.backends.null.Keyring", "keyrings.alt.file.PlaintextKeyring",
        "keyring.backends.chainer.ChainerBackend", "nonsense",
    ],
)  # fmt: skip
def test_a_backend_that_is_not_the_systems_is_not_used(reve: Reve, live: Sandbox, tmp_path: Path, name: str) -> None:
    keychain = MadeUpKeychain(tmp_path / "packages")
    result = run_with(reve, keychain, PYTHON_KEYRING_BACKEND=name)
    assert (result.code, keychain.asked, read_config()) == (0, [], {"api_key": KEY})
    assert f"PYTHON_KEYRING_BACKEND={name} is not a running system keychain" in result.stderr
    result = run_with(reve, keychain, PYTHON_KEYRING_BACKEND="keyring.backends.SecretService.Keyring")
    assert (result.code, keychain.kept, read_config()) == (0, {live.url: KEY}, {"keychain": True})


@pytest.mark.parametrize("how", ["variable", "file"])
def test_the_real_package_never_loads_a_backend_named_by_others(
    reve: Reve, home: Path, tmp_path: Path, how: str
) -> None:
    pytest.importorskip("keyring")
    package = tmp_path / "packages" / "keyrings_of_others"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w').close()\nclass Keyring: pass\n")
    env = {"PYTHONPATH": str(package.parent), "PYTHON_KEYRING_PATH": str(package.parent)}
    if how == "variable":
        env["PYTHON_KEYRING_BACKEND"] = "keyrings_of_others.Keyring"
    else:
        named = "[backend]\ndefault-keyring=keyrings_of_others.Keyring\n"
        for folder in (home / ".config" / "python_keyring", home / ".local" / "share" / "python_keyring"):
            folder.mkdir(parents=True)
            (folder / "keyringrc.cfg").write_text(named)
    result = reve.child("auth", "login", "--with-key", stdin=KEY.encode(), env=env)
    assert result.code == 0
    assert not (tmp_path / "loaded").exists()
    load = [sys.executable, "-c", "import keyring; keyring.get_keyring()"]
    subprocess.run(load, env={**reve.environ, **env}, capture_output=True, check=False)
    assert (tmp_path / "loaded").exists()  # keyring on its own does


def test_the_old_key_stays_until_the_new_one_is_stored(reve: Reve, live: Sandbox, file: Path, tmp_path: Path) -> None:
    keychain = MadeUpKeychain(tmp_path / "packages")
    old, meanwhile = 'api_key = "afk_old_0123"\n', tmp_path / "meanwhile"
    file.write_text(old)
    keychain.at_each_call(f"import shutil; shutil.copy({str(file)!r}, {str(meanwhile)!r})")
    assert run_with(reve, keychain).code == 0
    assert keychain.asked[-1] == "get"  # the stored key is read back
    assert meanwhile.read_text() == old
    assert read_config() == {"keychain": True}


def test_no_backend_of_another_system_is_imported(reve: Reve) -> None:
    """The macOS backend would start processes to look for its libraries."""
    pytest.importorskip("keyring")
    code = """if True:
        import contextlib, os, sys
        from reve_cli.settings.keychain import open_keychain
        with contextlib.suppress(Exception):
            open_keychain(os.environ)
        print(*sorted(name for name in sys.modules if name.startswith("keyring.backends.")))
    """
    done = subprocess.run([sys.executable, "-c", code], env=reve.environ, capture_output=True, text=True, check=True)
    backends = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert "SecretService" in backends
    assert not {"macOS", "Windows"} & backends
    assert done.stderr == ""
