"""Successive halving in brackets that begin at different rungs.

Numbers are explicit: Optuna's "auto" waits for a complete trial.
"""

from optuna.pruners import HyperbandPruner

from nas.pruners._optuna import OptunaPruner
from nas.study.reader import StudyReader


def make(study: StudyReader) -> OptunaPruner:
    epochs = study.recipe.epochs
    return OptunaPruner(study, HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3))
