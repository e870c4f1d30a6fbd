"""Ends a trial that does not lie in the best quarter at the same epoch."""

from optuna.pruners import PercentilePruner

from nas.pruners._optuna import OptunaPruner, warmup_steps
from nas.study.reader import StudyReader


def make(study: StudyReader) -> OptunaPruner:
    warmup = warmup_steps(study.recipe.epochs)
    pruner = PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=warmup, n_min_trials=3)
    return OptunaPruner(study, pruner)
