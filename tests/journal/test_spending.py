"""Spending caps, and the charge that every ending states."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.core.clock import DAY, HOUR
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve

Simulate = Callable[..., Sandbox]


def test_a_command_over_its_cap_is_refused_before_anything_is_sent(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--count", "3", "--max-credits", "11", "--json")
    assert (result.code, result.document["error"]["code"]) == (4, "over_cap")
    assert "3 images at up to 4 credits each may cost 12 credits" in result.stderr
    assert sandbox.jobs() == []
    assert reve("generate", "fox", "--count", "3", "--max-credits", "12").code == 0


def test_a_day_over_its_cap_is_refused_until_the_day_is_over(reve: Reve, sandbox: Sandbox) -> None:
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "8"
    assert reve("generate", "fox", "--count", "2").code == 0
    assert reve("generate", "fox").code == 4
    reve.clock.advance(DAY + 1)
    assert reve("generate", "fox").code == 0
    assert len(sandbox.jobs()) == 3


def test_what_was_not_charged_does_not_count(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail*1,submit:400*1"))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve("generate", "fox").code == 2
    assert reve("generate", "fox").code == 5
    assert reve("generate", "fox").code == 0
    assert reve("generate", "fox").code == 4


def test_what_may_yet_be_charged_counts(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:drop-after"))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve("generate", "fox").code == 75
    assert reve("generate", "wolf").code == 4


def test_what_the_user_has_closed_still_counts(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:drop-after"))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    key = reve("generate", "fox", "--json").document["idempotencyKey"]
    assert reve("resume", "--abandon", key).code == 0
    assert reve("generate", "wolf").code == 4


def test_simulated_charges_do_not_count_against_the_real_cap(reve: Reve, sandbox: Sandbox) -> None:
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve("generate", "fox", "--sandbox").code == 0
    assert reve("generate", "fox").code == 0


def test_taking_a_run_up_charges_no_cap_again(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3"))
    command = ("generate", "fox", "--out", "f.png", "--max-credits", "4")
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve(*command).code == 75
    assert reve(*command).code == 0
    assert len(sandbox.jobs()) == 1


@pytest.mark.parametrize("faults", ["models:500", "models:404", "models:list", "models:drop-before"])
def test_the_price_comes_from_the_next_source_that_knows_it(reve: Reve, simulate: Simulate, faults: str) -> None:
    sandbox = simulate(faults=parse_faults(faults))
    unknown = reve("generate", "fox", "--max-credits", "9", "--json")
    assert (unknown.code, unknown.document["error"]["code"]) == (4, "price_unknown")
    assert "credits_per_image" in unknown.stderr
    assert reve("generate", "fox", "--max-credits", "9", env={"REVE_CREDITS_PER_IMAGE": "10"}).code == 4
    assert sandbox.jobs() == []
    assert reve("generate", "fox").code == 0
    assert reve("generate", "fox", "--max-credits", "3").code == 4  # the journal knows a charge of 4
    assert reve("generate", "fox", "--max-credits", "4").code == 0


@pytest.mark.parametrize("value", ["-1", "much", "nan", "inf"])
def test_a_cap_is_a_number(reve: Reve, sandbox: Sandbox, value: str) -> None:
    assert reve("generate", "fox", env={"REVE_MAX_CREDITS_PER_DAY": value}).code == 2
    assert reve("generate", "fox", f"--max-credits={value}").code == 2
    assert sandbox.jobs() == []


def test_a_run_that_is_taken_up_keeps_the_caps_of_today(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3,submit:401*1"))
    command = ("generate", "fox", "--count", "2", "--out", "f.png")
    assert reve(*command).code == 75
    sandbox.faults.clear()
    made = len(sandbox.jobs())
    for flags, env in (([], {"REVE_MAX_CREDITS_PER_DAY": "4"}), (["--max-credits", "3"], {})):
        refused = reve(*command, *flags, env=env)
        assert refused.code == 75  # for the other one is paid for
        assert "may cost" in refused.stderr
        assert refused.stderr.splitlines()[-1].startswith("reve resume ")
    assert len(sandbox.jobs()) == made
    assert reve(*command, env={"REVE_MAX_CREDITS_PER_DAY": "8"}).code == 0
    assert len(sandbox.jobs()) == 2


def test_what_is_made_anew_keeps_the_cap_of_the_command(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*3,job:502,jobs:502"))
    command = ("generate", "fox", "--count", "3", "--out", "f.png", "--timeout", "60")
    assert reve(*command).code == 75
    sandbox.faults.clear()
    assert reve(*command, "--max-credits", "4").code == 4
    assert sandbox.charged == 4


def test_a_key_that_was_used_a_day_ago_is_charged_again_and_counts(reve: Reve, sandbox: Sandbox) -> None:
    command = ("generate", "fox", "--once", "7", "--out", "f.png", "--force")
    assert reve(*command).code == 0
    reve.clock.advance(22 * HOUR)
    assert reve(*command, "--max-credits", "0").code == 0
    reve.clock.advance(3 * HOUR)
    assert reve(*command, "--max-credits", "0").code == 4
    assert len(sandbox.jobs()) == 1


def test_a_key_that_has_made_its_job_costs_nothing_more(reve: Reve, sandbox: Sandbox) -> None:
    for _ in range(3):
        command = ("generate", "fox", "--once", "7", "--out", "f.png", "--force", "--max-credits", "4")
        assert reve(*command, env={"REVE_MAX_CREDITS_PER_DAY": "4"}).code == 0
    assert len(sandbox.jobs()) == 1


def test_a_damaged_journal_cannot_tell_what_was_spent(reve: Reve, sandbox: Sandbox, tmp_path: Path) -> None:
    reve.environ |= {"REVE_STATE_DIR": str(tmp_path / "state"), "REVE_MAX_CREDITS_PER_DAY": "8"}
    reve.clock.advance(time.time() - reve.clock.now())  # files have the real time
    assert reve("generate", "fox").code == 0
    (tmp_path / "state" / "journal.db").write_bytes(b"no database" * 999)
    result = reve("generate", "fox", "--quiet")
    assert result.code == 7
    assert "warning: the journal was damaged" in result.stderr
    assert reve("generate", "fox").code == 7
    assert reve("generate", "fox", env={"REVE_MAX_CREDITS_PER_DAY": ""}).code == 0
    assert len(sandbox.jobs()) == 2


@pytest.mark.parametrize(
    ("faults", "words", "cost"),
    [
        ("", "4 credits", 4),
        ("outcome:fail", "not charged", 0),
        ("submit:400", "nothing was charged", None),
        ("submit:503", "nothing was charged", None),
        ("submit:drop-after", "charge pending", None),
        ("job:502", "charge pending", None),
        ("image:cut", "charged 4 credits", 4),
        ("outcome:expired", "charged 4 credits", 4),
    ],
)
def test_every_ending_states_the_charge(
    reve: Reve, simulate: Simulate, faults: str, words: str, cost: int | None
) -> None:
    simulate(faults=parse_faults(faults))
    result = reve("generate", "fox", "--out", "f.png", "--timeout", "60", "--json")
    assert words in result.stderr
    assert result.document["creditCost"] == cost


def test_several_images_state_their_charge_together(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail*1"))
    result = reve("generate", "fox", "--count", "3")
    assert "charged: 8 credits\n" in result.stderr
    waiting = reve("generate", "wolf", "--count", "2", "--no-wait")
    assert "charged: 0 credits, 2 pending\n" in waiting.stderr
    assert len(list(Path.cwd().iterdir())) == 2
