"""What every sampler and every pruner keeps to."""

from __future__ import annotations

import optuna
import pytest

from nas.study.samplers import make_pruner, make_sampler


class SamplerContract:
    """Give the `name` of a sampler: that of its file or entry point."""

    name: str

    @pytest.fixture(autouse=True)
    def silence(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def proposals(self, seed: int, trials_so_far: int, count: int = 14) -> list[dict[str, object]]:
        study = optuna.create_study(sampler=make_sampler(self.name, seed, trials_so_far))
        asked = []
        for number in range(count):
            trial = study.ask()
            x = trial.suggest_float("x", 0.0, 1.0)
            trial.suggest_categorical("kind", ["a", "b"])
            if number % 4 == 3:  # as a proposal that does not fit
                trial.set_constraint("memory", 1.0)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                trial.set_constraint("memory", -0.5)
                study.tell(trial, x)
            asked.append(trial.params)
        return asked

    def test_the_same_seed_proposes_the_same(self) -> None:
        assert self.proposals(1, 0) == self.proposals(1, 0)

    def test_another_seed_or_a_study_that_goes_on_proposes_other_things(self) -> None:
        first = self.proposals(1, 0)
        assert self.proposals(2, 0) != first
        assert self.proposals(1, 5) != first

    def test_proposals_lie_in_their_ranges(self) -> None:
        for params in self.proposals(0, 0):
            assert isinstance(params["x"], float)
            assert 0 <= params["x"] <= 1
            assert params["kind"] in ("a", "b")


class PrunerContract:
    """Give the `name` of a pruner: that of its file or entry point."""

    name: str
    epochs = 9

    def ended(self, curves: list[list[float]]) -> list[int | None]:
        """The epoch after which each trial was ended; None of one that was trained to its end."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=self.name, direction="maximize", pruner=make_pruner(self.name, self.epochs)
        )
        ends: list[int | None] = []
        for curve in curves:
            trial, end = study.ask(), None
            for step, accuracy in enumerate(curve, start=1):
                trial.report(accuracy, step)
                if end is None and step < self.epochs and trial.should_prune():
                    end = step
                    break
            state = optuna.trial.TrialState.PRUNED if end else None
            study.tell(trial, None if end else curve[-1], state=state)
            ends.append(end)
        return ends

    def test_the_best_so_far_is_trained_to_its_end(self) -> None:
        rising = [[0.3 + 0.02 * trial + 0.01 * step for step in range(self.epochs)] for trial in range(12)]
        assert self.ended(rising) == [None] * 12

    def test_decisions_are_the_same_each_time(self) -> None:
        curves = [[0.9 / (1 + trial % 5) for _ in range(self.epochs)] for trial in range(14)]
        assert self.ended(curves) == self.ended(curves)

    @pytest.mark.parametrize("epochs", [1, 2, 100])
    def test_it_is_made_for_any_number_of_epochs(self, epochs: int) -> None:
        assert isinstance(make_pruner(self.name, epochs), optuna.pruners.BasePruner)
