"""Failing connections: certificates, name servers, addresses, servers and proxies, each real.

A child process runs in a mount namespace with other certificates, hosts or name servers.
"""

import contextlib
import datetime
import errno
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trustme

from reve_cli.api.network import tls_context
from reve_cli.sandbox import Sandbox
from tests.conftest import KEY, Result, Reve
from tests.support.namespaces import require_root, within
from tests.support.servers import HOST, Asked, Origin, Proxy, Reply, Server, Tap, sandbox_behind
from tests.support.terminal import PATIENCE

API = "api.reve.example"
CDN = "cdn.reve.example"
JOB = "3f2a9c1e-0000-4000-8000-000000000001"
# `status` exits with 8 if it gets this answer, and with 6 if it reaches no API
UNKNOWN = Reply(404, b'{"error": "Job not found"}', {"Content-Type": "application/json"})


def secured(authority: trustme.CA, *names: str, not_after: datetime.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    before = None if not_after is None else not_after - datetime.timedelta(days=1)
    authority.issue_cert(*names, not_before=before, not_after=not_after).configure_cert(context)
    return context


@pytest.fixture
def api(authority: trustme.CA, reve: Reve) -> Iterator[Origin]:
    """An API at https://localhost without jobs, and `reve` set up to use it."""
    with Origin(lambda asked: UNKNOWN, secured(authority, "localhost")) as origin:
        reve.environ |= {"APIFRAME_BASE_URL": f"https://localhost:{origin.port}", "APIFRAME_API_KEY": KEY}
        yield origin


def run(command: list[str], environ: Mapping[str, str]) -> Result:
    done = subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE, check=False)
    assert b"Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr.decode())


# The system's certificates


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def etc_ssl(folder: Path, bundle: Path, *names: str) -> dict[str | Path, str | Path]:
    """Mounts for a system with the certificates of `bundle` under `names` in /etc/ssl, and nothing else there."""
    if not Path("/etc/ssl/certs").is_dir() or ssl.get_default_verify_paths().openssl_capath.startswith("/usr/local"):
        pytest.skip("this Python does not use /etc/ssl")
    (folder / "certs").mkdir(parents=True)
    for name in names:
        if "HASH" in name:
            command = ["openssl", "x509", "-noout", "-hash", "-in", str(bundle)]
            name = name.replace("HASH", subprocess.run(command, capture_output=True, text=True).stdout.strip())
        (folder / name).write_bytes(bundle.read_bytes())
    return {"/etc/ssl": folder}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("certs/ca-certificates.crt", "certs/HASH.0"), id="Debian"),
        pytest.param(("certs/ca-certificates.crt",), id="distroless"),
        pytest.param(("cert.pem", "certs/ca-certificates.crt"), id="Alpine"),
        pytest.param(("cert.pem", "certs/ca-bundle.crt"), id="RHEL"),
        pytest.param(("ca-bundle.pem", "certs/HASH.0"), id="SUSE"),
        pytest.param(("certs/HASH.0",), id="only a folder"),
    ],
)
def test_an_authority_in_the_system_store_is_trusted_without_any_variable(
    reve: Reve, api: Origin, bundle: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    mounts = etc_ssl(tmp_path / "ssl", bundle, *names)
    result = run(within(mounts, reve.command("status", JOB)), reve.environ)
    assert (result.code, len(api.asked)) == (8, 1), result.stderr


def test_an_unknown_authority_is_refused_at_once_with_a_hint(reve: Reve, api: Origin) -> None:
    result = reve.child("generate", "a red fox", "--out", "fox.png")
    assert (result.code, api.asked) == (6, [])
    error, hint = result.stderr.splitlines()
    assert error.startswith(f"error: cannot reach https://localhost:{api.port}: certificate verify failed: ")
    assert error.endswith("; nothing was charged")
    assert "SSL_CERT_FILE" in hint
    assert "reve doctor" in hint


@pytest.mark.parametrize("content", [(), ("certs/README",), ("certs/ca-certificates.crt",)], ids=str)
def test_certificates_of_certifi_are_trusted_if_the_system_has_none(
    reve: Reve, api: Origin, tmp_path: Path, content: tuple[str, ...]
) -> None:
    """The system's folder is empty or has no certificates, or its bundle is empty."""
    nothing = tmp_path / "nothing"
    nothing.touch()
    mounts = etc_ssl(tmp_path / "ssl", nothing, *content)
    code = "from reve_cli.api.network import tls_context; print(len(tls_context().get_ca_certs()))"
    assert int(run(within(mounts, [reve.command()[0], "-c", code]), reve.environ).out) > 100
    result = run(within(mounts, reve.command("status", JOB)), reve.environ)
    assert (result.code, api.asked) == (6, []), result.stderr


def test_SSL_CERT_FILE_replaces_the_system_store(reve: Reve, api: Origin, bundle: Path, tmp_path: Path) -> None:
    assert reve.child("status", JOB, env={"SSL_CERT_FILE": str(bundle)}).code == 8
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    mounts = etc_ssl(tmp_path / "ssl", bundle, "certs/ca-certificates.crt")
    result = run(within(mounts, reve.command("status", JOB)), {**reve.environ, "SSL_CERT_FILE": str(other)})
    assert result.code == 6, result.stderr


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("content", [None, ""])
def test_unreadable_certificates_are_a_config_error_that_names_them(
    reve: Reve, api: Origin, tmp_path: Path, variable: str, content: str | None
) -> None:
    path = tmp_path / "certificates"
    if content is not None:
        path.write_text(content)
    result = reve.child("generate", "a red fox", env={variable: str(path)})
    assert (result.code, result.out, api.asked) == (2, "", [])
    error, hint = result.stderr.splitlines()
    assert f"{variable}={path}" in error
    assert hint == f"hint: correct or unset {variable}"


def test_images_and_api_are_reached_through_a_proxy_that_intercepts_tls(
    reve: Reve, live: Sandbox, authority: trustme.CA, bundle: Path, tmp_path: Path
) -> None:
    """A company's proxy answers with its own certificates, and the company's machines trust their authority."""
    front = Origin(sandbox_behind(live, f"https://{CDN}"), secured(authority, API, CDN))
    with front, Proxy({f"{name}:443": front.port for name in (API, CDN)}) as proxy:
        environ = {**reve.environ, "APIFRAME_BASE_URL": f"https://{API}", "HTTPS_PROXY": proxy.url}
        command = reve.command("generate", "a red fox", "--out", "fox.png")
        mounts = etc_ssl(tmp_path / "ssl", bundle, "certs/ca-certificates.crt")
        refused = run(command, environ)
        assert (refused.code, front.asked, live.jobs()) == (6, [], [])
        result = run(within(mounts, command), environ)
    assert result.code == 0, result.stderr
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")


# Invalid certificates


def trusting(reve: Reve, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    reve.environ |= {"SSL_CERT_FILE": str(bundle), "APIFRAME_API_KEY": KEY}


@pytest.mark.parametrize(
    ("names", "years", "said", "hinted"),
    [
        (("localhost",), -1, "certificate has expired", "clock"),
        (("localhost",), 10, "certificate is not yet valid", "clock"),
        (("elsewhere.example",), 0, "certificate is not valid for 'localhost'", "another server's certificate"),
    ],
)
def test_an_invalid_certificate_is_reported_with_a_hint(
    reve: Reve,
    authority: trustme.CA,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    years: int,
    said: str,
    hinted: str,
) -> None:
    trusting(reve, bundle, monkeypatch)
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365 * years) if years else None
    with Origin(lambda asked: UNKNOWN, secured(authority, *names, not_after=until)) as origin:
        reve.environ["APIFRAME_BASE_URL"] = f"https://localhost:{origin.port}"
        for command in (("status", JOB), ("generate", "a red fox")):
            result = reve(*command)
            assert (result.code, origin.asked) == (6, [])
            error, hint = result.stderr.splitlines()
            assert said in error
            assert hinted in hint


def test_wait_goes_on_until_its_time_limit_despite_an_invalid_certificate(
    reve: Reve, authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a laptop in a hotel's network, before its user has logged in."""
    trusting(reve, bundle, monkeypatch)
    with Origin(lambda asked: UNKNOWN, secured(trustme.CA(), "localhost")) as hotel:
        reve.environ["APIFRAME_BASE_URL"] = f"https://localhost:{hotel.port}"
        result = reve("wait", JOB, "--timeout", "60")
    assert result.code == 75
    assert "certificate verify failed" in result.stderr


# Proxies


def test_the_certificate_of_a_proxy_is_verified(
    reve: Reve, authority: trustme.CA, bundle: Path, tmp_path: Path
) -> None:
    class Secured(Proxy):
        def serve(self, connection: socket.socket) -> None:
            with self.held(secured(authority, "localhost").wrap_socket(connection, server_side=True)) as inner:
                super().serve(inner)

    with Secured() as proxy:
        environ = {**reve.environ, "APIFRAME_BASE_URL": f"https://{API}", "APIFRAME_API_KEY": KEY}
        environ["HTTPS_PROXY"] = f"https://localhost:{proxy.port}"
        command = replace(reve, fast=20).command("generate", "a red fox")
        refused = run(command, environ)
        assert (refused.code, proxy.asked) == (6, [])
        assert "certificate verify failed" in refused.stderr
        result = run(
            within(etc_ssl(tmp_path / "ssl", bundle, "cert.pem", "certs/ca-certificates.crt"), command), environ
        )
    assert result.code == 6
    assert set(proxy.tunnels) == {f"{API}:443"}


def test_the_hint_shows_how_to_give_a_proxy_its_password(reve: Reve, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(status=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        result = reve("generate", "a red fox", env={"APIFRAME_BASE_URL": f"https://{API}", "APIFRAME_API_KEY": KEY})
    assert result.code == 6
    assert result.stderr.splitlines()[-1].endswith("HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package_is_a_config_error_that_names_it(
    reve: Reve, tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "socksio.py").write_text("raise ImportError")  # as if it were not installed
    env = {"APIFRAME_BASE_URL": f"https://{API}", "APIFRAME_API_KEY": KEY, "PYTHONPATH": str(tmp_path)}
    result = reve.child("status", JOB, env={**env, "ALL_PROXY": f"{scheme}://walter:pa55@127.0.0.1:1"})
    assert result.code == 2
    error, hint = result.stderr.splitlines()
    assert "ALL_PROXY" in error
    assert "pipx inject reve-cli socksio" in hint
    assert "unset" in hint
    assert "pa55" not in result.stderr


# Addresses


@pytest.mark.parametrize("first", ["IPv6", "IPv4"])
def test_the_other_address_is_tried_if_one_of_two_is_dead(reve: Reve, tmp_path: Path, first: str) -> None:
    """`localhost` has two addresses; nothing listens at the one that the system prefers."""
    hosts, order = tmp_path / "hosts", tmp_path / "gai.conf"
    hosts.write_text("127.0.0.1 localhost\n::1 localhost\n")
    order.write_text(f"precedence ::ffff:0:0/96 {100 if first == 'IPv4' else 1}\n")
    host, dead = ("::1", "127.0.0.1") if first == "IPv4" else ("127.0.0.1", "::1")
    mounts: dict[str | Path, str | Path] = {"/etc/hosts": hosts, "/etc/gai.conf": order}
    if not Path("/etc/gai.conf").exists():
        pytest.skip("no /etc/gai.conf")
    with contextlib.ExitStack() as resources:
        while True:
            held = resources.enter_context(socket.socket(socket.AF_INET6 if ":" in dead else socket.AF_INET))
            try:
                origin = resources.enter_context(Origin(lambda asked: UNKNOWN, host=host))
                held.bind((dead, origin.port))  # so that no other program listens there meanwhile
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    pytest.skip("this machine has no IPv6 loopback address")
        environ = {**reve.environ, "APIFRAME_BASE_URL": f"http://localhost:{origin.port}", "APIFRAME_API_KEY": KEY}
        result = run(within(mounts, reve.command("status", JOB)), environ)
    assert (result.code, len(origin.asked)) == (8, 1), result.stderr


FETCH = """
import io, ssl, sys
from reve_cli.api.download import Images, Unusable
from reve_cli.api.origins import Origins
from reve_cli.core.clock import Clock, Deadline, Limits, Stop
from tests.support.pictures import PICTURES
from tests.support.servers import Origin, Reply

certificate, address, host = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
limits = Limits(connect=5, silence=5, tries=1)
images = Images(Origins(public=True, loopback=False), clock=Clock(), stop=Stop(), limits=limits, debug=None)
with Origin(lambda asked: Reply(200, PICTURES["png"]), context, address) as origin:
    try:
        print(images.fetch(f"https://{host}:{origin.port}/x.png", io.BytesIO(), Deadline(Clock(), 20)).media_type)
    except Unusable as error:
        print(error)
    images.close()
    print(len(origin.asked), "requests")
"""


@pytest.mark.parametrize(
    ("address", "host", "outcome"),
    [
        ("198.18.0.7", CDN, "image/png\n1 requests\n"),
        ("198.19.255.254", CDN, "image/png\n1 requests\n"),
        ("198.18.0.7", "198.18.0.7", "refused: not a public address"),
        ("198.17.0.7", CDN, "image/png\n1 requests\n"),
        ("10.0.0.7", CDN, "resolves to 10.0.0.7, which is not a public address (0 requests)"),
        ("192.168.0.7", CDN, "resolves to 192.168.0.7, which is not a public address (0 requests)"),
        ("169.254.169.254", CDN, "resolves to 169.254.169.254, which is not a public address (0 requests)"),
    ],
)
def test_only_a_name_may_lead_to_an_address_of_a_fake_ip_proxy(
    tmp_path: Path, bundle: Path, authority: trustme.CA, address: str, host: str, outcome: str
) -> None:
    if not shutil.which("ip"):
        pytest.skip("needs the command ip")
    certificate, hosts = tmp_path / "server.pem", tmp_path / "hosts"
    authority.issue_cert(CDN, address).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    hosts.write_text(f"{address} {CDN}\n")
    command = [sys.executable, "-c", FETCH, str(certificate), address, host]
    before = f"ip link set lo up && ip address add {address}/32 dev lo"
    environ = {**os.environ, "SSL_CERT_FILE": str(bundle), "PYTHONPATH": str(Path(__file__).parents[2])}
    result = run(within({"/etc/hosts": hosts}, command, "--net", before=before), environ)
    assert result.code == 0, result.stderr
    for part in outcome.rstrip(")").split(" ("):
        assert part in result.out


# Name servers


class NameServer:
    """A name server on its own loopback address. It resolves every name to 127.0.0.1, answers an error, or is silent.

    code: 0 to answer with the address, 2 for a server failure, 3 for an unknown name, None for silence.
    """

    def __init__(self, folder: Path) -> None:
        self.asked = threading.Event()
        self.code: int | None = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((f"127.{53 + id(self) % 199}.{id(folder) % 251}.{1 + hash(folder) % 250}", 53))
        resolv = folder / "resolv.conf"
        # without these options the resolver would give up before the test does
        resolv.write_text(f"nameserver {self._socket.getsockname()[0]}\noptions timeout:30 attempts:5\n")
        nsswitch = folder / "nsswitch.conf"
        nsswitch.write_text("hosts: files dns\n")
        self.mounts: dict[str | Path, str | Path] = {"/etc/resolv.conf": resolv, "/etc/nsswitch.conf": nsswitch}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(PATIENCE)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            self.asked.set()
            if self.code is not None:
                self._socket.sendto(self._answer(query, self.code), client)

    @staticmethod
    def _answer(query: bytes, code: int) -> bytes:
        end = 12
        while query[end]:
            end += query[end] + 1
        kind = struct.unpack_from("!H", query, end + 1)[0]
        address = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(HOST)
        answer = address if (code, kind) == (0, 1) else b""
        counts = struct.pack("!HHHHH", 0x8180 | code, 1, 1 if answer else 0, 0, 0)
        return query[:2] + counts + query[12 : end + 5] + answer


@pytest.fixture
def name_server(reve: Reve, tmp_path: Path) -> Iterator[NameServer]:
    require_root()
    folder = tmp_path / "etc"
    folder.mkdir()
    try:
        server = NameServer(folder)
    except OSError as error:
        pytest.skip(f"cannot run a name server here: {error}")
    reve.environ |= {"APIFRAME_BASE_URL": f"https://{API}", "APIFRAME_API_KEY": KEY}
    yield server
    server.stop()


@pytest.mark.parametrize(("code", "said"), [(2, "Temporary failure in name resolution"), (3, "not known")])
def test_an_unresolvable_name_is_reported_and_nothing_is_charged(
    reve: Reve, name_server: NameServer, code: int, said: str
) -> None:
    name_server.code = code
    reve.fast = 20
    result = run(within(name_server.mounts, reve.command("generate", "a red fox", "--quiet")), reve.environ)
    assert result.code == 6
    (error,) = result.stderr.splitlines()
    assert "cannot resolve the host name" in error
    assert said in error
    assert error.endswith("nothing was charged")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("generate", "a red fox", "--out", "fox.png"), 6),
        (("generate", "a red fox", "--out", "fox.png", "--count", "3"), 6),
        (("generate", "a red fox", "--no-wait"), 6),
        (("generate", "a red fox", "--once", "4711"), 6),
        (("generate", "a red fox", "--max-credits", "10"), 6),
        (("status", JOB), 6),
        (("download", JOB), 6),
        (("wait", JOB), 75),
        (("history",), 0),
        (("resume",), 0),
    ],
    ids=str,
)
def test_a_silent_name_server_delays_no_command_beyond_its_time_limit(
    reve: Reve, name_server: NameServer, command: tuple[str, ...], code: int
) -> None:
    """Nothing was sent, so nothing was charged: exit code 6. `wait` exits with 75, as its job is unfinished."""
    name_server.code = None
    there = partial(within, name_server.mounts)
    if code:
        result = reve.limited(*command, until=name_server.asked.is_set, there=there)
    else:
        result = run(there(reve.command(*command)), reve.environ)
    assert (result.code, name_server.asked.is_set()) == (code, code != 0), result.stderr
    if code == 6:
        assert f"still connecting to https://{API}: the server or its name server does not answer" in result.stderr
    assert run(reve.command("resume", "--dry-run"), reve.environ).out == ""


def test_a_silent_name_server_does_not_delay_ctrl_c(reve: Reve, name_server: NameServer) -> None:
    name_server.code = None
    command = within(name_server.mounts, reve.command("generate", "a red fox"))
    process = subprocess.Popen(command, env=reve.environ, stderr=subprocess.PIPE, start_new_session=True)
    assert name_server.asked.wait(PATIENCE)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert said.decode().splitlines() == ["error: interrupted before the request was sent; nothing was charged"]
    assert run(reve.command("resume", "--dry-run"), reve.environ).out == ""


def test_a_paid_job_is_not_lost_when_a_name_server_fails(
    reve: Reve, live: Sandbox, name_server: NameServer, authority: trustme.CA, bundle: Path
) -> None:
    """The name server answers, is silent for a while, and answers again."""

    def answer(asked: Asked) -> Reply:
        return sandbox_behind(live, f"https://{CDN}:{origin.port}")(asked)

    with Origin(answer, secured(authority, API)) as origin:
        base_url = f"https://{API}:{origin.port}"
        environ = {**reve.environ, "APIFRAME_BASE_URL": base_url, "SSL_CERT_FILE": str(bundle)}

        def reve_there(*arguments: str) -> Result:
            return run(within(name_server.mounts, reve.command(*arguments)), environ)

        first = reve_there("generate", "a red fox", "--out", "fox.png")
        (job,) = live.jobs()
        assert (first.code, first.stderr.splitlines()[-1]) == (75, f"reve resume {job.id}"), first.stderr
        assert "which is not a public address" in first.stderr
        name_server.code = None
        reve.environ |= environ
        for command in (("resume",), ("resume", job.id)):
            name_server.asked.clear()
            again = reve.limited(*command, until=name_server.asked.is_set, there=partial(within, name_server.mounts))
            assert (again.code, again.stderr.splitlines()[-1]) == (75, f"reve resume {job.id}"), again.stderr
        name_server.code = 0
        assert reve_there("status", job.id).code == 0
    assert len(live.jobs()) == 1


# Servers


@pytest.mark.parametrize(("command", "code"), [(("generate", "a red fox"), 75), (("status", JOB), 6)], ids=str)
def test_a_server_that_sends_slowly_forever_is_abandoned_at_the_time_limit(
    reve: Reve, command: tuple[str, ...], code: int
) -> None:
    class Trickling(Server):
        def serve(self, connection: socket.socket) -> None:
            if connection.recv(65536).startswith((b"POST", b"GET /v2/jobs/")):
                asked.set()
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
            while not left.wait(0.05):
                connection.sendall(b"x")

    asked, left = threading.Event(), threading.Event()
    with Trickling() as server:
        env = {"APIFRAME_BASE_URL": f"http://{HOST}:{server.port}", "APIFRAME_API_KEY": KEY}
        result = reve.limited(*command, until=asked.is_set, env=env)
        left.set()
    assert result.code == code, result.stderr


def test_silence_before_the_tls_handshake_means_not_accepted(reve: Reve) -> None:
    with Tap() as silent:
        env = {"APIFRAME_BASE_URL": f"https://localhost:{silent.port}", "APIFRAME_API_KEY": KEY}
        result = reve.limited("generate", "a red fox", until=silent.reached.is_set, env=env)
        assert KEY.encode() not in b"".join(silent.told())
    assert result.code == 6, result.stderr
    assert result.stderr.splitlines()[-1].endswith("nothing was charged")


@pytest.mark.parametrize(("command", "code"), [(("generate", "a red fox"), 75), (("status", JOB), 6)], ids=str)
def test_a_disconnect_after_the_handshake_means_perhaps_accepted(
    reve: Reve,
    authority: trustme.CA,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    code: int,
) -> None:
    class Leaving(Server):
        def serve(self, connection: socket.socket) -> None:
            secured(authority, "localhost").wrap_socket(connection, server_side=True).close()

    trusting(reve, bundle, monkeypatch)
    with Leaving() as server:
        result = reve(*command, env={"APIFRAME_BASE_URL": f"https://localhost:{server.port}"})
    assert result.code == code, result.stderr


PORTAL: list[Callable[[Asked], Reply]] = [
    lambda asked: Reply(200, b"<html>Welcome! Log in", {"Content-Type": "text/html"}),
    lambda asked: Reply(302, b"", {"Location": "http://portal.example/login"}),
    lambda asked: Reply(511, b"<html>Log in", {"Content-Type": "text/html"}),
]


@pytest.mark.parametrize("portal", PORTAL, ids=["200", "302", "511"])
def test_a_login_portal_gets_neither_key_nor_request(reve: Reve, portal: Callable[[Asked], Reply]) -> None:
    """A portal answers for every name, with a certificate of an unknown authority."""
    with Origin(portal, secured(trustme.CA(), "localhost")) as origin:
        env = {"APIFRAME_BASE_URL": f"https://localhost:{origin.port}", "APIFRAME_API_KEY": KEY}
        result = reve("generate", "a red fox", env=env)
    assert (result.code, origin.asked) == (6, [])


@pytest.mark.parametrize("portal", PORTAL, ids=["200", "302", "511"])
def test_an_answer_of_a_gateway_is_reported_as_such(
    reve: Reve,
    authority: trustme.CA,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    portal: Callable[[Asked], Reply],
) -> None:
    """A company's gateway has a trusted certificate and may have forwarded the request, so `generate` exits with 75."""
    trusting(reve, bundle, monkeypatch)
    with Origin(portal, secured(authority, "localhost")) as origin:
        reve.environ["APIFRAME_BASE_URL"] = f"https://localhost:{origin.port}"
        looked_up, made = reve("status", JOB), reve("generate", "a red fox")
    assert (looked_up.code, made.code) == (6, 75)
    for result in (looked_up, made):
        assert "not the API's JSON" in result.stderr
        assert "<html>" not in result.stderr
        assert "check the base URL, the proxy and the network" in looked_up.stderr


def test_a_silent_handshake_with_one_server_does_not_delay_another(authority: trustme.CA) -> None:
    """The clients for images and for the API share one TLS context."""
    context = tls_context()
    refused: list[ssl.SSLError] = []

    def shake_hands(port: int) -> None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)) as plain:
            try:
                context.wrap_socket(plain, server_hostname="localhost")
            except ssl.SSLCertVerificationError as error:
                refused.append(error)

    with Tap() as silent, Origin(lambda asked: UNKNOWN, secured(authority, "localhost")) as origin:
        threads = [threading.Thread(target=shake_hands, args=(port,)) for port in (silent.port, origin.port)]
        for thread in threads:
            thread.start()
        threads[1].join(PATIENCE)
        assert len(refused) == 1
    threads[0].join(PATIENCE)
