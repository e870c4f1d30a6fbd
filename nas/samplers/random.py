"""Random proposals, to compare with."""

from optuna.samplers import RandomSampler


def make(seed: int) -> RandomSampler:
    return RandomSampler(seed=seed)
