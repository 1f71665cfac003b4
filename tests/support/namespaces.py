"""Other machines, made of this one: a mount namespace in which files and folders are others, for one command.

Imports nothing of ours. What it needs (Linux, root, `unshare`) may be missing: then the test that asks is skipped.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest


def within(mounts: Mapping[str | Path, str | Path], command: Sequence[str], *more: str, before: str = "") -> list[str]:
    """A command line that runs `command` where each path of `mounts` shows what lies at another.

    more: further options of `unshare`. before: what a shell does there first.
    """
    _require(more)
    binds = [f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(at))}" for at, source in mounts.items()]
    script = " && ".join([*binds, *([before] if before else []), 'exec "$@"'])
    return ["unshare", "--mount", *more, "sh", "-c", script, "sh", *command]


def require_root() -> None:
    """Skip the test where this process is not root of a Linux system."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs Linux, root and unshare")


@cache
def _refusal(more: tuple[str, ...]) -> str:
    done = subprocess.run(["unshare", "--mount", *more, "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def _require(more: tuple[str, ...]) -> None:
    require_root()
    if refusal := _refusal(more):
        pytest.skip(f"no namespace can be made here: {refusal}")
