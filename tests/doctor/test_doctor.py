"""`reve doctor`: its findings and remedies, on healthy and on broken systems."""

import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import trustme
import typer

import reve_cli
from reve_cli.api.network import tls_context
from reve_cli.commands.root import tree
from reve_cli.core.process import Process
from reve_cli.core.signals import Signals
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.settings.config import config_file
from tests.conftest import KEY, MadeUpClock, Result, Reve
from tests.program.test_secrets import OTHER, SECRET, betrays
from tests.support.crash import on_request
from tests.support.servers import Asked, Origin, Proxy, Reply, Tap, answered, json_reply, sandbox_behind
from tests.support.terminal import Terminal, running

API, CDN = "api.reve.example", "cdn.reve.example"
KEYS = ("check", "status", "finding", "remedy", "details")
ALL = [
    "reve", "python", "libraries", "system", "config", "project", "settings", "key", "proxy", "certificates", "api",
    "clock", "account", "images", "state", "journal", "terminal", "completion",
]  # fmt: skip


@pytest.fixture(autouse=True)
def patience_lasts_a_minute(reve: Reve) -> None:
    """In a child process, whose 6 s may be too short on a busy machine."""
    reve.fast = 0.1


@pytest.fixture(autouse=True)
def certificates_are_reloaded() -> Iterator[None]:
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.fixture(autouse=True)
def completion_is_set_up(home: Path, reve: Reve) -> None:
    """Without it, a healthy system would have a hint."""
    (home / ".bashrc").write_text('eval "$(reve --show-completion bash)"\n')
    reve.environ["SHELL"] = "/bin/bash"


@pytest.fixture(autouse=True)
def no_name_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names other than this machine's do not resolve, so no name server is asked."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **keywords: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, f"{host} does not resolve in this test")
        return real(host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def set_variable(reve: Reve, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Set a variable for `reve` in this process (httpx reads the real environment) and in a child process."""

    def both(name: str, value: str) -> None:
        monkeypatch.setenv(name, value)
        reve.environ[name] = value

    return both


@pytest.fixture
def secured(reve: Reve, sandbox: Sandbox, authority: trustme.CA) -> Iterator[Origin]:
    """The sandbox as https://api.reve.example, reachable only through a proxy, with an untrusted certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(API, CDN).configure_cert(context)
    reve.environ["APIFRAME_BASE_URL"] = f"https://{API}"
    with Origin(sandbox_behind(sandbox, f"https://{CDN}"), context) as front:
        yield front


def routes(front: Origin) -> dict[str, int]:
    return {f"{API}:443": front.port, f"{CDN}:443": front.port}


def checks(result: Result) -> dict[str, dict[str, Any]]:
    """The documents by check; if a check has several, the worst."""
    order = ("ok", "hint", "problem")
    documents = sorted(result.documents, key=lambda document: order.index(document["status"]))
    return {document["check"]: document for document in documents}


def problems(result: Result) -> list[str]:
    return [document["check"] for document in result.documents if document["status"] == "problem"]


def write_config(text: str) -> Path:
    path = config_file()
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def closed_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


# A healthy system


def test_a_healthy_system_is_one_ok_line_per_check(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("generate", "a red fox", "--out", "fox.png").code == 0
    result = reve("doctor")
    assert result.code == 0, result.out
    lines = result.out.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", name] for name in ALL]
    assert result.stderr == f"ok: {len(ALL)}, hint: 0, problem: 0\n"
    said = dict(zip(ALL, (line[23:] for line in lines), strict=True))
    assert said["key"] == "afk_test… from APIFRAME_API_KEY"
    assert said["settings"] == f"base_url = {sandbox.url} (APIFRAME_BASE_URL)"
    assert said["account"].endswith("99,996 simulated credits")
    assert said["journal"] == "1 job, none unfinished"
    assert said["completion"] == "bash completion is set up in ~/.bashrc"


def test_the_newest_image_is_requested_once_without_the_key(reve: Reve, sandbox: Sandbox) -> None:
    for number in (1, 2):
        reve("generate", "a red fox", "--out", f"fox-{number}.png")
        reve.clock.advance(60)
    newest = reve("history", "--limit", "1", "--json").document["jobId"]
    sandbox.requests.clear()
    found = checks(reve("doctor", "--json"))["images"]
    assert (found["status"], found["details"]["host"]) == ("ok", "127.0.0.1")
    (asked,) = [request for request in sandbox.requests if request.side == "cdn"]
    assert newest in asked.path
    assert not betrays(repr((asked.path, asked.headers)).encode(), KEY)


def test_the_image_server_is_unknown_without_an_image_to_fetch(reve: Reve, simulate: Callable[..., Sandbox]) -> None:
    simulate()
    assert checks(reve("doctor", "--json"))["images"]["status"] == "ok"
    simulate(faults=parse_faults("outcome:expired"))
    reve("generate", "a red fox", "--out", "fox.png")
    found = checks(reve("doctor", "--json"))["images"]
    assert (found["status"], found["details"]["host"]) == ("ok", None)


def test_every_document_has_the_same_keys_and_every_check_has_one(reve: Reve, sandbox: Sandbox) -> None:
    for result in (reve("doctor", "--json"), reve("doctor", "--json", env={"APIFRAME_API_KEY": ""})):
        assert [document["check"] for document in result.documents] == ALL
        assert {tuple(document) for document in result.documents} == {KEYS}
        assert all(document["remedy"] for document in result.documents if document["status"] != "ok")


def test_with_sandbox_the_sandbox_is_checked_instead_of_the_key(reve: Reve, tmp_path: Path) -> None:
    result = reve("doctor", "--sandbox", "--json", env={"APIFRAME_API_KEY": "not a key"})
    assert result.code == 0, result.out
    found = checks(result)
    assert "key" not in found
    assert "simulated on this machine" in found["sandbox"]["finding"]
    assert found["account"]["details"]["simulated"] is True
    assert found["state"]["details"]["path"].endswith("/sandbox")


def test_a_sandbox_that_cannot_start_is_the_only_problem(reve: Reve) -> None:
    result = reve("doctor", "--sandbox", "--json", env={"REVE_SANDBOX_FAULTS": "moon:full"})
    assert (result.code, problems(result)) == (2, ["sandbox"])
    assert checks(result)["api"]["remedy"] == "solve this first: sandbox"


def test_the_checks_create_no_files(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    before = sorted(home.rglob("*"))
    result = reve("doctor", "--json")
    assert (sorted(home.rglob("*")), list(Path.cwd().iterdir())) == (before, [])
    assert checks(result)["state"]["details"] == {"path": "~/.local/state/reve", "exists": False}


def test_the_folder_of_reve_is_the_package_folder(reve: Reve, sandbox: Sandbox) -> None:
    folder = checks(reve("doctor", "--json"))["reve"]["details"]["folder"]
    assert Path(folder).expanduser() == Path(reve_cli.__file__).parent


def test_quiet_leaves_out_ok_findings(reve: Reve, sandbox: Sandbox) -> None:
    assert reve("doctor", "--quiet").out == ""
    result = reve("doctor", "--quiet", env={"REVE_JOURNAL": "off"})
    assert (result.code, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["hint", "fix:"]


def test_debug_shows_the_requests_without_the_key(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--debug")
    assert "GET /v2/me -> 200" in result.stderr
    assert not betrays(result.stderr.encode(), KEY)


# The key


def test_without_a_key_the_network_is_still_checked(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"APIFRAME_API_KEY": ""})
    found = checks(result)
    assert (result.code, problems(result)) == (3, ["key"])
    assert found["key"]["details"]["code"] == "no_key"
    assert "APIFRAME_API_KEY" in found["key"]["remedy"]
    assert found["api"]["status"] == "ok"
    assert (found["account"]["finding"], found["account"]["remedy"]) == ("not checked", "solve this first: key")
    assert found["images"]["remedy"] == "solve this first: account"


def test_a_rejected_key_is_shown_by_its_start_only(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"APIFRAME_API_KEY": SECRET})
    found = checks(result)
    assert (result.code, problems(result)) == (3, ["account"])
    assert found["account"]["details"] == {"code": "invalid_key"}
    assert found["key"]["finding"] == "afk_live… from APIFRAME_API_KEY"
    assert not betrays(result.stdout)


def test_a_malformed_key_is_neither_sent_nor_shown(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"APIFRAME_API_KEY": OTHER})
    assert (result.code, checks(result)["key"]["details"]["code"]) == (3, "invalid_key")
    assert not betrays(result.stdout + repr(sandbox.requests).encode(), OTHER)


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_a_key_file_readable_by_others_is_a_hint_with_the_command_that_fixes_it(
    reve: Reve, sandbox: Sandbox, home: Path
) -> None:
    path = home / "my key"
    path.write_text(KEY)
    path.chmod(0o644)
    result = reve("doctor", "--json", "--api-key-file", str(path))
    found = checks(result)["key"]
    assert (result.code, found["status"]) == (0, "hint")
    assert found["finding"] == "other users can read the API key in ~/my key"
    subprocess.run(["sh", "-c", found["remedy"]], check=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert checks(reve("doctor", "--json", "--api-key-file", str(path)))["key"]["status"] == "ok"


def test_an_account_without_credits_is_a_hint(reve: Reve, simulate: Callable[..., Sandbox]) -> None:
    simulate(credits=0)
    result = reve("doctor", "--json")
    assert (result.code, checks(result)["account"]["status"]) == (0, "hint")


# The network


def test_an_api_that_is_down_is_a_problem_and_the_rest_is_checked(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"APIFRAME_BASE_URL": closed_port()})
    found = checks(result)
    assert (result.code, problems(result)) == (6, ["api"])
    assert "cannot reach http://127.0.0.1:" in found["api"]["finding"]
    assert found["account"]["remedy"] == "solve this first: api"
    assert (found["journal"]["status"], found["completion"]["status"]) == ("ok", "ok")


def test_a_silent_api_is_a_problem_after_a_few_seconds(reve: Reve, sandbox: Sandbox) -> None:
    reve.limits = replace(reve.limits, silence=1)
    with Tap() as silent:
        result = reve("doctor", "--json", env={"APIFRAME_BASE_URL": f"http://127.0.0.1:{silent.port}"})
        assert not any(betrays(told, KEY) for told in silent.told())
    assert (result.code, problems(result)) == (6, ["api"])
    assert "no answer in time" in checks(result)["api"]["finding"]


def test_a_silent_name_server_does_not_stop_other_checks(reve: Reve, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(MadeUpClock):
        def receive(self, inbox: Any, seconds: float, idle: bool) -> Any:
            try:
                return inbox.get(timeout=2)
            except Exception:
                self.advance(seconds)
                return None

    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait() and [])
    reve.clock = Hasty()
    try:
        env = {"APIFRAME_API_KEY": KEY, "APIFRAME_BASE_URL": f"https://{API}"}
        result = reve("doctor", "--json", env=env)
    finally:
        answered.set()
    assert (result.code, problems(result)) == (6, ["api"])
    found = checks(result)["api"]
    assert found["details"]["code"] == "timed_out"
    assert "DNS" in found["remedy"]
    assert [document["check"] for document in result.documents][-2:] == ["terminal", "completion"]


def test_an_unknown_host_name_points_to_dns(reve: Reve) -> None:
    env = {"APIFRAME_API_KEY": KEY, "APIFRAME_BASE_URL": f"https://{API}"}
    found = checks(reve("doctor", "--json", env=env))["api"]
    assert "does not resolve" in found["finding"]
    assert "DNS" in found["remedy"]


@pytest.mark.parametrize(
    ("faults", "check", "code"),
    [
        ("models:html-403", "api", "gateway"), ("models:html-200", "api", "gateway"), ("models:503", "api", "server"),
        ("models:429", "api", "rate_limited"), ("models:404", "api", "gateway"),
        ("models:drop-before", "api", "network"), ("me:403", "account", "forbidden"),
        ("me:500", "account", "server"), ("jobs:500", "images", "server"),
        ("image:500", "images", "network"), ("image:redirect-loop", "images", "network"),
    ],
)  # fmt: skip
def test_a_fault_is_a_problem_of_the_check_that_meets_it(
    reve: Reve, simulate: Callable[..., Sandbox], faults: str, check: str, code: str
) -> None:
    sandbox = simulate()
    reve("generate", "a red fox", "--out", "fox.png")
    sandbox.faults.extend(parse_faults(faults))
    result = reve("doctor", "--json")
    assert problems(result) == [check]
    found = checks(result)[check]
    assert (found["details"]["code"], result.code) == (code, 3 if code == "forbidden" else 6)
    assert found["remedy"]


def test_an_image_that_is_gone_is_a_hint_because_its_server_answers(reve: Reve, sandbox: Sandbox) -> None:
    reve("generate", "a red fox", "--out", "fox.png")
    sandbox.faults.extend(parse_faults("image:404"))
    result = reve("doctor", "--json")
    assert (result.code, checks(result)["images"]["status"]) == (0, "hint")


def odd_api(**odd: Any) -> Callable[[Asked], Reply]:
    """An API with the given answers, by the last part of the path; other answers are correct."""
    known: dict[str, Any] = {
        "models": {"models": []}, "me": {"user": {"id": "u1"}}, "jobs": {"jobs": [], "nextCursor": None}, **odd,
    }  # fmt: skip

    def answer(asked: Asked) -> Reply:
        said = known[asked.target.partition("?")[0].rpartition("/")[2]]
        return (
            said if isinstance(said, Reply) else json_reply(said, Date=formatdate(1_800_000_000))
        )  # the start of the made-up clock

    return answer


@pytest.mark.parametrize("url", ["https://[bad/x.png", "https://x:y/x.png", "nonsense"])
def test_an_invalid_image_url_is_a_problem_and_the_rest_is_checked(reve: Reve, url: str) -> None:
    job = {"id": "00000000-0000-4000-8000-000000000001", "status": "COMPLETED", "result": {"images": [url]}}
    with answered(reve.environ, odd_api(jobs={"jobs": [job], "nextCursor": None})):
        result = reve("doctor", "--json")
    assert (result.code, problems(result)) == (6, ["images"])
    assert url in checks(result)["images"]["finding"]
    assert [document["check"] for document in result.documents] == ALL


def test_a_missing_job_list_points_to_the_base_url_not_the_network(reve: Reve) -> None:
    with answered(reve.environ, odd_api(jobs=json_reply({"error": "Not found"}, 404))):
        result = reve("doctor", "--json")
    assert (result.code, problems(result)) == (8, ["images"])
    assert checks(result)["images"]["remedy"] == "check the base URL: reve config get base_url"


def test_a_long_answer_from_the_api_is_accepted(reve: Reve) -> None:
    models = [{"id": f"m{number}", "description": "x" * 1000} for number in range(220)]
    with answered(reve.environ, odd_api(models={"models": models})):
        result = reve("doctor", "--json")
    assert (result.code, problems(result)) == (0, [])


def test_a_slow_answer_is_not_blamed_on_another_server(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults.extend(parse_faults("models:drip"))
    on_request(sandbox, 1, lambda: reve.clock.advance(60))
    result = reve("doctor", "--json", "--timeout", "30")
    assert (result.code, problems(result)) == (6, ["api"])
    assert checks(result)["api"]["details"]["code"] in ("network", "timed_out")
    assert "no answer in time" in checks(result)["api"]["finding"]


def test_a_bug_in_a_check_is_a_finding_and_the_rest_is_checked(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"REVE_STATE_DIR": "/x\0y"})  # impossible in a real variable
    assert (result.code, problems(result)) == (1, ["journal"])
    assert checks(result)["journal"]["details"]["code"] == "internal"
    assert [document["check"] for document in result.documents] == ALL


def test_times_are_in_milliseconds(reve: Reve, sandbox: Sandbox) -> None:
    assert re.search(r"connected in \d+ ms, answered in \d+ ms", checks(reve("doctor", "--json"))["api"]["finding"])


def test_the_note_about_the_sandbox_comes_before_the_findings(reve: Reve) -> None:
    done = subprocess.run(
        reve.command("doctor", "--sandbox"),
        env=reve.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[0] == "sandbox: simulated on this machine, with simulated credits"


def test_an_image_url_is_checked_by_the_rules_of_saving(reve: Reve, simulate: Callable[..., Sandbox]) -> None:
    """An image on a private address is refused without a request."""
    simulate(faults=parse_faults("outcome:url-private"))
    reve("generate", "a red fox", "--out", "fox.png")
    result = reve("doctor", "--json")
    assert problems(result) == ["images"]
    assert "refused" in checks(result)["images"]["finding"]


def test_a_proxy_is_shown_without_user_and_password(
    reve: Reve,
    secured: Origin,
    authority: trustme.CA,
    tmp_path: Path,
    set_variable: Callable[[str, str], None],
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    set_variable("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with Proxy(routes(secured)) as proxy:
        set_variable("HTTPS_PROXY", proxy.url.replace("://", "://walter:pa55-4711@"))
        assert reve("generate", "a red fox", "--out", "fox.png").code == 0
        results = [reve("doctor", "--json"), reve("doctor", "--debug")]
    found = checks(results[0])
    assert [result.code for result in results] == [0, 0]
    assert found["proxy"]["details"] == {"url": proxy.url}
    assert found["images"]["details"]["proxy"] == proxy.url
    assert found["images"]["details"]["host"] == CDN
    assert not any("pa55" in text or "walter" in text for result in results for text in (result.out, result.stderr))
    assert found["api"]["details"]["tls"] == "TLSv1.3"
    assert "trustme" in found["api"]["details"]["issuer"]
    assert found["certificates"]["details"]["store"] == "SSL_CERT_FILE"


@pytest.mark.parametrize(
    "credentials", ["walter:pa55-4711@", "walter:4711#pa55@", "walter:4711/pa55@", "pa55:@", "w@lter:pa55@"]
)
def test_a_proxy_password_is_never_shown_even_if_not_escaped(
    reve: Reve, sandbox: Sandbox, set_variable: Callable[[str, str], None], credentials: str
) -> None:
    set_variable("HTTPS_PROXY", closed_port().replace("://", f"://{credentials}"))
    for arguments in (["--json"], ["--debug"]):
        result = reve("doctor", *arguments, env={"APIFRAME_BASE_URL": f"https://{API}"})
        assert result.code in (2, 6)
        assert not re.search("pa55|walter|lter|//4711", result.out + result.stderr), result.out


def test_an_invalid_proxy_url_exits_2(reve: Reve, sandbox: Sandbox, set_variable: Callable[[str, str], None]) -> None:
    set_variable("HTTPS_PROXY", "socks9://127.0.0.1:1")
    result = reve("doctor", "--json", env={"APIFRAME_BASE_URL": f"https://{API}"})
    assert (result.code, problems(result)) == (2, ["proxy"])
    assert checks(result)["api"]["remedy"] == "solve this first: proxy"


def test_an_unknown_certificate_authority_is_a_problem_whose_remedy_names_the_variable(
    reve: Reve, secured: Origin, set_variable: Callable[[str, str], None]
) -> None:
    with Proxy(routes(secured)) as proxy:
        set_variable("HTTPS_PROXY", proxy.url)
        result = reve("doctor", "--json")
    found = checks(result)["api"]
    assert (result.code, problems(result)) == (6, ["api"])
    assert "certificate verify failed" in found["finding"]
    assert "SSL_CERT_FILE" in found["remedy"]
    assert secured.asked == []


def test_certificates_that_cannot_be_read_exit_2(
    reve: Reve, sandbox: Sandbox, set_variable: Callable[[str, str], None]
) -> None:
    set_variable("SSL_CERT_FILE", "/nowhere.pem")
    result = reve("doctor", "--json", env={"APIFRAME_BASE_URL": f"https://{API}"})
    assert (result.code, problems(result)) == (2, ["certificates"])
    assert "SSL_CERT_FILE" in checks(result)["certificates"]["remedy"]


@pytest.mark.parametrize(("wrong", "status"), [(-290, "ok"), (290, "ok"), (-600, "problem"), (7200, "problem")])
def test_a_clock_that_is_wrong_by_more_than_five_minutes_is_a_problem(
    reve: Reve, simulate: Callable[..., Sandbox], wrong: float, status: str
) -> None:
    simulate(clock=lambda: reve.clock.now() - wrong)
    result = reve("doctor", "--json")
    found = checks(result)["clock"]
    assert (found["status"], found["details"]["aheadSeconds"]) == (status, wrong)
    assert result.code == (2 if status == "problem" else 0)
    if status == "problem":
        assert f"{abs(wrong) / 60:.0f} minutes {'ahead of' if wrong > 0 else 'behind'}" in found["finding"]
        assert checks(result)["account"]["status"] == "ok"


# Settings


def test_invalid_settings_are_problems_and_the_rest_is_checked(reve: Reve, sandbox: Sandbox) -> None:
    path = write_config('timeout = 0\nnope = 1\nmodel = "reve-other"\n')
    result = reve("doctor", "--json", env={"REVE_COLOR": "puce"})
    assert (result.code, problems(result)) == (2, ["settings"] * 3)
    said = [document["finding"] for document in result.documents if document["check"] == "settings"]
    shown = f"~/{path.relative_to(Path.home())}"
    assert f"model = reve-other ({shown})" in said
    assert any(shown in finding and "timeout" in finding for finding in said)
    assert any("REVE_COLOR" in finding for finding in said)
    assert checks(result)["account"]["status"] == "ok"
    assert [document["check"] for document in result.documents][-1] == "completion"


@pytest.mark.parametrize(
    ("text", "variable"),
    [("= =", None), ('base_url = "http://api.example"', None), ("", "http://api.example"),
     (f'base_url = "https://{CDN}"', "http://api.example")],
)  # fmt: skip
def test_the_key_is_not_sent_if_the_base_url_is_invalid(
    reve: Reve, sandbox: Sandbox, text: str, variable: str | None
) -> None:
    write_config(text)
    result = reve("doctor", "--json", env={"APIFRAME_BASE_URL": variable or ""})
    assert result.code == 2
    assert checks(result)["account"]["remedy"] == "solve this first: settings (base_url)"
    assert sandbox.requests == []


def test_a_project_file_cannot_send_control_characters_to_the_terminal(reve: Reve, sandbox: Sandbox) -> None:
    Path(".git").mkdir()
    Path(".reve.toml").write_text('"\\u001b]0;evil\\u0007\\u202e" = 1\n')
    result = reve("doctor")
    assert result.code == 2
    assert "evil" in result.out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", result.out)


# State folder and journal


def leave_unfinished(reve: Reve, simulate: Callable[..., Sandbox], *flags: str) -> None:
    simulate(job_seconds=3600)
    assert reve("generate", "a red fox", "--out", "later.png", "--timeout", "5", *flags).code == 75


def test_unfinished_jobs_are_a_hint_with_the_command_that_finishes_them(
    reve: Reve, simulate: Callable[..., Sandbox]
) -> None:
    leave_unfinished(reve, simulate)
    result = reve("doctor", "--json")
    found = checks(result)["journal"]
    assert (result.code, found["status"], found["remedy"]) == (0, "hint", "reve resume")
    assert found["details"] == {"rows": 1, "unfinished": 1, "atWork": 0}


def test_jobs_of_a_running_process_do_not_count_as_unfinished(reve: Reve, live: Sandbox) -> None:
    live._job_seconds = 3600
    command = replace(reve, fast=1).command("generate", "a red fox", "--out", "fox.png")
    with running(command, env=reve.environ, stderr=subprocess.PIPE, text=True) as other:
        assert other.stderr is not None
        assert "accepted" in other.stderr.readline()
        found = checks(reve.child("doctor", "--json"))["journal"]
    assert (found["status"], found["details"]) == ("ok", {"rows": 1, "unfinished": 0, "atWork": 1})


def test_a_damaged_journal_is_a_problem_and_is_not_changed(reve: Reve, sandbox: Sandbox, home: Path) -> None:
    journal = home / ".local/state/reve/journal.db"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"not a database, " * 1000)
    result = reve("doctor", "--json")
    assert (result.code, problems(result)) == (7, ["journal"])
    assert "~/.local/state/reve/journal.db" in checks(result)["journal"]["finding"]
    assert journal.read_bytes() == b"not a database, " * 1000
    reve("generate", "a red fox", "--out", "fox.png")
    found = [document for document in reve("doctor", "--json").documents if document["check"] == "journal"]
    assert [document["status"] for document in found] == ["ok", "hint"]
    assert found[1]["details"]["path"].startswith("~/.local/state/reve/journal-damaged-")


def test_rescued_images_in_the_state_folder_are_a_hint_and_piped_ones_go_by_themselves(
    reve: Reve, sandbox: Sandbox, home: Path
) -> None:
    for name in ("rescue", "spool"):
        folder = home / ".local/state/reve" / name
        folder.mkdir(parents=True)
        (folder / "fox.png").write_bytes(b"image")
    result = reve("doctor", "--json")
    found = [document for document in result.documents if document["status"] == "hint"]
    assert result.code == 0
    assert [document["details"]["path"] for document in found] == ["~/.local/state/reve/rescue"]
    assert "1 piped image in ~/.local/state/reve/spool, deleted after 24 hours" in [
        document["finding"] for document in result.documents if document["status"] == "ok"
    ]


def test_a_journal_that_is_turned_off_is_a_hint(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"REVE_JOURNAL": "off"})
    assert (result.code, checks(result)["journal"]["remedy"]) == (0, "unset REVE_JOURNAL")


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
@pytest.mark.parametrize("exists", [True, False])
def test_a_state_folder_without_write_access_is_a_problem(reve: Reve, live: Sandbox, home: Path, exists: bool) -> None:
    folder = home / "state"
    locked = folder if exists else home / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    bound: list[str] = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv: root may write everywhere")
        bound = ["setpriv", "--bounding-set", "-dac_override"]
    env = {**reve.environ, "REVE_STATE_DIR": str(folder if exists else locked / "deep" / "state")}
    done = subprocess.run(
        [*bound, *reve.command("doctor", "--json")], env=env, capture_output=True, text=True, check=False
    )
    result = Result(done.returncode, done.stdout.encode(), done.stderr)
    locked.chmod(0o700)
    assert (result.code, problems(result)) == (7, ["state"]), done.stderr
    assert "REVE_STATE_DIR" in checks(result)["state"]["remedy"]
    assert checks(result)["journal"]["remedy"] == "solve this first: state"


@pytest.mark.parametrize("name", ["state", "state/deep"])
def test_a_state_folder_that_is_a_file_is_a_problem(reve: Reve, sandbox: Sandbox, name: str) -> None:
    Path("state").write_text("")
    result = reve("doctor", "--json", env={"REVE_STATE_DIR": name})
    assert (result.code, problems(result)) == (7, ["state"])


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_state_folder_that_cannot_be_created_is_a_problem(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"REVE_STATE_DIR": "/proc/x/reve"})
    assert (result.code, problems(result)) == (7, ["state"])
    assert "cannot create /proc/x/reve in /proc" in checks(result)["state"]["finding"]


# Completion


@pytest.mark.parametrize(
    ("shell", "file", "line"),
    [
        ("/bin/bash", ".bashrc", 'eval "$(reve --show-completion bash)"'),
        ("/usr/bin/zsh", ".zshrc", 'eval "$(reve --show-completion zsh)"'),
    ],
)
def test_missing_completion_is_a_hint_with_the_line_to_add(
    reve: Reve, sandbox: Sandbox, home: Path, shell: str, file: str, line: str
) -> None:
    (home / ".bashrc").write_text(f"# {line}\n")
    found = checks(reve("doctor", "--json", env={"SHELL": shell}))["completion"]
    assert (found["status"], found["remedy"]) == ("hint", f"add to ~/{file}: {line}")
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(f"echo hello\n{line}\n")
    found = checks(reve("doctor", "--json", env={"SHELL": shell}))["completion"]
    assert (found["status"], found["details"]["where"]) == ("ok", f"~/{file}")


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".local/share/bash-completion/completions/reve"),
        ("zsh", ".zfunc/_reve"),
        ("fish", ".config/fish/completions/reve.fish"),
    ],
)
def test_a_completion_file_is_enough(reve: Reve, sandbox: Sandbox, home: Path, shell: str, file: str) -> None:
    (home / ".bashrc").unlink()
    (home / file).parent.mkdir(parents=True)
    (home / file).write_text("")
    found = checks(reve("doctor", "--json", env={"SHELL": f"/bin/{shell}"}))["completion"]
    assert (found["status"], found["details"]) == ("ok", {"shell": shell, "where": f"~/{file}"})


@pytest.mark.parametrize(
    ("folder", "shown"), [(None, "~/.config/fish/completions"), ("/a b", "'/a b/fish/completions'")]
)
def test_for_fish_the_remedy_is_a_file_because_a_line_in_config_fish_is_not_enough(
    reve: Reve, sandbox: Sandbox, home: Path, folder: str | None, shown: str
) -> None:
    environ = {"SHELL": "/usr/bin/fish", **({"XDG_CONFIG_HOME": folder} if folder else {})}
    remedy = f"mkdir -p {shown} && reve --show-completion fish > {shown}/reve.fish"
    found = checks(reve("doctor", "--json", env=environ))["completion"]
    assert (found["status"], found["finding"], found["remedy"]) == ("hint", "fish completion is not set up", remedy)
    if folder is None:
        (home / ".config" / "fish").mkdir(parents=True)
        (home / ".config" / "fish" / "config.fish").write_text("reve --show-completion fish | source\n")
        found = checks(reve("doctor", "--json", env=environ))["completion"]
        assert (found["status"], found["remedy"]) == ("hint", remedy)
        assert found["finding"].startswith("~/.config/fish/config.fish loads it, but ")


@pytest.mark.parametrize("shell", ["", "/bin/tcsh", "/bin/\x1b[31m"])
def test_an_unknown_shell_is_not_a_problem(reve: Reve, sandbox: Sandbox, shell: str) -> None:
    result = reve("doctor", env={"SHELL": shell})
    assert (result.code, "\x1b" in result.out) == (0, False)


def test_a_path_too_long_for_the_system_stops_only_its_own_check(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("doctor", "--json", env={"SHELL": "/bin/zsh", "ZDOTDIR": "/x" * 5000})
    assert (checks(result)["completion"]["status"] != "ok", result.code in (0, 2)) == (True, True)
    assert [document["check"] for document in result.documents] == ALL


# Terminals, limits and signals


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("columns", [40, 80])
def test_findings_are_wrapped_to_the_terminal_and_colored(reve: Reve, live: Sandbox, columns: int) -> None:
    env = {**reve.environ, "APIFRAME_API_KEY": "", "REVE_JOURNAL": "off", "SHELL": "/bin/zsh"}
    with Terminal(reve.command("doctor"), env=env, columns=columns) as terminal:
        assert terminal.wait() == 3
        screen = terminal.screen
    words = " ".join(screen.text.split())
    assert "problem key no API key in a key file, the environment, the keychain or the config file" in words
    assert "fix: set APIFRAME_API_KEY to a key from https://console.apiframe.ai, or run reve auth login" in words
    assert "hint journal off; a crash can lose paid images fix: unset REVE_JOURNAL" in words
    assert f"ok terminal stdin, stdout, stderr (TERM=xterm-256color), {columns} columns, utf-8, color auto" in words
    row = next(row for row in screen.rows if 'fix: add to ~/.zshrc: eval "$(reve --show-completion zsh)"' in row)
    assert columns == 40 or len(row.rstrip()) < columns, "a command to copy is not wrapped and starts further left"
    wrapped = [row for row in screen.rows if len(row) > columns and "show-completion" not in row]
    assert all(len(max(row.split(), key=len)) > columns - 25 for row in wrapped), wrapped
    assert {"32", "33", "31"} <= set(screen.styles)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"REVE_COLOR": "never"}, {"TERM": "dumb"}])
def test_colors_can_be_turned_off(reve: Reve, live: Sandbox, env: dict[str, str]) -> None:
    Path("sub\x1b[31mfolder").mkdir()
    hostile = {"REVE_STATE_DIR": str(Path("sub\x1b[31mfolder").resolve())}
    with Terminal(reve.command("doctor"), env={**reve.environ, **hostile, **env}) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen.styles == []
        assert "sub\\x1b[31mfolder" in terminal.screen.text.replace("\n", "")


def test_the_time_limit_covers_all_network_checks_together(reve: Reve) -> None:
    with Tap() as silent:
        env = {"APIFRAME_BASE_URL": f"http://127.0.0.1:{silent.port}", "APIFRAME_API_KEY": KEY}
        result = reve.limited("doctor", "--json", until=silent.reached.is_set, env=env)
    assert result.code == 6
    assert problems(result) == ["api"]


def test_checks_of_this_machine_run_despite_the_time_limit(reve: Reve, sandbox: Sandbox) -> None:
    result = reve.child("doctor", "--json", "--timeout", "1e-9")
    assert "the time limit of 1e-09 s has passed" in checks(result)["key"]["finding"]
    found = checks(result)
    local = ("reve", "python", "settings", "state", "journal", "terminal", "completion")
    assert {found[name]["status"] for name in local} == {"ok"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_ctrl_c_stops_it_while_the_api_is_silent(reve: Reve) -> None:
    with Tap() as silent:
        env = {**reve.environ, "APIFRAME_BASE_URL": f"http://127.0.0.1:{silent.port}", "APIFRAME_API_KEY": KEY}
        with Terminal(reve.command("doctor"), env=env) as terminal:
            terminal.expect("checking: api")
            terminal.type(b"\x03")
            assert terminal.wait() == -signal.SIGINT


# Secrets and remedies


def test_findings_contain_no_secrets(
    reve: Reve, simulate: Callable[..., Sandbox], home: Path, set_variable: Callable[[str, str], None]
) -> None:
    simulate(key=SECRET, clock=time.time)
    key_file = home / f"{SECRET}.txt"
    key_file.write_text(SECRET)
    key_file.chmod(0o644)
    Path(".git").mkdir()
    Path(".reve.toml").write_text(f'api_key = "{SECRET}"\n{SECRET} = 1\n')
    write_config(f'api_key = "{SECRET}"\n')
    set_variable("HTTPS_PROXY", "http://walter:pa55-4711@127.0.0.1:1")
    env = {"REVE_API_KEY": SECRET, "REVE_TIMEOUT": SECRET, "REVE_OUTPUT_FOLDER": f"{home}/{SECRET}", "TERM": SECRET}
    worlds = [
        [],
        ["--api-key-file", str(key_file)],
        ["--api-key-file", f"{home}/no-{SECRET}"],
    ]
    for world in worlds:
        for arguments in ([], ["--json"], ["--json", "--debug"]):
            result = reve("doctor", *world, *arguments, env=env)
            printed = result.stdout + result.stderr.encode()
            assert result.code in (2, 3)
            assert not betrays(printed)
            assert b"pa55" not in printed
            assert b"sandbox@" not in result.stdout
            assert str(home).encode() not in result.stdout


def parse(command: str) -> None:
    """Parse a reve command line without running it. Raises if it is invalid."""
    name, *words = shlex.split(command)
    assert name == "reve"
    root: Any = tree()
    context = root.make_context("reve", words, obj=Process(Signals()))
    rest = [*context._protected_args, *context.args]
    while rest:
        name, found, rest = context.command.resolve_command(context, rest)
        context = found.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args] if hasattr(found, "resolve_command") else []


def test_every_remedy_that_is_a_reve_command_is_valid(reve: Reve, simulate: Callable[..., Sandbox], home: Path) -> None:
    key_file = home / "my key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    leave_unfinished(reve, simulate)
    commands = []
    for arguments in ([], ["--api-key-file", str(key_file)], ["--sandbox"]):
        if arguments == ["--sandbox"]:
            env = {"REVE_SANDBOX_SECONDS": "3600"}
            reve("generate", "a red fox", "--out", "x.png", "--timeout", "5", "--sandbox", env=env)
        found = checks(reve("doctor", "--json", *arguments))["journal"]
        commands.append(found["remedy"])
    assert commands == ["reve resume", "reve resume --api-key-file ~/'my key'", "reve resume --sandbox"]
    for command in commands:
        parse(command)
    with pytest.raises(typer.TyperException):
        parse("reve resume --nonsense")
