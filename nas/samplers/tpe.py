"""Tree-structured Parzen estimator, Optuna's own default."""

from optuna.samplers import BaseSampler, TPESampler

from nas.samplers import STARTUP_TRIALS


def make(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
