"""What a network costs, before anything is trained: parameters, multiply-adds and memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import nn

from nas.memory.prediction import Device, MemoryConstants, predict
from nas.memory.program import BatchSizes, Memory
from nas.memory.trace import Precision, trace_training
from nas.network.layers import Layer, layer_table
from nas.seconds.work import StepWork
from nas.space import Optimizer, Training

FLOAT = 4
"""Bytes of a fp32 number."""


@dataclass(frozen=True)
class InspectedLayer(Layer):
    """One call of a leaf module, with the memory of its output."""

    @property
    def output_bytes(self) -> int:
        """Of one image, in fp32; 0 where the output is no tensor."""
        return FLOAT * prod(self.output_shape) if self.output_shape else 0


@dataclass(frozen=True)
class Inspection:
    """What a network costs."""

    layers: tuple[InspectedLayer, ...]
    """In order of execution."""
    parameters: int
    """Shared ones count once."""
    multiply_adds: int
    """Of one image."""
    training_memory: Memory
    """Peak of a training step after the first, in bytes."""
    work: StepWork
    """What a training step of the whole batch does, and an evaluation of as many images."""
    inference_memory: int
    """Bytes of the two consecutive layers whose outputs need most, in fp32, for the whole batch. The images
    count as the first layer."""


def inspect(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch_size: int = 32,
    optimizer: Optimizer = "sgd",
    precision: Precision = "fp32",
    device: Device = "cpu",
) -> Inspection:
    """Find out what `module` costs on images of `input_shape` (channels, height, width).

    The module may lie on any device, meta included, and is neither run nor changed. Training is that of a
    search, in whole batches, with Nesterov momentum for "sgd"; of a module that gives no vector for an image,
    but a feature map, several tensors or a dict, the loss is the mean of all outputs. `device="cuda"` adds
    the fragmentation of the caching allocator and the workspaces of a card before Hopper, where newer ones
    take 64 MiB; no GPU is needed for that.

    Raises:
        Untraceable: the memory of the network cannot be predicted.
    """
    training = Training(batch_size=batch_size, optimizer=optimizer, learning_rate=1.0)
    return inspect_training(module, input_shape, training, precision=precision, device=device)


def inspect_training(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    training: Training,
    *,
    precision: Precision,
    device: Device,
    classes: int | None = None,
    bits: int = 8,
) -> Inspection:
    """As `inspect`, with every setting of a training: averaged weights take memory too, for one.

    Args:
        classes: that the module must tell apart; None for whatever it does.
        bits: of a value of a pixel, 8 or 16.

    Raises:
        WrongLogits: it does not give (batch, classes).
    """
    constants = MemoryConstants.typical(device)
    kernels: Device | None = "cuda" if device == "cuda" else None
    program = trace_training(
        module, input_shape, training, precision=precision, kernels=kernels, classes=classes, bits=bits
    )
    table = layer_table(module, input_shape)
    return Inspection(
        layers=tuple(InspectedLayer(**vars(layer)) for layer in table.layers),
        parameters=table.parameters,
        multiply_adds=table.multiply_adds,
        training_memory=predict(program, BatchSizes(training.batch_size), device, constants),
        work=program.work(BatchSizes(training.batch_size, evaluation=training.batch_size)),
        inference_memory=training.batch_size * FLOAT * table.inference_elements(input_shape),
    )
