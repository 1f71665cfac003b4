"""How much memory reve needs, in a process of its own. On Linux only: other systems tell no peak of one program."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_RUNS = """
import json, re, sys
from pathlib import Path
from reve_cli.app import run
from reve_cli.core.process import Process
from reve_cli.core.signals import Signals
ends = []
for arguments in json.loads(sys.argv[1]):
    code = run(arguments, Process(Signals()))
    ends.append([code, int(re.search("VmHWM:(.*)kB", Path("/proc/self/status").read_text())[1])])
Path("ends").write_text(json.dumps(ends))
"""


def run_measured(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], stdout: IO[str], stderr: IO[str] | None = None
) -> tuple[list[int], list[int]]:
    """Run commands one after another in one new process.

    Returns the exit code of each, and the peak memory of the process, in KiB, after each.
    """
    environ = {name: value for name, value in environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", _RUNS, json.dumps(commands)]
    subprocess.run(command, env=environ, stdout=stdout, stderr=stderr, check=True)
    ends = json.loads(Path("ends").read_text())
    return [code for code, _ in ends], [peak for _, peak in ends]
