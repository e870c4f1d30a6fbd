"""An exponential moving average of weights, evaluated and kept in their place."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages the parameters of a network, and the running statistics of its batch norms like them.

    So does torchvision's reference training. The decay rises to its value over the first steps, as in
    TensorFlow's `tf.train.ExponentialMovingAverage`, so that the first weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Takes over `model`, a copy of the network as it is before training."""
        self.model = model.requires_grad_(False)
        """The average."""
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """After each step; 1 after the first."""
        decay = min(self._decay, (1 + step) / (10 + step))
        averages, present = [], []
        for average, tensor in zip(_tensors(self.model), _tensors(model), strict=True):
            if average.is_floating_point():
                averages.append(average)
                present.append(tensor)
            else:
                average.copy_(tensor)  # a count of batches
        torch._foreach_lerp_(averages, present, 1 - decay)


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
