"""What an export is made of: a trained network and what is known of it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nas.errors import NasError
from nas.machine.plugins import METRICS
from nas.metrics.base import ACCURACY

if TYPE_CHECKING:
    from torch import nn

    from nas.datasets import ImageData
    from nas.network.layers import LayerTable


@dataclass(frozen=True)
class Score:
    """A value, and on what it was measured."""

    value: float
    """In [0, 1], of the metric of the study that the network comes from."""
    split: str
    """Name of the split, such as "test"."""
    interval: tuple[float, float] | None = None
    """Bounds within which the value lies, at 95 %."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The trial that a network comes from."""

    study: str
    trial: int
    space: str
    """The name of the search space; of a space that is a file, the file's stem."""
    space_version: int
    params: Mapping[str, Any]
    """What Optuna suggested; with the space's name and version they rebuild the proposal."""
    value: float
    """What it reached on validation images in the search, in [0, 1]."""
    metric: str = ACCURACY
    """What values are: "accuracy", "balanced_accuracy" …"""
    peak_memory: int = 0
    """Bytes that its training took, as measured; 0 where that is not known."""
    retrained: Score | None = None
    """Value of the network that is exported, where it was trained anew after the search."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A network with its weights, what goes in and what comes out."""

    model: nn.Module
    """Normalised float images (batch, channels, height, width) in, logits (batch, classes) out."""
    input_shape: tuple[int, int, int]
    """(channels, height, width); one channel for grey images, three for RGB, any number for native ones."""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Mean of each channel, of images scaled to [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel, of images scaled to [0, 1]."""
    bits: int = 8
    """Of a value of the images before they are scaled: 8 or 16."""
    native: bool = False
    """Whether images are read in all their depth, as `--depth native` has it."""
    data: str | None = None
    """The name of the dataset, not its path."""
    data_facts: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the dataset: "counts" of its splits, "fingerprint" and "split_digest", as in `ImageData`."""
    images: ImageData | None = None
    """The dataset itself, where it is at hand: int8 is calibrated on its training images, and every format
    verified on its validation images. The test images stay closed."""
    origin: Origin | None = None
    """None for a network that no search found."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the packages that trained it."""

    @property
    def metric(self) -> str:
        """What its files are judged by: the metric of its study, where that is installed."""
        known = self.origin is not None and self.origin.metric in METRICS.names()
        return self.origin.metric if self.origin and known else ACCURACY

    @cached_property
    def layers(self) -> LayerTable:
        """The network layer by layer.

        Raises:
            NasError: what it computes depends on the values of an image in a way that no file can hold.
        """
        from nas.errors import first_line
        from nas.network.layers import layer_table

        try:
            return layer_table(self.model, self.input_shape)
        except Exception as error:  # the code may be the author's
            raise NasError(f"The network cannot be followed without images: {first_line(error)}") from error
