"""Residual networks: from the small ones of CIFAR-10 to bottlenecks with squeeze-excitation.

A stem, then stages of blocks with a shortcut around each; every stage after the first works on maps of half
the size. The head averages the maps or reads them by a pyramid of fully connected layers.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal, cast

from optuna.trial import BaseTrial
from torch import nn

from nas.space import DataInfo, Proposal
from search_spaces.shared.blocks import BLOCK_KINDS, BlockKind, convolution, residual_block
from search_spaces.shared.initialisation import ALL_INITIALISATIONS, Initialisation, initialise
from search_spaces.shared.likely import (
    COMMON,
    start_training,
    suggest_likely_wide_training,
    suggest_rarely,
)
from search_spaces.shared.pyramid import fully_connected, suggest_dropout, suggest_pyramid

VERSION = 2

Downsampling = Literal["avg_pool", "max_pool", "stride"]
DOWNSAMPLINGS: tuple[Downsampling, ...] = ("avg_pool", "max_pool", "stride")

MAX_STAGES = 4
MAX_SIDE = 56
"""The stem halves an image until its smaller side has no more pixels, as that of the first ResNet."""


@dataclass(frozen=True, kw_only=True)
class ResidualNetwork:
    """A residual network with batch norm throughout."""

    stem_kernel: int
    stem_halvings: int
    """The first by the stride of the stem's convolution, the others by max pooling."""
    widths: tuple[int, ...]
    """Channels, one number per stage; the stem has as many as the first stage."""
    blocks_per_stage: int
    block: BlockKind
    reduction: int | None
    """How many times narrower a bottleneck is than its stage; None for plain blocks."""
    separable: bool
    """Whether 3x3 convolutions are depthwise."""
    squeeze_excitation: bool
    downsampling: Downsampling | None
    """What halves the maps between stages: the first block of the next one, or a pooling layer before it;
    None for a single stage."""
    fc_units: tuple[int, ...]
    """Without any, the maps are averaged; otherwise the hidden layers read all of them."""
    dropout: float
    """After every hidden layer; without any, before the classifier."""
    initialisation: Initialisation

    def build(self, data: DataInfo) -> nn.Module:
        channels, height, width = data.shape
        layers: dict[str, nn.Module] = {}
        stride = 2 if self.stem_halvings else 1
        layers |= convolution("stem", channels, self.widths[0], self.stem_kernel, stride)
        for halving in range(2, self.stem_halvings + 1):
            layers[f"stem_pool{halving}"] = nn.MaxPool2d(3, stride=2, padding=1)
        channels = self.widths[0]
        for stage, width_of_stage in enumerate(self.widths, start=1):
            for number in range(1, self.blocks_per_stage + 1):
                halved = stage > 1 and number == 1
                if halved and self.downsampling != "stride":
                    layers[f"pool{stage - 1}"] = _pooling(self.downsampling)
                layers[f"stage{stage}_block{number}"] = residual_block(
                    self.block,
                    channels,
                    width_of_stage,
                    stride=2 if halved and self.downsampling == "stride" else 1,
                    reduction=self.reduction or 1,
                    separable=self.separable,
                    squeeze_excitation=self.squeeze_excitation,
                )
                channels = width_of_stage
        for _ in range(self.stem_halvings + len(self.widths) - 1):
            height, width = (height + 1) // 2, (width + 1) // 2
        layers |= self._head(channels, height * width, data.num_classes)
        model = nn.Sequential(OrderedDict(layers))
        initialise(model, self.initialisation)
        return model

    def _head(self, channels: int, pixels: int, classes: int) -> dict[str, nn.Module]:
        if self.fc_units:
            flat = channels * pixels
            head = fully_connected(flat, self.fc_units, classes, batch_norm=True, dropout=self.dropout)
            return {"flatten": nn.Flatten(), **head}
        head = {"average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        if self.dropout > 0:
            head["dropout"] = nn.Dropout(self.dropout)
        return head | {"classifier": nn.Linear(channels, classes)}


def suggest(trial: BaseTrial, data: DataInfo) -> Proposal:
    """Propose a network.

    Raises:
        ValueError: the images are smaller than 4x4 pixels.
    """
    stages = trial.suggest_int("stages", *stages_for(data))
    blocks_per_stage = trial.suggest_int("blocks_per_stage", 1, 2)
    if suggest_rarely(trial, "two_blocks_more"):
        blocks_per_stage += 2
    widths = [2 ** trial.suggest_int("log2_width", 4, 6)]
    for stage in range(2, stages + 1):
        widths.append(widths[-1] << trial.suggest_int(f"doubling_{stage}", 0, 1))
    block = cast(BlockKind, trial.suggest_categorical("block", BLOCK_KINDS))
    reduction = trial.suggest_categorical("reduction", [4, 2]) if block == "bottleneck" else None
    separable = trial.suggest_categorical("separable", [True, False])
    squeeze_excitation = trial.suggest_categorical("squeeze_excitation", [False, True])
    downsampling = trial.suggest_categorical("downsampling", DOWNSAMPLINGS) if stages > 1 else None
    pyramid = trial.suggest_categorical("head", ["average", "pyramid"]) == "pyramid"
    fc_units = suggest_pyramid(trial, max_layers=3, log2_units=(5, 9)) if pyramid else ()
    architecture = ResidualNetwork(
        stem_kernel=trial.suggest_int("stem_kernel", 3, 7, step=2),
        stem_halvings=stem_halvings(data),
        widths=tuple(widths),
        blocks_per_stage=blocks_per_stage,
        block=block,
        reduction=reduction,
        separable=separable,
        squeeze_excitation=squeeze_excitation,
        downsampling=cast(Downsampling | None, downsampling),
        fc_units=fc_units,
        dropout=suggest_dropout(trial, len(fc_units)),
        initialisation=cast(Initialisation, trial.suggest_categorical("initialisation", ALL_INITIALISATIONS)),
    )
    return Proposal(architecture, suggest_likely_wide_training(trial, data))


def starts(data: DataInfo) -> list[dict[str, Any]]:
    """Known to do well, from tiny to large; measured in `tests/benchmarks/starts.py`."""
    muon = start_training(data, "muon", 5e-3, log2_batch_size=5, wide=True)
    sgd = start_training(data, "sgd", 0.1, log2_batch_size=5, wide=True)
    adamw = start_training(data, "adamw", 3e-3, log2_batch_size=5, wide=True)
    return [
        _start(data, 4, sgd, doublings=1),
        _start(data, 4, muon),
        _start(data, 4, sgd, log2_fc_units=6),
        _start(data, 4, adamw, log2_fc_units=7),
        _start(data, 5, sgd, log2_fc_units=7),
    ]


def _start(
    data: DataInfo,
    log2_width: int,
    training: dict[str, Any],
    *,
    doublings: int = 2,
    log2_fc_units: int | None = None,
) -> dict[str, Any]:
    """Three stages of one plain block where the image has room for them; the last ones double the width."""
    fewest, most = stages_for(data)
    stages = min(most, max(fewest, 3))
    head: dict[str, Any] = {"head": "average"}
    if log2_fc_units is not None:
        head = {"head": "pyramid", "fc_layers": 1, "log2_fc_units": log2_fc_units}
    return {
        "stages": stages,
        "blocks_per_stage": 1,
        "two_blocks_more": COMMON,
        "log2_width": log2_width,
        **{f"doubling_{stage}": int(stage > stages - doublings) for stage in range(2, stages + 1)},
        "block": "plain",
        "separable": False,
        "squeeze_excitation": False,
        **({"downsampling": "max_pool"} if stages > 1 else {}),
        **head,
        "stem_kernel": 3,
        "dropout": 0.0,
        "initialisation": "he",
        **training,
    }


def stem_halvings(data: DataInfo) -> int:
    """How often the stem halves an image."""
    side = min(data.shape[1:])
    halvings = 0
    while side > MAX_SIDE:
        side, halvings = (side + 1) // 2, halvings + 1
    return halvings


def stages_for(data: DataInfo) -> tuple[int, int]:
    """The fewest and the most stages: they leave 2 to 16 pixels of the image's smaller side.

    More would leave no map; fewer would make the first fully connected layer outweigh all others.
    """
    _, height, width = data.shape
    halvings = (min(height, width) >> stem_halvings(data)).bit_length() - 1
    if halvings < 2:
        raise ValueError(f"residual needs images of at least 4x4 pixels, not {height}x{width}.")
    return max(1, halvings - 2), min(MAX_STAGES, halvings)


def _pooling(kind: Downsampling | None) -> nn.Module:
    """3x3 windows, so that an odd side rounds up, as with a stride."""
    if kind == "max_pool":
        return nn.MaxPool2d(3, stride=2, padding=1)
    return nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
