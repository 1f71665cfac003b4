"""`reve generate`, from the prompt to the saved file."""

import re
from pathlib import Path

import pytest

from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve
from tests.support.pictures import as_sent


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
    assert as_sent("a.png") == as_sent("b.png")


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


# Seeds


RANDOM = {"REVE_SEED": "random"}


def seeds(sandbox: Sandbox) -> list[int | None]:
    """The seeds of all jobs, in the order in which they were made."""
    jobs = sorted(sandbox.jobs(), key=lambda job: (job.created_at, job.body.get("reveParams", {}).get("seed", 0)))
    return [job.body.get("reveParams", {}).get("seed") for job in jobs]


def test_the_closing_note_has_the_seed_if_one_was_sent(reve: Reve, sandbox: Sandbox) -> None:
    assert ", seed 7)" in reve("generate", "fox", "--seed", "7").stderr
    assert "seed" not in reve("generate", "fox").stderr
    result = reve("generate", "fox", "--seed", "random", "--json")
    assert f", seed {result.document['seed']})" in result.stderr
    assert re.search(r"job \S+ accepted, seed 7\n", reve("generate", "fox", "--seed", "7", "--no-wait").stderr)
    job = reve("generate", "fox", "--seed", "9", "--no-wait", "--quiet").out.strip()
    assert ", seed 9)" in reve("wait", job, "--out", "nine.png").stderr


def test_the_setting_seed_chooses_and_prints_a_seed(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--count", "2", env=RANDOM)
    first, second = seeds(sandbox)
    assert first is not None
    assert second == first + 1
    assert f", seed {first})" in result.stderr
    assert f", seed {second})" in result.stderr
    reve("generate", "fox", "--seed", "5", env=RANDOM)
    reve("generate", "fox", "--seed", "none", env=RANDOM)
    assert set(seeds(sandbox)) == {first, second, 5, None}


def test_two_equal_commands_with_random_seeds_make_two_images(reve: Reve, sandbox: Sandbox) -> None:
    for _ in range(2):
        assert reve("generate", "fox", env=RANDOM).code == 0
        reve.clock.advance(60)
    first, second = seeds(sandbox)
    assert first != second


def test_an_interrupted_command_continues_with_the_seed_it_chose(reve: Reve, sandbox: Sandbox) -> None:
    sandbox.faults[:] = parse_faults("image:cut")
    command = ("generate", "fox", "--count", "2", "--out", "fox.png")
    assert reve(*command, env=RANDOM).code == 75
    chosen = seeds(sandbox)
    sandbox.faults.clear()
    again = reve(*command, env=RANDOM)
    assert (again.code, again.out) == (0, "fox-1.png\nfox-2.png\n")
    assert "continuing this command's interrupted run" in again.stderr
    assert seeds(sandbox) == chosen
    assert all(f", seed {seed})" in again.stderr for seed in chosen)


@pytest.mark.parametrize("name", ["--once", "--idempotency-key"])
@pytest.mark.parametrize("given", [["--seed", "random"], []], ids=["option", "setting"])
def test_a_named_image_with_a_random_seed_is_paid_for_once(
    reve: Reve, sandbox: Sandbox, name: str, given: list[str]
) -> None:
    for out in ("one.png", "two.png"):
        env = {**RANDOM, "REVE_JOURNAL": "off"}  # as on another machine
        assert reve("generate", "fox", name, "build 1", "--out", out, *given, env=env).code == 0
        reve.clock.advance(60)
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    (seed,) = seeds(sandbox)
    assert reve("generate", "fox", name, "build 2", env=RANDOM).code == 0
    assert seeds(sandbox)[1] not in (None, seed)
