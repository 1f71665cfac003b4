"""Times the start of reve against the minimum that its libraries allow: `python tests/bench/startup.py [PAIRS]`.

Runs both in turn, so that changes in the machine's speed affect both. Shows the median of the ratios of the pairs and
the middle half of them, for the time by the clock and for the CPU time, which a busy machine changes less.
"""

import os
import resource
import shlex
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


CALLS = 200


def seconds(command: list[str]) -> tuple[float, float]:
    """Run a command, with the variables before its name. Returns the seconds by the clock, and those of the CPU."""
    count = next(number for number, word in enumerate(command) if word == sys.executable)
    environ = os.environ | dict(word.split("=", 1) for word in command[:count])
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command[count:], env=environ, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def asks(*words: str) -> list[str]:
    """The command with which a shell asks for completions of the last word."""
    return ["_REVE_COMPLETE=words", f"_REVE_COMPLETE_WORD={words[-1]}", *REVE, *words[:-1]]


def compare(name: str, ours: list[str], least: list[str], pairs: int) -> None:
    """Print how long `ours` takes, and its ratio to `least`."""
    seconds(ours), seconds(least)
    found = [(seconds(ours), seconds(least)) for _ in range(pairs)]
    clock = statistics.median(mine for (mine, _), _ in found) * 1000
    ratios = [[mine[kind] / theirs[kind] for mine, theirs in found] for kind in (0, 1)]
    print(f"{name:34} {clock:6.0f} ms   ratio {spread(ratios[0])}   of CPU time {spread(ratios[1])}")


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def bash(line: str, word: str) -> None:
    """Print how long bash takes for Tab at the end of `line`, in one process."""
    script = f"""
        eval "$({shlex.join([*REVE, "--show-completion", "bash"])})"
        compopt() {{ :; }} # it fails outside of a real completion
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_WORDS=(reve) COMP_TYPE=63 started=$EPOCHREALTIME
        for ((call = 0; call < {CALLS}; call++)); do _reve reve {word} x; done
        ended=$EPOCHREALTIME
        echo "$((${{ended/[.,]/}} - ${{started/[.,]/}}))"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], check=True, capture_output=True, text=True)
    print(f"{'Tab in bash: ' + line:34} {int(done.stdout) / CALLS / 1000:6.2f} ms   mean of {CALLS} calls")


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
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
        typer = [sys.executable, "-c", "import typer"]
        compare("--version / import typer", [*REVE, "--version"], typer, pairs)
        compare("Tab on a job / import typer", asks("status", ""), typer, pairs)
        compare("Tab on a setting / import typer", asks("config", "get", ""), typer, pairs)
        compare("generate --help / import typer", [*REVE, "generate", "--help"], typer, pairs)
        compare("status JOB / typer, httpx and GET", [*REVE, "status", job], [sys.executable, "-c", GET], pairs)
        for line, word in (("reve s", "s"), ("reve generate --", "--"), ("reve batch x --ar 1", "1")):
            bash(line, word)


if __name__ == "__main__":
    main()
