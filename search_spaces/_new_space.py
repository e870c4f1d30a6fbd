"""My search space: convolutions that halve the image, and one layer that reads their average."""

from dataclasses import dataclass

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.training import suggest_training

VERSION = 1  # raise it when stored parameters change their meaning


@dataclass(frozen=True)  # plain values that describe one network: it is stored, compared and shown
class MyNetwork:
    filters: tuple[int, ...]
    activation: str

    def build(self, data: DataInfo) -> nn.Module:  # any module: images in, one logit for each class out
        channels, _, _ = data.shape
        layers: list[nn.Module] = []
        for filters in self.filters:
            layers.append(nn.Conv2d(channels, filters, 3, stride=2, padding=1))
            layers.append(nn.ReLU() if self.activation == "relu" else nn.GELU())
            channels = filters
        average = nn.AdaptiveAvgPool2d(1)
        return nn.Sequential(*layers, average, nn.Flatten(), nn.Linear(channels, data.num_classes))


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    # ranges may depend on the data, but not on other parameters
    halvings = min(data.shape[1:]).bit_length() - 1
    convolutions = trial.suggest_int("convolutions", 1, max(1, min(4, halvings)))
    # so widths that never shrink are sampled as a first width and doublings
    filters = [2 ** trial.suggest_int("log2_filters", 3, 6)]
    for number in range(2, convolutions + 1):
        filters.append(filters[-1] << trial.suggest_int(f"doubling_{number}", 0, 1))
    # the cheapest choice comes first: a search starts with the smallest network
    activation = trial.suggest_categorical("activation", ["relu", "gelu"])
    return Proposal(MyNetwork(tuple(filters), activation), suggest_training(trial, data))
