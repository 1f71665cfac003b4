"""`reve auth`: the key is checked, stored privately, shown in part and removed."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.settings.config import config_file, read_config
from tests.conftest import KEY, Result, Reve
from tests.support.keychains import MadeUpKeychain, forget_keyring
from tests.support.mounts import mounted
from tests.support.servers import Asked, Origin, Reply
from tests.support.terminal import PATIENCE, Terminal, eventually

OLD = "afk_old_fedcba9876543210"
OTHER = "sk-another-service-0123456789"
on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals or signals")
SIGNALS = [SIGINT, SIGTERM]
if sys.platform != "win32":
    import termios
    from signal import SIGCONT, SIGHUP, SIGSTOP

    SIGNALS.append(SIGHUP)


@pytest.fixture
def api(sandbox: Sandbox, reve: Reve, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox without a key in a variable, on a machine without the keyring package."""
    del reve.environ["APIFRAME_API_KEY"]
    forget_keyring()
    monkeypatch.setitem(sys.modules, "keyring", None)
    yield sandbox
    monkeypatch.undo()
    forget_keyring()


@pytest.fixture
def keychain(api: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpKeychain:
    """A made-up keychain, used by reve."""
    monkeypatch.delitem(sys.modules, "keyring")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    return MadeUpKeychain(tmp_path / "packages")


def log_in(reve: Reve, *options: str, key: str = KEY, env: dict[str, str] | None = None) -> Result:
    return reve("auth", "login", "--with-key", *options, stdin=f"{key}\n".encode(), env=env)


# Where the key is kept


def test_login_without_a_keychain_stores_the_key_in_a_private_file(reve: Reve, api: Sandbox) -> None:
    result = log_in(reve)
    file = config_file()
    assert (result.code, file) == (0, config_file())
    assert result.out == (
        f"logged in as sandbox@example.com (Sandbox, plan sandbox, 100,000 credits); key stored in {file} (api_key)\n"
    )
    assert (
        result.stderr == "keychain not used: the package keyring is not installed (pip install 'reve-cli[keyring]')\n"
    )
    assert read_config() == {"api_key": KEY}
    assert file is not None
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert reve("generate", "fox", "--out", "fox.png").code == 0
    assert {request.headers.get("x-api-key", KEY) for request in api.requests} == {KEY}


def test_login_stores_the_key_in_the_keychain_and_not_in_the_file(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path
) -> None:
    file.write_text(f'# mine\napi_key = "{OLD}" # old\ntimeout = 30\n')
    result = log_in(reve)
    assert (result.code, result.stderr) == (0, "")
    assert result.out.endswith("; key stored in the keychain (Secret Service)\n")
    assert keychain.kept == {api.url: KEY}
    assert file.read_text() == "# mine\ntimeout = 30\nkeychain = true\n"
    assert reve("generate", "fox", "--out", "fox.png").code == 0


def test_the_keychain_is_not_loaded_unless_the_key_is_in_it(reve: Reve, api: Sandbox, keychain: MadeUpKeychain) -> None:
    assert reve("status", "--json", "x", env={"APIFRAME_API_KEY": KEY}).code == 2
    assert reve("auth", "status").code == 3
    assert reve("auth", "status", env={"APIFRAME_API_KEY": KEY, "REVE_KEYCHAIN": "on"}).code == 0
    assert keychain.asked == []
    assert "keyring" not in sys.modules


def test_a_key_is_stored_for_the_origin_that_accepted_it(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, simulate: Callable[..., Sandbox]
) -> None:
    log_in(reve)
    second = simulate(key=OLD)
    del reve.environ["APIFRAME_API_KEY"]
    assert reve("auth", "status").code == 3
    assert second.requests == []
    log_in(reve, key=OLD)
    assert keychain.kept == {api.url: KEY, second.url: OLD}
    assert reve("auth", "status", env={"APIFRAME_BASE_URL": api.url}).code == 0


@pytest.mark.parametrize("calls", ["get", "set", "lie"])
def test_if_the_keychain_fails_the_key_goes_to_the_file(
    reve: Reve, keychain: MadeUpKeychain, file: Path, calls: str
) -> None:
    file.write_text("keychain = true # here\n")
    keychain.fails(calls)
    result = log_in(reve)
    assert result.code == 0
    assert result.out.endswith(f"; key stored in {file} (api_key)\n")
    (said,) = result.stderr.splitlines()
    name = "the keychain (Secret Service)" if calls == "lie" else "Secret Service"
    assert said.startswith(f"keychain not used: {name} does not")
    assert read_config() == {"api_key": KEY}
    assert KEY not in keychain.kept.values()


@pytest.mark.parametrize("before", [{}, {"{}": OLD}])
def test_if_the_setting_cannot_be_written_the_keychain_keeps_its_old_key(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path, before: dict[str, str]
) -> None:
    held = {name.format(api.url): key for name, key in before.items()}
    keychain.keeps(held)
    with mounted(file.parent) as freeze:
        file.write_text(f'api_key = "{OLD}"\n')
        freeze()
        result = log_in(reve, "--quiet")
        assert (result.code, result.out) == (2, "")
        assert result.stderr.startswith(f"error: {file} cannot be changed: Read-only file system\n")
        assert read_config() == {"api_key": OLD}
    assert keychain.kept == held
    assert "set" in keychain.asked


@pytest.mark.parametrize("where", ["file", "variable"])
def test_a_keychain_that_is_switched_off_is_not_used(
    reve: Reve, keychain: MadeUpKeychain, file: Path, where: str
) -> None:
    file.write_text("keychain = false\n" if where == "file" else "")
    env = {"REVE_KEYCHAIN": "off"} if where == "variable" else {}
    result = log_in(reve, env=env)
    assert (result.code, result.stderr) == (0, "")
    assert read_config() == {"api_key": KEY, **({"keychain": False} if where == "file" else {})}
    assert reve("auth", "logout", env=env).out == f"removed the key from {file} (api_key)\n"
    assert file.read_text() == ("keychain = false\n" if where == "file" else "")
    assert keychain.asked == []


def test_if_a_requested_keychain_fails_no_file_is_written_instead(
    reve: Reve, keychain: MadeUpKeychain, file: Path
) -> None:
    keychain.fails("set")
    result = log_in(reve, env={"REVE_KEYCHAIN": "on"})
    assert result.code == 2
    assert "made-up trouble" in result.stderr
    assert not file.exists()


# What is checked before anything is kept


@pytest.mark.parametrize(
    ("fault", "code"), [("me:401", 3), ("me:403", 3), ("me:503", 6), ("me:html-502", 6), ("me:drop-before", 6)]
)
def test_a_refused_key_changes_nothing(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path, fault: str, code: int
) -> None:
    before = f'api_key = "{OLD}"\n'
    file.write_text(before)
    api.faults += parse_faults(fault)
    result = log_in(reve)
    assert (result.code, result.out) == (code, "")
    assert file.read_text() == before
    assert keychain.kept == {}
    if code == 3:
        assert "nothing was changed" in result.stderr


@pytest.mark.parametrize("text", [OTHER, "afk_ ", "afk_with space", "afk_é", f"{KEY}\n{KEY}", "\x00", "x" * 9000])
def test_an_invalid_key_is_neither_sent_nor_shown(reve: Reve, api: Sandbox, text: str) -> None:
    result = log_in(reve, "--debug", key=text)
    assert (result.code, result.out) == (3, "")
    assert api.requests == []
    assert text.strip("afk_ ") not in result.stderr or text == "afk_ "
    assert KEY not in result.stderr


@pytest.mark.parametrize("text", ["", "\n", "  \r\n", "\ufeff"])
def test_an_empty_key_is_refused(reve: Reve, api: Sandbox, text: str) -> None:
    result = reve("auth", "login", "--with-key", stdin=text.encode())
    assert (result.code, result.stderr) == (2, "error: no key given; nothing was changed\n")


@pytest.mark.parametrize("around", ["{}", "{}\r\n", "\ufeff{}\n", "\n  {}\t\n"])
def test_white_space_around_a_key_is_removed(reve: Reve, api: Sandbox, around: str) -> None:
    assert reve("auth", "login", "--with-key", stdin=around.format(KEY).encode()).code == 0
    assert read_config() == {"api_key": KEY}


def test_login_reads_a_key_from_a_file(reve: Reve, api: Sandbox, tmp_path: Path) -> None:
    given = tmp_path / "key"
    given.write_text(KEY)
    given.chmod(0o600)
    assert reve("auth", "login", "--api-key-file", str(given)).code == 0
    assert read_config() == {"api_key": KEY}
    result = reve("auth", "login", "--with-key", "--api-key-file", str(given))
    assert (result.code, len(result.stderr.splitlines())) == (2, 1)


def test_without_a_terminal_login_does_not_wait_for_a_key(reve: Reve, api: Sandbox) -> None:
    source, sink = os.pipe()  # which nobody writes to and nobody closes
    try:
        for stdin in (source, subprocess.DEVNULL):
            done = subprocess.run(
                reve.command("auth", "login"),
                stdin=stdin,
                env=reve.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (2, "")
            (said,) = done.stderr.splitlines()
            assert "--with-key" in said
            assert "--api-key-file" in said
        late = [*reve.command("auth", "login", "--with-key"), "--timeout", "0.2"]
        done = subprocess.run(late, stdin=source, env=reve.environ, capture_output=True, text=True, check=False)
        assert done.returncode == (6 if os.name != "nt" else done.returncode)
    finally:
        os.close(source)
        os.close(sink)


@pytest.mark.parametrize("command", ["login", "logout"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_login_and_logout_refuse_the_sandbox(reve: Reve, file: Path, command: str, how: str) -> None:
    file.write_text(f'api_key = "{OLD}"\n')
    options = ["--sandbox"] if how == "option" else []
    result = reve("auth", command, *options, env={"REVE_SANDBOX": "1"} if how == "variable" else {})
    assert (result.code, result.out) == (2, "")
    assert "the sandbox needs no key" in result.stderr
    assert read_config() == {"api_key": OLD}


# A key that stands on a command line by mistake


@pytest.mark.parametrize(
    "arguments",
    [
        ("auth", "login", "{}"), ("auth", "login", "--with-key", "{}"), ("auth", "login", "--with-key={}"),
        ("auth", "login", "--with-key{}"), ("auth", "login", "--{}"), ("auth", "{}"), ("{}",), ("status", "{}"),
        ("auth", "login", "--timeout", "{}"), ("generate", "fox", "{}"), ("generate", "fox", "--seed", "{}"),
        ("generate", "fox", "--count={}"), ("history", "--since", "{}"), ("--show-completion", "{}"),
        ("auth", "login", "--api-key-file", "{}"), ("auth", "login", "--api-key-file", "./{}"),
        ("auth", "status", "{}"), ("model", "{}"), ("generate", "fox", "--model", "{}"), ("jobs", "--model", "{}"),
        ("history", "show", "{}"), ("resume", "{}"), ("help", "{}"),
        ("generate", "fox", "--out", "{}/x.png"), ("generate", "fox", "--out", "some/{}/x.png"),
        ("config", "get", "{}"), ("config", "unset", "{}"), ("config", "set", "{}", "1"),
        ("config", "set", "model", "{}"), ("config", "set", "model_version", "{}"),
        ("config", "set", "output_folder", "{}"), ("config", "set", "name_template", "{}.{{ext}}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_key_on_a_command_line_is_not_repeated(
    reve: Reve, api: Sandbox, file: Path, arguments: tuple[str, ...], json: tuple[str]
) -> None:
    result = reve(*(argument.format(KEY) for argument in arguments), *json, env={"APIFRAME_API_KEY": KEY})
    assert result.code in (2, 3, 7, 8)
    assert KEY[8:] not in result.out + result.stderr
    assert read_config() == {}


@pytest.mark.parametrize("name", ["base_url", "model", "model_version", "output_folder", "timeout", "no_such"])
def test_config_set_refuses_a_key_as_value(reve: Reve, file: Path, name: str) -> None:
    result = reve("config", "set", name, f" {KEY}")
    assert (result.code, read_config()) == (2, {})
    assert "never belongs on a command line" in result.stderr
    assert "hint: reve auth login" in result.stderr


def test_a_key_used_as_a_setting_name_is_not_repeated(reve: Reve, file: Path) -> None:
    file.write_text(f"{KEY} = 1\n")
    for command in (("config", "list"), ("account",), ("account", "--json"), ("doctor",), ("doctor", "--json")):
        result = reve(*command)
        assert result.code == 2
        assert KEY[8:] not in result.out + result.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_the_time_limit_ends_the_wait_for_a_key_file(reve: Reve, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    result = reve.child("account", "--api-key-file", str(tmp_path / "key"), "--timeout", "0.5", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "timed_out")


def test_login_takes_no_argument(reve: Reve) -> None:
    result = reve("auth", "login", OTHER)
    assert (result.code, result.stderr.splitlines()[0]) == (2, "error: reve auth login takes no arguments")


def test_a_key_that_was_on_a_command_line_is_called_known(reve: Reve) -> None:
    assert "replace the key" in reve("status", KEY).stderr


# What is said


def test_login_and_status_print_the_same_document(reve: Reve, api: Sandbox, file: Path) -> None:
    wanted = {
        "source": f"{file} (api_key)", "prefix": KEY[:12], "keyName": "Sandbox", "baseUrl": api.url,
        "email": "sandbox@example.com", "role": "OWNER", "team": "Sandbox", "plan": "sandbox", "credits": 100000,
        "simulated": True,
    }  # fmt: skip
    logged_in, shown = log_in(reve, "--json").document, reve("auth", "status", "--json").document
    assert list(logged_in.items()) == list(wanted.items())
    assert list(shown.items()) == list(wanted.items())


def test_status_shows_the_account_but_not_the_key(reve: Reve, api: Sandbox) -> None:
    result = reve("auth", "status", "--debug", env={"APIFRAME_API_KEY": KEY})
    assert result.code == 0
    assert result.out == (
        f"key from: APIFRAME_API_KEY\nkey: {KEY[:12]}\nkey name: Sandbox\nbase URL: {api.url}\n"
        "email: sandbox@example.com\nrole: OWNER\nteam: Sandbox\nplan: sandbox\nsimulated credits: 100000\n"
    )
    assert KEY not in result.stderr


def test_status_names_the_source_of_the_key(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path, tmp_path: Path
) -> None:
    def source(*options: str, **env: str) -> str:
        return str(reve("auth", "status", "--json", *options, env=env).document["source"])

    file.write_text(f'api_key = "{KEY}"\n')
    file.chmod(0o600)
    given = tmp_path / "key"
    given.write_text(KEY)
    keychain.keeps({api.url: KEY})
    assert source() == f"{file} (api_key)"
    assert source(REVE_KEYCHAIN="on") == "the keychain (Secret Service)"
    assert source(REVE_KEYCHAIN="on", REVE_API_KEY=KEY) == "REVE_API_KEY"
    assert source(REVE_API_KEY=KEY, APIFRAME_API_KEY=KEY) == "APIFRAME_API_KEY"
    assert source("--api-key-file", str(given), APIFRAME_API_KEY=KEY) == str(given)


def test_status_shows_the_sandbox_as_source(reve: Reve) -> None:
    document = reve("auth", "status", "--sandbox", "--json").document
    assert (document["source"], document["simulated"], document["plan"]) == ("the sandbox", True, "sandbox")


@pytest.mark.parametrize("fault", ["me:401", "me:403"])
def test_status_says_where_a_wrong_key_came_from(reve: Reve, api: Sandbox, file: Path, fault: str) -> None:
    api.faults += parse_faults(fault)
    file.write_text(f'api_key = "{KEY}"\n')
    file.chmod(0o600)
    result = reve("auth", "status", "--quiet")
    assert (result.code, result.out) == (3, "")
    assert result.stderr.splitlines()[1] == f"hint: the key {KEY[:8]}… comes from {file} (api_key)"
    result = reve("auth", "status", "--quiet", env={"APIFRAME_API_KEY": KEY})
    assert result.stderr.splitlines()[1] == f"hint: the key {KEY[:8]}… comes from APIFRAME_API_KEY"


def test_without_a_key_status_says_how_to_get_one(reve: Reve) -> None:
    result = reve("auth", "status", "--json")
    assert (result.code, result.document["error"]["code"]) == (3, "no_key")
    assert "reve auth login" in result.stderr


def _me(**body: Any) -> Callable[[Asked], Reply]:
    headers = {"Content-Type": "application/json", "Date": formatdate(usegmt=True)}
    return lambda asked: Reply(200, json.dumps(body).encode(), headers)


@pytest.mark.parametrize(
    ("body", "said", "prefix"),
    [
        ({"user": {"id": "u1"}}, "logged in as u1; ", f"{KEY[:8]}…"),
        ({"user": {"id": "u1", "email": None}, "team": None, "apiKey": {}}, "logged in as u1; ", f"{KEY[:8]}…"),
        ({"user": {"id": "u1"}, "team": {"credits": 12.5}}, "logged in as u1 (12.5 credits); ", f"{KEY[:8]}…"),
        ({"user": {"id": "u1"}, "team": {"plan": "p\n\x1b[31m"}}, "u1 (plan p\\n\\x1b[31m); ", f"{KEY[:8]}…"),
        ({"user": {"id": "u1"}, "apiKey": {"prefix": KEY[:-1]}}, "logged in as u1; ", f"{KEY[:8]}…"),
        ({"user": {"id": "u1"}, "apiKey": {"prefix": KEY}}, "logged in as u1; ", "afk_[hidden]"),
    ],
)
def test_an_account_with_missing_fields_is_accepted(
    reve: Reve, api: Sandbox, body: dict[str, Any], said: str, prefix: str
) -> None:
    with Origin(_me(**body)) as origin:
        reve.environ["APIFRAME_BASE_URL"] = f"http://127.0.0.1:{origin.port}"
        result = log_in(reve)
        assert result.code == 0
        assert said in result.out
        assert len(result.out.splitlines()) == 1
        shown = reve("auth", "status")
    assert shown.code == 0
    assert f"key: {prefix}\n" in shown.out
    assert "role: -\n" in shown.out
    assert len(shown.out.splitlines()) == 9


@pytest.mark.parametrize("variable", ["APIFRAME_API_KEY", "REVE_API_KEY"])
def test_a_variable_that_overrides_the_stored_key_is_named(reve: Reve, api: Sandbox, variable: str) -> None:
    warning = f"warning: {variable} is set and overrides the stored key; to use the stored key: unset {variable}\n"
    assert warning in log_in(reve, "--quiet", env={variable: KEY}).stderr
    assert warning in reve("auth", "logout", "--quiet", env={variable: KEY}).stderr
    assert log_in(reve, "--quiet", env={"REVE_API_KEY": OTHER}).stderr == ""


# Forgetting it


def test_logout_removes_the_key_from_keychain_and_file(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path
) -> None:
    keychain.keeps({api.url: KEY, "https://other.example": OLD})
    file.write_text(f"# mine\nkeychain = true\napi_key = '{OLD}'\ntimeout = 30\n")
    result = reve("auth", "logout", "--json")
    assert result.code == 0
    assert result.document == {"removed": ["the keychain (Secret Service)", f"{file} (api_key)"]}
    assert keychain.kept == {"https://other.example": OLD}
    assert file.read_text() == "# mine\nkeychain = true\ntimeout = 30\n"
    assert "to switch it off: reve config unset keychain" in result.stderr
    again = reve("auth", "logout")
    assert (again.code, again.out, again.stderr) == (0, "", f"no key is stored for {api.url}\n")
    assert reve("auth", "logout", "--json").document == {"removed": []}


def test_logout_keeps_the_keys_of_other_base_urls(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path
) -> None:
    keychain.keeps({api.url: KEY, "http://localhost:1": OLD})
    file.write_text("keychain = true\n")
    assert reve("auth", "logout", env={"APIFRAME_BASE_URL": "http://localhost:1"}).code == 0
    assert keychain.kept == {api.url: KEY}
    assert reve("auth", "status").code == 0


@pytest.mark.parametrize("calls", ["get", "delete"])
def test_if_the_keychain_fails_logout_says_that_the_key_may_still_be_there(
    reve: Reve, api: Sandbox, keychain: MadeUpKeychain, file: Path, calls: str
) -> None:
    keychain.keeps({api.url: KEY})
    keychain.fails(calls)
    file.write_text(f"keychain = true\napi_key = '{OLD}'\n")
    result = reve("auth", "logout")
    assert (result.code, result.out) == (2, "")
    note, error, hint = result.stderr.splitlines()
    assert note == f"removed the key from {file} (api_key)"
    assert error.startswith("error: the key may still be in the keychain: Secret Service does not")
    assert hint == "hint: unlock it, then run reve auth logout again"
    assert file.read_text() == "keychain = true\n"
    keychain.fails("")
    assert reve("auth", "logout").code == 0
    assert (keychain.kept, file.read_text()) == ({}, "keychain = true\n")


def test_without_the_extra_logout_says_how_to_remove_the_key(reve: Reve, api: Sandbox, file: Path) -> None:
    file.write_text("keychain = true\n")
    result = reve("auth", "logout")
    assert result.code == 2
    assert "pip install 'reve-cli[keyring]', then run reve auth logout again" in result.stderr


def test_logout_ignores_a_broken_keychain_that_was_not_used(reve: Reve, keychain: MadeUpKeychain, file: Path) -> None:
    keychain.fails("get")
    file.write_text(f"api_key = '{OLD}'\n")
    result = reve("auth", "logout")
    assert (result.code, result.out, result.stderr) == (0, f"removed the key from {file} (api_key)\n", "")


# The prompt, on a real terminal


def asked(sandbox: Sandbox) -> str:
    return f"API key for {sandbox.url}, from https://console.apiframe.ai (not shown): "


@pytest.fixture
def prompt(reve: Reve, live: Sandbox) -> Iterator[Terminal]:
    """A terminal that shows the prompt for the key."""
    del reve.environ["APIFRAME_API_KEY"]
    command = reve.command("auth", "login")
    with Terminal(command, env={**reve.environ, "PYTHON_KEYRING_BACKEND": "none"}) as terminal:
        terminal.expect(asked(live))
        assert not terminal.echoes
        yield terminal
        assert terminal.modes == terminal.before
        assert KEY[8:].encode() not in terminal.seen


@on_posix
def test_a_typed_key_is_not_shown(prompt: Terminal, live: Sandbox) -> None:
    prompt.type(KEY.encode() + b"\r")
    assert prompt.wait() == 0
    assert prompt.screen.rows[0] == asked(live).strip()
    assert "logged in as sandbox@example.com" in prompt.screen.text
    assert read_config()["api_key"] == KEY


@on_posix
def test_an_invalid_key_is_refused_at_the_prompt(prompt: Terminal, live: Sandbox) -> None:
    prompt.type(b"hunter2-hunter2\r")
    assert prompt.wait() == 3
    assert b"hunter2" not in prompt.seen
    assert "what you typed does not hold an Apiframe key" in prompt.screen.text.replace("\n", " ")
    assert live.requests == []


@on_posix
@pytest.mark.parametrize("typed", [b"\x04", b"\r"], ids=["ctrl-d", "enter"])
def test_typing_nothing_exits_with_2(prompt: Terminal, live: Sandbox, typed: bytes) -> None:
    prompt.type(typed)
    assert prompt.wait() == 2
    assert prompt.screen.text.splitlines() == [
        asked(live).strip(), "error: no key given; nothing was changed",
    ]  # fmt: skip


@on_posix
@pytest.mark.parametrize("typed", [b"", KEY.encode()], ids=["nothing typed", "half typed"])
def test_ctrl_c_at_the_prompt_ends_the_process_by_the_signal(prompt: Terminal, typed: bytes) -> None:
    prompt.type(typed + b"\x03")
    assert prompt.wait() == -SIGINT


@on_posix
@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_at_the_prompt_leaves_the_terminal_as_it_was(prompt: Terminal, signum: int) -> None:
    prompt.type(KEY.encode())  # not ended: a shell must not find it
    prompt.process.send_signal(signum)
    assert prompt.wait() == -signum


@on_posix
def test_closing_the_window_at_the_prompt_ends_the_process_by_the_signal(
    reve: Reve, live: Sandbox, tmp_path: Path
) -> None:
    said, prompt = tmp_path / "err", asked(live)
    environ = {name: value for name, value in reve.environ.items() if name != "APIFRAME_API_KEY"}
    with said.open("wb") as err, Terminal(reve.command("auth", "login"), env=environ, stderr=err) as terminal:
        eventually(lambda: said.read_text() == prompt, "the prompt")
        terminal.hang_up()
        assert terminal.process.wait(PATIENCE) == -SIGHUP
    assert said.read_text() == prompt


@on_posix
def test_after_a_pause_the_key_is_still_not_shown(prompt: Terminal) -> None:
    """A shell that stops its job may change the terminal's settings before it continues the job."""
    prompt.process.send_signal(SIGSTOP)
    os.waitpid(prompt.process.pid, os.WUNTRACED)
    prompt.modes = prompt.before
    assert prompt.echoes
    prompt.process.send_signal(SIGCONT)
    eventually(lambda: not prompt.echoes, "a terminal that shows nothing")
    prompt.type(KEY.encode() + b"\r")
    assert prompt.wait() == 0


@on_posix
@pytest.mark.parametrize(("name", "typed"), [("VSUSP", b"\x1a"), ("VQUIT", b"\x1c")], ids=["ctrl-z", "ctrl-backslash"])
def test_the_shell_echoes_again_after_the_prompt(prompt: Terminal, name: str, typed: bytes) -> None:
    key = getattr(termios, name)
    assert prompt.before[6][key] == typed
    assert prompt.modes[6][key] == bytes([os.fpathconf(0, "PC_VDISABLE") & 255])
    prompt.type(KEY.encode() + b"\r")
    assert prompt.wait() == 0


@on_posix
@pytest.mark.parametrize(("options", "code"), [(("--with-key",), 0), (("--timeout", "0.5"), 6)])
def test_with_key_on_a_terminal_prompts_until_the_time_limit(
    reve: Reve, live: Sandbox, options: tuple[str, ...], code: int
) -> None:
    del reve.environ["APIFRAME_API_KEY"]
    environ = {**reve.environ, "PYTHON_KEYRING_BACKEND": "none"}
    with Terminal(reve.command("auth", "login", *options), env=environ) as terminal:
        terminal.expect("API key for")
        if code == 0:
            terminal.type(KEY.encode() + b"\r")
        assert terminal.wait() == code
        assert terminal.echoes
        assert KEY[8:].encode() not in terminal.seen


# Where other users could see it


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
def test_no_process_shows_the_key_while_it_is_checked(reve: Reve) -> None:
    seen: list[str] = []
    body = _me(user={"id": "u1"})

    def answer(asked: Asked) -> Reply:
        for place in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
            try:
                seen.extend([str(place)] if SECRET.encode() in place.read_bytes() else [])
            except OSError:
                continue
        return body(asked)

    with Origin(answer) as origin:
        env = {"APIFRAME_BASE_URL": f"http://127.0.0.1:{origin.port}"}
        assert reve.child("auth", "login", "--with-key", "--debug", stdin=SECRET.encode(), env=env).code == 0
        assert len(origin.asked) == 1
    assert seen == []


SECRET = "afk_nowhere_" + "0123456789abcdef"[::-1]


@on_posix
@pytest.mark.parametrize("kind", ["config file", "key file"])
def test_a_readable_key_file_gets_a_warning_with_the_command_to_fix_it(
    reve: Reve, api: Sandbox, file: Path, tmp_path: Path, kind: str
) -> None:
    options: tuple[str, ...] = ()
    if kind == "config file":
        file.write_text(f'api_key = "{KEY}"\n')
    else:
        file = tmp_path / "my key"
        file.write_text(KEY)
        options = ("--api-key-file", str(file))
    for mode in (0o644, 0o640, 0o602, 0o666):
        file.chmod(mode)
        result = reve("auth", "status", "--quiet", *options)
        assert result.code == 0
        warning, command = result.stderr.rstrip("\n").rsplit(": ", 1)
        assert warning == f"warning: other users can read the API key in {file}"
        subprocess.run(["sh", "-c", command], check=True)
        assert reve("auth", "status", "--quiet", *options).stderr == ""


@on_posix
def test_a_readable_key_on_a_read_only_mount_gets_no_warning(reve: Reve, api: Sandbox, tmp_path: Path) -> None:
    """Containers mount secrets like this."""
    folder = tmp_path / "run"
    folder.mkdir()
    key = folder / "key"
    with mounted(folder) as freeze:
        key.write_text(KEY)
        key.chmod(0o644)
        assert "chmod" in reve("auth", "status", "--api-key-file", str(key)).stderr
        freeze()
        result = reve("auth", "status", "--api-key-file", str(key))
    assert (result.code, result.stderr) == (0, "")


@pytest.mark.parametrize("group", ["auth", "sandbox"])
def test_a_group_without_a_command_prints_its_help(reve: Reve, group: str) -> None:
    alone, asked = reve.child(group), reve.child(group, "--help")
    assert (alone.code, alone.out, alone.stderr) == (0, asked.out, "")
