"""Every proposal by chance."""

from optuna.samplers import BaseSampler, RandomSampler


def make(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)
