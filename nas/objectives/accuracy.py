"""The metric: the share of the validation images that are classified right."""

from nas.objectives.base import Facts
from nas.training.epoch import Epoch

TITLE = "validation accuracy"
UNIT = ""
MAXIMIZE = True


def after(epoch: Epoch) -> float:
    """In [0, 1]."""
    return epoch.val_accuracy


def of(trial: Facts) -> float | None:
    """After the last epoch so far."""
    return after(trial.epochs[-1]) if trial.epochs else None
