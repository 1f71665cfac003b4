"""Kill reve at some points of its life and finish what it left; `python -m tests.support.crash` tries hundreds."""

import os
import random

import pytest

from tests.support.crash import attempt, choose, choose_batch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
SEED = 4711
"""Chooses the points of the fixed sample. In full there are more points, others each time; an assertion names them."""


@pytest.mark.parametrize("part", range(3))
def test_killed_anywhere_and_finished_either_way(part: int, full: bool) -> None:
    seed = random.SystemRandom().randrange(10**6) if full else SEED + part
    chosen = choose(5, seed)
    tried = chosen if full else chosen[part::3]
    wrong = {str(point): problems for point in tried if (problems := attempt(point))}
    assert not wrong, f"seed {seed}"


@pytest.mark.parametrize("part", range(3))
def test_a_batch_killed_anywhere_and_finished_in_any_way(part: int, full: bool) -> None:
    seed = random.SystemRandom().randrange(10**6) if full else SEED
    chosen = choose_batch(3, seed, 12)[part::3]
    tried = chosen if full else chosen[:2]
    wrong = {str(point): problems for point in tried if (problems := attempt(point))}
    assert not wrong, f"seed {seed}"
