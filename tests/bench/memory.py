"""Measures the peak memory of `reve batch` for growing numbers of prompts: `python tests/bench/memory.py [COUNT ...]`.

Runs against a sandbox in another process: jobs of 15 s, 500 requests per minute, all clocks 10 times as fast. So about
120 jobs run at once for any number of prompts, unless the machine is too busy. The more requests wait at once, the more
threads there are, each with its memory: at most 34.

The sandbox uses http. What certificates for https need is printed apart, without the buffers of each connection.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reve_cli.sandbox import Sandbox

FAST = Path(__file__).with_name("fast.py")
FACTOR = 10
# Prints the KiB that the trusted certificates, and what reads them, take in a process that has loaded httpx.
_CERTIFICATES = """
import re
from pathlib import Path
from reve_cli.api.network import tls_context
def now():
    return int(re.search(r"Rss:\\s*(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])
now()
before = now()
tls_context()
print(now() - before)
"""


def peak(count: int) -> tuple[float, float]:
    """Peak memory in MiB, and CPU seconds, of a batch of `count` prompts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "prompts.txt"
        path.write_text("".join(f"A fox, number {number}\n" for number in range(count)))
        begun = time.time()
        with Sandbox(
            folder / "sandbox",
            job_seconds=15,
            requests_per_minute=500,
            clock=lambda: begun + (time.time() - begun) * FACTOR,
        ) as sandbox:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("REVE_")}
            access = {"APIFRAME_BASE_URL": sandbox.url, "APIFRAME_API_KEY": sandbox.key}
            environ = inherited | access | {"REVE_STATE_DIR": str(folder / "state")}
            arguments = ["batch", str(path), "--out", str(folder / "pics")]
            command = [sys.executable, str(FAST), str(FACTOR), *arguments]
            done = subprocess.run(
                command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
        assert sum(1 for _ in (folder / "pics").glob("*.png")) == count
    _, cpu, memory = done.stderr.splitlines()[-1].split()
    return float(memory), float(cpu)


def certificates() -> float | None:
    """MiB that https needs for its certificates, once for all connections; None if the system does not tell."""
    if not os.path.exists("/proc/self/smaps_rollup"):
        return None
    done = subprocess.run([sys.executable, "-c", _CERTIFICATES], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout) / 1024


def main() -> None:
    if (more := certificates()) is not None:
        print(f"certificates for https, not counted below: {more:.1f} MiB")
    first = 0.0
    for count in [int(text) for text in sys.argv[1:]] or [100, 1000, 10_000]:
        memory, cpu = peak(count)
        first = first or memory
        print(f"{count:6} prompts: {memory:6.1f} MiB ({memory / first - 1:+.1%}), {cpu:.1f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
