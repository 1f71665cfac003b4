"""Times `reve generate` for a job that ends at once against a plain script of the same requests, in turn.

    python tests/bench/generate.py [--pairs 15] [--metadata]

The script does no more than POST, GET and download. With `--metadata`, the other of a pair is `generate` without
metadata instead. Either of a pair runs first in turn. Prints the median of each in wall time and in CPU time, and the
median and the quartiles of the ratios of pairs, which are less noisy.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reve_cli.sandbox import Sandbox

PLAIN = """
import os, sys, time, httpx
with httpx.Client(base_url=os.environ["APIFRAME_BASE_URL"], trust_env=False) as client:
    client.headers["X-API-Key"] = os.environ["APIFRAME_API_KEY"]
    body = {"prompt": "a fox", "model": "reve-create"}
    job = client.post("/v2/images/generate", json=body).raise_for_status().json()["jobId"]
    while (found := client.get(f"/v2/jobs/{job}").raise_for_status().json())["status"] != "COMPLETED":
        time.sleep(2)
with httpx.Client(trust_env=False) as client, open(sys.argv[1], "wb") as file:
    file.write(client.get(found["result"]["images"][0]).raise_for_status().content)
"""


Times = tuple[float, float]
"""Wall time and CPU time of a command, in seconds."""


def timed(command: list[str], environ: dict[str, str]) -> Times:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="Time generate against a plain script.")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--metadata", action="store_true", help="compare with generate --metadata none")
    options = parser.parse_args()
    pairs: list[tuple[Times, Times]] = []
    with tempfile.TemporaryDirectory() as name, Sandbox(Path(name) / "sandbox", job_seconds=0) as sandbox:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("APIFRAME_", "REVE_"))}
        environ |= {
            "APIFRAME_BASE_URL": sandbox.url,
            "APIFRAME_API_KEY": sandbox.key,
            "REVE_STATE_DIR": f"{name}/state",
        }
        for number in range(options.pairs + 1):
            reve = [sys.executable, "-m", "reve_cli", "generate", "--quiet", "a fox", f"--out={name}/{number}.png"]
            plain = [sys.executable, "-c", PLAIN, f"{name}/plain-{number}.png"]
            if options.metadata:
                plain = [*reve[:-1], f"--out={name}/plain-{number}.png", "--metadata=none"]
            if number % 2:
                pairs.append((timed(reve, environ), timed(plain, environ)))
            else:
                pairs.append((timed(plain, environ), timed(reve, environ))[::-1])
    pairs = pairs[1:]  # the first pair creates the journal and warms the caches
    other = "without metadata" if options.metadata else "script"
    for place, what in enumerate(("wall", "CPU")):
        ours, theirs = (statistics.median(times[place] for times in each) for each in zip(*pairs, strict=True))
        low, ratio, high = statistics.quantiles((first[place] / second[place] for first, second in pairs), n=4)
        said = f"generate {ours * 1000:.0f} ms, {other} {theirs * 1000:.0f} ms"
        print(f"{what}: {said}, ratio {ratio:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
