"""What reve does if the system allows it few threads, or none."""

import shutil
import sys
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Result, Reve

MIB = 2**10  # in the KiB of ulimit
STACK = 512 * MIB


def limited(reve: Reve, memory: int, *arguments: str) -> Result:
    """Run reve with `memory` KiB of addresses, of which each thread's stack takes half a GiB."""
    if not sys.platform.startswith("linux") or not shutil.which("sh"):
        pytest.skip("needs Linux: the stack of a thread is as large as ulimit -s says")
    script = f'ulimit -s {STACK} && ulimit -v {memory} && exec "$@"'
    command = ["sh", "-c", script, "sh", *reve.command(*arguments)]
    reve.command = lambda *_: command  # type: ignore[method-assign]
    return reve.child()


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_few_threads_are_enough_for_a_batch(reve: Reve, live: Sandbox, threads: int) -> None:
    Path("p.txt").write_text("".join(f"fox {number}\n" for number in range(50)))
    result = limited(reve, 400 * MIB + threads * STACK, "batch", "p.txt", "--out", "pics")
    assert (result.code, len(list(Path("pics").glob("*.png")))) == (0, 50), result.stderr
    assert (posts(live), "thread" in result.stderr) == (50, False)


def test_few_threads_are_enough_for_several_images(reve: Reve, slow: Sandbox) -> None:
    result = limited(reve, 400 * MIB + 2 * STACK, "generate", "fox", "--count", "8", "--out", "fox.png")
    assert (result.code, len(list(Path.cwd().glob("*.png"))), posts(slow)) == (0, 8, 8), result.stderr


@pytest.mark.parametrize(
    "command", [["generate", "fox"], ["batch", "p.txt"], ["generate", "fox", "--max-credits", "9"]]
)
def test_without_any_thread_nothing_is_submitted(reve: Reve, live: Sandbox, command: list[str]) -> None:
    Path("p.txt").write_text("fox\n" * 50)
    result = limited(reve, 400 * MIB, *command)
    assert (result.code, result.out) == (2, "")
    error, hint = result.stderr.splitlines()
    assert error == "error: the system allows this process no more threads; nothing was submitted"
    assert "ulimit -u" in hint
    assert live.requests == []
