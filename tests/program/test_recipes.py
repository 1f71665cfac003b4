"""The topics' recipes for CI, make and batches: their results when something goes wrong.

test_readme runs every command once. YAML and make are taken from the topics unchanged.
"""

import os
import re
import shutil
import subprocess
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from reve_cli.sandbox import Fault, Sandbox
from tests.conftest import Result, Reve
from tests.program.test_readme import BLOCKS
from tests.support.terminal import PATIENCE, with_reve_on_path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX shells")

LOST = Fault("image", "redirect-private", times=1)
"""Paid for, but the first download fails."""


class Shell:
    """bash as CI runs it, with `reve` on its PATH."""

    def __init__(self, reve: Reve, folder: Path) -> None:
        self._environ = with_reve_on_path(reve.command(), reve.environ, folder)

    def __call__(self, script: str, env: Mapping[str, str] | None = None) -> Result:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", script],
            stdin=subprocess.DEVNULL,
            env={**self._environ, **(env or {})},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture
def shell(reve: Reve, live: Sandbox, tmp_path: Path) -> Shell:
    return Shell(reve, tmp_path)


def needs(*tools: str) -> None:
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")


def blocks(language: str) -> list[str]:
    return [text for _, found, text in BLOCKS if found == language]


def is_image(path: str) -> bool:
    return Path(path).read_bytes().startswith(b"\x89PNG")


# CI


def script_of(yaml: str) -> str:
    """The shell script in a job: the lines indented below the line that ends with a bar."""
    lines = yaml.splitlines()
    start = next(number for number, line in enumerate(lines) if line.endswith(" |"))
    margin = len(lines[start]) - len(lines[start].lstrip())
    body: list[str] = []
    for line in lines[start + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) <= margin:
            break
        body.append(line)
    return textwrap.dedent("\n".join(body))


JOBS = {"GitHub": ("jobs:\n  hero:", {"GITHUB_RUN_ID": "4711"}), "GitLab": ("hero:", {"CI_PIPELINE_ID": "4711"})}


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """A job's script, and the environment that CI gives it."""
    first, env = JOBS[request.param]
    (yaml,) = [text for text in blocks("yaml") if text.startswith(first)]
    assert "path" in yaml.partition("artifact")[2]
    assert "out/hero.png" in yaml.partition("artifact")[2]
    return script_of(yaml), env


def test_a_job_run_again_makes_its_image_once(
    shell: Shell, live: Sandbox, job: tuple[str, dict[str, str]], home: Path
) -> None:
    script, env = job
    assert shell(script, env).code == 0
    assert is_image("out/hero.png")
    assert shell(script, env).code == 0  # on the same machine
    shutil.rmtree("out")
    shutil.rmtree(home)
    assert shell(script, env).code == 0  # on another one
    assert is_image("out/hero.png")
    assert len(live.jobs()) == 1


def test_a_job_whose_first_download_fails_finishes_its_image(
    shell: Shell, live: Sandbox, job: tuple[str, dict[str, str]]
) -> None:
    live.faults.append(LOST)
    script, env = job
    result = shell(script, env)
    assert result.code == 0, result.stderr
    assert is_image("out/hero.png")
    assert len(live.jobs()) == 1


@pytest.mark.parametrize(("fault", "code"), [(Fault("image", "redirect-private"), 75), (Fault("submit", "402"), 4)])
def test_a_failed_job_ends_with_the_exit_code_and_no_artifact(
    shell: Shell, live: Sandbox, job: tuple[str, dict[str, str]], fault: Fault, code: int
) -> None:
    live.faults.append(fault)
    script, env = job
    assert shell(script, env).code == code
    assert not Path("out/hero.png").exists()
    assert len(live.jobs()) == (1 if code == 75 else 0)


def test_a_job_without_its_secret_says_so(shell: Shell, live: Sandbox, job: tuple[str, dict[str, str]]) -> None:
    script, env = job
    result = shell(script, {**env, "APIFRAME_API_KEY": ""})
    assert (result.code, live.jobs()) == (3, [])
    assert "APIFRAME_API_KEY" in result.stderr


# Make


@pytest.fixture
def makefile() -> None:
    needs("make")
    (rule,) = blocks("make")
    Path("Makefile").write_text(rule)
    Path("fox.txt").write_text("a red fox\n")
    os.utime("fox.txt", (0, 0))


@pytest.mark.usefixtures("makefile")
def test_make_makes_an_image_once_and_again_when_its_prompt_changes(shell: Shell, live: Sandbox) -> None:
    assert shell("make fox.png").code == 0
    again = shell("make fox.png")
    assert (again.code, again.out) == (0, "make: 'fox.png' is up to date.\n")
    assert len(live.jobs()) == 1
    before = Path("fox.png").read_bytes()
    Path("fox.txt").write_text("a blue fox\n")
    os.utime("fox.txt", (time.time() + 10,) * 2)
    assert shell("make fox.png").code == 0
    assert Path("fox.png").read_bytes() != before
    assert len(live.jobs()) == 2


@pytest.mark.usefixtures("makefile")
def test_make_after_an_error_finishes_the_paid_image(shell: Shell, live: Sandbox) -> None:
    live.faults.append(LOST)
    failed = shell("make fox.png")
    assert failed.code == 2
    assert "Error 75" in failed.stderr
    assert not Path("fox.png").exists()
    assert shell("make fox.png").code == 0
    assert is_image("fox.png")
    assert len(live.jobs()) == 1


# Many prompts


@pytest.fixture
def prompts() -> None:
    Path("prompts.txt").write_text("--a red fox\nan \"odd\" $(fox); `x`\na fox with 'quotes' and \\\n")


@pytest.mark.usefixtures("prompts")
@pytest.mark.parametrize(
    "command",
    [
        "parallel --jobs 2 --halt soon,fail=1 reve generate --quiet --out '{#}.png' -- {} :::: prompts.txt",
        "xargs -d '\\n' -P 2 -I {} reve generate --quiet -- {} < prompts.txt",
    ],
    ids=["parallel", "xargs"],
)
def test_each_line_is_one_prompt_whatever_it_contains(shell: Shell, live: Sandbox, command: str) -> None:
    needs(command.split()[0])
    assert command in "".join(blocks("sh")).replace("\\\n  ", "")
    result = shell(command)
    assert result.code == 0, result.stderr
    asked = {job.body["prompt"] for job in live.jobs()}
    assert asked == set(Path("prompts.txt").read_text().splitlines())
    assert all(is_image(line) for line in result.out.splitlines())


@pytest.mark.usefixtures("prompts")
@pytest.mark.parametrize(("fault", "code"), [("402", 4), ("401", 3), ("400", 2)])
def test_parallel_ends_with_the_exit_code_of_the_failure_and_submits_no_more(
    shell: Shell, live: Sandbox, fault: str, code: int
) -> None:
    needs("parallel")
    live.faults.append(Fault("submit", fault))
    result = shell("parallel --jobs 1 --halt soon,fail=1 reve generate --quiet -- {} :::: prompts.txt")
    assert result.code == code, result.stderr
    assert len([request for request in live.requests if request.method == "POST"]) == 1


@pytest.mark.usefixtures("prompts")
def test_parallel_lets_paid_jobs_finish_when_another_fails(shell: Shell, slow: Sandbox) -> None:
    needs("parallel")
    slow.faults.append(Fault("submit", "402", times=1))
    result = shell("parallel --jobs 3 --halt soon,fail=1 reve generate --quiet -- {} :::: prompts.txt")
    assert result.code == 4, result.stderr
    assert len(slow.jobs()) == len(list(Path.cwd().glob("*.png")))


@pytest.mark.usefixtures("prompts")
def test_xargs_ends_with_123_and_tries_all(shell: Shell, live: Sandbox) -> None:
    live.faults.append(Fault("submit", "402", times=1))
    assert shell("xargs -d '\\n' -P 2 -I {} reve generate --quiet -- {} < prompts.txt").code == 123
    assert len(live.jobs()) == 2


# Other programs


def test_jq_lists_saved_paths_and_commands_that_finish_the_rest(shell: Shell, live: Sandbox) -> None:
    needs("jq")
    live.faults.append(LOST)
    (script,) = [text for text in blocks("sh") if "jobs.json" in text]
    result = shell(script)
    *lines, total = result.out.splitlines()
    paths, hints = lines[:2], lines[2:]
    assert all(is_image(path) for path in paths)
    assert len(hints) == 1
    assert re.fullmatch(r"reve resume \S+", hints[0])
    assert total == "12"
    assert shell(hints[0]).code == 0
    assert len(list(Path.cwd().glob("*.png"))) == 3


def test_other_programs_read_the_image_bytes(shell: Shell) -> None:
    needs("file", "convert", "jq", "sha256sum", "tar")
    (script,) = [text for text in blocks("sh") if "| file -" in text]
    result = shell(script)
    assert result.code == 0, result.stderr
    about, checked = result.out.splitlines()
    assert about.startswith("/dev/stdin: PNG image data")
    assert checked.endswith(".png: OK")
    assert shell("file --brief small.png").out.startswith("PNG image data, 128 x 128")
    listed = shell("tar --list --file foxes.tar").out.splitlines()
    assert sorted(listed) == ["fox-1.png", "fox-2.png"]


def test_a_pipeline_fails_if_the_image_fails(shell: Shell, live: Sandbox) -> None:
    live.faults.append(Fault("submit", "402"))
    result = shell("reve generate 'a fox' --out - | wc -c")
    assert (result.code, result.out.strip()) == (4, "0")
