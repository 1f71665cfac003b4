"""Proxies, certificates, names, addresses and redirects, over real loopback sockets."""

import base64
import contextlib
import io
import socket
import ssl
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from reve_cli.api.download import Images, Unusable
from reve_cli.api.network import USER_AGENT, Connections, tls_context
from reve_cli.api.origins import Origins, is_public
from reve_cli.core.clock import Deadline, Limits, Stop
from reve_cli.sandbox import Fault, Sandbox
from reve_cli.sandbox.picture import png
from tests.conftest import KEY, MadeUpClock, Result, Reve
from tests.support.servers import HOST, Asked, Origin, Proxy, Reply, Tap, read_request, sandbox_behind

API = "api.reve.example"
CDN = "cdn.reve.example"
IMAGE = png("a red fox", 1, None, 1, "3f2a9c1e")
PUBLIC_NAMES_ONLY = Origins(public=True, loopback=False)
PROXY_VARIABLES = [name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A table from host names to addresses, empty at first. Other names do not resolve, and no name server is asked."""
    names: dict[str, str] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **keywords: Any) -> Any:
        if any(character.isalpha() for character in host.replace("localhost", "")) and ":" not in host:
            if host not in names:
                raise socket.gaierror(socket.EAI_NONAME, f"{host} does not resolve in this test")
            host = names[host]
        return real(host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path, reve: Reve, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that sets SSL_CERT_FILE to the test authority."""

    def name_it() -> None:
        path = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(path))
        set_variable(reve, monkeypatch, "SSL_CERT_FILE", str(path))

    return name_it


def set_variable(reve: Reve, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Set a variable for `reve` in a child, and in this process, where the HTTP library reads the real environment."""
    monkeypatch.setenv(name, value)
    reve.environ[name] = value


@dataclass
class World:
    """The sandbox as https://api.reve.example and https://cdn.reve.example, names that only the proxy can resolve."""

    reve: Reve
    sandbox: Sandbox
    front: Origin
    proxy: Proxy
    set: Callable[[str, str], None]

    def use_proxy(self, variable: str = "HTTPS_PROXY") -> None:
        self.set(variable, self.proxy.url)

    def generate(self, *options: str) -> Result:
        return self.reve("generate", "a red fox", "--out", "fox.png", *options)


@pytest.fixture
def build(
    reve: Reve,
    authority: trustme.CA,
    trust: Callable[[], None],
    resolve: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[Sandbox], World]]:
    """A function that puts a sandbox behind TLS and a proxy, with a trusted authority. It does not set HTTPS_PROXY."""
    started: list[Origin | Proxy] = []

    def around(sandbox: Sandbox) -> World:
        trust()
        answer = sandbox_behind(sandbox, f"https://{CDN}")
        front = Origin(answer, server_context(authority, API, CDN))
        proxy = Proxy({f"{API}:443": front.port, f"{CDN}:443": front.port})
        started.extend((proxy, front))
        reve.environ["APIFRAME_BASE_URL"] = f"https://{API}"
        return World(reve, sandbox, front, proxy, lambda *pair: set_variable(reve, monkeypatch, *pair))

    yield around
    for server in started:
        server.stop()


@pytest.fixture
def world(build: Callable[[Sandbox], World], sandbox: Sandbox) -> World:
    return build(sandbox)


# Proxies


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_proxy_for_https_comes_from_the_environment(world: World, variable: str) -> None:
    world.use_proxy(variable)
    result = world.generate("--json")
    assert result.code == 0, result.stderr
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")
    assert result.document["urls"][0].startswith(f"https://{CDN}/images/")
    assert set(world.proxy.tunnels) == {f"{API}:443", f"{CDN}:443"}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_real_process_reaches_the_api_and_the_images_through_the_proxy(
    build: Callable[[Sandbox], World], live: Sandbox, variable: str
) -> None:
    world = build(live)
    world.use_proxy(variable)
    result = world.reve.child("generate", "a red fox", "--out", "fox.png")
    assert (result.code, result.out) == (0, "fox.png\n"), result.stderr
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")
    assert set(world.proxy.tunnels) == {f"{API}:443", f"{CDN}:443"}


def test_the_proxy_for_plain_http_is_not_used_for_https(world: World) -> None:
    world.set("HTTP_PROXY", world.proxy.url)
    result = world.generate()
    assert (result.code, world.proxy.asked, world.sandbox.jobs()) == (6, [], [])


@pytest.mark.parametrize("exceptions", [API, ".reve.example", "reve.example", "other.example, reve.example", "*"])
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_hosts_in_NO_PROXY_are_reached_without_the_proxy(world: World, variable: str, exceptions: str) -> None:
    world.use_proxy()
    world.set(variable, exceptions)
    result = world.generate()
    assert (result.code, world.proxy.asked) == (6, [])
    assert f"{API} does not resolve" in result.stderr


def test_hosts_not_in_NO_PROXY_are_reached_through_the_proxy(world: World) -> None:
    world.use_proxy()
    world.set("NO_PROXY", CDN)
    result = world.generate()
    assert result.code == 75
    assert f"{CDN} does not resolve" in result.stderr
    assert set(world.proxy.tunnels) == {f"{API}:443"}


@pytest.mark.parametrize("status", [403, 407, 502, 503])
def test_nothing_is_accepted_if_the_proxy_refuses_the_tunnel(world: World, status: int) -> None:
    with Proxy(status=status) as refusing:
        world.set("HTTPS_PROXY", refusing.url)
        result = world.generate("--json")
    assert (result.code, result.document["error"]["code"]) == (6, "network")
    assert str(status) in result.stderr
    assert refusing.tunnels == [f"{API}:443"] * world.reve.limits.tries
    assert (world.front.asked, world.sandbox.jobs()) == ([], [])


def test_nothing_is_accepted_if_the_proxy_disconnects_without_an_answer(world: World) -> None:
    class Leaving(Proxy):
        def serve(self, connection: socket.socket) -> None:
            connection.recv(1)

    with Leaving() as leaving:
        world.set("HTTPS_PROXY", leaving.url)
        result = world.generate()
    assert (result.code, world.sandbox.jobs()) == (6, [])


def test_nothing_is_accepted_if_the_proxy_is_silent(world: World) -> None:
    with Tap() as silent:
        world.set("HTTPS_PROXY", f"http://{silent.host}:{silent.port}")
        result = world.generate()
        assert (result.code, world.sandbox.jobs()) == (6, [])
        assert all(said.startswith(f"CONNECT {API}:443".encode()) for said in silent.told())


def test_nothing_is_accepted_if_nothing_listens_at_the_proxys_address(world: World) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # reserved, but not listening
        world.set("HTTPS_PROXY", f"http://127.0.0.1:{held.getsockname()[1]}")
        result = world.generate()
    assert (result.code, world.sandbox.jobs()) == (6, [])


@pytest.mark.parametrize("options", [(), ("--debug",), ("--json", "--debug")])
@pytest.mark.parametrize("status", [200, 407])
def test_proxy_credentials_go_to_the_proxy_and_nowhere_else(
    world: World, status: int, options: tuple[str, ...]
) -> None:
    with Proxy({f"{name}:443": world.front.port for name in (API, CDN)}, status=status) as proxy:
        world.set("HTTPS_PROXY", proxy.url.replace("://", "://walter:pa55-4711@"))
        result = world.generate(*options)
    assert result.code == (0 if status == 200 else 6)
    credentials = "d2FsdGVyOnBhNTUtNDcxMQ=="  # walter:pa55-4711
    assert proxy.asked
    assert all(asked.headers["proxy-authorization"] == f"Basic {credentials}" for asked in proxy.asked)
    seen = [*world.front.asked, *world.sandbox.requests, result.out, result.stderr]
    assert not any(secret in repr(item) for item in seen for secret in ("pa55-4711", "walter", credentials))


@pytest.mark.parametrize("variable", PROXY_VARIABLES)
def test_an_api_on_this_machine_is_reached_without_the_proxy(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with Proxy() as proxy:
        set_variable(reve, monkeypatch, variable, proxy.url)
        assert reve("generate", "a red fox", "--out", "fox.png").code == 0
    assert proxy.asked == []


@pytest.mark.parametrize("variable", PROXY_VARIABLES)
def test_the_sandbox_never_uses_a_proxy(reve: Reve, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with Proxy() as proxy:
        set_variable(reve, monkeypatch, variable, proxy.url)
        result = reve("generate", "a red fox", "--out", "fox.png", "--sandbox", env={"REVE_SANDBOX_SECONDS": "0"})
    assert (result.code, proxy.asked) == (0, []), result.stderr


def test_a_real_process_in_the_sandbox_never_uses_a_proxy(reve: Reve) -> None:
    with Proxy() as proxy:
        env = dict.fromkeys(PROXY_VARIABLES, proxy.url) | {"REVE_SANDBOX_SECONDS": "0"}
        result = reve.child("generate", "a red fox", "--out", "fox.png", "--sandbox", env=env)
    assert (result.code, proxy.asked) == (0, []), result.stderr


@pytest.mark.parametrize("base_url", [f"http://{API}", "http://10.0.0.1", "http://localhost.example"])
def test_the_key_is_never_sent_over_plain_http_not_even_to_a_proxy(world: World, base_url: str) -> None:
    world.set("HTTP_PROXY", world.proxy.url)
    world.reve.environ["APIFRAME_BASE_URL"] = base_url
    result = world.generate()
    assert (result.code, world.proxy.asked) == (2, [])
    assert "must be https" in result.stderr


# Certificates


def test_nothing_is_sent_to_a_server_with_a_certificate_of_an_unknown_authority(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.use_proxy()
    monkeypatch.delenv("SSL_CERT_FILE")
    result = world.generate()
    assert result.code == 6
    assert "certificate verify failed" in result.stderr
    assert (world.front.asked, world.sandbox.jobs()) == ([], [])


def test_nothing_is_sent_to_a_server_with_a_certificate_for_another_name(world: World) -> None:
    world.use_proxy()
    with Proxy({"elsewhere.example:443": world.front.port}) as proxy:
        world.set("HTTPS_PROXY", proxy.url)
        world.reve.environ["APIFRAME_BASE_URL"] = "https://elsewhere.example"
        result = world.generate()
    assert result.code == 6
    assert "certificate is not valid for 'elsewhere.example'" in result.stderr
    assert (world.front.asked, world.sandbox.jobs()) == ([], [])


def test_authorities_in_SSL_CERT_DIR_are_trusted(
    world: World, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / f"{_subject_hash(tmp_path / 'authority.pem')}.0"))
    monkeypatch.delenv("SSL_CERT_FILE")
    world.set("SSL_CERT_DIR", str(folder))
    world.use_proxy()
    assert world.generate().code == 0


def _subject_hash(certificate: Path) -> str:
    """The file name that OpenSSL expects for an authority in a folder."""
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:
        pytest.skip("needs the openssl command to name the certificate")


def test_an_api_on_this_machine_may_use_tls(
    world: World, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = sandbox_behind(world.sandbox, world.sandbox.cdn_url)
    with Origin(answer, server_context(authority, "localhost")) as local, Proxy() as proxy:
        world.set("HTTPS_PROXY", proxy.url)
        world.reve.environ["APIFRAME_BASE_URL"] = f"https://localhost:{local.port}/v2/"
        assert world.generate().code == 0
    assert proxy.asked == []


# IPv6


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback address")
def test_an_api_may_have_an_ipv6_address_of_this_machine(reve: Reve, sandbox: Sandbox) -> None:
    images: list[str] = []
    with (
        Origin(lambda asked: sandbox_behind(sandbox, images[0])(asked), host="::1") as api,
        Origin(sandbox_behind(sandbox, ""), host="::1") as cdn,
    ):
        images.append(f"http://[::1]:{cdn.port}")
        reve.environ["APIFRAME_BASE_URL"] = f"http://[::1]:{api.port}"
        result = reve("generate", "a red fox", "--out", "fox.png", "--json")
        assert result.code == 0, result.stderr
        assert result.document["urls"][0].startswith(f"http://[::1]:{cdn.port}/")
        assert [asked.target.startswith("/images/") for asked in cdn.asked] == [True]
        assert Path("fox.png").read_bytes().startswith(b"\x89PNG")


# Allowed URLs of images


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.reve.example/x.png",
        "https://cdn.reve.example./x.png",
        "https://CDN.Reve.Example/x.png",
        "https://cdn.reve.example:8443/x.png?signature=a%2Fb#part",
        "https://xn--bcher-kva.example/x.png",
        "https://internal.example/x.png",
        "https://10.0.0.1@cdn.reve.example/x.png",
        "https://127.example/x.png",
        "https://8.8.8.8/x.png",
        "https://8.8.8.8:444/x.png",
        "https://[2606:4700:4700::1111]/x.png",
        "https://[64:ff9b::808:808]/x.png",
        "https://[::ffff:8.8.8.8]/x.png",
    ],
)
def test_images_may_come_from_public_names_and_addresses(url: str) -> None:
    assert PUBLIC_NAMES_ONLY.refuse(url) is None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(url, id=f"{kind}-{number}")
        for kind, urls in {
            "no-url": ["", " ", "x.png", "//cdn.reve.example/x.png", "https://", "https:///x.png", "https:x.png"],
            "broken": [
                "https://[::1/x.png",
                "https://[cdn.reve.example]/x.png",
                "https://cdn.reve.example:0/x.png",
                "https://cdn.reve.example:65536/x.png",
                "https://cdn.reve.example:x/x.png",
                "https://cdn.reve.example/x\n.png",
                "https://cdn.reve.example/x .png",
                "\thttps://cdn.reve.example/x.png",
                "https://\u0441dn.reve.example/x.png",
            ],
            "scheme": [
                "http://cdn.reve.example/x.png",
                "http://8.8.8.8/x.png",
                "ftp://cdn.reve.example/x.png",
                "file:///etc/passwd",
                "file://cdn.reve.example/etc/passwd",
                "data:image/png;base64,iVBORw0KGgo=",
                "javascript:alert(1)",
                "blob:https://cdn.reve.example/1",
                "s3://bucket/x.png",
            ],
            "this-machine": [
                "https://localhost/x.png",
                "https://LOCALHOST./x.png",
                "https://x.localhost/x.png",
                "https://127.0.0.1/x.png",
                "http://127.0.0.1/x.png",
                "https://127.255.255.254:8443/x.png",
                "https://127.0.0.1./x.png",
                "https://0.0.0.0/x.png",
                "https://[::1]/x.png",
                "https://[0:0:0:0:0:0:0:1]/x.png",
                "https://[::]/x.png",
            ],
            "spelling-of-this-machine": [
                "https://2130706433/x.png",
                "https://017700000001/x.png",
                "https://0177.0.0.1/x.png",
                "https://127.1/x.png",
                "https://0/x.png",
                "https://0x7f000001/x.png",
            ],
            "ipv4": [
                "https://10.0.0.1/x.png",
                "https://172.16.0.1/x.png",
                "https://172.31.255.255/x.png",
                "https://192.168.1.1/x.png",
                "https://169.254.169.254/latest/meta-data",
                "https://100.64.0.1/x.png",
                "https://192.0.0.1/x.png",
                "https://192.0.2.1/x.png",
                "https://198.18.0.1/x.png",
                "https://224.0.0.1/x.png",
                "https://239.255.255.255/x.png",
                "https://240.0.0.1/x.png",
                "https://255.255.255.255/x.png",
                "https://cdn.reve.example@10.0.0.1/x.png",
                "https://cdn.reve.example:443@10.0.0.1/x.png",
            ],
            "ipv6": [
                "https://[fe80::1]/x.png",
                "https://[fe80::1%25eth0]/x.png",
                "https://[fc00::1]/x.png",
                "https://[fd12:3456:789a::1]/x.png",
                "https://[ff02::1]/x.png",
                "https://[ff0e::1]/x.png",
                "https://[2001:db8::1]/x.png",
                "https://[2001::1]/x.png",
            ],
            "ipv4-within-ipv6": [
                "https://[::ffff:127.0.0.1]/x.png",
                "https://[::ffff:a00:1]/x.png",
                "https://[::ffff:169.254.169.254]/x.png",
                "https://[64:ff9b::10.0.0.1]/x.png",
                "https://[64:ff9b::a9fe:a9fe]/x.png",
                "https://[2002:a00:1::1]/x.png",
                "https://[2002:7f00:1::]/x.png",
            ],
            "name": [
                "https://cdn/x.png",
                "https://cdn./x.png",
                "https://metadata.google.internal/x.png",
                "https://METADATA.INTERNAL./x.png",
                "https://printer.local/x.png",
                "https://nas.lan/x.png",
                "https://router.home.arpa/x.png",
                "https://x.test/x.png",
                "https://x.invalid/x.png",
            ],
        }.items()
        for number, url in enumerate(urls)
    ],
)
def test_other_urls_of_images_are_refused(url: str) -> None:
    assert PUBLIC_NAMES_ONLY.refuse(url)


@pytest.mark.parametrize("url", ["https://cdn.reve.example/x.png", "https://8.8.8.8/x.png", "https://10.0.0.1/x.png"])
def test_the_sandbox_fetches_images_from_this_machine_only(url: str) -> None:
    in_the_sandbox = Origins(public=False, loopback=True)
    assert in_the_sandbox.refuse(url)
    assert in_the_sandbox.refuse("http://127.0.0.1:8080/x.png") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_images_come_from_this_machine_only_if_the_api_is_there_too(host: str) -> None:
    url = f"http://{host}:8080/x.png"
    assert Origins(public=True, loopback=True).refuse(url) is None
    assert Origins(public=True, loopback=False).refuse(url)


# Allowed addresses of image servers


@dataclass
class Fetcher:
    """Downloads an image into memory."""

    images: Images
    sink: io.BytesIO
    deadline: Deadline

    def __call__(self, url: str) -> bytes:
        self.images.fetch(url, self.sink, self.deadline)
        return self.sink.getvalue()


@pytest.fixture
def fetch() -> Iterator[Fetcher]:
    clock = MadeUpClock()
    limits = Limits(connect=5, silence=5, tries=1, grace=1)
    images = Images(PUBLIC_NAMES_ONLY, clock=clock, stop=Stop(), limits=limits, debug=None)
    yield Fetcher(images, io.BytesIO(), Deadline(clock, 600))
    images.close()


def test_not_a_byte_is_sent_to_a_private_address_behind_a_public_name(fetch: Fetcher, resolve: dict[str, str]) -> None:
    resolve["rebound.reve.example"] = "127.0.0.1"
    with Tap() as private:
        with pytest.raises(
            Unusable, match=r"rebound\.reve\.example resolves to 127\.0\.0\.1, which is not a public address"
        ):
            fetch(f"https://rebound.reve.example:{private.port}/x.png")
        assert private.told() in ([], [b""])


def test_not_a_byte_is_sent_to_a_private_address_written_like_a_name(fetch: Fetcher) -> None:
    with Tap() as private:
        with pytest.raises(Unusable, match=r"refused|not known"):
            fetch(f"https://0x7f.1:{private.port}/x.png")
        assert all(said == b"" for said in private.told())


def test_a_paid_image_at_a_private_address_is_not_fetched_but_its_job_is_kept(
    world: World, authority: trustme.CA, resolve: dict[str, str]
) -> None:
    resolve[CDN] = "127.0.0.1"
    with Tap() as private:
        answer = sandbox_behind(world.sandbox, f"https://{CDN}:{private.port}")
        with Origin(answer, server_context(authority, API)) as api, Proxy({f"{API}:443": api.port}) as proxy:
            world.set("HTTPS_PROXY", proxy.url)
            world.set("NO_PROXY", CDN)
            result = world.generate()
        assert all(said == b"" for said in private.told())
    (job,) = world.sandbox.jobs()
    assert result.code == 75
    assert result.stderr.splitlines()[-1] == f"reve resume {job.id}"
    assert not Path("fox.png").exists()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:c0a8:101::", False),
        ("ff0e::1", False),
        ("100.127.255.255", False),
        ("not an address", False),
    ],
)
def test_an_address_is_public_or_not(address: str, public: bool) -> None:
    assert is_public(address) is public


# Redirects


@dataclass
class Maze:
    """An image server behind the proxy. `/N` leads to the image through N redirects; other paths redirect to `to`."""

    to: str = ""
    relative: bool = False
    status: int = 302

    def __call__(self, asked: Asked) -> Reply:
        step = asked.target.removeprefix("/")
        if step == "0":
            return Reply(200, IMAGE, {"Content-Type": "image/png"})
        near = f"/{int(step) - 1}" if step.isdigit() else ""
        to = near if self.relative else f"https://{CDN}{near}"
        return Reply(self.status, b"moved", {"Location": to if near else self.to})


@pytest.fixture
def maze(
    authority: trustme.CA, trust: Callable[[], None], monkeypatch: pytest.MonkeyPatch, resolve: dict[str, str]
) -> Iterator[tuple[Maze, Origin, Proxy]]:
    trust()
    way = Maze()
    with Origin(way, server_context(authority, CDN)) as origin, Proxy({f"{CDN}:443": origin.port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield way, origin, proxy


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_five_redirects_are_followed(
    fetch: Fetcher, maze: tuple[Maze, Origin, Proxy], status: int, relative: bool
) -> None:
    way, origin, _ = maze
    way.status, way.relative = status, relative
    assert fetch(f"https://{CDN}/5") == IMAGE
    assert [asked.target for asked in origin.asked] == ["/5", "/4", "/3", "/2", "/1", "/0"]


def test_a_sixth_redirect_is_not_followed(fetch: Fetcher, maze: tuple[Maze, Origin, Proxy]) -> None:
    _, origin, _ = maze
    with pytest.raises(Unusable, match="more than 5 redirects"):
        fetch(f"https://{CDN}/6")
    assert [asked.target for asked in origin.asked] == ["/6", "/5", "/4", "/3", "/2", "/1"]


@pytest.mark.parametrize(
    "to",
    [
        "file:///etc/passwd",
        "data:image/png;base64,iVBORw0KGgo=",
        "http://cdn.reve.example/0",
        "http://127.0.0.1/0",
        "https://127.0.0.1/0",
        "https://10.0.0.1/0",
        "//10.0.0.1/0",
        "https://[::ffff:10.0.0.1]/0",
        "https://169.254.169.254/latest/meta-data",
        "https://metadata.google.internal/",
        "https://localhost/0",
        "https://[::1",
        "https://cdn.reve.example:99999/0",
        "https://intranet/0",
    ],
)
def test_a_redirect_to_a_url_that_is_not_allowed_is_refused(
    fetch: Fetcher, maze: tuple[Maze, Origin, Proxy], to: str
) -> None:
    way, origin, proxy = maze
    way.to = to
    with pytest.raises(Unusable):
        fetch(f"https://{CDN}/away")
    assert [asked.target for asked in origin.asked] == ["/away"]
    assert [asked.target for asked in proxy.asked] == [f"{CDN}:443"]
    assert fetch.sink.getvalue() == b""


@pytest.mark.parametrize("fault", ["redirect-private", "redirect-file", "redirect-http", "redirect-loop"])
def test_a_paid_image_behind_a_refused_redirect_can_be_saved_later(
    reve: Reve, sandbox: Sandbox, fault: str, journal: bool
) -> None:
    sandbox.faults.append(Fault("image", fault))
    result = reve("generate", "a red fox", "--out", "fox.png")
    (job,) = sandbox.jobs()
    assert result.code == 75
    command = f"reve resume {job.id}" if journal else f"reve wait {job.id} --out=fox.png"
    assert result.stderr.splitlines()[-1] == command
    sandbox.faults.clear()
    assert reve(*command.split()[1:]).code == 0
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")
    assert len(sandbox.jobs()) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["submit", "job"])
def test_the_api_client_follows_no_redirect(reve: Reve, sandbox: Sandbox, place: str, status: int) -> None:
    sandbox.faults.append(Fault(place, "redirect", str(status)))  # to the same path of the image server
    result = reve("generate", "a red fox", "--out", "fox.png")
    assert [request.path for request in sandbox.requests if request.side == "cdn"] == []
    assert result.code == (75 if place == "job" or status in (302, 303) else 6)
    assert KEY not in result.stderr


def test_a_page_of_jobs_follows_no_redirect(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("jobs", "redirect"))
    reve("generate", "a red fox", "--count", "2", "--out", "fox.png")
    assert any(request.path.startswith("/v2/jobs?") for request in sandbox.requests)
    asked = [request.path for request in sandbox.requests if request.side == "cdn"]
    assert all(path.startswith("/images/") for path in asked)


@pytest.mark.parametrize("keys", ["/nonexistent/keys.log", "/"])
def test_a_key_log_that_cannot_be_written_is_not_blamed_on_the_certificates(
    trust: Callable[[], None], reve: Reve, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    trust()
    tls_context.cache_clear()
    set_variable(reve, monkeypatch, "SSLKEYLOGFILE", keys)
    result = reve("account", env={"APIFRAME_BASE_URL": "https://127.0.0.2.example", "APIFRAME_API_KEY": KEY})
    tls_context.cache_clear()
    assert result.code == 2
    assert f"cannot write to SSLKEYLOGFILE={keys}: " in result.stderr
    assert "hint: correct or unset SSLKEYLOGFILE" in result.stderr
    assert "SSL_CERT_FILE" not in result.stderr


# Base URLs


@pytest.mark.parametrize("host", ["999.1.1.1", "api..reve.example", f"{'a' * 70}.example", "xn--.example"])
def test_an_impossible_host_name_exits_2_or_6(reve: Reve, host: str) -> None:
    env = {"APIFRAME_BASE_URL": f"https://{host}", "APIFRAME_API_KEY": KEY}
    assert reve("generate", "a red fox", env=env).code in (2, 6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nonexistent.pem"),
        ("SSL_CERT_FILE", "/etc/hostname"),
        ("HTTPS_PROXY", "ftp://user:pa55word@127.0.0.1:1"),
        ("HTTPS_PROXY", "http://user:pa55word/x@127.0.0.1:1"),
        ("ALL_PROXY", "socks5://user:pa55word@127.0.0.1:1"),
    ],
)
def test_an_invalid_variable_is_a_config_error_that_names_it(
    reve: Reve, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    tls_context.cache_clear()
    set_variable(reve, monkeypatch, name, value)
    env = {"APIFRAME_BASE_URL": "https://127.0.0.2.example", "APIFRAME_API_KEY": KEY}
    result = reve("generate", "a red fox", "--debug", env=env)
    tls_context.cache_clear()
    assert "pa55word" not in result.stderr
    assert result.code == 2, result.stderr
    assert name in result.stderr


@pytest.mark.parametrize(
    "address",
    ["::a00:1", "::127.0.0.1", "fec0::1", "64:ff9b:1::a00:1", "::ffff:0:a00:1", "5f00::1"],
)
def test_only_global_unicast_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["d10xk2abc.cloudfront.net", "0x0.st", "cdn0x.example.com", "1.2.3.4.example.com"])
def test_a_host_name_may_contain_numbers(host: str) -> None:
    assert Origins(public=True, loopback=False).refuse(f"https://{host}/x.png") is None


@pytest.mark.parametrize("host", ["0x7f.1", "10.0.0.0x1", "0xa.0.0.1", "127.0.0.0x1."])
def test_an_address_in_an_odd_notation_is_not_a_public_name(host: str) -> None:
    assert Origins(public=True, loopback=False).refuse(f"https://{host}/x.png")


def test_localhost_with_a_trailing_dot_uses_no_proxy(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = sandbox.cdn_url.rpartition(":")[2]
    with Proxy() as proxy, Origin(sandbox_behind(sandbox, f"http://localhost.:{port}")) as api:
        set_variable(reve, monkeypatch, "HTTP_PROXY", proxy.url)
        reve("generate", "a red fox", env={"APIFRAME_BASE_URL": f"http://127.0.0.1:{api.port}"})
    assert proxy.asked == []


@pytest.mark.parametrize("value", ["fd00::/8", "[::1]", "::1", "10.0.0.0/8", ",,", "*.", "[", "http://x:y"])
def test_an_invalid_entry_in_no_proxy_is_ignored(
    reve: Reve, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    set_variable(reve, monkeypatch, "NO_PROXY", value)
    assert reve("generate", "a red fox", "--no-wait").code == 0
    env = {"APIFRAME_BASE_URL": "https://api.reve.example"}
    assert reve("generate", "a red fox", "--no-wait", env=env).code == 6


def test_nothing_is_submitted_if_the_time_limit_passes_while_connecting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit passes after the proxy opened the tunnel and before the request."""
    world.use_proxy()

    class Slow(list[Asked]):
        def append(self, asked: Asked) -> None:
            world.reve.clock.advance(1000)
            super().append(asked)

    world.proxy.asked = Slow()
    result = world.generate("--timeout", "60", "--json")
    assert (result.code, result.document["error"]["exitCode"]) == (6, 6)
    assert world.proxy.tunnels
    assert not world.sandbox.requests


def test_requests_name_the_user_of_their_url_and_return_no_cookies() -> None:
    asked: list[Asked] = []

    def answer(one: Asked) -> Reply:
        asked.append(one)
        return Reply(302, b"", {"Set-Cookie": "a=b", "Location": "/elsewhere"})

    timeout = dict.fromkeys(("connect", "read", "write", "pool"), 5.0)
    with Origin(answer) as origin, contextlib.closing(Connections("http", None, {"X-API-Key": KEY})) as connections:
        for _ in range(2):
            url = f"http://me%40home:pass@{HOST}:{origin.port}/jobs?limit=1"
            with connections.stream("POST", url, timeout=timeout, body=b"{}") as response:
                assert (response.status_code, response.read()) == (302, b"")
    assert [(one.method, one.target, one.body) for one in asked] == [("POST", "/jobs?limit=1", b"{}")] * 2
    for one in asked:
        assert base64.b64decode(one.headers["authorization"].removeprefix("Basic ")) == b"me@home:pass"
        assert (one.headers["x-api-key"], one.headers["user-agent"]) == (KEY, USER_AGENT)
        assert "cookie" not in one.headers


def test_threads_that_wait_for_answers_hold_no_memory_for_them() -> None:
    count, asked, may_answer = 8, threading.Semaphore(0), threading.Event()

    def answer(_: Asked) -> Reply:
        asked.release()
        may_answer.wait(60)
        return Reply(200, b"{}")

    timeout = dict.fromkeys(("connect", "read", "write", "pool"), 60.0)
    with Origin(answer) as origin, contextlib.closing(Connections("http", None, {})) as connections:

        def ask() -> None:
            with connections.stream("GET", f"http://{HOST}:{origin.port}/", timeout=timeout) as response:
                assert response.read() == b"{}"

        try:
            for measured in (False, True):  # at first, they connect
                may_answer.clear()
                threads = [threading.Thread(target=ask) for _ in range(count)]
                if measured:
                    tracemalloc.start()
                for thread in threads:
                    thread.start()
                for _ in threads:
                    assert asked.acquire(timeout=60)
                held, _ = tracemalloc.get_traced_memory()
                may_answer.set()
                for thread in threads:
                    thread.join()
        finally:
            may_answer.set()
            tracemalloc.stop()
    assert held < count * 20 * 1024  # httpx takes 64 KiB for each answer


def test_a_connection_serves_again_unless_the_server_has_closed_it() -> None:
    class Closing(Origin):
        """Closes each connection after two answers."""

        connections = 0
        closed = threading.Semaphore(0)

        def serve(self, connection: socket.socket) -> None:
            self.connections += 1
            with connection.makefile("rb") as reader:
                for _ in range(2):
                    assert read_request(reader)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.shutdown(socket.SHUT_RDWR)
            self.closed.release()

    timeout = dict.fromkeys(("connect", "read", "write", "pool"), 5.0)
    with Closing(lambda asked: Reply(200)) as origin, contextlib.closing(Connections("http", None, {})) as connections:
        for number in range(4):
            with connections.stream("GET", f"http://{HOST}:{origin.port}/{number}", timeout=timeout) as response:
                assert response.read() == b"ok"
            if number % 2:
                origin.closed.acquire()
        assert origin.connections == 2
