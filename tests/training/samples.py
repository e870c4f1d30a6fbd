"""A small network, what it trains with, and a network that keeps what it is shown."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nas.space import Training
from nas.training.epoch import Epoch
from nas.training.images import Images
from nas.training.loop import Trainer

WHOLE = 10**6
"""A batch size that makes one batch of the training split."""

SGD = Training(batch_size=64, optimizer="sgd", learning_rate=0.05, weight_decay=1e-3)


def network(dropout: float = 0.0, norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(256, 10),
    )


def run(
    images: Images,
    training: Training,
    *,
    model: nn.Module | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **options: Any,
) -> list[Epoch]:
    return list(trainer(images, training, model=model, **options).run(should_stop))


def trainer(images: Images, training: Training, *, model: nn.Module | None = None, **options: Any) -> Trainer:
    return Trainer(
        model or network(), images, training, **({"epochs": 2, "precision": "fp32", "seed": 5} | options)
    )


def learned(epochs: list[Epoch]) -> list[tuple[float, ...]]:
    """What must repeat: all but times and memory."""
    return [(epoch.train_loss, epoch.val_loss, epoch.val_accuracy, epoch.learning_rate) for epoch in epochs]


class Recorder(nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.trained: list[Tensor] = []
        self.evaluated: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        (self.trained if self.training else self.evaluated).append(images.clone())
        logits: Tensor = self.linear(images.flatten(1))
        return logits
