"""Every pruner that comes with us keeps to the contract, and Optuna's decide as Optuna would."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, PercentilePruner, SuccessiveHalvingPruner

from nas.machine.plugins import PRUNERS
from nas.pruners.base import resolve_pruner
from nas.testing import PrunerContract
from nas.testing.pruners import EPOCHS, decisions, new_study


def slow_but(*quick: str, of: Sequence[str]) -> list[Any]:
    """Names, of which a default run tests some."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in of]


@pytest.mark.parametrize("name", slow_but("standard_error", of=PRUNERS.shipped()), scope="class")
class TestOurs(PrunerContract):
    @pytest.fixture(autouse=True)
    def named(self, name):
        self.name = name


def as_optuna_decides(pruner, curves):
    """For each trial, the number of epochs after which Optuna ends it; all where it does not."""
    study, lengths = optuna.create_study(direction="maximize", pruner=pruner, study_name="study"), []
    for curve in curves:
        trial = study.ask()
        for step, accuracy in enumerate(curve, start=1):
            trial.report(accuracy, step=step)
            if step < EPOCHS and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, curve[-1])
        lengths.append(step)
    return lengths


OPTUNAS = {
    "median": lambda: MedianPruner(n_startup_trials=5, n_warmup_steps=2, n_min_trials=3),
    "percentile": lambda: PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=2, n_min_trials=3),
    "halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    "hyperband": lambda: HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
    "none": NopPruner,
}


@pytest.mark.parametrize("name", slow_but("hyperband", of=sorted(OPTUNAS)))
def test_a_pruner_of_optuna_ends_the_trials_that_it_ends_there(tmp_path, name):
    curves, pruner = np.random.default_rng(1).uniform(0.1, 0.9, (12, EPOCHS)).tolist(), OPTUNAS[name]()
    study = new_study(name, tmp_path)
    said = decisions(study, curves)
    lengths = as_optuna_decides(pruner, curves)
    assert [len(record.epochs) for record in study.trials()] == lengths
    ended = {number: length for number, length in enumerate(lengths) if length < EPOCHS}
    assert bool(ended) is (name != "none"), "nothing is compared"
    for number, length in ended.items():
        assert said[number][-1] == f"{curves[number][length - 1]:.4f} after epoch {length}"


@pytest.mark.parametrize(
    ("asked", "means"), [("auto", "standard_error"), ("none", "none"), ("theirs", "theirs")]
)
def test_auto_means_the_rule_that_lost_least(asked, means):
    assert resolve_pruner(asked) == means
