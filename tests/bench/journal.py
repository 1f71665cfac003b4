"""Measures the cost of the journal: `reve generate` with and without it, in turn, against a sandbox with instant jobs.

    python tests/bench/journal.py [--pairs 25] [--count 1]

Prints the median of each, and the median ratio of neighbouring runs, which is less noisy.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reve_cli.sandbox import Sandbox


def run(sandbox: Sandbox, folder: Path, number: int, count: int, journal: str) -> float:
    """Seconds that one `generate` took."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("APIFRAME_", "REVE_"))}
    environ |= {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key}
    environ |= {"REVE_STATE_DIR": str(folder / "state"), "REVE_JOURNAL": journal}
    out = folder / f"{number}-{journal}.png"
    command = [sys.executable, "-m", "reve_cli", "generate", "--quiet", "a fox", f"--count={count}", f"--out={out}"]
    started = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Time generate with and without the journal.")
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--count", type=int, default=1)
    options = parser.parse_args()
    pairs: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Sandbox(folder / "sandbox", job_seconds=0, requests_per_minute=0) as sandbox:
            for number in range(options.pairs + 1):
                times = {journal: run(sandbox, folder, number, options.count, journal) for journal in ("on", "off")}
                if number:  # the first pair creates the journal and warms the caches
                    pairs.append((times["on"], times["off"]))
    on, off = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(first / second for first, second in pairs)
    print(f"with {on * 1000:.0f} ms, without {off * 1000:.0f} ms, ratio {ratio:.3f} ({len(pairs)} pairs)")


if __name__ == "__main__":
    main()
