"""Gaussian process: for few parameters, and trials that take long."""

from optuna.samplers import BaseSampler, GPSampler

from nas.samplers import STARTUP_TRIALS


def make(seed: int) -> BaseSampler:
    return GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
