"""Kill reve at some points of its life and finish what it left; `python -m tests.support.crash` tries hundreds."""

import os
import random

import pytest

from tests.support.crash import attempt, choose, choose_batch
from tests.support.hooks import attempt as listen_to

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


@pytest.mark.parametrize(
    ("fault", "kills"), [("", 0), ("", 2), ("twice", 0), ("early", 0), ("drop", 0), ("reorder", 0)]
)
def test_jobs_handed_over_to_a_listener_are_saved_once(fault: str, kills: int, full: bool) -> None:
    if fault and not full:
        pytest.skip("with --full only")
    seed = random.SystemRandom().randrange(10**6) if full else SEED
    found = listen_to(20, fault, kills * 8, seed) if full else listen_to(2, fault, kills, seed)
    assert not found.wrong, f"seed {seed}"
    if not fault and not kills:
        assert found.requests <= 1.05
