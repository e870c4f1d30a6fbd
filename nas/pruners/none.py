"""Every trial is trained to its end."""

from optuna.pruners import BasePruner, NopPruner


def make(epochs: int) -> BasePruner:
    return NopPruner()
