"""Activation checkpointing: keep what segments of a network read, and compute the rest again in the backward.

With n layers in sqrt(n) segments, as in Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
arXiv 1604.06174.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Segment = list[nn.Module]


def checkpointed(network: nn.Module) -> nn.Module:
    """`network` with every outermost `nn.Sequential` in it run in checkpointed segments.

    Parameters and their names stay what they were. A Sequential comes back as a new one around the same
    layers; any other network is changed in place, or not at all where it holds no Sequential.
    """
    if _is_plain_sequential(network):
        return CheckpointedSequential(OrderedDict(zip(network._modules, network, strict=True)))
    for name, child in network.named_children():
        setattr(network, name, checkpointed(child))
    return network


class CheckpointedSequential(nn.Sequential):
    """A Sequential whose forward keeps nothing but what its segments read, until the backward.

    A training step gives the same gradients, running statistics and random draws as without checkpoints. The
    layers of Sequentials inside it count as its own.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return _run(self, input)
        *segments, last = _segments(list(_layers(self)))
        for segment in segments:
            contexts = partial(_contexts, segment)
            input = checkpoint(partial(_run, segment), input, use_reentrant=False, context_fn=contexts)
        return _run(last, input)  # the backward begins with it: recomputing would save nothing


def _is_plain_sequential(module: nn.Module) -> TypeGuard[nn.Sequential]:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _layers(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for module in modules:
        if _is_plain_sequential(module):
            yield from _layers(module)
        else:
            yield module


def _segments(layers: Segment) -> list[Segment]:
    length = math.ceil(math.sqrt(len(layers)))
    segments: list[Segment] = [[]]
    for layer in layers:
        # a layer that overwrites what it reads cannot read it again, so it starts no segment
        if len(segments[-1]) >= length and not getattr(layer, "inplace", False):
            segments.append([])
        segments[-1].append(layer)
    return segments


def _run(segment: Iterable[nn.Module], input: Tensor) -> Tensor:
    for layer in segment:
        input = layer(input)
    return input


def _contexts(segment: Segment) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the forward of a segment, and around its recomputation."""
    return nullcontext(), _unchanged_buffers(segment)


@contextmanager
def _unchanged_buffers(segment: Segment) -> Iterator[None]:
    """Lend the layers copies of their buffers: batch norm has counted this batch already."""
    owners = [module for layer in segment for module in layer.modules()]
    originals = [dict(module._buffers) for module in owners]
    for module, buffers in zip(owners, originals, strict=True):
        module._buffers.update({name: b if b is None else b.clone() for name, b in buffers.items()})
    try:
        yield
    finally:
        for module, buffers in zip(owners, originals, strict=True):
            module._buffers.update(buffers)
