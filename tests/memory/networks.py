"""Small networks that between them hold every kind of layer that memory treats in its own way."""

from typing import cast

import torch
from torch import Tensor, nn

from nas.space import Optimizer, Training

SHAPE = (3, 16, 16)
CLASSES = 10


def settings(batch_size: int, optimizer: Optimizer = "sgd") -> Training:
    return Training(batch_size=batch_size, optimizer=optimizer, learning_rate=0.1, weight_decay=0.01)


def plain(width: int = 16) -> nn.Sequential:
    """Convolutions, in-place activations, pooling and fully connected layers; no batch norm."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.Hardswish(inplace=True),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 64),
        nn.ReLU(inplace=True),
        nn.Linear(64, CLASSES),
    )


def normalised(width: int = 16) -> nn.Sequential:
    """Batch norm and dropout, in Sequentials inside a Sequential."""

    def stage(before: int, after: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (before, after):
            layers += [
                nn.Conv2d(channels, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        return nn.Sequential(*layers, nn.MaxPool2d(2))

    return nn.Sequential(
        stage(3, width),
        stage(width, 2 * width),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, CLASSES),
    )


def deep(width: int = 64, depth: int = 6) -> nn.Sequential:
    """Convolutions with batch norm, all alike."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 1)]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


class Residual(nn.Module):
    """No Sequential itself: a stem and a body that are, and a sum around the body."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        features = torch.relu(features + self.body(features))
        return cast(Tensor, self.head(features.mean((2, 3))))


NETWORKS = {"plain": plain, "normalised": normalised, "residual": Residual}
