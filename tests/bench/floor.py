"""Measures the processor time that an image costs with httpx alone: `python tests/bench/floor.py [--pairs 7]`.

A bare script makes the requests of `reve batch` at the same times: a POST for each image, pages of completed jobs, a
download, an fsync and a commit to SQLite. It checks nothing, records nothing and survives nothing. It runs with
`httpx.Client`, then with httpx's transports, which reve uses, then `reve batch` runs; `--pairs` times in turn.

Each column has the CPU milliseconds for an image, without start-up: for reve, a batch of one is subtracted. Clocks of
the server and of reve run `--factor` times as fast; files are in memory if the system allows it.
"""

import argparse
import json
import os
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from reve_cli.sandbox import Sandbox

FAST = Path(__file__).with_name("fast.py")
PER_MINUTE, JOB, THREADS = 500, 15.0, 16
WAYS = ("client", "transports", "reve batch")
TIMEOUT = dict.fromkeys(("connect", "read", "write", "pool"), 30.0)


class Bare:
    """The bare script. Runs in a process of its own."""

    def __init__(self, url: str, key: str, folder: Path, *, transports: bool) -> None:
        self.url, self.folder = url, folder
        self.headers = {"X-API-Key": key, "User-Agent": "floor"}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loads no certificates
        self.client = httpx.Client(verify=self.context, trust_env=False) if not transports else None
        self.idle: list[httpx.HTTPTransport] = []
        self.database = sqlite3.connect(folder / "done.db", isolation_level=None, check_same_thread=False)
        self.database.execute("PRAGMA synchronous = EXTRA")
        self.database.execute("CREATE TABLE done (url TEXT)")
        self.lock = threading.Lock()

    def ask(self, method: str, url: str, body: bytes | None = None, key: str = "") -> bytes:
        headers = {**self.headers, "Content-Type": "application/json", "Idempotency-Key": key} if body else self.headers
        if self.client is not None:
            with self.client.stream(method, url, content=body, headers=headers, timeout=30) as answer:
                return answer.raise_for_status().read()
        target = httpx.URL(url)
        length = {"Content-Length": str(len(body))} if body else {}
        request = httpx.Request(
            method,
            target,
            headers={"Host": target.netloc.decode(), **headers, **length},
            stream=httpx.ByteStream(body or b""),
            extensions={"timeout": TIMEOUT},
        )
        transport = self.idle.pop() if self.idle else httpx.HTTPTransport(verify=self.context, trust_env=False)
        answer = transport.handle_request(request)
        content = answer.read()
        assert answer.is_success, content
        self.idle.append(transport)
        return content

    def post(self, number: int) -> None:
        body = json.dumps({"prompt": f"A fox, number {number}", "model": "reve-create"}).encode()
        assert json.loads(self.ask("POST", f"{self.url}/v2/images/generate", body, f"number-{number:032}"))["jobId"]

    def save(self, job: str, url: str) -> None:
        data = self.ask("GET", url)
        with open(self.folder / f"{job}.png", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with self.lock:
            self.database.execute("INSERT INTO done VALUES (?)", (url,))

    def run(self, count: int, factor: float) -> None:
        begun, sent, seen = time.monotonic(), 0, set[str]()
        every, next_page = 60 / PER_MINUTE / factor, begun + JOB / factor
        with ThreadPoolExecutor(THREADS) as threads:
            work = []
            while len(seen) < count:
                now = time.monotonic()
                while sent < count and now >= begun + sent * every:
                    work.append(threads.submit(self.post, sent))
                    sent += 1
                if now >= next_page:
                    page = json.loads(self.ask("GET", f"{self.url}/v2/jobs?status=COMPLETED&limit=100"))
                    for job in page["jobs"]:
                        if job["id"] not in seen:
                            seen.add(job["id"])
                            work.append(threads.submit(self.save, job["id"], job["result"]["images"][0]))
                    next_page = now + 2 / factor
                time.sleep(every / 2)
            for each in work:
                each.result()


def measure(way: str, count: int, factor: float) -> float:
    """CPU seconds of `count` images."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        folder, begun = Path(name), time.time()
        (folder / "pics").mkdir()
        prompts = folder / "prompts.txt"
        prompts.write_text("".join(f"A fox, number {number}\n" for number in range(count)))
        with Sandbox(
            folder / "sandbox",
            job_seconds=JOB,
            requests_per_minute=PER_MINUTE if way == "reve batch" else 0,
            clock=lambda: begun + (time.time() - begun) * factor,
        ) as sandbox:
            access = {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key, "NO_PROXY": "127.0.0.1"}
            environ = {**os.environ, **access, "REVE_STATE_DIR": str(folder / "state")}
            bare = [__file__, "--bare", way, sandbox.url, sandbox.key, str(folder / "pics"), str(count), str(factor)]
            reve = [str(FAST), f"{factor:g}", "batch", str(prompts), "--quiet", "--out", str(folder / "pics")]
            command = [sys.executable, *(reve if way == "reve batch" else bare)]
            done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        assert sum(1 for _ in (folder / "pics").glob("*.png")) == count
    return float(done.stderr.splitlines()[-1].split()[1])


def main() -> None:
    if sys.argv[1:2] == ["--bare"]:
        way, url, key, folder, count, factor = sys.argv[2:]
        script, before = Bare(url, key, Path(folder), transports=way == "transports"), time.process_time()
        script.run(int(count), float(factor))
        sys.stderr.write(f"used {time.process_time() - before:.3f}\n")
        return
    parser = argparse.ArgumentParser(description="Compare the processor time of an image with that of httpx alone.")
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print("".join(f"{way:>14}" for way in WAYS))
    for _ in range(options.pairs):
        for way in WAYS:
            seconds = measure(way, options.prompts, options.factor)
            if way == "reve batch":
                seconds -= measure(way, 1, options.factor)
            found[way].append(seconds / options.prompts * 1000)
        print("".join(f"{found[way][-1]:14.2f}" for way in WAYS), flush=True)
    print("".join(f"{statistics.median(found[way]):14.2f}" for way in WAYS) + "  median")


if __name__ == "__main__":
    main()
