"""A Gaussian process: fewer trials, more seconds for each."""

from optuna.samplers import GPSampler

from nas.samplers.base import STARTUP_TRIALS


def make(seed: int) -> GPSampler:
    return GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
