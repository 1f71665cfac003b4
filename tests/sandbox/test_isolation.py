"""The sandbox contacts only this machine in every environment."""

import ast
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Reve
from tests.support.terminal import PATIENCE

WATCHED = """
import atexit, sys
events = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        events.append((event, repr(arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0])))
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        events.append((event, repr(arguments[0])))
sys.addaudithook(watch)
atexit.register(lambda: print(events))
from reve_cli.__main__ import main
main()
"""
GENERATE = ["generate", "a red fox in the snow", "--seed", "1", "--out", "fox.png", "--sandbox"]


def test_the_sandbox_contacts_only_this_machine_and_starts_no_process(reve: Reve) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"), "http://198.51.100.1:9")
    environ = {
        **reve.environ,
        **proxies,
        "APIFRAME_BASE_URL": "https://api.apiframe.ai",
        "APIFRAME_API_KEY": "afk_real",
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *GENERATE], env=environ, capture_output=True, text=True, check=True
    )
    path, seen = done.stdout.splitlines()
    events: list[tuple[str, str]] = ast.literal_eval(seen)
    assert path == "fox.png"
    assert any(event == "socket.connect" for event, _ in events)
    for event, target in events:
        assert event.startswith("socket."), (event, target)
        assert "127.0.0.1" in target, (event, target)


def test_the_sandbox_works_without_a_network(reve: Reve) -> None:
    """Runs in a network namespace with only loopback."""
    inside = 'ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"'
    wrapper = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", inside, "sh"]
    if not shutil.which("unshare") or subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")
    if not (shutil.which("ip") or shutil.which("ifconfig")):
        pytest.skip("nothing to bring loopback up with")
    done = subprocess.run(
        [*wrapper, *reve.command(*GENERATE)], env=reve.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "fox.png\n"), done.stderr
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(os.name == "nt", reason="datagram sockets as standard output")
def test_the_server_prints_address_and_key_in_one_write(reve: Reve) -> None:
    """So a script that waits until a file is not empty finds both. A datagram socket keeps writes apart."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.settimeout(PATIENCE)
    server = subprocess.Popen(
        reve.command("sandbox", "serve"), env=reve.environ, stdout=theirs.fileno(), stderr=subprocess.DEVNULL
    )
    try:
        first = ours.recv(4096).decode()
    finally:
        server.kill()
        server.wait()
        ours.close()
        theirs.close()
    assert [line.partition("=")[0] for line in first.splitlines()] == [
        "export APIFRAME_BASE_URL",
        "export APIFRAME_API_KEY",
    ]
