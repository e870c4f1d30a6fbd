"""The tree-structured Parzen estimator: cheap, and good from a dozen trials on."""

from optuna.samplers import TPESampler

from nas.samplers.base import STARTUP_TRIALS


def make(seed: int) -> TPESampler:
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
