"""Spending caps, and the charge that every result states."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reve_cli.core.clock import DAY, HOUR
from reve_cli.sandbox import Sandbox, parse_faults
from tests.conftest import Reve

Simulate = Callable[..., Sandbox]


def test_a_command_over_its_cap_is_refused_before_anything_is_sent(reve: Reve, sandbox: Sandbox) -> None:
    result = reve("generate", "fox", "--count", "3", "--max-credits", "11", "--json")
    assert (result.code, result.document["error"]["code"]) == (4, "over_cap")
    assert "3 images at up to 4 simulated credits each may cost 12 simulated credits" in result.stderr
    assert sandbox.jobs() == []
    assert reve("generate", "fox", "--count", "3", "--max-credits", "12").code == 0


def test_a_daily_cap_refuses_until_24_hours_have_passed(reve: Reve, sandbox: Sandbox) -> None:
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "8"
    assert reve("generate", "fox", "--count", "2").code == 0
    assert reve("generate", "fox").code == 4
    reve.clock.advance(DAY + 1)
    assert reve("generate", "fox").code == 0
    assert len(sandbox.jobs()) == 3


def test_failed_and_refused_jobs_do_not_count(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail*1,submit:400*1"))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve("generate", "fox").code == 2
    assert reve("generate", "fox").code == 5
    assert reve("generate", "fox").code == 0
    assert reve("generate", "fox").code == 4


def test_a_possible_charge_counts(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:drop-after"))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve("generate", "fox").code == 75
    assert reve("generate", "wolf").code == 4


def test_a_possible_charge_that_the_user_closed_still_counts(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("submit:drop-after"))
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    key = reve("generate", "fox", "--json").document["idempotencyKey"]
    assert reve("resume", "--abandon", key).code == 0
    assert reve("generate", "wolf").code == 4


def test_simulated_charges_do_not_count(reve: Reve, sandbox: Sandbox) -> None:
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve("generate", "fox", "--sandbox").code == 0
    assert reve("generate", "fox").code == 0


def test_continuing_a_run_does_not_count_its_images_again(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3"))
    command = ("generate", "fox", "--out", "f.png", "--max-credits", "4")
    reve.environ["REVE_MAX_CREDITS_PER_DAY"] = "4"
    assert reve(*command).code == 75
    assert reve(*command).code == 0
    assert len(sandbox.jobs()) == 1


@pytest.mark.parametrize("faults", ["models:500", "models:404", "models:list", "models:drop-before"])
def test_the_price_comes_from_the_first_source_that_knows_it(reve: Reve, simulate: Simulate, faults: str) -> None:
    sandbox = simulate(faults=parse_faults(faults))
    unknown = reve("generate", "fox", "--max-credits", "9", "--json")
    assert (unknown.code, unknown.document["error"]["code"]) == (4, "price_unknown")
    assert "credits_per_image" in unknown.stderr
    assert reve("generate", "fox", "--max-credits", "9", env={"REVE_CREDITS_PER_IMAGE": "10"}).code == 4
    assert sandbox.jobs() == []
    assert reve("generate", "fox").code == 0
    assert reve("generate", "fox", "--max-credits", "3").code == 4  # the journal has a charge of 4
    assert reve("generate", "fox", "--max-credits", "4").code == 0


@pytest.mark.parametrize("fault", ["models:500", "models:drop-before"])
def test_a_time_limit_that_passes_while_the_price_is_asked_for_exits_6(
    reve: Reve, simulate: Simulate, fault: str
) -> None:
    sandbox = simulate(faults=parse_faults(fault))

    class Requests(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            reve.clock.advance(31)

    sandbox.requests = Requests()
    result = reve("generate", "fox", "--max-credits", "9", "--timeout", "60", "--json")
    assert (result.code, result.document["error"]["code"]) == (6, "timed_out")
    assert "the time limit of 60 s passed while the price was asked for" in result.stderr
    assert {request.method for request in sandbox.requests} == {"GET"}


def test_an_api_that_does_not_answer_about_the_price_exits_6(reve: Reve, live: Sandbox) -> None:
    live.faults = parse_faults("models:hang-before")
    result = reve.limited("generate", "fox", "--max-credits", "9", "--json", until=lambda: live.requests)
    assert (result.code, result.document["error"]["code"]) == (6, "timed_out")
    assert live.jobs() == []


@pytest.mark.parametrize("value", ["-1", "much", "nan", "inf"])
def test_a_cap_must_be_a_number_from_0(reve: Reve, sandbox: Sandbox, value: str) -> None:
    assert reve("generate", "fox", env={"REVE_MAX_CREDITS_PER_DAY": value}).code == 2
    assert reve("generate", "fox", f"--max-credits={value}").code == 2
    assert sandbox.jobs() == []


def test_continuing_a_run_keeps_the_current_caps(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("image:cut*3,submit:401*1"))
    command = ("generate", "fox", "--count", "2", "--out", "f.png")
    assert reve(*command).code == 75
    sandbox.faults.clear()
    made = len(sandbox.jobs())
    for flags, env in (([], {"REVE_MAX_CREDITS_PER_DAY": "4"}), (["--max-credits", "3"], {})):
        refused = reve(*command, *flags, env=env)
        assert refused.code == 75  # because the other image is paid for
        assert "may cost" in refused.stderr
        assert refused.stderr.splitlines()[-1].startswith("reve resume ")
    assert len(sandbox.jobs()) == made
    assert reve(*command, env={"REVE_MAX_CREDITS_PER_DAY": "8"}).code == 0
    assert len(sandbox.jobs()) == 2


def test_an_image_made_again_counts_against_the_cap(reve: Reve, simulate: Simulate) -> None:
    sandbox = simulate(faults=parse_faults("outcome:fail*3,job:502,jobs:502"))
    command = ("generate", "fox", "--count", "3", "--out", "f.png", "--timeout", "60")
    assert reve(*command).code == 75
    sandbox.faults.clear()
    assert reve(*command, "--max-credits", "4").code == 4
    assert sandbox.charged == 4


def test_a_key_used_more_than_a_day_ago_counts_again(reve: Reve, sandbox: Sandbox) -> None:
    command = ("generate", "fox", "--once", "7", "--out", "f.png", "--force")
    assert reve(*command).code == 0
    reve.clock.advance(22 * HOUR)
    assert reve(*command, "--max-credits", "0").code == 0
    reve.clock.advance(3 * HOUR)
    assert reve(*command, "--max-credits", "0").code == 4
    assert len(sandbox.jobs()) == 1


def test_a_key_that_already_made_its_job_costs_nothing_more(reve: Reve, sandbox: Sandbox) -> None:
    for _ in range(3):
        command = ("generate", "fox", "--once", "7", "--out", "f.png", "--force", "--max-credits", "4")
        assert reve(*command, env={"REVE_MAX_CREDITS_PER_DAY": "4"}).code == 0
    assert len(sandbox.jobs()) == 1


def test_a_cap_refuses_for_a_day_after_the_journal_was_damaged(reve: Reve, sandbox: Sandbox, tmp_path: Path) -> None:
    reve.environ |= {"REVE_STATE_DIR": str(tmp_path / "state"), "REVE_MAX_CREDITS_PER_DAY": "8"}
    reve.clock.advance(time.time() - reve.clock.now())  # because files have real times
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
        ("", "4 simulated credits", 4),
        ("outcome:fail", "not charged", 0),
        ("submit:400", "nothing was charged", None),
        ("submit:503", "nothing was charged", None),
        ("submit:drop-after", "charge pending", None),
        ("job:502", "charge pending", None),
        ("image:cut", "charged 4 simulated credits", 4),
        ("outcome:expired", "charged 4 simulated credits", 4),
    ],
)
def test_every_result_states_the_charge(
    reve: Reve, simulate: Simulate, faults: str, words: str, cost: int | None
) -> None:
    simulate(faults=parse_faults(faults))
    result = reve("generate", "fox", "--out", "f.png", "--timeout", "60", "--json")
    assert words in result.stderr
    assert result.document["creditCost"] == cost


def test_the_total_charge_of_several_images_is_stated(reve: Reve, simulate: Simulate) -> None:
    simulate(faults=parse_faults("outcome:fail*1"))
    result = reve("generate", "fox", "--count", "3")
    assert "charged: 8 simulated credits\n" in result.stderr
    waiting = reve("generate", "wolf", "--count", "2", "--no-wait")
    assert "charged: 0 simulated credits, 2 pending\n" in waiting.stderr
    assert len(list(Path.cwd().iterdir())) == 2
