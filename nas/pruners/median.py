"""Below the median of the trials before it, at the same epoch."""

from optuna.pruners import BasePruner, MedianPruner

from nas.pruners import warmup


def make(epochs: int) -> BasePruner:
    return MedianPruner(n_startup_trials=5, n_warmup_steps=warmup(epochs), n_min_trials=3)
