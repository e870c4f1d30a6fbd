"""What an export is made of: a trained network and the facts of its study, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from nas.layers import LayerTable


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """The network of one trial with its weights, and where both come from."""

    model: nn.Module
    """Normalised float images (batch, channels, height, width) in, logits (batch, classes) out."""
    input_shape: tuple[int, int, int]
    """(channels, height, width); one channel for grey images, three for RGB."""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Per channel, of images scaled to [0, 1]."""
    std: tuple[float, ...]
    """As `mean`."""
    data: str
    """The name of the dataset, not its path."""
    space: str
    """The name of the search space; of a space that is a file, the file's stem."""
    space_version: int
    params: Mapping[str, Any]
    """What Optuna suggested; with the space's name and version they rebuild the proposal."""
    study: str
    trial: int
    val_accuracy: float
    """In [0, 1]."""
    versions: Mapping[str, str]
    """Of the packages that trained it."""

    @cached_property
    def layers(self) -> LayerTable:
        """The network layer by layer."""
        from nas.layers import layer_table

        return layer_table(self.model, self.input_shape)
