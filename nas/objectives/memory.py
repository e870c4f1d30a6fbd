"""What one training step was predicted to need, before it ran."""

from nas.objectives.base import Facts

TITLE = "memory predicted"
UNIT = "bytes"
MAXIMIZE = False


def of(trial: Facts) -> float | None:
    return trial.predicted_peak
