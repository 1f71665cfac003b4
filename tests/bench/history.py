"""Measures how long `reve history` takes to show its first screen: a journal with few jobs against one with many.

    python tests/bench/history.py [--pairs 15] [--jobs 100000]

Prints the median of each, and the median ratio of neighbouring runs, which is less noisy.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

from reve_cli.core.clock import Clock
from reve_cli.journal.journal import open_journal

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.terminal import Terminal


def fill(folder: Path, jobs: int) -> None:
    """Create a journal with `jobs` saved jobs, in runs of 20."""
    journal = open_journal(folder, Clock(), print, begin=True)
    assert journal is not None
    now = time.time()
    with journal.at_once():
        for first in range(0, jobs, 20):
            run, begun = uuid.uuid4().hex, now - (jobs - first) * 20
            rows = [
                {
                    "run": run, "number": number + 1, "attempt": 1, "key": str(uuid.uuid4()), "key_is_given": 0,
                    "key_tag": "", "body": json.dumps({"prompt": f"fox {first + number}", "model": "reve-create"}),
                    "model": "reve-create", "token": "", "state": "saved", "created": begun + number, "charge": 4,
                    "job": str(uuid.uuid4()), "images": 1, "files": json.dumps([{"path": f"/tmp/{number}.png"}]),
                }
                for number in range(20)
            ]  # fmt: skip
            journal.add_run(run, None, "https://example.com", rows, lambda: None)
    journal.close()


def first_screen(folder: Path) -> float:
    """Seconds until `reve history` has shown its first screen on a terminal."""
    environ = {**os.environ, "REVE_STATE_DIR": str(folder)}
    started = time.perf_counter()
    with Terminal([sys.executable, "-m", "reve_cli", "history"], env=environ) as terminal:
        terminal.expect("credits paid")
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the first screen of history.")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        short, long = Path(name) / "short", Path(name) / "long"
        fill(short, 100)
        fill(long, options.jobs)
        pairs = [(first_screen(short), first_screen(long)) for _ in range(options.pairs + 1)][1:]
    few, many = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(second / first for first, second in pairs)
    print(f"100 jobs {few * 1000:.0f} ms, {options.jobs:,} jobs {many * 1000:.0f} ms, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
