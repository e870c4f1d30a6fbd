"""How many numbers a network learns."""

from nas.objectives.base import Facts

TITLE = "parameters"
UNIT = ""
MAXIMIZE = False


def of(trial: Facts) -> float | None:
    return trial.num_parameters
