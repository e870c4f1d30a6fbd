"""Successive halving: at each rung of epochs, the best third goes on.

Numbers are explicit: Optuna's "auto" waits for a complete trial.
"""

from optuna.pruners import SuccessiveHalvingPruner

from nas.pruners._optuna import OptunaPruner
from nas.study.reader import StudyReader


def make(study: StudyReader) -> OptunaPruner:
    epochs = study.recipe.epochs
    return OptunaPruner(study, SuccessiveHalvingPruner(min_resource=max(1, epochs // 9), reduction_factor=3))
