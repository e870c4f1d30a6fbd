"""A pyramid of fully connected layers: none is wider than the one before."""

from itertools import pairwise

from optuna.trial import BaseTrial
from torch import nn

from search_spaces.shared.tenths import suggest_tenths

MIN_UNITS = 16
MANY_LAYERS = 3
MAX_DROPOUT_OF_MANY = 0.2
"""The most dropout after each of so many hidden layers: more of it costs them a sixth of their accuracy."""


def suggest_pyramid(trial: BaseTrial, max_layers: int, log2_units: tuple[int, int]) -> tuple[int, ...]:
    """Propose the widths of one to `max_layers` hidden layers, powers of two that never grow.

    Sampled as a first width and halvings, so that every combination is a pyramid; no width falls below 16.
    """
    layers = trial.suggest_int("fc_layers", 1, max_layers)
    units = [2 ** trial.suggest_int("log2_fc_units", *log2_units)]
    for layer in range(2, layers + 1):
        halving = trial.suggest_int(f"fc_halving_{layer}", 0, 1)
        units.append(max(MIN_UNITS, units[-1] >> halving))
    return tuple(units)


def suggest_dropout(trial: BaseTrial, layers: int) -> float:
    """Propose the dropout after each of so many hidden layers: 0 to 0.5, and less where they are many."""
    dropout = suggest_tenths(trial, "dropout", 0.5)
    return min(dropout, MAX_DROPOUT_OF_MANY) if layers >= MANY_LAYERS else dropout


def fully_connected(
    inputs: int, units: tuple[int, ...], outputs: int, *, batch_norm: bool, dropout: float
) -> dict[str, nn.Module]:
    """The named layers from `inputs` flat features through hidden layers of `units` to the logits."""
    layers: dict[str, nn.Module] = {}
    for number, (before, width) in enumerate(pairwise((inputs, *units)), start=1):
        layers[f"fc{number}"] = nn.Linear(before, width, bias=not batch_norm)
        if batch_norm:
            layers[f"fc{number}_norm"] = nn.BatchNorm1d(width)
        layers[f"fc{number}_relu"] = nn.ReLU(inplace=True)
        if dropout > 0:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
    layers["classifier"] = nn.Linear(units[-1], outputs)
    return layers
