"""Multiplications with an addition that one image takes."""

from nas.objectives.base import Facts

TITLE = "multiply-adds"
UNIT = ""
MAXIMIZE = False


def of(trial: Facts) -> float | None:
    return trial.multiply_adds
