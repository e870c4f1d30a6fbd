"""A space whose networks are no `nn.Sequential`: two paths, a weight of their own, and functions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.space import Proposal
from search_spaces.shared.training import suggest_training


class TwoPaths(nn.Module):
    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(channels, width, 3, padding=1)
        self.coarse = nn.Conv2d(channels, width, 3, padding=2, dilation=2)
        self.balance = nn.Parameter(torch.zeros(width, 1, 1))
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        share = torch.sigmoid(self.balance)
        maps = torch.relu(share * self.fine(images) + (1 - share) * self.coarse(images))
        pooled = functional.adaptive_avg_pool2d(maps, 1), functional.adaptive_max_pool2d(maps, 1)
        return self.classifier(torch.cat(pooled, 1).flatten(1))


@dataclass(frozen=True)
class Architecture:
    width: int

    def build(self, data):
        return TwoPaths(data.shape[0], self.width, data.num_classes)


def suggest(trial, data):
    return Proposal(Architecture(2 ** trial.suggest_int("log2_width", 3, 5)), suggest_training(trial, data))
