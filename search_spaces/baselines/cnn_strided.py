"""Four 3x3 convolutions without padding, every second one strided: 8-24-32-48 filters, then FC 200."""

from dataclasses import dataclass

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.training import standard_training

STRIDES = (1, 2, 1, 2)


@dataclass(frozen=True)
class StridedCnn:
    """Strides in the place of pooling, and images that shrink at their borders."""

    filters: tuple[int, ...]
    fc_units: int

    def build(self, data: DataInfo) -> nn.Module:
        channels, height, width = data.shape
        layers: list[nn.Module] = []
        for filters, stride in zip(self.filters, STRIDES, strict=True):
            layers += [nn.Conv2d(channels, filters, 3, stride=stride), nn.ReLU()]
            channels = filters
            height, width = (height - 3) // stride + 1, (width - 3) // stride + 1
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * height * width, self.fc_units),
            nn.ReLU(),
            nn.Linear(self.fc_units, data.num_classes),
        )


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """The network.

    Raises:
        ValueError: the images are smaller than 13x13 pixels.
    """
    _, height, width = data.shape
    if min(height, width) < 13:
        raise ValueError(f"cnn_strided needs images of at least 13x13 pixels, not {height}x{width}.")
    return Proposal(StridedCnn(filters=(8, 24, 32, 48), fc_units=200), standard_training(data))
