"""A few random kills over one study on each database; `python -m tests.chaos` makes the long run."""

import pytest

import nas
from tests.chaos.aftermath import check, check_curves
from tests.chaos.killing import kill_again_and_again

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("real_start")]

KILLS, TRIALS = 4, 6


def test_a_search_that_is_killed_at_random_moments_loses_nothing_and_counts_nothing_twice(
    database_url, tmp_path
):
    toll = kill_again_and_again(database_url, tmp_path, KILLS, seed=1, trials=TRIALS)
    study = nas.load_study("chaos", storage=database_url, folder=tmp_path)
    check(study, toll)
    check_curves(study, tmp_path / "undisturbed", most=2)
