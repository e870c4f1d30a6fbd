"""Convolutions, then fully connected layers: classic networks, from LeNet to VGG.

Convolutions come in stages, each of which halves the image and may double the filters. An optional 1x1
bottleneck narrows what the fully connected layers read.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal, cast

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.initialisation import INITIALISATIONS, Initialisation, initialise
from search_spaces.shared.likely import (
    COMMON,
    CONVOLUTIONS_OPTIMIZERS,
    start_training,
    suggest_likely_training,
    suggest_rarely,
)
from search_spaces.shared.pyramid import fully_connected, suggest_dropout, suggest_pyramid

VERSION = 3

Downsampling = Literal["stride", "avg_pool", "max_pool"]
DOWNSAMPLINGS: tuple[Downsampling, ...] = ("stride", "avg_pool", "max_pool")
MAX_STAGES = 6
MAX_FILTERS = 512
MAX_BARE_CONVS = 4
"""More convolutions than these always have batch norm: without it, they stay at chance too often."""


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
    stages = trial.suggest_int("conv_stages", *stages_for(data))
    convs_per_stage = trial.suggest_int("convs_per_stage", 1, 2)
    if suggest_rarely(trial, "one_conv_more"):
        convs_per_stage += 1
    filters = suggest_filters(trial, stages)
    batch_norm = stages * convs_per_stage > MAX_BARE_CONVS or not suggest_rarely(trial, "no_batch_norm")
    fc_units = suggest_pyramid(trial, max_layers=3, log2_units=(5, 9))
    architecture = CnnFc(
        filters=filters,
        convs_per_stage=convs_per_stage,
        kernel_size=trial.suggest_int("kernel_size", 3, 5, step=2),
        downsampling=cast(Downsampling, trial.suggest_categorical("downsampling", DOWNSAMPLINGS)),
        batch_norm=batch_norm,
        bottleneck=_suggest_bottleneck(trial, filters[-1]),
        fc_units=fc_units,
        dropout=suggest_dropout(trial, len(fc_units)),
        initialisation=cast(Initialisation, trial.suggest_categorical("initialisation", INITIALISATIONS)),
    )
    training = suggest_likely_training(trial, data, batch_norm=batch_norm, optimizers=CONVOLUTIONS_OPTIMIZERS)
    return Proposal(architecture, training)


def starts(data: DataInfo) -> list[dict[str, Any]]:
    """Known to do well, from tiny to large; measured in `tests/benchmarks/starts.py`."""
    return [
        _start(data, 3, 6, start_training(data, "sgd", 0.1, log2_batch_size=5)),
        _start(data, 4, 7, start_training(data, "adamw", 3e-3, log2_batch_size=5)),
        _start(data, 4, 7, start_training(data, "sgd", 0.1, log2_batch_size=6)),
        _start(data, 5, 7, start_training(data, "sgd", 0.1, log2_batch_size=5)),
        _start(data, 5, 7, start_training(data, "adamw", 3e-3, log2_batch_size=5)),
        _start(data, 5, 7, start_training(data, "muon", 5e-3, log2_batch_size=6)),
        _start(data, 5, 7, start_training(data, "adamw", 3e-3, log2_batch_size=5), convs_per_stage=2),
    ]


def _start(
    data: DataInfo, log2_filters: int, log2_fc_units: int, training: dict[str, Any], convs_per_stage: int = 1
) -> dict[str, Any]:
    """Stages until about 4x4 pixels are left, the last two of which double the filters; batch norm."""
    fewest, most = stages_for(data)
    stages = min(most, max(fewest, 2, (min(data.shape[1:]) - 1).bit_length() - 2))
    params = {
        "conv_stages": stages,
        "convs_per_stage": convs_per_stage,
        "one_conv_more": COMMON,
        "log2_filters": log2_filters,
        **{f"doubling_{stage}": int(stage > stages - 2) for stage in range(2, stages + 1)},
    }
    if stages * convs_per_stage <= MAX_BARE_CONVS:
        params["no_batch_norm"] = COMMON
    return params | {
        "fc_layers": 1,
        "log2_fc_units": log2_fc_units,
        "kernel_size": 3,
        "downsampling": "max_pool",
        "bottleneck": COMMON,
        "dropout": 0.0,
        "initialisation": "he",
        **training,
    }


def stages_for(data: DataInfo) -> tuple[int, int]:
    """The fewest and the most stages: they leave 2 to 15 pixels of the image's smaller side.

    More would leave no map to read; fewer would make the first fully connected layer outweigh all others.
    """
    _, height, width = data.shape
    halvings = min(height, width).bit_length() - 1
    if halvings < 2:
        raise ValueError(f"cnn_fc needs images of at least 4x4 pixels, not {height}x{width}.")
    return min(MAX_STAGES, max(1, halvings - 3)), min(MAX_STAGES, halvings - 1)


def suggest_filters(trial: BaseTrial, stages: int) -> tuple[int, ...]:
    """Powers of two that never shrink with depth: a first width, then doublings."""
    filters = [2 ** trial.suggest_int("log2_filters", 3, 6)]
    for stage in range(2, stages + 1):
        doubling = trial.suggest_int(f"doubling_{stage}", 0, 1)
        filters.append(min(MAX_FILTERS, filters[-1] << doubling))
    return tuple(filters)


def _suggest_bottleneck(trial: BaseTrial, filters: int) -> int | None:
    """A width below that of the last convolution, or mostly none."""
    if not suggest_rarely(trial, "bottleneck"):
        return None
    width: int = 2 ** trial.suggest_int("log2_bottleneck", 3, 6)
    return width if width < filters else None
