"""Ends a trial that lies below the median of the others at the same epoch."""

from optuna.pruners import MedianPruner

from nas.pruners._optuna import OptunaPruner, warmup_steps
from nas.study.reader import StudyReader


def make(study: StudyReader) -> OptunaPruner:
    warmup = warmup_steps(study.recipe.epochs)
    return OptunaPruner(study, MedianPruner(n_startup_trials=5, n_warmup_steps=warmup, n_min_trials=3))
