"""Not among the best quarter of the trials before it, at the same epoch."""

from optuna.pruners import BasePruner, PercentilePruner

from nas.pruners import warmup


def make(epochs: int) -> BasePruner:
    return PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=warmup(epochs), n_min_trials=3)
