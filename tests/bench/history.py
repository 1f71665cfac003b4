"""Measures commands with a journal of few jobs against the same commands with one of many.

    python tests/bench/history.py [--pairs 15] [--jobs 100000]

The first screen of `history` on a terminal; `generate` for a job that ends at once; `resume`, `status last`, and
`batch`: of 20 new prompts, and of prompts that are made. Prints the median of each, and the median and the quartiles of
the ratios of neighbouring runs, which are less noisy. At the end, `generate` while `history` prints the whole journal,
against `generate` while it prints a copy, which takes as much of the processor: only the former could wait for a lock.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from reve_cli.core.clock import Clock
from reve_cli.journal.journal import open_journal
from reve_cli.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.terminal import Terminal

KEY = f"afk_sandbox_{'0' * 32}"


def fill(folder: Path, jobs: int, origin: str) -> None:
    """Create a journal with `jobs` saved jobs: half of them of batches of 1,000, half of single commands."""
    journal = open_journal(folder, Clock(), print, begin=True)
    assert journal is not None
    now, tag, made = time.time(), journal.tag(KEY), 0
    with journal.at_once():
        while made < jobs:
            many = min(1000 if made % 2000 < 1000 else 1, jobs - made)
            run, first, begun = uuid.uuid4().hex, made, now - (jobs - made) * 20
            rows = [
                {
                    "run": run, "number": number + 1, "attempt": 1, "key": str(uuid.uuid4()), "key_is_given": 0,
                    "key_tag": tag, "body": json.dumps({"prompt": f"fox {first + number}", "model": "reve-create"}),
                    "scope": json.dumps(["batch", run, None]) if many > 1 else None, "out": json.dumps(f"/tmp/{run}"),
                    "model": "reve-create", "token": "", "state": "saved", "created": begun + number, "charge": 4,
                    "job": str(uuid.uuid4()), "images": 1, "made": begun, "ended": begun + 15 + number % 7,
                    "files": json.dumps([{"path": f"/tmp/{number}.png"}]),
                }
                for number in range(many)
            ]  # fmt: skip
            journal.add_run(run, f"/tmp/{run}" if many > 1 else uuid.uuid4().hex, origin, rows, lambda: None)
            made += many
    journal.runs.end(told=True)
    journal.close()


def seconds(*arguments: str, environ: dict[str, str]) -> float:
    """How long a command took."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "reve_cli", *arguments],
        env=environ,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def first_screen(environ: dict[str, str]) -> float:
    """Seconds until `reve history` has shown its first screen on a terminal."""
    started = time.perf_counter()
    with Terminal([sys.executable, "-m", "reve_cli", "history"], env=environ) as terminal:
        terminal.expect("credits paid")
        return time.perf_counter() - started


def commands(folder: Path) -> dict[str, Callable[[dict[str, str]], float]]:
    """Each command, by its name. Every call of one that makes images makes new ones."""
    prompts = folder / "prompts.txt"

    def batch(environ: dict[str, str], out: str) -> float:
        return seconds("batch", str(prompts), "--quiet", "--out", f"{environ['REVE_STATE_DIR']}-{out}", environ=environ)

    prompts.write_text("".join(f"A fox, number {number}\n" for number in range(20)))
    return {
        "history": first_screen,
        "generate": lambda environ: seconds(
            "generate", "fox", "--quiet", f"--out={folder}/{uuid.uuid4()}.png", environ=environ
        ),
        "resume": lambda environ: seconds("resume", environ=environ),
        "status last": lambda environ: seconds("status", "last", environ=environ),
        "batch": lambda environ: batch(environ, uuid.uuid4().hex),
        "batch, made": lambda environ: batch(environ, "made"),
    }


def beside(environ: dict[str, str], printed: dict[str, str]) -> float:
    """Seconds that `reve generate --no-wait` takes while `reve history` prints all of the journal in `printed`."""
    command = [sys.executable, "-m", "reve_cli", "history"]
    with subprocess.Popen(command, env=printed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        drain = threading.Thread(target=reader.stdout.read)
        drain.start()
        took = seconds("generate", "fox", "--quiet", "--no-wait", environ=environ)
        assert reader.poll() is None, "history ended too early"
        reader.kill()
        drain.join()
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description="Time commands with a long journal.")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=100_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox(Path(name) / "sandbox", job_seconds=0, requests_per_minute=0, key=KEY) as sandbox,
    ):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("APIFRAME_", "REVE_"))}
        inherited |= {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
        short, long = (inherited | {"REVE_STATE_DIR": f"{name}/{which}"} for which in ("short", "long"))
        fill(Path(short["REVE_STATE_DIR"]), 100, sandbox.url)
        fill(Path(long["REVE_STATE_DIR"]), options.jobs, sandbox.url)
        for command, run in commands(Path(name)).items():
            pairs = [(run(short), run(long)) for _ in range(options.pairs + 1)][1:]
            few, many = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
            low, ratio, high = statistics.quantiles((second / first for first, second in pairs), n=4)
            print(f"{command:12} {few:5.0f} ms, with {options.jobs:,} jobs {many:5.0f} ms, ", end="")
            print(f"ratio {ratio:.3f} ({low:.3f} to {high:.3f})", flush=True)
        shutil.copytree(f"{name}/long", f"{name}/copy")
        copy = inherited | {"REVE_STATE_DIR": f"{name}/copy"}
        pairs = [(beside(long, copy), beside(long, long)) for _ in range(options.pairs)]
        delay = statistics.median(second - first for first, second in pairs) * 1000
        print(f"generate while history prints its journal: {delay:.0f} ms later than while it prints a copy")


if __name__ == "__main__":
    main()
