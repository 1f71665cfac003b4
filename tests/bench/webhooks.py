"""Measures `--listen`: a batch with and without it, and how late `generate --listen` sees the end of a job.

    python tests/bench/webhooks.py [--prompts 500] [--jobs 40] [--only batch|generate]

At true speed, with jobs of 15 s (a batch: log-normal, sigma 0.3) and 500 requests a minute. The rows of a batch run one
after the other: without `--listen`, with it, and with it while every event is dropped. `generate` runs 8 processes at
once, each with a port of its own. The columns are those of `batch.py`: lateness is from a job's end, by the server's
clock, until its file has its final name; `asked` counts all requests to the API by image, the POST included.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import batch as bench  # type: ignore[import-not-found, unused-ignore]

from reve_cli.sandbox import Sandbox, parse_faults
from tests.support.hooks import free_port

AT_ONCE = 8
SECONDS = 15.0


def reve(environ: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "reve_cli", *arguments]
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def run_batch(scene: "bench.Scene", prompts: int, *, listens: bool, drops: bool) -> None:
    more: list[str] = []
    if listens:
        port = free_port()
        more = ["--listen", str(port), "--webhook-url", f"http://127.0.0.1:{port}/"]
    if drops:
        scene.sandbox.faults = parse_faults("webhook:drop")
    reve(scene.environ, "batch", str(scene.file(prompts)), "--quiet", "--out", str(scene.folder / "pics"), *more)


def measure_batches(prompts: int) -> None:
    durations = bench.draw(prompts, 1)
    limit = bench.bound(durations)
    print(f"{'':16}  images    wall /bound  asked/    429s  late, mean, p95, max     cpu", flush=True)
    rows: list[tuple[str, Callable[..., None]]] = [
        ("polling", partial(run_batch, listens=False, drops=False)),
        ("--listen", partial(run_batch, listens=True, drops=False)),
        ("events dropped", partial(run_batch, listens=True, drops=True)),
    ]
    for name, run in rows:
        bench.show(name, bench.measure(run, durations, 1), limit)


def measure_generates(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Sandbox(folder / "sandbox", job_seconds=SECONDS, requests_per_minute=500) as sandbox:
            inherited = {key: value for key, value in os.environ.items() if not key.startswith(("APIFRAME_", "REVE_"))}
            environ = inherited | {
                "APIFRAME_BASE_URL": sandbox.url,
                "APIFRAME_API_KEY": sandbox.key,
                "REVE_STATE_DIR": str(folder / "state"),
            }

            def one(number: int) -> None:
                port, out = free_port(), str(folder / f"{number}.png")
                listen = ["--listen", str(port), "--webhook-url", f"http://127.0.0.1:{port}/"]
                time.sleep(number % AT_ONCE * 0.5)
                reve(environ, "generate", f"fox {number}", "--quiet", "--out", out, *listen)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(one, range(jobs)))
            made = {str(job.body["prompt"]).split()[-1]: job for job in sandbox.jobs()}
            seen: dict[str, float] = {}
            for request in sandbox.requests:
                if request.method == "GET" and request.path.startswith("/v2/jobs/"):
                    seen[request.path.rpartition("/")[2]] = request.at
            late = [seen[job.id] - job.ends_at for job in made.values()]
            asked = sum(one.side == "api" for one in sandbox.requests) / jobs - 1
        ordered = sorted(late)
        print(
            f"generate --listen: {jobs} jobs, seen {statistics.fmean(late):.3f} s late on average, p95"
            f" {ordered[int(0.95 * jobs)]:.3f} s, most {ordered[-1]:.3f} s; {asked:.2f} requests besides the POST"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure --listen.")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--only", choices=["batch", "generate"])
    options = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}; {bench.fsync():.1f} ms to flush a file", flush=True)
    if options.only != "batch":
        measure_generates(options.jobs)
    if options.only != "generate":
        measure_batches(options.prompts)


if __name__ == "__main__":
    main()
