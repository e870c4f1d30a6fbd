"""LeNet-5: two convolutions and three fully connected layers, with ReLU (LeCun et al. 1998)."""

from dataclasses import dataclass

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.training import standard_training

SIDE = 32
"""Smaller images are padded by two pixels on every side, as those of MNIST were."""


@dataclass(frozen=True)
class LeNet5:
    """Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
    every map of the second convolution connected to all of the first: 61,706 parameters on MNIST."""

    padding: int

    def build(self, data: DataInfo) -> nn.Module:
        channels, height, width = data.shape
        height, width = (((side + 2 * self.padding - 4) // 2 - 4) // 2 for side in (height, width))
        return nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=self.padding),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * height * width, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, data.num_classes),
        )


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network.

    Raises:
        ValueError: the images are smaller than 12x12 pixels.
    """
    _, height, width = data.shape
    side = min(height, width)
    if side < 12:
        raise ValueError(f"lenet5 needs images of at least 12x12 pixels, not {height}x{width}.")
    return Proposal(LeNet5(padding=2 if side < SIDE else 0), standard_training(data))
