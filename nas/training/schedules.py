"""Learning-rate schedules, step by step: factors of the peak rate as plain functions.

Each is that of the torch scheduler it names. A warm-up comes first; the schedule takes the steps left.
"""

import math
from collections.abc import Callable, Sequence

from nas.space import Training


def learning_rates(training: Training, steps: int, values: Sequence[float] = ()) -> Callable[[int], float]:
    """The learning rate of each step, 0 to `steps` - 1.

    Args:
        values: of the study's metric after the epochs so far. Only "plateau" looks at them.
    """
    schedule = _SCHEDULES[training.schedule]
    warmup = 0 if training.schedule == "onecycle" else int(training.warmup * steps)
    peak = training.learning_rate * (plateau(values) if training.schedule == "plateau" else 1)

    def rate(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)  # LinearLR(1 / (warmup + 1), 1, warmup)
        return peak * schedule(step - warmup, steps - warmup)

    return rate


def constant(step: int, steps: int) -> float:
    """ConstantLR(factor=1)."""
    return 1.0


def plateau(values: Sequence[float]) -> float:
    """ReduceLROnPlateau(mode="max", factor=0.2, patience=1): the factor after these epochs."""
    factor, best, bad = 1.0, -math.inf, 0
    for value in values:
        if value > best * (1 + 1e-4):
            best, bad = value, 0
        else:
            bad += 1
        if bad > 1:
            factor, bad = 0.2 * factor, 0
    return factor


def linear(step: int, steps: int) -> float:
    """LinearLR(start_factor=1, end_factor=0, total_iters=steps)."""
    return 1 - step / steps


def step(step: int, steps: int) -> float:
    """MultiStepLR(milestones=[steps // 2, 3 * steps // 4], gamma=0.1)."""
    return float(0.1 ** ((step >= steps // 2) + (step >= 3 * steps // 4)))


def cosine(step: int, steps: int) -> float:
    """CosineAnnealingLR(T_max=steps)."""
    return (1 + math.cos(math.pi * step / steps)) / 2


def restarts(step: int, steps: int) -> float:
    """CosineAnnealingWarmRestarts(T_0=ceil(steps / 3), T_mult=2): a third of the steps, then the rest."""
    first = math.ceil(steps / 3)
    return cosine(step, first) if step < first else cosine(step - first, 2 * first)


def onecycle(step: int, steps: int) -> float:
    """OneCycleLR(pct_start=0.3, div_factor=25, final_div_factor=1e4), without its cycle of the momentum."""
    initial, last = 1 / 25, 1 / 25 / 1e4
    top = 0.3 * steps - 1
    if step <= top:
        return _anneal(initial, 1.0, step / top)
    return _anneal(1.0, last, (step - top) / (steps - 1 - top))


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


_SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": constant,
    "plateau": constant,
    "linear": linear,
    "step": step,
    "cosine": cosine,
    "restarts": restarts,
    "onecycle": onecycle,
}
