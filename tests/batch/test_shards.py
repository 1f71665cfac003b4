"""Shards: machines share one file without talking to each other, and make every image exactly once."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from reve_cli.batch.items import Item
from reve_cli.batch.worklist import Worklist
from reve_cli.core.models import ImageRequest
from reve_cli.sandbox import Sandbox
from tests.conftest import Reve
from tests.program.test_readme import PAGES
from tests.support.pictures import as_sent
from tests.support.terminal import PATIENCE, with_reve_on_path

FACTOR = 20
FAST = Path(__file__).parents[1] / "bench" / "fast.py"
"""reve with fast clocks."""
ITEMS = 40
LIMIT = 30
"""Requests in 60 s of those clocks: fewer than items, so that shards compete."""


def shard(items: list[Item], index: int, count: int) -> Counter[tuple[str, str | None, int]]:
    """The items in a shard."""
    worklist = Worklist()
    worklist.fill(items)
    worklist.keep_shard(index, count)
    taken = Counter((one.request.prompt, one.out, one.ordinal) for one in worklist.take(1000))
    worklist.close()
    return taken


def items_of(prompts: list[str]) -> list[Item]:
    return [
        Item(number, ImageRequest(prompt, "reve-create"), None if len(prompt) % 2 else f"{prompt}-{number}.png")
        for number, prompt in enumerate(prompts, start=1)
    ]


PROMPTS = some.lists(some.sampled_from(["a", "b", "aa", "bb", "ccc", "ddd", "eeeee"]), max_size=12)


@given(PROMPTS, some.integers(1, 9))
def test_each_item_is_in_exactly_one_shard(prompts: list[str], count: int) -> None:
    items = items_of(prompts)
    parts = [shard(items, index, count) for index in range(1, count + 1)]
    assert sum(parts, Counter()) == shard(items, 1, 1)
    assert sum(map(Counter.total, parts)) == len(items)


@given(PROMPTS, some.integers(2, 9), some.randoms())
def test_order_and_other_lines_do_not_change_the_shard_of_an_item(
    prompts: list[str], count: int, chance: random.Random
) -> None:
    items = items_of(prompts)
    others = [Item(0, ImageRequest(f"other {number}", "reve-create"), None) for number in range(4)]
    mixed = [*items, *others]
    chance.shuffle(mixed)
    for index in range(1, count + 1):
        before, after = shard(items, index, count), shard(mixed, index, count)
        assert before == Counter({one: n for one, n in after.items() if not one[0].startswith("other")})


@pytest.fixture
def rated(simulate: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with a rate limit, on fast clocks."""
    begun = time.time()
    return simulate(clock=lambda: begun + (time.time() - begun) * FACTOR, job_seconds=3.0, requests_per_minute=LIMIT)


@pytest.fixture
def environ(reve: Reve, rated: Sandbox, tmp_path: Path) -> dict[str, str]:
    """A shell's environment in which `reve` runs on fast clocks, and a file of items in the working folder."""
    lines = [{"prompt": f"fox {number}", "seed": number} for number in range(ITEMS)]
    for line in lines[:10]:
        line["out"] = f"sub/{line['seed']}.png"
    Path("items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return with_reve_on_path([sys.executable, str(FAST), str(FACTOR)], reve.environ, tmp_path)


def bash(script: str, environ: dict[str, str]) -> str:
    """Run a script and check that it succeeds. Returns its stderr."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def pictures(folder: str) -> dict[str, str]:
    """The SHA-256 of each image as it was sent, by its name without the job."""
    job = r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return {re.sub(job, "", str(path.relative_to(folder))): as_sent(path) for path in Path(folder).rglob("*.png")}


@pytest.fixture
def alone(reve: Reve, simulate: Callable[..., Sandbox], environ: dict[str, str]) -> dict[str, str]:
    """The images that a single machine makes from the same file."""
    begun = time.time()
    apart = simulate(clock=lambda: begun + (time.time() - begun) * FACTOR, job_seconds=0.5)
    bash("reve batch items.jsonl --out alone", {**environ, "APIFRAME_BASE_URL": apart.url, "REVE_JOURNAL": "off"})
    made = pictures("alone")
    assert len(made) == ITEMS
    return made


@pytest.mark.skipif(not shutil.which("parallel"), reason="needs GNU parallel")
@pytest.mark.parametrize("out", ["pics", "pics-{}"], ids=["one folder", "a folder each"])
def test_four_shards_at_once_make_what_one_machine_makes(
    environ: dict[str, str], rated: Sandbox, alone: dict[str, str], out: str
) -> None:
    state = "REVE_STATE_DIR=$PWD/state-{}"
    command = f"reve batch items.jsonl --run foxes --shard {{}}/4 --out {out}"
    bash(f"parallel --will-cite --jobs 4 'env {state} {command}' ::: 1 2 3 4", environ)
    folders = sorted(map(str, Path().glob("pics*")))
    parts = [pictures(folder) for folder in folders]
    assert {name: digest for part in parts for name, digest in part.items()} == alone
    assert sum(map(len, parts)) == len(rated.jobs()) == ITEMS

    if len(folders) > 1:
        bash("mkdir pics; cp -R pics-*/. pics/; rm -r pics-*; cat pics/manifest-*-of-*.jsonl > all", environ)
        bash("rm pics/manifest-*; mv all pics/manifest.jsonl", environ)
    asked = len(rated.requests)
    elsewhere = {**environ, "REVE_STATE_DIR": os.path.abspath("state-of-another")}
    said = bash("reve batch items.jsonl --run foxes --out pics", elsewhere)
    assert f"{ITEMS} of {ITEMS} saved ({ITEMS} before)" in said
    bash("reve batch items.jsonl --run foxes --shard 1/2 --out pics", elsewhere)
    assert len(rated.requests) == asked


def test_another_number_of_shards_pays_for_nothing_twice(
    environ: dict[str, str], rated: Sandbox, alone: dict[str, str]
) -> None:
    rated._requests_per_minute = 0
    bash(
        "reve batch items.jsonl --run foxes --shard 1/3 --out a",
        {**environ, "REVE_STATE_DIR": "/dev/null/no", "REVE_JOURNAL": "off"},
    )
    first = len(rated.jobs())
    assert 0 < first < ITEMS
    for index in (1, 2):
        bash(f"reve batch items.jsonl --run foxes --shard {index}/2 --out b", environ)
    assert pictures("b") == alone
    assert len(rated.jobs()) == ITEMS


VARIABLES = {
    "Kubernetes": {"JOB_COMPLETION_INDEX": "2"},
    "Slurm": {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"},
    "GitLab": {"CI_PIPELINE_ID": "4711", "CI_NODE_INDEX": "3", "CI_NODE_TOTAL": "8"},
    "GitHub": {"GITHUB_RUN_ID": "4711", "SHARD": "3"},
}
"""The variables of each engine in its third shard."""


def command_of(engine: str) -> str:
    """The command for an engine in the topic."""
    section = PAGES["shards"].read_text().partition(f"\n## {engine}")[2].partition("\n## ")[0]
    (command,) = re.findall(r"^ *((?:parallel )?reve batch .*--run .*\\\n.*)$", section, re.MULTILINE)
    return str(command)


@pytest.mark.parametrize("engine", VARIABLES)
def test_the_topic_has_a_command_for_each_engine(reve: Reve, live: Sandbox, tmp_path: Path, engine: str) -> None:
    command = command_of(engine).replace("/pics", "pics")
    Path("prompts.txt").write_text("".join(f"fox {number}\n" for number in range(12)))
    bash(command, {**with_reve_on_path(reve.command(), reve.environ, tmp_path), **VARIABLES[engine]})
    of = "4" if engine == "GitHub" else "8"
    plain = [Item(number, ImageRequest(f"fox {number}", "reve-create"), None) for number in range(12)]
    assert {job.body["prompt"] for job in live.jobs()} == {prompt for prompt, _, _ in shard(plain, 3, int(of))}
    assert Path(f"pics/manifest-3-of-{of}.jsonl").is_file()


@pytest.mark.skipif(not shutil.which("parallel"), reason="needs GNU parallel")
def test_the_topic_has_a_command_for_parallel(reve: Reve, live: Sandbox, tmp_path: Path) -> None:
    Path("prompts.txt").write_text("".join(f"fox {number}\n" for number in range(8)))
    bash(command_of("GNU parallel"), with_reve_on_path(reve.command(), reve.environ, tmp_path))
    assert len(live.jobs()) == len(pictures("pics")) == 8
