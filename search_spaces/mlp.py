"""Fully connected layers alone, narrowing towards the classes: the baseline of every other space."""

from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from typing import Any, cast

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.initialisation import INITIALISATIONS, Initialisation, initialise
from search_spaces.shared.likely import start_training
from search_spaces.shared.pyramid import fully_connected, suggest_pyramid
from search_spaces.shared.tenths import suggest_tenths
from search_spaces.shared.training import suggest_training

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Mlp:
    """A multilayer perceptron on the flattened image."""

    fc_units: tuple[int, ...]
    batch_norm: bool
    dropout: float
    initialisation: Initialisation

    def build(self, data: DataInfo) -> nn.Module:
        layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
        layers |= fully_connected(
            prod(data.shape),
            self.fc_units,
            data.num_classes,
            batch_norm=self.batch_norm,
            dropout=self.dropout,
        )
        model = nn.Sequential(OrderedDict(layers))
        initialise(model, self.initialisation)
        return model


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """Propose a network; any image size will do."""
    architecture = Mlp(
        fc_units=suggest_pyramid(trial, max_layers=4, log2_units=(6, 10)),
        batch_norm=trial.suggest_categorical("batch_norm", [False, True]),
        dropout=suggest_tenths(trial, "dropout", 0.5),
        initialisation=cast(Initialisation, trial.suggest_categorical("initialisation", INITIALISATIONS)),
    )
    return Proposal(architecture, suggest_training(trial, data))


def starts(data: DataInfo) -> list[dict[str, Any]]:
    """Known to do well, from small to large; measured in `tests/benchmarks/starts.py`."""
    sgd = start_training(data, "sgd", 0.05, log2_batch_size=5)
    adamw = start_training(data, "adamw", 2e-3, log2_batch_size=5)
    network = {"batch_norm": True, "initialisation": "he"}
    sgd["augmentation"] = adamw["augmentation"] = "none"  # nothing here sees that an image has moved
    narrow = network | {"fc_layers": 1, "log2_fc_units": 7, "dropout": 0.0}
    wide = network | {"fc_layers": 2, "log2_fc_units": 9, "fc_halving_2": 1, "dropout": 0.2}
    return [narrow | sgd, narrow | adamw, wide | sgd, wide | adamw]
