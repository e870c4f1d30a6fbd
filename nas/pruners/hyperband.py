"""Halving with several lengths of the first rung."""

from optuna.pruners import BasePruner, HyperbandPruner


def make(epochs: int) -> BasePruner:
    return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
