"""Measures what each step costs in processor time: `python tests/bench/floor.py [--pairs 7]`.

A bare script makes the requests of `reve batch` at the same times: a POST for each image, pages of completed jobs, and
a download, which it writes to a file. It checks nothing and survives nothing. Each way adds a step to the one before:

client       the bare script with `httpx.Client`
transports   with httpx's transports instead
connections  with reve's connections, which leave out httpx's pools
journal      with reve's database: a row before its request, then five facts in turn, as reve commits them
files        each image under a temporary name, its hash as it came and as it is, an fsync, its own name, and an fsync
             of the folder
metadata     with the record of how the image was made in the file
reve batch   the program. It adds what none of the above has: checks, retries, caps, the rate limit, schedules, names
             and their templates, the worklist, the manifest, output, and the way between threads

All ways run in turn, `--pairs` times. Each column has the CPU milliseconds for an image, without start-up: for reve, a
batch of one is subtracted. Clocks of the server and of reve run `--factor` times as fast; files are in memory if the
system allows it.
"""

import argparse
import contextlib
import hashlib
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from reve_cli.api.network import Connections, timeouts
from reve_cli.journal.database import Database
from reve_cli.journal.schema import MIGRATIONS
from reve_cli.pictures.formats import PNG
from reve_cli.pictures.metadata import embed
from reve_cli.pictures.provenance import SOURCE_TYPE, Provenance
from reve_cli.sandbox import Sandbox

FAST = Path(__file__).with_name("fast.py")
PER_MINUTE, JOB, THREADS = 500, 15.0, 16
WAYS = ("client", "transports", "connections", "journal", "files", "metadata", "reve batch")
CLIENT, TRANSPORTS, CONNECTIONS, JOURNAL, FILES, METADATA, REVE = range(len(WAYS))
CHUNK = 16
TIMEOUTS = timeouts(30.0, 30.0)


class Bare:
    """The bare script. Runs in a process of its own. way: an index of `WAYS`."""

    def __init__(self, url: str, key: str, folder: Path, count: int, way: int) -> None:
        self.url, self.key, self.folder, self.count, self.way = url, key, folder, count, way
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loads no certificates
        self.client = httpx.Client(verify=self.context, trust_env=False) if way == CLIENT else None
        self.connections = Connections("http", None, {"X-API-Key": key}) if way >= CONNECTIONS else None
        self.idle: list[httpx.HTTPTransport] = []
        self.database = Database(folder / "journal.db", MIGRATIONS, "SELECT 1", time.monotonic)
        self.numbers: dict[str, int] = {}
        if way >= JOURNAL:
            self.note("INSERT INTO runs VALUES ('run', NULL, '', 0, 0, '', '', '', 0, 0)")

    # The journal

    def note(self, query: str, **values: object) -> None:
        if self.way >= JOURNAL:
            self.database.write(query, values)

    def begin(self, first: int) -> None:
        """Add rows for a chunk of images."""
        columns = "id, run, number, attempt, key, key_is_given, key_tag, body, model, out, token, state, created"
        values = ":id, 'run', :id, 1, :key, 0, 'tag', :body, 'reve-create', :out, :key, 'intent', :now"
        with self.together():
            for number in range(first, min(first + CHUNK, self.count)):
                facts = {
                    "key": _key(number),
                    "body": _body(number).decode(),
                    "out": str(self.folder),
                    "now": time.time(),
                }
                self.note(f"INSERT INTO jobs ({columns}) VALUES ({values})", id=number + 1, **facts)  # noqa: S608

    def together(self) -> contextlib.AbstractContextManager[object]:
        return self.database.transaction() if self.way >= JOURNAL else contextlib.nullcontext()

    # Requests

    def ask(self, method: str, url: str, body: bytes | None = None, key: str = "") -> bytes:
        more = {"Content-Type": "application/json", "Idempotency-Key": key} if body else {}
        if self.connections is not None:
            with self.connections.stream(method, url, headers=more.items(), body=body, timeout=TIMEOUTS) as answer:
                return answer.read()
        headers = {"X-API-Key": self.key, "User-Agent": "floor", **more}
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
            extensions={"timeout": TIMEOUTS},
        )
        transport = self.idle.pop() if self.idle else httpx.HTTPTransport(verify=self.context, trust_env=False)
        answer = transport.handle_request(request)
        content = answer.read()
        assert answer.is_success, content
        self.idle.append(transport)
        return content

    def post(self, number: int) -> None:
        facts = {"id": number + 1, "now": time.time()}
        self.note("UPDATE jobs SET state = 'sending', tries = 1, first_try = :now WHERE id = :id", **facts)
        job = json.loads(self.ask("POST", f"{self.url}/v2/images/generate", _body(number), _key(number)))["jobId"]
        self.numbers[job] = number
        self.note("UPDATE jobs SET state = 'accepted', job = :job WHERE id = :id", id=number + 1, job=job)

    def ended(self) -> list[tuple[str, str]]:
        """The jobs that have ended since the last call, with the URLs of their images."""
        page = json.loads(self.ask("GET", f"{self.url}/v2/jobs?status=COMPLETED&limit=100"))
        found = [(job["id"], job["result"]["images"][0]) for job in page["jobs"] if job["id"] in self.numbers]
        with self.together():
            for job, _ in found:
                done = "UPDATE jobs SET state = 'completed', charge = 4, made = :now, ended = :now, images = 1"
                self.note(f"{done} WHERE id = :id", id=self.numbers[job] + 1, now=time.time())
        return found

    # Files

    def save(self, job: str, url: str, number: int) -> None:
        data = self.ask("GET", url)
        temporary, path = self.folder / f".{job}.part", self.folder / f"{job}.png"
        files = {"path": str(path), "temporary": str(temporary), "url": url, "sha256": ""}
        with open(temporary if self.way >= FILES else path, "x+b") as file:
            file.write(data)
            if self.way >= FILES:
                self.finish(file, files, job, number)
        self.note("UPDATE jobs SET files = :files WHERE id = :id", id=number + 1, files=json.dumps([files]))
        if self.way >= FILES:
            os.link(temporary, path)
            temporary.unlink()
            folder = os.open(self.folder, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        self.note(
            "UPDATE jobs SET state = 'saved', files = :files WHERE id = :id", id=number + 1, files=json.dumps([files])
        )

    def finish(self, file: BinaryIO, files: dict[str, str], job: str, number: int) -> None:
        file.seek(0)
        files["downloadedSha256"] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if self.way >= METADATA:
            made: dict[str, Any] = {
                "prompt": _prompt(number),
                "model": "reve-create",
                "job_id": job,
                "source_type": SOURCE_TYPE,
            }
            sha256 = files["downloadedSha256"]
            assert embed(file, Provenance(**made, image=1, downloaded_sha256=sha256, tool="floor"), PNG)
        file.seek(0)
        files["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())

    # Runs

    def run(self, factor: float) -> None:
        begun, sent, saved = time.monotonic(), 0, 0
        every, next_page = 60 / PER_MINUTE / factor, begun + JOB / factor
        with ThreadPoolExecutor(THREADS) as threads:
            work = []
            while saved < self.count:
                now = time.monotonic()
                while sent < self.count and now >= begun + sent * every:
                    if sent % CHUNK == 0:
                        self.begin(sent)
                    work.append(threads.submit(self.post, sent))
                    sent += 1
                if now >= next_page:
                    for job, url in self.ended():
                        work.append(threads.submit(self.save, job, url, self.numbers.pop(job)))
                        saved += 1
                    next_page = now + 2 / factor
                time.sleep(every / 2)
            for each in work:
                each.result()


def _prompt(number: int) -> str:
    return f"A fox, number {number}"


def _body(number: int) -> bytes:
    return json.dumps({"prompt": _prompt(number), "model": "reve-create"}).encode()


def _key(number: int) -> str:
    return f"number-{number:032}"


def measure(way: int, count: int, factor: float) -> float:
    """CPU seconds of `count` images."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        folder, begun = Path(name), time.time()
        (folder / "pics").mkdir()
        prompts = folder / "prompts.txt"
        prompts.write_text("".join(f"{_prompt(number)}\n" for number in range(count)))
        with Sandbox(
            folder / "sandbox",
            job_seconds=JOB,
            requests_per_minute=PER_MINUTE if way == REVE else 0,
            clock=lambda: begun + (time.time() - begun) * factor,
        ) as sandbox:
            access = {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key, "NO_PROXY": "127.0.0.1"}
            environ = {**os.environ, **access, "REVE_STATE_DIR": str(folder / "state")}
            bare = [
                __file__,
                "--bare",
                str(way),
                sandbox.url,
                sandbox.key,
                str(folder / "pics"),
                str(count),
                str(factor),
            ]
            reve = [str(FAST), f"{factor:g}", "batch", str(prompts), "--quiet", "--out", str(folder / "pics")]
            command = [sys.executable, *(reve if way == REVE else bare)]
            done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        assert sum(1 for _ in (folder / "pics").glob("*.png")) == count
    return float(done.stderr.splitlines()[-1].split()[1])


def main() -> None:
    if sys.argv[1:2] == ["--bare"]:
        step, url, key, folder, count, factor = sys.argv[2:]
        script, before = Bare(url, key, Path(folder), int(count), int(step)), time.process_time()
        script.run(float(factor))
        sys.stderr.write(f"used {time.process_time() - before:.3f}\n")
        return
    parser = argparse.ArgumentParser(description="Show what each step of an image costs in processor time.")
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    found: list[list[float]] = [[] for _ in WAYS]
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    print("".join(f"{name:>13}" for name in WAYS))
    for _ in range(options.pairs):
        for way, times in enumerate(found):
            seconds = measure(way, options.prompts, options.factor)
            if way == REVE:
                seconds -= measure(way, 1, options.factor)
            times.append(seconds / options.prompts * 1000)
        print("".join(f"{times[-1]:13.2f}" for times in found), flush=True)
    print("".join(f"{statistics.median(times):13.2f}" for times in found) + "  median")


if __name__ == "__main__":
    main()
