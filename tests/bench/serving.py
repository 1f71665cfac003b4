"""Measures how fast webhooks are answered: under load, and among slow connections.

    python tests/bench/serving.py [--events 2000] [--rate 200] [--url URL --key-file FILE]

Each event has a connection of its own. Its time runs from the moment when it is due to the end of the answer, so it
includes the time for which a busy client could not send it. Without `--url` a bare server that only checks signatures
is measured, in a process of its own; `--url` measures a running `reve webhook listen`.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from reve_cli.serving.signatures import EVENT_HEADER, HEADER, sign

KEY = "afk_bench_0123456789abcdef"
SLOW = 64
MANY = 1000
SERVER = """
import sys, time
from reve_cli.serving.answers import Answer
from reve_cli.serving.server import Server
from reve_cli.serving.signatures import verify
key = sys.argv[1]
def answer(request):
    verify(request.body, request.values("x-webhook-signature"), [key])
    return Answer(204)
server = Server("bench", "127.0.0.1", 0, answer)
server.start()
print(server.port, flush=True)
time.sleep(3600)
"""


def event(host: str, port: int, path: str, key: str) -> bytes:
    """The request of a new event."""
    document = {"event": "completed", "jobId": str(uuid.uuid4()), "status": "COMPLETED", "result": {"images": []}}
    body = json.dumps(document).encode()
    lines = [
        f"POST {path} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json", f"{EVENT_HEADER}: completed",
        f"{HEADER}: {sign(body, key)}", f"Content-Length: {len(body)}", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


def status(host: str, port: int, request: bytes) -> int:
    """Send a request over a new connection. Returns the status of the answer."""
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(request)
        return int(connection.recv(4096).split()[1])


def memory(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout) / 1024


def load(host: str, port: int, requests: list[bytes], rate: float) -> list[float]:
    """Send the requests at this rate. Returns the seconds until each was answered; raises if one was refused."""
    began = time.perf_counter() + 0.1

    def one(number: int) -> float:
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        answered = status(host, port, requests[number])
        if answered != 204:
            raise SystemExit(f"an event was answered with {answered}")
        return time.perf_counter() - due

    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(one, range(len(requests))))


@contextmanager
def slow_connections(host: str, port: int, count: int) -> Iterator[None]:
    """Connections that send one byte of a request each second."""
    connections = [socket.create_connection((host, port), timeout=60) for _ in range(count)]
    done = threading.Event()

    def drip() -> None:
        while not done.wait(1):
            for connection in connections:
                try:
                    connection.send(b"x")
                except OSError:
                    continue

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield
    done.set()
    thread.join()
    for connection in connections:
        connection.close()


def measure(host: str, port: int, path: str, key: str, pid: int | None, count: int, rate: float) -> None:
    def resident() -> str:
        return f"{memory(pid):.1f} MiB" if pid else "unknown"

    load(host, port, [event(host, port, path, key) for _ in range(200)], rate)
    before = resident()
    times = sorted(load(host, port, [event(host, port, path, key) for _ in range(count)], rate))
    print(
        f"{count} events at {rate:g}/s: all answered 204; median {statistics.median(times) * 1000:.1f} ms, "
        f"p99 {times[int(len(times) * 0.99)] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms; "
        f"memory {before} before, {resident()} after"
    )
    for slow in (SLOW, MANY):
        with slow_connections(host, port, slow):
            request = event(host, port, path, key)
            began = time.perf_counter()
            answered = status(host, port, request)
            seconds = time.perf_counter() - began
        print(f"an event among {slow} slow connections: {answered} after {seconds * 1000:.1f} ms; memory {resident()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--url")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--pid", type=int, help="the process of --url, for its memory")
    options = parser.parse_args()
    if options.url:
        parts, key = urlsplit(options.url), options.key_file.read_text().strip()
        measure(
            str(parts.hostname), parts.port or 80, parts.path or "/", key, options.pid, options.events, options.rate
        )
        return
    server = subprocess.Popen([sys.executable, "-c", SERVER, KEY], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        measure("127.0.0.1", int(server.stdout.readline()), "/", KEY, server.pid, options.events, options.rate)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
