"""Times the start of reve against the minimum that its libraries allow: `python tests/bench/startup.py [RUNS]`.

Runs both in turn, so that changes in the machine's speed affect both. Compare the ratio of the medians.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reve_cli.sandbox import Sandbox

GET = """
import os, typer, httpx
with httpx.Client() as client:
    url = f"{os.environ['APIFRAME_BASE_URL']}/v2/jobs/{os.environ['JOB']}"
    print(client.get(url, headers={"X-API-Key": os.environ["APIFRAME_API_KEY"]}).text)
"""
REVE = [sys.executable, "-m", "reve_cli"]


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def asks(*words: str) -> list[str]:
    """The command with which a shell asks for completions of the last word."""
    return ["env", "_REVE_COMPLETE=words", f"_REVE_COMPLETE_WORD={words[-1]}", *REVE, *words[:-1]]


def compare(name: str, ours: list[str], least: list[str], runs: int) -> None:
    seconds(ours), seconds(least)
    pairs = [(seconds(ours), seconds(least)) for _ in range(runs)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:34} {mine * 1000:6.0f} ms   least {theirs * 1000:6.0f} ms   ratio {mine / theirs:.2f}")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(Path(folder), job_seconds=0, requests_per_minute=0) as sandbox,
    ):
        os.environ |= {
            "APIFRAME_BASE_URL": sandbox.url,
            "APIFRAME_API_KEY": sandbox.key,
            "REVE_STATE_DIR": f"{folder}/state",
        }
        made = subprocess.run([*REVE, "generate", "fox", "--no-wait", "-q"], check=True, capture_output=True, text=True)
        job = os.environ["JOB"] = made.stdout.strip()
        compare("--version / import typer", [*REVE, "--version"], [sys.executable, "-c", "import typer"], runs)
        compare("completion of --ar / --version", asks("generate", "--ar", ""), [*REVE, "--version"], runs)
        compare("completion of JOB / --version", asks("status", ""), [*REVE, "--version"], runs)
        compare("generate --help / --version", [*REVE, "generate", "--help"], [*REVE, "--version"], runs)
        compare("status JOB / typer + httpx GET", [*REVE, "status", job], [sys.executable, "-c", GET], runs)


if __name__ == "__main__":
    main()
