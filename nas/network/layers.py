"""The layers of a network: their output shapes, parameters and multiply-adds, found without its memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.memory.weightless import copy_without_memory


@dataclass(frozen=True)
class Layer:
    """One call of a leaf module."""

    name: str
    kind: str
    """The class of the module."""
    output_shape: tuple[int, ...]
    """Without the batch; empty where the output is no tensor."""
    parameters: int
    """Those that no layer above has shown already."""
    multiply_adds: int
    """For one image."""


@dataclass(frozen=True)
class LayerTable:
    """A network, layer by layer in order of execution, and as a whole.

    The totals also hold what no leaf module shows: parameters that a block owns itself, and operations that
    it calls as functions.
    """

    layers: tuple[Layer, ...]
    parameters: int
    """Shared ones count once."""
    multiply_adds: int
    """For one image. Convolutions, products of matrices and attention; biases, norms and activations are not
    counted, nor is `nn.Bilinear`, which PyTorch does not count."""

    def inference_elements(self, input_shape: tuple[int, int, int]) -> int:
        """Elements of the two consecutive layers whose outputs need most, for one image.

        The image counts as the first layer.
        """
        outputs = [prod(layer.output_shape) if layer.output_shape else 0 for layer in self.layers]
        return max((sum(pair) for pair in pairwise([prod(input_shape), *outputs])), default=0)


def layer_table(model: nn.Module, shape: tuple[int, int, int]) -> LayerTable:
    """Follow one image of `shape` (channels, height, width) through a copy of `model` on the meta device.

    The model itself may lie on any device, and is neither run nor changed.
    """
    model = copy_without_memory(model, partial(torch.empty_like, device="meta")).eval()
    # the fast path of attention in eval mode, which would hide its products, does not exist on meta
    counter = FlopCounterMode(display=False)
    layers: list[Layer] = []
    starts: list[int] = []
    shown: set[nn.Parameter] = set()

    def enter(module: nn.Module, inputs: Any) -> None:
        starts.append(counter.get_total_flops())

    def leave(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        own = set(module.parameters()) - shown
        shown.update(own)
        layers.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                output_shape=_shape(output),
                parameters=sum(parameter.numel() for parameter in own),
                multiply_adds=(counter.get_total_flops() - starts.pop()) // 2,
            )
        )

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(partial(leave, name))
    with torch.no_grad(), counter:
        model(torch.empty(1, *shape, device="meta"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return LayerTable(tuple(layers), parameters, counter.get_total_flops() // 2)


def _shape(output: Any) -> tuple[int, ...]:
    while isinstance(output, tuple | list) and output:
        output = output[0]
    return tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
