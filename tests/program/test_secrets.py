"""The API key is sent to the API in one header. It is never printed, saved, reported or passed to another program."""

import base64
import codecs
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from reve_cli.actions.report import Report
from reve_cli.api.endpoints import Api
from reve_cli.core.clock import Limits
from reve_cli.sandbox import ALL_FAULTS, Fault, Sandbox, parse_faults
from reve_cli.settings.config import config_file
from tests.conftest import Result, Reve
from tests.support.servers import Asked, Origin, Proxy, Reply, Tap

SECRET = "afk_live_Zq7Jm2Xw9Rt4Kp6Vb8Nc3Hd5Lf1Gs0Ty"  # noqa: S105 - made up
# a secret that is not an Apiframe key, found in a file or a variable by mistake
OTHER = "sk-0ther-Pw3Yx8Qe5Uz1Mi7Ka"
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{OTHER}\n-----END PRIVATE KEY-----\n"
SPAWNING = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.")
FRAGMENT = 10


@functools.cache
def fragments(secret: str) -> tuple[bytes, ...]:
    """The parts of a secret that reveal it, plain and encoded. Each is too long to occur by chance."""
    plain = [secret[start : start + FRAGMENT] for start in range(4, len(secret) - FRAGMENT + 1)]
    encoded = [base64.b64encode(secret[shift:].encode()).decode()[4:-4] for shift in range(3)]
    return tuple(part.encode() for part in {*plain, *encoded, secret.encode().hex(), quote(secret)})


def betrays(data: bytes, secret: str = SECRET) -> bool:
    return any(part in data for part in fragments(secret))


def assert_kept(result: Result, root: Path, secret: str = SECRET, but: tuple[Path, ...] = ()) -> None:
    """Assert that the secret is not in the output, and in no file or file name under `root` except `but`."""
    assert not betrays(result.stdout, secret), result.out
    assert not betrays(result.stderr.encode(), secret), result.stderr
    for path in root.rglob("*"):
        assert not betrays(os.fsencode(path.name), secret), path
        if path.is_file() and path not in but:
            assert not betrays(path.read_bytes(), secret), path


def assert_sent_to_the_api_alone(sandbox: Sandbox, secret: str = SECRET) -> None:
    """Assert that the sandbox received the secret in its header and nowhere else."""
    for request in sandbox.requests:
        headers = dict(request.headers)
        if request.side == "api":
            assert headers.pop("x-api-key") == secret
        assert not betrays(repr((request.path, headers)).encode() + request.body, secret), request


@pytest.fixture
def api(simulate: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with the secret as its key, and `reve` with that key."""
    return simulate(key=SECRET)


# Receivers of the key


def test_the_key_is_sent_to_the_api_and_not_to_the_image_server(reve: Reve, api: Sandbox, tmp_path: Path) -> None:
    result = reve("generate", "a red fox", "--count", "3", "--out", "fox.png", "--debug")
    assert result.code == 0
    assert {request.side for request in api.requests} == {"api", "cdn"}
    assert_sent_to_the_api_alone(api)
    assert_kept(result, tmp_path)


@pytest.mark.parametrize("command", ["status", "wait", "download"])
def test_every_command_about_jobs_sends_the_key_only_to_the_api(
    reve: Reve, api: Sandbox, tmp_path: Path, command: str
) -> None:
    job = reve("generate", "a red fox", "--out", "fox.png", "--json").document["jobId"]
    out = [] if command == "status" else ["--out", "again.png"]
    result = reve(command, job, *out, "--debug", "--json")
    assert result.code == 0
    assert_sent_to_the_api_alone(api)
    assert_kept(result, tmp_path)


@pytest.mark.parametrize("place", ["submit", "job", "jobs", "image"])
@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_the_key_follows_no_redirect(reve: Reve, api: Sandbox, tmp_path: Path, place: str, status: str) -> None:
    api.faults.append(Fault(place, "redirect", status))
    result = reve("generate", "a red fox", "--count", "2", "--out", "fox.png", "--debug")
    assert_sent_to_the_api_alone(api)
    assert_kept(result, tmp_path)


def test_a_proxy_opens_a_tunnel_without_seeing_the_key(
    reve: Reve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(status=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        env = {"APIFRAME_BASE_URL": "https://api.reve.example", "APIFRAME_API_KEY": SECRET}
        result = reve("generate", "a red fox", "--debug", env=env)
    assert result.code == 6
    assert {asked.method for asked in proxy.asked} == {"CONNECT"}
    assert not betrays(repr(proxy.asked).encode())
    assert_kept(result, tmp_path)


def test_a_server_without_tls_at_an_https_url_does_not_get_the_key(reve: Reve, tmp_path: Path) -> None:
    with Tap(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as plain:
        env = {"APIFRAME_BASE_URL": f"https://127.0.0.1:{plain.port}", "APIFRAME_API_KEY": SECRET}
        result = reve("generate", "a red fox", "--debug", env=env)
        assert not any(betrays(said) for said in plain.told())
    assert result.code == 6
    assert_kept(result, tmp_path)


# The key is never shown


@pytest.mark.parametrize("fault", [fault for fault in ALL_FAULTS if not fault.startswith("models:")])
def test_no_fault_reveals_the_key(reve: Reve, api: Sandbox, tmp_path: Path, fault: str) -> None:
    api.faults += parse_faults(fault)
    reve.limits = Limits(connect=5, silence=0.2, tries=2, grace=1)
    count = "2" if fault.startswith("jobs:") else "1"
    result = reve("generate", "a red fox", "--count", count, "--out", "fox.png", "--debug", "--timeout", "20")
    assert "debug: " in result.stderr
    assert_sent_to_the_api_alone(api)
    assert_kept(result, tmp_path)


@pytest.mark.parametrize("options", [(), ("--debug",), ("--json",), ("--json", "--debug")])
@pytest.mark.parametrize("place", ["submit", "job", "image"])
def test_a_key_repeated_by_the_server_is_hidden(
    reve: Reve, api: Sandbox, tmp_path: Path, place: str, options: tuple[str, ...]
) -> None:
    api.faults.append(Fault(place, "echo-key"))  # in the error message and in x-request-id
    result = reve("generate", "a red fox", "--out", "fox.png", *options)
    assert result.code == (3 if place == "submit" else 75)
    if place != "image":
        assert "Invalid API key: afk_[hidden]" in result.stderr
    if place == "submit" and "--json" in options:
        assert result.document["error"]["requestId"] == "afk_[hidden]"
    assert_kept(result, tmp_path)


JOB = "01234567-89ab-4def-8123-456789abcdef"


def _plain(text: str) -> str:
    return json.dumps(text)[1:-1]


def _escaped(text: str) -> str:
    """JSON with an escape for every character except letters and digits, as some servers write it."""
    return "".join(character if character.isalnum() else f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize("write", [_plain, _escaped])
@pytest.mark.parametrize("command", [("generate", "a red fox"), ("status", JOB), ("wait", JOB), ("download", JOB)])
def test_a_key_in_a_job_from_the_server_is_hidden(
    reve: Reve, tmp_path: Path, command: tuple[str, ...], write: Callable[[str], str]
) -> None:
    said = write(f"made for {SECRET}")
    url = write(f"http://127.0.0.1:9/{SECRET}/x.png?key={SECRET}")

    def answer(asked: Asked) -> Reply:
        job = f'"jobId": "{JOB}", "id": "{JOB}", "status": "COMPLETED", "model": "{said}", "createdAt": "{said}"'
        made = f'"input": {{"prompt": "{said}"}}, "error": "{said}", "result": {{"images": ["{url}"]}}'
        return Reply(200, f"{{{job}, {made}}}".encode(), {"Content-Type": "application/json"})

    with Origin(answer) as server:
        env = {"APIFRAME_BASE_URL": f"http://127.0.0.1:{server.port}", "APIFRAME_API_KEY": SECRET}
        results = [
            reve(*command, *options, env={**env, "REVE_STATE_DIR": str(tmp_path / f"state{options}")})
            for options in ([], ["--json"], ["--debug"])
        ]
    for result in results:
        assert_kept(result, tmp_path)


@pytest.mark.parametrize("write", [_plain, _escaped])
def test_a_key_in_the_details_of_an_error_is_hidden(reve: Reve, tmp_path: Path, write: Callable[[str], str]) -> None:
    said = write(SECRET)
    body = f'{{"error": "bad {said}", "details": {{"header.{said}": ["got {said}"]}}}}'.encode()
    headers = {"Content-Type": "application/json", "x-request-id": SECRET, "Server": SECRET, "Retry-After": SECRET}
    with Origin(lambda asked: Reply(400, body, headers)) as server:
        env = {"APIFRAME_BASE_URL": f"http://127.0.0.1:{server.port}", "APIFRAME_API_KEY": SECRET}
        result = reve("generate", "a red fox", "--json", "--debug", env=env)
    assert (result.code, result.document["error"]["code"]) == (2, "invalid_request")
    assert_kept(result, tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        f"HTTP/1.1 200 OK\r\nno header but {SECRET}\r\n\r\n",
        f"HTTP/1.1 {SECRET}\r\n\r\n",
        f"{SECRET}\r\n\r\n",
        f"HTTP/1.1 302 Found\r\nLocation: http://{SECRET}:{SECRET}/\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: {SECRET}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {SECRET}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
        f"HTTP/1.1 200 {SECRET}\r\nContent-Encoding: gzip\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}",
    ],
)
def test_a_key_in_an_invalid_http_answer_is_hidden(reve: Reve, tmp_path: Path, said: str) -> None:
    with Tap(said.encode()) as server:
        env = {"APIFRAME_BASE_URL": f"http://127.0.0.1:{server.port}", "APIFRAME_API_KEY": SECRET}
        result = reve("generate", "a red fox", "--debug", env=env)
    assert result.code == 75
    assert_kept(result, tmp_path)


def _crash(*arguments: Any, **keywords: Any) -> Any:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize(
    ("owner", "name"), [(Api, "submit"), (Api, "job"), (Report, "accepted"), (Report, "exit_code")]
)
@pytest.mark.parametrize("options", [(), ("--debug",), ("--json", "--debug")])
def test_a_crash_does_not_show_the_key(
    reve: Reve,
    api: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type[object],
    name: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setattr(owner, name, _crash)
    result = reve("generate", "a red fox", "--out", "fox.png", *options)
    assert result.code in (1, 75)
    assert "a fault of ours" in result.stderr
    assert_kept(result, tmp_path)


def test_a_dry_run_hides_the_key(reve: Reve, api: Sandbox, tmp_path: Path) -> None:
    result = reve("generate", "a red fox", "--dry-run", "--debug")
    assert result.document["headers"]["X-API-Key"] == "afk_[hidden]"
    assert api.requests == []
    assert_kept(result, tmp_path)


def test_a_dry_run_needs_no_key(reve: Reve) -> None:
    result = reve("generate", "a red fox", "--dry-run", "--api-key-file", "missing")
    assert (result.code, result.document["headers"]["X-API-Key"]) == (0, "afk_[hidden]")


def test_a_real_process_never_reveals_its_key(reve: Reve, simulate: Callable[..., Sandbox], tmp_path: Path) -> None:
    api = simulate(key=SECRET, clock=time.time, job_seconds=0.0, faults=parse_faults("image:410*1"))
    result = reve.child("generate", "a red fox", "--out", "fox.png", "--debug", "--json")
    assert result.code == 0, result.stderr
    assert_sent_to_the_api_alone(api)
    assert_kept(result, tmp_path)


def test_the_command_that_finishes_a_job_contains_the_key_file_but_not_the_key(
    reve: Reve, api: Sandbox, tmp_path: Path, journal: bool
) -> None:
    file = tmp_path / "key"
    file.write_text(SECRET)
    del reve.environ["APIFRAME_API_KEY"]
    api.faults += parse_faults("outcome:forever")
    result = reve("generate", "a red fox", "--api-key-file", str(file), "--timeout", "30")
    assert result.code == 75
    (job,) = api.jobs()
    words = result.stderr.splitlines()[-1].split()
    assert words[:2] == ["reve", "resume" if journal else "wait"]
    assert {f"--api-key-file={file}", job.id} <= set(words)
    assert_kept(result, tmp_path, but=(file,))


# No other program is started


def started(reve: Reve, script: str, *arguments: str) -> str:
    """The events of a child process that start another process. Not in this process, whose threads coverage traces."""
    watched = f"""if True:
        import atexit, sys
        started = []
        sys.addaudithook(lambda event, _: started.append(event) if event.startswith({SPAWNING}) else None)
        atexit.register(lambda: open("started", "w").write(" ".join(started)))
    """
    environ = {name: value for name, value in reve.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", watched + script, *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path("started").read_text()


@pytest.mark.parametrize("options", [(), ("--sandbox",), ("--dry-run",), ("--json", "--debug"), ("--no-wait",)])
def test_no_process_is_started_that_could_inherit_the_key(reve: Reve, live: Sandbox, options: tuple[str, ...]) -> None:
    reve.environ["REVE_SANDBOX_SECONDS"] = "0"
    script = "\nfrom reve_cli.__main__ import main\nmain()"
    assert started(reve, script, "generate", "a red fox", *options) == ""


def test_a_started_process_is_noticed_here(reve: Reve) -> None:
    assert "subprocess.Popen" in started(reve, "\nimport subprocess\nsubprocess.run([sys.executable, '--version'])")


# Invalid keys


INVALID_KEYS = {
    "of another service": OTHER,
    "with a space": f"{SECRET[:20]} {SECRET[20:]}",
    "with a line break": f"{SECRET[:20]}\n{SECRET[20:]}",
    "with a tab": f"{SECRET[:20]}\t{SECRET[20:]}",
    "with another letter case": SECRET.upper(),
    "with a header in it": f"{SECRET}\r\nX-Other: 1",
    "with a letter that is not ASCII": f"{SECRET}é",
    "with a quote before it": f'"{SECRET}"',
    "with a name before it": f"APIFRAME_API_KEY={SECRET}",
}


@pytest.mark.parametrize("source", ["environment", "key file", "config file"])
@pytest.mark.parametrize("value", INVALID_KEYS.values(), ids=INVALID_KEYS)
def test_an_invalid_key_is_refused_and_neither_sent_nor_shown(
    reve: Reve, api: Sandbox, home: Path, tmp_path: Path, value: str, source: str
) -> None:
    del reve.environ["APIFRAME_API_KEY"]
    file = write_config(home, value) if source == "config file" else tmp_path / "key"
    options: list[str] = []
    if source == "environment":
        reve.environ["APIFRAME_API_KEY"] = value
    elif source == "key file":
        file.write_text(value, newline="")
        options = ["--api-key-file", str(file)]
    result = reve("generate", "a red fox", "--json", "--debug", *options)
    assert (result.code, result.document["error"]["code"]) == (3, "invalid_key")
    assert api.requests == []
    for secret in (SECRET, OTHER, SECRET.upper()):
        assert_kept(result, tmp_path, secret, but=(file,))


@pytest.mark.parametrize("content", [PRIVATE_KEY.encode(), OTHER.encode("utf-16"), b"\xff\x00" + OTHER.encode()])
def test_the_content_of_a_wrong_key_file_is_not_shown(reve: Reve, api: Sandbox, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "id_ed25519"
    file.write_bytes(content)
    result = reve("generate", "a red fox", "--api-key-file", str(file), "--json", "--debug")
    assert result.code == 3
    assert str(file) in result.stderr
    assert api.requests == []
    assert_kept(result, tmp_path, OTHER, but=(file,))


def test_no_other_key_is_used_if_the_key_file_cannot_be_read(reve: Reve, api: Sandbox, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        result = reve("generate", "a red fox", "--api-key-file", str(path))
        assert (result.code, api.requests) == (3, [])
        assert str(path) in result.stderr


def test_a_mistake_in_the_config_file_does_not_reveal_the_key_in_it(reve: Reve, home: Path, tmp_path: Path) -> None:
    file = write_config(home, SECRET)
    for mistake in (f"{SECRET}\n", "timeout = \n", 'colour = "red"\n', f'base_url = "https://{SECRET}@x.example"\n'):
        file.write_text(f'api_key = "{SECRET}"\n{mistake}')
        result = reve("generate", "a red fox", "--json", "--debug")
        assert result.code == 2
        assert_kept(result, tmp_path, but=(file,))


# Sources of the key


def write_config(home: Path, api_key: str) -> Path:
    """Write a config file with a key to its place on this platform."""
    file = config_file()
    assert file is not None
    assert file.is_relative_to(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"api_key = {json.dumps(api_key)}\n")
    return file


def sent_key(reve: Reve, sandbox: Sandbox, *options: str) -> str | None:
    """The key that a command sends, None if it sends nothing."""
    sandbox.requests.clear()
    reve("generate", "a red fox", "--no-wait", *options)
    keys = {request.headers["x-api-key"] for request in sandbox.requests}
    return keys.pop() if keys else None


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "{} ", " {}", "\t{}\n\n", "\n{}", "{}"])
def test_white_space_around_a_key_is_ignored(reve: Reve, api: Sandbox, tmp_path: Path, around: str) -> None:
    file = tmp_path / "key"
    file.write_text(around.format(SECRET), newline="")
    reve.environ["APIFRAME_API_KEY"] = around.format(SECRET)
    assert sent_key(reve, api) == SECRET
    del reve.environ["APIFRAME_API_KEY"]
    assert sent_key(reve, api, "--api-key-file", str(file)) == SECRET


def test_the_key_comes_from_the_first_source_that_has_one(reve: Reve, api: Sandbox, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("afk_file")
    reve.environ |= {"APIFRAME_API_KEY": "afk_variable", "REVE_API_KEY": "afk_other_variable"}
    write_config(home, "afk_config")
    assert sent_key(reve, api, "--api-key-file", str(file)) == "afk_file"
    assert sent_key(reve, api) == "afk_variable"
    del reve.environ["APIFRAME_API_KEY"]
    assert sent_key(reve, api) == "afk_other_variable"
    del reve.environ["REVE_API_KEY"]
    assert sent_key(reve, api) == "afk_config"
    write_config(home, "")
    assert sent_key(reve, api) is None


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_variable_counts_as_unset(reve: Reve, api: Sandbox, home: Path, value: str) -> None:
    write_config(home, "afk_config")
    reve.environ |= {"APIFRAME_API_KEY": value, "REVE_API_KEY": value}
    assert sent_key(reve, api) == "afk_config"


@pytest.mark.parametrize("value", [OTHER, "papi.123", "AFK_LIVE_x", "x-afk_live"])
def test_REVE_API_KEY_is_ignored_if_it_holds_a_key_of_another_api(
    reve: Reve, api: Sandbox, home: Path, tmp_path: Path, value: str
) -> None:
    del reve.environ["APIFRAME_API_KEY"]
    reve.environ["REVE_API_KEY"] = value
    result = reve("generate", "a red fox", "--json", "--debug")
    assert (result.code, result.document["error"]["code"]) == (3, "no_key")
    assert api.requests == []
    assert value not in result.stderr + result.out
    write_config(home, "afk_config")
    assert sent_key(reve, api) == "afk_config"


def test_an_invalid_key_is_not_replaced_by_that_of_the_next_source(reve: Reve, api: Sandbox, home: Path) -> None:
    reve.environ |= {"APIFRAME_API_KEY": OTHER, "REVE_API_KEY": SECRET}
    write_config(home, SECRET)
    assert sent_key(reve, api) is None


def test_no_option_accepts_the_key_itself(reve: Reve) -> None:
    assert "--api-key-file" in reve("generate", "--help").out
    assert reve("generate", "a red fox", "--api-key", "x").code == 2


# The sandbox has its own key


@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_sandbox_does_not_load_the_real_key(reve: Reve, tmp_path: Path, how: str) -> None:
    reve.environ["APIFRAME_API_KEY"] = SECRET
    options = ["--sandbox"] if how == "option" else []
    env = {} if how == "option" else {"REVE_SANDBOX": "1"}
    result = reve(
        "generate", "a red fox", "--out", "fox.png", "--api-key-file", str(tmp_path / "missing"), "--debug", *options,
        env=env,
    )  # fmt: skip
    assert result.code == 0, result.stderr
    assert_kept(result, tmp_path)


@pytest.mark.parametrize("value", [SECRET, OTHER, "", None])
def test_the_simulated_api_gets_its_own_key_whatever_the_real_one_is(
    reve: Reve, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    seen: list[Sandbox] = []
    start = Sandbox.start
    monkeypatch.setattr(Sandbox, "start", lambda self: seen.append(self) or start(self))  # type: ignore[func-returns-value]
    file = write_config(home, SECRET)
    if value is not None:
        reve.environ |= {"APIFRAME_API_KEY": value, "REVE_API_KEY": value}
    result = reve("generate", "a red fox", "--out", "fox.png", "--sandbox", "--debug")
    assert result.code == 0, result.stderr
    (sandbox,) = seen
    assert sandbox.key not in (SECRET, OTHER)
    assert_sent_to_the_api_alone(sandbox, sandbox.key)
    assert not any(betrays(repr(request).encode()) for request in sandbox.requests)
    assert_kept(result, tmp_path, but=(file,))
    assert_kept(result, tmp_path, sandbox.key, but=tuple(home.rglob("sandbox.db*")))


def test_a_key_given_as_the_key_file_is_not_shown(reve: Reve, tmp_path: Path) -> None:
    result = reve("generate", "a red fox", "--api-key-file", SECRET, "--json", "--debug")
    assert result.code in (2, 3)
    assert_kept(result, tmp_path)


def test_a_key_file_may_begin_with_a_byte_order_mark(reve: Reve, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(codecs.BOM_UTF8 + SECRET.encode())
    assert sent_key(reve, sandbox, "--api-key-file", str(file)) == SECRET
