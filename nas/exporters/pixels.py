"""From raw images to what a network reads, in NumPy and as part of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.exporters.trained import TrainedModel


def normalise(images: NDArray[Any], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """float32 (batch, channels, height, width) from uint8 or uint16 (batch, height, width, channels).

    Args:
        mean, std: per channel, of images scaled to [0, 1].
    """
    scale, bias = factors(mean, std, 8 * images.dtype.itemsize)
    scaled: NDArray[np.float32] = images * scale + bias
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def factors(
    mean: Sequence[float], std: Sequence[float], bits: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(scale, bias), each (channels,), with which `pixel * scale + bias` is normalised, of so many bits."""
    means, stds = np.array(mean), np.array(std)
    return (1 / ((2**bits - 1) * stds)).astype(np.float32), (-means / stds).astype(np.float32)


def example(trained: TrainedModel, uint8: bool) -> Tensor:
    """Two images to export with: zeros, because they may stay in the file; one would fix the batch at one."""
    import torch

    channels, height, width = trained.input_shape
    if uint8:
        return torch.zeros(
            2, height, width, channels, dtype=torch.uint8 if trained.bits == 8 else torch.uint16
        )
    return torch.zeros(2, channels, height, width)


def with_preprocessing(trained: TrainedModel) -> nn.Module:
    """The network behind its preprocessing: uint8 images (batch, height, width, channels), as decoders give
    them, or uint16 ones, go in."""
    import torch
    from torch import nn

    class FromPixels(nn.Module):
        scale: Tensor
        bias: Tensor

        def __init__(self) -> None:
            super().__init__()
            scale, bias = factors(trained.mean, trained.std, trained.bits)
            self.register_buffer("scale", torch.from_numpy(scale))
            self.register_buffer("bias", torch.from_numpy(bias))
            self.network = trained.model

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.network((images.float() * self.scale + self.bias).permute(0, 3, 1, 2))
            return logits

    return FromPixels().eval()
