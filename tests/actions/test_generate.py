"""`reve generate`, from the prompt to the saved file."""

import re
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox
from tests.conftest import Reve


def test_generate_saves_the_image_at_out(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "a red fox in the snow", "--seed", "1", "--out", "fox.png")
    assert (result.code, result.out) == (0, "fox.png\n")
    assert Path("fox.png").read_bytes().startswith(b"\x89PNG")
    (job,) = sandbox.jobs()
    assert job.body == {"prompt": "a red fox in the snow", "model": "reve-create", "reveParams": {"seed": 1}}
    assert job.id in result.stderr


def test_the_same_seed_makes_the_same_image(reve: Reve, sandbox: Sandbox) -> None:
    for name in ("a.png", "b.png"):
        assert reve("generate", "fox", "--seed", "7", "--out", name).code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_count_makes_that_many_jobs_with_seeds_in_a_row(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--seed", "5", "--count", "3", "--out", "fox.png")
    assert result.code == 0
    assert result.out.split() == ["fox-1.png", "fox-2.png", "fox-3.png"]
    assert sorted(job.body["reveParams"]["seed"] for job in sandbox.jobs()) == [5, 6, 7]


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "fox", "--count", "2"],
        ["generate", "fox", "--max-credits", "1"],
        ["batch", "foxes.txt", "--out", "foxes"],
        ["account"],
        ["auth", "status"],
        ["model"],
        ["doctor"],
        ["history"],
    ],
    ids=" ".join,
)
def test_the_sandbox_speaks_of_simulated_credits_only(reve: Reve, command: list[str]) -> None:
    Path("foxes.txt").write_text("a red fox\n")
    env = {"REVE_SANDBOX": "1", "REVE_SANDBOX_SECONDS": "0"}
    assert reve("generate", "fox", "--out", "fox.png", env=env).code == 0
    result = reve(*command, env=env)
    said = (result.out + result.stderr).replace("--max-credits", "")
    assert "simulated credits" in said
    assert not re.search("(?<!simulated )credits?", said)
    assert "charged now" not in said
    assert "nothing is charged" not in said
