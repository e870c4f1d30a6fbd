"""What every sampler keeps to."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import TrialState

from nas.machine.plugins import SAMPLERS
from nas.samplers.base import STARTUP_TRIALS, make_sampler

LEARNED = 2 * STARTUP_TRIALS + 2
"""Trials after which a sampler has begun to learn, though half of them were not completed."""


class SamplerContract:
    """Give the `name` of a sampler: that of its file, or of its entry point."""

    name: str

    def test_it_is_found_by_its_name(self) -> None:
        assert self.name in SAMPLERS.names()

    def test_the_same_seed_proposes_the_same_and_another_seed_others(self) -> None:
        first, again, other = (_proposals(self.name, seed) for seed in (0, 0, 1))
        assert first == again
        assert first != other

    def test_a_run_that_goes_on_proposes_nothing_twice(self) -> None:
        proposed = _proposals(self.name, 0, resumed=True)
        values = [params["rate"] for params in proposed]
        assert len(set(values)) == len(values)

    def test_it_proposes_within_the_ranges(self) -> None:
        for params in _proposals(self.name, 2):
            assert 1e-4 <= params["rate"] <= 1
            assert params["width"] in range(1, 9)
            assert params["optimizer"] in ("sgd", "adamw")


def _proposals(name: str, seed: int, *, resumed: bool = False) -> list[dict[str, Any]]:
    """What it proposes, told of every kind of end that a trial has: completed, pruned, infeasible, failed.

    Args:
        resumed: by a new sampler every few trials, as if the search had been stopped.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(name, seed, 0))
    for number in range(LEARNED):
        if resumed and number % 4 == 0:
            study.sampler = make_sampler(name, seed, number)
        trial = study.ask()
        rate = trial.suggest_float("rate", 1e-4, 1, log=True)
        trial.suggest_int("width", 1, 8)
        trial.suggest_categorical("optimizer", ["sgd", "adamw"])
        trial.set_constraint("memory", 0.5 if number % 4 == 1 else -0.5)
        trial.report(rate, step=1)
        match number % 4:
            case 1 | 2:
                study.tell(trial, state=TrialState.PRUNED)
            case 3:
                study.tell(trial, state=TrialState.FAIL)
            case _:
                study.tell(trial, rate)
    return [trial.params for trial in study.get_trials(deepcopy=False)]
