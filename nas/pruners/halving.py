"""Successive halving: after a ninth, and after a third, the best third goes on."""

from optuna.pruners import BasePruner, SuccessiveHalvingPruner


def make(epochs: int) -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=max(1, epochs // 9), reduction_factor=3)
