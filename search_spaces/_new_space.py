"""My search space: convolutions that halve the image, and one layer that reads their average."""

from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.likely import start_training, suggest_likely_training

VERSION = 1  # raise it when stored parameters change their meaning


@dataclass(frozen=True)  # plain values that describe one network: it is stored, compared and shown
class MyNetwork:
    filters: tuple[int, ...]
    activation: str

    def build(self, data: DataInfo) -> nn.Module:  # any module: images in, one logit for each class out
        channels, _, _ = data.shape
        layers: list[nn.Module] = []
        for filters in self.filters:
            layers.append(nn.Conv2d(channels, filters, 3, stride=2, padding=1, bias=False))
            layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.ReLU() if self.activation == "relu" else nn.GELU())
            channels = filters
        average = nn.AdaptiveAvgPool2d(1)
        return nn.Sequential(*layers, average, nn.Flatten(), nn.Linear(channels, data.num_classes))


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    # ranges may depend on the data, but not on other parameters
    convolutions = trial.suggest_int("convolutions", 1, most(data))
    # so widths that never shrink are sampled as a first width and doublings
    filters = [2 ** trial.suggest_int("log2_filters", 3, 6)]
    for number in range(2, convolutions + 1):
        filters.append(filters[-1] << trial.suggest_int(f"doubling_{number}", 0, 1))
    # the cheapest choice comes first: where nothing else fits the memory, the lowest of everything is tried
    activation = trial.suggest_categorical("activation", ["relu", "gelu"])
    return Proposal(MyNetwork(tuple(filters), activation), suggest_likely_training(trial, data))


def starts(data: DataInfo) -> list[dict[str, Any]]:
    # what a search trains first, cheapest first: all that `suggest` asks for; leave this out if you know none
    def start(log2_filters: int, optimizer: Literal["sgd", "adamw"], learning_rate: float) -> dict[str, Any]:
        doublings = {f"doubling_{number}": 1 for number in range(2, most(data) + 1)}
        training = start_training(data, optimizer, learning_rate, log2_batch_size=5)
        network = {"convolutions": most(data), "log2_filters": log2_filters, "activation": "relu"}
        return network | doublings | training

    return [start(4, "sgd", 0.1), start(5, "adamw", 0.003)]


def most(data: DataInfo) -> int:  # convolutions: each halves the image
    return max(1, min(4, min(data.shape[1:]).bit_length() - 1))
