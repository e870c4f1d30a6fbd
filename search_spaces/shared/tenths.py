"""Multiples of 0.1."""

from optuna.trial import BaseTrial


def suggest_tenths(trial: BaseTrial, name: str, high: float) -> float:
    """Propose 0.0, 0.1, ... up to `high`."""
    # a sampler may answer 3 * 0.1, which is not 0.3, and equal proposals need equal numbers
    return round(trial.suggest_float(name, 0.0, high, step=0.1), 1)
