"""Convolutions, then fully connected layers: classic networks, from LeNet to VGG.

Convolutions come in stages, each of which halves the image and may double the filters. An optional 1x1
bottleneck narrows what the fully connected layers read.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, cast

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.initialisation import INITIALISATIONS, Initialisation, initialise
from search_spaces.shared.pyramid import fully_connected, suggest_pyramid
from search_spaces.shared.tenths import suggest_tenths
from search_spaces.shared.training import suggest_training

VERSION = 1

Downsampling = Literal["stride", "avg_pool", "max_pool"]
DOWNSAMPLINGS: tuple[Downsampling, ...] = ("stride", "avg_pool", "max_pool")
MAX_STAGES = 6
MAX_FILTERS = 512


@dataclass(frozen=True, kw_only=True)
class CnnFc:
    """A plain convolutional network with fully connected layers on top."""

    filters: tuple[int, ...]
    """One width per stage."""
    convs_per_stage: int
    kernel_size: int
    downsampling: Downsampling
    """How a stage halves the image: its last convolution has stride 2, or a pooling layer follows."""
    batch_norm: bool
    bottleneck: int | None
    """Width of the 1x1 convolution before the fully connected layers."""
    fc_units: tuple[int, ...]
    dropout: float
    initialisation: Initialisation

    def build(self, data: DataInfo) -> nn.Module:
        channels, height, width = data.shape
        layers: dict[str, nn.Module] = {}
        conv = 0
        for stage, filters in enumerate(self.filters, start=1):
            for place in range(1, self.convs_per_stage + 1):
                conv += 1
                strided = self.downsampling == "stride" and place == self.convs_per_stage
                layers[f"conv{conv}"] = nn.Conv2d(
                    channels,
                    filters,
                    self.kernel_size,
                    stride=2 if strided else 1,
                    padding=self.kernel_size // 2,
                    bias=not self.batch_norm,
                )
                if self.batch_norm:
                    layers[f"norm{conv}"] = nn.BatchNorm2d(filters)
                layers[f"relu{conv}"] = nn.ReLU(inplace=True)
                channels = filters
            # 3x3 windows, so that pooling an odd side rounds up, as a stride does
            if self.downsampling == "avg_pool":
                layers[f"pool{stage}"] = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
            elif self.downsampling == "max_pool":
                layers[f"pool{stage}"] = nn.MaxPool2d(3, stride=2, padding=1)
            height, width = (height + 1) // 2, (width + 1) // 2
        if self.bottleneck is not None:
            layers["bottleneck"] = nn.Conv2d(channels, self.bottleneck, 1, bias=not self.batch_norm)
            if self.batch_norm:
                layers["bottleneck_norm"] = nn.BatchNorm2d(self.bottleneck)
            layers["bottleneck_relu"] = nn.ReLU(inplace=True)
            channels = self.bottleneck
        layers["flatten"] = nn.Flatten()
        layers |= fully_connected(
            channels * height * width,
            self.fc_units,
            data.num_classes,
            batch_norm=self.batch_norm,
            dropout=self.dropout,
        )
        model = nn.Sequential(OrderedDict(layers))
        initialise(model, self.initialisation)
        return model


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """Propose a network.

    Raises:
        ValueError: the images are smaller than 4x4 pixels.
    """
    stages = trial.suggest_int("conv_stages", *_stages(data))
    convs_per_stage = trial.suggest_int("convs_per_stage", 1, 3)
    filters = _suggest_filters(trial, stages)
    architecture = CnnFc(
        filters=filters,
        convs_per_stage=convs_per_stage,
        kernel_size=trial.suggest_int("kernel_size", 3, 5, step=2),
        downsampling=cast(Downsampling, trial.suggest_categorical("downsampling", DOWNSAMPLINGS)),
        batch_norm=trial.suggest_categorical("batch_norm", [False, True]),
        bottleneck=_suggest_bottleneck(trial, filters[-1]),
        fc_units=suggest_pyramid(trial, max_layers=3, log2_units=(5, 9)),
        dropout=suggest_tenths(trial, "dropout", 0.5),
        initialisation=cast(Initialisation, trial.suggest_categorical("initialisation", INITIALISATIONS)),
    )
    return Proposal(architecture, suggest_training(trial, data))


def _stages(data: DataInfo) -> tuple[int, int]:
    """The fewest and the most stages: they leave 2 to 15 pixels of the image's smaller side.

    More would leave no map to read; fewer would make the first fully connected layer outweigh all others.
    """
    _, height, width = data.shape
    halvings = min(height, width).bit_length() - 1
    if halvings < 2:
        raise ValueError(f"cnn_fc needs images of at least 4x4 pixels, not {height}x{width}.")
    return min(MAX_STAGES, max(1, halvings - 3)), min(MAX_STAGES, halvings - 1)


def _suggest_filters(trial: BaseTrial, stages: int) -> tuple[int, ...]:
    """Powers of two that never shrink with depth: a first width, then doublings."""
    filters = [2 ** trial.suggest_int("log2_filters", 3, 6)]
    for stage in range(2, stages + 1):
        doubling = trial.suggest_int(f"doubling_{stage}", 0, 1)
        filters.append(min(MAX_FILTERS, filters[-1] << doubling))
    return tuple(filters)


def _suggest_bottleneck(trial: BaseTrial, filters: int) -> int | None:
    """A width below that of the last convolution, or none."""
    if not trial.suggest_categorical("bottleneck", [False, True]):
        return None
    width: int = 2 ** trial.suggest_int("log2_bottleneck", 3, 6)
    return width if width < filters else None
