"""A sample of the crash test; `python -m tests.support.crash` runs it in full."""

import os
import random

import pytest

from tests.support.crash import attempt, choose, choose_batch

SEED = random.SystemRandom().randrange(10**6)
"""Other points each time; the assertion names those that matter."""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("part", range(3))
def test_killed_anywhere_and_finished_either_way(part: int) -> None:
    wrong = {str(point): problems for point in choose(5, SEED + part) if (problems := attempt(point))}
    assert not wrong, f"seed {SEED + part}"


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_batch_killed_anywhere_and_finished_in_any_way() -> None:
    wrong = {str(point): problems for point in choose_batch(3, SEED, 12) if (problems := attempt(point))}
    assert not wrong, f"seed {SEED}"
