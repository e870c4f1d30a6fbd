"""The script that people write by hand with Optuna: what `tests.benchmarks.anytime` compares us with.

TPE and median pruner by Optuna's defaults, images in memory, one to three convolutions with batch norm, one
or two fully connected layers; optimizer, rate and batch size are searched, epochs are fixed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import torch
from torch import nn
from torch.nn import functional

Params = Mapping[str, Any]
Pixels = tuple[torch.Tensor, torch.Tensor]
"""Images of shape (n, channels, height, width) in [0, 1], and their labels."""


def build(trial: optuna.trial.BaseTrial, classes: int, size: int, channels: int) -> nn.Module:
    layers = list[nn.Module]()
    for number in range(trial.suggest_int("convolutions", 1, 3)):
        filters = trial.suggest_int(f"filters_{number}", 16, 128, log=True)
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels, size = filters, size // 2
    layers += [nn.Flatten()]
    width = channels * size * size
    for number in range(trial.suggest_int("fc_layers", 1, 2)):
        units = trial.suggest_int(f"units_{number}", 32, 512, log=True)
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(trial.suggest_float("dropout", 0.0, 0.5))]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))


def accuracy(model: nn.Module, images: Pixels) -> float:
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in images[0].split(1000)])
    return float((found == images[1]).float().mean())


def train(
    trial: optuna.trial.BaseTrial,
    data: Pixels,
    judged: Pixels,
    epochs: int,
    report: Callable[[int, float], None],
) -> float:
    images, labels = data
    model = build(trial, int(labels.max()) + 1, images.shape[-1], images.shape[1])
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    name = trial.suggest_categorical("optimizer", ["Adam", "SGD", "AdamW"])
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=learning_rate, **momentum)
    batch_size = trial.suggest_categorical("batch_size", [32, 64, 128])
    value = 0.0
    for epoch in range(1, epochs + 1):
        model.train()
        for batch in torch.randperm(len(labels)).split(batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        value = accuracy(model, judged)
        report(epoch, value)
    return value


def search(
    data: Pixels, validation: Pixels, epochs: int, seed: int, completed: Callable[[float, Params], None]
) -> None:
    """Search without end. `completed`: told the value and the parameters of each trial that ends."""

    def objective(trial: optuna.Trial) -> float:
        def report(epoch: int, value: float) -> None:
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        value = train(trial, data, validation, epochs, report)
        completed(value, trial.params)
        return value

    torch.manual_seed(seed)
    np.random.seed(seed)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    study.optimize(objective)
